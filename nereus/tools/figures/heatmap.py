"""Heat map of leading features over samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from pydantic import Field
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import pdist

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.levels import drawn_levels, level_colours, require_column
from nereus.tools.figures.style import (
    DIVERGING,
    INK,
    MISSING,
    MISSING_LINE,
    MUTED,
    drawing,
    feature_label,
    shorten,
    text_size,
    to_svg,
)

_REACH = 2.5  # z-scores beyond are drawn in the last colour
_SHADES = 25
_MAX_NAMED_SAMPLES = 40


class HeatmapParams(Params):
    """Parameters of the heat map."""

    contrast: Contrast | None = None
    """Comparison; its factor leads the columns, and only its samples are drawn."""
    factors: tuple[str, ...] = Field((), max_length=4)
    """Sample columns to show as bars; columns are grouped by the first."""
    features: tuple[str, ...] = ()
    """Features to draw; by default the leading ones of the table, or those that vary most."""
    n_features: int = Field(40, ge=2, le=100)
    """Largest number of features."""
    level: float = Field(0.05, gt=0, lt=1)
    """Features of the table up to this q come first; others fill up only where fewer than five pass."""


@tool(
    "plot_heatmap",
    version="1",
    summary="Heat map of leading features: z-scores, missing values hatched, rows clustered, samples by factor.",
    outputs=("figure:heatmap",),
    seconds=1.0,
)
def plot_heatmap(dataset: AnnData, table: pd.DataFrame | None, params: HeatmapParams, *, seed: int) -> Result:
    """Draw z-scores of features (rows) over samples (columns).

    A feature is centred and scaled over the samples drawn; a missing value stays missing. Rows are ordered by
    average-linkage clustering, samples by the first factor and then by clustering within its levels.

    Parameters
    ----------
    dataset : AnnData
        Log2 abundance, samples x features.
    table : DataFrame, optional
        Table of a test, whose features of smallest p are drawn.
    params : HeatmapParams
        What is drawn.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``heatmap``; its data is the matrix as drawn (``feature, gene``, one column a sample,
        z-scores). Values: ``n_features, n_samples, missing_rate``.

    Raises
    ------
    InputError
        When a sample column or a feature does not exist, or nothing is left to draw.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> X = np.random.default_rng(1).normal(20, 1, (6, 12))
    >>> obs = pd.DataFrame({"group": list("aaabbb")}, index=list("uvwxyz"))
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(12)]))
    >>> registry.get("plot_heatmap")(data, factors=("group",)).values["n_features"]
    12
    """
    factors = tuple(dict.fromkeys([*([params.contrast.factor] if params.contrast else []), *params.factors]))
    bars = {
        factor: drawn_levels(
            require_column(dataset.obs, factor),
            first=(params.contrast.a, params.contrast.b)
            if params.contrast and factor == params.contrast.factor
            else (),
        )
        for factor in factors
    }
    samples = _samples(dataset, bars, params)
    columns = _features(dataset, table, params)
    z = _z_scores(np.asarray(dataset.X, dtype=np.float64)[np.ix_(samples, columns)].T)
    kept = np.isfinite(z).sum(axis=1) >= 2
    if not kept.any() or z.shape[1] < 2:
        raise InputError(
            "nothing is left to draw",
            where="heat map",
            mend="choose features that vary and 2 samples or more",
        )
    z, columns = z[kept], columns[kept]
    groups = bars[factors[0]][0].iloc[samples].to_numpy() if factors else np.full(len(samples), "")
    order = _sample_order(z, groups, bars[factors[0]][1] if factors else [""])
    z, samples = z[:, order], samples[order]
    rows = _leaf_order(z)
    z, columns = z[rows], columns[rows]
    genes = (
        dataset.var["gene"].astype(str) if "gene" in dataset.var else pd.Series("", index=dataset.var_names)
    )
    data = pd.DataFrame(z, columns=[str(dataset.obs_names[i]) for i in samples])
    data.insert(0, "gene", [genes.iloc[i] for i in columns])
    data.insert(0, "feature", [str(dataset.var_names[i]) for i in columns])
    title = "Leading features" + (f": {params.contrast.label}" if params.contrast else "")
    shown = {
        name: (levels.iloc[samples].tolist(), [n for n in names if n in set(levels.iloc[samples])])
        for name, (levels, names) in bars.items()
    }
    svg = _draw(data, z, shown, params, title)
    caption = (
        "Each row is a feature, each column a sample; colour is the log2 abundance as a z-score over the samples shown, "
        "and hatched cells are missing values. Rows are clustered; samples are grouped by the first bar and clustered "
        "within its levels."
    )
    missing = float(np.isnan(z).mean())
    return Result(
        summary=f"Heat map of {z.shape[0]} features over {z.shape[1]} samples.",
        values={"n_features": z.shape[0], "n_samples": z.shape[1], "missing_rate": missing},
        figures={"heatmap": Figure(svg, data, title, caption)},
        n_total=dataset.n_vars,
        n_returned=z.shape[0],
    )


def _samples(
    dataset: AnnData, bars: dict[str, tuple[pd.Series, list[str]]], params: HeatmapParams
) -> np.ndarray:
    keep = np.ones(dataset.n_obs, dtype=bool)
    if params.contrast is not None:
        levels = bars[params.contrast.factor][0]
        keep &= levels.isin([params.contrast.a, params.contrast.b]).to_numpy()
        for column, level in params.contrast.subset.items():
            keep &= (drawn_levels(require_column(dataset.obs, column))[0] == level).to_numpy()
    return np.flatnonzero(keep)


def _features(dataset: AnnData, table: pd.DataFrame | None, params: HeatmapParams) -> np.ndarray:
    if params.features:
        found: np.ndarray = dataset.var_names.get_indexer(list(params.features))
        if (found < 0).any():
            lost = [name for name, place in zip(params.features, found, strict=True) if place < 0]
            raise InputError(f"features {lost[:3]} are not in the data set", where="heat map")
        return found[: params.n_features]
    if table is not None:
        ranked = table[table["p"].notna()].sort_values(["p", "feature"], kind="stable")
        passing = ranked[ranked["q"] <= params.level]
        ranked = passing if len(passing) >= 5 else ranked.head(max(len(passing), 20))
        placed: np.ndarray = dataset.var_names.get_indexer(ranked["feature"])
        return placed[placed >= 0][: params.n_features]
    X = np.asarray(dataset.X, dtype=np.float64)
    complete = np.isfinite(X).sum(axis=0) >= max(3, 0.5 * X.shape[0])
    spread = np.full(X.shape[1], -1.0)
    spread[complete] = np.nanstd(X[:, complete], axis=0)
    return np.argsort(-spread, kind="stable")[: min(params.n_features, int(complete.sum()))]


def _z_scores(values: np.ndarray) -> np.ndarray:
    """Rows centred and scaled by their observed values; rows with fewer than two stay NaN."""
    observed = np.isfinite(values)
    n = observed.sum(axis=1, keepdims=True)
    total = np.where(observed, values, 0.0).sum(axis=1, keepdims=True)
    away = np.where(observed, values - total / np.maximum(n, 1), 0.0)
    spread = np.sqrt((away**2).sum(axis=1, keepdims=True) / np.maximum(n - 1, 1))
    return np.where(
        observed & (n >= 2) & (spread > 1e-12), away / np.where(spread > 1e-12, spread, 1.0), np.nan
    )


def _leaf_order(z: np.ndarray) -> np.ndarray:
    """Row order by clustering; missing z-scores count as 0, the row's mean."""
    if len(z) < 3:
        return np.arange(len(z))
    filled = np.nan_to_num(np.clip(z, -_REACH, _REACH))
    distances = pdist(filled)
    tree = linkage(distances, "average")
    order: np.ndarray = leaves_list(optimal_leaf_ordering(tree, distances) if len(z) <= 200 else tree)
    return order


def _sample_order(z: np.ndarray, groups: np.ndarray, levels: list[str]) -> np.ndarray:
    parts = [np.flatnonzero(groups == level) for level in levels]
    return np.concatenate([part[_leaf_order(z[:, part].T)] for part in parts if len(part)])


def _draw(
    data: pd.DataFrame,
    z: np.ndarray,
    bars: dict[str, tuple[list[str], list[str]]],
    params: HeatmapParams,
    title: str,
) -> bytes:
    n_rows, n_columns = z.shape
    names = [
        feature_label(feature, gene) for feature, gene in zip(data["feature"], data["gene"], strict=True)
    ]
    sample_names = (
        [shorten(str(name), 18) for name in data.columns[2:]] if n_columns <= _MAX_NAMED_SAMPLES else []
    )
    right = max(text_size(name, 6.5)[0] for name in names) * 4 / 3 + 14
    left = max([text_size(shorten(name.strip("_ "), 22), 7)[0] for name in bars] or [0]) * 4 / 3 + 14
    below = max([text_size(name, 6.5)[0] for name in sample_names] or [0]) * 4 / 3 + 12
    cell = 13.0 if n_rows <= 30 else 10.5
    bar, gap = 11.0, 3.0
    legend_lines = [_legend_lines(levels, 600 - left - 12) for _, levels in bars.values()]
    above = 8 + (bar + gap) * len(bars) + 4
    under = below + 38 + 14 * sum(legend_lines)
    height = above + cell * n_rows + under
    with drawing(600, height, "heatmap") as figure:
        wide = 600 - left - right
        area = figure.add_axes((left / 600, under / height, wide / 600, cell * n_rows / height))
        _cells(area, z)
        _frame_off(area, n_columns, n_rows)
        area.set_yticks(np.arange(n_rows)[::-1] + 0.5, names, fontsize=6.5)
        area.yaxis.tick_right()
        area.tick_params(axis="y", length=0, pad=3)
        if sample_names:
            area.set_xticks(np.arange(n_columns) + 0.5, sample_names, fontsize=6.5, rotation=90)
            area.tick_params(axis="x", length=0, pad=2)
        first_levels = next(iter(bars.values()))[0] if bars else []
        for place in range(1, len(first_levels)):
            if first_levels[place] != first_levels[place - 1]:
                area.axvline(place, color="white", linewidth=1.6)
        line, used = under - below - 16, 0
        for number, (name, (levels, order)) in enumerate(bars.items()):
            top = height - 8 - (bar + gap) * number
            strip = figure.add_axes((left / 600, (top - bar) / height, wide / 600, bar / height))
            own = params.contrast if params.contrast and name == params.contrast.factor else None
            colours = level_colours(order, own, used)
            used += 0 if own else len(order)
            _strip(strip, levels, colours)
            _frame_off(strip, n_columns, 1)
            label = shorten(name.strip("_ "), 22)
            strip.text(
                -4 / (wide * 0.75),
                0.5,
                label,
                transform=strip.transAxes,
                ha="right",
                va="center",
                fontsize=7,
                color=INK,
            )
            line = _legend(figure, label, colours, left, line, height)
        _scale(figure, left, wide, line, height)
        return to_svg(figure, "heatmap", title)


def _cells(axes: Axes, z: np.ndarray) -> None:
    """Cells as one path a shade: far smaller than one rectangle each, and sharp at any size."""
    shade = np.clip(np.round((z + _REACH) / (2 * _REACH) * (_SHADES - 1)), 0, _SHADES - 1)
    shade = np.where(np.isnan(z), -1, shade).astype(int)
    n_rows = len(z)
    boxes: dict[int, list[tuple[int, int, int]]] = {}
    for row in range(n_rows):
        edges = np.flatnonzero(np.diff(shade[row])) + 1
        for start, stop in zip([0, *edges], [*edges, z.shape[1]], strict=True):
            boxes.setdefault(int(shade[row, start]), []).append((n_rows - 1 - row, int(start), int(stop)))
    for value, places in sorted(boxes.items()):
        vertices = [
            corner
            for row, start, stop in places
            for corner in ((start, row), (stop, row), (stop, row + 1), (start, row + 1), (start, row))
        ]
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(places)
        path = Path(np.array(vertices, dtype=float), codes)
        if value < 0:
            axes.add_artist(
                PathPatch(path, facecolor=MISSING, edgecolor=MISSING_LINE, hatch="/////", linewidth=0.0)
            )
        else:
            colour = DIVERGING(value / (_SHADES - 1))
            axes.add_artist(PathPatch(path, facecolor=colour, edgecolor=colour, linewidth=0.15))
    axes.hlines(range(1, n_rows), 0, z.shape[1], color="white", linewidth=0.4)


def _strip(axes: Axes, levels: list[str], colours: dict[str, str]) -> None:
    start = 0
    for place in range(1, len(levels) + 1):
        if place == len(levels) or levels[place] != levels[start]:
            axes.add_artist(
                Rectangle((start, 0), place - start, 1, facecolor=colours[levels[start]], linewidth=0)
            )
            start = place


def _legend_lines(levels: list[str], width: float) -> int:
    lines, used = 1, 0.0
    for level in levels:
        need = text_size(shorten(level, 26), 7)[0] * 4 / 3 + 26
        if used + need > width and used:
            lines, used = lines + 1, 0.0
        used += need
    return lines


def _legend(
    figure: Drawing, name: str, colours: dict[str, str], left: float, line: float, height: float
) -> float:
    """Write one legend from `left` on, `line` pixels above the bottom; give the next line."""
    add = figure.text
    add((left - 8) / 600, (line + 4) / height, name, ha="right", va="center", fontsize=7, color=MUTED)
    x = left
    for level, colour in colours.items():
        text = shorten(level, 26)
        need = text_size(text, 7)[0] * 4 / 3 + 26
        if x + need > 600 and x > left:
            x, line = left, line - 14
        figure.add_artist(
            Rectangle(
                (x / 600, line / height), 8 / 600, 8 / height, facecolor=colour, linewidth=0,
                transform=figure.transFigure,
            )
        )  # fmt: skip
        add((x + 12) / 600, (line + 4) / height, text, ha="left", va="center", fontsize=7, color=INK)
        x += need
    return line - 14


def _scale(figure: Drawing, left: float, wide: float, line: float, height: float) -> None:
    """Colour scale with the meaning of hatching."""
    width = min(120.0, wide * 0.4)
    axes = figure.add_axes((left / 600, line / height, width / 600, 7 / height))
    for value in range(_SHADES):
        axes.add_patch(
            Rectangle((value, 0), 1.02, 1, facecolor=DIVERGING(value / (_SHADES - 1)), linewidth=0)
        )
    _frame_off(axes, _SHADES, 1)
    add = figure.text
    add((left - 8) / 600, (line + 3.5) / height, "z-score", ha="right", va="center", fontsize=7, color=MUTED)
    for share, text in ((0.0, f"−{_REACH:g}"), (0.5, "0"), (1.0, f"{_REACH:g}")):
        add(
            (left + share * width) / 600,
            (line - 3) / height,
            text,
            ha="center",
            va="top",
            fontsize=6.5,
            color=MUTED,
        )
    figure.add_artist(
        Rectangle(
            ((left + width + 24) / 600, (line - 0.5) / height), 12 / 600, 8 / height, facecolor=MISSING,
            edgecolor=MISSING_LINE, hatch="/////", linewidth=0.0, transform=figure.transFigure,
        )
    )  # fmt: skip
    add(
        (left + width + 41) / 600,
        (line + 3.5) / height,
        "missing",
        ha="left",
        va="center",
        fontsize=7,
        color=INK,
    )


def _frame_off(axes: Axes, width: float, height: float) -> None:
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
