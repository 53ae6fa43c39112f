"""Why values are missing: a model of detection that all features share, read from the data.

A value x is detected with probability ``(1 - r) Phi((x - limit) / width)``: weak signals are missed because they
are weak, and any signal is missed at random with probability r. A feature has values ``N(mu, sd^2)`` in the
samples of a group; its mu is drawn from a common normal distribution, its sd is moderated, and a small share of
the features is truly absent from some samples, whatever its abundance elsewhere. The parameters are estimated by
maximum marginal likelihood, with mu integrated out on a grid, as in probabilistic dropout analysis
(Ahlmann-Eltze & Anders 2020, bioRxiv 661496), with random misses and absence added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_GRID = 48
_PRIOR_DF = 3.0
"""Degrees of freedom with which the typical variance counts beside the feature's own: enough to keep a variance from two
values from being nothing, few enough to let features differ."""
_MOST_UNITS = 600
_STARTS = (0.01, 0.1, 0.25)
"""Quantiles of the values at which the detection limit is looked for: few random misses and a high limit resemble many
and a low one, so one start may end in the lesser of two optima."""
_ABSENT_TAIL = 1e-4
"""Probability of as many misses as a feature has, or more, under detection curve and random misses together, below which
it is absent from the samples that lack it. Small, since thousands of features are looked at."""


@dataclass(frozen=True)
class DropoutModel:
    """Parameters of detection.

    Attributes
    ----------
    limit, width
        Of the detection curve, log2: half of the values at `limit` are missed for being weak.
    random
        Probability r of a random miss.
    absent
        Share of the units that neither explains.
    centre, spread
        Of the distribution of the features' means, log2.
    sd
        Typical standard deviation of a feature's values within a group.
    """

    limit: float
    width: float
    random: float
    absent: float
    centre: float
    spread: float
    sd: float

    def missed(self, mu: FloatArray, sd: FloatArray) -> FloatArray:
        """Probability that a value of a feature with this mean and standard deviation is missed for being weak."""
        return np.asarray(special.ndtr((self.limit - mu) / np.hypot(self.width, sd)))


@dataclass(frozen=True)
class Units:
    """What the model needs of each feature in each group; arrays have shape (n_units,)."""

    feature: IntArray
    group: IntArray
    n_seen: FloatArray
    n_missing: FloatArray
    mean: FloatArray


def units_of(X: FloatArray, groups: IntArray) -> Units:
    """Summarise a matrix, shape (n_samples, n_features), by feature and group; features never seen are left out."""
    feature, group, n_seen, n_missing, mean = [], [], [], [], []
    ever = np.isfinite(X).any(axis=0)
    for code in range(int(groups.max()) + 1):
        part = X[groups == code][:, ever]
        seen = np.isfinite(part)
        count = seen.sum(axis=0).astype(np.float64)
        sums = np.where(seen, part, 0.0).sum(axis=0)
        feature.append(np.flatnonzero(ever))
        group.append(np.full(int(ever.sum()), code))
        n_seen.append(count)
        n_missing.append(len(part) - count)
        mean.append(np.divide(sums, count, out=np.zeros_like(sums), where=count > 0))
    return Units(*(np.concatenate(parts) for parts in (feature, group, n_seen, n_missing, mean)))


def fit_dropout_model(X: FloatArray, groups: IntArray) -> DropoutModel:
    """Estimate the detection model from a matrix, shape (n_samples, n_features), NaN missing.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(24, 2, 800) + rng.normal(0, 0.4, (8, 800))
    >>> X[rng.random(X.shape) < special.ndtr((22 - X) / 0.7)] = np.nan
    >>> model = fit_dropout_model(X, np.zeros(8, dtype=int))
    >>> abs(model.limit - 22) < 0.4, model.random < 0.05
    (True, True)
    """
    everything = units_of(X, groups)
    own, sd = moderated_sd(X, groups)
    chosen = np.arange(len(everything.mean))
    if chosen.size > _MOST_UNITS:
        order = np.argsort(everything.mean, kind="stable")
        chosen = order[np.linspace(0, chosen.size - 1, _MOST_UNITS).round().astype(int)]
    n_seen, n_missing, mean = (
        column[chosen] for column in (everything.n_seen, everything.n_missing, everything.mean)
    )
    spread_of = own[everything.feature[chosen]][:, None]
    known = X[np.isfinite(X)]
    values = np.sort(known)[np.linspace(0, known.size - 1, min(known.size, 2000)).round().astype(int)]
    # Each chosen value stands for this many of the chosen units' values.
    weight = float(n_seen.sum()) / values.size
    low, high = float(known.min()), float(known.max())
    grid = np.linspace(low - 0.5 * (high - low), high, _GRID)
    away = -0.5 * n_seen[:, None] * ((mean[:, None] - grid) / spread_of) ** 2
    highest = away.max(axis=1)
    seen_here = np.exp(away - highest[:, None])
    n = n_seen + n_missing
    choose = special.gammaln(n + 1) - special.gammaln(n_seen + 1) - special.gammaln(n_missing + 1)
    # Random misses alone leave the grid term of a complete unit at one.
    lacking = np.flatnonzero(n_missing > 0)

    def loss(theta: FloatArray) -> float:
        limit, width = theta[0], np.exp(theta[1])
        random, absent = special.expit(theta[2]), special.expit(theta[3])
        centre, spread = theta[4], np.exp(theta[5])
        prior = _normal_on(grid, centre, spread)
        weak = special.ndtr((limit - grid) / np.hypot(width, spread_of[lacking]))
        gone = (random + (1 - random) * weak) ** n_missing[lacking, None]
        plain = seen_here @ prior
        curve = plain.copy()
        curve[lacking] = (seen_here[lacking] * gone) @ prior
        # An absent unit: seen in the samples that hold it, any number of which is as likely.
        detect = np.log1p(-random) + special.log_ndtr((values - limit) / width)
        typical = float(detect.mean())
        free = highest + np.log(np.maximum(plain, 1e-300)) - choose - np.log(n + 1) - n_seen * typical
        curve = highest + np.log(np.maximum(curve, 1e-300))
        each = np.logaddexp(np.log1p(-absent) + curve, np.log(absent) + free)
        # Weak priors keep flat directions in place: a table without missing values says nothing of the curve.
        held = ((theta[2] + 4) / 3) ** 2 + ((theta[3] + 5) / 1) ** 2 + ((theta[1] - np.log(sd)) / 1.5) ** 2
        return float(-(each.sum() + weight * detect.sum()) + 0.5 * held)

    starts = [
        np.array(
            [
                np.quantile(known, at),
                np.log(sd),
                -4.0,
                -5.0,
                np.median(known) - 0.5,
                np.log(max(float(np.std(known)), 0.1)),
            ]
        )
        for at in _STARTS
    ]
    bounds = [
        (low - 10.0, high), (np.log(0.05), np.log(10.0)), (-9.0, 2.0), (-9.0, -2.5), (low - 10.0, high),
        (np.log(0.1), np.log(20.0)),
    ]  # fmt: skip
    tries = [
        optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-8})
        for start in starts
    ]
    found = min(tries, key=lambda one: float(one.fun)).x
    return DropoutModel(
        float(found[0]), float(np.exp(found[1])), float(special.expit(found[2])), float(special.expit(found[3])),
        float(found[4]), float(np.exp(found[5])), sd,
    )  # fmt: skip


def _normal_on(grid: FloatArray, centre: float, spread: float) -> FloatArray:
    """Normal density on a grid, with sum one also where its centre lies far outside."""
    log_density = -0.5 * ((grid - centre) / spread) ** 2
    density = np.exp(log_density - log_density.max())
    return np.asarray(density / density.sum())


def moderated_sd(X: FloatArray, groups: IntArray) -> tuple[FloatArray, float]:
    """Standard deviation of each feature within groups, drawn towards the typical one; and the typical one."""
    squares, df = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for code in range(int(groups.max()) + 1):
        part = X[groups == code]
        seen = np.isfinite(part)
        count = seen.sum(axis=0)
        sums = np.where(seen, part, 0.0).sum(axis=0)
        mean = np.divide(sums, count, out=np.zeros_like(sums), where=count > 0)
        squares += np.where(seen, (part - mean) ** 2, 0.0).sum(axis=0)
        df += np.maximum(count - 1, 0)
    usable = df > 0
    typical = float(np.median(squares[usable] / df[usable])) if usable.any() else float(np.nanvar(X))
    typical = max(typical, 1e-4)
    return np.sqrt((_PRIOR_DF * typical + squares) / (_PRIOR_DF + df)), float(np.sqrt(typical))


@dataclass(frozen=True)
class Verdict:
    """Why the values of each feature are missing; arrays have shape (n_features,), NaN or "" without missing values.

    Attributes
    ----------
    share_weak
        Expected share of the feature's missing values that are missing for being weak or absent.
    kind
        ``random``, ``weak`` or ``absent``.
    draw
        A value for each cell under "missed for being weak", shape (n_samples, n_features).
    """

    share_weak: FloatArray
    kind: npt.NDArray[np.object_]
    draw: FloatArray


def judge(X: FloatArray, groups: IntArray, model: DropoutModel, rng: np.random.Generator) -> Verdict:
    """Decide for every feature why values are missing, and draw what the weak ones may have been.

    A feature is ``absent`` where it lacks more values than curve and random misses together allow (in a group that other
    groups or samples outdo), ``weak`` where most of its misses are due to the curve, else ``random``. Draws for weak
    values come from the feature's own distribution under the condition that the value was missed.
    """
    found = units_of(X, groups)
    own, _ = moderated_sd(X, groups)
    sd = own[found.feature]
    low, high = float(np.nanmin(X)), float(np.nanmax(X))
    grid = np.linspace(low - 0.5 * (high - low), high, _GRID)
    weak = model.missed(grid, sd[:, None])
    gone = model.random + (1 - model.random) * weak
    log_post = (
        -0.5 * found.n_seen[:, None] * ((found.mean[:, None] - grid) / sd[:, None]) ** 2
        + found.n_missing[:, None] * np.log(np.clip(gone, 1e-12, 1.0))
        - 0.5 * ((grid - model.centre) / model.spread) ** 2
    )
    post = np.exp(log_post - special.logsumexp(log_post, axis=1, keepdims=True))
    share = np.sum(post * (weak * (1 - model.random) / gone), axis=1)
    # Misses beyond what the observed values themselves make likely: the feature is not there.
    n = found.n_seen + found.n_missing
    at = np.where(found.n_seen > 0, found.mean, model.limit)
    expected = model.random + (1 - model.random) * model.missed(at, sd)
    tail = np.where(
        found.n_missing > 0, special.betainc(np.maximum(found.n_missing, 1), found.n_seen + 1, expected), 1.0
    )
    absent = (tail < _ABSENT_TAIL) & (found.n_seen > 0)
    p = X.shape[1]
    # A group that lacks a feature altogether: judged by the abundance that the feature has in the others.
    best = np.full(p, -np.inf)
    np.maximum.at(best, found.feature[found.n_seen > 0], found.mean[found.n_seen > 0])
    empty = found.n_seen == 0
    there = best[found.feature]
    expected_there = model.random + (1 - model.random) * model.missed(
        np.where(np.isfinite(there), there, model.limit), sd
    )
    absent |= empty & (expected_there**n < _ABSENT_TAIL)
    lost = np.zeros(p)
    np.add.at(lost, found.feature, found.n_missing)
    due = np.zeros(p)
    np.add.at(due, found.feature, found.n_missing * np.where(absent, 1.0, share))
    any_absent = np.zeros(p, dtype=bool)
    np.logical_or.at(any_absent, found.feature, absent)
    share_weak = np.divide(due, lost, out=np.full(p, np.nan), where=lost > 0)
    kind = np.where(
        lost > 0, np.where(any_absent, "absent", np.where(share_weak > 0.5, "weak", "random")), ""
    )
    mu_of = np.full(X.shape, np.nan)
    sd_of = np.broadcast_to(own, X.shape).copy()
    reached = np.cumsum(post, axis=1)
    step = grid[1] - grid[0]
    uniform, within = rng.random(X.shape), rng.random(X.shape) - 0.5
    for code in range(int(groups.max()) + 1):
        rows, here = np.flatnonzero(groups == code), np.flatnonzero(found.group == code)
        features = found.feature[here]
        for row in rows:
            # A mean of its own for each cell: what is not known of a feature must show between its filled values.
            place = (reached[here] < uniform[row, features, None]).sum(axis=1).clip(max=_GRID - 1)
            mu_of[row, features] = grid[place] + step * within[row, features]
        lost_here = features[absent[here]]
        mu_of[np.ix_(rows, lost_here)] = model.limit
        sd_of[np.ix_(rows, lost_here)] = np.hypot(model.width, own[lost_here])
    return Verdict(share_weak, kind.astype(object), _missed_draws(mu_of, sd_of, model, rng))


def _missed_draws(
    mu: FloatArray, sd: FloatArray, model: DropoutModel, rng: np.random.Generator
) -> FloatArray:
    """Draw x ~ N(mu, sd^2) given that it was missed for being weak, one for each cell.

    Missed means ``x + width e < limit`` with e standard normal; the sum is drawn below the limit first, then x given it.
    """
    total = np.hypot(model.width, sd)
    top = np.maximum(special.ndtr((model.limit - mu) / total), 1e-12)
    noisy = mu + total * special.ndtri(np.clip(rng.random(mu.shape) * top, 1e-300, 1 - 1e-12))
    share = sd**2 / total**2
    rest = sd * model.width / total
    return np.asarray(mu + share * (noisy - mu) + rest * rng.standard_normal(mu.shape))
