"""Draws for values that are missing because they are low: from the low end of each sample's own distribution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]

_LOW_QUANTILE = 0.01
_GRID = 100
_UPPER = 0.99


def down_shifted(X: FloatArray, rng: np.random.Generator, *, shift: float, width: float) -> FloatArray:
    """Draw ``N(mean - shift sd, (width sd)^2)`` with the mean and sd of each sample (Tyanova et al. 2016).

    Parameters
    ----------
    X
        log2 abundance, shape (n_samples, n_features); every sample has two values or more.
    rng
        Generator. One number is drawn for each cell, so that a draw does not depend on which others are missing.
    shift, width
        In standard deviations of the sample.
    """
    draws = rng.standard_normal(X.shape)
    mean, sd = np.nanmean(X, axis=1)[:, None], np.nanstd(X, axis=1, ddof=1)[:, None]
    return np.asarray(mean + sd * (width * draws - shift))


def lowest_probable(X: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw around the lowest hundredth of each sample with the spread of a typical feature (MinProb).

    Lazar et al. 2016, J Proteome Res 15:1116. The spread is the median standard deviation of the features that are seen
    in more than half of the samples; of all where there is none.
    """
    draws = rng.standard_normal(X.shape)
    low = np.nanquantile(X, _LOW_QUANTILE, axis=1)[:, None]
    seen = np.isfinite(X).sum(axis=0)
    often = np.flatnonzero((seen > len(X) / 2) & (seen >= 2))
    spread = float(np.median(np.nanstd(X[:, often], axis=0, ddof=1))) if often.size else float(np.nanstd(X))
    return np.asarray(low + spread * draws)


def censored_normal(X: FloatArray, rng: np.random.Generator, *, width: float = 1.0) -> FloatArray:
    """Draw from the part of each sample's distribution below its detection limit (QRILC).

    A normal distribution is fitted to the observed quantiles of a sample at the probabilities that they have when the
    missing values all lie below them; values are drawn from it below the probability that is missing (Lazar et al. 2016).

    Parameters
    ----------
    X, rng
        As above.
    width
        Factor on the standard deviation of the fitted distribution.
    """
    uniform = rng.random(X.shape)
    made = np.empty(X.shape)
    for row in range(len(X)):
        known = X[row, np.isfinite(X[row])]
        gone = 1.0 - known.size / X.shape[1]
        at = np.linspace(0.005, _UPPER, _GRID)
        expected = special.ndtri(gone + (1.0 - gone) * at)
        seen = np.quantile(known, at)
        slope, intercept = np.polyfit(expected, seen, 1)
        sd = max(float(slope), 1e-6) * width
        # Without a missing value there is no limit; the lowest hundredth then stands for it.
        share = max(gone, _LOW_QUANTILE)
        limit = float(intercept) + float(slope) * float(special.ndtri(share))
        top = special.ndtr((limit - float(intercept)) / sd)
        made[row] = float(intercept) + sd * special.ndtri(np.maximum(uniform[row] * top, 1e-12))
    return made
