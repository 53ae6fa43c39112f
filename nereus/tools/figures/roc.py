"""ROC curves of a panel beside its covariates, and whether its probabilities can be taken at their word."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from nereus.errors import InputError
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.style import FAINT, GRID, INK, LEVELS, MUTED, UP, drawing, shorten, to_svg

_NEEDED = {
    "roc": ("point", "arm", "class", "fpr", "tpr"),
    "performance": ("arm", "estimate", "ci_low", "ci_high"),
}
_MOST_CURVES = 10


class RocPlotParams(Params):
    """Parameters of the ROC plot."""

    arms: tuple[str, ...] = ()
    """Arms to draw; empty for all of them, or for the first only where there are several classes."""


@tool(
    "plot_roc",
    version="1",
    summary="ROC curves of a biomarker panel, its covariates and both, with calibration where it is given.",
    outputs=("figure:roc",),
    seconds=0.5,
)
def plot_roc(
    roc: pd.DataFrame,
    performance: pd.DataFrame,
    calibration: pd.DataFrame | None,
    params: RocPlotParams,
    *,
    seed: int,
) -> Result:
    """Draw out-of-fold ROC curves and calibration.

    Parameters
    ----------
    roc : DataFrame
        ``point, arm, class, fpr, tpr`` of `biomarker_panel`.
    performance : DataFrame
        ``arm, estimate, ci_low, ci_high`` of `biomarker_panel`.
    calibration : DataFrame, optional
        ``bin, class, predicted, observed, n`` of `biomarker_panel`.
    params : RocPlotParams
        What is drawn.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``roc`` with the drawn points (``point, curve, x, y``). Values: ``n_curves``.

    Raises
    ------
    InputError
        A needed column is missing, an arm is unknown, or there is no curve (a number was predicted).

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> curve = pd.DataFrame({"point": list("uvw"), "arm": "panel", "class": "case"})
    >>> curve = curve.assign(fpr=[0.0, 0.2, 1.0], tpr=[0.0, 0.9, 1.0])
    >>> judged = pd.DataFrame({"arm": ["panel"], "estimate": [0.85], "ci_low": [0.7], "ci_high": [0.95]})
    >>> registry.get("plot_roc")(curve, judged).values["n_curves"]
    1
    """
    for name, table in (("roc", roc), ("performance", performance)):
        if lacking := [column for column in _NEEDED[name] if column not in table.columns]:
            raise InputError(
                f"columns {lacking} are missing",
                where=f"table {name!r}",
                mend="give the tables of biomarker_panel",
            )
    if roc.empty:
        raise InputError(
            "there is no ROC curve", where="table 'roc'", mend="a curve needs an outcome with classes"
        )
    known = list(dict.fromkeys(roc["arm"].astype(str)))
    if unknown := [arm for arm in params.arms if arm not in known]:
        raise InputError(f"there are no arms {unknown}", where="ROC plot", mend=f"arms are {known}")
    several = roc["class"].nunique() > 1
    arms = list(params.arms) or (known[-1:] if several else known)
    drawn = [
        (arm, str(name))
        for arm in arms
        for name in dict.fromkeys(roc.loc[roc["arm"] == arm, "class"].astype(str))
    ][:_MOST_CURVES]
    judged = performance.set_index("arm")
    title = "Receiver operating characteristic, out of fold"
    parts = []
    beside = calibration is not None and not calibration.empty
    with drawing(600 if beside else 400, 330, "roc") as figure:
        axes = figure.add_axes((0.085, 0.14, 0.46, 0.8) if beside else (0.13, 0.14, 0.7, 0.8))
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
        for at, (arm, name) in enumerate(drawn):
            part = roc[(roc["arm"] == arm) & (roc["class"].astype(str) == name)]
            x, y = part["fpr"].to_numpy(float), part["tpr"].to_numpy(float)
            colour = MUTED if arm == "covariates" else (LEVELS[at % len(LEVELS)] if several else _colour(arm))
            label = shorten(f"{name} against the rest", 30) if several else _told(arm, judged)
            axes.plot(x, y, color=colour, linewidth=1.6, label=label, solid_joinstyle="round")
            parts.append(pd.DataFrame({"point": part["point"].astype(str), "curve": label, "x": x, "y": y}))
        _finish(axes, "false positive rate", "true positive rate")
        axes.legend(loc="lower right", fontsize=6.8)
        if beside and calibration is not None:
            parts.append(_calibration(figure.add_axes((0.66, 0.14, 0.325, 0.8)), calibration))
        svg = to_svg(figure, "roc", title)
    data = pd.concat(parts, ignore_index=True)
    caption = (
        "Each curve is the mean over the held-out folds, in which no subject was used for any part of the fit; "
        "the diagonal is guessing."
    )
    if beside:
        caption += " Beside it, the observed share of the outcome in bins of the predicted probability."
    return Result(
        summary=f"{len(drawn)} ROC curves.",
        values={"n_curves": len(drawn)},
        figures={"roc": Figure(svg, data, title, caption)},
        n_total=int(roc.groupby(["arm", "class"]).ngroups),
        n_returned=len(drawn),
    )


def _colour(arm: str) -> str:
    return {"panel": LEVELS[0], "covariates": MUTED}.get(arm, UP)


def _told(arm: str, judged: pd.DataFrame) -> str:
    if arm not in judged.index:
        return arm
    row = judged.loc[arm]
    return f"{arm}: {row['estimate']:.2f} ({row['ci_low']:.2f} to {row['ci_high']:.2f})"


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, ["0", "", "0.5", "", "1"])
    axes.set_yticks(ticks, ["0", "", "0.5", "", "1"])
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _calibration(axes: Axes, table: pd.DataFrame) -> pd.DataFrame:
    predicted, observed = table["predicted"].to_numpy(float), table["observed"].to_numpy(float)
    n = table["n"].to_numpy(float)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    reach = 1.96 * np.sqrt(np.clip(observed * (1 - observed), 0.0, None) / np.maximum(n, 1))
    axes.vlines(
        predicted, np.clip(observed - reach, 0, 1), np.clip(observed + reach, 0, 1), color=FAINT, linewidth=1
    )
    axes.plot(
        predicted, observed, linestyle="none", marker="o", markersize=4.5, markerfacecolor=INK,
        markeredgecolor="white", markeredgewidth=0.5,
    )  # fmt: skip
    _finish(axes, "predicted probability", "observed share")
    return pd.DataFrame(
        {
            "point": [f"calibration/{one}" for one in table["bin"].astype(str)],
            "curve": "calibration",
            "x": predicted,
            "y": observed,
        }
    )
