"""Which rows are searched, which are held out, and columns that may be the target itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from nereus.tools.statistics.formula.sheet import LabelArray, Sheet

IntArray = npt.NDArray[np.intp]

_LEAST_ROWS = 30
_MOST_SEARCHED = 5000
"""Rows that are searched, drawn at random from larger tables: formulas need no more, and time stays bounded."""


def alike(sheet: Sheet) -> IntArray:
    """The same number for rows that are the same in all columns that are used."""
    columns = {**sheet.numbers, **{name: values.astype(str) for name, values in sheet.labels.items()}}
    hashed = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False)
    return np.unique(hashed.to_numpy(), return_inverse=True)[1].astype(np.intp)


def split(
    known: IntArray, twins: IntArray, held_out: float, seed: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Rows to fit, to choose with, and to report on; a quarter of what is not held out chooses.

    Rows with the same number in `twins` stay together, so that no row is held out that was also seen.
    """
    order = np.random.default_rng(seed).permutation(known)
    _, first, group = np.unique(twins[order], return_index=True, return_inverse=True)
    order = order[np.argsort(first[group], kind="stable")]
    ends = np.flatnonzero(np.diff(twins[order], append=-1)) + 1
    n_held = _at_end(ends, max(8, round(held_out * len(known))))
    n_choose = _at_end(ends, n_held + max(8, round(0.25 * (len(known) - n_held)))) - n_held
    held, choose, fit = order[:n_held], order[n_held : n_held + n_choose], order[n_held + n_choose :]
    fit, choose = fit[: round(0.75 * _MOST_SEARCHED)], choose[: round(0.25 * _MOST_SEARCHED)]
    return np.sort(fit), np.sort(choose), np.sort(held)


def _at_end(ends: IntArray, at: int) -> int:
    """The first end of a group at or behind a place."""
    return int(ends[min(int(np.searchsorted(ends, at)), len(ends) - 1)])


def drawn(known: IntArray, seed: int) -> IntArray:
    """All rows, or a random part of many."""
    if len(known) <= _MOST_SEARCHED:
        return known
    return np.sort(np.random.default_rng(seed).choice(known, _MOST_SEARCHED, replace=False))


def copies_of(
    sheet: Sheet, labels: LabelArray, target: str, numeric: bool, names: list[str], rows: IntArray
) -> list[str]:
    """Columns that may be the target in other units or words: a straight line or a renaming joins the two."""
    found = []
    for name in names:
        seen = rows[sheet.known([name])[rows]]
        if len(seen) < _LEAST_ROWS:
            continue
        if numeric and name in sheet.numbers:
            x, y = sheet.numbers[name][seen], sheet.numbers[target][seen]
            straight = len(np.unique(x)) > 2 and np.ptp(y) > 0
            with np.errstate(all="ignore"):
                copied = straight and abs(float(np.corrcoef(x, y)[0, 1])) > 1 - 1e-9
        elif not numeric and name in sheet.labels:
            pairs = set(zip(sheet.labels[name][seen], labels[seen], strict=True))
            sizes = (len({a for a, _ in pairs}), len({b for _, b in pairs}))
            copied = len(pairs) > 1 and sizes == (len(pairs), len(pairs))
        else:
            copied = False
        if copied:
            found.append(name)
    return found
