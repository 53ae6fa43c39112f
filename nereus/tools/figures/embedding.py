"""Cells on a plane: UMAP, t-SNE or principal components of some of them, by population or condition."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.lines import Line2D
from pydantic import Field

from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.cytometry.cell_table import SAMPLE, FloatArray, Values, cell_labels, even_draw
from nereus.tools.cytometry.marker_space import MarkerSpace, marker_space
from nereus.tools.figures.labels import place_labels
from nereus.tools.figures.levels import OTHER, UNKNOWN, drawn_levels, level_colours, require_column
from nereus.tools.figures.style import INK, LEVELS, MUTED, dots, drawing, nice_limits, shorten, to_svg

_MANY = 20
"""Levels of one column that are told by colour; the palette is gone through twice."""
_MOST_NAMED = 20
_TURNS = 8


class EmbeddingParams(Params):
    """Parameters of `plot_embedding`."""

    colour: tuple[str, ...] = ()
    """Columns of the cells, one panel each; none takes the population, or else the cluster, or else the sample."""
    method: Literal["umap", "tsne", "pca"] = "tsne"
    """``tsne`` (scikit-learn), ``umap`` (package scanpy) or ``pca`` (at once)."""
    markers: tuple[str, ...] = ()
    """Markers that make up the space; none means all lineage markers."""
    n_cells: int = Field(default=2000, ge=50, le=20_000)
    """Cells drawn, as evenly over the samples as their sizes allow."""
    n_neighbours: int = Field(default=15, ge=2, le=200)
    """Neighbours of a cell in the graph of ``umap``."""
    perplexity: float = Field(default=30.0, ge=2, le=200)
    """Of ``tsne``."""
    sample: str = SAMPLE
    """Column of the sample of each cell."""


@tool(
    "plot_embedding",
    version="1",
    summary="Cells on a plane (t-SNE, UMAP or principal components), coloured by population, cluster or condition.",
    outputs=("figure:embedding",),
    seconds=20.0,
)
def plot_embedding(dataset: AnnData, params: EmbeddingParams, *, seed: int) -> Result:
    """Draw some of the cells on a plane on which neighbours stay neighbours.

    Distances between groups, their sizes and densities mean little on such a plane: it shows, it proves nothing.

    Parameters
    ----------
    dataset : AnnData
        Transformed values, obs = cells.
    params : EmbeddingParams
        What is drawn.
    seed : int
        Of the draw of cells and of the embedding.

    Returns
    -------
    Result
        Figure ``embedding`` with the drawn cells (``cell, x, y`` and the columns of colour). Values: ``n_cells``
        (drawn), ``n_total``, ``method``.

    Raises
    ------
    InputError
        An unknown column or marker, fewer than three cells with values, or scanpy missing for ``umap``.

    Notes
    -----
    van der Maaten & Hinton 2008, J Mach Learn Res 9:2579; McInnes, Healy & Melville 2018, arXiv 1802.03426; started on
    the principal components (Kobak & Berens 2019, Nat Commun 10:5416).

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> X = np.random.default_rng(0).normal(0, 0.2, (90, 3)) + 3 * np.eye(3)[np.arange(90) % 3]
    >>> obs = pd.DataFrame({"cluster": [f"C{i % 3 + 1}" for i in range(90)]}, index=map(str, range(90)))
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=["CD3", "CD19", "CD14"]))
    >>> registry.get("plot_embedding")(data, method="pca").values["n_cells"]
    90
    """
    columns = params.colour or tuple(
        [name for name in ("population", "cluster", params.sample) if name in dataset.obs.columns][:1]
    )
    for column in columns:
        require_column(dataset.obs, column)
    space = marker_space(dataset, params.markers, what="plot_embedding")
    rng = np.random.default_rng(seed)
    codes = (
        cell_labels(dataset, params.sample).codes[space.cells]
        if params.sample in dataset.obs.columns
        else np.zeros(len(space.cells), dtype=np.intp)
    )
    rows = even_draw(codes, params.n_cells, rng)
    # In the order of a draw, no group lies on top of the others for being last in the file.
    rows = rng.permutation(rows)
    plane = _plane(space, space.points[rows], params, seed)
    cells = space.cells[rows]
    data = pd.DataFrame({"cell": dataset.obs_names[cells].astype(str), "x": plane[:, 0], "y": plane[:, 1]})
    shown: dict[str, list[str]] = {}
    for column in columns:
        levels, order = _levels(require_column(dataset.obs, column).iloc[cells])
        data[column] = levels
        shown[column] = order
    title = "Cells" + (f" by {' and '.join(columns)}" if columns else "")
    svg = _draw(data, shown, params.method, title)
    axes_name = {"umap": "UMAP", "tsne": "t-SNE", "pca": "principal components"}[params.method]
    caption = (
        f"Each dot is a cell, drawn evenly from the samples, on the plane of {axes_name}. Near cells are alike; "
        "distances between groups and their density are not to be read."
    )
    return Result(
        summary=f"{len(rows)} of {dataset.n_obs} cells on the plane of {axes_name}.",
        values={"n_cells": len(rows), "n_total": int(dataset.n_obs), "method": params.method},
        figures={"embedding": Figure(svg, data, title, caption)},
        warnings=space.notes,
        n_total=int(dataset.n_obs),
        n_returned=len(rows),
    )


def _plane(space: MarkerSpace, points: Values, params: EmbeddingParams, seed: int) -> FloatArray:
    from sklearn.decomposition import PCA

    n_components = min(2, points.shape[1])
    start = PCA(n_components, svd_solver="full").fit_transform(points.astype(np.float64))
    if n_components < 2:  # a single marker has no plane
        return np.column_stack([start[:, 0], np.zeros(len(points))])
    if params.method == "pca":
        return np.asarray(start)
    if params.method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(params.perplexity, (len(points) - 1) / 3.0)
        scaled = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
        made = TSNE(perplexity=perplexity, init=scaled, random_state=seed % 2**31, learning_rate="auto")
        return np.asarray(made.fit_transform(points), dtype=np.float64)
    from nereus.tools.singlecell.leiden import umap_plane

    return umap_plane(points, params.n_neighbours, seed % 2**31)


def _levels(column: pd.Series) -> tuple[list[str], list[str]]:
    """Level of each cell, and the levels in order; up to twenty, where a figure of samples has ten."""
    if column.nunique() <= 10:
        levels, order = drawn_levels(column)
        return [str(one) for one in levels], order
    texts = column.astype(object).map(lambda cell: UNKNOWN if pd.isna(cell) else str(cell))
    counts = texts.value_counts()
    names = sorted(counts.index, key=lambda name: (-counts[name], name))[:_MANY]
    texts = texts.where(texts.isin(names), OTHER)
    order = [name for name in names if name != UNKNOWN]
    order += [OTHER] if (texts == OTHER).any() else []
    return [str(one) for one in texts], order + ([UNKNOWN] if (texts == UNKNOWN).any() else [])


def _draw(data: pd.DataFrame, shown: dict[str, list[str]], method: str, title: str) -> bytes:
    panels: list[str | None] = list(shown) if shown else [None]
    side, legend, gap = 300.0, 120.0, 14.0
    width = 600.0
    per_row = 1 if len(panels) == 1 else 2
    if per_row == 2:
        side = (width - 2 * gap) / 2 - 14
    lines = max([len(order) for order in shown.values()] or [0])
    below = 0.0 if per_row == 1 else 13.0 * ((lines + 1) // 2) + 6
    n_rows = -(-len(panels) // per_row)
    height = n_rows * (side + below + 34.0) + 8
    size = 2.6 if len(data) <= 3000 else 1.8
    with drawing(width, height, "embedding") as figure:
        for number, column in enumerate(panels):
            left = 22.0 + (number % per_row) * (side + gap + 8)
            top = 24.0 + (number // per_row) * (side + below + 34.0)
            wide = side if per_row == 2 else width - legend - 2 * gap - 20
            axes = figure.add_axes((left / width, 1 - (top + side) / height, wide / width, side / height))
            axes.set_xlim(*nice_limits(data["x"].to_numpy(), 0.04))
            axes.set_ylim(*nice_limits(data["y"].to_numpy(), 0.04))
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(
                {"umap": "UMAP", "tsne": "t-SNE", "pca": "PC"}[method] + " 1", fontsize=7, color=MUTED
            )
            axes.set_ylabel(
                {"umap": "UMAP", "tsne": "t-SNE", "pca": "PC"}[method] + " 2", fontsize=7, color=MUTED
            )
            if column is None:
                dots(axes, data["x"].to_numpy(), data["y"].to_numpy(), size, LEVELS[0], 0.6)
                continue
            order = shown[column]
            colours = level_colours(order)
            # In turns, or the last level would cover the others.
            for rows in np.array_split(np.arange(len(data)), _TURNS):
                turn = data.iloc[rows]
                for level in order[::-1]:
                    part = turn[turn[column] == level]
                    dots(axes, part["x"].to_numpy(), part["y"].to_numpy(), size, colours[level], 0.75)
            if len(order) <= _MOST_NAMED and column in ("population", "cluster"):
                named = [level for level in order if level not in (OTHER, UNKNOWN)]
                middle = data.groupby(column)[["x", "y"]].median().reindex(named)
                place_labels(
                    axes,
                    middle["x"].to_numpy(),
                    middle["y"].to_numpy(),
                    [shorten(name, 20) for name in named],
                    size=7,
                )
            axes.set_title(shorten(column.strip("_ "), 40), fontsize=8.5, color=INK)
            handles = [
                Line2D([], [], linestyle="none", marker="o", markersize=4.5, markeredgewidth=0,
                       markerfacecolor=colours[level], label=shorten(level, 22))
                for level in order
            ]  # fmt: skip
            if per_row == 1:
                axes.legend(
                    handles=handles,
                    loc="upper left",
                    bbox_to_anchor=(1.02, 1.0),
                    labelspacing=0.35,
                    fontsize=7,
                )
            else:
                axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, -0.05), ncols=2, labelspacing=0.3,
                            fontsize=6.5, columnspacing=1.0)  # fmt: skip
        return to_svg(figure, "embedding", title)
