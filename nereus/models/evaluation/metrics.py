"""Metrics of predictions. One that is not defined for the data is None, with the reason beside it, never a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import stats
from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score, roc_auc_score


@dataclass(frozen=True)
class Metrics:
    """Metrics by name.

    Attributes
    ----------
    values
        Metric to value, None where it is not defined.
    notes
        Why a metric is not defined, by name.
    """

    values: Mapping[str, float | None]
    notes: Mapping[str, str] = field(default_factory=dict)


def classification(y: np.ndarray, score: np.ndarray) -> Metrics:
    """ROC AUC, average precision, and its gain over the share of actives (delta AUPRC), of one task.

    Parameters
    ----------
    y
        Labels 0, 1, or NaN where unknown, (n,).
    score
        Higher for more likely active, (n,).
    """
    known = np.isfinite(y)
    y, score = y[known], score[known]
    if len(np.unique(y)) < 2:
        why = f"all {len(y)} known labels are equal" if len(y) else "no label is known"
        names = ("auroc", "auprc", "delta_auprc")
        return Metrics(dict.fromkeys(names), dict.fromkeys(names, why))
    auprc = float(average_precision_score(y, score))
    return Metrics(
        {"auroc": float(roc_auc_score(y, score)), "auprc": auprc, "delta_auprc": auprc - float(y.mean())}
    )


def regression(y: np.ndarray, predicted: np.ndarray) -> Metrics:
    """RMSE, MAE, R2, Pearson, Spearman, and the deviation from the line of y on the prediction (SD of PDBbind).

    Parameters
    ----------
    y, predicted
        Values, NaN where unknown, (n,).
    """
    known = np.isfinite(y)
    y, predicted = y[known], predicted[known]
    if len(y) == 0:
        names = ("rmse", "mae", "r2", "pearson", "spearman", "sd")
        return Metrics(dict.fromkeys(names), dict.fromkeys(names, "no value is known"))
    values: dict[str, float | None] = {
        "rmse": float(np.sqrt(np.mean((y - predicted) ** 2))),
        "mae": float(mean_absolute_error(y, predicted)),
    }
    notes = {}
    if len(y) < 3 or np.ptp(y) == 0 or np.ptp(predicted) == 0:
        for name in ("r2", "pearson", "spearman", "sd"):
            values[name], notes[name] = None, "values or predictions do not vary"
        return Metrics(values, notes)
    line = stats.linregress(predicted, y)
    residual = y - (line.intercept + line.slope * predicted)
    values |= {
        "r2": float(r2_score(y, predicted)),
        "pearson": float(stats.pearsonr(y, predicted).statistic),
        "spearman": float(stats.spearmanr(y, predicted).statistic),
        "sd": float(np.sqrt(np.sum(residual**2) / (len(y) - 1))),
    }
    return Metrics(values, notes)


def ranking(y: np.ndarray, score: np.ndarray, group: np.ndarray, least: int = 5) -> Metrics:
    """Mean Spearman correlation within groups (assays, targets) of at least `least` different values.

    Parameters
    ----------
    y, score
        Values and predictions, (n,).
    group
        Group of each row, (n,).
    least
        Smaller groups are left out, and counted in the notes.
    """
    found, small = [], 0
    for one in dict.fromkeys(group.tolist()):
        rows = (group == one) & np.isfinite(y)
        if rows.sum() < least or np.ptp(y[rows]) == 0 or np.ptp(score[rows]) == 0:
            small += 1
            continue
        found.append(float(stats.spearmanr(y[rows], score[rows]).statistic))
    notes = {"within_group_spearman": f"{small} groups are too small or do not vary"} if small else {}
    return Metrics({"within_group_spearman": float(np.mean(found)) if found else None}, notes)
