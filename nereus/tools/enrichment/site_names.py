"""Which gene, residue and position a modification site is, read from how tables write it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from nereus.tools.enrichment.identifiers import ACCESSION, map_genes

if TYPE_CHECKING:
    from anndata import AnnData

_SITE = re.compile(r"(?<![A-Za-z0-9])([STYKRHC])(\d{1,5})(?![A-Za-z0-9])")
_SPLIT = re.compile(r"[;|~\s]+")
_WINDOW = re.compile(r"[A-Z_*\-]{7,61}\Z")


@dataclass(frozen=True)
class Site:
    """One modification site.

    Attributes
    ----------
    gene
        Symbol, upper case; "" where unknown.
    residue, position
        Modified residue and its number in the protein.
    window
        Sequence of odd length around the site, "" where unknown or where its middle is another residue.
    """

    gene: str
    residue: str
    position: int
    window: str


def read_sites(
    features: Sequence[str], genes: Sequence[str], dataset: AnnData | None = None
) -> list[tuple[Site, ...]]:
    """Sites of each feature; an empty tuple where none is spelt. A multiply modified peptide has several.

    Columns ``site``, ``sequence`` and ``gene`` of the data set go before what the feature's name says.

    Examples
    --------
    >>> read_sites(["Q9D1F4;AKT1S1;T247;SLPVSVPVWGFKEKR", "P31749_S473"], ["", "AKT1"])[1][0]
    Site(gene='AKT1', residue='S', position=473, window='')
    """
    var = pd.DataFrame(index=pd.Index([], dtype=str)) if dataset is None else dataset.var
    told = {
        name: var[name].astype(object).fillna("").astype(str).to_dict() if name in var else {}
        for name in ("site", "sequence", "gene")
    }
    named = [told["gene"].get(feature) or gene for feature, gene in zip(features, genes, strict=True)]
    bare = [_gene_in(feature, gene) for feature, gene in zip(features, named, strict=True)]
    by_accession = map_genes(list(features), bare).genes
    found = []
    for feature, spelt, mapped in zip(features, bare, by_accession, strict=True):
        where = told["site"].get(feature) or feature.replace("_", " ").replace(",", " ").replace("-", " ")
        window = told["sequence"].get(feature) or _window_in(feature)
        sites = dict.fromkeys(_SITE.findall(where.replace("_", " ").replace(",", " ")))
        gene = (spelt or mapped).upper()
        found.append(
            tuple(
                Site(gene, residue, int(position), _centred(window, residue)) for residue, position in sites
            )
        )
    return found


def _gene_in(feature: str, gene: str) -> str:
    """The gene name that a table gives, or the part of the feature's name that follows its accession."""
    first = _SPLIT.split(gene)[0] if gene and gene.lower() not in ("nan", "none") else ""
    if first and not ACCESSION.fullmatch(first) and not _SITE.fullmatch(first):
        return first
    for part in _SPLIT.split(feature.replace("_", " ")):
        symbol = re.fullmatch(r"[A-Za-z][A-Za-z0-9.\-]{1,14}", part)
        if symbol and not ACCESSION.fullmatch(part) and not _SITE.fullmatch(part):
            return part
    return ""


def _window_in(feature: str) -> str:
    last = [part for part in re.split(r"[;|\s]+", feature) if part][-1:]
    return last[0] if last and _WINDOW.match(last[0]) and len(last[0]) % 2 else ""


def _centred(window: str, residue: str) -> str:
    text = window.upper().strip()
    usable = len(text) >= 7 and len(text) % 2 == 1 and text[len(text) // 2] == residue
    return text if usable else ""
