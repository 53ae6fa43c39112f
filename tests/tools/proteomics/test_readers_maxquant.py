"""MaxQuant tables in any punctuation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset, read
from tests.conftest import TEST_DATA

HEADER = [
    "Protein.IDs", "Majority_protein_IDs", "Gene names", "Fasta_headers", "Razor + unique peptides",
    "Razor_unique.peptides_C_R1", "Razor_unique_peptides_C_R2_", "Identification type C_R1", "Identification_type_C_R2",
    "Intensity", "Intensity C_R1", "Intensity_C_R2....", "LFQ.intensity C_R1", "LFQ_Intensity_C_R2",
    "Only_identified._by_site", "Reverse", "Potential.contaminant",
]  # fmt: skip
YEAST = ">sp|P1|A_YEAST x OS=Saccharomyces cerevisiae (strain S288c) OX=559292 GN=ABC1 PE=1"
ROWS = [
    ["P15108;P02829", "P15108", "", YEAST, "9", "7", "8", "By MS/MS", "By matching", "30", "10", "20", "11", "22", "", "", ""],
    ["Q9H0R8", "Q9H0R8", "GABA;X", "", "4", "2", "3", "By MS/MS", "", "7", "3", "4", "0", "5", "", "", ""],
    ["CON__P00761", "CON__P00761", "", "", "4", "2", "3", "", "", "7", "3", "4", "3", "5", "", "", "+"],
    ["P02768", "P02768;CON__P02768-1", "ALB", "", "4", "2", "3", "", "", "7", "3", "4", "3", "5", "", "", "+"],
    ["O60861", "O60861", "", "", "4", "2", "3", "", "", "7", "3", "4", "3", "5", "", "", "+"],
    ["REV__P1", "REV__P1", "", "", "4", "2", "3", "", "", "7", "3", "4", "3", "5", "", "+", ""],
    ["P99999", "P99999", "", "", "4", "2", "3", "", "", "7", "3", "4", "3", "5", "+", "", ""],
]  # fmt: skip


def write(folder: Path, header: list[str] = HEADER, rows: list[list[str]] = ROWS) -> SourceFile:
    """The table, with intensities in thousands as detectors give them."""
    path = folder / "whatever.csv"
    large = [name.lower().startswith(("intensity", "lfq", "xlfq")) for name in header]
    cells = [[f"{c}000" if big and c else c for c, big in zip(row, large, strict=True)] for row in rows]
    path.write_text("\n".join("\t".join(row) for row in [header, *cells]) + "\n")
    return SourceFile(path, path.name)


def test_mixed_punctuation_within_one_header(tmp_path: Path) -> None:
    result = load_dataset(write(tmp_path))
    data = result.dataset()
    assert result.values["software"] == "MaxQuant"
    assert list(data.obs_names) == ["C_R1", "C_R2"]
    assert list(data.var_names) == ["P15108", "Q9H0R8", "P02768;CON__P02768-1"]
    np.testing.assert_allclose(data.X, np.log2([[11e3, np.nan, 3e3], [22e3, 5e3, 5e3]]))
    np.testing.assert_allclose(data.layers["intensity"], np.log2([[10e3, 3e3, 3e3], [20e3, 4e3, 4e3]]))
    assert data.layers["n_peptides"].tolist() == [[7, 2, 2], [8, 3, 3]]
    np.testing.assert_array_equal(data.layers["identified_by"], [[1, 1, np.nan], [0, np.nan, np.nan]])
    assert list(data.var["gene"]) == ["ABC1", "GABA", "ALB"]
    assert list(data.var["organism"]) == ["yeast", "", ""]
    assert list(data.var["n_peptides"]) == [9.0, 4.0, 4.0]
    assert list(data.var["shared_contaminant"]) == [0.0, 0.0, 1.0]


def test_removed_rows_are_counted_by_reason(tmp_path: Path) -> None:
    result = load_dataset(write(tmp_path))
    assert result.values["n_removed_contaminant"] == 2  # the led one, and one whose flag is all we know
    assert result.values["n_removed_reverse"] == 1
    assert result.values["n_removed_only_by_site"] == 1
    assert result.values["n_shared_contaminant"] == 1
    assert len(result.table("removed_rows")) == 4
    assert load_dataset(write(tmp_path), drop={"shared_contaminant": True}).values["n_features"] == 2


def test_raw_intensities_where_lfq_covers_less_than_half(tmp_path: Path) -> None:
    rows = [[*row[:12], "0", "0" if i else "5", *row[14:]] for i, row in enumerate(ROWS)]
    result = load_dataset(write(tmp_path, rows=rows))
    assert result.values["quantity"] == "intensity"
    assert "lfq" in result.dataset().layers
    assert any("raw intensities used" in warning for warning in result.warnings)
    assert load_dataset(write(tmp_path), quantity="intensity").values["quantity"] == "intensity"
    with pytest.raises(InputError, match="no quantity 'ibaq'"):
        load_dataset(write(tmp_path), quantity="ibaq")


def test_a_sample_column_that_repeats_with_other_values(tmp_path: Path) -> None:
    header = [name.replace("C_R2", "C_R1") if name.startswith("LFQ") else name for name in HEADER]
    with pytest.raises(InputError, match="columns 13 and 14"):
        load_dataset(write(tmp_path, header=header))


def test_only_summed_intensities(tmp_path: Path) -> None:
    keep = [0, 1, 2, 3, 4, 9, 14, 15, 16]
    with pytest.raises(InputError, match="no intensity columns of single samples"):
        load_dataset(write(tmp_path, [HEADER[i] for i in keep], [[row[i] for i in keep] for row in ROWS]))


def test_silac_channels_are_refused(tmp_path: Path) -> None:
    header = [
        n.replace("Intensity C_R1", "Intensity L C_R1").replace("Intensity_C_R2....", "Intensity H C_R1")
        for n in HEADER
    ]
    header = [name if not name.startswith("LFQ") else f"x{name}" for name in header]
    with pytest.raises(InputError, match="SILAC"):
        load_dataset(write(tmp_path, header=header))


def test_a_real_table() -> None:
    path = TEST_DATA / "readers" / "maxquant_proteinGroups_2samples.txt.gz"
    result = load_dataset(SourceFile(path, path.name))
    assert result.values["n_samples"] == 2
    assert result.values["n_removed_contaminant"] == 16
    assert result.values["n_removed_reverse"] == 2
    assert result.values["organism"] == "unknown"  # neither headers nor entry names tell it


def test_peptides_know_their_protein(shared_data: Path) -> None:
    folder = shared_data / "spike_ups1_yeast_ramus"
    data = read(folder / "Exp2_R10_pept.txt.gz", folder / "samples_Exp2_R10.txt")
    assert data.uns["nereus"]["level"] == "peptide"
    assert data.var["protein_group"].nunique() > 800
    assert set(data.obs["Condition"].astype(str)) == {"10fmol", "100fmol"}


def test_spike_in_ratios_come_out(shared_data: Path) -> None:
    folder = shared_data / "spike_ups1_yeast_ramus"
    data = read(folder / "Exp1_R25_prot.txt.gz", folder / "samples_Exp1_R25.txt")
    high = (data.obs["Condition"].astype(str) == "25fmol").to_numpy()
    spiked = data.var_names.str.contains("ups")
    both = np.isfinite(data.X[high]).any(axis=0) & np.isfinite(data.X[~high]).any(axis=0)
    change = np.nanmean(data.X[high][:, both], axis=0) - np.nanmean(data.X[~high][:, both], axis=0)
    assert spiked.sum() == 48
    assert abs(np.median(change[spiked[both]]) - 1.4) < 0.2
    assert abs(np.median(change[~spiked[both]])) < 0.1
