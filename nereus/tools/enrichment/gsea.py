"""Gene set enrichment analysis on a ranked list of genes.

Subramanian A et al. (2005) Gene set enrichment analysis. PNAS 102:15545, weighted score (p = 1), on a list
ranked by a signed statistic. Under permutation of genes the null of a set depends on nothing but its size,
so the null is drawn once per size and shared by all sets; this is what makes thousands of sets a matter of
a second. The scores equal those of gseapy's `prerank` (checked in the tests).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import sparse, stats

from nereus.memory.records import Contrast, Scalar
from nereus.tools.base import Result, finite, tool
from nereus.tools.enrichment.camera import (
    INTER_GENE_CORRELATION,
    Inflation,
    camera_test,
    estimated_inflation,
    preset_inflation,
)
from nereus.tools.enrichment.collections import MeasuredSets, choose, measured_sets
from nereus.tools.enrichment.gene_level import gene_level
from nereus.tools.enrichment.score_null import normalise_scores, null_scores, null_sizes
from nereus.tools.enrichment.set_table import (
    SetParams,
    no_set_of_size,
    ranked_sets,
    refusal,
)
from nereus.tools.enrichment.tested_residuals import residuals_of_test

_EXTRA = {
    "es": "float64",
    "p_permutation": "float64",
    "p_camera": "float64",
    "inflation": "float64",
    "same_members": "object",
    "cluster": "object",
    "representative": "bool",
}


class GseaParams(SetParams):
    """Parameters of gene set enrichment analysis."""

    n_permutations: int = Field(10_000, ge=100)
    """Random gene sets drawn for the null of each set size."""
    contrast: Contrast | None = None
    """Comparison that the table tests; with the data set it lets inter-gene correlation be estimated."""
    variable: str | None = None
    """Continuous variable that the table tests, instead of `contrast`."""
    covariates: tuple[str, ...] = ()
    """Covariates of the test of `variable`."""
    block: str | None = None
    """Block column of the test of `variable`."""


def enrichment_scores(
    indptr: np.ndarray, positions: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Running-sum scores of many sets at once.

    Parameters
    ----------
    indptr, positions
        Rank positions (0 = top) of the members of set i are ``positions[indptr[i]:indptr[i + 1]]``,
        increasing.
    weights : array, shape (genes,)
        Absolute statistic by rank.

    Returns
    -------
    scores : array, shape (sets,)
        Largest deviation of the running sum from 0, with its sign.
    peaks : array, shape (sets,)
        Number of members up to the peak (for a positive score), or before the trough (for a negative one).
    """
    size = np.diff(indptr)
    start = np.repeat(indptr[:-1], size)
    order = np.arange(len(positions)) - start
    own = weights[positions]
    total = np.cumsum(own)
    base = np.repeat(np.concatenate([[0.0], total])[indptr[:-1]], size)
    whole = np.repeat(np.add.reduceat(own, indptr[:-1]), size)
    misses = (positions - order) / (len(weights) - np.repeat(size, size))
    safe = np.where(whole > 0, whole, 1.0)
    # Members without any weight count equally.
    after = np.where(whole > 0, (total - base) / safe, (order + 1) / np.repeat(size, size)) - misses
    before = np.where(whole > 0, (total - base - own) / safe, order / np.repeat(size, size)) - misses
    high = np.maximum.reduceat(after, indptr[:-1])
    low = np.minimum.reduceat(before, indptr[:-1])
    scores = np.where(high >= -low, high, low)
    at_peak = np.where(np.repeat(scores > 0, size), after, -before) == np.repeat(np.abs(scores), size)
    first = np.minimum.reduceat(np.where(at_peak, order, len(positions)), indptr[:-1])
    return scores, np.where(scores > 0, first + 1, first)


def _inflation(
    genes: pd.DataFrame, members: sparse.csr_matrix, dataset: AnnData | None, params: GseaParams
) -> tuple[Inflation, str]:
    """Variance inflation of the sets, and where it comes from."""
    found = residuals_of_test(
        dataset,
        genes["feature"].to_numpy(),
        params.contrast,
        params.variable,
        params.covariates,
        params.block,
        where="enrichment_gsea",
    )
    if isinstance(found, str):
        why = f" ({found})" if found else ""
        return preset_inflation(members), f"preset correlation {INTER_GENE_CORRELATION}{why}"
    return estimated_inflation(*found, members), "estimated from residuals"


@tool(
    "enrichment_gsea",
    version="2",
    summary="Gene sets that gather at the top or bottom of all tested genes, beyond their correlation.",
    outputs=("table:sets", "table:members"),
    seconds=3.0,
)
def enrichment_gsea(table: pd.DataFrame, dataset: AnnData | None, params: GseaParams, *, seed: int) -> Result:
    """Test whether the genes of a set gather at the top or the bottom of the list of all tested genes.

    Features are brought to genes (the feature with the largest ``|z|`` stands for its gene), ranked by
    their p-value as a signed normal deviate, and scored by the weighted running sum of Subramanian et al.
    (2005).

    A set gets two p-values. `p_permutation` compares its score with random gene sets of its size, as
    preranked GSEA does; it treats genes as independent, which those of a set are not, so where nothing
    differs it still finds sets (hundreds, in expression data with permuted labels). `p_camera` is the
    competitive test of Wu & Smyth (2012) with the inter-gene correlation estimated from the residuals of
    the tested design, which needs `dataset` and `contrast` or `variable`; without them a correlation of
    0.01 is assumed and a warning says so. `p` is the larger of the two: a set must stand out from random
    sets, and by more than its genes' correlation explains.

    Parameters
    ----------
    table : DataFrame
        Table of a test, one row a feature, with ``feature, gene, effect, p``. Rows without p are left out:
        the background is what was tested.
    dataset : AnnData, optional
        Its data set; names the organism and genes that the table lacks, and holds the residuals.
    params : GseaParams
        Collections, organism, set sizes, permutations, level; what the table tests.
    seed : int
        Seed of the random gene sets.

    Returns
    -------
    Result
        Table ``sets``, one row a set, sorted by p: ``set_id, name, collection, n_set, n_measured, n_hits``
        (size of the leading edge), ``effect`` (normalised enrichment score, > 0 = up), ``direction, p``
        (larger of the two), ``q`` (Benjamini-Hochberg over the table), ``leading_edge, es, p_permutation,
        p_camera, inflation`` (variance inflation of the set's mean), ``same_members`` (sets with the same
        measured members), ``cluster`` and ``representative`` (the most specific of the sets that a leading edge explains). Table
        ``members``: measured genes of the first 60 sets. Values: ``p_floor`` (smallest p that the
        permutations can give), ``n_significant`` (q), ``n_significant_permutation`` (by `p_permutation`
        alone), ``correlation`` (where the inflation comes from), ``mapping_rate``, ``organism``, ``reason``
        when nothing was tested.

    Raises
    ------
    InputError
        When the table has no ``feature``, ``effect`` or ``p`` column, or is not of the data set.
    PlanError
        When a collection does not exist for the organism, or both contrast and variable are given.

    References
    ----------
    Subramanian et al. (2005) PNAS 102:15545. Wu & Smyth (2012) Nucleic Acids Research 40:e133.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> genes = [f"RPL{i}" for i in range(3, 40)] + [f"PSM{k}{i}" for k in "ABCD" for i in range(1, 8)]
    >>> effect = [1.0 + i / 99 if gene.startswith("RPL") else -i / 99 for i, gene in enumerate(genes)]
    >>> test = pd.DataFrame({"feature": genes, "gene": genes, "effect": effect})
    >>> test["p"] = [0.01 if e > 0 else 0.5 for e in effect]
    >>> result = registry.get("enrichment_gsea")(test, collections=("reactome",), n_permutations=500)
    >>> bool((result.table("sets")["effect"] > 0).any()), result.values["organism"]
    (True, 'human')
    """
    genes = gene_level(table, dataset, params.organism)
    own_values: dict[str, Scalar] = {"p_floor": None, "n_significant_permutation": 0, "correlation": None}
    if refused := refusal(genes, _EXTRA, own_values):
        return refused
    chosen = choose(genes.organism, params.collections)
    sets = measured_sets(
        genes.organism, chosen, genes.table["gene"].tolist(), params.min_size, params.max_size
    )
    keep = np.flatnonzero(sets.table["n_measured"].to_numpy() < len(genes.table))
    if len(keep) == 0:
        return no_set_of_size(genes, chosen, params, _EXTRA, own_values)
    sets = MeasuredSets(sets.table.iloc[keep].reset_index(drop=True), sets.members[keep])
    members = sets.members
    z = genes.table["z"].to_numpy()
    weights = np.abs(z)
    sizes = np.diff(members.indptr)
    scores, peaks = enrichment_scores(members.indptr, members.indices, weights)
    drawn_at = null_sizes(int(sizes.min()), int(sizes.max()))
    nulls = null_scores(drawn_at, weights, params.n_permutations, np.random.default_rng(seed))
    nes, p, floor = normalise_scores(scores, sizes, nulls)

    symbols = genes.table["gene"].to_numpy()
    rows = [members.indices[members.indptr[i] : members.indptr[i + 1]] for i in range(len(sizes))]
    edges = [
        symbols[row[:peak]] if score > 0 else symbols[row[peak:]][::-1]
        for row, peak, score in zip(rows, peaks, scores, strict=True)
    ]
    inflation, correlation = _inflation(genes.table, members, dataset, params)
    p_camera = camera_test(z, members, inflation)
    p_permutation, p = p, np.maximum(p, p_camera)
    found = sets.table.assign(
        n_hits=[len(edge) for edge in edges],
        effect=nes,
        direction=np.where(nes >= 0, "up", "down"),
        p=p,
        q=stats.false_discovery_control(p),
        leading_edge=[";".join(edge) for edge in edges],
        es=scores,
        p_permutation=p_permutation,
        p_camera=p_camera,
        inflation=inflation.factor,
    )
    ranked = ranked_sets(found, members, genes.table, by=("p", "p_camera", "set_id"), level=params.level)
    n_permutation = int((stats.false_discovery_control(p_permutation) <= params.level).sum())
    summary = (
        f"{ranked.n_significant} of {len(found)} sets ({', '.join(chosen)}; {genes.organism}) are enriched "
        f"at q <= {params.level:g}: {ranked.n_up} up, {ranked.n_down} down. Inter-gene correlation: {correlation}. "
        f"{len(genes.table)} genes ranked, {genes.mapping_rate:.0%} of features map to sets."
    )
    preset = correlation != "estimated from residuals"
    warnings = (
        "Inter-gene correlation was not estimated from these samples, so p-values of sets may be too small.",
    )
    own_values = {
        "n_significant_permutation": n_permutation,
        "correlation": correlation,
        "median_inflation": finite(float(np.median(inflation.factor))),
        "p_floor": finite(float(floor.max())),
        "n_at_floor": int((p_permutation <= floor * (1 + 1e-9)).sum()),
    }
    return ranked.result(summary, genes, chosen, own_values, warnings if preset else ())
