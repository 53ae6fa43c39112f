"""Variance stabilisation: a generalised logarithm whose scale and offset are fitted to each sample.

Intensities carry an additive error, which rules weak signals, and a multiplicative one, which rules strong ones. The
logarithm has constant variance under the second only. ``arsinh(a + b y)`` has it under both, where ``a`` and ``b``
belong to the sample and so also take loading differences out (Huber et al. 2002, Bioinformatics 18 Suppl 1:S96;
Huber et al. 2003, Stat Appl Genet Mol Biol 2:3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

FloatArray = npt.NDArray[np.float64]

_KEPT = 0.9
"""Share of the features with the smallest residuals, within ten levels of abundance, that the fit rests on: least
trimmed squares. Features that truly change do not pull the parameters."""
_ROUNDS = 7
_STILL = 1e-3
"""Largest relative change of the scale parameters between rounds at which the fit has settled."""
_MOST_FITTED = 3000
"""Features that the parameters are fitted on at most; two numbers a sample need no more."""
_LEVELS = 10


_NOTHING = 1e-12
"""Sum of squares of values that do not differ: keeps the likelihood finite."""


@dataclass(frozen=True)
class VarianceStabilisation:
    """A fitted transformation.

    Attributes
    ----------
    values
        Transformed values, shape (n_samples, n_features): log2 for strong signals, flatter for weak ones.
    offset, scale
        ``a`` and ``b`` of each sample in ``arsinh(a + b y)``, `y` in raw units; shape (n_samples,).
    fitted
        Positions of the features that the last round rests on.
    rounds
        Rounds of trimming.
    converged
        Whether the last optimisation ended well.
    """

    values: FloatArray
    offset: FloatArray
    scale: FloatArray
    fitted: npt.NDArray[np.intp]
    rounds: int
    converged: bool


def stabilise_variance(X: FloatArray, reference: npt.NDArray[np.intp] | None = None) -> VarianceStabilisation:
    """Fit ``arsinh(a_i + b_i y)`` to all samples by profile likelihood and transform them.

    The features' means are profiled out, so that the negative log-likelihood is ``N / 2 log(sum r^2 / N) - sum log
    h'(y)`` with residuals `r` about the mean of each feature and `h'` the derivative of the transformation. Missing
    values take no part. Repeated on the features with the smallest residuals until the parameters stand still.

    Parameters
    ----------
    X
        log2 abundance, shape (n_samples, n_features), NaN missing.
    reference
        Positions of the features to fit on; default all that are seen in half of the samples and in two at least.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> raw = 2 ** rng.uniform(6, 14, 400) * np.exp(rng.normal(0, 0.1, (6, 400))) + rng.normal(200, 20, (6, 400))
    >>> made = stabilise_variance(np.log2(raw))
    >>> made.values.shape, made.converged
    ((6, 400), True)
    """
    n = len(X)
    seen = np.isfinite(X)
    if reference is None:
        reference = np.flatnonzero(seen.sum(axis=0) >= max(2, int(np.ceil(n / 2))))
    pool = reference[seen[:, reference].sum(axis=0) >= 2]
    level = np.nanmean(X[:, pool], axis=0)
    by_level = np.argsort(level, kind="stable")
    if pool.size > _MOST_FITTED:
        by_level = by_level[np.linspace(0, pool.size - 1, _MOST_FITTED).round().astype(int)]
    pool = pool[by_level]
    # Raw intensities reach 1e10: in units of their median, all parameters are near one.
    unit = float(np.nanmedian(X))
    Y = np.exp2(X[:, pool] - unit)
    bins = np.arange(pool.size) * _LEVELS // max(pool.size, 1)
    medians = np.nanmedian(Y, axis=1)
    theta = np.concatenate([np.zeros(n), -np.log(np.where(np.isfinite(medians), medians, 1.0))])
    kept = np.ones(pool.size, dtype=bool)
    rounds, converged = 0, False
    for rounds in range(1, _ROUNDS + 1):
        before = theta
        theta, converged = _fitted(Y[:, kept], theta)
        if np.max(np.abs(np.expm1(theta[n:] - before[n:]))) < _STILL and rounds > 1:
            break
        kept = _smallest(Y, theta, bins)
    offset, scale = theta[:n], np.exp(theta[n:])
    # For strong signals arsinh(b y) is log(2 b y): a common constant makes the new values log2 intensities.
    common = float(np.mean(np.log2(2.0 * scale)))
    values = np.arcsinh(offset[:, None] + scale[:, None] * np.exp2(X - unit)) / np.log(2.0) - common + unit
    return VarianceStabilisation(values, offset, scale * 2.0**-unit, np.sort(pool[kept]), rounds, converged)


def _fitted(Y: FloatArray, start: FloatArray) -> tuple[FloatArray, bool]:
    n = len(Y)
    seen = np.isfinite(Y)
    raw = np.where(seen, Y, 0.0)
    count = seen.sum(axis=0)
    total = float(seen.sum())

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        a, b = theta[:n, None], np.exp(theta[n:, None])
        inside = a + b * raw
        root = np.sqrt(1.0 + inside**2)
        h = np.where(seen, np.arcsinh(inside), 0.0)
        residual = np.where(seen, h - h.sum(axis=0) / count, 0.0)
        squares = max(float(np.sum(residual**2)), _NOTHING)
        value = total / 2 * np.log(squares / total) - float(np.sum((theta[n:, None] - np.log(root)) * seen))
        # d/dz of both terms, z = a + b y; the mean's own derivative cancels because residuals sum to nothing.
        by_z = np.where(seen, total * residual / squares / root + inside / root**2, 0.0)
        by_a = by_z.sum(axis=1)
        by_log_b = (by_z * b * raw).sum(axis=1) - seen.sum(axis=1)
        return value / total, np.concatenate([by_a, by_log_b]) / total

    bounds = [(-1e3, 1e3)] * n + [(-30.0, 30.0)] * n
    found = optimize.minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-8},
    )
    return np.asarray(found.x, dtype=np.float64), bool(found.status in (0, 2))


def _smallest(Y: FloatArray, theta: FloatArray, bins: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Features with the smallest mean squared residual within each level of abundance."""
    n = len(Y)
    h = np.arcsinh(theta[:n, None] + np.exp(theta[n:, None]) * Y)
    spread = np.nanvar(h, axis=0)
    kept = np.zeros(Y.shape[1], dtype=bool)
    for label in np.unique(bins):
        members = np.flatnonzero(bins == label)
        kept[members[np.argsort(spread[members], kind="stable")[: max(1, round(_KEPT * members.size))]]] = (
            True
        )
    return kept
