"""Raw or logarithmic? Are zeros missing? Told from the values, so that nothing is ever logged twice."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Scale = Literal["raw", "log2", "ln", "log10"]

SMALL_RAW = 200.0
"""No log2 of a measurement reaches this (2^200), and raw intensities do."""


_LEAST_FEATURES = 20
_LEAST_RANGE = float(np.log(4))
"""Means must span a factor of four before the slope can tell raw data from logarithms."""
_FEW_NEGATIVE = 1e-3
"""Subtracting a background leaves few values below zero; logarithms and ratios have many."""


def detect_scale(values: FloatArray) -> tuple[Literal["raw", "log2"], str]:
    """Scale of a matrix, and why.

    Values above 200 are raw, more than a few negative ones are logarithms. In between, raw data have a standard
    deviation that grows with the mean (constant coefficient of variation), logarithms do not: the slope of log(SD)
    on log(mean) over features decides, about 1 for raw data and about 0 or below for logarithms.

    Parameters
    ----------
    values
        Shape (samples, features), NaN = missing.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return "raw", "no values"
    negative = int((finite < 0).sum())
    if finite.max() > SMALL_RAW:
        return "raw", f"largest value {finite.max():.6g}"
    if negative > _FEW_NEGATIVE * finite.size:
        return "log2", f"{negative} negative values"
    if finite.max() <= 1.5 and not negative:
        return "raw", f"fractions, largest value {finite.max():.3g}"
    positive = np.where(values > 0, values, np.nan)
    counts = np.isfinite(positive).sum(axis=0)
    enough = counts >= 3
    if enough.sum() >= _LEAST_FEATURES:
        mean, deviation = (
            np.nanmean(positive[:, enough], axis=0),
            np.nanstd(positive[:, enough], axis=0, ddof=1),
        )
        usable = (deviation > 0) & (mean > 0)
        level, spread = np.log(mean[usable]), np.log(deviation[usable])
        if usable.sum() >= _LEAST_FEATURES and np.ptp(level) > _LEAST_RANGE:
            slope = float(np.polyfit(level, spread, 1)[0])
            if slope > 0.6 and float(np.corrcoef(level, spread)[0, 1]) > 0.5:
                return "raw", f"standard deviations grow with the means (slope {slope:.2f})"
    return "log2", f"{negative} negative values" if negative else f"largest value {finite.max():.4g}"


def is_uncertain(values: FloatArray) -> bool:
    """Whether small values without a clear sign of either scale were taken as logarithms."""
    finite = values[np.isfinite(values)]
    return bool(
        finite.size and finite.min() >= 0 and finite.max() <= SMALL_RAW and not 8 <= np.median(finite) <= 40
    )


def zeros_are_missing(values: FloatArray, scale: str) -> bool:
    """Whether zeros stand for missing values.

    In raw data always: no detector reads exactly zero. In logarithms only when zero stands apart from all other
    values, as a filled-in number does.
    """
    finite = values[np.isfinite(values)]
    zero = finite == 0
    if not zero.any():
        return False
    if scale == "raw":
        return True
    others = finite[~zero]
    if others.size == 0:
        return True
    if others.min() < 0:
        return False
    low, high = np.quantile(others, [0.001, 0.999])
    return bool(low > 0.25 * (high - low) and zero.sum() > 1)


def to_log2(values: FloatArray, scale: str) -> FloatArray:
    """Values of a known scale as log2."""
    if scale == "raw":
        return np.asarray(np.log2(values))
    logarithms: FloatArray = values / {"log2": 1.0, "ln": np.log(2), "log10": np.log10(2)}[scale]
    return logarithms
