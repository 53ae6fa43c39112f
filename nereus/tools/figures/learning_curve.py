"""Losses over the epochs of a training: whether it has learned, and whether it went on for too long."""

from __future__ import annotations

import pandas as pd

from nereus.errors import InputError
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.style import GRID, LEVELS, MARKERS, drawing, shorten, to_svg

_KEY, _EPOCH = "step", "epoch"
_MOST_CURVES = 6


class LearningCurveParams(Params):
    """Parameters of the learning curve."""

    curves: tuple[str, ...] = ()
    """Losses to draw; empty for all of them."""


@tool(
    "plot_learning_curve",
    version="1",
    summary="Losses over the epochs of a training, with the validation loss where there is one.",
    outputs=("figure:learning_curve",),
    seconds=0.5,
)
def plot_learning_curve(history: pd.DataFrame, params: LearningCurveParams, *, seed: int) -> Result:
    """Draw losses over epochs.

    Parameters
    ----------
    history : DataFrame
        ``step, epoch`` and one column a loss, as tools that train give it.
    params : LearningCurveParams
        What is drawn.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``learning_curve`` with the drawn points (``point, curve, epoch, loss``). Values: ``n_curves``, ``n_epochs``.

    Raises
    ------
    InputError
        A column is missing, or no loss was recorded.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> history = pd.DataFrame({"step": ["1", "2"], "epoch": [1, 2], "total": [0.9, 0.4]})
    >>> registry.get("plot_learning_curve")(history).values["n_epochs"]
    2
    """
    if lacking := [name for name in (_KEY, _EPOCH) if name not in history.columns]:
        raise InputError(
            f"columns {lacking} are missing",
            where="table 'history'",
            mend="give the table of a tool that trains",
        )
    known = [str(name) for name in history.columns if name not in (_KEY, _EPOCH, "stage")]
    if unknown := [name for name in params.curves if name not in known]:
        raise InputError(f"there are no losses {unknown}", where="learning curve", mend=f"losses are {known}")
    drawn = [name for name in params.curves or known if history[name].notna().any()][:_MOST_CURVES]
    if not drawn:
        raise InputError("no loss was recorded", where="table 'history'", mend="train for an epoch at least")
    title = "Learning curve"
    parts = []
    with drawing(480, 300, "learning_curve") as figure:
        axes = figure.add_axes((0.12, 0.15, 0.84, 0.79))
        for at, name in enumerate(drawn):
            part = history[[_EPOCH, name]].dropna()
            axes.plot(
                part[_EPOCH], part[name], color=LEVELS[at % len(LEVELS)], linewidth=1.5, label=shorten(name, 24),
                marker=MARKERS[at % len(MARKERS)], markersize=3.0 if len(part) <= 40 else 0.0,
            )  # fmt: skip
            parts.append(
                pd.DataFrame(
                    {
                        "point": [f"{name}/{epoch}" for epoch in part[_EPOCH]],
                        "curve": name,
                        "epoch": part[_EPOCH].to_numpy(),
                        "loss": part[name].to_numpy(float),
                    }
                )
            )
        axes.grid(color=GRID, linewidth=0.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.legend(loc="upper right", fontsize=6.8)
        svg = to_svg(figure, "learning_curve", title)
    data = pd.concat(parts, ignore_index=True)
    data["point"] = [f"{number}/{point}" for number, point in enumerate(data["point"])]
    caption = "Mean losses of each epoch; a validation loss that rises again says that training went on for too long."
    return Result(
        summary=f"Losses of {history[_EPOCH].nunique()} epochs.",
        values={"n_curves": len(drawn), "n_epochs": int(history[_EPOCH].nunique())},
        figures={"learning_curve": Figure(svg, data, title, caption)},
        n_total=len(known),
        n_returned=len(drawn),
    )
