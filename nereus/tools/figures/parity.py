"""Observed against predicted: whether a formula tells a number, and where it does not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.style import DOWN, FAINT, GRID, MUTED, drawing, shorten, to_svg

_NEEDED = ("row", "observed", "predicted", "held_out")


class ParityPlotParams(Params):
    """Parameters of the parity plot."""

    name: str = ""
    """Name of the quantity, for the axes."""


@tool(
    "plot_parity",
    version="1",
    summary="Observed against predicted values of a formula, rows that were held out told apart.",
    outputs=("figure:parity",),
    seconds=0.5,
)
def plot_parity(predictions: pd.DataFrame, params: ParityPlotParams, *, seed: int) -> Result:
    """Draw observed against predicted values.

    Parameters
    ----------
    predictions : DataFrame
        ``row, observed, predicted, held_out`` of `discover_formula` for a target of numbers.
    params : ParityPlotParams
        What is drawn.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``parity`` with the drawn points (``row, observed, predicted, held_out``). Values: ``n_points``,
        ``n_left_out`` (rows without a prediction).

    Raises
    ------
    InputError
        A needed column is missing, the target is no number, or no row has a prediction.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> points = pd.DataFrame({"row": ["a", "b"], "observed": [1.0, 2.0], "predicted": [1.1, 1.9], "held_out": [True, False]})
    >>> registry.get("plot_parity")(points).values["n_points"]
    2
    """
    if lacking := [column for column in _NEEDED if column not in predictions.columns]:
        raise InputError(
            f"columns {lacking} are missing",
            where="table 'predictions'",
            mend="give the predictions of discover_formula",
        )
    if predictions.empty:
        raise InputError(
            "there is no prediction",
            where="table 'predictions'",
            mend="a plot needs a formula that was found",
        )
    if not all(pd.api.types.is_numeric_dtype(predictions[c]) for c in ("observed", "predicted")):
        raise InputError(
            "the target is no number", where="table 'predictions'", mend="draw categories as counts instead"
        )
    seen = np.isfinite(predictions[["observed", "predicted"]].to_numpy(float)).all(axis=1)
    if not seen.any():
        raise InputError(
            "no row has a prediction",
            where="table 'predictions'",
            mend="a value that the formula needs is missing",
        )
    drawn = predictions.loc[seen, list(_NEEDED)].reset_index(drop=True)
    x, y = drawn["predicted"].to_numpy(float), drawn["observed"].to_numpy(float)
    held = drawn["held_out"].to_numpy(bool)
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    pad = 0.04 * (high - low) or 1.0
    what = shorten(params.name, 40) if params.name else "value"
    title = f"Observed against predicted {what}"
    with drawing(340, 330, "parity") as figure:
        axes = figure.add_axes((0.17, 0.14, 0.79, 0.82))
        axes.plot([low - pad, high + pad], [low - pad, high + pad], color=FAINT, linewidth=0.9, zorder=1)
        for part, colour, label in ((~held, MUTED, "used in the search"), (held, DOWN, "held out")):
            axes.plot(
                x[part], y[part], linestyle="none", marker="o", markersize=3.2, markerfacecolor=colour,
                markeredgecolor="white", markeredgewidth=0.3, alpha=0.8, label=label, zorder=2,
            )  # fmt: skip
        axes.set_xlim(low - pad, high + pad)
        axes.set_ylim(low - pad, high + pad)
        axes.set_aspect("equal")
        axes.grid(color=GRID, linewidth=0.5)
        axes.set_xlabel(f"predicted {what}")
        axes.set_ylabel(f"observed {what}")
        axes.legend(loc="upper left", fontsize=6.8)
        svg = to_svg(figure, "parity", title)
    caption = (
        "Each point is a row; on the line the formula is right. Only the held-out rows judge the formula."
    )
    return Result(
        summary=f"{len(drawn)} rows of {what} drawn.",
        values={"n_points": len(drawn), "n_left_out": int((~seen).sum())},
        figures={"parity": Figure(svg, drawn, title, caption)},
        n_total=len(predictions),
        n_returned=len(drawn),
    )
