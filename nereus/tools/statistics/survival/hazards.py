"""Proportional-hazards check: whether the log hazard ratio of a feature drifts with time."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import special, stats

from nereus.errors import InputError
from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.survival.cox import fit_cox
from nereus.tools.statistics.survival.outcome import Outcome, OutcomeParams, outcome_values, read_outcome

FloatArray = npt.NDArray[np.float64]

TimeTransform = Literal["km", "rank", "log", "identity"]

_NORMAL_975 = 1.959963984540054


class HazardsParams(OutcomeParams):
    """Parameters of `check_hazards`."""

    features: tuple[str, ...] = ()
    """Features to check; empty for all."""
    transform: TimeTransform = "km"
    """Scale of time: one minus the Kaplan-Meier curve, rank, logarithm, or time itself."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which drifting features are counted."""


@tool(
    "check_hazards",
    version="2",
    summary="Whether hazard ratios stay the same over time: Grambsch-Therneau score test of every feature.",
    outputs=("table:hazards",),
    seconds=1.0,
)
def check_hazards(dataset: AnnData, params: HazardsParams, *, seed: int) -> Result:
    """Test every feature's Cox model for a hazard ratio that changes with time.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples (one a subject), var = features.
    params
        See `HazardsParams`; outcome and adjustment as in `survival_screen`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``hazards``: feature, gene, effect (log hazard ratio per standard deviation at the third quartile of
        the event times minus that at the first; above 0: it grows), se, ci_low, ci_high, statistic (chi-squared, one
        degree of freedom), p, q, n, events, ``overall`` (log hazard ratio of the proportional model), ``early`` and
        ``late`` (at the quartiles). Values: n_tested, n_drifting (q <= level), n_p05, transform.

    Raises
    ------
    InputError
        As `read_outcome`; an unknown feature.

    Notes
    -----
    Grambsch & Therneau 1994, Biometrika 81:515, as an exact score test; ``effect`` is one Newton step from no
    drift. A small p says that one hazard ratio does not describe the whole time, not that there is no effect.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 1, size=(120, 10))
    >>> days = rng.weibull(np.where(X[:, 0] > 20, 4.0, 0.7)) * 100 + 1
    >>> obs = pd.DataFrame({"days": days, "event": 1}, index=[f"s{i}" for i in range(120)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(10)]))
    >>> table = check_hazards(data, time="days", event="event").table()
    >>> table.loc[table["p"].idxmin(), "feature"]
    'P0'
    """
    unknown = sorted(set(params.features) - set(map(str, dataset.var_names)))
    if unknown:
        raise InputError(f"unknown features {unknown[:3]}", mend="name features of the data set")
    outcome = read_outcome(dataset.obs, params)
    wanted = set(params.features)
    rows = np.array([not wanted or str(name) in wanted for name in dataset.var_names])
    values = np.ascontiguousarray(outcome_values(dataset, outcome)[rows])
    time = transformed_time(outcome, params.transform)
    fit = fit_cox(
        values,
        outcome.time,
        outcome.event,
        outcome.stratum,
        outcome.covariates,
        min_events=params.min_events,
        hazard_time=time,
    )
    p = special.chdtrc(1.0, fit.hazard_statistic)
    q = benjamini_hochberg(p)
    g = np.quantile(time[outcome.event], [0.25, 0.75])
    centres = _event_means(values, time, outcome)
    drift = fit.hazard_slope * (g[1] - g[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.where(fit.hazard_statistic > 0, np.abs(drift) / np.sqrt(fit.hazard_statistic), np.nan)
    gene = dataset.var["gene"].astype(str).to_numpy()[rows] if "gene" in dataset.var else np.full(len(p), "")
    table = pd.DataFrame(
        {
            "feature": dataset.var_names.astype(str).to_numpy()[rows],
            "gene": np.where(np.isin(gene, ["nan", "None"]), "", gene),
            "effect": drift,
            "se": se,
            "ci_low": drift - _NORMAL_975 * se,
            "ci_high": drift + _NORMAL_975 * se,
            "statistic": fit.hazard_statistic,
            "p": p,
            "q": q,
            "n": fit.n.astype(np.int64),
            "events": fit.n_events.astype(np.int64),
            "overall": fit.effect,
            "early": fit.effect + fit.hazard_slope * (g[0] - centres),
            "late": fit.effect + fit.hazard_slope * (g[1] - centres),
        }
    )
    tested = np.isfinite(p)
    found = int((q <= params.level).sum())
    warnings = list(outcome.warnings)
    if not tested.all():
        warnings.append(f"{int((~tested).sum())} of {len(p)} features have no Cox model to check")
    return Result(
        summary=(
            f"{params.time}: the hazard ratio of {found} of {int(tested.sum())} features drifts with time at q <= "
            f"{params.level:g}."
        ),
        values={
            "n_features": len(p),
            "n_tested": int(tested.sum()),
            "n_drifting": found,
            "n_p05": int((p < 0.05).sum()),
            "least_p": finite(float(np.nanmin(p))) if tested.any() else None,
            "n_events": outcome.n_events,
            "n_samples": len(outcome.samples),
            "transform": params.transform,
            "level": params.level,
        },
        tables={"hazards": table},
        warnings=tuple(warnings),
        n_total=dataset.n_vars,
        n_returned=len(p),
    )


def transformed_time(outcome: Outcome, transform: TimeTransform) -> FloatArray:
    """Time of each sample on the scale on which a drift is looked for, shape (samples,).

    ``km`` is one minus the Kaplan-Meier estimate just before the time, which keeps late events from dominating.
    """
    time = outcome.time
    if transform == "identity":
        return time
    if transform == "log":
        return np.asarray(np.log(time))
    if transform == "rank":
        return np.asarray(stats.rankdata(time), dtype=np.float64)
    distinct = np.unique(time[outcome.event])
    at_risk = (time[None, :] >= distinct[:, None]).sum(axis=1)
    died = (time[outcome.event][None, :] == distinct[:, None]).sum(axis=1)
    curve = np.concatenate([[1.0], np.cumprod(1.0 - died / at_risk)])
    return np.asarray(1.0 - curve[np.searchsorted(distinct, time, side="left")])


def _event_means(values: FloatArray, time: FloatArray, outcome: Outcome) -> FloatArray:
    """Mean transformed time of the events of each feature's observed samples, shape (features,)."""
    seen = np.isfinite(values[:, outcome.event]).astype(np.float64)
    return np.asarray(seen @ time[outcome.event] / np.maximum(seen.sum(axis=1), 1.0))
