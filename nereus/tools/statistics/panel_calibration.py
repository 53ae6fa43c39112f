"""Whether predicted probabilities mean what they say, and the ROC curves of a panel, from out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_curve

from nereus.tools.statistics.panel_cv import Arm, FloatArray, IntArray, Problem

_BINS = 10
_LEAST_IN_BIN = 8
_GRID = np.linspace(0.0, 1.0, 101)
_CLIP = 1e-4
_NO_PENALTY = 1e8


def calibration(problem: Problem, arm: Arm) -> tuple[pd.DataFrame, dict[str, float]]:
    """Observed share (or mean) in bins of the prediction, and summaries.

    Returns
    -------
    table
        ``bin, class, predicted, observed, n`` over samples; predictions are means over repeats.
    values
        ``calibration_slope`` (logistic recalibration, Cox 1958; of a line for a number): below 1, predictions
        are too extreme. ``brier`` and ``brier_skill`` (against the prevalence) for classes, ``r2`` for a
        number.
    """
    predicted = np.isfinite(arm.probabilities[:, :, 0])
    times = predicted.sum(axis=0)
    rows = times > 0
    total = np.where(predicted[:, :, None], arm.probabilities, 0.0).sum(axis=0)
    mean = total[rows] / times[rows, None]
    y = problem.y[rows]
    if not problem.classes:
        slope = LinearRegression().fit(mean, y).coef_[0] if np.ptp(mean) > 0 else np.nan
        spread = float(np.sum((y - y.mean()) ** 2))
        r2 = 1.0 - float(np.sum((y - mean[:, 0]) ** 2)) / spread if spread > 0 else np.nan
        return _binned(mean[:, 0], y, ""), {"calibration_slope": float(slope), "r2": r2}
    two = len(problem.classes) == 2
    shown = [1] if two else list(range(len(problem.classes)))
    tables = [_binned(mean[:, at], (y == at).astype(np.float64), problem.classes[at]) for at in shown]
    hit = (y[:, None] == np.arange(len(problem.classes))).astype(np.float64)
    scale = 0.5 if two else 1.0
    brier = scale * float(((mean - hit) ** 2).sum(axis=1).mean())
    base = scale * float(((hit.mean(axis=0) - hit) ** 2).sum(axis=1).mean())
    slope = np.nan
    if two and len(np.unique(y)) == 2:
        p = np.clip(mean[:, 1], _CLIP, 1 - _CLIP)
        logit = np.log(p / (1 - p))[:, None]
        if np.ptp(logit) > 0:
            slope = LogisticRegression(C=_NO_PENALTY, max_iter=1000).fit(logit, y).coef_[0, 0]
    table = pd.concat(tables, ignore_index=True)
    table["bin"] = [f"b{at + 1:02d}" for at in range(len(table))]
    return table, {
        "calibration_slope": float(slope),
        "brier": brier,
        "brier_skill": 1.0 - brier / base if base > 0 else np.nan,
    }


def _binned(predicted: FloatArray, observed: FloatArray, name: str) -> pd.DataFrame:
    """Bins of equal size over the ordered predictions."""
    n_bins = max(1, min(_BINS, len(predicted) // _LEAST_IN_BIN))
    parts = np.array_split(np.argsort(predicted, kind="stable"), n_bins)
    return pd.DataFrame(
        {
            "bin": [f"b{at + 1:02d}" for at in range(n_bins)],
            "class": name,
            "predicted": [float(predicted[part].mean()) for part in parts],
            "observed": [float(observed[part].mean()) for part in parts],
            "n": [len(part) for part in parts],
        }
    )


def curves(problem: Problem, arms: Mapping[str, Arm], folds: IntArray) -> pd.DataFrame:
    """ROC curves by arm and class, one against the rest.

    The mean of the test folds' curves at each false positive rate, weighted by the pairs that a fold compares,
    so that the area is the stated AUROC.
    """
    rows: list[pd.DataFrame] = []
    targets = range(1, 2) if len(problem.classes) == 2 else range(len(problem.classes))
    for name, arm in arms.items():
        for code in targets:
            mean = _mean_curve(arm, folds, problem.y == code, 0 if arm.scores.shape[2] == 1 else code)
            if mean is not None:
                rows.append(
                    pd.DataFrame({"arm": name, "class": problem.classes[code], "fpr": _GRID, "tpr": mean})
                )
    columns = ["point", "arm", "class", "fpr", "tpr"]
    if not rows:
        return pd.DataFrame({c: pd.Series(dtype=float if c in ("fpr", "tpr") else object) for c in columns})
    table = pd.concat(rows, ignore_index=True)
    keys = zip(table["arm"], table["class"], table["fpr"], strict=True)
    table.insert(0, "point", [f"{arm}/{name}/{fpr:.2f}" for arm, name, fpr in keys])
    return table


def _mean_curve(arm: Arm, folds: IntArray, positive: npt.NDArray[np.bool_], column: int) -> FloatArray | None:
    total, weight = np.zeros(len(_GRID)), 0.0
    for repeat, fold in enumerate(folds):
        for at in np.unique(fold[fold >= 0]):
            rows = fold == at
            pairs = float(positive[rows].sum() * (~positive[rows]).sum())
            if pairs == 0:
                continue
            fpr, tpr, _ = roc_curve(positive[rows], arm.scores[repeat, rows, column], drop_intermediate=False)
            total += pairs * _step(fpr, tpr)
            weight += pairs
    return total / weight if weight else None


def _step(fpr: FloatArray, tpr: FloatArray) -> FloatArray:
    """Curve at the grid: along, then up."""
    apart = fpr + 1e-9 * np.arange(len(fpr))  # a vertical part keeps its two ends
    return np.asarray(np.interp(_GRID, apart, tpr), dtype=np.float64)
