"""Populations of cells without labels: self-organising map or Leiden communities, how many, and how stable each is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.metrics import adjusted_rand_score

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.cytometry.cell_table import (
    SAMPLE,
    FloatArray,
    IntArray,
    Values,
    cell_labels,
    even_draw,
    group_means,
    group_medians,
    marker_values,
)
from nereus.tools.cytometry.marker_space import MarkerSpace, marker_space
from nereus.tools.cytometry.som import fit_map, meta_clusters, nearest_node
from nereus.tools.proteomics.matrix import derive
from nereus.tools.singlecell.leiden import label_by_neighbours, leiden_clusters

if TYPE_CHECKING:
    from anndata import AnnData

STABLE = 0.7
"""Median adjusted Rand index (all clusters) or Jaccard index (one of them) from which they count as stable."""
_TOLERANCE = 0.05
"""The largest number of clusters is taken whose stability is within this of the best."""
_RESOLUTIONS = (0.3, 0.5, 0.8, 1.2, 1.8)
_NEIGHBOURS, _FEWEST_NEIGHBOURS = 15, 5
_MOST_CELLS = {"som": 200_000, "leiden": 20_000}
_MOST_SUBSAMPLED = {"som": 20_000, "leiden": 5_000}
_REPEATS, _REPEATS_SUBSAMPLED = 100, 20
_SHOWN = 20
"""Leading features of a cluster that are listed, where there are more than a panel has."""


class ClusterCellsParams(Params):
    """Parameters of `cluster_cells`."""

    method: Literal["auto", "som", "leiden"] = "auto"
    """``som``: self-organising map with consensus meta-clusters; ``leiden``: communities of the graph of neighbours
    (packages scanpy and leidenalg); ``auto`` takes ``som`` for panels and ``leiden`` for hundreds of features.
    """
    markers: tuple[str, ...] = ()
    """Markers to cluster on; none means all lineage markers."""
    k: int | None = Field(default=None, ge=2, le=100)
    """Number of clusters (``som``); None chooses between `min_k` and `max_k` by stability."""
    min_k: int = Field(default=8, ge=2, le=100)
    """Least number of clusters tried. Too many is mended by naming (`annotate_clusters`), too few is not."""
    max_k: int = Field(default=25, ge=2, le=100)
    """Largest number of clusters tried."""
    side: int = Field(default=10, ge=3, le=30)
    """Nodes along each side of the map."""
    resolution: float | None = Field(default=None, gt=0, le=10)
    """Of ``leiden``; None chooses by stability."""
    n_components: int = Field(default=30, ge=2, le=100)
    """Principal components, where there are hundreds of features."""
    n_subsamples: int = Field(default=20, ge=2, le=200)
    """Subsamples of half of the cells on which the clustering is repeated."""
    max_cells: int | None = Field(default=None, ge=100)
    """Cells from which clusters are learnt, drawn evenly from the samples; the others are assigned. None:
    200,000 (``som``) or 20,000 (``leiden``).
    """
    sample: str = SAMPLE
    """Column of the sample of each cell."""


@tool(
    "cluster_cells",
    version="2",
    summary="Cluster cells on their lineage markers: number chosen by stability, each cluster's stability told.",
    outputs=("dataset:dataset", "table:clusters", "table:choices", "table:markers"),
    seconds=20.0,
)
def cluster_cells(dataset: AnnData, params: ClusterCellsParams, *, seed: int) -> Result:
    """Find populations of cells.

    Clusters are learnt from cells drawn evenly over the samples and the other cells are assigned: to the nearest node
    of the map, or by the votes of their nearest neighbours. The clustering is repeated on halves of the cells; of all
    numbers of clusters within 0.05 of the best median adjusted Rand index, the largest is taken. Of communities, a
    larger number still where each of them is stable by itself.

    Parameters
    ----------
    dataset
        Transformed values, obs = cells with a column of samples, var = markers or genes.
    params
        See `ClusterCellsParams`.
    seed
        Of draws and starts.

    Returns
    -------
    Result
        ``dataset``: obs column ``cluster`` (C1 is the largest; missing where a cell lacks a value). Table ``clusters``:
        cluster, n_cells, share, stability (median over subsamples of the largest Jaccard index with a cluster found
        there; Hennig 2007), stable (0.7 or more), n_samples, largest_sample, largest_sample_share (of samples that
        count equally). Table ``choices``: choice, n_clusters, ari (median), ari_p10, chosen. Table ``markers``:
        cluster|marker, cluster, marker, level (median; mean where there are hundreds), z (over clusters).
        Values: method, k, choice, stability, n_cells, n_clustered, n_learnt, n_stable, n_markers, n_sample_bound.

    Raises
    ------
    InputError
        Fewer cells than clusters; an unknown marker; no marker that varies; scanpy missing for ``leiden``.

    Notes
    -----
    Clusters cut a continuum as readily as they find islands; ``stability`` tells which. Cells of one sample are no
    independent units: compare clusters between groups with `cell_abundance_test` only.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(0, 0.2, (600, 4)) + 3 * np.eye(4)[np.arange(600) % 3]
    >>> data = anndata.AnnData(X, obs=pd.DataFrame({"sample": np.repeat(["a", "b"], 300)}, index=map(str, range(600))),
    ...                        var=pd.DataFrame(index=["CD3", "CD19", "CD14", "CD56"]))
    >>> result = cluster_cells(data, k=3, n_subsamples=4, seed=1)
    >>> result.table("clusters")["n_cells"].tolist(), bool(result.table("clusters")["stable"].all())
    ([200, 200, 200], True)
    """
    space = marker_space(dataset, params.markers, params.n_components, "cluster_cells")
    method = params.method if params.method != "auto" else "leiden" if space.components else "som"
    _check(params, method, len(space.cells))
    warnings = list(space.notes)
    rng = np.random.default_rng(seed)
    if params.sample in dataset.obs.columns:
        samples = cell_labels(dataset, params.sample)
        codes, sample_names = samples.codes[space.cells], samples.names
    else:
        warnings.append(f"the cells have no column {params.sample!r}: they were taken as one sample")
        codes, sample_names = np.zeros(len(space.cells), dtype=np.intp), ("all",)
    # Clusters are numbered by what they are, not by the sample column: cells without a sample are assigned.
    learnt = even_draw(codes, params.max_cells or _MOST_CELLS[method], rng)
    if len(learnt) < 3:
        raise InputError("fewer than three cells have a sample", where="cluster_cells", mend="join the sheet")
    choices = _choices(params, method, len(learnt))
    found = _partitions(space, learnt, method, choices, params, seed, _REPEATS)
    choices = [choice for choice in choices if choice in found]
    every = np.arange(len(space.cells))
    agreement, jaccard = _stability(space, found, every, method, choices, params, rng, len(learnt))
    ari = np.array([np.median(agreement[choice]) for choice in choices])
    best = _best(method, choices, ari, jaccard)
    chosen = choices[best]
    labels, order = _by_size(found[chosen])
    stability = np.nanmedian(np.array(jaccard[chosen])[:, order], axis=0)
    names = [f"C{number + 1}" for number in range(len(order))]
    clusters = _cluster_table(names, labels, stability, codes, sample_names)
    markers = _marker_table(dataset, space, labels, names)
    column = np.full(dataset.n_obs, -1, dtype=np.intp)
    column[space.cells] = labels
    derived = derive(
        dataset, f"cluster_cells: {len(names)} clusters by {method} on {len(space.columns)} markers"
    )
    derived.obs["cluster"] = pd.Categorical.from_codes(column.tolist(), categories=names)
    bound = clusters[(clusters["largest_sample_share"] > 0.5) & (len(sample_names) > 2)]
    if len(bound):
        warnings.append(
            f"clusters {', '.join(bound['cluster'][:8])} hold cells of one sample for the most part: batch, or one donor"
        )
    overall = float(ari[best])
    if overall < STABLE:
        warnings.append(
            "the clusters change between subsamples: they cut a continuum in places; see their stability"
        )
    n_stable = int(clusters["stable"].sum())
    return Result(
        summary=(
            f"{len(names)} clusters of {len(space.cells)} cells by {method} on {len(space.columns)} markers; "
            f"stability {overall:.2f}, {n_stable} clusters stable by themselves."
        ),
        values={
            "method": method,
            "k": len(names),
            "choice": str(chosen),
            "stability": finite(overall),
            "n_cells": int(dataset.n_obs),
            "n_clustered": len(space.cells),
            "n_learnt": len(learnt),
            "n_samples": len(sample_names),
            "n_stable": n_stable,
            "n_markers": len(space.columns),
            "n_sample_bound": len(bound),
            "smallest_share": finite(float(clusters["share"].min())),
        },
        tables={
            "clusters": clusters,
            "choices": pd.DataFrame(
                {
                    "choice": [str(choice) for choice in choices],
                    "n_clusters": [len(np.unique(found[choice])) for choice in choices],
                    "ari": ari,
                    "ari_p10": [float(np.quantile(agreement[choice], 0.1)) for choice in choices],
                    "chosen": [choice == chosen for choice in choices],
                }
            ),
            "markers": markers,
        },
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=int(dataset.n_obs),
        n_returned=len(space.cells),
    )


def _best(
    method: str, choices: list[float], ari: FloatArray, jaccard: Mapping[float, list[FloatArray]]
) -> int:
    """Position of the choice to take.

    A step in resolution splits several clusters at once, so that the agreement of all cells falls also where every part
    is found again. The finest resolution of which each cluster is stable by itself is therefore taken, if it is finer.
    """
    agreed = int(np.flatnonzero(ari >= ari.max() - _TOLERANCE).max())
    if method != "leiden":
        return agreed
    least = [np.nanmedian(np.array(jaccard[choice]), axis=0).min() for choice in choices]
    return max([agreed, *(place for place, one in enumerate(least) if one >= STABLE)])


def _check(params: ClusterCellsParams, method: str, n: int) -> None:
    if params.min_k > params.max_k:
        raise InputError(f"min_k = {params.min_k} exceeds max_k = {params.max_k}", mend="swap them")
    if params.k is not None and method == "leiden":
        raise InputError("leiden takes a resolution and no k", mend="use resolution=..., or method='som'")
    if params.resolution is not None and method == "som":
        raise InputError("the map takes k and no resolution", mend="use k=..., or method='leiden'")
    least = 10 * (params.k or 2) if method == "som" else 30
    if n < least:
        raise InputError(
            f"{n} cells are too few for {params.k or 'any'} clusters",
            where="cluster_cells",
            mend=f"give {least} or more",
        )


def _choices(params: ClusterCellsParams, method: str, n: int) -> list[float]:
    if method == "leiden":
        return [params.resolution] if params.resolution is not None else list(_RESOLUTIONS)
    if params.k is not None:
        return [params.k]
    most = max(2, min(params.max_k, n // 20))
    return list(range(min(params.min_k, most), most + 1))


def _partitions(
    space: MarkerSpace,
    rows: IntArray,
    method: str,
    choices: list[float],
    params: ClusterCellsParams,
    seed: int,
    n_repeats: int,
    assign: IntArray | None = None,
    neighbours: int = _NEIGHBOURS,
) -> dict[float, IntArray]:
    """Clusters learnt from some cells; labels of the cells `assign` (all, if None) for every choice."""
    known = space.points[rows]
    rest = np.arange(len(space.points)) if assign is None else assign
    same = len(rest) == len(rows) and bool((rest == rows).all())
    if method == "leiden":
        found = leiden_clusters(known, choices, neighbours, seed % 2**31)
        if same:
            return found
        return {
            choice: label_by_neighbours(known, labels, space.points[rest], _NEIGHBOURS)
            for choice, labels in found.items()
        }
    fitted = fit_map(known, params.side)
    of = fitted.of if same else nearest_node(space.points[rest], fitted.nodes)
    whole = [int(choice) for choice in choices]
    meta = meta_clusters(fitted.nodes, whole, n_repeats, np.random.default_rng(seed))
    if not meta:
        raise InputError(
            f"the map has {len(fitted.nodes)} nodes, fewer than {min(whole)} clusters",
            mend="choose a smaller k",
        )
    return {k: node_labels[of] for k, node_labels in meta.items()}


def _stability(
    space: MarkerSpace,
    found: Mapping[float, IntArray],
    every: IntArray,
    method: str,
    choices: list[float],
    params: ClusterCellsParams,
    rng: np.random.Generator,
    n_learnt: int,
) -> tuple[dict[float, list[float]], dict[float, list[FloatArray]]]:
    """For every choice, by subsample: adjusted Rand index, and best Jaccard index of each cluster."""
    agreement: dict[float, list[float]] = {choice: [] for choice in choices}
    jaccard: dict[float, list[FloatArray]] = {choice: [] for choice in choices}
    n = min(max(len(every) // 2, min(len(every), 30)), _MOST_SUBSAMPLED[method])
    # A neighbour of half of the cells is twice as far: as many neighbours would blur small populations into large ones.
    neighbours = max(_FEWEST_NEIGHBOURS, round(_NEIGHBOURS * n / n_learnt))
    for _ in range(params.n_subsamples):
        rows = np.sort(rng.choice(every, n, replace=False))
        seed = int(rng.integers(2**31))
        again = _partitions(space, rows, method, choices, params, seed, _REPEATS_SUBSAMPLED, rows, neighbours)
        for choice in choices:
            n_clusters = int(found[choice].max()) + 1
            if choice not in again:  # fewer nodes than clusters
                agreement[choice].append(0.0)
                jaccard[choice].append(np.zeros(n_clusters))
                continue
            here, there = found[choice][rows], again[choice]
            agreement[choice].append(float(adjusted_rand_score(here, there)))
            jaccard[choice].append(best_overlap(here, there, n_clusters))
    return agreement, jaccard


def best_overlap(labels: IntArray, others: IntArray, n_clusters: int) -> FloatArray:
    """Largest Jaccard index of each cluster with one of another partition, shape (clusters,); NaN for none."""
    n_others = int(others.max()) + 1
    joint = np.bincount(labels * n_others + others, minlength=n_clusters * n_others)
    joint = joint.reshape(n_clusters, n_others).astype(np.float64)
    union = joint.sum(axis=1, keepdims=True) + joint.sum(axis=0, keepdims=True) - joint
    index = np.divide(joint, union, out=np.zeros_like(joint), where=union > 0).max(axis=1)
    return np.where(joint.sum(axis=1) > 0, index, np.nan)


def _by_size(labels: IntArray) -> tuple[IntArray, IntArray]:
    """Labels numbered by falling size, and which old label each new one was."""
    sizes = np.bincount(labels)
    present = np.flatnonzero(sizes)
    order = present[np.argsort(-sizes[present], kind="stable")]
    place = np.zeros(len(sizes), dtype=np.intp)
    place[order] = np.arange(len(order))
    return place[labels], order


def _cluster_table(
    names: list[str], labels: IntArray, stability: FloatArray, codes: IntArray, sample_names: tuple[str, ...]
) -> pd.DataFrame:
    n_samples = len(sample_names)
    known = codes >= 0
    counts = np.bincount(labels[known] * n_samples + codes[known], minlength=len(names) * n_samples)
    counts = counts.reshape(len(names), n_samples)
    # Samples count equally, however many cells each has.
    share = counts / np.maximum(counts.sum(axis=0), 1)
    share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
    sizes = np.bincount(labels, minlength=len(names))
    return pd.DataFrame(
        {
            "cluster": names,
            "n_cells": sizes,
            "share": sizes / sizes.sum(),
            "stability": stability,
            "stable": stability >= STABLE,
            "n_samples": (counts > 0).sum(axis=1),
            "largest_sample": [sample_names[at] for at in share.argmax(axis=1)],
            "largest_sample_share": share.max(axis=1),
        }
    )


def _marker_table(dataset: AnnData, space: MarkerSpace, labels: IntArray, names: list[str]) -> pd.DataFrame:
    values: Values = marker_values(dataset, space.columns)[space.cells]
    level = (group_means if space.components else group_medians)(values, labels, len(names))
    seen = np.isfinite(level)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, level, 0.0).sum(axis=0) / n
    sd = np.sqrt(np.where(seen, (level - mean) ** 2, 0.0).sum(axis=0) / n)
    z = np.divide(level - mean, sd, out=np.zeros_like(level), where=seen & (sd > 1e-9))
    rows = []
    for cluster, name in enumerate(names):
        columns = np.arange(len(space.columns))
        if space.components:
            columns = np.argsort(-z[cluster], kind="stable")[:_SHOWN]
        for column in columns:
            marker = str(dataset.var_names[space.columns[column]])
            rows.append((f"{name}|{marker}", name, marker, level[cluster, column], z[cluster, column]))
    return pd.DataFrame(rows, columns=["cluster|marker", "cluster", "marker", "level", "z"])
