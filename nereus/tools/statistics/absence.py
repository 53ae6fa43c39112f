"""Presence against absence with few replicates, judged by the dropout that the table itself shows.

With three replicates a side no exact test of detection can be significant (the smallest Fisher p is 0.1).
But the table itself shows how often a feature that was seen in every sample of one group escapes in the
other, as a function of its abundance: nearly all features do not change, so their misses are dropout. The
count K of samples of the other group in which such a feature is seen is modelled as

    K ~ (1 - pi) BetaBinomial(n; logit mean = a + b level, overdispersion rho) + pi Uniform{0, ..., n - 1},

where `level` is the feature's mean abundance in the group that has it. The overdispersion holds what
replicates of a group share; the second component holds features that are truly absent or reduced, so that
they do not bend the curve. The p-value is the lower tail of the first component. The counts are discrete
and most features could never reach a small p, so q-values use the sum of the attainable null probabilities
(Heyse 2011: discrete Benjamini-Hochberg).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_BINS = 80
_SLOPES = (0.5, 1.5)
"""Starting slopes of the curve, logits a log2 unit."""
_MIXING_PRIOR = (-5.0, 2.0)
"""Mean and standard deviation of logit(pi): truly absent features are rare by default."""


@dataclass(frozen=True)
class DropoutCurve:
    """Distribution of the number of detections of an unchanged feature.

    Attributes
    ----------
    intercept, slope
        Of the logit of the detection probability over the level (log2), slope >= 0.
    overdispersion
        rho of the beta-binomial, in (0, 1).
    changed
        Share pi of the features that the dropout curve does not explain.
    """

    intercept: float
    slope: float
    overdispersion: float
    changed: float

    def at_most(self, k: npt.ArrayLike, n: int, level: FloatArray) -> FloatArray:
        """``P(K <= k)`` for features at `level` (log2)."""
        counts = np.asarray(k)
        return np.asarray(
            sum(
                np.where(j <= counts, np.exp(self.log_mass(np.float64(j), n, level)), 0.0)
                for j in range(n + 1)
            )
        )

    def log_mass(self, k: npt.ArrayLike, n: int, level: FloatArray) -> FloatArray:
        """``log P(K = k)`` of an unchanged feature."""
        return _log_beta_binomial(
            np.asarray(k, float), n, special.expit(self.intercept + self.slope * level), self.overdispersion
        )

    def half_detection(self) -> float:
        """Level (log2) at which an unchanged feature is seen in every second sample; NaN for a flat curve."""
        return -self.intercept / self.slope if self.slope > 1e-6 else float("nan")


@dataclass(frozen=True)
class AbsenceTest:
    """Test of absence of each feature; arrays have shape (features,), NaN where not tested.

    Attributes
    ----------
    p, q
        p-value of the direction in which the feature was seen throughout; discrete Benjamini-Hochberg
        q-value.
    difference
        Detection rate in a minus rate in b.
    level
        Mean log2 abundance in the group that has the feature.
    curve
        Fitted dropout curve.
    """

    p: FloatArray
    q: FloatArray
    difference: FloatArray
    level: FloatArray
    curve: DropoutCurve


def absence_test(
    values: FloatArray, in_a: BoolArray, in_b: BoolArray, *, min_difference: float = 2 / 3
) -> AbsenceTest | None:
    """Test every feature that is seen in all samples of one group for being missing from the other.

    Parameters
    ----------
    values
        log2 abundances, shape (features, samples); NaN is missing.
    in_a, in_b
        Samples of the two groups, shape (samples,).
    min_difference
        Least difference of the detection rates that counts as absence.

    Returns
    -------
    AbsenceTest
        None where nothing is missing, or where a group has fewer than two samples: there is no curve to fit.
    """
    groups = [(in_a, in_b), (in_b, in_a)]
    if min(in_a.sum(), in_b.sum()) < 2:
        return None
    level, count, size, feature = [], [], [], []
    for here, there in groups:
        throughout = np.flatnonzero(np.isfinite(values[:, here]).all(axis=1))
        level.append(values[throughout][:, here].mean(axis=1))
        count.append(np.isfinite(values[throughout][:, there]).sum(axis=1))
        size.append(np.full(len(throughout), int(there.sum())))
        feature.append(throughout)
    levels, counts, sizes = np.concatenate(level), np.concatenate(count), np.concatenate(size)
    features = np.concatenate(feature)
    if not len(levels) or (counts == sizes).all():
        return None
    curve = fit_dropout(levels, counts, sizes)
    n_features = len(values)
    p, q = np.full(n_features, np.nan), np.full(n_features, np.nan)
    each = np.ones(len(levels))
    attainable: list[FloatArray] = []
    for n in np.unique(sizes):
        rows = sizes == n
        reach = int(np.floor(n * (1.0 - min_difference) + 1e-9))
        tails = np.stack(
            [curve.at_most(k, int(n), levels[rows]) for k in range(min(reach, int(n) - 1) + 1)], axis=1
        )
        attainable.append(
            np.pad(tails, ((0, 0), (0, int(sizes.max()) - tails.shape[1])), constant_values=np.inf)
        )
        few = counts[rows] <= min(reach, int(n) - 1)
        each[np.flatnonzero(rows)[few]] = tails[np.flatnonzero(few), counts[rows][few]]
    q_each = discrete_benjamini_hochberg(each, np.concatenate(attainable))
    # A feature seen throughout both groups is in both directions with p = 1.
    order = np.argsort(-each, kind="stable")
    p[features[order]], q[features[order]] = each[order], q_each[order]
    seen = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        difference = seen[:, in_a].mean(axis=1) - seen[:, in_b].mean(axis=1)
    at = np.full(n_features, np.nan)
    at[features[order]] = levels[order]
    return AbsenceTest(p, q, np.where(np.isfinite(p), difference, np.nan), at, curve)


def discrete_benjamini_hochberg(p: FloatArray, attainable: FloatArray) -> FloatArray:
    """q-values of discrete tests: expected null p-values below a threshold over those observed there.

    Parameters
    ----------
    p
        Attained p-values, shape (tests,).
    attainable
        p-values that each test can attain, shape (tests, outcomes), ascending, ``inf`` where there are no
        more.

    Notes
    -----
    Heyse 2011, "A false discovery rate procedure for categorical data": under the null a test attains ``p
    <= c`` with probability equal to its largest attainable p-value that is no larger than c.
    """
    steps = np.sort(attainable, axis=1)
    jumps = np.diff(
        np.concatenate([np.zeros((len(steps), 1)), np.where(np.isfinite(steps), steps, np.nan)], axis=1),
        axis=1,
    )
    where, weight = steps[np.isfinite(steps)], jumps[np.isfinite(steps)]
    order = np.argsort(where, kind="stable")
    expected = np.concatenate([[0.0], np.cumsum(weight[order])])
    by_p = np.argsort(p, kind="stable")
    thresholds = p[by_p]
    false = expected[np.searchsorted(where[order], thresholds * (1 + 1e-12), side="right")]
    found = np.searchsorted(thresholds, thresholds * (1 + 1e-12), side="right")
    ratio = np.where(thresholds < 1.0, false / np.maximum(found, 1), 1.0)
    q = np.empty(len(p))
    q[by_p] = np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)
    return q


def fit_dropout(level: FloatArray, count: npt.NDArray[np.int_], size: npt.NDArray[np.int_]) -> DropoutCurve:
    """Fit the mixture by maximum likelihood (with a weak prior on the mixing share) on binned levels.

    Parameters
    ----------
    level, count, size
        Mean abundance where seen, detections in the other group and that group's size, shape (pairs,).
    """
    middle = float(np.median(level))
    edges = np.unique(np.quantile(level, np.linspace(0, 1, _BINS + 1)))
    # Quantile bins are coarse where misses happen, at the low end: there, every pair stands for itself.
    bin_of = np.searchsorted(edges[1:-1], level, side="right")
    missed = count < size
    own = len(edges) + np.arange(len(level))
    key = np.where(missed, own, bin_of)
    _, first, inverse = np.unique(
        np.stack([key, count, size]), axis=1, return_index=True, return_inverse=True
    )
    inverse = np.asarray(inverse).ravel()
    weight = np.bincount(inverse).astype(float)
    at = np.bincount(inverse, weights=level) / weight - middle
    k, n = count[first].astype(float), size[first].astype(float)
    uniform = np.where(k < n, -np.log(n), -np.inf)

    def loss(theta: FloatArray) -> float:
        rho, pi = special.expit(theta[2]), special.expit(theta[3])
        unchanged = _log_beta_binomial(k, n, special.expit(theta[0] + np.exp(theta[1]) * at), rho)
        both = np.logaddexp(np.log1p(-pi) + unchanged, np.log(pi) + uniform)
        centre, spread = _MIXING_PRIOR
        return float(-(weight @ both) + 0.5 * ((theta[3] - centre) / spread) ** 2)

    bounds = [(-10.0, 20.0), (np.log(1e-3), np.log(10.0)), (-4.5, 3.0), (-12.0, 0.0)]
    tries = [
        optimize.minimize(loss, np.array([4.0, np.log(slope), -1.0, -5.0]), method="L-BFGS-B", bounds=bounds)
        for slope in _SLOPES
    ]
    best = min(tries, key=lambda fit: float(fit.fun)).x
    slope = float(np.exp(best[1]))
    return DropoutCurve(
        float(best[0]) - slope * middle, slope, float(special.expit(best[2])), float(special.expit(best[3]))
    )


def _log_beta_binomial(k: FloatArray, n: npt.ArrayLike, mean: FloatArray, rho: float) -> FloatArray:
    inside = np.clip(mean, 1e-9, 1 - 1e-9)
    a, b = inside * (1.0 - rho) / rho, (1.0 - inside) * (1.0 - rho) / rho
    m = np.asarray(n, float)
    ways = special.gammaln(m + 1) - special.gammaln(k + 1) - special.gammaln(m - k + 1)
    return np.asarray(special.betaln(k + a, m - k + b) - special.betaln(a, b) + ways)
