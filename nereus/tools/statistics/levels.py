"""How a value of the sample sheet is written as the level of a factor. One rule for every tool.

A sheet may hold a group as ``1``, ``1.0``, ``True`` or ``"treated"``; a `Contrast` names levels as text.
Integers stored as floats lose their ``.0``; what stands for a missing value (``NaN``, empty, ``NA`` ...) is
no level.
"""

from __future__ import annotations

import numbers

import numpy as np
import pandas as pd

MISSING_WORDS = frozenset(
    {"", "na", "n/a", "n.a.", "nan", "null", "<na>", "unknown", "not available", "not applicable", "?"}
)
"""Lower-case texts that mean that the value is not known."""


def level_text(value: object) -> str | None:
    """The level that a cell stands for, or None where the value is missing.

    Examples
    --------
    >>> level_text(1.0), level_text("  wild type "), level_text(0.5), level_text(float("nan"))
    ('1', 'wild type', '0.5', None)
    """
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in MISSING_WORDS else text
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        number = float(value)
        if np.isnan(number):
            return None
        return f"{number:g}"
    return str(value)


def as_levels(column: pd.Series) -> pd.Series:
    """A column as level texts, missing as None: object series with the same index."""
    distinct = {value: level_text(value) for value in column.dropna().unique()}
    return pd.Series(
        [None if pd.isna(cell) else distinct[cell] for cell in column], index=column.index, dtype=object
    )


def as_numbers(column: pd.Series) -> pd.Series | None:
    """A column as float64 with NaN for missing, or None when some known value is no number."""
    if pd.api.types.is_bool_dtype(column):
        return column.astype(float)
    if pd.api.types.is_numeric_dtype(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(float)
    texts = as_levels(column)
    known = texts.notna()
    if not known.any():
        return None
    found = pd.to_numeric(texts[known], errors="coerce")
    if found.isna().any():
        return None
    return found.astype(float).reindex(column.index)


def indicator(levels: pd.Series) -> tuple[np.ndarray, list[str]]:
    """One-hot matrix, shape (n_rows, n_levels), of level texts; rows of missing levels are all zero."""
    names = sorted({level for level in levels if level is not None})
    return np.array([[level == name for name in names] for level in levels], dtype=float).reshape(
        len(levels), len(names)
    ), names


def contingency(first: pd.Series, second: pd.Series) -> np.ndarray:
    """Counts of each pair of levels over the rows where both are known: shape (n_first, n_second), sorted by level."""
    known = (first.notna() & second.notna()).to_numpy()
    rows, row_names = pd.factorize(first.to_numpy()[known], sort=True)
    columns, column_names = pd.factorize(second.to_numpy()[known], sort=True)
    counts = np.zeros((len(row_names), len(column_names)), dtype=int)
    np.add.at(counts, (rows, columns), 1)
    return counts
