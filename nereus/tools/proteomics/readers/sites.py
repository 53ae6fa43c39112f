"""Row names that spell a modification site: ``uniprot;gene;site;sequence``."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from nereus.tools.proteomics.readers.accessions import first_protein, organism_of

_SITE = re.compile(
    r"(?P<protein>[^;]+);(?P<gene>[^;]*);(?P<site>[A-Z]\d+(?:[,_|&][A-Z]?\d+)*);(?P<sequence>[A-Za-z_\-*.()]*);?\Z"
)
_SHARE = 0.8


def are_sites(names: Sequence[str]) -> bool:
    """Whether nearly all of these row names spell sites.

    >>> are_sites(["Q9D1F4;AKT1S1;T247;SLPVSVPVWGFKEKR", "P1;G;S4;"])
    True
    """
    seen = [name for name in names if name]
    return bool(seen) and sum(bool(_SITE.match(name)) for name in seen) >= _SHARE * len(seen)


def describe_sites(names: Sequence[str], var: pd.DataFrame) -> pd.DataFrame:
    """The `var` table of sites: protein, gene, site and sequence window from the row names."""
    frame = var.copy()
    found = [_SITE.match(name) for name in names]
    frame["protein"] = pd.Series(
        [first_protein(m["protein"]) if m else name for m, name in zip(found, names, strict=True)],
        dtype=object,
    )
    frame["gene"] = pd.Series([m["gene"] if m else "" for m in found], dtype=object)
    frame["site"] = pd.Series([m["site"] if m else "" for m in found], dtype=object)
    frame["sequence"] = pd.Series([m["sequence"] if m else "" for m in found], dtype=object)
    frame["protein_group"] = pd.Series(
        [m["protein"] if m else name for m, name in zip(found, names, strict=True)], dtype=object
    )
    frame["organism"] = pd.Series(
        [
            old or (organism_of(m["protein"]) if m else "")
            for m, old in zip(found, frame["organism"], strict=True)
        ],
        dtype=object,
    )
    return frame
