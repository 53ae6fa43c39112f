"""Survival curves: Kaplan-Meier estimates of the halves above and below the median of one feature."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from scipy import special
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from nereus.errors import InputError
from nereus.tools.base import Figure, Result, finite, tool
from nereus.tools.figures.style import (
    DOWN,
    GRID,
    INK,
    MUTED,
    UP,
    drawing,
    feature_label,
    shorten,
    to_svg,
)
from nereus.tools.statistics.survival.cox import fit_cox
from nereus.tools.statistics.survival.outcome import OutcomeParams, outcome_values, read_outcome

FloatArray = npt.NDArray[np.float64]

_HALVES = (("high", UP, "above the median"), ("low", DOWN, "at or below the median"))


class SurvivalPlotParams(OutcomeParams):
    """Parameters of the survival plot: the outcome, and the feature that splits the samples."""

    feature: str
    """Feature whose median splits the samples, as in the data set."""


@tool(
    "plot_survival",
    version="1",
    summary="Kaplan-Meier curves of the halves split at a feature's median, with numbers at risk and log-rank p.",
    outputs=("figure:survival",),
    seconds=0.4,
)
def plot_survival(dataset: AnnData, params: SurvivalPlotParams, *, seed: int) -> Result:
    """Draw the survival of samples above and below the median of one feature.

    The split is always the median of the samples with a value: a cut-point sought for its p-value would make that
    p-value meaningless. The continuous hazard ratio beside it uses every value and is the better test.

    Parameters
    ----------
    dataset : AnnData
        Log2 abundance, samples (one a subject) x features.
    params : SurvivalPlotParams
        Outcome and feature. Covariates and strata adjust the hazard ratio; the log-rank test is stratified.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``survival`` with one row a step of a curve (``step, half, time, survival, at_risk, events,
        censored``). Values: ``n_high, n_low, events_high, events_low, median_high, median_low`` (median survival,
        None where not reached), ``logrank_p``, ``hazard_ratio`` (per standard deviation), ``hr_low``, ``hr_high``,
        ``cox_p``, ``split``.

    Raises
    ------
    InputError
        As `read_outcome`; an unknown feature; a feature with too few values to be split.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 1, (40, 1))
    >>> obs = pd.DataFrame(
    ...     {"days": rng.exponential(99 * np.exp(2 * (20 - X[:, 0]))), "dead": 1}, index=[f"s{i}" for i in range(40)]
    ... )
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=["P1"]))
    >>> values = registry.get("plot_survival")(data, feature="P1", time="days", event="dead").values
    >>> values["n_high"], values["logrank_p"] < 0.05
    (20, True)
    """
    if params.feature not in dataset.var_names:
        raise InputError(
            f"there is no feature {params.feature!r}",
            where="survival plot",
            mend="take a feature id of the data set",
        )
    outcome = read_outcome(dataset.obs, params)
    place = list(dataset.var_names).index(params.feature)
    value = outcome_values(dataset, outcome)[place]
    seen = np.flatnonzero(np.isfinite(value))
    x, part = value[seen], outcome.take(seen)
    split = float(np.median(x)) if len(x) else float("nan")
    high = x > split
    if min(int(high.sum()), int((~high).sum())) < 2:
        raise InputError(
            f"{len(seen)} samples have a value of {params.feature!r}, and its median does not split them",
            where="survival plot",
            mend="take a feature with more distinct values",
        )
    fit = fit_cox(x[None, :], part.time, part.event, part.stratum, part.covariates, min_events=2)
    z = float(fit.effect[0] / fit.se[0])
    logrank = _logrank(part.time, part.event, high, part.stratum)
    curves = {
        name: SurvfuncRight(part.time[chosen], part.event[chosen].astype(int))
        for (name, _, _), chosen in zip(_HALVES, (high, ~high), strict=True)
    }
    members = {"high": high, "low": ~high}
    data = pd.concat(
        [_steps(name, part.time[chosen], part.event[chosen]) for name, chosen in members.items()],
        ignore_index=True,
    )
    gene = str(dataset.var["gene"].iloc[place]) if "gene" in dataset.var else ""
    label = feature_label(params.feature, gene, 30)
    title = f"{label}: {params.time.strip('_ ')} above and below its median"
    ratio, low, high_end = (
        float(np.exp(fit.effect[0] + k * 1.959963984540054 * fit.se[0])) for k in (0.0, -1.0, 1.0)
    )
    known = bool(np.isfinite(ratio))
    with drawing(600, 380, "survival") as figure:
        axes = figure.add_axes((0.12, 0.34, 0.85, 0.57))
        _draw(axes, data, part.time, members)
        notes = [f"log-rank p = {logrank:.2g}"] if np.isfinite(logrank) else []
        if known:
            notes.append(f"hazard ratio per SD {ratio:.2f} ({low:.2f} to {high_end:.2f})")
        axes.text(
            1, 1.03, " · ".join(notes), transform=axes.transAxes, fontsize=7, color=MUTED, va="bottom", ha="right"
        )  # fmt: skip
        axes.text(0, 1.03, label, transform=axes.transAxes, fontsize=9.5, fontweight="bold", va="bottom")
        axes.set_xlabel(shorten(params.time.strip("_ "), 60))
        _numbers_at_risk(axes, part.time, members)
        svg = to_svg(figure, "survival", title)
    medians = {name: float(curve.quantile(0.5)) for name, curve in curves.items()}
    return Result(
        summary=(
            f"{label}: {int(part.event[high].sum())} of {int(high.sum())} samples above its median had the event, "
            f"{int(part.event[~high].sum())} of {int((~high).sum())} below; log-rank p = {logrank:.3g}."
        ),
        values={
            "n_high": int(high.sum()),
            "n_low": int((~high).sum()),
            "events_high": int(part.event[high].sum()),
            "events_low": int(part.event[~high].sum()),
            "median_high": finite(medians["high"]),
            "median_low": finite(medians["low"]),
            "logrank_p": finite(logrank),
            "hazard_ratio": finite(ratio),
            "hr_low": finite(low),
            "hr_high": finite(high_end),
            "cox_p": finite(2.0 * special.ndtr(-abs(z))) if known else None,
            "split": finite(split),
            "n_without_value": len(value) - len(seen),
        },
        figures={
            "survival": Figure(
                svg,
                data,
                title,
                "Kaplan-Meier curves of the samples above and below the median of the feature, with ticks where a "
                "sample was censored and the number still at risk below; the split was not chosen by its p-value.",
            )
        },
        warnings=outcome.warnings,
        n_total=dataset.n_obs,
        n_returned=len(seen),
    )


def _logrank(
    time: FloatArray, event: npt.NDArray[np.bool_], high: npt.NDArray[np.bool_], stratum: npt.NDArray[np.intp]
) -> float:
    """Log-rank p-value of two groups, stratified where there are strata; NaN where no stratum compares them."""
    both = [code for code in np.unique(stratum) if len(np.unique(high[stratum == code])) == 2]
    kept = np.isin(stratum, both)
    if not kept.any() or not event[kept].any():
        return float("nan")
    _, p = survdiff(
        time[kept],
        event[kept].astype(int),
        high[kept].astype(int),
        strata=stratum[kept] if len(both) > 1 else None,
    )
    return float(p)


def _steps(name: str, time: FloatArray, event: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Kaplan-Meier curve as steps, the start included: one row a distinct time."""
    moments = np.unique(time)
    at_risk = np.array([(time >= t).sum() for t in moments])
    events = np.array([(event & (time == t)).sum() for t in moments])
    censored = np.array([(~event & (time == t)).sum() for t in moments])
    survival = np.cumprod(1.0 - events / at_risk)
    return pd.DataFrame(
        {
            "step": [f"{name}|{i}" for i in range(len(moments) + 1)],
            "half": name,
            "time": np.r_[0.0, moments],
            "survival": np.r_[1.0, survival],
            "at_risk": np.r_[len(time), at_risk],
            "events": np.r_[0, events],
            "censored": np.r_[0, censored],
        }
    )


def _draw(
    axes: Axes, data: pd.DataFrame, time: FloatArray, members: dict[str, npt.NDArray[np.bool_]]
) -> None:
    axes.set_xlim(0, float(time.max()) * 1.04)
    axes.set_ylim(0, 1.03)
    axes.grid(axis="y", color=GRID, linewidth=0.5)
    axes.set_ylabel("share without the event")
    for name, colour, meaning in _HALVES:
        part = data[data["half"] == name]
        t, s = part["time"].to_numpy(float), part["survival"].to_numpy(float)
        axes.step(
            t, s, where="post", color=colour, linewidth=1.5, label=f"{meaning} (n = {int(members[name].sum())})"
        )  # fmt: skip
        lost = part["censored"].to_numpy() > 0
        axes.plot(
            t[lost], s[lost], linestyle="none", marker="|", markersize=5, markeredgewidth=0.8, color=colour
        )
    axes.legend(loc="upper right")


def _numbers_at_risk(axes: Axes, time: FloatArray, members: dict[str, npt.NDArray[np.bool_]]) -> None:
    moments = [tick for tick in axes.get_xticks() if 0 <= tick <= float(time.max())]
    axes.text(
        -0.035, -0.27, "at risk", transform=axes.transAxes, fontsize=7, color=INK, ha="right", va="center"
    )  # fmt: skip
    for row, (name, colour, _) in enumerate(_HALVES):
        height = -0.35 - 0.085 * row
        axes.text(
            -0.035, height, name, transform=axes.transAxes, fontsize=7, color=colour, ha="right", va="center"
        )  # fmt: skip
        for moment in moments:
            count = int((time[members[name]] >= moment).sum())
            axes.text(
                moment, height, str(count), transform=axes.get_xaxis_transform(), fontsize=7, color=INK,
                ha="center", va="center",
            )  # fmt: skip
