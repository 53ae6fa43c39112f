"""Loading: what becomes of a file and its sheet, and how bad input is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError, NereusError
from nereus.memory.artifacts import ArtifactStore
from nereus.tools.base import Result, SourceFile
from nereus.tools.proteomics.load import load_dataset, read, unique_ids
from nereus.tools.steps import StepRunner

ROWS = {
    "P02768": [1000, 1100, 4000, 4400],
    "Q9H0R8-2": [200.5, 210, 190, np.nan],
    "P04264;CON__P04264": [50, 60, 55, 65],
    "O60861": [16, 32, 64, 128],
}
SAMPLES = ["C_R1", "C_R2", "D_R1", "D_R2"]


def table(
    rows: dict | None = None, sep: str = "\t", samples: list[str] = SAMPLES, first: str = "Protein"
) -> str:
    rows = ROWS if rows is None else rows
    lines = [sep.join([first, *samples])]
    lines += [sep.join([name, *("" if v != v else f"{v}" for v in values)]) for name, values in rows.items()]
    return "\n".join(lines) + "\n"


def load(
    folder: Path, content: str | bytes, sheet: str | bytes | None = None, name: str = "data.txt", **params
) -> Result:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = None
    if sheet is not None:
        (folder / "sheet.csv").write_bytes(sheet.encode() if isinstance(sheet, str) else sheet)
        source = SourceFile(folder / "sheet.csv", "sheet.csv")
    return load_dataset(SourceFile(path, name), source, **params)


def refused(folder: Path, content: str | bytes, sheet: str | None = None, **params) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder, content, sheet, **params)
    assert caught.value.mend
    assert caught.value.where
    return caught.value


# ------------------------------------------------------------------------------------------------ what comes out


def test_values_are_log2_and_names_are_kept(tmp_path: Path) -> None:
    result = load(tmp_path, table())
    data = result.dataset()
    assert list(data.obs_names) == SAMPLES
    assert list(data.var_names) == list(ROWS)
    np.testing.assert_allclose(data.X.T, np.log2(list(ROWS.values())))
    assert list(data.obs["group"]) == ["C", "C", "D", "D"]
    assert data.uns["nereus"]["group_guessed"]
    assert list(data.var["protein"]) == ["P02768", "Q9H0R8-2", "P04264", "O60861"]
    assert result.values["id_space"] == "uniprot"
    assert result.values["n_shared_contaminant"] == 1
    assert not result.values["already_log2"]


def test_the_step_runner_keeps_it_as_h5ad(tmp_path: Path, runner: StepRunner) -> None:
    (tmp_path / "data.txt").write_text(table())
    (tmp_path / "sheet.csv").write_text("id,arm,age\nC_R1,ctrl,1\nC_R2,,2\nD_R1,drug,\nD_R2,drug,4\n")
    store: ArtifactStore = runner.artifacts
    inputs = {
        "data": store.put_file(tmp_path / "data.txt"),
        "samples": store.put_file(tmp_path / "sheet.csv"),
    }
    call = runner.run("load_dataset", {}, inputs)
    assert call.error is None
    fresh = ArtifactStore(store.root).dataset(call.outputs["dataset"])
    assert list(fresh.obs["arm"].astype(object)) == ["ctrl", np.nan, "drug", "drug"]
    assert fresh.obs["age"].dtype == float
    assert call.values == runner.run("load_dataset", {}, inputs).values


def test_what_nereus_wrote_is_read_back_equal(tmp_path: Path) -> None:
    data = load(tmp_path, table()).dataset()
    data.write_h5ad(tmp_path / "data.h5ad")
    again = read(tmp_path / "data.h5ad")
    np.testing.assert_array_equal(again.X, data.X)
    assert again.uns["nereus"]["scale_found"] == "log2"
    assert again.uns["nereus"]["history"][:2] == data.uns["nereus"]["history"]


def test_logarithms_are_not_logged_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {f"P{i:05d}": np.round(rng.normal(24, 2) + rng.normal(0, 0.3, 4), 4) for i in range(30)}
    result = load(tmp_path, table(rows))
    assert result.values["already_log2"]
    np.testing.assert_allclose(result.dataset().X.T, list(rows.values()))
    raw = load(tmp_path, table(rows), scale="raw").dataset()
    np.testing.assert_allclose(raw.X.T, np.log2(list(rows.values())))


@pytest.mark.parametrize(("scale", "base"), [("log10", 10.0), ("ln", np.e)])
def test_other_logarithms_become_log2(tmp_path: Path, scale: str, base: float) -> None:
    rows = {"P02768": [base**0, 1.0, 2.0, 3.0], "O60861": [4.0, 5.0, 6.0, 7.0]}
    data = load(tmp_path, table(rows), scale=scale).dataset()
    np.testing.assert_allclose(data.X[3, 1], 7 * np.log2(base))


def test_zeros_of_raw_tables_are_missing_unless_told(tmp_path: Path) -> None:
    rows = {"P02768": [0, 1100, 4000, 4400], "O60861": [16, 32, 0, 128]}
    assert np.isnan(load(tmp_path, table(rows)).dataset().X).sum() == 2
    kept = load(tmp_path, table(rows), zero_is_missing="no")
    np.testing.assert_allclose(kept.dataset().X[0, 0], 0.0)
    assert any("log2(x + 1)" in warning for warning in kept.warnings)


def test_duplicate_ids_are_kept_named_and_reported(tmp_path: Path) -> None:
    result = load(tmp_path, table() + "P02768\t1\t2\t3\t4\nP02768\t5\t6\t7\t8\n")
    assert result.values["n_duplicate_ids"] == 2
    assert list(result.dataset().var_names)[-2:] == ["P02768~2", "P02768~3"]
    assert any("2 duplicate feature ids" in warning and "P02768" in warning for warning in result.warnings)
    assert unique_ids(["a", "a", "a~2"])[0] == ["a", "a~3", "a~2"]


def test_contaminants_and_decoys_are_removed_and_listed(tmp_path: Path) -> None:
    more = "CON__P00761\t1\t2\t3\t4\ncontam_sp|P00366|DHE3_BOVIN\t1\t2\t3\t4\nREV__P12345\t1\t2\t3\t4\nCont_Q1\t1\t2\t3\t4\n"
    result = load(tmp_path, table() + more)
    removed = result.table("removed_rows")
    assert set(zip(removed["feature"], removed["reason"], strict=True)) == {
        ("CON__P00761", "contaminant"),
        ("contam_sp|P00366|DHE3_BOVIN", "contaminant"),
        ("Cont_Q1", "contaminant"),
        ("REV__P12345", "reverse"),
    }
    assert result.values["n_removed_contaminant"] == 3
    assert (
        load(tmp_path, table() + more, drop={"contaminant": False, "reverse": False}).values["n_features"]
        == 8
    )
    assert load(tmp_path, table(), drop={"shared_contaminant": True}).values["n_features"] == 3


def test_inputs_are_read_from_links_and_any_name(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_text(table())
    (tmp_path / "link.xlsx").symlink_to(tmp_path / "real.bin")
    assert read(tmp_path / "link.xlsx").shape == (4, 4)
    for packed in (gzip.compress(table().encode()), bz2.compress(table().encode())):
        assert load(tmp_path, packed, name="data.csv").dataset().shape == (4, 4)


def test_workbooks_and_parquet_hold_the_same(tmp_path: Path) -> None:
    frame = pd.read_csv(io.StringIO(table()), sep="\t")
    expected = load(tmp_path, table()).dataset().X
    frame.to_excel(tmp_path / "data.xlsx", index=False)
    np.testing.assert_array_equal(read(tmp_path / "data.xlsx").X, expected)
    frame.to_parquet(tmp_path / "data.parquet")
    np.testing.assert_array_equal(read(tmp_path / "data.parquet").X, expected)
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        pd.DataFrame({"note": ["x"]}).to_excel(book, sheet_name="about", index=False)
        frame.to_excel(book, sheet_name="values", index=False)
    assert read(tmp_path / "two.xlsx").shape == (4, 4)
    with pytest.raises(InputError, match="no sheet 'other'"):
        read(tmp_path / "two.xlsx", sheet="other")


# --------------------------------------------------------------------------------------------------- bad input


def test_no_numeric_columns(tmp_path: Path) -> None:
    error = refused(tmp_path, "a,b,c\nx,y,z\nu,v,w\n")
    assert "found 0 numeric columns of 3" in error.what
    assert "orientation" in str(error.mend)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\x00\x00"])
def test_empty_files(tmp_path: Path, content: bytes) -> None:
    assert "empty" in refused(tmp_path, content).what


def test_ragged_rows_name_the_row(tmp_path: Path) -> None:
    error = refused(tmp_path, "Protein,A1,A2\nP02768,1,2\nO60861,1,2,3\n")
    assert "row 3" in str(error.where)


def test_text_in_a_numeric_column_names_row_column_and_value(tmp_path: Path) -> None:
    error = refused(tmp_path, table().replace("4000", "4k"))
    assert "'4k'" in error.what
    assert "row 2" in str(error.where)
    assert "'D_R1'" in str(error.where)


@pytest.mark.parametrize("word", ["inf", "1e308", "-Infinity"])
def test_what_is_not_finite(tmp_path: Path, word: str) -> None:
    assert word in refused(tmp_path, table().replace("4000", word)).what


def test_negative_raw_intensities(tmp_path: Path) -> None:
    error = refused(tmp_path, table().replace("4000", "-4000"))
    assert "negative" in error.what
    assert "scale=log2" in str(error.mend)


def test_mostly_missing(tmp_path: Path) -> None:
    rows = {f"P{i:05d}": [np.nan, np.nan, 100.0 + i, np.nan] for i in range(8)} | {
        "O60861": [500, 600, 700, 800]
    }
    rows |= {f"Q{i:05d}": [np.nan] * 4 for i in range(10)}
    assert "missing" in refused(tmp_path, table(rows)).what
    assert load(tmp_path, table(rows), max_missing=1.0).values["n_samples"] == 4


def test_one_sample_only(tmp_path: Path) -> None:
    assert "1 sample" in refused(tmp_path, "Protein\tGene\tA_1\nP02768\tALB\t5\nO60861\tGAS7\t6\n").what


def test_a_missing_header_is_seen(tmp_path: Path) -> None:
    text = table().split("\n", 1)[1]
    assert "not column names" in refused(tmp_path, text).what
    assert load(tmp_path, table(samples=["1001", "1002", "2001", "2002"])).dataset().n_obs == 4


def test_what_is_no_table(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("inside.txt", table())
    cases = {
        archive.getvalue(): "zip archive",
        b"\xd0\xcf\x11\xe0" + bytes(600): "password-protected",
        b"PK\x03\x04 broken": "broken",
        b"%PDF-1.7 ...": "PDF",
        b"\x89HDF\r\n\x1a\n" + bytes(100): "h5ad",
        bytes(range(256)) * 4: "binary",
        gzip.compress(table().encode())[:40]: "cut off",
        b"PAR1 broken": "Parquet",
    }
    for content, word in cases.items():
        assert word in refused(tmp_path, content).what
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no files"):
        read(empty)
    (empty / "notes.csv").write_text("what,why\na,b\nc,d\n")
    with pytest.raises(InputError, match="a folder, not a table"):
        read(empty)
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "nothing.txt")


def test_decompression_bombs(tmp_path: Path) -> None:
    bomb = gzip.compress(b"0" * (3 << 20))
    assert "more than 2 MiB" in refused(tmp_path, bomb, max_megabytes=2).what
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b" " * (3 << 20))
    assert "more than 2 MiB" in refused(tmp_path, archive.getvalue(), max_megabytes=2).what


def test_orientation_that_cannot_be_told(tmp_path: Path) -> None:
    text = "x,a,b,c\nu,1,2,3\nv,4,5,6\nw,7,8,9\n"
    assert "orientation" in str(refused(tmp_path, text).mend)
    columns = load(tmp_path, text, orientation="samples_in_columns", scale="raw").dataset()
    rows = load(tmp_path, text, orientation="samples_in_rows", scale="raw").dataset()
    np.testing.assert_allclose(columns.X, rows.X.T)
    assert list(columns.obs_names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("Checked,PSM Ambiguity,Sequence,Abundance 126", "PSM"),
        ("Spectrum,Peptide,Hyperscore,Intensity", "FragPipe PSM"),
        ("Raw file,Scan number,Sequence,Score", "msms"),
    ],
)
def test_tables_of_identifications_are_recognised_and_refused(tmp_path: Path, header: str, word: str) -> None:
    n = header.count(",") + 1
    error = refused(tmp_path, header + "\n" + ",".join(["a"] * (n - 1) + ["1"]) + "\n")
    assert word in error.what
    assert "not supported yet" in error.what


def test_sheet_of_a_workbook_is_no_parameter_of_text(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(table())
    with pytest.raises(InputError, match="'Sheet1'") as caught:
        read(tmp_path / "data.csv", sheet="Sheet1")
    assert "--samples" in str(caught.value.mend)


def test_an_unknown_long_table(tmp_path: Path) -> None:
    lines = [f"S{i % 4},{'AB'[i % 2]},P{i // 8:05d},{i + 1}.5" for i in range(64)]
    assert "long table" in refused(tmp_path, "where,arm,what,amount\n" + "\n".join(lines) + "\n").what


def test_ids_of_no_known_kind_only_warn(tmp_path: Path) -> None:
    rows = {f"{i}-x/{i}": [100 + i, 200, 300, 400] for i in range(9)}
    result = load(tmp_path, table(rows))
    assert any("enrichment is disabled" in warning for warning in result.warnings)


def test_unknown_subject_column(tmp_path: Path) -> None:
    assert "'mouse'" in refused(tmp_path, table(), subject="mouse").what


# ------------------------------------------------------------------------------------------------ sample sheets


def test_sheet_with_prefix_other_separator_and_extra_rows(tmp_path: Path) -> None:
    sheet = "Sample.name Condition Bio.Rep\n" + "".join(
        f"Intensity_{s} {s[0]}fmol {i}\n" for i, s in enumerate(SAMPLES)
    )
    result = load(tmp_path, table(), sheet + "Intensity_E_R1 Efmol 9\n")
    obs = result.dataset().obs
    assert list(obs["Condition"]) == ["Cfmol", "Cfmol", "Dfmol", "Dfmol"]
    assert obs["Bio.Rep"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert "group" not in obs
    assert result.values["match_rate"] == 1.0
    assert result.values["match_column"] == "Sample.name"
    assert result.values["n_rows_without_sample"] == 1
    assert set(result.table("sample_match")["how"]) == {"stripped"}


@pytest.mark.parametrize(
    "ids",
    [
        ["c r1", "C-R2", "d.r1", "D_R2"],
        [r"D:\runs\C_R1.raw", r"D:\runs\C_R2.raw", r"D:\runs\D_R1.raw", r"D:\runs\D_R2.raw"],
        ["LFQ intensity C_R1", "LFQ intensity C_R2", "LFQ intensity D_R1", "LFQ intensity D_R2"],
        ["20240101_C_R1", "20240101_C_R2", "20240101_D_R1", "20240101_D_R2"],
    ],
)
def test_names_are_matched_tolerantly_in_any_order(tmp_path: Path, ids: list[str]) -> None:
    sheet = "n;what;sample\n" + "".join(f"{i};{i}x;{name}\n" for i, name in reversed(list(enumerate(ids))))
    assert list(load(tmp_path, table(), sheet).dataset().obs["what"]) == ["0x", "1x", "2x", "3x"]


def test_a_sheet_that_does_not_match_lists_both_sides(tmp_path: Path) -> None:
    error = refused(tmp_path, table(), "id,arm\nx1,a\nx2,a\nx3,b\nx4,b\n")
    assert "0 of 4 samples" in error.what
    assert "C_R1" in error.what
    assert "x3" in error.what
    assert "match rate 0%" in error.what


def test_half_of_the_samples_is_too_few_unless_told(tmp_path: Path) -> None:
    sheet = "id,arm\nC_R1,a\nC_R2,a\nX1,b\nX2,b\n"
    error = refused(tmp_path, table(), sheet)
    assert "2 of 4 samples" in error.what
    assert "match rate 50%" in error.what
    assert "D_R1" in error.what
    assert "X1" in error.what
    assert "min_match" in str(error.mend)
    assert load(tmp_path, table(), sheet, min_match=0.5).values["n_samples"] == 2


def test_a_sheet_of_a_chosen_part_of_the_samples_is_no_mismatch(tmp_path: Path) -> None:
    result = load(tmp_path, table(), "id,arm\nC_R1,a\nD_R2,b\n")
    assert list(result.dataset().obs_names) == ["C_R1", "D_R2"]
    assert any("2 samples have no row" in warning for warning in result.warnings)


def test_samples_without_a_row_are_dropped_and_named(tmp_path: Path) -> None:
    result = load(tmp_path, table(), "id,arm\nC_R1,a\nC_R2,a\nD_R1,b\n")
    assert list(result.dataset().obs_names) == ["C_R1", "C_R2", "D_R1"]
    assert any("D_R2" in warning for warning in result.warnings)


def test_a_sample_in_two_rows_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, table(), "id,arm\nC_R1,a\nC_R1,b\nC_R2,a\nD_R1,b\nD_R2,b\n")
    assert "'C_R1' stands in 2 rows (2, 3)" in error.what


def test_names_that_differ_only_in_case_are_not_mixed_up(tmp_path: Path) -> None:
    text = table(samples=["a1", "A1", "b1", "B1"])
    obs = load(tmp_path, text, "id,what\nA1,upper\na1,lower\nB1,upper\nb1,lower\n").dataset().obs
    assert list(obs["what"]) == ["lower", "upper", "lower", "upper"]
    error = refused(tmp_path, text, "id,what\na_1,x\nA_1,y\nb_1,x\nB_1,y\n")
    assert "match rate 0%" in error.what


def test_a_sheet_of_proteins_is_refused(tmp_path: Path) -> None:
    text = pd.read_csv(io.StringIO(table()), sep="\t", index_col=0).T.to_csv()
    sheet = "protein,length\n" + "".join(f"{name},{i}\n" for i, name in enumerate(ROWS))
    assert "names proteins" in refused(tmp_path, text, sheet).what


def test_metadata_beside_the_values_goes_to_obs(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = ["MouseID;pAKT_N;BDNF_N;ITSN1_N;SOD1_N;Genotype;Treatment;Age"]
    lines += [
        f"{300 + i // 3}_{i % 3 + 1};"
        + ";".join(f"{v:.4f}" for v in rng.uniform(0.2, 3, 4))
        + f";{'Ts' if i > 5 else 'Ct'};Saline;{i}"
        for i in range(12)
    ]
    data = load(tmp_path, "\n".join(lines) + "\n").dataset()
    assert data.shape == (12, 4)
    assert list(data.obs.columns) == ["Genotype", "Treatment", "Age"]
    assert data.obs["Age"].dtype == float
    assert data.obs_names[0] == "300_1"


def test_sheets_may_be_workbooks_with_numbers_as_ids(tmp_path: Path) -> None:
    pd.DataFrame({"run": [101, 102, 103, 104], "arm": list("aabb")}).to_excel(
        tmp_path / "sheet.xlsx", index=False
    )
    data = load(tmp_path, table(samples=["101", "102", "103", "104"])).dataset()
    again = read(tmp_path / "data.txt", tmp_path / "sheet.xlsx")
    assert list(again.obs["arm"]) == list("aabb")
    np.testing.assert_array_equal(again.X, data.X)


# ------------------------------------------------------------------------------------------------ larger real data


@pytest.mark.parametrize(
    ("data", "sheet", "shape", "software"),
    [
        (
            "spike_ups1_yeast_ramus/Exp1_R25_prot.txt.gz",
            "spike_ups1_yeast_ramus/samples_Exp1_R25.txt",
            (6, 2351),
            "MaxQuant",
        ),
        (
            "spike_cptac_study6/proteinGroups.txt.gz",
            "spike_cptac_study6/label-free_CPTAC_annotation.xlsx",
            (27, 1462),
            "MaxQuant",
        ),
        (
            "clinical_alzheimer_csf_bader/proteome.csv.gz",
            "clinical_alzheimer_csf_bader/meta.csv",
            (210, 1542),
            "generic",
        ),
        (
            "clinical_septic_aki_binn/sample_datamatrix.csv.gz",
            "clinical_septic_aki_binn/sample_design_matrix.tsv",
            (197, 554),
            "generic",
        ),
        (
            "clinical_ovarian_coscia/omics.csv.gz",
            "clinical_ovarian_coscia/meta_patients.csv",
            (25, 8946),
            "generic",
        ),
        ("clinical_mouse_cortex_down_syndrome/Data_Cortex_Nuclear.csv.gz", None, (1080, 77), "generic"),
        ("spike_tmt_yeast_triple_knockout/Lumos_protein_summary_TMT.txt.gz", None, (33, 771), "PAW"),
        ("formats_small/fragpipe_combined_protein_IDH.tsv.gz", None, (6, 7677), "FragPipe"),
        (
            "cell_ubiquitin_interactors_ubilength/UbiLength.csv.gz",
            "cell_ubiquitin_interactors_ubilength/UbiLength_ExpDesign.csv",
            (12, 2927),
            "MaxQuant",
        ),
    ],
)
def test_public_data_sets(
    shared_data: Path, data: str, sheet: str | None, shape: tuple[int, int], software: str
) -> None:
    loaded = read(shared_data / data, None if sheet is None else shared_data / sheet)
    assert loaded.uns["nereus"]["software"] == software
    assert loaded.n_obs == shape[0]
    assert abs(loaded.n_vars - shape[1]) <= 10
    assert 0 <= np.isnan(loaded.X).mean() < 0.8
    assert not np.isinf(loaded.X).any()


def test_no_public_file_breaks_the_loader(shared_data: Path) -> None:
    folders = (
        "formats_small",
        "spike_hye_lfqbench",
        "lip_rapamycin_protti",
        "phospho_insulin_cells_phosr",
        "sc_scope2_hek_u937",
    )
    read_or_mend = []
    for path in sorted(path for folder in folders for path in (shared_data / folder).iterdir()):
        try:
            read_or_mend.append(isinstance(read(path), anndata.AnnData))
        except NereusError as error:
            read_or_mend.append(error.mend)
    assert all(read_or_mend)
    assert sum(item is True for item in read_or_mend) >= 28
