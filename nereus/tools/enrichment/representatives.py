"""Which of the gene sets that tell the same stands for all of them: the most specific one.

Gene sets overlap, and those of an ontology contain each other, so that one finding shows in dozens of sets; the
broadest, which say least, often have the smallest p. Sets are compared by their leading edges, the genes that make
them significant. That the genes of a more specific set should not count again for the broader one is the idea of
Alexa et al. (2006) Bioinformatics 22:1600; here tests stay as they are, and only what is told is chosen.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

_NEAR_DUPLICATE = 0.5
"""Jaccard index of two leading edges from which they are one finding."""
_WITHIN = 0.8
"""Share of a leading edge that lies in another, or is held by others, for it to be explained."""
_GENERIC = 1000
"""Genes of a whole set, a twentieth of a mammal's, beyond which its name says little about what happens."""
_GENERIC_EXPLAINED = 0.5
MAX_DRAWN = 60
"""Sets whose members are listed and that figures may show."""
_MAX_COMPARED = 4000


def mark_representatives(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Add `cluster` and `representative`, so that a report need not tell one finding ten times.

    Significant sets are visited from the smallest p; a set joins the first cluster of its direction with whose
    first set its leading edge has a Jaccard index of at least 0.5, else it starts a cluster of its own. The most
    specific set (fewest genes in the whole set) represents a cluster.

    Then, from the broadest set down, a representative gives way to more specific ones that explain it: where sets
    whose leading edges lie within its own (80 %) hold 80 % of it between them; and for a generic set (more than
    1,000 genes), where more specific representatives of any kind hold half of it. It joins the one that shares
    the most of its leading edge.

    Clusters are also made beyond the significant sets, for as many as are likely to be shown; all others stand
    alone.

    Parameters
    ----------
    table
        Set table sorted by p, with `leading_edge` as genes joined by ";".
    level
        Level of q.
    """
    significant = (table["q"] <= level).to_numpy()
    n = min(max(int(significant.sum()), MAX_DRAWN), _MAX_COMPARED, len(table))
    significant = significant[:n]
    edges = _leading_edges(table["leading_edge"].head(n))
    n_set = table["n_set"].to_numpy()[:n]
    direction = table["direction"].to_numpy(dtype=object)[:n]
    shared = np.asarray((edges @ edges.T).todense()) * (direction[:, None] == direction[None, :])
    size = np.asarray(edges.sum(axis=1)).ravel()
    near = shared >= _NEAR_DUPLICATE * np.maximum(size[:, None] + size[None, :] - shared, 1)

    first: list[int] = []
    cluster = np.arange(n)
    for row in range(n):
        like = [leader for leader in first if near[row, leader]]
        cluster[row] = like[0] if like else row
        if not like:
            first.append(row)
    leads: dict[int, int] = {}
    for leader in first:
        members = np.flatnonzero(cluster == leader)
        listed = members[significant[members]] if significant[leader] else members
        leads[leader] = int(listed[np.argmin(n_set[listed])])
    cluster = np.array([leads[int(leader)] for leader in cluster])

    standing = [row for row in leads.values() if significant[row]]
    for row in sorted(standing, key=lambda one: (-n_set[one], one)):
        specific = np.array(
            [one for one in standing if n_set[one] < n_set[row] and shared[one, row]], dtype=int
        )
        generic = n_set[row] > _GENERIC
        if not generic:
            specific = specific[shared[specific, row] >= _WITHIN * size[specific]]
        if not len(specific):
            continue
        held = int(edges[specific][:, edges[row].indices].max(axis=0).sum())
        if held >= (_GENERIC_EXPLAINED if generic else _WITHIN) * size[row]:
            cluster[cluster == row] = specific[np.argmax(shared[specific, row])]
            standing.remove(row)
    set_ids = table["set_id"].tolist()
    named = [set_ids[lead] for lead in cluster] + set_ids[n:]
    return table.assign(
        cluster=named, representative=[lead == own for lead, own in zip(named, set_ids, strict=True)]
    )


def _leading_edges(texts: pd.Series) -> sparse.csr_matrix:
    """Leading edges as a matrix of 0 and 1, sets x genes."""
    column: dict[str, int] = {}
    pairs = [
        (row, column.setdefault(gene, len(column)))
        for row, text in enumerate(texts)
        for gene in dict.fromkeys(filter(None, text.split(";")))
    ]
    rows, columns = np.array(pairs, dtype=int).reshape(-1, 2).T
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), max(len(column), 1)))
