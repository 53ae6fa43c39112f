"""Map of the cell: proteins by the first two components of their fraction profiles, coloured by organelle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Figure, Params, Result, finite, tool
from nereus.tools.figures.style import (
    FAINT,
    LEVELS,
    MARKERS,
    MUTED,
    dots,
    drawing,
    nice_limits,
    shorten,
    to_svg,
)
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.proteomics.organelles import UNKNOWN, fraction_profiles
from nereus.tools.statistics.pca import principal_components

if TYPE_CHECKING:
    from anndata import AnnData

_NEEDED = ("feature", "organelle", "verdict")


class LocalisationMapParams(Params):
    """Parameters of the localisation map."""

    n_organelles: int = Field(14, ge=1, le=20)
    """Largest number of organelles with a colour of their own, those with most proteins; others are grey."""


@tool(
    "plot_localisation",
    version="1",
    summary="Map of proteins by their fraction profiles, markers and assigned proteins coloured by organelle.",
    outputs=("figure:localisation",),
    seconds=1.0,
)
def plot_localisation(
    dataset: AnnData, table: pd.DataFrame, params: LocalisationMapParams, *, seed: int
) -> Result:
    """Draw proteins in the plane of the first two principal components of their profiles.

    Parameters
    ----------
    dataset
        Log2 abundance, fractions x proteins.
    table
        Table ``localisation`` of `classify_organelles`.
    params
        Number of coloured organelles.
    seed
        Not used.

    Returns
    -------
    Result
        Figure ``localisation`` with the drawn points (feature, organelle, verdict, x, y). Values: n_drawn, n_organelles,
        share_of_variance.

    Raises
    ------
    InputError
        When a needed column is missing.

    Examples
    --------
    >>> import anndata
    >>> from nereus.tools import registry
    >>> X = np.log2(np.random.default_rng(0).dirichlet(np.ones(6), 40)).T
    >>> data = anndata.AnnData(X)
    >>> table = pd.DataFrame({"feature": data.var_names, "organelle": ["ER", "PM"] * 20, "verdict": "assigned"})
    >>> registry.get("plot_localisation")(data, table).values["n_organelles"]
    2
    """
    if lacking := [column for column in _NEEDED if column not in table.columns]:
        raise InputError(
            f"columns {lacking} are missing",
            where="table",
            mend="give the table `localisation` of classify_organelles",
        )
    profiles = fraction_profiles(abundance(dataset), np.zeros(dataset.n_obs, dtype=np.intp))
    whole = np.flatnonzero(np.isfinite(profiles).all(axis=1))
    found = principal_components(profiles[whole], 2)
    data = pd.DataFrame(
        {
            "feature": [str(dataset.var_names[i]) for i in whole],
            "x": found.scores[:, 0],
            "y": found.scores[:, 1],
        }
    ).merge(table[list(_NEEDED)].astype(str), on="feature", how="inner")
    data = data[["feature", "organelle", "verdict", "x", "y"]]
    counts = data.loc[data["organelle"] != UNKNOWN, "organelle"].value_counts()
    shown = sorted(sorted(counts.index, key=lambda name: (-counts[name], name))[: params.n_organelles])
    title = "Map of the cell"
    with drawing(600, 430, "localisation") as figure:
        axes = figure.add_axes((0.08, 0.1, 0.58, 0.86))
        axes.set_xlim(*nice_limits(data["x"].to_numpy(float)))
        axes.set_ylim(*nice_limits(data["y"].to_numpy(float)))
        rest = data[~data["organelle"].isin(shown)]
        dots(axes, rest["x"].to_numpy(float), rest["y"].to_numpy(float), 2.2, FAINT, 0.7)
        handles = []
        for i, name in enumerate(shown):
            part = data[data["organelle"] == name]
            colour, shape = LEVELS[i % len(LEVELS)], MARKERS[i // len(LEVELS) % len(MARKERS)]
            known = part["verdict"] == "marker"
            for rows, size, alpha, edge in ((~known, 3.4, 0.55, 0.0), (known, 5.0, 0.95, 0.45)):
                axes.plot(
                    part.loc[rows, "x"], part.loc[rows, "y"], linestyle="none", marker=shape, markersize=size,
                    markerfacecolor=colour, markeredgecolor="white", markeredgewidth=edge, alpha=alpha,
                )  # fmt: skip
            label = f"{shorten(name, 26)} ({len(part)})"
            handles.append(
                Line2D([], [], linestyle="none", marker=shape, markersize=5, color=colour, label=label)
            )
        handles.append(
            Line2D(
                [], [], linestyle="none", marker="o", markersize=4, color=FAINT, label=f"other ({len(rest)})"
            )
        )
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.675, 0.965), labelspacing=0.7)
        figure.text(
            0.715, 0.105, "large, rimmed: markers\nsmall: assigned", fontsize=7, color=MUTED, va="bottom"
        )
        axes.set_xlabel("component 1")
        axes.set_ylabel("component 2")
        svg = to_svg(figure, "localisation", title)
    caption = (
        "Each dot is a protein, placed by the first two principal components of its distribution over the fractions. "
        "Large dots are the markers of an organelle, small ones were assigned to it; grey ones stay unknown."
    )
    return Result(
        summary=f"Map of {len(data)} proteins, {len(shown)} organelles in colour.",
        values={
            "n_drawn": len(data),
            "n_organelles": len(shown),
            "share_of_variance": finite(float(np.sum(found.ratio[:2]))),
        },
        figures={"localisation": Figure(svg, data.reset_index(drop=True), title, caption)},
        n_total=len(table),
        n_returned=len(data),
    )
