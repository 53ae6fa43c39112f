"""States by subject: BCR signalling in B cells, the level under the null, and what is refused."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nereus.errors import InputError
from nereus.tools import registry
from tests.tools.cytometry.planted import STIMULATION, planted_cells
from tests.tools.cytometry.real_cells import bcr_stimulation

transform, cluster = registry.get("transform_cells"), registry.get("cluster_cells")
annotate, state = registry.get("annotate_clusters"), registry.get("cell_state_test")


def named(**how: object) -> anndata.AnnData:
    cells = transform(planted_cells(**how)).dataset()  # type: ignore[arg-type]
    cells.obs["population"] = cells.obs["truth"]
    return cells


def test_planted_state_is_found_in_its_population_only() -> None:
    result = state(named(n_donors=5, n_cells=400), contrast=STIMULATION, unit="donor")
    table = result.table().set_index("feature")
    assert result.values["block_model"] == "fixed"
    assert table.index[table["q"] <= 0.05].tolist() == ["B cells|pS6"]
    row = table.loc["B cells|pS6"]
    assert row["ci_low"] < 1.0 < row["ci_high"]
    assert (row["population"], row["marker"], row["n_a"]) == ("B cells", "pS6", 5)
    assert set(table["marker"]) == {"pS6", "pErk"}


def test_medians_are_those_of_pandas_and_the_test_that_of_the_linear_model() -> None:
    cells = named(n_donors=4, n_cells=200)
    result = state(cells, contrast=STIMULATION)
    frame = pd.DataFrame(np.asarray(cells[:, ["pS6"]].X)[:, 0], columns=["v"])
    by = frame.groupby(
        [cells.obs["sample"].astype(str).to_numpy(), cells.obs["truth"].astype(str).to_numpy()]
    )["v"]
    made = result.dataset("states")
    for sample in made.obs_names:
        one = made[sample, "Monocytes|pS6"].X.item()
        assert one == pytest.approx(by.median()[sample, "Monocytes"], rel=1e-5)
    again = registry.get("differential_abundance")(made, contrast=STIMULATION).table()
    for column in ("effect", "se", "p"):
        np.testing.assert_allclose(result.table()[column], again[column], rtol=1e-8)


def test_level_is_held_where_a_test_of_cells_does_not_hold_it() -> None:
    """Null: samples differ, groups do not. Cells as units find differences everywhere."""
    rng = np.random.default_rng(0)
    sample, population = (part.ravel() for part in np.meshgrid(range(8), range(4), indexing="ij"))
    sample, population = np.repeat(sample, 25), np.repeat(population, 25)
    group = np.where(sample < 4, "stimulated", "resting")
    obs = pd.DataFrame(
        {"sample": [f"s{i}" for i in sample], "group": group, "population": [f"P{i}" for i in population]},
        index=[f"c{i}" for i in range(len(sample))],
    )
    var = pd.DataFrame(index=["pS6", "pErk", "pAkt"])
    ours, naive = [], []
    for _ in range(100):
        between = rng.normal(0, 0.4, (8, 4, 3))
        X = between[sample, population] + rng.normal(1, 0.6, (len(sample), 3))
        cells = anndata.AnnData(X.astype(np.float32), obs=obs, var=var)
        ours += state(cells, contrast=STIMULATION).table()["p"].tolist()
        for one in range(4):
            own = population == one
            naive += stats.ttest_ind(X[own & (sample < 4)], X[own & (sample >= 4)]).pvalue.tolist()
    assert len(ours) == 1200
    assert np.mean(np.array(ours) < 0.05) < 0.07
    assert np.mean(np.array(ours) < 0.01) < 0.02
    assert np.mean(np.array(naive) < 0.05) > 0.5


def test_units_with_few_cells_have_no_value() -> None:
    cells = named(n_donors=4, n_cells=200)
    rare = ((cells.obs["sample"] == "d1 resting") & (cells.obs["truth"] == "B cells")).to_numpy()
    cells = cells[~rare].copy()
    table = state(cells, contrast=STIMULATION).table().set_index("feature")
    assert table.loc["B cells|pS6", ["n_a", "n_b"]].tolist() == [4, 3]
    assert table.loc["Monocytes|pS6", ["n_a", "n_b"]].tolist() == [4, 4]


def test_a_marker_that_is_off_is_not_tested() -> None:
    cells = named(n_donors=3, n_cells=200)
    X = np.array(cells.X)
    X[:, 7] = np.where(np.random.default_rng(0).random(len(X)) < 0.9, 0.0, 1.0)
    cells.X = X
    result = state(cells, contrast=STIMULATION)
    table = result.table().set_index("feature")
    assert table.loc[[name for name in table.index if name.endswith("pErk")], "p"].isna().all()
    assert any("same in all units" in text for text in result.warnings)
    by_mean = state(cells, contrast=STIMULATION, summary="mean").table().set_index("feature")
    assert by_mean.loc["Monocytes|pErk", "p"] > 0


def test_a_panel_without_states_tests_all_markers_and_says_so() -> None:
    cells = named(n_donors=3, n_cells=100)[:, :6].copy()
    result = state(cells, contrast=STIMULATION, min_cells=5)
    assert result.values["n_markers"] == 6
    assert any("no state marker" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"markers": ("pAkt",)}, "unknown markers"),
        ({"population": "cluster"}, "no column 'cluster'"),
        ({"sample": "file"}, "no column 'file'"),
        (
            {"contrast": {"factor": "truth", "a": "B cells", "b": "NK cells"}},
            "differs between cells of one sample",
        ),
        ({"min_cells": 5000}, "in any unit"),
    ],
)
def test_what_cannot_be_compared(params: dict[str, object], message: str) -> None:
    cells = named(n_donors=2, n_cells=80)
    with pytest.raises(InputError, match=message):
        state(cells, **{"contrast": STIMULATION, **params})


def test_all_values_missing() -> None:
    cells = named(n_donors=2, n_cells=80)
    cells.X = np.full(cells.shape, np.nan, dtype=np.float32)
    with pytest.raises(InputError, match=r"no marker varies|every value is missing"):
        state(cells, contrast=STIMULATION)


# ------------------------------------------------------------------------------------------------- known truth


def test_bcr_crosslinking_raises_signalling_in_b_cells(shared_data: Path) -> None:
    cells = transform(bcr_stimulation(shared_data)).dataset()
    made = annotate(cluster(cells, n_subsamples=2, seed=1).dataset()).dataset()
    result = state(made, contrast={"factor": "condition", "a": "BCRXL", "b": "Ref"}, unit="patient")
    table = result.table().set_index("feature")
    assert table["p"].idxmin() == "B cells|pS6"
    raised = table.loc[["B cells|pS6", "B cells|pPlcg2", "B cells|pErk"]]
    assert (raised["q"] < 0.05).all()
    assert (raised["effect"] > 1.0).all()
    # Not raised in T cells: the receptor is that of B cells.
    t_cells = table.loc[["CD4 T cells|pS6", "CD4 T cells|pErk", "T cells|pErk"]]
    assert not ((t_cells["q"] < 0.05) & (t_cells["effect"] > 0.5)).any()
