"""Scores of principal components, and what explains them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.labels import place_labels
from nereus.tools.figures.levels import UNKNOWN, drawn_levels, level_colours, require_column
from nereus.tools.figures.style import (
    FAINT,
    GRID,
    INK,
    LEVELS,
    MARKERS,
    MUTED,
    drawing,
    nice_limits,
    shorten,
    to_svg,
)


class PcaPlotParams(Params):
    """Parameters of the PCA plot."""

    factor: str | None = None
    """Sample column shown by colour."""
    contrast: Contrast | None = None
    """Comparison of two levels of `factor`, which then have the colours of up and down."""
    batch: str | None = None
    """Sample column shown by shape."""
    components: tuple[int, int] = (1, 2)
    """Components on the horizontal and the vertical axis, counted from 1."""
    label_samples: bool = False
    """Write sample names beside the points."""
    highlight: tuple[str, ...] = ()
    """Samples to ring and to name, such as outliers."""
    n_columns: int = Field(8, ge=1, le=15)
    """Largest number of sample columns in the panel of explained variance."""


@tool(
    "plot_pca",
    version="1",
    summary="Scores of two principal components by factor and batch, and R2 of every sample column on them.",
    outputs=("figure:pca",),
    seconds=0.5,
)
def plot_pca(
    scores: pd.DataFrame, variance: pd.DataFrame, dataset: AnnData | None, params: PcaPlotParams, *, seed: int
) -> Result:
    """Draw the samples in the plane of two components.

    Parameters
    ----------
    scores : DataFrame
        ``sample, PC1, PC2 ...`` of `pca_variance`.
    variance : DataFrame
        ``component, variance_ratio, r2_<sample column> ...`` of `pca_variance`.
    dataset : AnnData, optional
        Data set with the sample columns `factor` and `batch`.
    params : PcaPlotParams
        What is drawn.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``pca`` with the drawn points (``sample, x, y, factor, batch``). Values: ``n_samples``,
        ``ratio_x, ratio_y`` (share of variance on the axes).

    Raises
    ------
    InputError
        When a component or a sample column does not exist.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> scores = pd.DataFrame({"sample": list("uvw"), "PC1": [1.0, -1.0, 0.0], "PC2": [0.2, 0.1, -0.3]})
    >>> variance = pd.DataFrame({"component": ["PC1", "PC2"], "variance_ratio": [0.6, 0.2], "r2_group": [0.9, 0.1]})
    >>> registry.get("plot_pca")(scores, variance).values["ratio_x"]
    0.6
    """
    names = tuple(f"PC{number}" for number in params.components)
    if lacking := [name for name in names if name not in scores]:
        raise InputError(
            f"there are no components {lacking}", where="PCA plot", mend="choose from the table of scores"
        )
    if scores.empty or not set(names) <= set(variance["component"]):
        raise InputError(
            f"there are no scores of {' and '.join(names)}",
            where="PCA plot",
            mend="give both tables of pca_variance",
        )
    data = pd.DataFrame(
        {"sample": scores["sample"].astype(str), "x": scores[names[0]], "y": scores[names[1]]}
    )
    colours, shapes = {"": LEVELS[0]}, {"": MARKERS[0]}
    data["factor"] = data["batch"] = ""
    for role, column in (("factor", params.factor), ("batch", params.batch)):
        if column is None:
            continue
        if dataset is None:
            raise InputError(
                f"{column!r} is asked for without a data set", where="PCA plot", mend="give the data set"
            )
        levels, order = drawn_levels(require_column(dataset.obs, column))
        data[role] = (
            data["sample"].map(dict(zip(dataset.obs_names.astype(str), levels, strict=True))).fillna(UNKNOWN)
        )
        order = [*order, UNKNOWN] if UNKNOWN in set(data[role]) - set(order) else order
        if role == "factor":
            colours = level_colours(order, params.contrast)
        else:
            shapes = {level: MARKERS[i % len(MARKERS)] for i, level in enumerate(order)}
    ratio = dict(zip(variance["component"], variance["variance_ratio"], strict=True))
    explained = _explained(variance, names, params.n_columns)
    title = "Principal components of the samples"
    with drawing(600, 370, "pca") as figure:
        beside = not explained.empty
        axes = figure.add_axes((0.09, 0.13, 0.5 if beside else 0.62, 0.83))
        _scores(axes, data, colours, shapes, params)
        axes.set_xlabel(f"{names[0]} ({ratio[names[0]]:.0%} of variance)")
        axes.set_ylabel(f"{names[1]} ({ratio[names[1]]:.0%} of variance)")
        _legends(axes, colours if params.factor else {}, shapes if params.batch else {}, params)
        if beside:
            _bars(
                figure.add_axes((0.81, 0.13, 0.175, min(0.055 * 2 * len(explained), 0.4))), explained, names
            )
        svg = to_svg(figure, "pca", title)
    caption = "Each point is a sample in the plane of two principal components, with their share of the variance on the axes."
    if beside:
        caption += " The bars give the share of each component (R²) that a sample column explains."
    return Result(
        summary=f"{names[0]} and {names[1]} of {len(data)} samples hold {ratio[names[0]] + ratio[names[1]]:.0%} of the variance.",
        values={"n_samples": len(data), "ratio_x": float(ratio[names[0]]), "ratio_y": float(ratio[names[1]])},
        figures={"pca": Figure(svg, data, title, caption)},
        n_total=len(scores),
        n_returned=len(data),
    )


def _explained(variance: pd.DataFrame, names: tuple[str, ...], most: int) -> pd.DataFrame:
    """R2 of sample columns on the two components, largest first."""
    found = [column for column in variance.columns if str(column).startswith("r2_")]
    table = variance.set_index("component").loc[list(names), found].T
    table.index = pd.Index([str(column).removeprefix("r2_") for column in table.index])
    return table.loc[table.max(axis=1).sort_values(ascending=False, kind="stable").index].head(most)


def _scores(
    axes: Axes, data: pd.DataFrame, colours: dict[str, str], shapes: dict[str, str], params: PcaPlotParams
) -> None:
    axes.set_xlim(*nice_limits(data["x"].to_numpy(), 0.08))
    axes.set_ylim(*nice_limits(data["y"].to_numpy(), 0.08))
    axes.axhline(0, color=GRID, linewidth=0.7, zorder=0)
    axes.axvline(0, color=GRID, linewidth=0.7, zorder=0)
    size = 5.5 if len(data) <= 60 else 4.4
    for level, colour in colours.items():
        for batch, marker in shapes.items():
            part = data[(data["factor"] == level) & (data["batch"] == batch)]
            axes.plot(
                part["x"], part["y"], linestyle="none", marker=marker, markersize=size, markerfacecolor=colour,
                markeredgecolor="white", markeredgewidth=0.5, alpha=0.9, zorder=3,
            )  # fmt: skip
    ringed = data[data["sample"].isin(params.highlight)]
    axes.plot(
        ringed["x"], ringed["y"], linestyle="none", marker="o", markersize=size + 5, markerfacecolor="none",
        markeredgecolor=INK, markeredgewidth=0.8, zorder=4,
    )  # fmt: skip
    named = data if params.label_samples else ringed
    place_labels(
        axes, named["x"].to_numpy(), named["y"].to_numpy(), [shorten(name, 18) for name in named["sample"]],
        avoid=data[["x", "y"]].to_numpy(), size=6.5,
    )  # fmt: skip


def _legends(axes: Axes, colours: dict[str, str], shapes: dict[str, str], params: PcaPlotParams) -> None:
    top = 1.0
    for column, levels in ((params.factor, colours), (params.batch, shapes)):
        if not levels:
            continue
        is_colour = column == params.factor and levels is colours
        handles = [
            Line2D(
                [], [], linestyle="none", marker="o" if is_colour else mark, markersize=5.5, markeredgewidth=0,
                markerfacecolor=mark if is_colour else MUTED, label=shorten(level, 24),
            )
            for level, mark in levels.items()
        ]  # fmt: skip
        legend = Legend(
            axes, handles, [str(handle.get_label()) for handle in handles],
            title=shorten((column or "").strip("_ "), 26), loc="upper left", bbox_to_anchor=(1.03, top),
            alignment="left", title_fontproperties={"size": 7.5, "weight": "bold"}, labelspacing=0.35,
        )  # fmt: skip
        axes.add_artist(legend)
        top -= (len(handles) * 11.0 + 20.0) / (axes.get_window_extent().height)


def _bars(axes: Axes, explained: pd.DataFrame, names: tuple[str, ...]) -> None:
    places = np.arange(len(explained))[::-1]
    for offset, name, colour in ((0.19, names[0], MUTED), (-0.19, names[1], FAINT)):
        axes.barh(places + offset, explained[name], height=0.34, color=colour, linewidth=0, label=name)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks(places, [shorten(str(name).strip("_ "), 20) for name in explained.index], fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.5)
    axes.set_xlabel("R² on component")
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=2,
        columnspacing=0.8,
        handlelength=0.9,
        fontsize=6.5,
    )
