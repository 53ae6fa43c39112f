"""One tested column under many labellings, or in many subsamples, of the same values.

Permutation, stability and self-planting repeat one least-squares fit hundreds of times. Between two labellings neither
the values, nor what is missing, nor the covariates change; so what the covariates explain is taken out once for each
pattern of missing values, and all labellings together are a few matrix products (Frisch & Waugh 1933; Lovell 1963, J Am
Stat Assoc 58:993). Between two subsamples only the sums over samples change: they are taken of the residuals of the
fit to all samples, whose size leaves nothing to cancel.

The estimates are those of `nereus.tools.statistics.linear_model.fit_linear_model` without weights and blocks, up to
rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice

import numpy as np

from nereus.tools.statistics.batched_cholesky import Cholesky, factorise
from nereus.tools.statistics.linear_model import (
    FloatArray,
    IntArray,
    LinearFit,
    distinct_patterns,
    fit_linear_model,
    orthogonal_basis,
)

_AT_A_TIME = 16
"""Labellings worked on at once: few enough for the processor's cache."""
_NOT_TOLD = 1e-9
"""Share of a tested column's variation that must be left after the covariates for it to be estimated."""
_DELICATE = 1e-6
"""Share left of a column below which a subsample is fitted by the careful code."""


class RepeatedFit:
    """Least squares of one tested column beside fixed others.

    Parameters
    ----------
    values
        Shape (features, samples); NaN is missing.
    design
        Shape (samples, coefficients), finite.
    tested
        Number of the tested column.
    """

    def __init__(self, values: FloatArray, design: FloatArray, tested: int = 1) -> None:
        self._values, self._design, self._tested = values, design, tested
        self._n_samples = values.shape[1]
        observed = np.isfinite(values)
        pattern, self._of = distinct_patterns(observed)
        # Samples first: rows of samples are what subsamples and products take.
        self._observed = np.ascontiguousarray(observed.T, dtype=np.float64)  # (samples, features)
        self._pattern = np.ascontiguousarray(pattern.T, dtype=np.float64)  # (samples, patterns)
        self._basis = orthogonal_basis(np.delete(design, tested, axis=1))  # (samples, rank), norm sqrt(n)
        self._n = np.asarray(observed.sum(axis=1), dtype=np.intp)
        filled = np.where(observed, values, 0.0)
        self._mean = filled.sum(axis=1) / np.maximum(self._n, 1)
        self._centred = np.ascontiguousarray(np.where(observed, filled - self._mean[:, None], 0.0).T)

    @cached_property
    def _others(self) -> Cholesky:
        """Normal equations of the columns that are not tested, by pattern."""
        return factorise(_gram(self._basis, self._pattern), self._pattern.sum(axis=0))

    @cached_property
    def _left(self) -> FloatArray:
        """Residuals of the values on the columns that are not tested, shape (samples, features)."""
        each, left = self._others.take(self._of), self._centred
        for _ in range(2):  # refined once: they are taken as they are
            gamma = each.backward(each.forward(self._basis.T @ left))
            left = (left - self._basis @ gamma) * self._observed
        return left

    @cached_property
    def _squares(self) -> FloatArray:
        return np.asarray(np.einsum("sf,sf->f", self._left, self._left))

    def counts(self, chosen: FloatArray) -> IntArray:
        """Observed samples among the chosen ones (1, others 0), shape (features,); `chosen` may hold several rows."""
        return np.asarray(np.rint(chosen @ self._observed), dtype=np.intp)

    # ------------------------------------------------------------------------------------------ other labels

    def relabelled(self, columns: Iterable[FloatArray]) -> Iterator[LinearFit]:
        """Fit with each of `columns`, shape (samples,), in place of the tested one."""
        source = iter(columns)
        while chunk := list(islice(source, _AT_A_TIME)):
            yield from self._relabelled(np.stack(chunk))

    def _relabelled(self, columns: FloatArray) -> Iterator[LinearFit]:
        size = (
            (columns - columns.mean(axis=1, keepdims=True)) ** 2
        ) @ self._pattern  # (labellings, patterns)
        # What the other columns explain over all samples is taken out first: less is left to cancel.
        bare = columns - (columns @ self._basis) @ self._basis.T / self._n_samples
        shared = np.empty((self._basis.shape[1], *size.shape))
        for number, column in enumerate(self._basis.T):
            shared[number] = (bare * column) @ self._pattern
        along = self._others.forward(shared)  # (rank, labellings, patterns)
        rest = (bare**2) @ self._pattern - np.einsum("klp,klp->lp", along, along)
        told = rest > _NOT_TOLD * size
        unscaled = 1.0 / np.where(told, rest, 1.0)
        projected = bare @ self._left  # (labellings, features)
        known = told[:, self._of]
        effect = projected * unscaled[:, self._of]
        explained = np.where(known, projected * effect, 0.0)
        rank = self._others.rank[self._of] + known
        df = np.maximum(self._n - rank, 0).astype(np.float64)
        with np.errstate(invalid="ignore"):
            variance = np.where(
                df > 0, np.maximum(self._squares - explained, 0.0) / np.where(df > 0, df, 1.0), np.nan
            )
            unscaled_sd = np.where(known, np.sqrt(unscaled)[:, self._of], np.nan)
        effect = np.where(known, effect, np.nan)
        mean = np.where(self._n > 0, self._mean, np.nan)
        for row in range(len(columns)):
            yield LinearFit(effect[row], unscaled_sd[row], variance[row], df[row], self._n, mean)

    # -------------------------------------------------------------------------------------------- subsamples

    def subsampled(self, subsamples: Iterable[IntArray]) -> Iterator[LinearFit]:
        """Fit to each of `subsamples`: positions of samples, ascending."""
        column = self._design[:, self._tested]
        bare = column - self._basis @ (self._basis.T @ column) / self._n_samples
        spread = float(np.sqrt(np.mean(bare**2)))
        if spread <= _NOT_TOLD * float(np.std(column)):
            spread = 1.0
        basis = np.column_stack([self._basis, bare / spread])
        # Whatever is taken out here comes back in `fitted`, so that it need not be exact. Where the fit to all
        # samples cannot tell the column, no subsample can.
        whole = factorise(_gram(basis, self._pattern), self._pattern.sum(axis=0)).take(self._of)
        gamma = whole.backward(whole.forward(basis.T @ self._centred))
        residual = (self._centred - basis @ gamma) * self._observed
        upper = np.triu_indices(basis.shape[1])
        products = basis[:, upper[0]] * basis[:, upper[1]]
        squared = residual**2
        source = iter(subsamples)
        while chunk := list(islice(source, _AT_A_TIME)):
            drawn = np.zeros((len(chunk), self._n_samples))
            for chosen, samples in zip(drawn, chunk, strict=True):
                chosen[samples] = 1.0
            n = self.counts(drawn)
            mean = np.where(n > 0, self._mean + (drawn @ self._centred) / np.maximum(n, 1), np.nan)
            squares = drawn @ squared
            for row, samples in enumerate(chunk):
                pattern = self._pattern[samples]
                gram = _unfolded(products[samples].T @ pattern, basis.shape[1])
                each = factorise(gram, pattern.sum(axis=0)).take(self._of)
                z = each.forward(basis[samples].T @ residual[samples])
                known = each.reciprocal[-1] > 0
                df = np.maximum(n[row] - each.rank, 0).astype(np.float64)
                rss = np.maximum(squares[row] - np.einsum("kf,kf->f", z, z), 0.0)
                fit = LinearFit(
                    np.where(known, (gamma[-1] + z[-1] * each.reciprocal[-1]) / spread, np.nan),
                    np.where(known, each.reciprocal[-1] / spread, np.nan),
                    np.where(df > 0, rss / np.where(df > 0, df, 1.0), np.nan),
                    df,
                    n[row],
                    mean[row],
                )
                delicate = ((each.left > 0) & (each.left < _DELICATE)).any(axis=0)
                yield self._carefully(fit, samples, np.flatnonzero(delicate)) if delicate.any() else fit

    def _carefully(self, fit: LinearFit, samples: IntArray, rows: IntArray) -> LinearFit:
        """Put the careful fit of a few features in place of the fast one."""
        contrast = np.zeros(self._design.shape[1])
        contrast[self._tested] = 1.0
        exact = fit_linear_model(self._values[rows][:, samples], self._design[samples], contrast)
        for name, column in vars(fit).items():
            column[rows] = getattr(exact, name)
        return fit


def _gram(basis: FloatArray, pattern: FloatArray) -> FloatArray:
    """Normal equations of each pattern, shape (columns, columns, patterns)."""
    upper = np.triu_indices(basis.shape[1])
    return _unfolded((basis[:, upper[0]] * basis[:, upper[1]]).T @ pattern, basis.shape[1])


def _unfolded(sums: FloatArray, k: int) -> FloatArray:
    """Symmetric matrices from the sums of their upper triangle, shape (k, k, patterns)."""
    upper = np.triu_indices(k)
    gram = np.empty((k, k, sums.shape[1]))
    gram[upper] = sums
    gram[upper[1], upper[0]] = sums
    return gram
