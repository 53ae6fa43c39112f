"""Dose-response plot: values of one feature by dose, its fitted curve, and where half of the response is reached."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from nereus.errors import InputError
from nereus.tools.base import Figure, Result, finite, tool
from nereus.tools.figures.style import (
    DOWN,
    GRID,
    INK,
    MISSING,
    MUTED,
    UP,
    drawing,
    feature_label,
    nice_limits,
    rimmed_dots,
    shorten,
    to_svg,
)
from nereus.tools.statistics.dose_curve import (
    curve_grid,
    curve_p_values,
    ec50_interval,
    fit_grid,
    refine,
    response,
)
from nereus.tools.statistics.dose_response import DoseResponseParams, dose_design
from nereus.tools.statistics.result_table import feature_values

FloatArray = npt.NDArray[np.float64]

_NONE_AT = 1.0
"""Decades left of the lowest dose at which samples without dose are drawn."""


class DosePlotParams(DoseResponseParams):
    """Parameters of the dose-response plot: the dose, and the feature."""

    feature: str
    """Feature to draw, as in the data set."""


@tool(
    "plot_dose_response",
    version="1",
    summary="Values of one feature by dose with the fitted curve and its ec50 interval.",
    outputs=("figure:dose_response",),
    seconds=0.6,
)
def plot_dose_response(dataset: AnnData, params: DosePlotParams, *, seed: int) -> Result:
    """Draw one feature against the dose, with its log-logistic curve.

    Parameters
    ----------
    dataset : AnnData
        Log2 abundance, samples x features.
    params : DosePlotParams
        Dose and feature; the curve is that of `dose_response`.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``dose_response`` with one row a sample (``sample, dose, value, fitted``). Values: ``n_points``,
        ``n_doses``, ``ec50, ec50_low, ec50_high, hill, start, span, r2, p``.

    Raises
    ------
    InputError
        As `dose_response`; an unknown feature, or one with too few values for a curve.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> dose = np.repeat([0, 1, 10, 100, 1000.0], 2)
    >>> X = np.random.default_rng(1).normal(20, 0.1, (10, 1)) + (2 * dose / (dose + 30))[:, None]
    >>> obs = pd.DataFrame({"nM": dose}, index=[f"s{i}" for i in range(10)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=["P1"]))
    >>> 10 < registry.get("plot_dose_response")(data, feature="P1", dose="nM").values["ec50"] < 90
    True
    """
    if params.feature not in dataset.var_names:
        raise InputError(
            f"there is no feature {params.feature!r}",
            where="dose-response plot",
            mend="take a feature id of the data set",
        )
    design = dose_design(dataset.obs, params.dose, params.subset, 4 if params.curve == "four" else 3)
    place = list(dataset.var_names).index(params.feature)
    value = feature_values(dataset, design)[place]
    dose = design.group
    seen = np.isfinite(value)
    grid = curve_grid(dose, free_hill=params.curve == "four")
    row = value[None, :]
    found = fit_grid(row, grid)
    n_doses = len(np.unique(dose[seen]))
    if n_doses < params.min_doses or seen.sum() <= grid.n_parameters or not np.isfinite(found.share[0]):
        raise InputError(
            f"{params.feature!r} has values at {n_doses} doses, {int(seen.sum())} in all, which give no curve",
            where="dose-response plot",
            mend="take a feature with more values",
        )
    fit = refine(row, grid, found)
    low, high = (float(end[0]) for end in ec50_interval(grid, found, fit))
    p = float(curve_p_values(row, grid, found)[0])
    start, span, ec50, hill = (float(x[0]) for x in (fit.start, fit.span, fit.ec50, fit.hill))
    r2 = 1.0 - float(fit.rss[0]) / float(found.total[0])

    def curve(at: FloatArray) -> FloatArray:
        return start + span * response(at, np.full(len(at), ec50), np.full(len(at), hill))

    data = pd.DataFrame(
        {
            "sample": dataset.obs_names.astype(str).to_numpy()[design.samples],
            "dose": dose,
            "value": value,
            "fitted": curve(dose),
        }
    )
    gene = str(dataset.var["gene"].iloc[place]) if "gene" in dataset.var else ""
    label = feature_label(params.feature, gene, 30)
    title = f"{label} by {params.dose.strip('_ ')}"
    with drawing(600, 320, "dose_response") as figure:
        axes = figure.add_axes((0.11, 0.17, 0.86, 0.71))
        _draw(axes, dose[seen], value[seen], curve, span, (ec50, low, high))
        shown = f"ec50 {ec50:.3g}" + (f" ({low:.3g} to {high:.3g})" if np.isfinite([low, high]).all() else "")
        axes.text(0, 1.03, label, transform=axes.transAxes, fontsize=9.5, fontweight="bold", va="bottom")
        axes.text(
            1, 1.03, f"{shown} · p = {p:.2g}", transform=axes.transAxes, fontsize=7, color=MUTED, va="bottom", ha="right"
        )  # fmt: skip
        axes.set_xlabel(shorten(params.dose.strip("_ "), 60))
        axes.set_ylabel("log2 abundance")
        svg = to_svg(figure, "dose_response", title)
    return Result(
        summary=f"{label}: half of the response at {ec50:.3g}; the curve explains {r2:.0%} of the variation.",
        values={
            "n_points": int(seen.sum()),
            "n_doses": n_doses,
            "ec50": finite(ec50),
            "ec50_low": finite(low),
            "ec50_high": finite(high),
            "hill": finite(hill),
            "start": finite(start),
            "span": finite(span),
            "r2": finite(r2),
            "p": finite(p),
        },
        figures={
            "dose_response": Figure(
                svg,
                data,
                title,
                "Each point is a sample, those without dose at the far left; the line is the fitted log-logistic curve, "
                "and the band holds the doses at which half of the response may be reached.",
            )
        },
        warnings=design.warnings,
        n_total=dataset.n_obs,
        n_returned=int(seen.sum()),
    )


def _draw(
    axes: Axes,
    dose: FloatArray,
    value: FloatArray,
    curve: Callable[[FloatArray], FloatArray],
    span: float,
    ec50: tuple[float, float, float],
) -> None:
    positive = np.log10(dose[dose > 0])
    none = float(positive.min()) - _NONE_AT
    x = np.where(dose > 0, np.log10(np.where(dose > 0, dose, 1.0)), none)
    along = np.linspace(float(positive.min()) - 0.6 * _NONE_AT, float(positive.max()), 200)
    fitted = curve(10.0**along)
    axes.set_xlim(*nice_limits(np.r_[x, none]))
    low, high = nice_limits(np.r_[value, fitted], 0.08)
    short = max(0.0, 1.0 - (high - low)) / 2
    axes.set_ylim(low - short, high + short)
    axes.grid(color=GRID, linewidth=0.5)
    ends = axes.get_xlim()
    left = np.log10(ec50[1]) if np.isfinite(ec50[1]) else ends[0]
    right = np.log10(ec50[2]) if np.isfinite(ec50[2]) else ends[1]
    axes.axvspan(max(left, ends[0]), min(right, ends[1]), color=MISSING, linewidth=0, zorder=0)
    if ends[0] <= np.log10(ec50[0]) <= ends[1]:
        axes.axvline(np.log10(ec50[0]), color=MUTED, linewidth=0.7, linestyle=(0, (3, 2)))
    colour = UP if span >= 0 else DOWN
    axes.plot(along, fitted, color=colour, linewidth=1.5)
    if (dose == 0).any():
        start = curve(np.zeros(1))[0]
        axes.hlines(start, none - 0.15, none + 0.15, color=colour, linewidth=1.5)
    rimmed_dots(axes, x, value, 4.2, INK, 0.8)
    ticks = np.unique(x[dose > 0])
    if len(ticks) > 12:
        ticks = np.arange(np.ceil(ticks.min()), np.floor(ticks.max()) + 1)
    names = [f"{10.0**tick:.3g}" for tick in ticks]
    if (dose == 0).any():
        ticks, names = np.r_[none, ticks], ["0", *names]
    axes.set_xticks(ticks, names)
    axes.set_xlim(*ends)
