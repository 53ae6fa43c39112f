"""Survival screen: whose abundance goes with the hazard, by a Cox regression of every feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from anndata import AnnData
from pydantic import Field
from scipy import special

from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.resampling import (
    SMALL_STRATUM,
    Tested,
    drawn_units,
    null_values,
    stability_share,
)
from nereus.tools.statistics.residuals import residuals
from nereus.tools.statistics.result_table import Estimates, result_table
from nereus.tools.statistics.self_planting import planted_confidence
from nereus.tools.statistics.survival.cox import CoxFit, fit_cox
from nereus.tools.statistics.survival.hazards import TimeTransform, transformed_time
from nereus.tools.statistics.survival.outcome import Outcome, OutcomeParams, outcome_values, read_outcome

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_NORMAL_975 = 1.959963984540054


class SurvivalParams(OutcomeParams):
    """Parameters of `survival_screen`."""

    test: Literal["wald", "likelihood_ratio"] = "wald"
    """``wald`` agrees with the confidence interval, ``likelihood_ratio`` is the safer one with few events."""
    transform: TimeTransform = "km"
    """Scale of time on which the proportional-hazards check looks for a drift."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which features are counted as significant."""
    n_permutations: int = Field(default=0, ge=0, le=10_000)
    """Times that the patients' outcomes are exchanged, for the null distribution of the number of findings."""
    n_subsamples: int = Field(default=0, ge=0, le=1000)
    """Half-samples of the patients, for the column ``stability``."""
    n_plantings: int = Field(default=0, ge=0, le=100)
    """Copies with planted effects, for the column ``confidence``; see `planted_confidence`."""


@dataclass(frozen=True)
class SurvivalTest:
    """Arrays of a survival screen.

    Attributes
    ----------
    values
        log2 abundances of the samples used, shape (features, samples); NaN is missing.
    outcome
        Their outcome.
    params
        How it is tested.
    """

    values: FloatArray
    outcome: Outcome
    params: SurvivalParams

    def fit(self, hazard_time: FloatArray | None = None) -> CoxFit:
        """Cox model of every feature."""
        o = self.outcome
        return fit_cox(
            self.values,
            o.time,
            o.event,
            o.stratum,
            o.covariates,
            min_events=self.params.min_events,
            hazard_time=hazard_time,
            without_feature=self.params.test == "likelihood_ratio",
        )

    def p_values(self, fit: CoxFit) -> tuple[FloatArray, FloatArray]:
        """Statistic (z, or its signed likelihood-ratio counterpart) and two-sided p-value."""
        if self.params.test == "wald":
            z = fit.effect / fit.se
        else:
            ratio = np.maximum(2.0 * (fit.log_likelihood - fit.null_log_likelihood), 0.0)
            z = np.sign(fit.effect) * np.sqrt(ratio)
        return z, np.asarray(2.0 * special.ndtr(-np.abs(z)))

    def tested(self) -> Tested:
        """Run the test."""
        fit = self.fit()
        return Tested(fit.effect, self.p_values(fit)[1])

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[SurvivalTest]:
        """Patients' abundances exchanged within strata, after the covariates' share was taken off.

        Outcome and covariates of a patient stay together, and so do the abundances of a patient (Potter 2005,
        Stat Med 24:693: permutation of the tested regressor's residuals).
        """
        o = self.outcome
        values = self.values
        if o.covariates.shape[1]:
            values = residuals(values, np.column_stack([np.ones(len(o.time)), o.covariates]))
        for _ in range(n):
            order = np.arange(len(o.time))
            for code in np.unique(o.stratum):
                rows = np.flatnonzero(o.stratum == code)
                order[rows] = rng.permutation(rows)
            yield replace(self, values=np.ascontiguousarray(values[:, order]))

    def planted(self, rows: IntArray, size: FloatArray) -> SurvivalTest:
        """Abundances moved along the residual of a Cox model without features.

        The residual (event seen minus event expected, by stratum) is what the score test weighs abundances by: its
        squares sum to about the number of events, and as much of it as `size` over the root of that, in standard
        deviations, moves z by `size`.
        """
        o = self.outcome
        residual = o.event - _expected_events(o)
        if o.covariates.shape[1]:
            residual = residuals(residual[None, :], np.column_stack([np.ones(len(o.time)), o.covariates]))[0]
        values = self.values.copy()
        seen = np.isfinite(values[rows])
        events = np.maximum((seen * o.event).sum(axis=1), 1.0)
        sd = np.nanstd(values[rows], axis=1)
        values[rows] += (size * sd / np.sqrt(events))[:, None] * residual
        return replace(self, values=values)

    def subsamples(self, n: int, rng: np.random.Generator) -> Iterator[SurvivalTest]:
        """Halves of the patients, drawn among those with an event and those without (within strata where large)."""
        o = self.outcome
        cells = o.stratum * 2 + o.event
        if min(np.unique(cells, return_counts=True)[1]) < SMALL_STRATUM:
            cells = o.event.astype(np.intp)
        if min(np.unique(cells, return_counts=True)[1]) < SMALL_STRATUM:
            cells = np.zeros(len(o.time), dtype=np.intp)
        least = self.params.model_copy(update={"min_events": max(2, self.params.min_events // 2)})
        for rows in drawn_units(cells, n, rng):
            yield replace(
                self, values=np.ascontiguousarray(self.values[:, rows]), outcome=o.take(rows), params=least
            )


@tool(
    "survival_screen",
    version="3",
    summary="Whose abundance goes with the hazard: Cox regression of every feature with covariates and strata.",
    outputs=("table:survival",),
    seconds=1.0,
)
def survival_screen(dataset: AnnData, params: SurvivalParams, *, seed: int) -> Result:
    """Fit a Cox proportional-hazards model of every feature.

    Each model holds one feature, as a continuous value scaled to a standard deviation of one, the covariates, and
    baseline hazards by stratum, on the samples in which the feature was observed. Ties follow Efron.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples (one a subject), var = features.
    params
        See `SurvivalParams`.
    seed
        Of permutations and subsamples.

    Returns
    -------
    Result
        Table ``survival``: the columns of every test table with effect = log hazard ratio per standard deviation
        (above 0: more of it, higher hazard), statistic = z, n_a = samples with a value and n_b = 0; then
        ``hazard_ratio``, ``hr_low``, ``hr_high`` (95 %), ``n``, ``events`` (among samples with a value), ``slope``
        (log hazard ratio per log2 unit), ``hazards_p`` (proportional-hazards check, small: the effect drifts with
        time) ``stability`` and
        ``confidence`` (NaN unless asked for). Values: n_tested, n_significant, n_positive, n_negative,
        n_samples, n_events, event_levels, censored_levels, n_separated, n_drifting, null_mean, null_p95,
        null_p_value, n_permutations, n_subsamples ...

    Raises
    ------
    InputError
        As `read_outcome`: times not above 0, unknown event coding, no or too few events, repeated subjects.

    Notes
    -----
    Cox 1972; Efron 1977; check by Grambsch & Therneau 1994. With few events Wald's p-values are a little too large
    in the tails. No cut-point is sought: a split chosen by its own p-value would not be a test.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 1, size=(80, 30))
    >>> days = rng.exponential(300 * np.exp(-(X[:, 0] - 20)))
    >>> obs = pd.DataFrame(
    ...     {"days": np.minimum(days, 400), "status": np.where(days < 400, "dead", "alive")},
    ...     index=[f"s{i}" for i in range(80)],
    ... )
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(30)]))
    >>> result = survival_screen(data, time="days", event="status")
    >>> result.values["n_significant"], result.table().loc[0, "hazard_ratio"] > 2
    (1, np.True_)
    """
    outcome = read_outcome(dataset.obs, params)
    values = outcome_values(dataset, outcome)
    test = SurvivalTest(values, outcome, params)
    fit = test.fit(transformed_time(outcome, params.transform))
    statistic, p = test.p_values(fit)
    q = benjamini_hochberg(p)
    reach = _NORMAL_975 * fit.se
    low, high = fit.effect - reach, fit.effect + reach
    hazards_p = special.chdtrc(1.0, fit.hazard_statistic)
    share, n_subsamples = stability_share(test, Tested(fit.effect, p), params.n_subsamples, 0.05, seed)
    sure, planted = planted_confidence(
        test, Tested(fit.effect, p), share, params.n_plantings, params.level, seed
    )
    seen = np.isfinite(values)
    mean = np.divide(
        np.where(seen, values, 0.0).sum(axis=1), fit.n, out=np.full(len(p), np.nan), where=fit.n > 0
    )
    table = result_table(
        dataset,
        Estimates(fit.effect, fit.se, low, high, statistic, np.full(len(p), np.nan), p, q),
        fit.n.astype(np.intp),
        np.zeros(len(p), dtype=np.intp),
        mean,
        {
            "hazard_ratio": np.exp(fit.effect),
            "hr_low": _exp(low),
            "hr_high": _exp(high),
            "n": fit.n.astype(np.int64),
            "events": fit.n_events.astype(np.int64),
            "slope": fit.effect / fit.sd,
            "hazards_p": hazards_p,
            "stability": share,
            "confidence": sure,
        },
    )
    found = q <= params.level
    up, down = int((found & (fit.effect > 0)).sum()), int((found & (fit.effect < 0)).sum())
    tested = np.isfinite(p)
    drifting = benjamini_hochberg(hazards_p) <= 0.05
    separated = ~fit.converged
    warnings = [*outcome.warnings, *_notes(dataset, tested, separated, found & (hazards_p < 0.05), params)]
    return Result(
        summary=(
            f"{params.time}: {up + down} of {int(tested.sum())} tested features go with the hazard at q <= "
            f"{params.level:g} ({up} with a higher, {down} with a lower hazard); {outcome.n_events} events among "
            f"{len(outcome.samples)} samples."
        ),
        values={
            "n_features": len(p),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_positive": up,
            "n_negative": down,
            "n_samples": len(outcome.samples),
            "n_events": outcome.n_events,
            "n_censored": len(outcome.samples) - outcome.n_events,
            "n_dropped_samples": outcome.n_dropped,
            "event_levels": ", ".join(outcome.event_levels),
            "censored_levels": ", ".join(outcome.censored_levels),
            "n_strata": int(outcome.stratum.max()) + 1,
            "n_coefficients": 1 + outcome.covariates.shape[1],
            "median_time": finite(float(np.median(outcome.time))),
            "test": params.test,
            "n_separated": int(separated.sum()),
            "n_drifting": int(drifting.sum()),
            "level": params.level,
            "n_subsamples": n_subsamples,
            **planted,
            **null_values(test, p, params.n_permutations, params.level, seed),
        },
        tables={"survival": table},
        warnings=tuple(warnings),
        n_total=len(p),
        n_returned=len(p),
    )


def _expected_events(outcome: Outcome) -> FloatArray:
    """Cumulative hazard of each sample at its time (Nelson-Aalen, by stratum), shape (samples,)."""
    expected = np.zeros(len(outcome.time))
    for code in np.unique(outcome.stratum):
        rows = np.flatnonzero(outcome.stratum == code)
        time, event = outcome.time[rows], outcome.event[rows]
        moments = np.unique(time[event])
        died = (time[event][None, :] == moments[:, None]).sum(axis=1)
        at_risk = (time[None, :] >= moments[:, None]).sum(axis=1)
        hazard = np.concatenate([[0.0], np.cumsum(died / at_risk)])
        expected[rows] = hazard[np.searchsorted(moments, time, side="right")]
    return expected


def _exp(x: FloatArray) -> FloatArray:
    """``exp``, NaN where it would overflow."""
    return np.asarray(np.exp(np.where(x < 700.0, x, np.nan)))


def _notes(
    dataset: AnnData,
    tested: npt.NDArray[np.bool_],
    separated: npt.NDArray[np.bool_],
    drifting: npt.NDArray[np.bool_],
    params: SurvivalParams,
) -> list[str]:
    notes = []
    missed = int((~tested & ~separated).sum())
    if missed:
        notes.append(
            f"{missed} of {len(tested)} features were not tested: fewer than {params.min_events} events among the "
            "samples with a value, or no variation"
        )
    if separated.any():
        shown = ", ".join(map(str, dataset.var_names[separated][:3]))
        notes.append(
            f"{int(separated.sum())} features have no hazard ratio, because they, or a covariate among the samples "
            f"with a value, separate the events from the rest: {shown}"
        )
    if drifting.any():
        notes.append(
            f"{int(drifting.sum())} significant features have a hazard ratio that may change with time "
            "(hazards_p < 0.05): it is an average over the time observed"
        )
    return notes
