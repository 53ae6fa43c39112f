"""Bars of regulator activities, with the targets behind each as dots."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.style import DOWN, FAINT, GRID, INK, MUTED, UP, drawing, shorten, text_size, to_svg

_NEEDED = ("feature", "effect", "ci_low", "ci_high", "statistic", "p", "q", "n_targets", "direction")


class ActivityBarsParams(Params):
    """Parameters of the activity bars."""

    level: float = Field(0.05, gt=0, lt=1)
    """Level of q; bars that do not reach it are pale."""
    n_each: int = Field(8, ge=1, le=30)
    """Largest number of regulators in each direction."""
    contrast: Contrast | None = None
    """Comparison, to name the two sides."""


@tool(
    "plot_activities",
    version="1",
    summary="Bars of kinase, factor or pathway activities, with the effects of their targets as dots.",
    outputs=("figure:activities",),
    seconds=0.5,
)
def plot_activities(
    table: pd.DataFrame, targets: pd.DataFrame | None, params: ActivityBarsParams, *, seed: int
) -> Result:
    """Draw the clearest activities in each direction.

    Parameters
    ----------
    table
        Table ``activities`` of `kinase_activity` or `factor_activity`.
    targets
        Table ``targets`` of the same result; its effects are drawn as dots.
    params
        Level, number, sides.
    seed
        Not used.

    Returns
    -------
    Result
        Figure ``activities`` with the drawn rows. Values: n_drawn, n_significant_drawn.

    Raises
    ------
    InputError
        When a needed column is missing.

    Examples
    --------
    >>> from nereus.tools import registry
    >>> row = {"feature": "AKT1", "effect": 1.0, "ci_low": 0.5, "ci_high": 1.5, "statistic": 4.0, "p": 1e-4, "q": 1e-3}
    >>> made = pd.DataFrame([{**row, "n_targets": 6, "direction": "up"}])
    >>> registry.get("plot_activities")(made).values["n_drawn"]
    1
    """
    if lacking := [column for column in _NEEDED if column not in table.columns]:
        raise InputError(
            f"columns {lacking} are missing",
            where="table",
            mend="give the table `activities` of an activity tool",
        )
    data = _chosen(table, params)
    title = "Activities" + (f": {params.contrast.label}" if params.contrast else "")
    height = max(110.0, 62.0 + 20.0 * len(data))
    dots = _dots(targets, data)
    with drawing(600, height, "activities") as figure:
        labels = [shorten(str(name), 40) for name in data["feature"]]
        left = min(0.5, (max([text_size(text, 7.5)[0] for text in labels] or [0.0]) + 12) / 450)
        bottom = 44 / height
        axes = figure.add_axes((left, bottom, 0.94 - left, 1 - bottom - 18 / height))
        places = np.arange(len(data))[::-1]
        for place, row in zip(places, data.itertuples(index=False), strict=True):
            colour = UP if row.effect >= 0 else DOWN
            strong = row.q <= params.level
            axes.barh(
                place, row.effect, height=0.62, color=colour, alpha=0.85 if strong else 0.3, linewidth=0
            )
            axes.plot([row.ci_low, row.ci_high], [place, place], color=INK, linewidth=0.8, alpha=0.7)
            own = dots.get(str(row.feature), np.array([]))
            axes.plot(
                own,
                np.full(len(own), place),
                linestyle="none",
                marker="|",
                markersize=6,
                color=INK,
                alpha=0.45,
            )
        ends = [*data["ci_low"], *data["ci_high"], *(x for own in dots.values() for x in own), 0.0]
        reach = float(np.max(np.abs(ends))) or 1.0
        low, high = min(0.0, float(np.min(ends))), max(0.0, float(np.max(ends)))
        axes.set_xlim(low - 0.06 * reach, high + 0.06 * reach)
        for place, n in zip(places, data["n_targets"], strict=True):
            axes.annotate(
                str(int(n)), (1.0, place), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="left", va="center_baseline", fontsize=6.5, color=MUTED,
            )  # fmt: skip
        axes.set_ylim(-0.7, max(len(data) - 0.3, 0.7))
        axes.set_yticks(places, labels)
        axes.tick_params(axis="y", length=0, pad=4)
        axes.spines["left"].set_visible(False)
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.grid(axis="x", color=GRID, linewidth=0.5)
        axes.set_xlabel("mean log2 change of the targets beyond all others")
        if params.contrast:
            for x, side, text, colour in (
                (1.0, "right", f"more active in {shorten(params.contrast.a, 24)} →", UP),
                (0.0, "left", f"← more active in {shorten(params.contrast.b, 24)}", DOWN),
            ):
                axes.text(
                    x, 1.0, text, transform=axes.transAxes, ha=side, va="bottom", fontsize=8, color=colour
                )
        if not len(data):
            axes.text(0.5, 0.5, "no activity", transform=axes.transAxes, ha="center", va="center", color=INK)
            axes.set_yticks([])
        svg = to_svg(figure, "activities", title)
    caption = (
        "Each bar is a regulator; its length is the weighted mean change of its targets beyond the mean of all tested "
        "features, with its interval as a line and the effects of single targets as ticks. The number on the right counts "
        "targets. Pale bars do not reach the stated level."
    )
    passing = int((data["q"] <= params.level).sum())
    return Result(
        summary=f"Bars of {len(data)} activities, {passing} of them at q <= {params.level:g}.",
        values={"n_drawn": len(data), "n_significant_drawn": passing},
        figures={"activities": Figure(svg, data, title, caption)},
        warnings=() if len(data) else ("the table holds no activity: the figure is empty",),
        complete=len(data) > 0,
        n_total=len(table),
        n_returned=len(data),
    )


def _chosen(table: pd.DataFrame, params: ActivityBarsParams) -> pd.DataFrame:
    """Clearest regulators of each direction: up from the clearest down, then down with the clearest last."""
    pool = table.assign(size=table["statistic"].abs()).sort_values(
        ["p", "size", "feature"], ascending=[True, False, True], kind="stable"
    )
    up = pool[pool["direction"] == "up"].head(params.n_each)
    down = pool[pool["direction"] == "down"].head(params.n_each)
    return pd.concat([up, down.iloc[::-1]], ignore_index=True)[list(_NEEDED)]


def _dots(targets: pd.DataFrame | None, data: pd.DataFrame) -> dict[str, np.ndarray]:
    if targets is None or not {"source", "effect"} <= set(targets.columns):
        return {}
    shown = targets[targets["source"].isin(data["feature"])]
    return {str(name): part["effect"].to_numpy(float) for name, part in shown.groupby("source")}
