"""Which columns a target may hang on: how much a forest of trees uses each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from nereus.tools.statistics.formula.sheet import FloatArray, Sheet

_TREES = 100
_LEAST_LEAF = 2


def importances(
    sheet: Sheet,
    names: Sequence[str],
    target: npt.NDArray[np.float64] | npt.NDArray[np.object_],
    rows: npt.NDArray[np.intp],
    *,
    seed: int,
) -> dict[str, float]:
    """Share of the impurity that each column takes away in extremely randomised trees (Geurts et al. 2006).

    Parameters
    ----------
    sheet
        Columns.
    names
        Columns that may be used.
    target
        Numbers, or labels, shape (rows,).
    rows
        Rows to grow on; the target is known there.
    seed
        Of the trees.

    Returns
    -------
    dict
        Shares that add up to 1, by column, whatever their order; all 0 where there is nothing to grow on. Missing numbers
        are read as the median, categories as their place in order.
    """
    if not names or len(rows) < 2:
        return dict.fromkeys(names, 0.0)
    names = sorted(names)
    X = np.stack([_coded(sheet, name)[rows] for name in names], axis=1)
    numeric = target.dtype != object
    model = (ExtraTreesRegressor if numeric else ExtraTreesClassifier)(
        n_estimators=_TREES, min_samples_leaf=_LEAST_LEAF, random_state=seed, n_jobs=1
    )
    values = _ranks(target[rows].astype(np.float64)) if numeric else target[rows].astype(str)
    model.fit(X, values)
    return {name: float(share) for name, share in zip(names, model.feature_importances_, strict=True)}


def _coded(sheet: Sheet, name: str) -> FloatArray:
    if name in sheet.numbers:
        values = sheet.numbers[name]
        seen = np.isfinite(values)
        known = values[seen]
        if not len(known) or np.ptp(known) == 0:
            return np.zeros(len(values))
        # Trees take a column that varies by less than 1e-7 for a constant: units must not matter.
        filled = np.where(seen, values, np.median(known))
        return np.asarray((filled - known.min()) / np.ptp(known), dtype=np.float64)
    levels = {level: float(i) for i, level in enumerate(sheet.levels(name))}
    return np.array([-1.0 if label is None else levels[label] for label in sheet.labels[name]])


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks, ties alike: heavy tails would leave the trees with nothing but the greatest values."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place].astype(np.float64)
