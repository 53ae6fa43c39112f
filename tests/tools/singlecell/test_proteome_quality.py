"""Single-cell proteomes: real carriers and blanks, planted failures, cells that fall into two kinds."""

from __future__ import annotations

import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from nereus.errors import InputError
from nereus.tools import registry
from tests.tools.cases import single_cell_peptides

quality, cluster = registry.get("single_cell_quality"), registry.get("cluster_cells")


def scope2(folder: Path) -> anndata.AnnData:
    """Four runs with carriers, references, macrophages, monocytes and blanks (Specht et al. 2021), confident peptides."""
    at = folder / "sc_scope2_maxquant_evidence"
    evidence = pd.read_csv(at / "mqScpData.csv.gz", low_memory=False)
    sheet = pd.read_csv(at / "sampleAnnotation.csv")
    channels = [name for name in evidence.columns if re.fullmatch(r"Reporter[. ]intensity[. ]\d+", name)]
    real = ~evidence["Leading.proteins"].astype(str).str.contains("REV|CON")
    evidence = evidence[(evidence["PEP"] < 0.02) & real]
    evidence["peptide"] = evidence["Modified.sequence"] + evidence["Charge"].astype(str)
    parts = []
    for run, rows in evidence.groupby("Raw.file"):
        part = rows.groupby("peptide")[channels].median().T
        part.index = [f"{run}|{name.replace(' ', '.')}" for name in part.index]
        parts.append(part)
    table = pd.concat(parts)
    sheet = sheet.set_index(sheet["runCol"] + "|" + sheet["quantCols"])
    table = table.loc[[name for name in table.index if name in sheet.index]]
    protein = evidence.groupby("peptide")["Leading.proteins"].first().loc[table.columns].to_numpy()
    return anndata.AnnData(
        table.to_numpy(float),
        obs=sheet.loc[table.index, ["runCol", "SampleType"]],
        var=pd.DataFrame({"protein": protein}, index=table.columns),
    )


def hek_and_u937(folder: Path) -> anndata.AnnData:
    """62 wells of HEK-293 and U-937 cells and controls x peptides, log2 relative (Petelski et al. 2021)."""
    at = folder / "sc_scope2_hek_u937"
    table = pd.read_csv(at / "SingleCell_PeptidesXsamples.txt.gz", sep="\t", index_col=0)
    wells = pd.read_csv(at / "SingleCell_ids.txt", sep=None, engine="python").set_index("id")
    plan = pd.read_csv(at / "Cellenone_annotation_sc_bulk.csv").set_index("Set")
    rows = []
    for name in table.columns:
        run, channel = wells.loc[name, "Raw.file"], str(wells.loc[name, "Reporter.ion"]).rsplit(".", 1)[1]
        rows.append((run, plan.loc[run, f"RI{channel}"]))
    obs = pd.DataFrame(rows, columns=["run", "type"], index=table.columns)
    return anndata.AnnData(table.to_numpy(float).T, obs=obs, var=pd.DataFrame(index=table.index))


def test_planted_blanks_and_a_failed_cell_are_told() -> None:
    data = single_cell_peptides().copy()
    X = np.array(data.X)
    X[5] = np.exp(np.random.default_rng(9).normal(7, 1.5, X.shape[1]))
    data.X = X
    result = quality(data, type_column="type", run="run")
    cells = result.table("cells").set_index("cell")
    assert cells.loc["w5", "why"] == "peptides disagree"
    assert cells.loc[cells["role"] == "cell", "kept"].sum() >= 14
    assert result.values["auc_cv"] > 0.9
    assert 0.008 < result.values["ratio"] < 0.013  # planted: a hundredth of the carrier
    assert result.dataset().obs["role"].unique().tolist() == ["cell"]


def test_interference_is_left_out() -> None:
    data = single_cell_peptides().copy()
    X = np.array(data.X)
    X[data.obs["type"].to_numpy() == "cell", 7] *= 40
    data.X = X
    result = quality(data, type_column="type", run="run")
    peptides = result.table("peptides")
    assert peptides.loc[~peptides["kept"], "peptide"].tolist() == ["pep7"]


def test_without_carrier_or_blanks_that_is_said() -> None:
    data = single_cell_peptides()
    data = data[(data.obs["type"] == "cell").to_numpy()].copy()
    result = quality(data, type_column="type")
    assert result.values["ratio"] is None
    assert result.values["auc_cv"] is None
    assert result.values["max_cv"] is None
    assert result.values["n_kept"] == 16
    assert any("no run has a carrier" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"type_column": "kind"}, "no sample column 'kind'"),
        ({"type_column": "type", "empty": ("cell",)}, "no row is a single cell"),
        ({"type_column": "type", "max_missing": 0.01}, "no cell is left"),
    ],
)
def test_what_cannot_be_judged(params: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quality(single_cell_peptides(), **params)


# ------------------------------------------------------------------------------------------------- known truth


def test_cells_and_blanks_of_scope2(shared_data: Path) -> None:
    result = quality(scope2(shared_data), type_column="SampleType", run="runCol")
    assert result.values["n_cells"] == 25
    assert result.values["n_empty"] == 19
    assert result.values["auc_peptides"] > 0.95
    assert result.values["auc_cv"] > 0.9
    # One cell against a carrier of a hundred to two hundred.
    assert 0.005 < result.values["ratio"] < 0.02
    assert result.values["cv"] < 0.3 < result.values["cv_empty"]
    cells = result.table("cells")
    assert 20 <= cells["kept"].sum() <= 25
    blanks = cells[(cells["role"] == "empty") & cells["run"].str.contains("LCA9|LCB3")]
    assert (blanks["median_cv"] > result.values["max_cv"]).all()


def test_two_kinds_of_cells_are_two_clusters(shared_data: Path) -> None:
    data = hek_and_u937(shared_data)
    kept = quality(data, type_column="type", run="run", reference=("sc_pos",), max_missing=0.95).dataset()
    assert kept.obs["type"].value_counts().to_dict() == {"sc_h": 30, "sc_u": 29}
    # Runs with tags of their own: what differs between runs is taken out before cells are compared.
    even = registry.get("correct_batch")(kept, batch="run").dataset()
    result = cluster(even, sample="run", n_subsamples=5, seed=1)
    found = result.dataset().obs["cluster"].astype(str)
    assert result.values["k"] == 2
    assert result.values["stability"] > 0.9
    assert adjusted_rand_score(kept.obs["type"], found) > 0.95
    untreated = cluster(kept, sample="run", n_subsamples=5, seed=1)
    naive = adjusted_rand_score(kept.obs["type"], untreated.dataset().obs["cluster"].astype(str))
    assert naive < 0.7
    assert untreated.values["stability"] < result.values["stability"]
