"""Data without clusters that are otherwise like the observed ones: independent components, each with one mode.

A normal reference takes skewed or heavy-tailed clouds for clusters. Here each component keeps the shape of its
own distribution, except that a second mode is levelled: the estimate is the maximum-likelihood density that
rises up to one point and falls after it (Grenander 1956), the null of the dip test (Hartigan & Hartigan 1985).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.isotonic import isotonic_regression

FloatArray = npt.NDArray[np.float64]

_MODES = 40
_CELLS = 50


@dataclass(frozen=True)
class Unimodal:
    """A density that is constant on cells and has one mode.

    Attributes
    ----------
    edges
        Shape (cells + 1,), ascending.
    mass
        Shape (cells,), adds up to one.
    """

    edges: FloatArray
    mass: FloatArray

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Independent values, shape (n,)."""
        cell = rng.choice(len(self.mass), n, p=self.mass)
        return np.asarray(self.edges[cell] + rng.random(n) * np.diff(self.edges)[cell])


def fit_unimodal(values: FloatArray) -> Unimodal:
    """Fit a density with one mode to a sample.

    Cells hold about equal numbers of values, at least three, so that single spacings do not make spikes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> two = np.concatenate([rng.normal(-4, 1, 100), rng.normal(4, 1, 100)])
    >>> draws = fit_unimodal(two).draw(2000, rng)
    >>> bool(np.mean(np.abs(draws) < 2) > 0.15), bool(np.mean(np.abs(two) < 2) < 0.05)
    (True, True)
    """
    ordered = np.sort(values)
    n = len(ordered)
    n_cells = max(2, min(_CELLS, n // 3))
    edges = np.unique(np.quantile(ordered, np.linspace(0.0, 1.0, n_cells + 1)))
    if len(edges) < 2:
        return Unimodal(np.array([edges[0], edges[0] + 1e-12]), np.ones(1))
    count = np.histogram(ordered, edges)[0].astype(np.float64)
    width = np.diff(edges)
    density = count / (n * width)
    best, best_likelihood = density, -np.inf
    for mode in np.unique(np.linspace(0, len(density) - 1, _MODES).round().astype(int)):
        left = isotonic_regression(density[: mode + 1], sample_weight=width[: mode + 1], increasing=True)
        right = isotonic_regression(density[mode:], sample_weight=width[mode:], increasing=False)
        joined = np.concatenate([left[:-1], [max(left[-1], right[0])], right[1:]])
        joined = np.maximum(joined, 1e-12)
        joined /= np.sum(joined * width)
        likelihood = float(np.sum(count * np.log(joined)))
        if likelihood > best_likelihood:
            best, best_likelihood = joined, likelihood
    mass = best * width
    return Unimodal(edges, mass / mass.sum())


def reference(points: FloatArray, n: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Draw `n` data sets like `points` (samples x components) but for clusters.

    The points are turned to components that are as independent as they get (FastICA, Hyvarinen & Oja 2000), so
    that several skewed sources do not look like corners. Those are drawn independently of one another, turned
    back, and given exactly the covariance of the points, so that a difference is one of shape and not of chance
    in the spread.
    """
    centred = points - points.mean(axis=0)
    spread = np.maximum(centred.std(axis=0), 1e-300)
    white = centred / spread
    turn = np.eye(points.shape[1])
    if points.shape[1] > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = FastICA(whiten=False, max_iter=500, random_state=0).fit(white)
        left, _, right = np.linalg.svd(np.asarray(found.components_))
        turn = left @ right
    fitted = [fit_unimodal(column) for column in (white @ turn.T).T]
    for _ in range(n):
        drawn = np.column_stack([one.draw(len(points), rng) for one in fitted])
        drawn -= drawn.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(drawn.T, bias=True).reshape(drawn.shape[1], -1))
        # The symmetric square root turns the components least.
        whitened = drawn @ (vectors / np.sqrt(np.maximum(values, 1e-12))) @ vectors.T
        yield whitened @ turn * spread
