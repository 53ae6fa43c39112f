"""The parts that readers share: accessions, numbers, scale, groups, sample names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools.proteomics.readers.accessions import (
    accession,
    first_protein,
    id_space,
    is_contaminant,
    main_organism,
    organism_of,
)
from nereus.tools.proteomics.readers.column_names import is_annotation, is_metadata, quantity_and_sample
from nereus.tools.proteomics.readers.delimited import Table, read_delimited
from nereus.tools.proteomics.readers.numbers import number_format, to_floats
from nereus.tools.proteomics.readers.replicates import guess_groups
from nereus.tools.proteomics.readers.scale import detect_scale, zeros_are_missing
from nereus.tools.proteomics.readers.source import Source, open_source
from nereus.tools.proteomics.readers.table import read_table


@pytest.mark.parametrize(
    "text",
    [
        "P02768",
        "A0A024R4E5",
        "Q9H0R8-2",
        "sp|P02768|ALBU_HUMAN",
        "tr|F6UPZ7|F6UPZ7_HUMAN",
        "1/sp|P25738|MSYB_ECOLI",
    ],
)
def test_accessions(text: str) -> None:
    assert accession(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "CON__P02768", "Cont_P02768", "contam_sp|P00366|DHE3_BOVIN", "REV__P02768", "rev_sp|P02768|ALBU_HUMAN", "P02768ups",
        "p02768", "P0276", "P0276O8", "ALB", "12345", "", "B02768", "CONT_010|gi|136429|sp|P00761|TRYP_PIG"],
)  # fmt: skip
def test_what_is_no_accession(text: str) -> None:
    assert accession(text) is None


def test_contaminants_keep_their_name_and_organism_stays_unknown() -> None:
    assert first_protein("CON__P02768;P02768") == "CON__P02768"
    assert not is_contaminant("CONTACTIN1")
    assert organism_of("ALBU_HUMAN") == "human"
    assert organism_of("ENO2_YEAST_ups") == ""
    assert main_organism(["human"] * 6 + ["yeast"] * 4, 10) == "human"
    assert main_organism(["human"] * 5 + ["yeast"] * 5, 10) == "mixed"
    assert main_organism([""] * 10, 10) == "unknown"


def test_id_spaces() -> None:
    assert id_space(["P02768", "O60861", "x"], ["", "", ""]) == "uniprot"
    assert id_space(["ENSG00000141510", "ENSMUSP00000012345"], ["", ""]) == "ensembl"
    assert id_space(["TP53", "ACTB", "HLA-A"], [""] * 3) == "symbol"
    assert id_space(["pAKT_N", "BDNF_N"], [""] * 2) == "panel"
    assert id_space(["1/x", "2/y"], [""] * 2) == "unknown"


def column(*cells: str) -> Table:
    return Table("t", ["a"], [list(cells)], range(2, len(cells) + 2))


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("1.5", "2", ".5", "1e3", "-4."), [1.5, 2, 0.5, 1000, -4]),
        (("1,5", "2", "1234,25"), [1.5, 2, 1234.25]),
        (("1,234.5", "12"), [1234.5, 12]),
        (("1,234,567", "1,234"), [1234567, 1234]),
        (("1.234,5", "2.345"), [1234.5, 2345]),
        (("1.234.567", "1.234"), [1234567, 1234]),
        (("12 345,5", "1"), [12345.5, 1]),
        (("1'234", "1'000'000"), [1234, 1000000]),
        (("1.234", "2.345"), [1.234, 2.345]),
        (("NA", "", "7", "n/a"), [np.nan, np.nan, 7, np.nan]),
    ],
)
def test_number_notations(cells: tuple[str, ...], values: list[float]) -> None:
    found = column(*cells)
    np.testing.assert_array_equal(to_floats(found, 0, number_format(found, [0])), values)


@pytest.mark.parametrize(
    "cells",
    [
        ("1,234", "2,345"),
        ("1,5", "2.5"),
        ("1,234.5", "6,7"),
        ("1,234", "5.5"),
        ("12 345", "67890"),
        ("1,234,567", "98765"),
    ],
)
def test_notations_that_could_be_either_are_refused(cells: tuple[str, ...]) -> None:
    found = column(*cells)
    with pytest.raises(InputError) as caught:
        to_floats(found, 0, number_format(found, [0]))
    assert "row" in str(caught.value.where)


def test_the_decimal_sign_may_be_told() -> None:
    found = column("1,234", "2,5")
    assert to_floats(found, 0, number_format(found, [0], ","))[0] == 1.234
    found = column("1,234", "2")
    assert to_floats(found, 0, number_format(found, [0], "."))[0] == 1234


def test_scales() -> None:
    rng = np.random.default_rng(0)
    level = rng.normal(25, 3, 200)
    log = level + rng.normal(0, 0.3, (8, 200))
    assert detect_scale(log)[0] == "log2"
    assert detect_scale(2**log)[0] == "raw"
    assert detect_scale(log - 25)[0] == "log2"
    assert detect_scale(np.exp(rng.normal(0, 1, 200) + rng.normal(0, 0.2, (8, 200))))[0] == "raw"
    assert detect_scale(rng.dirichlet(np.ones(10), 50).T)[0] == "raw"
    filled = log.copy()
    filled[rng.random(log.shape) < 0.2] = 0
    assert detect_scale(filled)[0] == "log2"
    assert zeros_are_missing(filled, "log2")
    assert not zeros_are_missing(np.round(log - 25, 1), "log2")


@pytest.mark.parametrize("seed", range(40))
def test_small_log_tables_are_never_taken_for_raw(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 60))
    log = rng.normal(22, 2.5, n) + rng.normal(0, 0.4, (6, n))
    assert detect_scale(log)[0] == "log2"


@pytest.mark.parametrize(
    ("samples", "groups"),
    [
        (["C_R1", "C_R2", "D_R1", "D_R2"], ["C", "C", "D", "D"]),
        (["6A_1", "6A_2", "6B_1", "6B_2"], ["6A", "6A", "6B", "6B"]),
        (["25_R1", "25_R2", "50_R1", "50_R2"], ["25", "25", "50", "50"]),
        (["Brain1", "Brain2", "Liver1", "Liver2"], ["Brain", "Brain", "Liver", "Liver"]),
        (["KO rep 1", "KO rep 2", "WT rep 1", "WT rep 2"], ["KO", "KO", "WT", "WT"]),
        (["S1", "S2", "S3", "S4"], None),
        (["126C_A1", "127N_A1", "126C_A2", "127N_A2"], None),
        (["anna", "berta", "carl", "dora"], None),
        (["A_1", "A_2", "B_1"], None),
    ],
)
def test_groups_from_names(samples: list[str], groups: list[str] | None) -> None:
    assert guess_groups(samples) == groups


def test_column_names() -> None:
    assert quantity_and_sample("Reporter ion intensities   E15_Set1") == ("reporter", "E15_Set1")
    assert quantity_and_sample("S1 Razor Intensity") == ("intensity", "S1")
    assert quantity_and_sample("[1] run_a.raw.PG.Quantity") == ("intensity", "run_a.raw")
    assert is_annotation("Mol. weight [kDa]")
    assert is_metadata("Age (years)")
    assert not is_metadata("pAKT_N")


def delimited(text: str | bytes) -> Table:
    return read_delimited(Source("t.txt", "text", text.encode() if isinstance(text, str) else text))


def test_a_lone_quotation_mark_does_not_swallow_rows() -> None:
    found = delimited('id\tname\tv\na\t"odd\t1\nb\tplain\t2\nc\tx\t3\n')
    assert found.n_rows == 3
    assert found.columns[2] == ["1", "2", "3"]
    assert any("quotation marks" in note for note in found.notes)


def test_banner_lines_padded_with_tabs() -> None:
    found = delimited("Results!\t\t\t\n \t\t\t\nn\t779\t\t\nAccession\tA\tB\tC\nP1\t1\t2\t3\nP2\t4\t5\t6\n")
    assert found.header == ["Accession", "A", "B", "C"]
    assert list(found.lines) == [5, 6]


def test_row_names_of_r() -> None:
    found = delimited("S1\tS2\nP02768\t1\t2\nO60861\t3\t4\n")
    assert found.header == ["", "S1", "S2"]
    with pytest.raises(InputError, match="the header has 2 fields and the rows have 3"):
        delimited("Protein\tS2\nP02768\t1\t2\nO60861\t3\t4\n")


def test_decimal_commas_in_a_comma_separated_text() -> None:
    with pytest.raises(InputError) as caught:
        delimited("Protein,A,B\nP1,1,5,2,5\nP2,3,5,4,5\n")
    assert caught.value.mend


def test_a_parquet_file_of_very_many_equal_cells_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A thousand rows lie in as many bytes as a thousand million: their cells are counted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    part = pa.table({name: pa.array(np.zeros(1_000_000)) for name in ("protein", "a_1")})
    path = tmp_path / "bomb.parquet"
    with pq.ParquetWriter(path, part.schema) as writer:
        for _ in range(8):
            writer.write_table(part)
    assert path.stat().st_size < 100_000, "the file itself is small"
    with pytest.raises(InputError, match="more than 100 MiB after decompression"):
        read_table(open_source(path), max_megabytes=100)
