"""From the quantities of a file to X: which of them, on which scale, and what zeros mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nereus.errors import InputError
from nereus.tools.proteomics.readers.quantification import FloatArray, Quantification
from nereus.tools.proteomics.readers.scale import (
    SMALL_RAW,
    detect_scale,
    is_uncertain,
    to_log2,
    zeros_are_missing,
)

_PREFERRED = ("lfq", "intensity", "abundance", "reporter", "value", "top3", "ibaq", "area", "ratio", "count")
_LEAST_LFQ_COVERAGE = 0.5


@dataclass(frozen=True)
class Scaled:
    """X as log2, the scale that was found and why, and whether zeros were missing values."""

    x: FloatArray
    scale: str
    zero_missing: bool
    why: str

    def layer(self, values: FloatArray) -> FloatArray:
        """Another quantity of the same file, on the same scale."""
        if self.scale == "raw":
            return np.asarray(np.log2(np.where(values > 0, values, np.nan)))
        return to_log2(np.where(values == 0, np.nan, values) if self.zero_missing else values, self.scale)


def choose_quantity(
    quantities: Mapping[str, FloatArray], wanted: str, where: str, warnings: list[str]
) -> str:
    """The quantity that was asked for; LFQ where it covers enough, else the first of the usual order."""
    if wanted != "auto":
        if wanted not in quantities:
            raise InputError(
                f"there is no quantity {wanted!r}", where=where, mend=f"quantities are {sorted(quantities)}"
            )
        return wanted
    name = next((n for n in _PREFERRED if n in quantities), next(iter(quantities)))
    if name == "lfq" and "intensity" in quantities:
        covered = [int((np.nan_to_num(quantities[n]) != 0).sum()) for n in ("lfq", "intensity")]
        if covered[0] < _LEAST_LFQ_COVERAGE * covered[1]:
            warnings.append(
                f"LFQ covers {covered[0]} of {covered[1]} raw intensities: raw intensities used instead"
            )
            return "intensity"
    return name


def scaled(
    values: FloatArray,
    q: Quantification,
    wanted_scale: str,
    zero_is_missing: str,
    samples: list[str],
    features: list[str],
    warnings: list[str],
) -> Scaled:
    """X of one quantity.

    Raises
    ------
    InputError
        Negative values among raw intensities; names sample and feature.
    """
    if q.level == "cell":
        return Scaled(values, "as stored", False, "cells keep their scale")
    if wanted_scale != "auto":
        scale, why = wanted_scale, "as given"
    elif q.known_scale is not None:
        scale, why = q.known_scale, "as the file says"
    else:
        scale, why = detect_scale(values)
        if scale == "log2" and is_uncertain(values):
            warnings.append(
                f"values up to {np.nanmax(values):.4g} taken as log2; set scale=raw if they are not logarithms"
            )
    if scale == "raw" and wanted_scale == "auto" and (values < 0).any() and np.nanmax(values) <= SMALL_RAW:
        warnings.append(
            f"{int((values < 0).sum())} negative values (background subtracted?) are taken as missing"
        )
        values = np.where(values < 0, np.nan, values)
    if scale == "raw" and (values < 0).any():
        i, j = map(int, np.argwhere(values < 0)[0])
        raise InputError(
            f"negative value {values[i, j]:g} in a matrix of raw intensities ({int((values < 0).sum())} in all)",
            where=f"{q.where}, sample {samples[i]!r}, feature {features[j]!r}",
            mend="already log-scaled? set scale=log2",
        )
    if q.raw and scale == "log2" and wanted_scale == "auto":
        warnings.append(
            f"{q.software} writes raw intensities, but these are logarithms already ({why}): not logged again"
        )
    zero_missing = zeros_are_missing(values, scale) if zero_is_missing == "auto" else zero_is_missing == "yes"
    if zero_missing:
        values = np.where(values == 0, np.nan, values)
    elif scale == "raw" and (values == 0).any():
        warnings.append("zeros are measurements: log2(x + 1) taken")
        return Scaled(np.log2(values + 1), scale, False, why)
    return Scaled(to_log2(values, scale), scale, zero_missing, why)
