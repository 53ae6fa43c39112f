"""Correlations of matching rows of two matrices, partial on covariates, each over its own observed samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from nereus.tools.statistics.treat import two_sided_p

FloatArray = npt.NDArray[np.float64]

Kind = Literal["spearman", "pearson"]


@dataclass(frozen=True)
class Correlations:
    """Arrays of shape (rows,); NaN where a row cannot be tested.

    Attributes
    ----------
    r, z
        Correlation and its Fisher transform.
    se
        Standard error of `z`.
    t, df, p
        Test of no correlation.
    n
        Samples observed in both.
    """

    r: FloatArray
    z: FloatArray
    se: FloatArray
    t: FloatArray
    df: FloatArray
    p: FloatArray
    n: FloatArray

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Confidence limits of `r`."""
        reach = float(special.ndtri(0.5 + level / 2.0)) * self.se
        return np.tanh(self.z - reach), np.tanh(self.z + reach)


def correlate_rows(
    first: FloatArray, second: FloatArray, design: FloatArray, kind: Kind, least: int
) -> Correlations:
    """Correlate row i of one matrix with row i of the other.

    Parameters
    ----------
    first, second
        Shape (rows, samples), NaN missing.
    design
        Intercept and covariates, shape (samples, columns).
    kind
        Of ``spearman`` the values are ranked over the samples that both rows have; partial correlations are
        those of the residuals of the ranks.
    least
        Least number of samples that both rows have.

    Notes
    -----
    Student's t with n - 2 - covariates degrees of freedom. The standard error of Fisher's z is
    ``sqrt((1 + r^2 / 2) / (n - 3 - covariates))`` for ranks (Bonett & Wright 2000, Psychometrika 65:23) and
    without the second term for Pearson's.
    """
    both = np.isfinite(first) & np.isfinite(second)
    n = both.sum(axis=1).astype(np.float64)
    k = design.shape[1] - 1
    x, y = _residuals(first, both, design, kind), _residuals(second, both, design, kind)
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    floor = 1e-9 * n * np.sqrt(_spread(first, both, kind) * _spread(second, both, kind))
    usable = (n >= max(least, k + 4)) & (size > np.maximum(floor, 1e-300))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(usable, np.clip((x * y).sum(axis=1) / size, -1.0, 1.0), np.nan)
        df = np.where(usable, n - 2.0 - k, np.nan)
        t = r * np.sqrt(df / np.maximum(1.0 - r**2, 1e-15))
        z = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
        extra = 1.0 + r**2 / 2.0 if kind == "spearman" else 1.0
        se = np.sqrt(extra / np.maximum(n - 3.0 - k, 1.0))
        p = np.where(usable, two_sided_p(np.where(usable, t, 0.0), np.where(usable, df, 1.0)), np.nan)
    return Correlations(r, z, np.where(usable, se, np.nan), np.where(usable, t, np.nan), df, p, n)


def _spread(values: FloatArray, both: npt.NDArray[np.bool_], kind: Kind) -> FloatArray:
    """Scale of the squares that counts as rounding only, shape (rows,)."""
    if kind == "spearman":
        return np.ones(len(values))
    return np.asarray(np.where(both, np.abs(values), 0.0).max(axis=1, initial=0.0) ** 2)


def _residuals(values: FloatArray, both: npt.NDArray[np.bool_], design: FloatArray, kind: Kind) -> FloatArray:
    """Values (or ranks) freed of the design over the samples that count, 0 elsewhere."""
    used = values
    if kind == "spearman":
        used = stats.rankdata(np.where(both, values, np.inf), axis=1)
    filled = np.where(both, used, 0.0)
    count = np.maximum(both.sum(axis=1, keepdims=True), 1)
    filled = np.where(both, filled - filled.sum(axis=1, keepdims=True) / count, 0.0)
    return _free_of(filled, both, design)


def design_residuals(values: FloatArray, both: npt.NDArray[np.bool_], design: FloatArray) -> FloatArray:
    """Values freed of the design over the samples that count, 0 elsewhere; shape (rows, samples)."""
    return _residuals(values, both, design, "pearson")


def _free_of(filled: FloatArray, both: npt.NDArray[np.bool_], design: FloatArray) -> FloatArray:
    if design.shape[1] == 1:
        return filled
    weight = both.astype(np.float64)
    gram = np.einsum("rs,si,sj->rij", weight, design, design, optimize=True)
    right = filled @ design
    coefficients = np.einsum("rij,rj->ri", np.linalg.pinv(gram, hermitian=True), right)
    return np.asarray(np.where(both, filled - coefficients @ design.T, 0.0))
