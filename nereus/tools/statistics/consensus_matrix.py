"""Clusterings of resampled subjects and features, and how often two subjects fall together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Method = Literal["kmeans", "gmm"]

SHARE = 0.8
"""Share of subjects, and of features, in a resample (Monti et al. 2003)."""
_STARTS = 5
_SHUFFLES = 10
_AMBIGUOUS = (0.1, 0.9)


@dataclass(frozen=True)
class Consensus:
    """What resampling says about one number of clusters.

    Attributes
    ----------
    matrix
        Share of the resamples with both subjects in which they fell together, shape (units, units).
    labels
        Average linkage of 1 - matrix, cut into k; numbered by falling size; shape (units,).
    ari
        Adjusted Rand index of each resample with `labels`.
    """

    matrix: FloatArray
    labels: IntArray
    ari: FloatArray

    @property
    def ambiguous(self) -> float:
        """Share of pairs whose consensus is neither near 0 nor near 1 (Senbabaoglu et al. 2014)."""
        pairs = self.matrix[np.triu_indices(len(self.matrix), 1)]
        return float(np.mean((pairs > _AMBIGUOUS[0]) & (pairs < _AMBIGUOUS[1])))

    def of_units(self) -> FloatArray:
        """Mean consensus of each unit with the others of its cluster, shape (units,); 0 alone."""
        together = self.labels[:, None] == self.labels[None, :]
        np.fill_diagonal(together, False)
        n = together.sum(axis=1)
        total = np.where(together, self.matrix, 0.0).sum(axis=1)
        return np.asarray(np.divide(total, n, out=np.zeros(len(n)), where=n > 0))


def assign(points: FloatArray, k: int, method: Method, seed: int, n_init: int = _STARTS) -> IntArray:
    """Cluster label of each point, numbered by falling size (ties by first appearance): shape (n,)."""
    if method == "kmeans":
        labels = KMeans(n_clusters=k, n_init=n_init, random_state=seed).fit_predict(points)
    else:
        model = GaussianMixture(
            k, covariance_type="diag", n_init=min(n_init, 3), reg_covar=1e-3 * float(points.var()),
            random_state=seed,
        )  # fmt: skip
        labels = model.fit_predict(points)
    return by_size(labels)


def by_size(labels: npt.NDArray[np.integer]) -> IntArray:
    """Number clusters by falling size, ties by first appearance."""
    found, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    number = np.empty(len(found), dtype=np.intp)
    number[order] = np.arange(len(found))
    return np.asarray(number[np.searchsorted(found, labels)], dtype=np.intp)


def silhouette(points: FloatArray, labels: IntArray) -> float:
    """Mean silhouette width, -1 with a single cluster."""
    n_labels = len(set(labels.tolist()))
    return float(silhouette_score(points, labels)) if 2 <= n_labels < len(points) else -1.0


def consensus(
    values: FloatArray, k: int, method: Method, n_components: int, n_resamples: int, rng: np.random.Generator
) -> Consensus:
    """Cluster resamples of subjects and features (Monti et al. 2003, Mach Learn 52:91).

    Parameters
    ----------
    values
        Complete, centred, shape (units, features).
    """
    n, p = values.shape
    size, width = max(k + 1, round(SHARE * n)), max(2, round(SHARE * p))
    together, both = np.zeros((n, n)), np.zeros((n, n))
    drawn: list[tuple[IntArray, IntArray]] = []
    for _ in range(n_resamples):
        rows = np.sort(rng.choice(n, size, replace=False))
        columns = np.sort(rng.choice(p, width, replace=False))
        points = _scores(values[np.ix_(rows, columns)], n_components)
        labels = assign(points, k, method, int(rng.integers(2**31)), 3)
        both[np.ix_(rows, rows)] += 1
        together[np.ix_(rows, rows)] += labels[:, None] == labels[None, :]
        drawn.append((rows, labels))
    matrix = np.divide(together, both, out=np.zeros((n, n)), where=both > 0)
    np.fill_diagonal(matrix, 1.0)
    tree = linkage(squareform(1.0 - matrix, checks=False), method="average")
    labels = by_size(fcluster(tree, k, criterion="maxclust"))
    ari = np.array([adjusted_rand_score(labels[rows], found) for rows, found in drawn])
    return Consensus(matrix, labels, ari)


def beyond_noise(values: FloatArray, heights: FloatArray, rng: np.random.Generator) -> int:
    """Number of leading components larger than those of features shuffled one by one; two or more.

    Horn 1965, Psychometrika 30:179. Components of noise blur every distance.

    Parameters
    ----------
    values
        Complete, centred, shape (units, features).
    heights
        Sums of squares of the leading components, decreasing.
    """
    noise = np.zeros((_SHUFFLES, len(heights)))
    for at in range(_SHUFFLES):
        shuffled = rng.permuted(values, axis=0)
        small = shuffled @ shuffled.T if len(values) <= values.shape[1] else shuffled.T @ shuffled
        noise[at] = np.linalg.eigvalsh(small)[::-1][: len(heights)]
    above = heights > noise.max(axis=0)
    n_leading = int(above.argmin()) if not above.all() else len(above)
    return min(max(n_leading, 2), len(heights))


def _scores(values: FloatArray, n_components: int) -> FloatArray:
    """Principal component scores by the smaller Gram matrix."""
    centred = values - values.mean(axis=0)
    count = min(n_components, len(values) - 1, values.shape[1])
    if len(values) <= values.shape[1]:
        heights, vectors = np.linalg.eigh(centred @ centred.T)
        return np.asarray(vectors[:, -count:] * np.sqrt(np.maximum(heights[-count:], 0.0)))
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ vectors[:, -count:])
