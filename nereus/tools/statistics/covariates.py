"""Columns of a sample sheet as regressors, and a matrix freed of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nereus.errors import InputError
from nereus.tools.statistics.design import require_columns
from nereus.tools.statistics.levels import as_levels, as_numbers, indicator

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

MANY_VALUES = 6
"""Numbers with more distinct values enter as a slope, others as levels."""


@dataclass(frozen=True)
class Regressors:
    """Covariates as columns.

    Attributes
    ----------
    columns
        Shape (samples, columns), NaN where a number is missing; a missing level is a row of zeros.
    names
        Names of the columns, ``site: north`` or ``age``.
    strata
        Level codes of each covariate that has levels, shape (samples,) each.
    slopes
        Covariates that enter as numbers.
    """

    columns: FloatArray
    names: tuple[str, ...]
    strata: tuple[IntArray, ...]
    slopes: tuple[str, ...]

    def design(self) -> FloatArray:
        """Intercept and centred columns, missing numbers at their mean: shape (samples, 1 + columns)."""
        known = np.isfinite(self.columns)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, self.columns, 0.0).sum(axis=0) / count
        return np.column_stack([np.ones(len(self.columns)), np.where(known, self.columns - mean, 0.0)])


def regressors(sheet: pd.DataFrame, covariates: tuple[str, ...], where: str) -> Regressors:
    """Read covariates; `InputError` for a column that is unknown, empty, infinite, or names samples.

    Examples
    --------
    >>> sheet = pd.DataFrame({"site": ["a", "b", "a"]})
    >>> regressors(sheet, ("site",), "example").design().round(2).tolist()
    [[1.0, -0.33], [1.0, 0.67], [1.0, -0.33]]
    """
    require_columns(sheet, covariates, where)
    columns: list[FloatArray] = []
    names: list[str] = []
    strata: list[IntArray] = []
    slopes: list[str] = []
    for name in dict.fromkeys(covariates):
        numbers = as_numbers(sheet[name])
        if numbers is not None and np.isinf(numbers).any():
            raise InputError(
                f"covariate {name!r} holds an infinite value",
                where=where,
                mend="correct the sheet, or leave the value empty",
            )
        if as_levels(sheet[name]).isna().all():
            raise InputError(
                f"covariate {name!r} has no value in these samples", where=where, mend="leave it out"
            )
        if numbers is not None and numbers.nunique() > MANY_VALUES:
            columns.append(numbers.to_numpy(dtype=np.float64))
            names.append(name)
            slopes.append(name)
            continue
        levels = as_levels(sheet[name])
        one_hot, found = indicator(levels)
        if len(found) > len(sheet) / 2:
            raise InputError(
                f"covariate {name!r} has {len(found)} levels in {len(sheet)} samples",
                where=where,
                mend="it names samples: leave it out",
            )
        columns += [one_hot[:, at] for at in range(1, len(found))]
        names += [f"{name}: {level}" for level in found[1:]]
        strata.append(np.asarray(np.unique(levels.astype(str), return_inverse=True)[1], dtype=np.intp))
    made = np.column_stack(columns) if columns else np.zeros((len(sheet), 0))
    return Regressors(made, tuple(names), tuple(strata), tuple(slopes))


def freed_of(values: FloatArray, design: FloatArray) -> FloatArray:
    """Residuals of each column on a design, over its observed rows, with its mean put back.

    Parameters
    ----------
    values
        Shape (samples, features), NaN missing.
    design
        Shape (samples, columns), the first one the intercept.
    """
    seen = np.isfinite(values)
    filled = np.where(seen, values, 0.0)
    weight = seen.astype(np.float64)
    squares = design[:, :, None] * design[:, None, :]
    gram = np.einsum("sf,sij->fij", weight, squares, optimize=True)
    right = filled.T @ design
    coefficients = np.einsum("fij,fj->fi", np.linalg.pinv(gram, hermitian=True), right)
    left = values - design @ coefficients.T
    count = np.maximum(seen.sum(axis=0), 1)
    mean = filled.sum(axis=0) / count
    return np.asarray(left + mean)
