"""A moderated test of one column, or of several together, of a linear model: what can also be permuted and halved.

The test of an interaction and of a change over time differ in their columns only. Both are tested by moderated
variances (`moderated_t`, and its F counterpart for several columns), and their null distribution is made in the
same way: residuals of the model without the tested columns are exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from nereus.tools.statistics.linear_model import consensus_correlation, fit_linear_model
from nereus.tools.statistics.moderated_t import BlockModel, ContrastFit, fit_contrast
from nereus.tools.statistics.resampling import Tested, drawn_units
from nereus.tools.statistics.residuals import residuals

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_INFINITE = 1e10
"""Degrees of freedom that stand for infinitely many in the F distribution."""


@dataclass(frozen=True)
class LinearTest:
    """Arrays of a linear model and which of its columns are tested.

    Attributes
    ----------
    values
        log2 abundances, shape (features, samples); NaN is missing.
    matrix
        Design matrix, shape (samples, columns).
    tested_columns
        Columns that are zero under the null hypothesis.
    contrast
        What is reported as the effect, shape (columns,); zero outside the tested columns.
    unit
        Integer code of the independent unit of each sample, shape (samples,).
    cell
        Integer code of the kind of each unit, shape (units,): subsamples are drawn within kinds.
    cells_needed
        Group of each sample, shape (samples,), each of which must hold `least` units with a value.
    least
        Least number of such units.
    block, block_model, correlation
        As in `fit_contrast`; the correlation is estimated once.
    weights
        Precisions of the values, shape (features, samples), or None.
    trend, robust, moderate
        How variances are moderated.
    flip
        Make null data by flipping signs also where each unit has one sample (a test of a mean against zero).
    """

    values: FloatArray
    matrix: FloatArray
    tested_columns: IntArray
    contrast: FloatArray
    unit: IntArray
    cell: IntArray
    cells_needed: IntArray
    least: int = 2
    block: IntArray | None = None
    block_model: BlockModel = "fixed"
    correlation: float | None = None
    weights: FloatArray | None = None
    trend: bool = False
    robust: bool = False
    moderate: bool = True
    flip: bool = False

    def with_correlation(self) -> LinearTest:
        """The same test with the correlation within blocks estimated from all features."""
        if self.block is None or self.block_model != "correlated":
            return self
        found = consensus_correlation(self.values, self.matrix, self.block)
        return replace(self, correlation=found if np.isfinite(found) else 0.0)

    def cell_counts(self) -> IntArray:
        """Units with a value in each group of `cells_needed`, shape (features, groups)."""
        seen = np.isfinite(self.values)
        counts = []
        for code in np.unique(self.cells_needed):
            columns = np.flatnonzero(self.cells_needed == code)
            member = np.eye(int(self.unit.max()) + 1)[self.unit[columns]]
            counts.append((seen[:, columns].astype(np.float64) @ member > 0).sum(axis=1))
        return np.stack(counts, axis=1).astype(np.intp)

    def testable(self) -> BoolArray:
        """Features with enough units in every group, shape (features,)."""
        return np.asarray((self.cell_counts() >= self.least).all(axis=1))

    def fit(self) -> ContrastFit:
        """Moderated t of the contrast."""
        return fit_contrast(
            np.where(self.testable()[:, None], self.values, np.nan),
            self.matrix,
            self.contrast,
            trend=self.trend,
            robust=self.robust,
            block=self.block,
            block_model=self.block_model,
            correlation=self.correlation,
            weights=self.weights,
            moderate=self.moderate,
        )

    def joint(self, fit: ContrastFit) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Moderated F of all tested columns together.

        Returns
        -------
        statistic, df, p : ndarray
            F, its first degrees of freedom, and its p-value, shape (features,).
        """
        without = np.delete(self.matrix, self.tested_columns, axis=1)
        shown = np.where(np.isfinite(fit.linear.unscaled_sd)[:, None], self.values, np.nan)
        keep = np.zeros(without.shape[1])
        keep[0] = 1.0
        rho = self.correlation if self.block_model == "correlated" else None
        reduced = fit_linear_model(
            shown, without, keep, weights=self.weights, block=self.block, correlation=rho
        )
        full = fit.linear
        with np.errstate(invalid="ignore", divide="ignore"):
            df = reduced.df - full.df
            lost = np.maximum(reduced.variance * reduced.df - full.variance * full.df, 0.0)
            statistic = np.where(df > 0, lost / df / fit.variance, np.nan)
        known = np.isfinite(statistic) & np.isfinite(fit.df) & (df > 0)
        second = np.where(np.isfinite(fit.df), np.minimum(fit.df, _INFINITE), _INFINITE)
        p = np.where(
            known, special.fdtrc(np.where(known, df, 1.0), second, np.where(known, statistic, 0.0)), np.nan
        )
        return np.where(known, statistic, np.nan), np.where(known, df, np.nan), p

    def tested(self) -> Tested:
        """Run the test."""
        fit = self.fit()
        if len(self.tested_columns) > 1:
            return Tested(fit.effect, self.joint(fit)[2])
        return Tested(fit.effect, fit.p)

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[LinearTest]:
        """Residuals of the model without the tested columns, exchanged; all features of a sample move together.

        Where every unit has one sample, residuals are permuted over samples (Freedman & Lane 1983). Where units
        have several, or a mean is tested, the signs of all residuals of a unit are flipped together, which keeps the
        correlation within units and the missing values where they are (Winkler et al. 2014, NeuroImage 92:381).
        """
        without = np.delete(self.matrix, self.tested_columns, axis=1)
        if self.block is not None and self.block_model == "fixed":
            without = np.column_stack([without, np.eye(int(self.block.max()) + 1)[self.block]])
        rest = residuals(self.values, without)
        n_units = int(self.unit.max()) + 1
        if n_units == len(self.unit) and not self.flip:
            for _ in range(n):
                order = rng.permutation(len(self.unit))
                yield replace(self, values=np.ascontiguousarray(rest[:, order]))
            return
        seen = {np.ones(n_units).tobytes()}
        for _ in range(20 * n):
            signs = rng.choice([-1.0, 1.0], size=n_units)
            signs *= signs[0]  # all signs turned give the same two-sided test
            if signs.tobytes() not in seen:
                seen.add(signs.tobytes())
                yield replace(self, values=rest * signs[self.unit])
                if len(seen) > n:
                    return

    def planted(self, rows: IntArray, size: FloatArray) -> LinearTest:
        """Effects of so many standard errors, along the contrast, put into some features."""
        shape = self.matrix @ (self.contrast / (self.contrast @ self.contrast))
        se = self.fit().se[rows]
        values = self.values.copy()
        values[rows] += np.where(np.isfinite(se), size * se, 0.0)[:, None] * shape
        return replace(self, values=values)

    def subsamples(self, n: int, rng: np.random.Generator) -> Iterator[LinearTest]:
        """Part of the units, drawn within their kinds."""
        for units in drawn_units(self.cell, n, rng):
            rows = np.flatnonzero(np.isin(self.unit, units))
            yield replace(
                self,
                values=np.ascontiguousarray(self.values[:, rows]),
                matrix=self.matrix[rows],
                unit=_compact(self.unit[rows]),
                cell=self.cell[units],
                cells_needed=self.cells_needed[rows],
                block=None if self.block is None else _compact(self.block[rows]),
                weights=None if self.weights is None else self.weights[:, rows],
            )


def _compact(codes: IntArray) -> IntArray:
    return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.intp).ravel()


def unit_cells(unit: IntArray, group: IntArray) -> IntArray:
    """Kind of each unit: units whose samples fall into the same groups are of one kind; shape (units,)."""
    kinds = [frozenset(group[unit == u].tolist()) for u in range(int(unit.max()) + 1)]
    names = sorted({tuple(sorted(kind)) for kind in kinds})
    return np.array([names.index(tuple(sorted(kind))) for kind in kinds], dtype=np.intp)
