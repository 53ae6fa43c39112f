"""Cox regression of thousands of features at once: the numerical core of the survival screen.

Cox 1972, J R Stat Soc B 34:187; tied events by Efron 1977, J Am Stat Assoc 72:557. Every feature has a model of its
own (the feature, scaled to a standard deviation of one, and covariates that all models share) on the samples in which
it was observed. Newton's method runs for a block of features together: samples are sorted by time within strata, so
sums over risk sets are cumulative sums down the rows, and for features in columns they are vector operations.

With weights ``w_j = exp(eta_j)``, events e and their Efron-adjusted denominators ``S0_e``, the observed information
is ``sum_j w_j c_j v_j v_j' - sum_e S1_e S1_e' / S0_e^2`` with ``c_j = sum_e 1 / S0_e`` over the events at which j was
at risk: only first moments are needed by event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.survival.risk_sets import RiskSets, risk_sets

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_CHUNK_NUMBERS = 2**15
"""Numbers in one array of a block of features: what stays in the processor's cache."""
_MAX_ITERATIONS = 40
_LARGEST_STEP = 3.0
"""Largest change of a coefficient (per standard deviation) in one step."""
_DIVERGED = 15.0
"""Absolute coefficient per standard deviation beyond which the likelihood has no maximum: the feature separates
events from the rest."""
_SINGULAR = 1e-9


@dataclass(frozen=True)
class CoxFit:
    """Cox models of one feature each; arrays have shape (features,), NaN where a model cannot be estimated.

    Attributes
    ----------
    effect, se
        Log hazard ratio per standard deviation of the feature, and its standard error.
    sd
        Standard deviation of the feature over the samples used.
    log_likelihood
        Partial log likelihood at the estimate.
    n, n_events
        Observed samples and events among them.
    converged
        False where the likelihood has no maximum (the feature separates the events from the rest).
    hazard_slope, hazard_statistic
        Change of the log hazard ratio (per standard deviation) with the time transform by one score step, and the
        score statistic of that change (chi-squared, one degree of freedom); NaN unless asked for.
    null_log_likelihood
        Of the model without the feature on the same samples; NaN unless asked for.
    """

    effect: FloatArray
    se: FloatArray
    sd: FloatArray
    log_likelihood: FloatArray
    n: IntArray
    n_events: IntArray
    converged: BoolArray
    hazard_slope: FloatArray
    hazard_statistic: FloatArray
    null_log_likelihood: FloatArray


def fit_cox(
    values: FloatArray,
    time: FloatArray,
    event: BoolArray,
    stratum: IntArray | None = None,
    covariates: FloatArray | None = None,
    *,
    min_events: int = 2,
    hazard_time: FloatArray | None = None,
    without_feature: bool = False,
) -> CoxFit:
    """Fit a Cox model of every feature.

    Parameters
    ----------
    values
        Shape (features, samples); NaN is missing.
    time, event, stratum
        Outcome, shape (samples,).
    covariates
        Shape (samples, columns), finite, best centred and scaled.
    min_events
        Features with fewer events among their observed samples are not fitted.
    hazard_time
        Transformed time of each sample, shape (samples,), for the proportional-hazards check; None leaves it out.
    without_feature
        Also fit the models without the feature, for likelihood ratios.

    Returns
    -------
    CoxFit

    Notes
    -----
    The check is the score test of a coefficient of ``x g(t)`` (Grambsch & Therneau 1994, Biometrika 81:515, in the
    exact form without averaging the variance over events).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(1, 200))
    >>> time = rng.exponential(np.exp(-0.7 * x[0]))
    >>> fit = fit_cox(x, time, np.ones(200, dtype=bool))
    >>> bool(abs(fit.effect[0] - 0.7) < 2 * fit.se[0])
    True
    """
    n_samples = len(time)
    stratum = np.zeros(n_samples, dtype=np.intp) if stratum is None else stratum
    z = np.zeros((n_samples, 0)) if covariates is None else covariates
    sets = risk_sets(time, event, stratum, z)
    null = _null_coefficients(sets)
    transformed = None if hazard_time is None else hazard_time[sets.order][sets.events]
    step = max(1, _CHUNK_NUMBERS // max(1, n_samples))
    parts = [
        _fit_block(
            values[start : start + step, sets.order].T, sets, null, min_events, transformed, without_feature
        )
        for start in range(0, max(len(values), 1), step)
    ]
    return CoxFit(*(np.concatenate([part[i] for part in parts]) for i in range(10)))


def _null_coefficients(sets: RiskSets) -> FloatArray:
    """Coefficients of the covariates in the model without a feature: where every model starts."""
    width = sets.covariates.shape[1]
    if not width:
        return np.zeros(0)
    nothing = np.zeros((len(sets.order), 1))
    block = _Block(nothing, np.ones_like(nothing, dtype=bool), sets, with_feature=False)
    beta, _, _, fine = newton(block, np.zeros((1, width)))
    return beta[0] if fine[0] else np.zeros(width)


def _fit_block(
    x: FloatArray,
    sets: RiskSets,
    null: FloatArray,
    min_events: int,
    transformed: FloatArray | None,
    without_feature: bool,
) -> tuple[npt.NDArray[np.generic], ...]:
    mask = np.isfinite(x)
    n = mask.sum(axis=0)
    n_events = mask[sets.events].sum(axis=0)
    filled = np.where(mask, x, 0.0)
    mean = filled.sum(axis=0) / np.maximum(n, 1)
    away = np.where(mask, filled - mean, 0.0)
    sd = np.sqrt((away**2).sum(axis=0) / np.maximum(n - 1, 1))
    testable = (
        (n_events >= max(min_events, 1)) & (n > 1 + len(null)) & (sd > 1e-12 * np.maximum(1.0, np.abs(mean)))
    )
    rows = np.flatnonzero(testable)
    results = [np.full(len(n), np.nan) for _ in range(6)]
    effect, se, log_likelihood, slope, statistic, below = results
    converged = np.ones(len(n), dtype=bool)
    if len(rows):
        block = _Block(away[:, rows] / sd[rows], mask[:, rows], sets)
        start = np.concatenate([np.zeros((len(rows), 1)), np.tile(null, (len(rows), 1))], axis=1)
        beta, height, information, fine = newton(block, start)
        covariance = _inverse(information)
        good = fine & (covariance[:, 0, 0] > 0)
        converged[rows] = good
        kept = rows[good]
        effect[kept], log_likelihood[kept] = beta[good, 0], height[good]
        se[kept] = np.sqrt(covariance[good, 0, 0])
        if transformed is not None:
            drift, score = block.hazard_check(beta, information, transformed)
            slope[kept], statistic[kept] = drift[good], score[good]
        if without_feature:
            empty = _Block(np.zeros_like(block.x), block.mask, sets, with_feature=False)
            if len(null):
                below[kept] = newton(empty, np.tile(null, (len(rows), 1)))[1][good]
            else:
                below[kept] = empty.derivatives(np.zeros((len(rows), 0)))[0][good]
    sd = np.where(testable, sd, np.nan)
    return effect, se, sd, log_likelihood, n, n_events, converged, slope, statistic, below


def newton(block: _Block, start: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Maximise the partial likelihood of every feature of a block.

    Returns
    -------
    beta, log_likelihood, information, fine : ndarray
        Shapes (features, p), (features,), (features, p, p), (features,); `fine` is False where there is no maximum.
    """
    n, width = start.shape
    beta, step = start.copy(), np.zeros_like(start)
    height = np.full(n, -np.inf)
    information = np.zeros((n, width, width))
    fine, active = np.zeros(n, dtype=bool), np.arange(n)
    part = block
    for _ in range(_MAX_ITERATIONS):
        now, score, curved = part.derivatives(beta[active])
        worse = now < height[active] - 1e-9 * (1.0 + np.abs(height[active]))
        better = active[~worse]
        height[better], information[better] = now[~worse], curved[~worse]
        fresh = _solve(curved[~worse], score[~worse])
        largest = np.abs(fresh).max(axis=1, initial=0.0)
        fresh *= np.minimum(1.0, _LARGEST_STEP / np.maximum(largest, 1e-300))[:, None]
        step[better] = fresh
        step[active[worse]] *= -0.5  # back to half of the step before
        beta[active] += step[active]
        step[active[worse]] *= -1.0
        done = np.zeros(len(active), dtype=bool)
        done[~worse] = largest < 1e-9
        fine[active[done]] = True
        lost = np.abs(beta[active]).max(axis=1, initial=0.0) > _DIVERGED
        fine[active[lost]] = False
        keep = ~(done | lost)
        if not keep.any():
            break
        if keep.sum() < 0.7 * len(active):
            part = part.take(np.flatnonzero(keep))
            active = active[keep]
    return beta, height, information, fine & (np.abs(beta).max(axis=1, initial=0.0) <= _DIVERGED)


class _Block:
    """Derivatives of the partial likelihood for a block of features; samples in rows, features in columns."""

    def __init__(self, x: FloatArray, mask: BoolArray, sets: RiskSets, with_feature: bool = True) -> None:
        self.x, self.mask, self.sets, self.with_feature = x, mask, sets, with_feature
        self.complete = bool(mask.all())
        z, events = sets.covariates, sets.events
        self.z = z
        self.pairs = [(i, j) for i in range(z.shape[1]) for j in range(i, z.shape[1])]
        self.products = (
            np.stack([z[:, i] * z[:, j] for i, j in self.pairs], axis=1) if self.pairs else z[:, :0]
        )
        self.seen_event = mask[events].astype(np.float64)  # (K, features)
        self.x_events = x[events]
        self.sum_events = (self.x_events * self.seen_event).sum(axis=0)
        self.z_events = self.seen_event.T @ z[events]
        self.fraction: FloatArray | None = None
        if sets.n_ties:
            self.tied = np.flatnonzero(sets.tie >= 0)
            group = sets.tie[self.tied]
            self.group_start = np.flatnonzero(np.r_[True, np.diff(group) != 0])
            self.group_of = group
            inside = self.seen_event[self.tied]
            total = np.add.reduceat(inside, self.group_start, axis=0)[group]
            running = np.cumsum(inside, axis=0)
            before = running - inside
            offset = before[self.group_start][group]
            self.fraction = (before - offset) / np.maximum(total, 1.0)

    def take(self, columns: IntArray) -> _Block:
        """Some of the features."""
        return _Block(self.x[:, columns], self.mask[:, columns], self.sets, self.with_feature)

    def _weights(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Linear predictor (its largest value taken off) and its exponential, shape (samples, features)."""
        if self.with_feature:
            eta = self.x * beta[:, 0]
            if self.z.shape[1]:
                eta += self.z @ beta[:, 1:].T
        else:
            eta = self.z @ beta.T
        eta -= eta.max(axis=0)
        w = np.exp(eta)
        if not self.complete:
            w *= self.mask
        return eta, w

    def _at_risk(self, weighted: FloatArray) -> FloatArray:
        """Sums over the risk set of each event, tied events taken off by Efron's share; shape (K, features)."""
        sums = np.empty_like(weighted)
        for start, stop in self.sets.segments:
            np.cumsum(weighted[start:stop][::-1], axis=0, out=sums[start:stop][::-1])
        found = sums[self.sets.first]
        if self.fraction is not None:
            inside = weighted[self.sets.events[self.tied]]
            total = np.add.reduceat(inside, self.group_start, axis=0)[self.group_of]
            found[self.tied] -= self.fraction * total
        return np.asarray(found)

    def _exposure(self, rate: FloatArray) -> FloatArray:
        """Sum of the rates of the events at which each sample was at risk; shape (samples, features)."""
        spread = np.zeros((len(self.sets.order), rate.shape[1]))
        spread[self.sets.events] = rate
        for start, stop in self.sets.segments:
            np.cumsum(spread[start:stop], axis=0, out=spread[start:stop])
        c = spread[self.sets.last]
        if self.fraction is not None:
            taken = np.add.reduceat(self.fraction * rate[self.tied], self.group_start, axis=0)[self.group_of]
            c[self.sets.events[self.tied]] -= taken
        return np.asarray(c)

    def _first_moments(self, w: FloatArray) -> list[FloatArray]:
        moments = [self._at_risk(w * self.x)] if self.with_feature else []
        return moments + [self._at_risk(w * self.z[:, i : i + 1]) for i in range(self.z.shape[1])]

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log likelihood, score and information: shapes (features,), (features, p), (features, p, p)."""
        eta, w = self._weights(beta)
        s0 = self._at_risk(w)
        # An event that was not observed counts nothing, whoever is at risk.
        s0 = np.where(self.seen_event > 0, np.maximum(s0, 1e-300), 1.0)
        height = (self.seen_event * (eta[self.sets.events] - np.log(s0))).sum(axis=0)
        rate = self.seen_event / s0
        a = w * self._exposure(rate)
        means = [moment / s0 for moment in self._first_moments(w)]
        if not self.complete:
            means = [mean * self.seen_event for mean in means]
        offset = int(self.with_feature)
        width = offset + self.z.shape[1]
        score = np.empty((len(beta), width))
        information = np.empty((len(beta), width, width))
        if self.with_feature:
            ax = a * self.x
            score[:, 0] = self.sum_events - ax.sum(axis=0)
            information[:, 0, 0] = np.einsum("sf,sf->f", ax, self.x)
            information[:, 0, 1:] = ax.T @ self.z
        if self.z.shape[1]:
            score[:, offset:] = self.z_events - a.T @ self.z
            crossed = a.T @ self.products
            for number, (i, j) in enumerate(self.pairs):
                information[:, offset + i, offset + j] = crossed[:, number]
        for i in range(width):
            for j in range(i, width):
                information[:, i, j] -= np.einsum("kf,kf->f", means[i], means[j])
                information[:, j, i] = information[:, i, j]
        return height, score, information

    def hazard_check(
        self, beta: FloatArray, information: FloatArray, transformed: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Drift of the feature's coefficient with time: one-step slope, and score statistic (chi-squared, 1)."""
        _, w = self._weights(beta)
        s0 = self._at_risk(w)
        s0 = np.where(self.seen_event > 0, np.maximum(s0, 1e-300), 1.0)
        means = [moment / s0 for moment in self._first_moments(w)]
        counts = np.maximum(self.seen_event.sum(axis=0), 1.0)
        g = transformed[:, None] - (transformed[:, None] * self.seen_event).sum(axis=0) / counts
        g = g * self.seen_event
        score = (g * (self.x_events - means[0])).sum(axis=0)
        wx = w * self.x
        seconds = [self._at_risk(wx * self.x)]
        seconds += [self._at_risk(wx * self.z[:, i : i + 1]) for i in range(self.z.shape[1])]
        spread = [second / s0 - means[0] * mean for second, mean in zip(seconds, means, strict=True)]
        across = np.stack([(g * one).sum(axis=0) for one in spread], axis=1)  # (features, p)
        own = (g * g * spread[0]).sum(axis=0)
        left = own - np.einsum("fi,fi->f", across, _solve(information, across))
        fine = left > 1e-10 * np.maximum(own, 1e-300)
        safe = np.where(fine, left, 1.0)
        return np.where(fine, score / safe, np.nan), np.where(fine, score**2 / safe, np.nan)


def _guarded(matrices: FloatArray) -> FloatArray:
    """The matrices, with those that are singular replaced by NaN-giving ones."""
    if not len(matrices):
        return matrices
    finite = np.asarray(np.isfinite(matrices).all(axis=(1, 2)), dtype=bool)
    safe = np.where(finite[:, None, None], matrices, 0.0)
    roots = np.linalg.eigvalsh(safe)
    fine = finite & (roots[:, 0] > _SINGULAR * np.maximum(roots[:, -1], 1e-300))
    return np.where(fine[:, None, None], safe, np.eye(matrices.shape[1]) * 1e300)


def _solve(matrices: FloatArray, right: FloatArray) -> FloatArray:
    """Solutions of many small systems; 0 where one is singular."""
    if not right.size:
        return np.zeros_like(right)
    return np.asarray(np.linalg.solve(_guarded(matrices), right[:, :, None])[:, :, 0])


def _inverse(matrices: FloatArray) -> FloatArray:
    """Inverses of many small matrices; 0 where one is singular."""
    if not len(matrices):
        return matrices
    inverse = np.linalg.inv(_guarded(matrices))
    return np.asarray(np.where(np.abs(inverse) < 1e-290, 0.0, inverse))
