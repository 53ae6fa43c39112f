"""A weighted correlation network of features and its modules: numbers only.

Correlations over the samples that two features share, a soft threshold, topological overlap, average linkage,
and the cut of the tree at which the network's modularity is largest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.linalg.blas import dsyrk
from scipy.spatial.distance import squareform

from nereus.tools.statistics.moderated_t import benjamini_hochberg

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

Sign = Literal["signed", "unsigned"]

_POWERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20)
_SCALE_FREE = 0.8
"""Fit of the scale-free law from which a power is enough (Zhang & Horvath 2005)."""
_CONNECTIVITY_BINS = 10
_CUTS = 60
_LEAST_SHARED = 8
_SETTLING_ROUNDS = 10


@dataclass(frozen=True)
class Modules:
    """Modules of a network.

    Attributes
    ----------
    label
        Module of each feature, 0, 1, ... by falling size; -1 for none. Shape (features,).
    density
        Mean correlation of the pairs in each module, shape (modules,).
    """

    label: IntArray
    density: FloatArray

    @property
    def sizes(self) -> IntArray:
        """Features in each module."""
        return np.bincount(self.label[self.label >= 0], minlength=len(self.density)).astype(np.intp)

    @property
    def strength(self) -> FloatArray:
        """Density times the root of the size: what a module is compared by with those of shuffled data."""
        return np.asarray(self.density * np.sqrt(self.sizes))


def prepared(values: FloatArray, ranks: bool) -> FloatArray:
    """Columns ranked or pulled in to three robust standard deviations, and standardised; NaN stays.

    Parameters
    ----------
    values
        Shape (samples, features).
    """
    seen = np.isfinite(values)
    if ranks:
        used = stats.rankdata(np.where(seen, values, np.inf), axis=0)
        used = np.where(seen, used, np.nan)
    else:
        middle = np.nanmedian(values, axis=0)
        reach = 3 * 1.4826 * np.nanmedian(np.abs(values - middle), axis=0)
        reach = np.where(reach > 0, reach, np.inf)
        used = np.clip(values, middle - reach, middle + reach)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, used, 0.0).sum(axis=0) / n
    centred = np.where(seen, used - mean, 0.0)
    sd = np.sqrt((centred**2).sum(axis=0) / n)
    return np.asarray(np.where(seen, centred / np.where(sd > 0, sd, 1.0), np.nan))


def correlations(z: FloatArray) -> FloatArray:
    """Pearson correlations of all pairs of columns over the rows that both have: shape (features, features).

    Pairs with fewer than eight shared rows are 0: nothing is known.
    """
    seen = np.isfinite(z).astype(np.float64)
    filled = np.where(seen > 0, z, 0.0)
    if seen.all():
        product = filled.T @ filled
        size = np.sqrt(np.diag(product))
        r = product / np.maximum(np.outer(size, size), 1e-300)
    else:
        n = seen.T @ seen
        sums, spread = filled.T @ seen, (filled**2).T @ seen
        count = np.maximum(n, 1.0)
        r = filled.T @ filled
        r -= sums * sums.T / count
        np.square(sums, out=sums)
        sums /= count
        spread -= sums
        np.sqrt(np.maximum(spread, 0.0, out=spread), out=spread)
        r /= np.maximum(spread * spread.T, 1e-12)
        r[n < _LEAST_SHARED] = 0.0
    np.clip(r, -1.0, 1.0, out=r)
    np.fill_diagonal(r, 1.0)
    return np.asarray(r)


def similarity(r: FloatArray, sign: Sign) -> FloatArray:
    """What counts as being alike: positive correlation only (``signed``), or its size."""
    return np.maximum(r, 0.0) if sign == "signed" else np.abs(r)


def soft_power(alike: FloatArray) -> tuple[int, float]:
    """Smallest power at which the connectivities follow a scale-free law with R2 >= 0.8, and that R2.

    Zhang & Horvath 2005, Stat Appl Genet Mol Biol 4:17. Where none reaches it, 6.
    """
    best = (6, 0.0)
    for power in _POWERS:
        connectivity = (alike**power).sum(axis=1) - 1.0
        fit = _scale_free_fit(connectivity)
        if fit >= _SCALE_FREE:
            return power, fit
        if power == best[0]:
            best = (power, fit)
    return best


def _scale_free_fit(connectivity: FloatArray) -> float:
    counts, edges = np.histogram(connectivity, _CONNECTIVITY_BINS)
    middle = 0.5 * (edges[1:] + edges[:-1])
    used = (counts > 0) & (middle > 0)
    if used.sum() < 4:
        return 0.0
    found = stats.linregress(np.log10(middle[used]), np.log10(counts[used] / counts.sum()))
    return float(found.rvalue**2) if found.slope < 0 else 0.0


def topological_overlap(adjacency: FloatArray) -> FloatArray:
    """Share of neighbours that two features have in common (Ravasz et al. 2002; Zhang & Horvath 2005)."""
    a = np.array(adjacency)
    np.fill_diagonal(a, 0.0)
    half = np.triu(dsyrk(1.0, a))  # a is symmetric: a @ a for half of the work
    shared = half + np.triu(half, 1).T
    connectivity = a.sum(axis=1)
    most = np.minimum(connectivity[:, None], connectivity[None, :]) + 1.0
    most -= a
    shared += a
    shared /= np.maximum(most, 1e-12, out=most)
    np.fill_diagonal(shared, 1.0)
    return np.asarray(np.clip(shared, 0.0, 1.0, out=shared))


def modules_of(r: FloatArray, power: int, sign: Sign, min_size: int) -> Modules:
    """Modules of known correlations, shape (features, features).

    The tree of topological overlaps is cut where the modularity of the weighted network (Newman 2004, Phys Rev
    E 70:056131) is largest; parts smaller than `min_size` are no modules.
    """
    alike = similarity(r, sign)
    adjacency = alike**power
    np.fill_diagonal(adjacency, 0.0)
    distance = 1.0 - topological_overlap(adjacency)
    tree = linkage(squareform(distance, checks=False), method="average")
    labels = _best_cut(tree, adjacency, min_size)
    return _numbered(labels, alike, min_size)


def _best_cut(tree: FloatArray, adjacency: FloatArray, min_size: int) -> IntArray:
    """Labels at the height of largest modularity, -1 for none.

    In the order of the leaves every part of the tree is a run of neighbours, so that the weight within a part is
    read off the summed-area table of the adjacency, and a height costs no more than its parts.
    """
    n = len(adjacency)
    best, most = np.full(n, -1, dtype=np.intp), 0.0
    order = leaves_list(tree)
    area = np.zeros((n + 1, n + 1))
    np.cumsum(np.cumsum(adjacency[np.ix_(order, order)], axis=0), axis=1, out=area[1:, 1:])
    degree = np.concatenate([[0.0], np.cumsum(adjacency.sum(axis=1)[order])])
    total = degree[-1]
    if total <= 0:
        return best
    for height in np.unique(np.quantile(tree[:, 2], np.linspace(0.02, 1.0, _CUTS))):
        labels = fcluster(tree, height, criterion="distance").astype(np.intp) - 1
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        ends = np.append(starts[1:], n)
        large = ends - starts >= min_size
        first, last = starts[large], ends[large]
        within = area[last, last] - area[first, last] - area[last, first] + area[first, first]
        modularity = float((within / total - ((degree[last] - degree[first]) / total) ** 2).sum())
        if modularity > most + 1e-12:
            sizes = np.bincount(labels)
            best, most = np.where(sizes[labels] >= min_size, labels, -1), modularity
    return best


def _numbered(labels: IntArray, alike: FloatArray, min_size: int) -> Modules:
    names, sizes = np.unique(labels[labels >= 0], return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    label = np.full(len(labels), -1, dtype=np.intp)
    density = []
    for number, at in enumerate(order):
        rows = np.flatnonzero(labels == names[at])
        label[rows] = number
        density.append(mean_similarity(alike, rows))
    return Modules(label, np.array(density, dtype=np.float64))


def settled(z: FloatArray, r: FloatArray, found: Modules, sign: Sign, min_size: int, level: float) -> Modules:
    """Leave out of each module the features that do not follow its eigen-feature.

    Average linkage sweeps in features that follow a few members by chance. A feature stays when its correlation
    with the eigen-feature of its module, made without itself, is significant at `level` among all features
    (Benjamini-Hochberg, because each was chosen from all of them); repeated until nothing moves.

    Parameters
    ----------
    z, r
        Prepared values, shape (samples, features), and their correlations.
    """
    label = found.label.copy()
    n = np.maximum(np.isfinite(z).sum(axis=0), 3)
    for _ in range(_SETTLING_ROUNDS):
        p = np.ones(len(label))
        for at in np.unique(label[label >= 0]):
            members = label == at
            follows = _membership_without_self(z[:, members], sign)
            size = np.clip(follows if sign == "signed" else np.abs(follows), -1.0, 1.0)
            t = size * np.sqrt((n[members] - 2) / np.maximum(1 - size**2, 1e-12))
            sides = 1.0 if sign == "signed" else 2.0
            p[members] = np.minimum(sides * stats.t.sf(t, n[members] - 2), 1.0)
        chosen = np.where(benjamini_hochberg(p) <= level, label, -1)
        for at in np.unique(chosen[chosen >= 0]):
            if (chosen == at).sum() < min_size:
                chosen[chosen == at] = -1
        if np.array_equal(chosen, label):
            break
        label = chosen
    return _numbered(label, similarity(r, sign), min_size)


def _membership_without_self(z: FloatArray, sign: Sign) -> FloatArray:
    """Correlation of each feature with the eigen-feature of all of them, made without its own part: (features,)."""
    _, loadings, _ = eigenfeature(z, sign)
    seen = np.isfinite(z)
    filled = np.where(seen, z, 0.0)
    square = seen * loadings**2
    rest = square.sum(axis=1)[:, None] - square
    told = (filled @ loadings)[:, None] - filled * loadings
    scores = np.divide(told, rest, out=np.zeros(z.shape), where=rest > 1e-9)
    both = seen & (rest > 1e-9)
    n = np.maximum(both.sum(axis=0), 1)
    x = np.where(both, filled - np.where(both, filled, 0.0).sum(axis=0) / n, 0.0)
    y = np.where(both, scores - np.where(both, scores, 0.0).sum(axis=0) / n, 0.0)
    size = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.asarray(np.divide((x * y).sum(axis=0), size, out=np.zeros(z.shape[1]), where=size > 1e-12))


def mean_similarity(alike: FloatArray, rows: IntArray) -> float:
    """Mean over the pairs of some features; NaN for a single one."""
    if len(rows) < 2:
        return float("nan")
    part = alike[np.ix_(rows, rows)]
    return float((part.sum() - np.trace(part)) / (len(rows) * (len(rows) - 1)))


def eigenfeature(z: FloatArray, sign: Sign) -> tuple[FloatArray, FloatArray, float]:
    """First principal component of standardised columns with missing values, by alternating least squares.

    Parameters
    ----------
    z
        Shape (samples, features), NaN missing.

    Returns
    -------
    scores
        Shape (samples,), unit variance, positively correlated with the mean feature (signed) or the feature of
        largest weight; NaN where a sample has no value.
    loadings
        Shape (features,): correlation-like weights.
    explained
        Share of the sum of squares.
    """
    seen = np.isfinite(z)
    filled = np.where(seen, z, 0.0)
    weight = seen.astype(np.float64)
    left, _, right = np.linalg.svd(filled, full_matrices=False)
    scores, loadings = left[:, 0], right[0]
    for _ in range(200):
        denominator = weight @ loadings**2
        scores = np.divide(filled @ loadings, denominator, out=np.zeros(len(z)), where=denominator > 1e-12)
        size = np.sqrt(np.mean(scores**2))
        scores = scores / (size if size > 0 else 1.0)
        before = loadings
        squares = weight.T @ scores**2
        loadings = np.divide(filled.T @ scores, squares, out=np.zeros(z.shape[1]), where=squares > 1e-12)
        if np.max(np.abs(loadings - before)) < 1e-10:
            break
    turn = np.sign(loadings.sum() if sign == "signed" else loadings[np.abs(loadings).argmax()]) or 1.0
    fitted = np.outer(scores, loadings)
    left_over = float(np.sum(np.where(seen, z - fitted, 0.0) ** 2))
    explained = 1.0 - left_over / max(float((filled**2).sum()), 1e-300)
    found = seen.any(axis=1)
    sd = float(np.std(scores[found], ddof=1)) if found.sum() > 1 else 1.0
    shown = np.where(found, turn * (scores - scores[found].mean()) / (sd or 1.0), np.nan)
    return np.asarray(shown), np.asarray(turn * loadings), explained
