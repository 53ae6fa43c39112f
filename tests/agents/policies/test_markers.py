"""What marks each population: from an h5ad of cells as single-cell tools write it, through the whole product."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import nereus
from nereus.errors import InputError
from nereus.memory.records import ObjectiveKind
from nereus.tools import registry
from nereus.tools.base import SourceFile

KINDS = ("alpha", "beta", "gamma")


def cells(n: int = 450, samples: int = 0, scaled: bool = False) -> anndata.AnnData:
    """Counts of 240 genes on a log scale; each kind has five genes of its own."""
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 3, n)
    mean = np.tile(rng.gamma(0.6, 1.0, 240), (n, 1))
    for at in range(3):
        mean[:, 5 * at : 5 * at + 5] = np.where((kind == at)[:, None], 4.0, 0.1)
    X = np.log1p(rng.poisson(mean)).astype("float32")
    obs = pd.DataFrame(
        {
            "cell_type": [KINDS[at] for at in kind],
            "n_genes": (X > 0).sum(axis=1),
            "phase": rng.choice(["S", "G1"], n),
        },
        index=["".join(rng.choice(list("ACGT"), 16)) + "-1" for _ in range(n)],
    )
    if samples:
        obs["donor"] = [f"d{one}" for one in rng.integers(0, samples, n)]
    made = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"GENE{i}" for i in range(240)]))
    if scaled:
        made.raw = made.copy()
        made.X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-6)
    return made


def loaded(dataset: anndata.AnnData, folder: Path) -> anndata.AnnData:
    dataset.write_h5ad(folder / "cells.h5ad")
    return registry.get("load_dataset")(SourceFile(folder / "cells.h5ad", "cells.h5ad"), None).dataset()


def test_cells_of_an_h5ad_are_no_samples(tmp_path: Path) -> None:
    read = loaded(cells(), tmp_path)
    assert read.uns["nereus"]["level"] == "cell"
    assert set(read.obs["sample"]) == {"sample 1"}
    assert any("do not say of which sample" in line for line in read.uns["nereus"]["history"])
    profile = registry.get("profile_dataset")(read)
    assert profile.values["data_kind"] == "cells"
    assert len(profile.table("contrasts")) == 0, "cells were compared as if they were samples"
    assert profile.table("labels")["column"].tolist() == ["cell_type", "phase"]


def test_samples_are_those_that_the_cells_name(tmp_path: Path) -> None:
    read = loaded(cells(samples=4), tmp_path)
    assert set(read.obs["sample"]) == {"d0", "d1", "d2", "d3"}


def test_scaled_values_give_way_to_those_before(tmp_path: Path) -> None:
    given = cells(scaled=True)
    assert np.allclose(loaded(given, tmp_path).X, given.raw.X)


def test_tables_of_samples_stay_tables_of_samples(tmp_path: Path) -> None:
    assert loaded(cells(60), tmp_path).uns["nereus"]["level"] != "cell"
    many = cells()
    many.obs = many.obs[["cell_type"]].set_axis([f"s{i}" for i in range(450)])
    assert loaded(many, tmp_path).uns["nereus"]["level"] != "cell"


def test_a_run_answers_what_marks_each_population(tmp_path: Path) -> None:
    pytest.importorskip("scanpy")
    pytest.importorskip("leidenalg")
    cells().write_h5ad(tmp_path / "cells.h5ad")
    run = nereus.discover(
        tmp_path / "cells.h5ad",
        question="what marks each population?",
        home=tmp_path / "home",
        out=tmp_path / "report",
        seed=0,
    )
    asked = {one.design["labels"]: one for one in run.record.objectives if one.kind is ObjectiveKind.MARKERS}
    assert set(asked) == {"cell_type", "cluster"}
    for column, one in asked.items():
        table = run.output(f"{one.id}:markers")
        first = table[table["rank"] <= 5].groupby("population")["feature"].agg(set)
        assert sorted(map(sorted, first)) == sorted(
            sorted(f"GENE{5 * at + i}" for i in range(5)) for at in range(3)
        ), column
        assert table["p"].isna().all() == (column == "cluster")
    assert not run.hypotheses, "what describes is no hypothesis"
    text = (tmp_path / "report" / "report.html").read_text()
    assert "What marks each population of cells (cell_type)?" in text
    assert "first of each" in text
    assert not any(letter.isdigit() for one in asked.values() for letter in one.rationale)
    assert len(list((tmp_path / "report" / "figures").glob("*plot_markers-markers.svg"))) == 2


def test_leading_features_are_drawn() -> None:
    data = cells()
    table = registry.get("population_markers")(data, population="cell_type").table("markers")
    drawn = registry.get("plot_markers")(data, table, groups="cell_type", label=None, n_markers=9)
    shown = set(drawn.figures["markers"].data.columns[3:])
    assert shown == set(table[table["rank"] <= 3]["feature"])
    with pytest.raises(InputError, match="no column 'rank'"):
        registry.get("plot_markers")(data, table.drop(columns="rank"), groups="cell_type")
