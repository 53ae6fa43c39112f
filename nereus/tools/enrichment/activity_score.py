"""Activity of regulators from the statistics of their targets, against exchanged statistics. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse, special, stats

from nereus.tools.enrichment.camera import moderated_inflation

FloatArray = npt.NDArray[np.float64]
Method = Literal["weighted_mean", "ulm", "rank"]

_CHUNK = 250


@dataclass(frozen=True)
class Activities:
    """Scores of each regulator; arrays have shape (n_sources,).

    Attributes
    ----------
    effect
        Weighted mean of the targets' effects beyond the mean effect of all, in the units of the effects.
    se
        Its standard deviation when effects are exchanged among all features.
    z
        Weighted mean of the targets' statistics, standardised by that exchange and widened for correlated targets.
    p
        Two-sided.
    """

    effect: FloatArray
    se: FloatArray
    z: FloatArray
    p: FloatArray


def score(
    weights: sparse.csr_matrix,
    effect: FloatArray,
    statistic: FloatArray,
    *,
    method: Method,
    correlation: float,
    n_permutations: int,
    seed: int,
    residuals: tuple[FloatArray, int] | None = None,
) -> Activities:
    """Score all regulators.

    The mean and variance of a weighted sum under all exchanges of the statistics are exact:
    ``mean(t) sum(w)`` and ``var(t) (sum(w^2) - sum(w)^2 / n)``. The variance is inflated by ``1 + (m - 1) rho``, with m the
    effective number of targets, because targets move together also where nothing acts on them (Wu & Smyth 2012).

    Parameters
    ----------
    weights
        Sources x features.
    effect, statistic
        Of the features, shape (n_features,); statistics are signed normal deviates.
    method
        ``weighted_mean`` of the statistics, by exchange (as KSEA: Casado et al. 2013; with weights: decoupler, Badia-i-Mompel
        et al. 2022); ``ulm``: t of the regression of statistics on weights; ``rank``: weighted mean of the statistics'
        normal scores, by exchange (as VIPER: Alvarez et al. 2016).
    correlation
        rho between targets of one regulator.
    n_permutations
        Exchanges behind the p-values of ``weighted_mean`` and ``rank``.
    seed
        Of the exchanges.
    residuals
        Standardised residuals of the features, shape (n_features, samples), and their degrees of freedom. With them the
        inflation of each sum is also estimated from how the targets move together among the samples (as `camera`, with
        weights), z is widened by it, and p is the larger of that of the exchange and of a t with its degrees of freedom.
    """
    total = np.asarray(abs(weights).sum(axis=1)).ravel()
    unit = sparse.diags(1.0 / np.where(total > 0, total, 1.0)) @ weights
    n = len(statistic)
    sums, squares = np.asarray(unit.sum(axis=1)).ravel(), np.asarray(unit.multiply(unit).sum(axis=1)).ravel()
    free = np.maximum(squares - sums**2 / n, 1e-300)
    members = 1.0 / np.maximum(squares, 1e-300)
    wider = np.sqrt(1.0 + (members - 1.0) * correlation)
    spread, df = wider, np.full(len(wider), np.inf)
    if residuals is not None:
        moved_along = np.asarray(unit @ residuals[0]) - sums[:, None] * residuals[0].mean(axis=0)
        raw = (moved_along**2).sum(axis=1) / residuals[1] / free
        inflation = moderated_inflation(raw, members, residuals[1])
        spread, df = np.maximum(wider, np.sqrt(inflation.factor)), inflation.df

    def standard(values: FloatArray) -> tuple[FloatArray, FloatArray]:
        sd = np.sqrt(free) * float(np.std(values, ddof=1)) * spread
        return np.asarray(unit @ values) - float(values.mean()) * sums, sd

    moved, se = standard(effect)
    used = statistic
    if method == "rank":
        used = special.ndtri((stats.rankdata(statistic) - 0.5) / n)
    distance, sd = standard(used)
    z = np.divide(distance, sd, out=np.zeros_like(distance), where=sd > 0)
    if method == "ulm":
        r = np.clip(z * spread / np.sqrt(n - 1), -1 + 1e-12, 1 - 1e-12)
        t = r * np.sqrt((n - 2) / (1 - r**2)) / spread
        return Activities(moved, se, t, 2.0 * stats.t.sf(np.abs(t), np.minimum(df, n - 2)))
    rng = np.random.default_rng(seed)
    beyond = np.zeros(len(z))
    centred = used - used.mean()
    # What an exchange must reach: the distance as if targets were independent, made smaller by their correlation.
    reach = np.abs(distance) / wider - 1e-12
    drawn = 0
    while drawn < n_permutations:
        size = min(_CHUNK, n_permutations - drawn)
        exchanged = rng.permuted(np.broadcast_to(centred, (size, n)), axis=1)
        beyond += (np.abs(unit @ exchanged.T) >= reach[:, None]).sum(axis=1)
        drawn += size
    p = (1.0 + beyond) / (1.0 + n_permutations)
    if residuals is not None:
        p = np.maximum(p, 2.0 * stats.t.sf(np.abs(z), np.minimum(df, n - 2)))
    return Activities(moved, se, z, p)
