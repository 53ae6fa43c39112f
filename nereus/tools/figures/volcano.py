"""Volcano plot: effect against evidence."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.labels import place_labels
from nereus.tools.figures.style import (
    DOWN,
    FAINT,
    GRID,
    INK,
    MUTED,
    UP,
    dots,
    drawing,
    feature_label,
    rimmed_dots,
    shorten,
    to_svg,
)

_NEEDED = ("feature", "effect", "p", "q")


class VolcanoParams(Params):
    """Parameters of the volcano plot."""

    contrast: Contrast | None = None
    """Comparison, to name the two sides of the axis."""
    variable: str | None = None
    """Continuous variable of an association, to name the axis."""
    axis: str = ""
    """What the effect is, where it is neither a fold change nor follows a variable."""
    level: float = Field(0.05, gt=0, lt=1)
    """Level of q at which features are coloured."""
    lfc_min: float = Field(0.0, ge=0)
    """Smallest effect that the test asked for (TREAT); drawn as two vertical lines."""
    highlight: tuple[str, ...] = ()
    """Features that get a label first, whatever their p."""
    n_labels: int = Field(18, ge=0, le=60)
    """Largest number of labels."""


@tool(
    "plot_volcano",
    version="1",
    summary="Volcano plot of a test table: effect against -log10 p, significant features coloured and labelled.",
    outputs=("figure:volcano",),
    seconds=0.5,
)
def plot_volcano(
    table: pd.DataFrame, claims: pd.DataFrame | None, params: VolcanoParams, *, seed: int
) -> Result:
    """Draw effect against the negative logarithm of p.

    Parameters
    ----------
    table : DataFrame
        Table of a test with ``feature, gene, effect, p, q``; rows without p are not drawn.
    claims : DataFrame, optional
        Claims of the run with a column ``feature``. Where given, claimed features are filled and the other
        significant ones are drawn open.
    params : VolcanoParams
        Sides, level, labels.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``volcano`` with the drawn points (``feature, gene, effect, p, q, y, group, labelled``).
        Values: ``n_drawn, n_up, n_down, n_labelled``.

    Raises
    ------
    InputError
        When a needed column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> table = pd.DataFrame({"feature": ["P1", "P2", "P3"], "gene": ["A", "B", ""], "effect": [2.0, -1.5, 0.1]})
    >>> table["p"] = table["q"] = [1e-6, 1e-4, 0.8]
    >>> result = registry.get("plot_volcano")(table)
    >>> result.figures["volcano"].svg[:4], result.values["n_up"]
    (b'<svg', 1)
    """
    if lacking := [column for column in _NEEDED if column not in table.columns]:
        raise InputError(
            f"columns {lacking} are missing", where="test table", mend="give the table of a test"
        )
    data = _points(table, claims, params)
    significant = data["group"].isin(["up", "down", "up, not claimed", "down, not claimed"])
    title = "Volcano plot" + (f": {params.contrast.label}" if params.contrast else "")
    with drawing(600, 440, "volcano") as figure:
        axes = figure.add_axes((0.095, 0.115, 0.885, 0.85))
        _limits(axes, data, params)
        styles = (
            ("not significant", FAINT, 2.6, 0.75),
            ("down, not claimed", DOWN, 3.6, 0.45),
            ("up, not claimed", UP, 3.6, 0.45),
            ("down", DOWN, 4.6, 0.95),
            ("up", UP, 4.6, 0.95),
        )
        for group, colour, size, alpha in styles:
            part = data[data["group"] == group]
            place = (axes, part["effect"].to_numpy(), part["y"].to_numpy())
            if group == "not significant":
                dots(*place, size, colour, alpha)
            else:
                rimmed_dots(*place, size, colour, alpha)
        if significant.any():
            line = float(data.loc[significant, "y"].min())
            axes.axhline(line, color=MUTED, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
            axes.text(
                0.995, line, f"q = {params.level:g}", transform=axes.get_yaxis_transform(), ha="right", va="bottom",
                fontsize=7, color=MUTED,
            )  # fmt: skip
        for edge in (-params.lfc_min, params.lfc_min) if params.lfc_min else ():
            axes.axvline(edge, color=MUTED, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
        axes.axvline(0, color=FAINT, linewidth=0.6, zorder=0)
        chosen = _to_label(data, params)
        named = data.loc[chosen]
        crowd = data.loc[significant, ["effect", "y"]].to_numpy()
        texts = [
            feature_label(feature, gene)
            for feature, gene in zip(named["feature"], named["gene"], strict=True)
        ]
        written = place_labels(axes, named["effect"].to_numpy(), named["y"].to_numpy(), texts, avoid=crowd)
        data["labelled"] = False
        data.loc[[i for i, done in zip(chosen, written, strict=True) if done], "labelled"] = True
        axes.set_ylabel("−log10 p")
        axes.grid(axis="both", color=GRID, linewidth=0.5)
        _name_sides(axes, data, params)
        svg = to_svg(figure, "volcano", title)
    counts = data["group"].str.split(",").str[0].value_counts()
    caption = (
        "Each point is a feature: its effect, and the negative logarithm of its p-value. Coloured points pass the "
        "stated level of the adjusted p-value (dashed line)."
    )
    if claims is not None:
        caption += (
            " Pale points pass it in this test alone and are not claimed at the level of the whole run."
        )
    if params.lfc_min:
        caption += " The vertical lines mark the smallest effect that the test asks for."
    n_up, n_down = int(counts.get("up", 0)), int(counts.get("down", 0))
    return Result(
        summary=f"Volcano plot of {len(data)} features: {n_up} up and {n_down} down at q <= {params.level:g}.",
        values={
            "n_drawn": len(data),
            "n_up": n_up,
            "n_down": n_down,
            "n_labelled": int(data["labelled"].sum()),
        },
        figures={"volcano": Figure(svg, data.reset_index(drop=True), title, caption)},
        warnings=() if len(data) else ("the table holds no p-value: the figure is empty",),
        complete=len(data) > 0,
        n_total=len(table),
        n_returned=len(data),
    )


def _points(table: pd.DataFrame, claims: pd.DataFrame | None, params: VolcanoParams) -> pd.DataFrame:
    data = table[[*_NEEDED]].assign(gene=table["gene"].fillna("") if "gene" in table else "")
    data = data[np.isfinite(data["p"].astype(float)) & np.isfinite(data["effect"].astype(float))]
    data = data.reset_index(drop=True)[["feature", "gene", "effect", "p", "q"]]
    p = data["p"].to_numpy(float)
    # A p that underflows to 0 is drawn just above the smallest other one.
    smallest = p[p > 0].min() if (p > 0).any() else 1e-300
    data["y"] = -np.log10(np.where(p > 0, p, smallest / 10))
    side = np.where(data["effect"] >= 0, "up", "down")
    group = np.where(data["q"].to_numpy(float) <= params.level, side, "not significant").astype(object)
    if claims is not None and "feature" in claims:
        claimed = data["feature"].isin(set(claims["feature"].astype(str))).to_numpy()
        pale = (group != "not significant") & ~claimed
        group[pale] = [f"{name}, not claimed" for name in group[pale]]
    data["group"] = group
    return data


def _limits(axes: Axes, data: pd.DataFrame, params: VolcanoParams) -> None:
    reach = max([*np.abs(data["effect"]), params.lfc_min * 1.5, 0.5]) * 1.12
    top = max([*data["y"], 1.5]) * 1.08
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.02 * top, top)


def _to_label(data: pd.DataFrame, params: VolcanoParams) -> list[int]:
    """Rows to label: the highlighted, then the significant by a mix of evidence and effect."""
    wanted = data.index[
        data["feature"].isin(params.highlight) | data["gene"].isin(set(params.highlight) - {""})
    ]
    strong = data[data["group"] != "not significant"]
    claimed_first = strong["group"].str.contains("not claimed")
    score = strong["y"] / max(strong["y"].max(), 1e-9) + strong["effect"].abs() / max(
        strong["effect"].abs().max(), 1e-9
    )
    ranking = pd.DataFrame({"late": claimed_first, "score": -score, "up": strong["effect"] >= 0})
    ranking = ranking.sort_values(["late", "score"], kind="stable")
    # The weaker side still gets a third of the labels, where it has any to show.
    sides = [ranking.index[ranking["up"]], ranking.index[~ranking["up"]]]
    first = {row for side in sides for row in side[: params.n_labels // 3]}
    rows = [*wanted, *(row for row in ranking.index if row in first), *ranking.index]
    return list(dict.fromkeys(rows))[: params.n_labels]


def _name_sides(axes: Axes, data: pd.DataFrame, params: VolcanoParams) -> None:
    label = "log2 fold change"
    if params.variable:
        label = f"change of log2 abundance per SD of {params.variable}"
    axes.set_xlabel(params.axis or label)
    if params.contrast:
        for x, side, level, colour in (
            (0.99, "right", params.contrast.a, UP),
            (0.01, "left", params.contrast.b, DOWN),
        ):
            text = (
                f"higher in {shorten(level, 24)} →"
                if side == "right"
                else f"← higher in {shorten(level, 24)}"
            )
            axes.text(
                x,
                -0.083,
                text,
                transform=axes.transAxes,
                ha=side,
                va="top",
                fontsize=8.5,
                color=colour,
            )
    counts = data["group"].value_counts()
    for x, side, name, colour in ((0.99, "right", "up", UP), (0.01, "left", "down", DOWN)):
        if number := int(counts.get(name, 0)):
            axes.text(
                x, 0.985, f"{number} {name}", transform=axes.transAxes, ha=side, va="top", fontsize=8.5,
                color=colour, fontweight="bold",
            )  # fmt: skip
    if not len(data):
        axes.text(0.5, 0.5, "no test", transform=axes.transAxes, ha="center", color=INK)
