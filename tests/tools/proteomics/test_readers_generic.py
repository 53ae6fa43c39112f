"""Wide tables of any origin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset, read
from tests.conftest import TEST_DATA


def write(folder: Path, text: str) -> Path:
    path = folder / "table"
    path.write_text(text)
    return path


def test_fragpipe_combined_proteins() -> None:
    data = read(TEST_DATA / "readers" / "fragpipe_combined_proteins.tsv")
    assert data.shape == (20, 10)
    assert data.uns["nereus"]["software"] == "FragPipe"
    assert data.uns["nereus"]["organism"] == "human"
    np.testing.assert_allclose(data["S1"].X[0, 0], np.log2(2216637.5))
    assert data.var["gene"].iloc[0] == "HPX"
    assert data.var["protein"].iloc[0] == "P02790"


def test_several_quantities_in_the_column_names(tmp_path: Path) -> None:
    text = "Protein\tGene\tLength\tA_1 Intensity\tA_2 Intensity\tA_1 MaxLFQ Intensity\tA_2 MaxLFQ Intensity\t"
    text += "A_1 Spectral Count\tA_2 Spectral Count\n"
    text += "sp|P02768|ALBU_HUMAN\tALB\t609\t4000\t8000\t2000\t16000\t3\t4\n"
    text += "sp|O60861|GAS7_HUMAN\tGAS7\t476\t1000\t2000\t0\t4000\t1\t2\n"
    data = read(write(tmp_path, text))
    assert data.uns["nereus"]["quantity"] == "lfq"
    np.testing.assert_allclose(data.X, np.log2([[2000, np.nan], [16000, 4000]]))
    np.testing.assert_allclose(data.layers["intensity"], np.log2([[4000, 1000], [8000, 2000]]))
    raw = read(write(tmp_path, text), quantity="intensity")
    np.testing.assert_allclose(raw.X, data.layers["intensity"])


def test_annotation_columns_are_no_samples_and_are_named(tmp_path: Path) -> None:
    text = "Accession,Description,MW,A_1,A_2,B_1,B_2,q-value\n"
    text += "P02768,x GN=ALB,66,100,200,300,400,0.001\nO60861,y,50,500,600,700,800,0.2\n"
    path = write(tmp_path, text)
    result = load_dataset(SourceFile(path, "table"))
    assert list(result.dataset().obs_names) == ["A_1", "A_2", "B_1", "B_2"]
    assert any("annotation" in warning and "MW" in warning for warning in result.warnings)


def test_the_sheet_says_which_columns_are_samples(tmp_path: Path) -> None:
    path = write(
        tmp_path, "Accession,score,rank,hits\nP02768,100,200,7\nO60861,500,600,8\nP04264,510,610,8\n"
    )
    sheet = tmp_path / "sheet"
    sheet.write_text("sample,arm\nscore,a\nrank,b\n")
    assert list(read(path, sheet).obs_names) == ["score", "rank"]


def test_repeated_columns(tmp_path: Path) -> None:
    same = "id,A1,A1,B1\nP02768,100,100,300\nO60861,500,500,700\n"
    assert read(write(tmp_path, same)).n_obs == 2
    with pytest.raises(InputError, match="columns 2 and 3"):
        read(write(tmp_path, same.replace("500,500", "500,501")))


def test_peptides_of_any_table_can_be_rolled_up(tmp_path: Path) -> None:
    text = "sequenceID\tproteinID\tspecies\tA1\tA2\n"
    text += "AAAEVNQDYGLDPK\tsp|P07954|FUMH_HUMAN\tHUMAN\t584\t554\n"
    text += "AAALSIIGK\tsp|P07954|FUMH_HUMAN\tHUMAN\t124\t110\n"
    data = read(write(tmp_path, text))
    assert data.uns["nereus"]["level"] == "peptide"
    assert list(data.var["protein_group"]) == ["sp|P07954|FUMH_HUMAN"] * 2
    assert list(data.var["organism"]) == ["human", "human"]


def test_a_table_without_identifiers_is_numbered(tmp_path: Path) -> None:
    text = "TotInt_126C,TotInt_127N\n" + "".join(f"{i + 1}000.5,{i + 2}000.5\n" for i in range(9))
    path = write(tmp_path, text)
    result = load_dataset(SourceFile(path, "table"))
    assert list(result.dataset().var_names)[:2] == ["feature_1", "feature_2"]
    assert any("no column of identifiers" in warning for warning in result.warnings)


def test_a_sample_column_of_text_beside_a_sheet(tmp_path: Path) -> None:
    path = write(tmp_path, "Protein\tA_1\tA_2\tB_1\nP02768\t1\tx\t3\nO60861\t4\ty\t6\n")
    sheet = tmp_path / "sheet"
    sheet.write_text("s,arm\nA_1,a\nA_2,a\nB_1,b\n")
    with pytest.raises(InputError, match="'A_2' holds no numbers"):
        read(path, sheet)


def test_summaries_of_samples_are_no_samples(tmp_path: Path) -> None:
    text = "Protein,Gene,C_1,C_2,D_1,D_2,AveExpr,Mean C,D_mean,log2FC D,t_stat,SD_1\n"
    text += (
        "P02768,ALB,800,900,100,120,480,850,110,-3,9,70\nP04264,KRT1,512,400,256,300,367,456,278,-1,3,60\n"
    )
    text += "Q9H0R8,GAPR1,90,80,70,60,75,85,65,-0.4,1,50\n"
    result = load_dataset(SourceFile(write(tmp_path, text), "table"))
    assert list(result.dataset().obs_names) == ["C_1", "C_2", "D_1", "D_2", "SD_1"]
    assert any("AveExpr" in warning for warning in result.warnings)
    means = text.splitlines()[0].split(",").index("Mean C")
    rows = [line.split(",") for line in text.splitlines()]
    only = "\n".join(",".join([row[0], row[means], row[means + 1]]) for row in rows) + "\n"
    assert list(read(write(tmp_path, only)).obs_names) == ["Mean C", "D_mean"]


def test_a_row_of_totals_is_refused(tmp_path: Path) -> None:
    text = (
        "Protein,C_1,C_2,D_1,D_2\nP02768,800,900,100,120\nP04264,512,400,256,300\nTotal,1312,1300,356,420\n"
    )
    with pytest.raises(InputError, match="'Total' sums the others up"):
        read(write(tmp_path, text))


def test_two_columns_of_names_in_different_order(tmp_path: Path) -> None:
    text = "Protein,A_1,A_2,B_1,B_2\nP02768,800,900,100,120\nP04264,512,400,256,300\nQ9H0R8,90,80,70,60\n"
    path = write(tmp_path, text)
    sheet = tmp_path / "sheet"
    rows = "A_2,A_1,a\nB_1,A_2,a\nB_2,B_1,b\nA_1,B_2,b\n"
    sheet.write_text("measured before,sample,arm\n" + rows)
    assert list(read(path, sheet).obs["arm"]) == ["a", "a", "b", "b"]
    sheet.write_text("before,after,arm\n" + rows)
    with pytest.raises(InputError, match="name the same samples in different rows"):
        read(path, sheet)
    assert list(read(path, sheet, sample_column="before").obs["arm"]) == ["b", "a", "a", "b"]
