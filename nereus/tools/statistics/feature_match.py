"""The same gene in two data sets whose features have other names, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nereus.tools.enrichment.identifiers import identifiers_in, map_genes

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Match:
    """Features of one list found in another.

    Attributes
    ----------
    place
        Position in the second list for each feature of the first, -1 where there is none; shape (first,).
    how
        ``id``, ``accession``, ``gene`` or "" for each feature of the first.
    gene
        Gene symbol of each feature of the first, "" where unknown.
    n_alternatives
        Features of the second list of the same gene, for each of the first.
    """

    place: IntArray
    how: tuple[str, ...]
    gene: tuple[str, ...]
    n_alternatives: IntArray

    @property
    def rate(self) -> float:
        """Share of the first list that was found."""
        return float(np.mean(self.place >= 0)) if len(self.place) else 0.0


def match_features(
    features: Sequence[str],
    genes: Sequence[str],
    other_features: Sequence[str],
    other_genes: Sequence[str],
    n_observed: npt.NDArray[np.integer],
) -> Match:
    """Find each feature in another data set: by its identifier, else by an accession, else by its gene.

    Of several features of one gene the most completely observed one is taken (ties: the first), which no
    outcome had a say in.

    Parameters
    ----------
    features, genes
        Of the first data set; genes "" where unknown.
    other_features, other_genes
        Of the second.
    n_observed
        Observed values of the features of the second, shape (second,).

    Examples
    --------
    >>> found = match_features(["P04637", "x"], ["TP53", "GAPDH"], ["P04637;Q9", "ENSG1"], ["", "GAPDH"], np.array([3, 4]))
    >>> found.place.tolist(), found.how
    ([0, 1], ('accession', 'gene'))
    """
    ours = map_genes(list(features), [_clean(gene) for gene in genes]).genes
    theirs = map_genes(list(other_features), [_clean(gene) for gene in other_genes]).genes
    order = np.argsort(-np.asarray(n_observed), kind="stable")
    by_id = {str(name): at for at, name in enumerate(other_features)}
    by_accession: dict[str, int] = {}
    by_gene: dict[str, list[int]] = {}
    for at in map(int, order):
        for accession in identifiers_in(str(other_features[at])):
            by_accession.setdefault(accession, at)
        if theirs[at]:
            by_gene.setdefault(theirs[at].upper(), []).append(at)
    place, how, several = [], [], []
    for name, gene in zip(features, ours, strict=True):
        same = by_gene.get(gene.upper(), []) if gene else []
        known = next((one for one in identifiers_in(str(name)) if one in by_accession), None)
        if str(name) in by_id:
            found, way = by_id[str(name)], "id"
        elif known is not None:
            found, way = by_accession[known], "accession"
        elif same:
            found, way = same[0], "gene"
        else:
            found, way = -1, ""
        place.append(found)
        how.append(way)
        several.append(max(len(same), int(found >= 0)))
    return Match(np.array(place, dtype=np.intp), tuple(how), tuple(ours), np.array(several, dtype=np.intp))


def _clean(gene: str) -> str:
    return "" if str(gene) in ("nan", "None", "<NA>") else str(gene)
