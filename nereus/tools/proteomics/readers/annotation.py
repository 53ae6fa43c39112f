"""What a table says of its features beside their values: proteins, genes, organisms and removal flags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nereus.tools.proteomics.readers.accessions import (
    first_gene,
    first_protein,
    gene_of_header,
    is_contaminant,
    is_decoy,
    members,
    organism_by_name,
    organism_of,
)
from nereus.tools.proteomics.readers.quantification import BoolArray

_YES = frozenset(["+", "true", "1", "yes", "y", "contaminant", "reverse", "decoy", "t"])


def flag(cells: Sequence[str] | None, n: int) -> BoolArray:
    """A column of flags as booleans; all False where the file has no such column."""
    if cells is None:
        return np.zeros(n, dtype=bool)
    return np.fromiter((cell.strip().lower() in _YES for cell in cells), dtype=bool, count=n)


def contaminants(groups: Sequence[str], flagged: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Contaminant groups, and groups of the sample's own proteins that share peptides with a contaminant.

    A group is a contaminant when its leading protein carries a contaminant prefix, or when the software flags it and
    no member carries a prefix (then the flag is all we know). A flagged group that is led by a protein of the sample
    is `shared`: whether it is removed is a parameter of the loader.
    """
    n = len(groups)
    leading = np.zeros(n, dtype=bool)
    prefixed = np.zeros(n, dtype=bool)
    for i, group in enumerate(groups):
        parts = members(group)
        if parts:
            marks = [is_contaminant(part) for part in parts]
            leading[i], prefixed[i] = marks[0], any(marks)
    led = leading | (flagged & ~prefixed)
    return led, ~led & (prefixed | flagged)


def decoys(groups: Sequence[str], flagged: BoolArray) -> BoolArray:
    """Groups that the software flags as reversed, or whose leading protein is a decoy."""
    leading = np.fromiter(
        (is_decoy((members(group) or [""])[0]) for group in groups), dtype=bool, count=len(groups)
    )
    either: BoolArray = flagged | leading
    return either


def describe(
    groups: Sequence[str],
    *,
    genes: Sequence[str] | None = None,
    headers: Sequence[str] | None = None,
    organisms: Sequence[str] | None = None,
    entry_names: Sequence[str] | None = None,
    descriptions: Sequence[str] | None = None,
    n_peptides: Sequence[float] | None = None,
) -> pd.DataFrame:
    """The `var` table of protein groups: gene, protein, n_peptides, description, organism.

    Gene from the gene column, else from ``GN=`` of the FASTA header; organism from the organism column, else from
    ``OX=`` / ``OS=`` of the header, else from an entry name (``ALBU_HUMAN``); "" where it cannot be told. The header
    or entry name of the leading protein decides, so that a contaminant further down does not.
    """
    n = len(groups)
    rows = {"gene": [""] * n, "protein": [""] * n, "organism": [""] * n, "description": [""] * n}
    for i, group in enumerate(groups):
        rows["protein"][i] = first_protein(group)
        header = headers[i] if headers is not None else ""
        leading_header = (
            header.split(";>")[0]
            if ";>" in header
            else header.split(";")[0]
            if header.count("|") > 2
            else header
        )
        gene = first_gene(genes[i]) if genes is not None else ""
        rows["gene"][i] = gene or gene_of_header(leading_header)
        organism = organism_by_name(organisms[i]) if organisms is not None else ""
        if not organism and not is_contaminant(group):
            leading = (members(group) or [""])[0]
            entry = (members(entry_names[i]) or [""])[0] if entry_names is not None else ""
            organism = organism_of(leading_header) or organism_of(leading) or organism_of(entry)
        rows["organism"][i] = organism
        text = descriptions[i] if descriptions is not None else ""
        rows["description"][i] = text.split(";")[0]
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in rows.items()})
    frame["n_peptides"] = (
        np.asarray(n_peptides, dtype=float) if n_peptides is not None else np.full(n, np.nan)
    )
    return frame[["gene", "protein", "n_peptides", "description", "organism"]]
