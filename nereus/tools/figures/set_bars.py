"""Bars of enriched gene sets."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.style import DOWN, FAINT, GRID, INK, MUTED, UP, drawing, shorten, text_size, to_svg

_NEEDED = ("set_id", "name", "effect", "direction", "q", "n_hits", "n_measured")


class SetBarsParams(Params):
    """Parameters of the set bars."""

    quantity: Literal["auto", "q", "effect"] = "auto"
    """Length of the bars: -log10 q, or the effect (normalised enrichment score); ``auto`` takes the effect of a GSEA
    table (it has a column ``es``) and q otherwise."""
    level: float = Field(0.05, gt=0, lt=1)
    """Level of q; bars that do not reach it are pale."""
    n_each: int = Field(10, ge=1, le=30)
    """Largest number of sets in each direction."""
    representatives: bool = True
    """Draw one set of each cluster of near duplicates."""
    contrast: Contrast | None = None
    """Comparison, to name the two sides."""


@tool(
    "plot_set_bars",
    version="1",
    summary="Bars of the leading gene sets in each direction, with hits over measured genes.",
    outputs=("figure:set_bars",),
    seconds=0.5,
)
def plot_set_bars(table: pd.DataFrame, params: SetBarsParams, *, seed: int) -> Result:
    """Draw the sets of smallest q, up to the right and down to the left.

    Parameters
    ----------
    table : DataFrame
        Set table with ``set_id, name, collection, effect, direction, q, n_hits, n_measured``.
    params : SetBarsParams
        What is drawn.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``set_bars`` with the drawn sets (``set_id, name, collection, direction, length, q, effect,
        n_hits, n_measured``). Values: ``n_drawn, n_significant_drawn``.

    Raises
    ------
    InputError
        When a needed column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> sets = pd.DataFrame({"set_id": ["S1", "S2"], "name": ["ribosome", "spliceosome"], "collection": "go_cc"})
    >>> sets = sets.assign(effect=[2.1, -1.8], direction=["up", "down"], q=[1e-4, 0.02], n_hits=9, n_measured=30)
    >>> registry.get("plot_set_bars")(sets).values["n_drawn"]
    2
    """
    if lacking := [column for column in _NEEDED if column not in table.columns]:
        raise InputError(
            f"columns {lacking} are missing", where="set table", mend="give the table `sets` of enrichment"
        )
    quantity = params.quantity if params.quantity != "auto" else ("effect" if "es" in table else "q")
    data = _chosen(table, params, quantity)
    smallest = data.loc[data["q"] > 0, "q"].min() if (data["q"] > 0).any() else 1e-300
    strength = -np.log10(data["q"].to_numpy(float).clip(min=smallest / 10)) if len(data) else np.array([])
    sign = np.where(data["direction"] == "up", 1.0, -1.0)
    data["length"] = (np.abs(data["effect"].to_numpy(float)) if quantity == "effect" else strength) * sign
    title = "Enriched gene sets" + (f": {params.contrast.label}" if params.contrast else "")
    height = max(110.0, 62.0 + 19.0 * len(data))
    with drawing(600, height, "set_bars") as figure:
        _draw(figure, data, params, quantity, height)
        svg = to_svg(figure, "set_bars", title)
    meaning = (
        "normalised enrichment score"
        if quantity == "effect"
        else "negative logarithm of the adjusted p-value"
    )
    caption = (
        f"Each bar is a gene set; its length is the {meaning}, to the right for sets that are up and to the left for "
        "sets that are down. Numbers are the genes that make up the finding over the measured genes of the set. Pale "
        "bars do not reach the stated level."
    )
    if params.representatives and "representative" in table:
        caption += " Of sets that share most of these genes, one is drawn."
    passing = int((data["q"] <= params.level).sum())
    return Result(
        summary=f"Bars of {len(data)} gene sets, {passing} of them at q <= {params.level:g}.",
        values={"n_drawn": len(data), "n_significant_drawn": passing},
        figures={"set_bars": Figure(svg, data, title, caption)},
        warnings=() if len(data) else ("the table holds no set: the figure is empty",),
        complete=len(data) > 0,
        n_total=len(table),
        n_returned=len(data),
    )


def _chosen(table: pd.DataFrame, params: SetBarsParams, quantity: str) -> pd.DataFrame:
    """Best sets of each direction: up from the strongest down, then down with the strongest last."""
    pool = table
    if params.representatives and "representative" in table:
        pool = table[table["representative"].astype(bool)]
    pool = pool.assign(size=pool["effect"].abs(), collection=pool.get("collection", ""))
    pool = pool.sort_values(["q", "size", "set_id"], ascending=[True, False, True], kind="stable")
    # Sets beyond the level are shown only where nothing passes it.
    passing = pool[pool["q"] <= params.level]
    pool, number = (passing, params.n_each) if len(passing) else (pool, min(params.n_each, 4))
    up = pool[pool["direction"] == "up"].head(number)
    down = pool[pool["direction"] == "down"].head(number)
    longest_first = (
        {"by": "size", "ascending": False} if quantity == "effect" else {"by": "q", "ascending": True}
    )
    up, down = (part.sort_values(**longest_first, kind="stable") for part in (up, down))
    down = down.iloc[::-1]
    columns = ["set_id", "name", "collection", "direction", "q", "effect", "n_hits", "n_measured"]
    return pd.concat([up, down], ignore_index=True)[columns]


def _draw(figure: Drawing, data: pd.DataFrame, params: SetBarsParams, quantity: str, height: float) -> None:
    names = [shorten(name[:1].upper() + name[1:], 52) for name in data["name"].astype(str)]
    widest = max([text_size(name, 7.5)[0] for name in names] or [0.0])
    left = min(0.5, (widest + 12) / 450)
    bottom = 44 / height
    axes = figure.add_axes((left, bottom, 0.985 - left, 1 - bottom - 18 / height))
    length = data["length"].to_numpy(float)
    places = np.arange(len(data))[::-1]
    colours = np.where(length >= 0, UP, DOWN)
    strong = data["q"].to_numpy(float) <= params.level
    for place, value, colour, full in zip(places, length, colours, strong, strict=True):
        axes.barh(place, value, height=0.66, color=colour, alpha=0.9 if full else 0.35, linewidth=0)
    reach = max([*np.abs(length), 1.0])
    low = -reach * 1.0 if (length < 0).any() else 0.0
    high = reach * 1.0 if (length >= 0).any() or not len(length) else 0.0
    span = high - low
    axes.set_xlim(low - span * (0.12 if low < 0 else 0.0), high + span * (0.12 if high > 0 else 0.0))
    for place, value, hits, measured in zip(places, length, data["n_hits"], data["n_measured"], strict=True):
        side = "left" if value >= 0 else "right"
        axes.annotate(
            f"{int(hits)}/{int(measured)}", (value, place), (3 if value >= 0 else -3, 0), textcoords="offset points",
            ha=side, va="center_baseline", fontsize=6.5, color=MUTED,
        )  # fmt: skip
    axes.set_ylim(-0.7, max(len(data) - 0.3, 0.7))
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0, pad=4)
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.grid(axis="x", color=GRID, linewidth=0.5)
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{abs(value):g}" if quantity == "q" else f"{value:g}".replace("-", "−")
    )
    axes.set_xlabel("−log10 q" if quantity == "q" else "normalised enrichment score")
    if params.contrast:
        for shown, x, side, level, colour in (
            (high > 0, 1.0, "right", params.contrast.a, UP),
            (low < 0, 0.0, "left", params.contrast.b, DOWN),
        ):
            if shown:
                text = (
                    f"higher in {shorten(level, 24)} →"
                    if side == "right"
                    else f"← higher in {shorten(level, 24)}"
                )
                axes.text(
                    x, 1.0, text, transform=axes.transAxes, ha=side, va="bottom", fontsize=8, color=colour
                )
    if not len(data):
        axes.text(0.5, 0.5, "no gene set", transform=axes.transAxes, ha="center", va="center", color=INK)
        axes.set_yticks([])
