"""Normalisation by a smooth curve: takes differences between samples out that depend on abundance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.lowess import lowess

FloatArray = npt.NDArray[np.float64]

_ROBUST_STEPS = 3
_GRID = 0.01
"""Share of the range of abundance within which the curve is interpolated."""


def cyclic_loess(
    X: FloatArray, reference: npt.NDArray[np.intp] | None = None, *, span: float = 0.7, cycles: int = 3
) -> FloatArray:
    """Bend every sample onto the mean of all, by robust local lines over abundance.

    In each cycle the difference of a sample to the features' means is smoothed over those means and subtracted. Each
    sample goes against the mean of all, not against each other sample, which takes n fits a cycle and not n^2
    (Bolstad et al. 2003, Bioinformatics 19:185; Ballman et al. 2004, Bioinformatics 20:2778).

    Parameters
    ----------
    X
        log2 abundance, shape (n_samples, n_features); missing values stay missing.
    reference
        Features that the curves are fitted on; default all. Beyond their range a curve keeps its end value.
    span
        Share of the features in each neighbourhood.
    cycles
        Repetitions.

    Examples
    --------
    >>> level = np.linspace(15, 30, 200)
    >>> X = np.stack([level, level + 0.05 * (level - 20), level - 0.05 * (level - 20)])
    >>> bool(np.ptp(cyclic_loess(X), axis=0).max() < 0.01)
    True
    """
    made = np.array(X, dtype=np.float64)
    chosen = np.arange(X.shape[1]) if reference is None else reference
    seen = np.isfinite(X)
    shared = seen.sum(axis=0)
    for _ in range(cycles):
        # The mean is renewed in each cycle, so that samples meet in the middle whatever their order.
        sums = np.where(seen, made, 0.0).sum(axis=0)
        mean = np.divide(sums, shared, out=np.full(X.shape[1], np.nan), where=shared > 0)
        for row in range(len(made)):
            fit_on = chosen[seen[row, chosen] & (shared[chosen] >= 2)]
            if fit_on.size < 2:
                continue
            x, y = mean[fit_on], made[row, fit_on] - mean[fit_on]
            smooth = lowess(x, y, span=span, robust_steps=_ROBUST_STEPS, delta=_GRID * float(np.ptp(x)))
            order = np.argsort(x, kind="stable")
            at, first = np.unique(x[order], return_index=True)
            known = seen[row]
            made[row, known] -= np.interp(mean[known], at, smooth[order][first])
    return made
