"""DIA-NN matrices and reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset, read
from tests.conftest import TEST_DATA


def test_pg_matrix_with_its_sheet() -> None:
    folder = TEST_DATA / "readers"
    data = read(folder / "diann_pg_matrix_20samples.tsv", folder / "diann_metadata.xlsx")
    assert data.shape == (20, 10)
    assert data.var["gene"].iloc[0] == "HDLBP"
    assert data.uns["nereus"]["organism"] == "human"
    np.testing.assert_allclose(data["S1", data.var_names[0]].X[0, 0], np.log2(380503.0))
    assert set(data.obs["grouping1"]) >= {"Healthy"}


def test_stripped_tabs_at_line_ends_are_filled_and_reported() -> None:
    folder = TEST_DATA / "readers"
    path = folder / "diann_report.pg_matrix.tsv"
    result = load_dataset(SourceFile(path, path.name))
    np.testing.assert_array_equal(result.dataset().X, read(folder / "diann_pg_matrix_20samples.tsv").X)
    assert any("trailing tabs were stripped" in warning for warning in result.warnings)


def report(change: dict | None = None) -> pd.DataFrame:
    rows = []
    for run in ("A_1", "A_2", "B_1"):
        for group, quantity in (("P02768", 1000.0), ("O60861;Q9H0R8", 64.0)):
            rows += [
                {
                    "File.Name": f"D:\\raw\\{run}.raw", "Run": run, "Protein.Group": group, "Genes": f"G{group[0]}",
                    "Protein.Names": "X_HUMAN", "PG.Quantity": quantity, "PG.MaxLFQ": quantity * 2, "Precursor.Id": f"{group}{p}",
                    "Q.Value": 0.001, "PG.Q.Value": 0.002,
                }
                for p in range(3)
            ]  # fmt: skip
    frame = pd.DataFrame(rows)
    for (row, column), value in (change or {}).items():
        frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize("kind", ["tsv", "parquet"])
def test_long_report(tmp_path: Path, kind: str) -> None:
    frame = report({(0, "Q.Value"): 0.5, **{(row, "PG.Q.Value"): 0.3 for row in (9, 10, 11)}})
    path = tmp_path / "report.bin"
    frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, sep="\t", index=False)
    result = load_dataset(SourceFile(path, path.name))
    data = result.dataset()
    assert list(data.obs_names) == ["A_1", "A_2", "B_1"]
    assert list(data.var_names) == ["P02768", "O60861;Q9H0R8"]
    np.testing.assert_allclose(data.X, np.log2([[2000, 128], [2000, np.nan], [2000, 128]]))
    np.testing.assert_allclose(data.layers["intensity"], data.X - 1)
    assert data.layers["n_peptides"].tolist() == [[2, 3], [3, 0], [3, 3]]
    assert list(data.var["gene"]) == ["GP", "GO"]
    assert any("4 report rows above q" in warning for warning in result.warnings)


def test_contradicting_quantities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.tsv"
    report({(1, "PG.MaxLFQ"): 5.0}).to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="several values") as caught:
        read(path)
    assert "row 3" in str(caught.value.where)


def test_precursor_matrix_is_peptide_level(tmp_path: Path) -> None:
    text = "Protein.Group\tProtein.Ids\tProtein.Names\tGenes\tPrecursor.Id\tD:\\x\\A_1.raw\tD:\\x\\A_2.raw\n"
    text += "P02768\tP02768\tALBU_HUMAN\tALB\tPEPTIDEK2\t100\t200\nP02768\tP02768\tALBU_HUMAN\tALB\tSEQVENCEK3\t300\t\n"
    (tmp_path / "pr.tsv").write_text(text)
    data = read(tmp_path / "pr.tsv")
    assert data.uns["nereus"]["level"] == "peptide"
    assert list(data.var["protein_group"]) == ["P02768", "P02768"]
