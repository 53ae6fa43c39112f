"""Sequences from files and texts, families, and what is told of letters."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.models.sequences.alphabets import Biosequence, read_sequence, read_sequences, reverse_complement
from nereus.models.sequences.families import families, family_split
from nereus.models.sequences.files import read_sequence_file
from nereus.models.sequences.texts import documents, sequences_of_text
from nereus.tool_commands import read_table_file

CHLOROPLAST = Path(__file__).parents[2] / "data" / "sequences" / "NC_000932.gb.gz"


def test_genes_of_a_genome_come_as_dna_rna_and_protein_that_agree() -> None:
    from Bio.Seq import Seq

    table = read_table_file(CHLOROPLAST)
    assert table["row"].is_unique
    genes = {
        name: group.set_index("modality")["sequence"]
        for name, group in table.dropna(subset="gene").groupby("gene")
    }
    coding = [one for one in genes.values() if "protein" in one.index]
    assert len(coding) == 85
    assert all(one["rna"] == one["dna"].replace("T", "U") for one in genes.values())
    agree = [str(Seq(one["dna"]).translate(table=11))[1:].rstrip("*") == one["protein"][1:] for one in coding]
    assert np.mean(agree) > 0.95  # what differs is edited after transcription
    assert set(table.loc[table["gene"].notna(), "strand"]) == {"+", "-", "mixed"}


def test_genes_of_the_other_strand_are_read_in_their_own_direction() -> None:
    table = read_sequence_file(CHLOROPLAST)
    with gzip.open(CHLOROPLAST, "rt") as opened:
        text = opened.read().partition("ORIGIN")[2]
    genome = "".join(one for one in text if one.isalpha()).upper()
    psba = table[(table["related"] == "psba") & (table["modality"] == "dna")].iloc[0]
    assert psba["strand"] == "-"
    assert psba["sequence"] == reverse_complement(genome[psba["start"] : psba["end"]])
    windows = table[table["gene"].isna()]
    assert set(windows["strand"]) == {"+", "-"}
    other = windows[windows["strand"] == "-"].iloc[0]
    assert other["sequence"] == reverse_complement(genome[other["start"] : other["end"]])


def test_fasta_is_read_and_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "two.fasta"
    file.write_text(">a\nMKTAYI\nAKQR\n>a\nMSLL\n")
    table = read_sequence_file(file)
    assert table.to_dict("list") == {
        "row": ["a", "a#2"], "sequence": ["MKTAYIAKQR", "MSLL"], "modality": ["protein", "protein"],
    }  # fmt: skip
    (tmp_path / "empty.fa").write_text("")
    with pytest.raises(InputError, match="no record"):
        read_sequence_file(tmp_path / "empty.fa")
    with pytest.raises(InputError, match="no such file"):
        read_sequence_file(tmp_path / "missing.gb")
    (tmp_path / "broken.gb.gz").write_bytes(CHLOROPLAST.read_bytes()[:5000])
    with pytest.raises(InputError, match="cannot be read"):
        read_sequence_file(tmp_path / "broken.gb.gz")


def test_letters_are_spelled_and_positions_are_told() -> None:
    assert read_sequence("acg u", "dna", "here") == (Biosequence("ACGT", "dna"), True)
    assert read_sequence("ACGT", "rna", "here") == (Biosequence("ACGU", "rna"), True)
    assert read_sequence("NNRY", "dna", "here") == (Biosequence("NNRY", "dna"), False)
    with pytest.raises(InputError, match="'-' at position 3"):
        read_sequence("AC-T", "dna", "here")
    found, notes = read_sequences(["ACGT", "ACGU", "MKL", "ACGU"], [None, None, None, "dna"])
    assert [one.modality for one in found] == ["dna", "rna", "protein", "dna"]
    assert "told from the letters (dna 1, rna 1, protein 1)" in notes[0]
    assert "1 rows; first row 3" in notes[1]


def test_sequences_are_found_in_texts() -> None:
    text = (
        "We cloned ATGGCTAAAGATCTGTCT WITH PRIMERS into the vector. Its product, MAKDLSWGFFADKLMW, binds "
        "AUGGCUAAAGAUCUGUCU. The ABBREVIATIONLIKE word is none."
    )
    assert [one.modality for one in sequences_of_text(text)] == ["dna", "protein", "rna"]
    table = documents([text, "no sequence here", "only ATGGCTAAAGATCTGTCT"])
    assert table["document"].tolist() == ["0", "0", "0"]


def test_relatives_are_of_one_family_and_on_one_side() -> None:
    rng = np.random.default_rng(0)
    founders = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 120)) for _ in range(30)]

    def changed(protein: str) -> str:
        letters = np.array(list(protein))
        at = rng.choice(120, 24, replace=False)
        letters[at] = rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 24)
        return "".join(letters)

    proteins = [Biosequence(one, "protein") for founder in founders for one in (founder, changed(founder))]
    group = families(proteins)
    assert (group[::2] == group[1::2]).all()
    assert len(set(group.tolist())) == 30
    parts = family_split(proteins, (0.6, 0.2, 0.2), seed=1)
    sides = [set(group[part].tolist()) for part in (parts.train, parts.valid, parts.test)]
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])
    assert [len(part) for part in (parts.train, parts.valid, parts.test)] == [36, 12, 12]
    linked = families(proteins, [["x", *[None] * 57, "x", None]])
    assert linked[0] == linked[58]
