"""Missing values: by sample, and against abundance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from pydantic import Field

from nereus.memory.records import Contrast
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.levels import drawn_levels, level_colours, require_column
from nereus.tools.figures.style import FAINT, GRID, INK, MUTED, dots, drawing, nice_limits, shorten, to_svg


class MissingnessParams(Params):
    """Parameters of the missingness plot."""

    factor: str | None = None
    """Sample column whose levels are told apart."""
    contrast: Contrast | None = None
    """Comparison of two levels of `factor`, which then have the colours of up and down."""
    n_bins: int = Field(12, ge=4, le=40)
    """Bins of mean abundance, equal in number of features, for the line of missing rate."""


@tool(
    "plot_missingness",
    version="1",
    summary="Detected features of each sample by group, and the missing rate of features against their abundance.",
    outputs=("figure:missingness",),
    seconds=0.5,
)
def plot_missingness(dataset: AnnData, params: MissingnessParams, *, seed: int) -> Result:
    """Draw how much is missing, where, and whether it depends on abundance.

    Parameters
    ----------
    dataset : AnnData
        Log2 abundance, samples x features; NaN is missing.
    params : MissingnessParams
        Factor and bins.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``missingness`` with one row a sample (``sample, group, n_detected, missing_rate``). Values:
        ``missing_rate``, ``least_detected, most_detected`` (features in a sample),
        ``abundance_correlation`` (Spearman correlation of a feature's missing rate with its mean abundance;
        strongly negative where missing means low).

    Raises
    ------
    InputError
        When the sample column does not exist.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> X = np.random.default_rng(1).normal(20, 2, (6, 40))
    >>> X[X < 18] = np.nan
    >>> obs = pd.DataFrame({"group": list("aaabbb")}, index=list("uvwxyz"))
    >>> result = registry.get("plot_missingness")(anndata.AnnData(X, obs=obs), factor="group")
    >>> bool(result.values["missing_rate"] > 0)
    True
    """
    X = np.asarray(dataset.X, dtype=np.float64)
    observed = np.isfinite(X)
    levels, order = (pd.Series("", index=dataset.obs_names), [""])
    if params.factor is not None:
        levels, order = drawn_levels(require_column(dataset.obs, params.factor))
    data = pd.DataFrame(
        {
            "sample": dataset.obs_names.astype(str),
            "group": levels.to_numpy(),
            "n_detected": observed.sum(axis=1),
            "missing_rate": 1 - observed.mean(axis=1),
        }
    )
    data["place"] = data["group"].map({level: i for i, level in enumerate(order)})
    data = data.sort_values(["place", "n_detected", "sample"], kind="stable", ignore_index=True).drop(
        columns="place"
    )
    seen = np.asarray(observed.any(axis=0))
    mean = np.where(observed, X, 0.0).sum(axis=0)[seen] / observed.sum(axis=0)[seen]
    rate = 1 - observed.mean(axis=0)[seen]
    # Rank correlation by hand: constant rates (nothing missing) have none.
    related = _rank_correlation(mean, rate)
    colours = level_colours(order, params.contrast) if params.factor else {"": MUTED}
    title = "Missing values"
    with drawing(600, 300, "missingness") as figure:
        _by_sample(figure.add_axes((0.1, 0.13, 0.40, 0.73)), data, order, colours, dataset.n_vars)
        groups = {level: observed[(levels == level).to_numpy(bool)] for level in order}
        _by_abundance(
            figure.add_axes((0.62, 0.13, 0.365, 0.73)), mean, rate, groups, seen, colours, params.n_bins
        )
        if params.factor is not None:
            marks = [
                Line2D([], [], color=colours[level], linewidth=4, label=shorten(level, 22)) for level in order
            ]
            figure.legend(
                handles=marks, loc="upper left", bbox_to_anchor=(0.1, 0.995), ncols=min(len(order), 6), handlelength=0.8,
                columnspacing=1.4,
            )  # fmt: skip
        svg = to_svg(figure, "missingness", title)
    caption = (
        "Left: number of features detected in each sample, sorted within its group; the line is the group's median. Right: "
        "missing rate of each feature against its mean abundance, with the rate of each group in bins of abundance. Rates "
        "that fall with abundance mean that values are missing because they are low; lines that lie apart mean that "
        "missing values differ between groups."
    )
    return Result(
        summary=f"{1 - observed.mean():.1%} of values are missing; samples hold {data['n_detected'].min()} to "
        f"{data['n_detected'].max()} of {dataset.n_vars} features.",
        values={
            "missing_rate": float(1 - observed.mean()),
            "least_detected": int(data["n_detected"].min()),
            "most_detected": int(data["n_detected"].max()),
            "abundance_correlation": related,
        },
        figures={"missingness": Figure(svg, data, title, caption)},
        n_total=dataset.n_obs,
        n_returned=len(data),
    )


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    ranks = [pd.Series(values).rank().to_numpy() for values in (first, second)]
    if len(first) < 3 or min(np.ptp(r) for r in ranks) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _by_sample(
    axes: Axes, data: pd.DataFrame, order: list[str], colours: dict[str, str], n_features: int
) -> None:
    gap = max(1, len(data) // 40)
    start = 0
    for level in order:
        part = data[data["group"] == level]
        if part.empty:
            continue
        places = start + np.arange(len(part))
        axes.vlines(
            places,
            0,
            part["n_detected"],
            color=colours[level],
            linewidth=min(5.0, 150 / len(data)),
            alpha=0.85,
        )
        median = float(part["n_detected"].median())
        axes.hlines(median, places[0] - 0.6, places[-1] + 0.6, color=INK, linewidth=0.9)
        start += len(part) + gap
    axes.set_xlim(-1, start - gap + 0.5)
    axes.set_ylim(0, max(n_features, 1) * 1.02)
    axes.axhline(n_features, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.text(-0.5, n_features, " all features", ha="left", va="bottom", fontsize=6.5, color=MUTED)
    axes.set_xticks([])
    axes.set_ylabel("features detected")
    axes.set_xlabel("samples, sorted within groups" if len(order) > 1 else "samples, sorted")
    axes.grid(axis="y", color=GRID, linewidth=0.5)


def _by_abundance(
    axes: Axes,
    mean: np.ndarray,
    rate: np.ndarray,
    groups: dict[str, np.ndarray],
    seen: np.ndarray,
    colours: dict[str, str],
    n_bins: int,
) -> None:
    axes.set_xlim(*nice_limits(mean, 0.04))
    axes.set_ylim(-0.03, 1.03)
    dots(axes, mean, rate, 2.2, FAINT, 0.6)
    edges = np.unique(np.quantile(mean, np.linspace(0, 1, n_bins + 1))) if len(mean) else np.array([0.0, 1.0])
    places = np.clip(np.searchsorted(edges, mean, side="right") - 1, 0, max(len(edges) - 2, 0))
    for level, observed in groups.items():
        if not len(observed):
            continue
        own = 1 - observed[:, seen].mean(axis=0)
        bins = [places == i for i in range(len(edges) - 1)]
        line = [(mean[at].mean(), own[at].mean()) for at in bins if at.any()]
        if line:
            x, y = np.array(line).T
            axes.plot(
                x, y, color=colours[level], linewidth=1.6, marker="o", markersize=2.8, markeredgewidth=0
            )
    axes.set_xlabel("mean log2 abundance")
    axes.set_ylabel("missing rate")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.grid(axis="y", color=GRID, linewidth=0.5)
