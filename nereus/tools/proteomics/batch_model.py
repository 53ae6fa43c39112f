"""Batch effects estimated beside what is compared: by least squares, and shrunken over all features.

Arrays only; every feature has its own missing values. No feature is corrected by more than its observed samples can
tell apart from the protected columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_RANK_TOLERANCE = 1e-9
_STILL = 1e-4
"""Largest relative change at which the shrunken location and scale have settled (the published program's value)."""
_MOST_ROUNDS = 1000


@dataclass(frozen=True)
class BatchModel:
    """Least-squares fit of batches and protected columns; arrays by feature.

    Attributes
    ----------
    batch_effect
        Effect of each batch about their mean, weighted by observed samples; shape (n_features, n_batches), NaN where
        the batch has no value of the feature.
    protected
        What the protected columns explain, without the intercept; shape (n_samples, n_features).
    centre
        Weighted mean of the batches, shape (n_features,).
    variance
        Mean square of the residuals (over n, not over degrees of freedom), shape (n_features,).
    count
        Observed samples of each batch, shape (n_features, n_batches).
    estimable
        Whether the batches that have a value can be told apart from the protected columns, shape (n_features,).
    """

    batch_effect: FloatArray
    protected: FloatArray
    centre: FloatArray
    variance: FloatArray
    count: IntArray
    estimable: BoolArray


def fit_batches(X: FloatArray, codes: IntArray, protect: FloatArray) -> BatchModel:
    """Fit ``X ~ batch + protect`` for every feature over its observed samples.

    Parameters
    ----------
    X
        Values, shape (n_samples, n_features), NaN missing.
    codes
        Batch of each sample, 0 .. n_batches - 1.
    protect
        Protected columns without intercept, shape (n_samples, k); k may be 0.
    """
    n_batches = int(codes.max()) + 1
    batches = np.eye(n_batches)[codes]
    protect = protect - protect.mean(axis=0)
    design = np.column_stack([batches, protect])
    seen = np.isfinite(X)
    p, k = X.shape[1], design.shape[1]
    coefficients = np.full((p, k), np.nan)
    estimable = np.zeros(p, dtype=bool)
    patterns, of = np.unique(seen, axis=1, return_inverse=True)
    of = np.asarray(of).ravel()
    order = np.argsort(of, kind="stable")
    ends = np.searchsorted(of[order], np.arange(patterns.shape[1] + 1))
    for index in range(patterns.shape[1]):
        rows, features = patterns[:, index], order[ends[index] : ends[index + 1]]
        if not rows.any():
            continue
        part = design[rows]
        here = batches[rows].any(axis=0)
        used = np.concatenate([here, np.ones(protect.shape[1], dtype=bool)])
        part = part[:, used]
        beta, _, _, _ = np.linalg.lstsq(part, X[np.ix_(rows, features)], rcond=_RANK_TOLERANCE)
        coefficients[np.ix_(features, used)] = beta.T
        estimable[features] = _told_apart(batches[rows][:, here], protect[rows])
    count = np.asarray(seen.T.astype(np.float64) @ batches).astype(np.intp)
    effect = coefficients[:, :n_batches]
    n = count.sum(axis=1)
    centre = np.divide(
        np.nansum(count * np.where(count > 0, effect, 0.0), axis=1), n, out=np.full(p, np.nan), where=n > 0
    )
    shared = protect @ np.where(np.isfinite(coefficients[:, n_batches:]), coefficients[:, n_batches:], 0.0).T
    fitted = shared + np.where(np.isfinite(effect), effect, 0.0)[:, codes].T
    squares = np.where(seen, (X - fitted) ** 2, 0.0).sum(axis=0)
    variance = np.divide(squares, n, out=np.full(p, np.nan), where=n > 0)
    return BatchModel(effect - centre[:, None], shared, centre, variance, count, estimable)


def _told_apart(batches: FloatArray, protect: FloatArray) -> bool:
    """Whether no contrast of the batches is a combination of the protected columns."""
    varying = protect - protect.mean(axis=0)
    both = np.column_stack([batches, varying])
    return bool(_rank(both) == batches.shape[1] + _rank(varying))


def _rank(columns: FloatArray) -> int:
    return int(np.linalg.matrix_rank(columns, tol=1e-8 * max(columns.shape))) if columns.size else 0


def centred(X: FloatArray, codes: IntArray, model: BatchModel) -> FloatArray:
    """Subtract each batch's effect; features whose batches cannot be told apart stay as they are."""
    moved = np.where(np.isfinite(model.batch_effect) & model.estimable[:, None], model.batch_effect, 0.0)
    return np.asarray(X - moved[:, codes].T)


def shrunken(X: FloatArray, codes: IntArray, model: BatchModel, *, scale: bool = True) -> FloatArray:
    """Take location and scale of each batch out, both shrunken towards what all features of the batch show.

    Johnson, Li & Rabinovic 2007, Biostatistics 8:118, parametric empirical Bayes: standardised values of a batch have
    location ~ normal and variance ~ inverse gamma over the features; posterior modes are iterated. Features with missing
    values enter with the samples that they have.

    Parameters
    ----------
    X, codes, model
        Values, batches and their fit.
    scale
        False moves locations only; so does a batch with one sample of a feature.
    """
    spread = np.sqrt(model.variance)
    usable = model.estimable & np.isfinite(spread) & (spread > 0) & ((model.count > 0).sum(axis=1) > 1)
    made = X.copy()
    stand = model.centre + model.protected
    with np.errstate(invalid="ignore", divide="ignore"):
        Z = np.where(usable, (X - stand) / spread, np.nan)
    for code in range(model.count.shape[1]):
        rows = np.flatnonzero(codes == code)
        values = Z[rows]
        n = np.isfinite(values).sum(axis=0)
        here = np.flatnonzero(usable & (n > 0))
        if here.size < 2:
            continue
        part, n_here = values[:, here], n[here].astype(np.float64)
        location = np.nanmean(part, axis=0)
        enough = n_here > 1
        variance = np.full(here.size, np.nan)
        if scale and enough.any():
            variance[enough] = np.nanvar(part[:, enough], axis=0, ddof=1)
        posterior, delta = _posterior(part, location, variance, n_here)
        made[np.ix_(rows, here)] = ((part - posterior) / np.sqrt(delta)) * spread[here] + stand[rows][:, here]
    return made


def _posterior(
    part: FloatArray, location: FloatArray, variance: FloatArray, n: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Posterior location and variance of each feature in one batch."""
    prior_mean, prior_spread = float(location.mean()), float(location.var(ddof=1))
    scaled = np.isfinite(variance) & (variance > 0)
    delta = np.ones_like(location)
    if scaled.sum() < 2 or float(variance[scaled].var(ddof=1)) == 0.0:
        known = np.where(scaled, variance, 1.0)
        return _location(location, n, known, prior_mean, prior_spread), delta
    mean, spread = float(variance[scaled].mean()), float(variance[scaled].var(ddof=1))
    shape = (2 * spread + mean**2) / spread
    rate = (mean * spread + mean**3) / spread
    posterior, delta = location.copy(), np.where(scaled, variance, 1.0)
    for _ in range(_MOST_ROUNDS):
        fresh = _location(location, n, delta, prior_mean, prior_spread)
        squares = np.nansum((part - fresh) ** 2, axis=0)
        new_delta = np.where(scaled, (rate + 0.5 * squares) / (n / 2 + shape - 1), 1.0)
        moved = max(
            float(np.max(np.abs(fresh - posterior) / np.maximum(np.abs(posterior), 1e-12))),
            float(np.max(np.abs(new_delta - delta) / delta)),
        )
        posterior, delta = fresh, new_delta
        if moved < _STILL:
            break
    return posterior, delta


def _location(
    location: FloatArray, n: FloatArray, delta: FloatArray, prior_mean: float, prior_spread: float
) -> FloatArray:
    return np.asarray((n * prior_spread * location + delta * prior_mean) / (n * prior_spread + delta))
