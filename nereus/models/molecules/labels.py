"""Labels of molecules: 1, 0, or unknown, or numbers; anything else is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.models.columns import numbers


def binary_labels(labels: Any, molecules: int) -> np.ndarray:
    """Checked labels.

    Parameters
    ----------
    labels
        (molecules,) or (molecules, tasks): 1, 0, NaN or None where unknown.
    molecules
        Number of molecules.

    Returns
    -------
    ndarray
        (molecules, tasks), float64: 1, 0, NaN.

    Raises
    ------
    InputError
        The shape is another, or a label is none of these.
    """
    mend = "1 active, 0 inactive, empty unknown"
    values = _table(labels, molecules, mend)
    if wrong := sorted(set(np.unique(values[np.isfinite(values)]).tolist()) - {0.0, 1.0}):
        raise InputError(f"label {wrong[0]!r} is neither 1 nor 0", where="labels", mend=mend)
    return values


def property_values(values: Any, molecules: int) -> np.ndarray:
    """Checked values of properties.

    Parameters
    ----------
    values
        (molecules,) or (molecules, targets): numbers, NaN or None where unknown.
    molecules
        Number of molecules.

    Returns
    -------
    ndarray
        (molecules, targets), float64, NaN where unknown.

    Raises
    ------
    InputError
        The shape is another, or a value is no number.
    """
    return _table(values, molecules, "numbers, empty where unknown")


def _table(labels: Any, molecules: int, mend: str) -> np.ndarray:
    """Labels as (molecules, tasks), float64."""
    try:
        values = pd.DataFrame(labels).apply(_numeric).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"labels are no numbers: {error}", where="labels", mend=mend) from None
    if values.ndim != 2 or len(values) != molecules or not values.shape[1]:
        raise InputError(
            f"labels have the shape {values.shape}, there are {molecules} molecules",
            where="labels",
            mend="one row of labels a molecule",
        )
    if np.isinf(values).any():
        raise InputError("a label is infinite", where="labels", mend=mend)
    return np.asarray(values)


def _numeric(column: pd.Series) -> pd.Series:
    """Numbers of a column, true and false among them; `ValueError` where something else stands."""
    found = pd.Series(numbers(column), index=column.index)
    wrong = column[found.isna() & column.notna() & (column.astype(str).str.strip() != "")]
    if len(wrong):
        raise ValueError(repr(wrong.iloc[0]))
    return found
