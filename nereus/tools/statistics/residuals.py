"""What shared columns leave of every feature, each with its own missing values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_CHUNK_NUMBERS = 2**22


def residuals(values: FloatArray, matrix: FloatArray) -> FloatArray:
    """Residuals of least squares on shared columns, feature by feature.

    Parameters
    ----------
    values
        Shape (features, samples); NaN is missing and stays missing.
    matrix
        Shape (samples, columns), finite; may be rank deficient.

    Returns
    -------
    ndarray
        Shape (features, samples).
    """
    seen = np.isfinite(values)
    width = matrix.shape[1]
    if not width:
        return values.copy()
    if seen.all():
        return np.asarray(values - values @ np.linalg.pinv(matrix).T @ matrix.T)
    left = np.full_like(values, np.nan)
    size = np.linalg.norm(matrix, axis=0)
    scaled = matrix / np.where(size > 0, size, 1.0)
    ones = np.ones((len(scaled), 1))
    constant = bool(np.linalg.matrix_rank(np.hstack([scaled, ones])) == np.linalg.matrix_rank(scaled))
    step = max(1, _CHUNK_NUMBERS // (width * width + values.shape[1]))
    for start in range(0, len(values), step):
        rows = slice(start, start + step)
        mask = seen[rows].astype(np.float64)
        y = np.where(seen[rows], values[rows], 0.0)
        if constant:  # no digits are lost to a common level
            y = (y - y.sum(axis=1, keepdims=True) / np.maximum(mask.sum(axis=1, keepdims=True), 1.0)) * mask
        gram = np.einsum("fs,si,sj->fij", mask, scaled, scaled, optimize=True)
        inverse = np.linalg.pinv(gram, rcond=1e-10, hermitian=True)
        for _ in range(2):  # the second pass removes the rounding of the first
            beta = np.einsum("fij,fj->fi", inverse, y @ scaled)
            y = (y - beta @ scaled.T) * mask
        left[rows] = np.where(seen[rows], y, np.nan)
    return left
