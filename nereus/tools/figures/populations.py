"""Shares of populations by group of samples: every unit a point, findings marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.levels import drawn_levels, level_colours, require_column
from nereus.tools.figures.style import FAINT, GRID, INK, MUTED, drawing, rimmed_dots, shorten, to_svg

_PER_ROW = 4


class PopulationsParams(Params):
    """Parameters of `plot_populations`."""

    contrast: Contrast | None = None
    """Comparison whose levels are drawn."""
    factor: str | None = None
    """Column of the units that gives the groups, where there is no contrast."""
    n_populations: int = Field(default=16, ge=1, le=60)
    """Largest number of populations: findings first, then the largest."""
    level: float = Field(default=0.05, gt=0, lt=1)
    """Populations of the table up to this q are marked."""
    join: str | None = None
    """Column of the subject whose points are joined by a line (pairs)."""


@tool(
    "plot_populations",
    version="1",
    summary="Share of each population in every unit by group, as points with medians; findings are marked.",
    outputs=("figure:populations",),
    seconds=1.0,
)
def plot_populations(
    dataset: AnnData, table: pd.DataFrame | None, params: PopulationsParams, *, seed: int
) -> Result:
    """Draw the share of every population by group, one point a unit.

    Parameters
    ----------
    dataset : AnnData
        ``shares`` of `cell_abundance_test`: units x populations with the layer ``share``.
    table : DataFrame, optional
        ``abundance`` of the same test: orders the populations and marks findings.
    params : PopulationsParams
        Groups.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``populations`` with the points (``point, population, unit, group, share``). Values:
        ``n_populations, n_units, n_marked``.

    Raises
    ------
    InputError
        No layer of shares, no groups named, or an unknown column.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> share = np.array([[0.6, 0.4], [0.5, 0.5], [0.2, 0.8], [0.3, 0.7]])
    >>> data = anndata.AnnData(np.log2(share), layers={"share": share}, var=pd.DataFrame(index=["B cells", "T cells"]),
    ...                        obs=pd.DataFrame({"group": list("aabb")}, index=list("uvwx")))
    >>> registry.get("plot_populations")(data, factor="group").values["n_populations"]
    2
    """
    if "share" not in dataset.layers:
        raise InputError(
            "the data set has no layer 'share'",
            where="population plot",
            mend="take the data set `shares` of cell_abundance_test",
        )
    factor = params.contrast.factor if params.contrast else params.factor
    if factor is None:
        raise InputError("name groups: contrast or factor", where="population plot", mend="give one of them")
    first = (params.contrast.b, params.contrast.a) if params.contrast else ()
    groups, order = drawn_levels(require_column(dataset.obs, factor), first=first)
    keep = np.ones(dataset.n_obs, dtype=bool)
    if params.contrast is not None:
        order = [level for level in order if level in (params.contrast.a, params.contrast.b)]
        for column, level in params.contrast.subset.items():
            keep &= (drawn_levels(require_column(dataset.obs, column))[0] == level).to_numpy()
    keep &= groups.isin(order).to_numpy()
    if not keep.any():
        raise InputError("no unit is in a group", where="population plot", mend="check the contrast")
    share = np.asarray(dataset.layers["share"], dtype=np.float64)[keep]
    names = [str(name) for name in dataset.var_names]
    q = _q_values(table, names)
    mean = np.where(np.isfinite(share), share, 0.0).mean(axis=0)
    ranked = sorted(range(len(names)), key=lambda at: (not q[at] <= params.level, -mean[at], names[at]))
    chosen = ranked[: params.n_populations]
    owner = require_column(dataset.obs, params.join).astype(str).to_numpy()[keep] if params.join else None
    level_of = groups.to_numpy()[keep]
    units = dataset.obs_names[keep].astype(str)
    parts = [
        pd.DataFrame({"population": names[at], "unit": units, "group": level_of, "share": share[:, at]})
        for at in chosen
    ]
    data = pd.concat(parts, ignore_index=True)
    data.insert(0, "point", data["population"] + "|" + data["unit"])
    title = f"Populations by {factor}" if params.contrast is None else f"Populations: {params.contrast.label}"
    marked = [names[at] for at in chosen if q[at] <= params.level]
    svg = _draw(data, [names[at] for at in chosen], order, set(marked), params, owner, title)
    caption = (
        "Each point is a unit (a sample, or a subject's samples of one condition); its height is the share of the "
        "population among the unit's cells, and the line is the median of the group. Bold names are findings of the test."
    )
    return Result(
        summary=f"Shares of {len(chosen)} populations in {int(keep.sum())} units; {len(marked)} are marked as findings.",
        values={"n_populations": len(chosen), "n_units": int(keep.sum()), "n_marked": len(marked)},
        figures={"populations": Figure(svg, data, title, caption)},
        n_total=len(names),
        n_returned=len(chosen),
    )


def _q_values(table: pd.DataFrame | None, names: list[str]) -> np.ndarray:
    if table is None or "q" not in table.columns:
        return np.full(len(names), np.nan)
    key = "population" if "population" in table.columns else "feature"
    q = pd.Series(table["q"].to_numpy(dtype=np.float64), index=table[key].astype(str))
    return np.asarray(q[~q.index.duplicated()].reindex(names), dtype=np.float64)


def _draw(
    data: pd.DataFrame,
    names: list[str],
    order: list[str],
    marked: set[str],
    params: PopulationsParams,
    owner: np.ndarray | None,
    title: str,
) -> bytes:
    colours = level_colours(order, params.contrast)
    per_row = min(_PER_ROW, len(names))
    n_rows = -(-len(names) // per_row)
    wide, high, left, gap, above = 600.0 / max(per_row, 2) - 46.0, 96.0, 40.0, 46.0, 22.0
    below = 30.0 if len(order) <= 3 else 52.0
    width, height = 600.0, n_rows * (high + above + below) + 6
    with drawing(width, height, "populations") as figure:
        for number, name in enumerate(names):
            x0 = left + (number % per_row) * (wide + gap)
            top = above + (number // per_row) * (high + above + below)
            axes = figure.add_axes((x0 / width, 1 - (top + high) / height, wide / width, high / height))
            part = data[data["population"] == name]
            axes.set_xlim(-0.6, len(order) - 0.4)
            values = part["share"].to_numpy(float) * 100
            peak = float(np.nanmax(values, initial=0.0))
            axes.set_ylim(0.0, max(peak * 1.12, 1e-3))
            axes.grid(axis="y", color=GRID, linewidth=0.5)
            places: dict[str, list[tuple[float, float]]] = {}
            for at, level in enumerate(order):
                own = (part["group"] == level).to_numpy()
                heights = values[own]
                if not len(heights):
                    continue
                across = at + (np.arange(len(heights)) % 5 - 2) * (0.07 if len(heights) > 1 else 0.0)
                rimmed_dots(axes, across, heights, 3.8, colours[level], 0.9)
                middle = float(np.median(heights))
                axes.hlines(middle, at - 0.28, at + 0.28, color=INK, linewidth=1.4, zorder=4)
                if owner is not None:
                    for who, x, y in zip(owner[own], across, heights, strict=True):
                        places.setdefault(str(who), []).append((x, y))
            for points in places.values():
                axes.plot(*zip(*points, strict=True), color=FAINT, linewidth=0.7, zorder=1)
            weight = "bold" if name in marked else "normal"
            axes.set_title(
                shorten(name, 24), fontsize=7.5, fontweight=weight, color=INK if name in marked else MUTED
            )
            axes.set_xticks(range(len(order)), [shorten(one, 12) for one in order], fontsize=6.5)
            if len(order) > 3:
                axes.tick_params(axis="x", labelrotation=30)
            axes.tick_params(axis="x", length=0)
            axes.tick_params(axis="y", labelsize=6.5)
            if number % per_row == 0:
                axes.set_ylabel("% of cells", fontsize=7)
        return to_svg(figure, "populations", title)
