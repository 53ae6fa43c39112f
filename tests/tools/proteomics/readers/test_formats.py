"""Each format in a file of a few lines: what is read of it, and how its own traps are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.base import Result, SourceFile
from nereus.tools.proteomics.layers import read_layers, shared_samples
from nereus.tools.proteomics.load import load_dataset, read
from nereus.tools.proteomics.readers.channels import blank_channels, channel_key
from nereus.tools.proteomics.readers.formats import FORMATS, recognise
from nereus.tools.proteomics.summarise import summarise_peptides


def put(folder: Path, text: str, name: str = "data.txt") -> Path:
    (folder / name).write_text(text)
    return folder / name


def load(
    folder: Path, text: str, sheet: str | None = None, second: str | None = None, **params: object
) -> Result:
    files = {}
    for role, content in (("data", text), ("samples", sheet), ("annotation", second)):
        files[role] = (
            None if content is None else SourceFile(put(folder, content, f"{role}.txt"), f"{role}.txt")
        )
    return load_dataset.run(files, params, 0)


def refused(folder: Path, text: str, sheet: str | None = None, **params: object) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder, text, sheet, **params)
    assert caught.value.mend
    return caught.value


def table(header: str, rows: list[list[object]]) -> str:
    return "\n".join([header.replace(",", "\t"), *("\t".join(map(str, row)) for row in rows)]) + "\n"


def test_formats_are_tried_narrow_first_and_end_with_any() -> None:
    assert [one.name for one in FORMATS][-1] == "a wide table"
    assert len({one.name for one in FORMATS}) == len(FORMATS)
    assert recognise(["x", "a", "b"]).name == "a wide table"


# ------------------------------------------------------------------------------------------------- Spectronaut

SPECTRONAUT = "R.FileName,R.Condition,PG.ProteinGroups,PG.Genes,PG.Quantity,EG.PrecursorId,EG.Qvalue,EG.IsDecoy,FG.Quantity,F.FrgIon,F.PeakArea,F.ExcludedFromQuantification"  # noqa: E501


def spectronaut() -> list[list[object]]:
    rows: list[list[object]] = []
    for run in ("A_1", "A_2", "B_1"):
        for protein, factor in (("P02768", 8.0), ("Q9H0R8", 2.0)):
            for charge in (2, 3):
                for ion in ("y3", "y4"):
                    rows.append([f"{run}.raw", run[0], protein, f"G{protein[0]}", 1000 * factor, f"_PEPTIDEK_.{charge}", 0.001,
                                 "False", 100 * charge * factor, ion, 10 * factor * int(ion[1]), "False"])  # fmt: skip
    return rows


def test_levels_of_a_spectronaut_report(tmp_path: Path) -> None:
    text = table(SPECTRONAUT, spectronaut())
    proteins = load(tmp_path, text).dataset()
    assert proteins.shape == (3, 2)
    assert list(proteins.obs_names) == ["A_1", "A_2", "B_1"]
    assert proteins.obs["R.Condition"].tolist() == ["A", "A", "B"]
    np.testing.assert_allclose(proteins.X[0], np.log2([8000, 2000]))
    rows = spectronaut()
    for row in rows:
        row[5] = f"_{'ACDEFGHIK' if row[2] == 'P02768' else 'LMNPQRSTK'}_.{row[5][-1]}"
    text = table(SPECTRONAUT, rows)
    peptides = load(tmp_path, text, level="peptide").dataset()
    assert peptides.shape == (3, 4)
    assert peptides.var["peptide"].tolist() == ["ACDEFGHIK", "ACDEFGHIK", "LMNPQRSTK", "LMNPQRSTK"]
    fragments = load(tmp_path, text, level="fragment").dataset()
    assert fragments.uns["nereus"]["data_kind"] == "fragments"
    assert fragments.shape == (3, 8)
    rolled = summarise_peptides(fragments).dataset()
    assert rolled.shape == (3, 2)
    assert rolled.layers["n_peptides"].tolist() == [[1, 1]] * 3
    assert summarise_peptides(fragments, to="peptide").dataset().uns["nereus"]["level"] == "peptide"
    assert "level 'site'" in refused(tmp_path, text, level="site").what


def test_decoys_and_uncertain_precursors_are_left_out(tmp_path: Path) -> None:
    rows = spectronaut()
    for row in rows:
        if row[0] == "B_1.raw" and row[2] == "Q9H0R8":
            row[6] = 0.2
    rows[0][7] = "True"
    result = load(tmp_path, table(SPECTRONAUT, rows))
    assert np.isnan(result.dataset().to_df().loc["B_1", "Q9H0R8"])
    assert any("5 report rows left out" in warning for warning in result.warnings)
    assert load(tmp_path, table(SPECTRONAUT, rows), q_value=0.5).values["n_missing"] == 0


def test_a_report_that_contradicts_itself(tmp_path: Path) -> None:
    rows = spectronaut()
    rows[1][4] = 77
    error = refused(tmp_path, table(SPECTRONAUT, rows))
    assert "several values" in error.what
    assert "PG.Quantity" in str(error.where)


# ------------------------------------------------------------------------------------------ evidence, PSMs, channels

EVIDENCE = "Sequence,Modified sequence,Leading razor protein,Raw file,Experiment,Charge,Retention time,Intensity,Reverse,Potential contaminant"  # noqa: E501


def test_fractions_of_an_experiment_are_added_up(tmp_path: Path) -> None:
    rows = [
        ["PEPTIDEK", "_PEPTIDEK_", "P02768", run, run[:2], 2, 17.5, value, "", ""]
        for run, value in (("E1_f1", 100), ("E1_f1", 80), ("E1_f2", 28), ("E2_f1", 64), ("E2_f2", ""))
    ]
    rows += [
        ["SEQVENCEK", "_SEQVENCEK_", "CON__P00761", run, run[:2], 2, 17.5, 50, "", "+"]
        for run in ("E1_f1", "E2_f1")
    ]
    rows += [
        ["GGGGGGK", "_GGGGGGK_", "REV__P00761", run, run[:2], 2, 17.5, 50, "+", ""]
        for run in ("E1_f1", "E2_f1")
    ]
    result = load(tmp_path, table(EVIDENCE, rows))
    data = result.dataset()
    assert list(data.obs_names) == ["E1", "E2"]
    np.testing.assert_allclose(2.0 ** data.X[:, 0], [128, 64])
    assert list(data.var["protein_group"]) == ["P02768"]
    assert result.values["n_removed_contaminant"] == 1
    assert result.values["n_removed_reverse"] == 1
    assert any("fractions" in warning for warning in result.warnings)


def tmt_evidence() -> str:
    header = "Sequence,Modified sequence,Leading razor protein,Raw file,Charge,Retention time,Intensity"
    header += "".join(f",Reporter intensity corrected {i}" for i in range(1, 5))
    rows = []
    for run in ("set1", "set2"):
        for number, name in enumerate(("PEPTIDEK", "SEQVENCEK", "ACDEFGHIK")):
            rows.append([name, f"_{name}_", "P02768", run, 2, 17.5, 9999, 5000 * (number + 1), 50, 60, 0.5])
    return table(header, rows)


def test_channels_of_runs_are_samples(tmp_path: Path) -> None:
    data = load(tmp_path, tmt_evidence()).dataset()
    assert data.shape == (8, 3)
    assert data.obs["plex"].tolist() == ["set1"] * 4 + ["set2"] * 4
    assert data.obs["channel"].tolist() == ["1", "2", "3", "4"] * 2
    assert data.obs["blank"].tolist() == [False, False, False, True] * 2
    assert "group" not in data.obs
    without = load(tmp_path, tmt_evidence(), drop={"blank_channel": True}).dataset()
    assert without.n_obs == 6


@pytest.mark.parametrize("wide", [False, True])
def test_a_sheet_by_run_and_channel(tmp_path: Path, wide: bool) -> None:
    if wide:
        sheet = "Set,RI1,RI2,RI3,RI4\nset2,carrier,b,a,unused\nset1,carrier,a,b,unused\n"
    else:
        sheet = "run,label,sample_type\n" + "".join(
            f"{run},Reporter.intensity.{i},{kind}\n"
            for run, kinds in (
                ("set2", ("carrier", "b", "a", "unused")),
                ("set1", ("carrier", "a", "b", "unused")),
            )
            for i, kind in enumerate(kinds, start=1)
        )
    result = load(tmp_path, tmt_evidence(), sheet)
    assert result.dataset().obs["sample_type"].tolist() == [
        "carrier",
        "a",
        "b",
        "unused",
        "carrier",
        "b",
        "a",
        "unused",
    ]
    assert set(result.table("sample_match")["how"]) == {"run and channel"}
    few = "run,label,sample_type\nset1,1,a\nset1,2,a\nset9,3,a\nset9,4,b\nset9,1,b\nset9,2,b\n"
    assert "match rate" in refused(tmp_path, tmt_evidence(), few).what


def test_blank_channels_are_judged_within_their_plex() -> None:
    values = np.array([[100.0], [90.0], [2.0], [1.0], [1.2], [0.05]])
    plexes = ["a", "a", "a", "b", "b", "b"]
    assert blank_channels(values, plexes).tolist() == [False, False, True, False, False, True]
    assert blank_channels(values[:2], ["a", "a"], ["Blank", "x"]).tolist() == [True, False]
    assert channel_key("131") == channel_key("TotInt_131N_set")


PSMS = "Annotated Sequence,Modifications,PSM Ambiguity,Master Protein Accessions,Rank,First Scan,Spectrum File,File ID,Isolation Interference [%],Abundance: 126,Abundance: 127N,PhosphoRS: Best Site Probabilities"  # noqa: E501


def psm(sequence: str, modifications: str, values: tuple[object, object], **change: object) -> list[object]:
    row = {
        "ambiguity": "Unambiguous",
        "protein": "P02768",
        "rank": 1,
        "file": "F1.1",
        "interference": 10,
        "best": "",
    }
    row |= change
    return [sequence, modifications, row["ambiguity"], row["protein"], row["rank"], 1, f"{row['file']}.raw", row["file"],
            row["interference"], *values, row["best"]]  # fmt: skip


def test_psms_become_peptides_of_plexes(tmp_path: Path) -> None:
    rows = [
        psm("[K].pEPTIDEk.[A]", "N-Term(TMT6plex); K8(TMT6plex)", (100, 200)),
        psm("[K].pEPTIDEk.[A]", "N-Term(TMT6plex); K8(TMT6plex)", (28, 56), file="F1.2"),
        psm("[K].pEPTIDEk.[A]", "N-Term(TMT6plex); K8(TMT6plex)", (500, 500), interference=80),
        psm("[K].pEPTIDEk.[A]", "N-Term(TMT6plex); K8(TMT6plex)", (500, 500), rank=2),
        psm("[K].pEPTIDEk.[A]", "N-Term(TMT6plex); K8(TMT6plex)", (500, 500), protein=""),
        psm("[K].pEPTIDEk.[A]", "N-Term(TMT6plex)", (64, 32), file="F2.1"),
        psm("[K].sEQmENCEk.[A]", "N-Term(TMT6plex); M4(Oxidation)", (16, 8), file="F2.1"),
    ]
    result = load(tmp_path, table(PSMS, rows))
    data = result.dataset()
    assert list(data.obs_names) == ["F1_126", "F1_127N", "F2_126", "F2_127N"]
    assert list(data.var_names) == ["PEPTIDEK", "SEQMENCEK_M4(Oxidation)"]
    np.testing.assert_allclose(2.0**data.X, [[128, np.nan], [256, np.nan], [64, 16], [32, 8]])
    assert any("co-isolated" in warning for warning in result.warnings)
    assert load(tmp_path, table(PSMS, rows), max_interference=90).dataset().X[0, 0] == pytest.approx(
        np.log2(628)
    )


def test_phospho_psms_stay_sites(tmp_path: Path) -> None:
    good, bad = "S3(Phospho): 99.1", "S3(Phospho): 50; T4(Phospho): 50"
    rows = [
        psm("[K].pESTIDEk.[A]", "K8(TMT6plex); S3(Phospho)", (100 + i, 200), file=f"F1.{i + 1}", best=good)
        for i in range(3)
    ]
    rows += [psm("[R].aCSDEk.[A]", "S3(Phospho)", (50, 60), best=bad), psm("[R].aCDEk.[A]", "", (50, 60))]
    rows += [psm("[R].yCSDEk.[A]", "Y1(Phospho); S3(Phospho)", (70, 80), protein="O60861; Q9H0R8")]
    result = load(tmp_path, table(PSMS, rows))
    data = result.dataset()
    assert data.uns["nereus"]["level"] == "site"
    assert data.var["site"].tolist() == ["S3", "Y1;S3"]
    assert data.var["sequence"].tolist() == ["PESTIDEK", "YCSDEK"]
    assert data.var["protein_group"].tolist() == ["P02768", "O60861;Q9H0R8"]
    assert any("not localised" in warning for warning in result.warnings)
    assert any("positions in the peptide" in warning for warning in result.warnings)
    assert load(tmp_path, table(PSMS, rows), level="peptide").dataset().uns["nereus"]["level"] == "peptide"


def test_paw_tables_take_labels_from_the_line_above(tmp_path: Path) -> None:
    text = "New PAW TMT results file!\n\t3\t\t\tMet6\tPfk2\tempty\n"
    text += "ProtGroup\tAccession\tFilter\tDescription\tTotInt_126C_s1\tTotInt_127N_s1\tTotInt_127C_s1\n"
    text += "1\tsp|P02768|ALBU_HUMAN (+1)\t \tAlbumin OS=Homo sapiens OX=9606 GN=ALB PE=1\t100\t200\t50\n"
    text += (
        "2\tCONT_P00761\tcontaminant\tTrypsin\t100\t200\t5\n3\tsp|O60861|GAS7_HUMAN\t \tGAS7\t100\t200\t5\n"
    )
    result = load(tmp_path, text)
    data = result.dataset()
    assert list(data.var_names) == ["sp|P02768|ALBU_HUMAN", "sp|O60861|GAS7_HUMAN"]
    assert data.var["gene"].iloc[0] == "ALB"
    assert data.obs["label"].tolist() == ["Met6", "Pfk2", "empty"]
    assert data.obs["blank"].tolist() == [False, False, True]
    assert result.values["n_blank_channels"] == 1


# ------------------------------------------------------------------------------------------------------- Olink

OLINK = "SampleID,OlinkID,UniProt,Assay,Panel,NPX,LOD,QC_Warning,PlateID"


def test_olink_limits_and_warnings(tmp_path: Path) -> None:
    rows = [
        [
            f"S{i}",
            f"OID{j}",
            protein,
            f"G{j}",
            panel,
            2.5 + i - j,
            1.0,
            "Warn" if i == 3 and panel == "CVD" else "Pass",
            f"p{i % 2}",
        ]
        for i in range(4)
        for j, (protein, panel) in enumerate([("P02768", "CVD"), ("O60861", "CVD"), ("P02768", "INF")])
    ]
    result = load(tmp_path, table(OLINK, rows))
    data = result.dataset()
    assert list(data.var_names) == ["P02768:CVD", "O60861", "P02768:INF"]
    assert data.X[0].tolist() == [2.5, 1.5, 0.5]
    assert data.var["below_lod"].tolist() == [0.0, 0.0, 0.25]
    assert data.obs["qc_warning"].tolist() == pytest.approx([0, 0, 0, 2 / 3])
    assert data.obs["PlateID"].tolist() == ["p0", "p1", "p0", "p1"]
    assert data.uns["nereus"]["unit"] == "NPX"
    assert result.values["scale_found"] == "log2"
    rows[0][5] = 9.0
    rows.append([*rows[0][:5], 3.0, *rows[0][6:]])
    assert "several values" in refused(tmp_path, table(OLINK, rows)).what


# ------------------------------------------------------------------------------------------- mzTab and Progenesis

MZTAB = """MTD\tmzTab-version\t1.0.0
MTD\tmzTab-type\tQuantification
MTD\tsoftware[1]\t[MS, MS:1000752, TOPP software, 2.0]
MTD\tassay[1]-description\trun one
MTD\tassay[2]-description\trun two
MTD\tstudy_variable[1]-description\thealthy
MTD\tstudy_variable[1]-assay_refs\tassay[1],assay[2]

PRH\taccession\tdescription\ttaxid\tprotein_abundance_assay[1]\tprotein_abundance_assay[2]\tprotein_abundance_study_variable[1]
PRT\tP02768\tSerum albumin OS=Homo sapiens GN=ALB\t9606\t100\t400\t250
PRT\tO60861\tGAS7\t9606\tnull\t64\t64
"""


def test_mztab_takes_assays_before_means(tmp_path: Path) -> None:
    data = load(tmp_path, MZTAB).dataset()
    assert list(data.obs_names) == ["run one", "run two"]
    assert data.obs["study_variable"].tolist() == ["healthy", "healthy"]
    np.testing.assert_allclose(2.0**data.X, [[100, np.nan], [400, 64]])
    assert data.uns["nereus"]["organism"] == "human"
    assert data.uns["nereus"]["software"] == "TOPP software (mzTab)"
    only_means = "\n".join(
        "\t".join(cell for k, cell in enumerate(line.split("\t")) if not (line[:2] == "PR" and k in (4, 5)))
        for line in MZTAB.split("\n")
    )
    assert "1 sample" in refused(tmp_path, only_means).what


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("PRH\t", "PRX\t", "PRX"),
        ("\t400\t", "\thigh\t", "'high'"),
        ("\t9606\t100", "\t100", "5 fields"),
        ("protein_abundance", "protein_score", "no protein or peptide abundances"),
        ("mzTab-version\t1.0.0\n", "mzTab-mode\tSummary\nMTD\tmzTab-version-of\t1\n", "no mzTab-version"),
    ],
)
def test_damaged_mztab(tmp_path: Path, old: str, new: str, word: str) -> None:
    assert word in refused(tmp_path, MZTAB.replace(old, new)).what


def test_progenesis_needs_its_header_lines(tmp_path: Path) -> None:
    lines = [
        ",,,,Normalized abundance,,Raw abundance,",
        ",,,,C,D,C,D",
        "#,Sequence,Accession,Use in quantitation,r1,r2,r1,r2",
        "1,PEPTIDEK,P02768,True,1,2,100,200",
        "2,SEQVENCEK,P02768,True,1,2,300,400",
        "3,PEPTIDEK,P02768,True,1,2,28,56",
        "4,AAAAAK,P02768,False,1,2,9,9",
    ]
    result = load(tmp_path, "\n".join(lines) + "\n")
    data = result.dataset()
    assert data.obs["condition"].tolist() == ["C", "D"]
    np.testing.assert_allclose(2.0**data.X, [[128, 300], [256, 400]])
    assert load(tmp_path, "\n".join(lines) + "\n", quantity="abundance").values["quantity"] == "abundance"
    assert "header lines" in refused(tmp_path, "\n".join(lines[2:]) + "\n").what


# ----------------------------------------------------------------------------------------------- sites and others


def test_names_of_sites(tmp_path: Path) -> None:
    rows = "".join(
        f"Q{i:05d};GENE{i};S{i + 3};AAAASAAAA\t{100 + i}\t{200 + i}\t{300 + i}\n" for i in range(8)
    )
    data = load(tmp_path, "\tA_1\tA_2\tB_1\n" + rows).dataset()
    assert data.uns["nereus"]["level"] == "site"
    assert data.var["gene"].iloc[2] == "GENE2"
    assert data.var["site"].iloc[2] == "S5"


def test_profiles_are_no_abundances(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = rng.dirichlet(np.ones(5), 40)
    text = "Protein,f1,f2,f3,f4,f5,markers\n" + "".join(
        f"P{i:05d},{','.join(f'{v:.5f}' for v in row)},{'ER' if i % 2 else 'Golgi'}\n"
        for i, row in enumerate(parts)
    )
    result = load(tmp_path, text)
    assert result.values["data_kind"] == "fractions"
    assert set(result.dataset().var["markers"]) == {"ER", "Golgi"}


def test_level_of_a_wide_table_by_the_user(tmp_path: Path) -> None:
    text = "name,a_1,a_2,b_1\n" + "".join(f"x{i},{100 + i},{200 + i},{300 + i}\n" for i in range(9))
    assert load(tmp_path, text, level="gene").values["level"] == "gene"
    assert "proteins of its rows" in refused(tmp_path, text, level="peptide").what


def test_precursors_of_a_diann_report_in_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        [
            {"Run": run, "Protein.Group": "P02768", "Precursor.Id": f"PEPTIDEK{z}", "Stripped.Sequence": "PEPTIDEK",
             "Q.Value": 0.001, "PG.MaxLFQ": 100.0, "Precursor.Quantity": 10.0 * z, "Precursor.Normalised": 20.0 * z}
            for run in ("A_1", "A_2") for z in (2, 3)
        ]
    )  # fmt: skip
    frame.to_parquet(tmp_path / "report")
    data = read(tmp_path / "report", level="peptide")
    assert list(data.var_names) == ["PEPTIDEK2", "PEPTIDEK3"]
    np.testing.assert_allclose(2.0 ** data.X[0], [20, 30])
    np.testing.assert_allclose(2.0 ** summarise_peptides(data, to="peptide").dataset().X[:, 0], 50)


# ------------------------------------------------------------------------------------------------- second sheets


def test_a_second_sheet_by_a_shared_column(tmp_path: Path) -> None:
    text = "Protein,s1,s2,s3,s4\n" + "".join(f"P{i:05d},{100 + i},{200},{300},{400}\n" for i in range(6))
    sheet = "sample,patient\ns1,anna\ns2,anna\ns3,ben\ns4,ben\n"
    result = load(tmp_path, text, sheet, "patient,age,sex\nben,60,m\nanna,50,f\n")
    assert result.dataset().obs["age"].tolist() == [50, 50, 60, 60]
    assert any("joined by patient = patient" in warning for warning in result.warnings)
    with pytest.raises(InputError, match="0 of 4 samples found in the second sheet"):
        load(tmp_path, text, sheet, "patient,age\nx,60\ny,50\n")


def test_layers_take_the_names_of_the_sheet(tmp_path: Path) -> None:
    put(
        tmp_path,
        "Protein,run1,run2,run3,run4\n" + "".join(f"P{i:05d},{100 + i},2,3,4\n" for i in range(6)),
        "p.csv",
    )
    put(
        tmp_path,
        "Gene,r_d,r_c,r_b\n" + "".join(f"G{i},{100 + i},{200 + i},{300 + i}\n" for i in range(6)),
        "r.csv",
    )
    sheet = put(
        tmp_path, "id,ms,rna,stage\na,run1,r_a,1\nb,run2,r_b,1\nc,run3,r_c,2\nd,run4,r_d,2\n", "s.csv"
    )
    layers = read_layers({"proteome": tmp_path / "p.csv", "rna": tmp_path / "r.csv"}, sheet)
    assert list(layers["proteome"].obs_names) == ["a", "b", "c", "d"]
    assert list(layers["rna"].obs_names) == ["d", "c", "b"]
    assert layers["rna"].obs["sample_in_file"].tolist() == ["r_d", "r_c", "r_b"]
    assert layers["rna"].uns["nereus"]["layer"] == "rna"
    assert shared_samples(layers) == ["b", "c", "d"]
    with pytest.raises(InputError, match="share 2 samples"):
        shared_samples({"x": layers["proteome"][:2], "y": layers["proteome"]})
