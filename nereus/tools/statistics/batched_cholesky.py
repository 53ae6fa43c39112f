"""Cholesky factors of thousands of small matrices at once, each of which may be singular in its own way.

The matrices are the normal equations of features that differ in what is missing. Arrays hold the matrix index last, so
that every step of the textbook algorithm is a few long vector operations. A pivot that is no larger than rounding
belongs to a column that the earlier ones span: it is skipped, which gives a generalised inverse (Goodnight 1979, Am
Stat 33:149).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

TOLERANCE = 1e-10
"""Share of a column's size that must be left after the earlier columns for it to count."""
LEAST_SIZE = 1e-3
"""Size of a column, relative to what it is expected to be, below which it is held against that instead."""


@dataclass(frozen=True)
class Cholesky:
    """Lower factors of a stack of matrices.

    Attributes
    ----------
    lower
        Factors, shape (k, k, matrices); columns of skipped pivots are zero.
    reciprocal
        One over the diagonal, 0 where a pivot was skipped, shape (k, matrices).
    left
        Share of each column that its earlier ones do not span, 0 where skipped, shape (k, matrices).
    """

    lower: FloatArray
    reciprocal: FloatArray
    left: FloatArray

    @property
    def rank(self) -> npt.NDArray[np.intp]:
        """Pivots that were kept, shape (matrices,)."""
        return np.asarray((self.reciprocal > 0).sum(axis=0), dtype=np.intp)

    def forward(self, right: FloatArray) -> FloatArray:
        """Solve ``lower @ z = right``; `right` has shape (k, ..., matrices)."""
        z = np.empty(np.broadcast_shapes(right.shape, self.reciprocal.shape[:1] + right.shape[1:]))
        for j in range(len(right)):
            rest = right[j].copy()
            for i in range(j):
                rest -= self.lower[j, i] * z[i]
            z[j] = rest * self.reciprocal[j]
        return z

    def backward(self, z: FloatArray) -> FloatArray:
        """Solve ``lower.T @ x = z``."""
        x = np.empty_like(z)
        for j in reversed(range(len(z))):
            rest = z[j].copy()
            for i in range(j + 1, len(z)):
                rest -= self.lower[i, j] * x[i]
            x[j] = rest * self.reciprocal[j]
        return x

    def take(self, of: npt.NDArray[np.intp]) -> Cholesky:
        """Factors of the matrices `of`."""
        return Cholesky(self.lower[..., of], self.reciprocal[:, of], self.left[:, of])


def factorise(gram: FloatArray, expected: FloatArray) -> Cholesky:
    """Factorise.

    Parameters
    ----------
    gram
        Positive semidefinite, shape (k, k, matrices).
    expected
        What a diagonal entry would be in a well-spread column: a column far smaller than that is judged by
        it, shape (matrices,).
    """
    k = len(gram)
    rest = gram.copy()
    lower, reciprocal, left = np.zeros_like(gram), np.zeros(gram.shape[1:]), np.zeros(gram.shape[1:])
    for j in range(k):
        pivot = rest[j, j]
        share = pivot / np.maximum(np.maximum(gram[j, j], LEAST_SIZE * expected), 1e-300)
        kept = share > TOLERANCE
        root = np.sqrt(np.where(kept, pivot, 1.0))
        reciprocal[j] = np.where(kept, 1.0 / root, 0.0)
        left[j] = np.where(kept, share, 0.0)
        lower[j, j] = np.where(kept, root, 0.0)
        column = rest[j + 1 :, j] * reciprocal[j]
        lower[j + 1 :, j] = column
        rest[j + 1 :, j + 1 :] -= column[:, None] * column[None, :]
    return Cholesky(lower, reciprocal, left)
