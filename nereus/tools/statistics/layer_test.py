"""The correlation of two layers as a test that can be repeated: exchanged subjects, half of them, planted correlations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from nereus.tools.statistics.resampling import Tested, drawn_units
from nereus.tools.statistics.row_correlation import Kind, correlate_rows, design_residuals

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LEAST_OF_HALF = 5


@dataclass(frozen=True)
class LayerTest:
    """Row i of one layer against row i of the other.

    Attributes
    ----------
    first, second
        Shape (features, subjects); NaN is missing.
    design
        Intercept and covariates, shape (subjects, columns).
    strata
        Subjects that may be exchanged with each other, shape (subjects,).
    kind, least
        Correlation, and least number of subjects with both values.
    """

    first: FloatArray
    second: FloatArray
    design: FloatArray
    strata: IntArray
    kind: Kind
    least: int

    def tested(self) -> Tested:
        """Run the test."""
        found = correlate_rows(self.first, self.second, self.design, self.kind, self.least)
        return Tested(found.r, found.p)

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[LayerTest]:
        """Subjects of the other layer exchanged within strata; all its features move together."""
        for _ in range(n):
            order = np.arange(self.second.shape[1])
            for one in np.unique(self.strata):
                rows = np.flatnonzero(self.strata == one)
                order[rows] = rng.permutation(rows)
            yield replace(self, second=self.second[:, order])

    def planted(self, rows: IntArray, size: FloatArray) -> LayerTest:
        """Part of the second layer's variation replaced by that of the first; `size` is Fisher's z over its error.

        Both parts are normal scores of what the covariates leave, so that one outlying subject carries no correlation; the
        planted values keep the spread of the feature and what the covariates explain of it.
        """
        one, other = self.first[rows], self.second[rows]
        both = np.isfinite(one) & np.isfinite(other)
        n = both.sum(axis=1)
        free = np.maximum(n - 2.0 - self.design.shape[1], 1.0)
        rho = np.tanh(size / np.sqrt(free))[:, None]
        left = design_residuals(other, both, self.design)
        spread = np.sqrt((left**2).sum(axis=1, keepdims=True) / np.maximum(n[:, None] - 1.0, 1.0))
        mine, own = _scores(design_residuals(one, both, self.design), both), _scores(left, both)
        made = spread * (rho * mine + np.sqrt(1.0 - rho**2) * own)
        second = self.second.copy()
        second[rows] = np.where(both, other - left + made, other)
        return replace(self, second=second)

    def subsamples(self, n: int, rng: np.random.Generator) -> Iterator[LayerTest]:
        """Half of the subjects of each stratum."""
        for kept in drawn_units(self.strata, n, rng):
            yield replace(
                self,
                first=self.first[:, kept],
                second=self.second[:, kept],
                design=self.design[kept],
                strata=self.strata[kept],
                least=min(self.least, _LEAST_OF_HALF),
            )


def _scores(values: FloatArray, both: npt.NDArray[np.bool_]) -> FloatArray:
    """Normal scores of the values that count, with variance one; 0 elsewhere."""
    n = np.maximum(both.sum(axis=1, keepdims=True), 1)
    rank = stats.rankdata(np.where(both, values, np.inf), axis=1)
    score = np.where(both, special.ndtri(np.clip((rank - 0.375) / (n + 0.25), 1e-6, 1 - 1e-6)), 0.0)
    scale = np.sqrt((score**2).sum(axis=1, keepdims=True) / np.maximum(n - 1.0, 1.0))
    return np.asarray(score / np.where(scale > 0, scale, 1.0))
