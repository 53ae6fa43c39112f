"""What markers the clusters or populations of cells have: a heat map of their medians."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from pydantic import Field
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import pdist

from nereus.errors import InputError
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.cytometry.cell_table import (
    FloatArray,
    cell_labels,
    choose_markers,
    group_means,
    group_medians,
    marker_values,
)
from nereus.tools.cytometry.marker_classes import LINEAGE, PANEL_SIZE, STATE
from nereus.tools.figures.style import DIVERGING, INK, MUTED, drawing, shorten, text_size, to_svg


class MarkersParams(Params):
    """Parameters of `plot_markers`."""

    groups: str = "cluster"
    """Column of the cells whose levels are the rows."""
    label: str | None = "population"
    """Column written beside each row where its cells agree on it (the population of a cluster)."""
    markers: tuple[str, ...] = ()
    """Markers to draw; none means all lineage and state markers, or those that vary most where there are hundreds."""
    n_markers: int = Field(default=40, ge=2, le=100)
    """Largest number of markers."""


@tool(
    "plot_markers",
    version="2",
    summary="Heat map of the median of each marker in each cluster or population, with sizes and names.",
    outputs=("figure:markers",),
    seconds=1.0,
)
def plot_markers(
    dataset: AnnData, leading: pd.DataFrame | None, params: MarkersParams, *, seed: int
) -> Result:
    """Draw the medians of markers (means where there are hundreds of features) by group of cells.

    Each marker is put between its lowest and its highest group. Rows and columns are ordered by average-linkage
    clustering; bars beside the rows are the groups' shares of all cells.

    Parameters
    ----------
    dataset : AnnData
        Transformed values, obs = cells with the column `groups`.
    leading : DataFrame or None
        Table ``markers`` of `population_markers` for the same groups: its first features of each are drawn.
    params : MarkersParams
        What is drawn.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``markers``; its data is the matrix as drawn (``group, n_cells, label``, one column a marker, medians on
        the transformed scale). Values: ``n_groups, n_markers``.

    Raises
    ------
    InputError
        An unknown column or marker, or no marker that varies.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> X = np.random.default_rng(0).normal(0, 0.2, (90, 3)) + 3 * np.eye(3)[np.arange(90) % 3]
    >>> obs = pd.DataFrame({"cluster": [f"C{i % 3 + 1}" for i in range(90)]}, index=map(str, range(90)))
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=["CD3", "CD19", "CD14"]))
    >>> registry.get("plot_markers")(data).values["n_groups"]
    3
    """
    groups = cell_labels(dataset, params.groups, "marker heat map")
    named = params.markers or _leading(leading, params.n_markers)
    columns, notes = choose_markers(dataset, named, (LINEAGE, STATE), "marker heat map")
    values = marker_values(dataset, columns)
    summarise = group_means if dataset.n_vars > PANEL_SIZE else group_medians
    level = summarise(values, groups.codes, len(groups.names))
    spread = np.fmax.reduce(level, axis=0) - np.fmin.reduce(level, axis=0)
    shown = np.sort(np.argsort(-np.nan_to_num(spread), kind="stable")[: params.n_markers])
    if named:
        shown = np.arange(min(len(columns), params.n_markers))
    level, columns = level[:, shown], columns[shown]
    low, width = np.fmin.reduce(level, axis=0), np.maximum(spread[shown], 1e-12)
    scaled = np.nan_to_num((level - low) / width, nan=0.0)
    rows, across = _leaf_order(scaled), _leaf_order(scaled.T)
    level, scaled, columns = level[rows][:, across], scaled[rows][:, across], columns[across]
    names = [groups.names[row] for row in rows]
    counts = groups.counts[rows]
    labels = _labels(dataset, groups.codes, rows, params)
    markers = [str(dataset.var_names[column]) for column in columns]
    data = pd.DataFrame(level, columns=markers)
    data.insert(0, "label", labels)
    data.insert(0, "n_cells", counts)
    data.insert(0, "group", names)
    title = f"Markers by {params.groups}"
    svg = _draw(scaled, names, labels, counts, markers, title)
    caption = (
        "Each row is a group of cells, each column a marker; the shade is the median of the group's cells between the "
        "lowest and the highest group of that marker, and the bars are the groups' shares of all cells."
    )
    return Result(
        summary=f"Levels of {len(markers)} markers in {len(names)} groups of cells.",
        values={"n_groups": len(names), "n_markers": len(markers)},
        figures={"markers": Figure(svg, data, title, caption)},
        warnings=tuple(notes),
        n_total=int(dataset.n_vars),
        n_returned=len(markers),
    )


def _leading(table: pd.DataFrame | None, most: int) -> tuple[str, ...]:
    """First features of every group, as many of each as fit; none without a table."""
    if table is None:
        return ()
    absent = [name for name in ("population", "feature", "rank") if name not in table.columns]
    if absent:
        raise InputError(
            f"the table has no column {absent[0]!r}",
            where="marker heat map",
            mend="give the table of population_markers",
        )
    first = table.sort_values("rank", kind="stable")
    return tuple(dict.fromkeys(first["feature"].astype(str)))[:most]


def _labels(dataset: AnnData, codes: np.ndarray, rows: np.ndarray, params: MarkersParams) -> list[str]:
    if params.label is None or params.label == params.groups or params.label not in dataset.obs.columns:
        return [""] * len(rows)
    others = cell_labels(dataset, params.label, "marker heat map")
    made = []
    for row in rows:
        own = np.unique(others.codes[codes == row])
        made.append(others.names[own[0]] if len(own) == 1 and own[0] >= 0 else "")
    return made


def _leaf_order(points: FloatArray) -> np.ndarray:
    if len(points) < 3:
        return np.arange(len(points))
    distances = pdist(points)
    return np.asarray(leaves_list(optimal_leaf_ordering(linkage(distances, "average"), distances)))


def _draw(
    scaled: FloatArray,
    names: list[str],
    labels: list[str],
    counts: np.ndarray,
    markers: list[str],
    title: str,
) -> bytes:
    cell = 14.0
    written = [
        shorten(name if not label or label.endswith(name) else f"{name}  {label}", 34)
        for name, label in zip(names, labels, strict=True)
    ]
    left = max(text_size(name, 6.5)[0] for name in written) * 4 / 3 + 12
    below = max(text_size(shorten(name, 16), 6.5)[0] for name in markers) * 4 / 3 + 44
    bars, width = 86.0, 600.0
    wide = width - left - bars - 10
    height = cell * len(names) + below + 18
    with drawing(width, height, "markers") as figure:
        area = figure.add_axes((left / width, below / height, wide / width, cell * len(names) / height))
        _cells(area, scaled)
        area.set_xlim(0, len(markers))
        area.set_ylim(0, len(names))
        area.set_yticks(np.arange(len(names))[::-1] + 0.5, written, fontsize=6.5)
        area.set_xticks(
            np.arange(len(markers)) + 0.5, [shorten(name, 16) for name in markers], fontsize=6.5, rotation=90
        )
        area.tick_params(length=0, pad=3)
        for spine in area.spines.values():
            spine.set_visible(False)
        side = figure.add_axes(
            ((left + wide + 8) / width, below / height, (bars - 40) / width, cell * len(names) / height)
        )
        share = counts / max(counts.sum(), 1)
        side.barh(np.arange(len(names))[::-1] + 0.5, share, height=0.62, color=MUTED, linewidth=0)
        side.set_ylim(0, len(names))
        side.set_xlim(0, max(float(share.max()), 1e-9))
        side.set_xticks([])
        side.set_yticks([])
        for spine in side.spines.values():
            spine.set_visible(False)
        for row, one in enumerate(share):
            side.text(one, len(names) - row - 0.5, f" {one:.1%}", fontsize=6.5, va="center", color=INK)
        side.set_title("share", fontsize=6.5, fontweight="normal", color=MUTED)
        scale = figure.add_axes((left / width, 22 / height, min(110.0, wide * 0.4) / width, 7 / height))
        _cells(scale, np.linspace(0, 1, 24)[None, :])
        scale.set_xlim(0, 24)
        scale.set_ylim(0, 1)
        scale.set_xticks([0, 24], ["lowest", "highest group"], fontsize=6.5)
        scale.set_yticks([])
        scale.tick_params(length=0, pad=2)
        for spine in scale.spines.values():
            spine.set_visible(False)
        return to_svg(figure, "markers", title)


def _cells(axes: Axes, scaled: FloatArray) -> None:
    for row, line in enumerate(scaled):
        for column, value in enumerate(line):
            # The upper half of the diverging scale: from paper to the colour of "higher".
            colour = DIVERGING(0.5 + value / 2)
            axes.add_patch(
                Rectangle(
                    (column, len(scaled) - 1 - row), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.4
                )
            )
