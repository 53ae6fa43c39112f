"""One feature: its values by group, or against a continuous variable."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from pydantic import Field
from scipy import stats

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.levels import MAX_LEVELS, drawn_levels, level_colours, require_column
from nereus.tools.figures.style import (
    DOWN,
    GRID,
    INK,
    LEVELS,
    MARKERS,
    MISSING,
    MUTED,
    drawing,
    feature_label,
    nice_limits,
    shorten,
    to_svg,
)
from nereus.tools.statistics.levels import as_numbers

_FEW = 8  # points up to which the mean is drawn beside them
_SPREAD = 0.30  # half width of a swarm, in units of the distance between groups


class FeatureParams(Params):
    """Parameters of the feature plot."""

    feature: str
    """Feature to draw, as in the data set."""
    contrast: Contrast | None = None
    """Comparison: its factor gives the groups, its two levels lead."""
    factor: str | None = None
    """Sample column that gives the groups, where there is no contrast."""
    variable: str | None = None
    """Continuous sample column on the horizontal axis, instead of groups."""
    subject: str | None = None
    """Sample column of the subject; points are means of a subject, and lines join a subject's points."""
    batch: str | None = None
    """Sample column shown by shape."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Level of the confidence intervals."""


@tool(
    "plot_feature",
    version="1",
    summary="Values of one feature by group with means, intervals and detection counts, or against a variable.",
    outputs=("figure:feature",),
    seconds=0.4,
)
def plot_feature(dataset: AnnData, params: FeatureParams, *, seed: int) -> Result:
    """Draw every subject's value of one feature.

    By group: points, the mean and its t interval, and below each group how many values there are of how
    many. Against a variable: points and the least-squares line with its pointwise interval. Intervals
    describe the points as drawn; they adjust for nothing.

    Parameters
    ----------
    dataset : AnnData
        Log2 abundance, samples x features.
    params : FeatureParams
        Feature, groups or variable.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``feature`` with one row a point (``point, group, x, value, batch``; value NaN = not
        detected). Values: ``n_points, n_detected``.

    Raises
    ------
    InputError
        When the feature or a column does not exist, or neither groups nor a variable are named.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> X = np.random.default_rng(1).normal(20, 1, (6, 2))
    >>> obs = pd.DataFrame({"group": list("aaabbb")}, index=list("uvwxyz"))
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=["P1", "P2"]))
    >>> registry.get("plot_feature")(data, feature="P2", factor="group").values["n_detected"]
    6
    """
    if params.feature not in dataset.var_names:
        raise InputError(
            f"there is no feature {params.feature!r}",
            where="feature plot",
            mend="take a feature id of the data set",
        )
    factor = params.contrast.factor if params.contrast else params.factor
    if (factor is None) == (params.variable is None):
        raise InputError(
            "name either groups (contrast or factor) or a variable",
            where="feature plot",
            mend="give one of them",
        )
    place = dataset.var_names.get_loc(params.feature)
    data = pd.DataFrame(
        {
            "point": dataset.obs_names.astype(str),
            "group": "",
            "x": np.nan,
            "value": np.asarray(dataset.X[:, place], dtype=np.float64).ravel(),
            "batch": "",
        }
    )
    order = [""]
    if factor is not None:
        levels, order = _groups(dataset, factor, params.contrast)
        data["group"] = levels.to_numpy()
    else:
        numbers = as_numbers(require_column(dataset.obs, str(params.variable)))
        if numbers is None:
            raise InputError(
                f"column {params.variable!r} is not numeric", where="feature plot", mend="name it as factor"
            )
        data["x"] = numbers.to_numpy()
    if params.batch is not None:
        data["batch"] = drawn_levels(require_column(dataset.obs, params.batch))[0].to_numpy()
    keep = data["group"].isin(order) if factor is not None else data["x"].notna()
    if params.contrast is not None:
        for column, level in params.contrast.subset.items():
            keep &= (drawn_levels(require_column(dataset.obs, column))[0] == level).to_numpy()
    owner = require_column(dataset.obs, params.subject).astype(str).to_numpy() if params.subject else None
    data["owner"] = data["point"] if owner is None else owner
    data = data[keep].reset_index(drop=True)
    if owner is not None:
        by = data.groupby(["owner", "group", "batch"], sort=False, as_index=False)
        data = by.agg(x=("x", "mean"), value=("value", "mean"))
        data.insert(0, "point", data["owner"] + np.where(data["group"] == "", "", "|" + data["group"]))
    gene = str(dataset.var["gene"].iloc[place]) if "gene" in dataset.var else ""
    name = feature_label(params.feature, gene, 30)
    title = f"{name}" + (f" by {factor}" if factor else f" against {params.variable}")
    width = 600 if params.variable else min(600, 190 + 110 * max(len(order), 2))
    with drawing(width, 320, "feature") as figure:
        axes = figure.add_axes((68 / width, 0.19, 1 - (68 + 14) / width, 0.71))
        if factor is not None:
            _by_group(axes, data, order, params)
        else:
            _against(axes, data, params)
        identifier = "" if name == params.feature else f"  {shorten(params.feature, 26)}"
        axes.text(0, 1.03, name, transform=axes.transAxes, fontsize=9.5, fontweight="bold", va="bottom")
        axes.text(
            1, 1.03, identifier, transform=axes.transAxes, fontsize=7, color=MUTED, va="bottom", ha="right"
        )
        axes.set_ylabel("log2 abundance")
        svg = to_svg(figure, "feature", title)
    what = "subject" if params.subject else "sample"
    caption = (
        f"Each point is a {what}; bars are the mean of a group with its confidence interval, and the counts below a "
        "group say in how many of its members the feature was detected. Open points stand for members without a value."
        if factor is not None
        else f"Each point is a {what}; the line is the least-squares fit with its pointwise confidence interval."
    )
    n_detected = int(data["value"].notna().sum())
    return Result(
        summary=f"{name} was detected in {n_detected} of {len(data)} {what}s drawn.",
        values={"n_points": len(data), "n_detected": n_detected},
        figures={"feature": Figure(svg, data.drop(columns="owner"), title, caption)},
        n_total=dataset.n_obs,
        n_returned=len(data),
    )


def _groups(dataset: AnnData, factor: str, contrast: Contrast | None) -> tuple[pd.Series, list[str]]:
    column = require_column(dataset.obs, factor)
    if contrast is None:
        return drawn_levels(column)
    levels, order = drawn_levels(column, first=(contrast.b, contrast.a))
    return levels, [level for level in order if level in (contrast.a, contrast.b)][:MAX_LEVELS]


def _by_group(axes: Axes, data: pd.DataFrame, order: list[str], params: FeatureParams) -> None:
    colours = level_colours(order, params.contrast)
    axes.set_xlim(-0.6, len(order) - 0.4)
    low, high = _vertical_limits(data, order, params.confidence)
    absent = bool(data["value"].isna().any())
    # Subjects without a value stand in a band below the axis of values, because their absence is a finding, too.
    floor = low - 0.14 * (high - low) if absent else low
    axes.set_ylim(floor, high)
    if absent:
        axes.axhspan(floor, low, color=MISSING, linewidth=0)
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
        axes.set_ylim(floor, high)
        axes.text(
            -0.012, (floor + low) / 2, "not\ndetected", transform=axes.get_yaxis_transform(), ha="right", va="center",
            fontsize=6.5, color=MUTED, linespacing=0.95,
        )  # fmt: skip
    places: dict[tuple[str, str], tuple[float, float]] = {}
    shapes = _shapes(data)
    for number, level in enumerate(order):
        part = data[data["group"] == level]
        seen = part[part["value"].notna()]
        values = seen["value"].to_numpy(float)
        across = number + _swarm(values, axes)
        for batch, marker in shapes.items():
            own = (seen["batch"] == batch).to_numpy()
            axes.plot(
                across[own], values[own], linestyle="none", marker=marker, markersize=4.6, markerfacecolor=colours[level],
                markeredgecolor="white", markeredgewidth=0.4, alpha=0.85, zorder=3,
            )  # fmt: skip
        places |= {(owner, level): (x, y) for owner, x, y in zip(seen["owner"], across, values, strict=True)}
        if len(values):
            mean = values.mean()
            # Few points would vanish behind their own mean, so it stands beside them.
            middle = number + (0.22 if len(values) <= _FEW else 0.0)
            wide = 0.07 if len(values) <= _FEW else 0.2
            axes.hlines(mean, middle - wide, middle + wide, color=INK, linewidth=1.6, zorder=5)
        if len(values) >= 2 and values.std() > 0:
            half = stats.t.ppf((1 + params.confidence) / 2, len(values) - 1) * stats.sem(values)
            axes.vlines(middle, mean - half, mean + half, color=INK, linewidth=1.2, zorder=5)
        lost = len(part) - len(seen)
        if lost:
            step = min(0.06, 2 * _SPREAD / lost)
            axes.plot(
                number + (np.arange(lost) - (lost - 1) / 2) * step, np.full(lost, (floor + low) / 2), linestyle="none",
                marker="o", markersize=3.6, markerfacecolor="white", markeredgecolor=colours[level], markeredgewidth=0.7,
            )  # fmt: skip
        axes.text(
            number, -0.105, f"detected {len(seen)}/{len(part)}", transform=axes.get_xaxis_transform(), ha="center", va="top",
            fontsize=7, color=MUTED,
        )  # fmt: skip
    if params.subject:
        for first, second in pairwise(order):
            for owner in sorted(
                {o for o, level in places if level == first} & {o for o, level in places if level == second}
            ):
                (x0, y0), (x1, y1) = places[owner, first], places[owner, second]
                axes.plot([x0, x1], [y0, y1], color=MUTED, linewidth=0.5, alpha=0.6, zorder=2)
    axes.set_xticks(range(len(order)), [shorten(level, 20 if len(order) <= 4 else 11) for level in order])
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color=GRID, linewidth=0.5)
    _batch_legend(axes, shapes, params)


def _vertical_limits(data: pd.DataFrame, order: list[str], confidence: float) -> tuple[float, float]:
    """Limits that hold points and intervals, and span one log2 unit or more: small noise must look small."""
    reach = [data["value"].to_numpy(float)]
    for level in order:
        values = data.loc[(data["group"] == level) & data["value"].notna(), "value"].to_numpy(float)
        if len(values) >= 3:
            half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
            reach.append(np.array([values.mean() - half, values.mean() + half]))
    low, high = nice_limits(np.concatenate(reach), 0.08)
    short = max(0.0, 1.0 - (high - low)) / 2
    return low - short, high + short


def _shapes(data: pd.DataFrame) -> dict[str, str]:
    names = sorted(set(data["batch"]))
    return {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(names)}


def _batch_legend(axes: Axes, shapes: dict[str, str], params: FeatureParams) -> None:
    if params.batch is None:
        return
    for name, marker in shapes.items():
        axes.plot(
            [], [], linestyle="none", marker=marker, color=MUTED, markersize=4.6, label=shorten(name, 16)
        )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=6, columnspacing=1.0)


def _swarm(values: np.ndarray, axes: Axes) -> np.ndarray:
    """Offsets that keep points of similar value apart: in each band of height, from the middle outwards."""
    low, high = axes.get_ylim()
    band = np.floor((values - low) / max(high - low, 1e-12) * 45).astype(int)
    offsets = np.zeros(len(values))
    largest = max(np.unique(band, return_counts=True)[1].max() if len(band) else 1, 1)
    step = min(0.06, 2 * _SPREAD / largest)
    for level in np.unique(band):
        at = np.flatnonzero(band == level)
        at = at[np.argsort(values[at], kind="stable")]
        side = np.array([(i + 1) // 2 * (1 if i % 2 else -1) for i in range(len(at))], dtype=float)
        offsets[at] = side * step + (step / 2 if len(at) % 2 == 0 else 0.0)
    return offsets


def _against(axes: Axes, data: pd.DataFrame, params: FeatureParams) -> None:
    seen = data[data["value"].notna()]
    x, y = seen["x"].to_numpy(float), seen["value"].to_numpy(float)
    axes.set_xlim(*nice_limits(data["x"].to_numpy(float)))
    axes.set_ylim(*nice_limits(y, 0.1))
    if len(x) >= 3 and np.ptp(x) > 0:
        fit = stats.linregress(x, y)
        along = np.linspace(x.min(), x.max(), 60)
        middle = fit.intercept + fit.slope * along
        residual = np.sqrt(((y - fit.intercept - fit.slope * x) ** 2).sum() / (len(x) - 2))
        spread = residual * np.sqrt(1 / len(x) + (along - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
        half = stats.t.ppf((1 + params.confidence) / 2, len(x) - 2) * spread
        axes.fill_between(along, middle - half, middle + half, color=DOWN, alpha=0.15, linewidth=0)
        axes.plot(along, middle, color=DOWN, linewidth=1.5)
    shapes = _shapes(data)
    for batch, marker in shapes.items():
        own = (seen["batch"] == batch).to_numpy()
        axes.plot(
            x[own], y[own], linestyle="none", marker=marker, markersize=4.6, markerfacecolor=LEVELS[0],
            markeredgecolor="white", markeredgewidth=0.4, alpha=0.85, zorder=3,
        )  # fmt: skip
    axes.set_xlabel(str(params.variable).strip("_ "))
    axes.text(
        0.99,
        0.02,
        f"detected {len(seen)}/{len(data)}",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=7,
        color=MUTED,
    )
    axes.grid(color=GRID, linewidth=0.5)
    _batch_legend(axes, shapes, params)
