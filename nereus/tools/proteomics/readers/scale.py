"""Raw or logarithmic? Are zeros missing? Told from the values, so that nothing is ever logged twice."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Scale = Literal["raw", "log2", "ln", "log10"]

SMALL_RAW = 200.0
"""No log2 of a measurement reaches this (2^200), and raw intensities do."""


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
    if enough.sum() >= 8:
        chosen = positive[:, enough]
        mean, deviation = np.nanmean(chosen, axis=0), np.nanstd(chosen, axis=0, ddof=1)
        usable = (deviation > 0) & (mean > 0)
        if usable.sum() >= 8 and np.ptp(np.log(mean[usable])) > 1e-9:
            spread = np.log(mean[usable])
            slope = float(np.polyfit(spread, np.log(deviation[usable]), 1)[0])
            if np.ptp(spread) > np.log(2) and slope > 0.6:
                return "raw", f"standard deviations grow with the means (slope {slope:.2f})"
            return (
                "log2",
                f"largest value {finite.max():.4g}, standard deviations do not grow with the means (slope {slope:.2f})",
            )
    return "log2", f"{negative} negative values" if negative else f"largest value {finite.max():.4g}"


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
