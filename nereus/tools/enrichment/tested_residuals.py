"""Residuals of the test behind a table, from which the correlation of features that move together is read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from anndata import AnnData

from nereus.errors import InputError, PlanError
from nereus.memory.records import Contrast
from nereus.tools.enrichment.camera import residuals
from nereus.tools.statistics.design import build_design, build_variable_design

FloatArray = npt.NDArray[np.float64]

MIN_DF = 3
"""Residual degrees of freedom from which correlation is estimated."""


def residuals_of_test(
    dataset: AnnData | None,
    features: npt.ArrayLike,
    contrast: Contrast | None,
    variable: str | None = None,
    covariates: tuple[str, ...] = (),
    block: str | None = None,
    *,
    where: str,
) -> tuple[FloatArray, int] | str:
    """Standardised residuals of `features` under the design that was tested, and their degrees of freedom.

    Parameters
    ----------
    dataset
        Data set of the test.
    features
        Features of the table, in its order.
    contrast, variable, covariates, block
        What was tested.
    where
        Tool, for errors.

    Returns
    -------
    tuple or str
        Arrays of shape (features, samples) and degrees of freedom, as `camera.residuals`; or why there are none: "" where
        nothing says what was tested, else a reason.

    Raises
    ------
    InputError
        A feature is not in the data set.
    PlanError
        Both contrast and variable are given.
    """
    if contrast is not None and variable is not None:
        raise PlanError(
            "contrast and variable are both given", where=where, mend="give the one that was tested"
        )
    if dataset is None or (contrast is None and variable is None):
        return ""
    if contrast is not None:
        design = build_design(dataset.obs, contrast)
    else:
        design = build_variable_design(dataset.obs, variable or "", covariates, block)
    names = np.asarray(features)
    columns = dataset.var_names.get_indexer(names)
    if (columns < 0).any():
        lost = names[columns < 0]
        raise InputError(
            f"{len(lost)} features of the table are not in the data set, first {lost[0]!r}",
            where=where,
            mend="give the data set that was tested",
        )
    matrix = design.matrix
    if design.block is not None:  # each block's own mean, the first taken up by the intercept
        own = (design.block[:, None] == np.arange(1, design.block.max() + 1)).astype(float)
        matrix = _independent_columns(np.column_stack([matrix, own]))
    if matrix.shape[0] - matrix.shape[1] < MIN_DF:
        return "too few samples to estimate it"
    values = np.asarray(dataset.X, dtype=np.float64)[np.ix_(design.samples, columns)].T
    return residuals(values, matrix)


def _independent_columns(matrix: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the columns: blocks may span covariates."""
    left, spread, _ = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left[:, spread > spread[0] * 1e-9])
