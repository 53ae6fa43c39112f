"""Self-organising map with consensus meta-clusters: populations of cells in seconds, at any table size.

A grid of nodes is fitted to the cells by the batch algorithm of Kohonen (2013, Neural Networks 37:52), started on the
plane of the first two principal components. Its nodes are then clustered by average linkage many times over, each time
without a tenth of them, and the shares of times in which two nodes met are clustered once more (consensus clustering,
Monti et al. 2003, Machine Learning 52:91). Two levels of this kind are the idea of FlowSOM (Van Gassen et al. 2015,
Cytometry A 87:636); the code is our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from nereus.tools.cytometry.cell_table import FloatArray, IntArray, Values

_EPOCHS = 15
_LAST_RADIUS = 0.4
"""Radius of the neighbourhood in the last epoch, in units of the grid: neighbours hardly pull any more."""
_CELLS_PER_NODE = 10
_KEPT_NODES = 0.9
_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Map:
    """A fitted map.

    Attributes
    ----------
    nodes
        Positions of the nodes that hold cells, shape (nodes, markers).
    of
        Node of every cell it was fitted to, shape (cells,).
    """

    nodes: FloatArray
    of: IntArray


def nearest_node(points: Values, nodes: FloatArray) -> IntArray:
    """Nearest node of every point in Euclidean distance, shape (points,)."""
    W = np.asarray(nodes, dtype=np.float32)
    half = (W * W).sum(axis=1) / 2
    parts = [
        np.argmin(half - points[start : start + _ROWS_AT_ONCE] @ W.T, axis=1)
        for start in range(0, len(points), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)


def fit_map(points: Values, side: int = 10) -> Map:
    """Fit a square map; deterministic, because it starts on the plane of the principal components.

    Parameters
    ----------
    points
        Cells on comparable scales, shape (cells, markers), finite, float32.
    side
        Nodes along each side; fewer where there are fewer than ten cells a node.
    """
    n = len(points)
    side = max(2, min(side, int(np.sqrt(n / _CELLS_PER_NODE))))
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).reshape(-1, 2)
    apart = ((place[:, None, :] - place[None, :, :]) ** 2).sum(axis=-1).astype(np.float64)
    nodes = _plane(points, place / (side - 1) - 0.5)
    rows = np.arange(n)
    for epoch in range(_EPOCHS):
        radius = side / 2 * (_LAST_RADIUS / (side / 2)) ** (epoch / (_EPOCHS - 1))
        of = nearest_node(points, nodes)
        member = sparse.csr_matrix((np.ones(n, dtype=np.float32), (of, rows)), shape=(len(nodes), n))
        pull = np.exp(-apart / (2 * radius**2))
        total = pull @ np.asarray(member @ points, dtype=np.float64)
        weight = pull @ np.bincount(of, minlength=len(nodes))
        nodes = np.where(weight[:, None] > 1e-9, total / np.maximum(weight, 1e-9)[:, None], nodes)
    of = nearest_node(points, nodes)
    held, of = np.unique(of, return_inverse=True)
    return Map(nodes[held], np.asarray(of, dtype=np.intp))


def _plane(points: Values, grid: FloatArray) -> FloatArray:
    """Nodes spread over two standard deviations along the first two principal components."""
    mean = points.mean(axis=0, dtype=np.float64)
    spread, axes = np.linalg.eigh(np.atleast_2d(np.cov(points, rowvar=False, dtype=np.float64)))
    axes, spread = axes[:, ::-1][:, :2], np.sqrt(np.maximum(spread[::-1][:2], 0.0))
    # The sign of an eigenvector is arbitrary: its largest entry is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return np.asarray(mean + (grid[:, : axes.shape[1]] * 4 * spread) @ axes.T)


def meta_clusters(
    nodes: FloatArray, choices: list[int], n_repeats: int, rng: np.random.Generator
) -> dict[int, IntArray]:
    """Cluster of each node for every number of clusters, by consensus. Numbers above the nodes are left out.

    Parameters
    ----------
    nodes
        Shape (nodes, markers).
    choices
        Numbers of clusters.
    n_repeats
        Clusterings of nine tenths of the nodes.
    rng
        Draws the nodes.
    """
    n = len(nodes)
    kept = max(2, round(_KEPT_NODES * n))
    wanted = sorted({k for k in choices if k <= n})
    met = {k: np.zeros((n, n)) for k in wanted}
    both = np.zeros((n, n))
    for _ in range(n_repeats):
        rows = np.sort(rng.choice(n, kept, replace=False))
        tree = linkage(nodes[rows], "average")
        square = np.ix_(rows, rows)
        both[square] += 1
        for k in wanted:
            label = fcluster(tree, min(k, kept), "maxclust")
            met[k][square] += label[:, None] == label[None, :]
    found = {}
    for k in wanted:
        apart = 1.0 - np.divide(met[k], both, out=np.zeros_like(both), where=both > 0)
        np.fill_diagonal(apart, 0.0)
        tree = linkage(squareform(apart, checks=False), "average")
        found[k] = _exactly(tree, k)
    return found


def _exactly(tree: npt.NDArray[np.float64], k: int) -> IntArray:
    """Cut a tree into exactly k clusters, also where several merges have one height."""
    n = len(tree) + 1
    owner = np.arange(2 * n - 1)
    for step in range(n - k):
        owner[[int(tree[step, 0]), int(tree[step, 1])]] = n + step
    for node in range(2 * n - 2, -1, -1):
        owner[node] = owner[owner[node]] if owner[node] != node else node
    return np.asarray(np.unique(owner[:n], return_inverse=True)[1], dtype=np.intp)
