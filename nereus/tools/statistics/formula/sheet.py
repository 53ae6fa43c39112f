"""The columns of a table as a formula sees them: numbers, yes-or-no answers and categories, with what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
LabelArray = npt.NDArray[np.object_]

MOST_LEVELS = 20
"""Text columns with more different values are names or free text, about which a formula says nothing."""

_YES = frozenset({"true", "yes"})
_NO = frozenset({"false", "no"})


class Kind(StrEnum):
    """What the values of a column are."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    OTHER = "other"
    """Free text, names, lists: no formula is made of it."""


@dataclass(frozen=True)
class Sheet:
    """Columns of a table.

    Attributes
    ----------
    kinds
        Kind of every column, in the order of the table.
    numbers
        Values of numbers and Booleans (0 and 1), float64 of shape (rows,); NaN is missing, infinities too.
    labels
        Values of categories, text or None, shape (rows,).
    n_rows
        Number of rows.
    """

    kinds: dict[str, Kind]
    numbers: dict[str, FloatArray]
    labels: dict[str, LabelArray]
    n_rows: int

    def rows(self, chosen: npt.NDArray[np.intp]) -> Sheet:
        """Only some rows."""
        return Sheet(
            self.kinds,
            {name: values[chosen] for name, values in self.numbers.items()},
            {name: values[chosen] for name, values in self.labels.items()},
            len(chosen),
        )

    def known(self, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Rows in which none of the columns is missing."""
        seen = np.ones(self.n_rows, dtype=bool)
        for name in columns:
            if name in self.numbers:
                seen &= np.isfinite(self.numbers[name])
            elif name in self.labels:
                seen &= np.array([label is not None for label in self.labels[name]], dtype=bool)
        return seen

    def levels(self, name: str) -> list[str]:
        """Different values of a category, sorted."""
        return sorted({label for label in self.labels[name] if label is not None})


def read_sheet(table: pd.DataFrame) -> Sheet:
    """See a table's columns as numbers, Booleans and categories.

    Parameters
    ----------
    table
        Any table; it is not changed.

    Returns
    -------
    Sheet
        Text that is a number throughout is taken as a number; true/false and yes/no as Booleans.
    """
    kinds: dict[str, Kind] = {}
    numbers: dict[str, FloatArray] = {}
    labels: dict[str, LabelArray] = {}
    for column in table.columns:
        name, values = str(column), table[column]
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values)
        if numeric and not pd.api.types.is_bool_dtype(values):
            numbers[name] = _finite(values.to_numpy(dtype=np.float64, na_value=np.nan))
            kinds[name] = Kind.NUMBER
            continue
        seen = values.notna().to_numpy(dtype=bool)
        told = np.array([str(v) if ok else None for v, ok in zip(values, seen, strict=True)], dtype=object)
        known = [str(text).strip().lower() for text in told[seen]]
        if known and set(known) <= _YES | _NO:
            answer = np.full(len(told), np.nan)
            answer[seen] = [float(text in _YES) for text in known]
            numbers[name], kinds[name] = answer, Kind.BOOLEAN
            continue
        as_number = pd.to_numeric(pd.Series(told), errors="coerce").to_numpy(dtype=np.float64)
        if known and bool(np.isfinite(as_number[seen]).all()):
            numbers[name], kinds[name] = _finite(as_number), Kind.NUMBER
        elif known and len(set(told[seen])) <= MOST_LEVELS:
            labels[name], kinds[name] = told, Kind.CATEGORY
        else:
            kinds[name] = Kind.OTHER
    return Sheet(kinds, numbers, labels, len(table))


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.nan)
