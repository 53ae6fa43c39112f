"""Every format that is read, in the order in which they are tried: ONE line each. Narrow ones come first."""

from __future__ import annotations

from collections.abc import Sequence

from nereus.tools.proteomics.readers import (
    diann,
    discoverer,
    evidence,
    maxquant,
    maxquant_sites,
    msstats,
    olink,
    paw,
    progenesis,
    skyline,
    spectronaut,
    wide,
)
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format
from nereus.tools.proteomics.readers.recognise import Header, Unsupported, header_of

FORMATS: tuple[Format, ...] = (
    maxquant_sites.FORMAT,
    maxquant.PROTEIN_GROUPS,
    evidence.FORMAT,
    maxquant.PEPTIDES,
    diann.REPORT,
    diann.MATRIX,
    spectronaut.FORMAT,
    olink.FORMAT,
    discoverer.FORMAT,
    msstats.FORMAT,
    skyline.FORMAT,
    progenesis.FORMAT,
    paw.FORMAT,
    wide.FRAGPIPE,
    wide.LFQBENCH,
    wide.ALPHAPEPT,
    wide.SCOPE2,
    wide.GENERIC,
)


def recognise(names: Sequence[str]) -> Format | Unsupported:
    """The format of a table with these columns; the last, generic one where none is known.

    >>> recognise(["Protein.IDs", "Majority.protein.IDs", "LFQ.intensity.A", "Reverse"]).name
    'MaxQuant proteinGroups'
    """
    header = header_of(names)
    return _unreadable(header) or next(one for one in FORMATS if one.recognise(header))


def format_of(table: Table) -> Format | Unsupported:
    """As `recognise`, and with a look at the cells where the names could be anybody's."""
    header = header_of(table.header)
    if (unsupported := _unreadable(header)) is not None:
        return unsupported
    return next(
        one for one in FORMATS if one.recognise(header) and (one.confirm is None or one.confirm(table))
    )


def _unreadable(header: Header) -> Unsupported | None:
    """Tables of identifications, which hold no quantities of samples."""
    if header.has("spectrum", "hyperscore"):
        return Unsupported("a FragPipe PSM table", "give combined_protein.tsv")
    if header.has_any("psm_ambiguity") and not discoverer.FORMAT.recognise(header):
        return Unsupported(
            "a Proteome Discoverer PSM table without reporter abundances",
            "export the Proteins or Peptide Groups table with abundances",
        )
    if header.has("raw_file", "scan_number", "sequence") and not header.has("intensity"):
        return Unsupported("a MaxQuant msms table", "give proteinGroups.txt, peptides.txt or evidence.txt")
    return None
