"""Expected precision of a feature: residual variance predicted from its abundance and its number of peptides.

Variances fall with abundance (Sartor et al. 2006) and with the number of peptides behind a protein (Zhu et
al. 2020, DEqMS, Mol Cell Proteomics 19:1047). Both at once: the unbiased logarithm of the residual
variances is regressed on natural splines of the two, and the prediction is one covariate that the prior
variance may follow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.interpolate import BSpline

FloatArray = npt.NDArray[np.float64]

_MIN_FEATURES = 60
"""Below this a spline in two covariates says more about chance than about precision."""


def expected_log_variance(
    variance: FloatArray, df: FloatArray, mean: FloatArray, n_peptides: FloatArray | None = None
) -> FloatArray:
    """Predicted log residual variance, shape (features,).

    Parameters
    ----------
    variance, df, mean
        Residual variance, its degrees of freedom and mean log2 abundance, shape (features,).
    n_peptides
        Peptides behind each feature, shape (features,); unknown ones (NaN) take the median. None: abundance
        only.

    Returns
    -------
    ndarray
        The mean abundance, negated, where there are too few features for a regression: it orders features
        alike.
    """
    usable = np.isfinite(variance) & (df > 0) & np.isfinite(mean)
    if usable.sum() < _MIN_FEATURES:
        return np.where(np.isfinite(mean), -mean, -np.nanmedian(mean) if np.isfinite(mean).any() else 0.0)
    floor = 1e-5 * float(np.median(variance[usable]))
    half = df[usable] / 2.0
    level = np.log(np.maximum(variance[usable], max(floor, 1e-300))) - special.digamma(half) + np.log(half)
    columns = [_spline(_filled(mean), usable)]
    if n_peptides is not None and np.isfinite(n_peptides[usable]).sum() > usable.sum() / 2:
        columns.append(_spline(np.log2(np.maximum(_filled(n_peptides), 0.0) + 0.5), usable))
    basis = np.column_stack([np.ones(len(mean)), *columns])
    # Winsorised once, so that hypervariable features (changed within a group, say) do not bend the trend.
    for _ in range(2):
        coefficients = np.linalg.lstsq(basis[usable], level, rcond=None)[0]
        away = level - basis[usable] @ coefficients
        reach = 3.0 * 1.4826 * float(np.median(np.abs(away - np.median(away))))
        level = np.clip(level, level - away - reach, level - away + reach)
    return np.asarray(basis @ coefficients)


def _filled(x: FloatArray) -> FloatArray:
    finite = np.isfinite(x)
    return np.where(finite, x, np.median(x[finite]) if finite.any() else 0.0)


def _spline(x: FloatArray, usable: npt.NDArray[np.bool_]) -> FloatArray:
    """Quadratic B-splines with inner knots at the terciles of `x`, without the first of them."""
    low, high = float(x.min()), float(x.max())
    if high <= low:
        return np.empty((len(x), 0))
    inner = [k for k in np.unique(np.quantile(x[usable], (1 / 3, 2 / 3))) if low < k < high]
    knots = np.concatenate([[low] * 3, inner, [high] * 3])
    n = len(knots) - 3
    values = np.nan_to_num(BSpline(knots, np.eye(n), 2)(np.clip(x, low, high)))
    return np.asarray(values[:, 1:], dtype=np.float64)
