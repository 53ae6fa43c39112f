"""Over-representation of gene sets among significant genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import stats

from nereus.tools.base import Result, tool
from nereus.tools.enrichment.collections import choose, measured_sets
from nereus.tools.enrichment.gene_level import gene_level
from nereus.tools.enrichment.set_table import (
    SetParams,
    empty_result,
    no_set_of_size,
    ranked_sets,
    refusal,
)

_EXTRA = {
    "fold_enrichment": "float64",
    "n_up": "int64",
    "n_down": "int64",
    "p_up": "float64",
    "p_down": "float64",
    "same_members": "object",
    "cluster": "object",
    "representative": "bool",
}


class OraParams(SetParams):
    """Parameters of over-representation analysis."""

    gene_level: float = Field(0.05, gt=0, lt=1)
    """Adjusted p-value up to which a feature counts as significant."""
    min_effect: float = Field(0.0, ge=0)
    """Smallest absolute effect of a feature that counts as significant."""
    n_top: int | None = Field(None, ge=1)
    """Take this many genes of smallest p in each direction instead, whatever their adjusted p-value."""


@tool(
    "enrichment_ora",
    version="2",
    summary="Gene sets over-represented among significant genes, with the tested genes as background.",
    outputs=("table:sets", "table:members"),
    seconds=1.5,
)
def enrichment_ora(table: pd.DataFrame, dataset: AnnData | None, params: OraParams, *, seed: int) -> Result:
    """Test whether a set holds more significant genes than chance would give, for up and for down separately.

    Features are brought to genes (the feature with the smallest p stands for its gene; a protein group
    counts once). The background is every tested gene. For each set the upper hypergeometric tail is
    computed among the genes that are up and among those that are down; the smaller one, doubled, is the
    p-value of the set.

    Parameters
    ----------
    table : DataFrame
        Table of a test, one row a feature, with ``feature, gene, effect, p, q``. Rows without p are left out.
    dataset : AnnData, optional
        Its data set; names the organism and genes that the table lacks.
    params : OraParams
        Collections, organism, set sizes, which genes count as significant, level.
    seed : int
        Not used: nothing is random.

    Returns
    -------
    Result
        Table ``sets``, one row a set, sorted by p: ``set_id, name, collection, n_set, n_measured, n_hits``
        (significant genes of the set in its direction), ``effect`` (log2 of the fold enrichment, negative
        where the direction is down), ``direction, p, q`` (Benjamini-Hochberg over all tested sets),
        ``leading_edge`` (the hits, strongest first), ``fold_enrichment`` (share of hits in the set over
        share in the background; half a hit is added to both), ``n_up, n_down, p_up, p_down, same_members,
        cluster, representative``. Table ``members``: measured genes of the first 60 sets. Values:
        ``n_up_genes, n_down_genes, mapping_rate, organism, reason``.

    Raises
    ------
    InputError
        When the table has no ``feature``, ``effect`` or ``p`` column.
    PlanError
        When a collection does not exist for the organism.

    References
    ----------
    Rivals et al. (2007) Bioinformatics 23:401 (the hypergeometric test and its two-sided form by doubling).
    Timmons et al. (2015) Genome Biology 16:186 (why the background must be what was measured).

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> genes = [f"RPL{i}" for i in range(3, 40)] + [f"PSM{k}{i}" for k in "ABCD" for i in range(1, 8)]
    >>> up = [gene.startswith("RPL") for gene in genes]
    >>> test = pd.DataFrame({"feature": genes, "gene": genes, "effect": [1.0 if u else -0.1 for u in up]})
    >>> test["p"] = [1e-4 if u else 0.5 for u in up]
    >>> test["q"] = [1e-3 if u else 0.6 for u in up]
    >>> result = registry.get("enrichment_ora")(test, collections=("reactome",))
    >>> result.table("sets")["direction"].iloc[0], result.values["n_up_genes"]
    ('up', 37)
    """
    genes = gene_level(table, dataset, params.organism)
    up, down = _significant(genes.table, params)
    counts = {"n_up_genes": int(up.sum()), "n_down_genes": int(down.sum())}
    if refused := refusal(genes, _EXTRA, counts):
        return refused
    chosen = choose(genes.organism, params.collections)
    if not up.any() and not down.any():
        text = (
            f"No feature has q <= {params.gene_level:g}, so there is no list of genes to test; "
            "enrichment_gsea uses all features instead."
        )
        return empty_result("no_significant_genes", text, genes, _EXTRA, counts)
    sets = measured_sets(
        genes.organism, chosen, genes.table["gene"].tolist(), params.min_size, params.max_size
    )
    if sets.table.empty:
        return no_set_of_size(genes, chosen, params, _EXTRA, counts)

    members = sets.members
    size = sets.table["n_measured"].to_numpy()
    n_up, p_up = _tail(members, up, size)
    n_down, p_down = _tail(members, down, size)
    is_up = p_up <= p_down
    p = np.minimum(1.0, 2 * np.minimum(p_up, p_down))
    hits, listed = np.where(is_up, n_up, n_down), np.where(is_up, up.sum(), down.sum())
    fold = ((hits + 0.5) / (size + 1.0)) / ((listed + 0.5) / (len(up) + 1.0))

    strength = np.argsort(-np.abs(genes.table["z"].to_numpy()), kind="stable")
    rank = np.empty(len(strength), dtype=int)
    rank[strength] = np.arange(len(strength))
    symbols = genes.table["gene"].to_numpy()
    rows = [members.indices[members.indptr[i] : members.indptr[i + 1]] for i in range(len(size))]
    edges = []
    for row, upward in zip(rows, is_up, strict=True):
        hit = row[(up if upward else down)[row]]
        edges.append(";".join(symbols[hit[np.argsort(rank[hit])]]))
    found = sets.table.assign(
        n_hits=hits,
        effect=np.log2(fold) * np.where(is_up, 1.0, -1.0),
        direction=np.where(is_up, "up", "down"),
        p=p,
        q=stats.false_discovery_control(p),
        leading_edge=edges,
        fold_enrichment=fold,
        n_up=n_up,
        n_down=n_down,
        p_up=p_up,
        p_down=p_down,
    )
    ranked = ranked_sets(
        found,
        members,
        genes.table,
        by=("p", "n_set", "set_id"),
        level=params.level,
        counts=("n_up", "n_down"),
    )
    few = [
        f"only {count} genes are {side}"
        for side, count in (("up", up.sum()), ("down", down.sum()))
        if 0 < count < 5
    ]
    summary = (
        f"{ranked.n_significant} of {len(found)} sets ({', '.join(chosen)}; {genes.organism}) "
        f"are over-represented at q <= {params.level:g}: {ranked.n_up} among {int(up.sum())} genes "
        f"that are up, {ranked.n_down} among {int(down.sum())} that are down, of {len(genes.table)} tested genes."
    )
    warnings = (f"{' and '.join(few)}: over-representation of so few is fragile",) if few else ()
    return ranked.result(summary, genes, chosen, counts, warnings)


def _significant(genes: pd.DataFrame, params: OraParams) -> tuple[np.ndarray, np.ndarray]:
    """Which genes are listed as up, and which as down."""
    effect = genes["effect"].to_numpy()
    if params.n_top is None:
        listed = (genes["q"].to_numpy() <= params.gene_level) & (np.abs(effect) >= params.min_effect)
        return listed & (effect > 0), listed & (effect < 0)
    up, down = np.zeros(len(genes), dtype=bool), np.zeros(len(genes), dtype=bool)
    p = genes["p"].to_numpy()
    for listed, sign in ((up, 1), (down, -1)):
        side = np.flatnonzero((np.sign(effect) == sign) & (np.abs(effect) >= params.min_effect))
        listed[side[np.argsort(p[side], kind="stable")[: params.n_top]]] = True
    return up, down


def _tail(members: object, listed: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hits of each set, and the probability of as many or more in a random list of the same length."""
    hits = np.asarray(members.astype(int) @ listed.astype(int)).ravel()  # type: ignore[attr-defined]
    return hits, stats.hypergeom.sf(hits - 1, len(listed), int(listed.sum()), size)
