"""Which software wrote a table, told from its column names in any punctuation, never from the file's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Software = Literal[
    "maxquant_proteingroups", "maxquant_peptides", "diann_matrix", "diann_report", "fragpipe", "generic"
]  # fmt: skip


@dataclass(frozen=True)
class Unsupported:
    """A format that is recognised, and what to do with it until it is supported."""

    name: str
    mend: str


def canonical(name: str) -> str:
    """A column name without case and punctuation: words of letters and digits joined by one underscore.

    >>> canonical("Razor + unique.peptides "), canonical("LFQ_intensity..A")
    ('razor_unique_peptides', 'lfq_intensity_a')
    """
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


_PIVOT = "pivot it to one row a protein and one column a sample (most programs export such a matrix)"


def recognise_start(data: bytes) -> Unsupported | None:
    """Formats that are no single table, told from their first bytes."""
    if data.removeprefix(b"\xef\xbb\xbf")[:4] in (b"MTD\t", b"COM\t"):
        return Unsupported(
            "an mzTab file", "convert it to a table with one row a protein and one column a sample"
        )
    if data.startswith(b"#1.2") or data.startswith(b"#1.3"):
        return Unsupported("a GCT file", "remove the lines before the header that starts with Name or id")
    return None


def recognise(header: Sequence[str]) -> Software | Unsupported:
    """The software of a table with these columns; ``generic`` where none is known.

    >>> recognise(["Protein.IDs", "Majority.protein.IDs", "LFQ.intensity.A", "Reverse"])
    'maxquant_proteingroups'
    """
    names = {canonical(name) for name in header}
    if "majority_protein_ids" in names and any(
        re.match(r"(lfq_)?intensity|ibaq|reporter_intensity|peptide_counts|ratio", name) for name in names
    ):
        return "maxquant_proteingroups"
    if {"sequence", "raw_file", "charge"} <= names and names & {
        "modified_sequence",
        "ms_ms_scan_number",
        "retention_time",
    }:
        return Unsupported(
            "a MaxQuant evidence or msms table", "give proteinGroups.txt or peptides.txt of the same search"
        )
    peptide_words = {"leading_razor_protein", "unique_groups", "unique_proteins", "missed_cleavages"}
    by_sample = any(re.match(r"(lfq_)?intensity_", name) for name in names)
    if "sequence" in names and names & peptide_words and by_sample and "psm_ambiguity" not in names:
        return "maxquant_peptides"
    if {"protein_group", "precursor_id"} <= names and names & {"run", "file_name"}:
        return "diann_report"
    if "protein_group" in names and "protein_names" in names and "genes" in names:
        return "diann_matrix"
    if "protein_group" in names and "protein_ids" in names and "subgroup" not in names:
        return "diann_matrix"
    spectronaut = [
        n
        for n in header
        if re.match(r"(R|PG|PEP|EG|FG|F)\.\w", n.strip()) or re.match(r"(r|pg|pep|eg|fg)_[a-z]", n.strip())
    ]
    if len(spectronaut) >= 3 and not _wide_spectronaut(header):
        return Unsupported("a Spectronaut long report", _PIVOT)
    if "npx" in names and names & {"assay", "olinkid", "olink_id", "uniprot"}:
        return Unsupported("an Olink long table (one row a measurement)", _PIVOT)
    if "psm_ambiguity" in names or {"spectrum_file", "first_scan"} <= names:
        return Unsupported("a Proteome Discoverer PSM table", "export the Proteins table with abundances")
    if {"proteinname", "peptidesequence", "intensity"} <= names and names & {"run", "channel"}:
        return Unsupported("an MSstats long table (one row a measurement)", _PIVOT)
    if {"protein_name", "fragment_ion", "area"} <= names or {
        "peptide_modified_sequence",
        "file_name",
    } <= names:
        return Unsupported("a Skyline report (one row a transition)", _PIVOT)
    if any(n in ("mtd", "com", "prh", "psh") for n in list(map(canonical, header))[:1]):
        return Unsupported(
            "an mzTab file", "convert it to a table with one row a protein and one column a sample"
        )
    if {"normalized_abundance", "raw_abundance"} <= names or "use_in_quantitation" in names:
        return Unsupported(
            "a Progenesis export with several header lines",
            "export proteins with one header line and one quantity",
        )
    if {"spectrum", "hyperscore"} <= names:
        return Unsupported("a FragPipe PSM table", "give combined_protein.tsv")
    if names & {"combined_total_peptides", "combined_spectral_count", "summarized_total_spectral_count"}:
        return "fragpipe"
    return "generic"


def _wide_spectronaut(header: Sequence[str]) -> bool:
    """A pivot report has quantity columns named ``[1] run.raw.PG.Quantity``."""
    return sum(bool(re.search(r"\.PG\.(Quantity|Log2Quantity|MS\d\w*)$", name)) for name in header) >= 2
