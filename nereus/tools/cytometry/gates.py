"""Events that are no good single cells, by the channels that tell: doublets, debris, and values at the instrument's limit."""

from __future__ import annotations

import re

import numpy as np

from nereus.tools.cytometry.cell_table import IntArray, Mask, Values

REACH = 4.0
"""Median absolute deviations (scaled to standard deviations) from the median of a sample beyond which an event is out."""
_LEAST_AT_LIMIT = 5
_SCATTER = re.compile(r"(fsc|fs)([ _-]?(?P<kind>[ahw]))?", re.IGNORECASE)
_DNA = re.compile(
    r"(dna[ _-]?\d*|.*\bir(idium)?[ _-]?\(?19[13].*|(19[13])?ir(19[13])?(di)?.*)", re.IGNORECASE
)
_LENGTH = re.compile(r"(event|cell)[ _-]?length", re.IGNORECASE)


def scatter_columns(names: list[str]) -> dict[str, int]:
    """Forward scatter channels by kind: area (``a``), height (``h``), width (``w``)."""
    found: dict[str, int] = {}
    for column, name in enumerate(names):
        match = _SCATTER.fullmatch(name.strip())
        if match:
            found.setdefault((match["kind"] or "a").lower(), column)
    return found


def dna_columns(names: list[str]) -> list[int]:
    """Channels of the DNA intercalator."""
    return [column for column, name in enumerate(names) if _DNA.fullmatch(name.strip())]


def length_column(names: list[str]) -> int | None:
    """Channel of the event length, if there is one."""
    return next((column for column, name in enumerate(names) if _LENGTH.fullmatch(name.strip())), None)


def beyond(values: np.ndarray, samples: IntArray, side: int, reach: float = REACH) -> Mask:
    """Which values lie beyond the bulk of their sample: above it (side 1) or below it (side -1), shape (cells,).

    The bulk is the median and the scaled median absolute deviation of the sample's finite values; a sample whose values
    do not vary has none beyond.
    """
    out = np.zeros(len(values), dtype=bool)
    for sample in np.unique(samples):
        rows = np.flatnonzero((samples == sample) & np.isfinite(values))
        if len(rows) < 3:
            continue
        middle = float(np.median(values[rows]))
        spread = 1.4826 * float(np.median(np.abs(values[rows] - middle)))
        if spread > 0:
            out[rows] = side * (values[rows] - middle) > reach * spread
    return out


def doublets(raw: Values, names: list[str], samples: IntArray) -> tuple[Mask | None, str]:
    """Events of two cells, and the channels that tell; None without such channels.

    Flow cytometry: area over height of the forward scatter (Monaco et al. 2016, Bioinformatics 32:2473). Mass cytometry:
    more DNA, or longer, than the bulk.
    """
    scatter = scatter_columns(names)
    if "a" in scatter and "h" in scatter:
        height = raw[:, scatter["h"]].astype(np.float64)
        ratio = np.divide(
            raw[:, scatter["a"]], height, out=np.full(len(raw), np.nan), where=height > 0, dtype=np.float64
        )
        return beyond(ratio, samples, 1), f"{names[scatter['a']]} / {names[scatter['h']]}"
    columns = dna_columns(names)
    length = length_column(names)
    if not columns and length is None:
        return None, ""
    out = np.zeros(len(raw), dtype=bool)
    for column in columns:
        out |= beyond(np.arcsinh(raw[:, column].astype(np.float64) / 5.0), samples, 1)
    if length is not None:
        out |= beyond(raw[:, length].astype(np.float64), samples, 1)
    told = [names[column] for column in columns] + ([names[length]] if length is not None else [])
    return out, ", ".join(told)


def debris(raw: Values, names: list[str], samples: IntArray) -> tuple[Mask | None, str]:
    """Events smaller than cells: little forward scatter, or little DNA; None without such channels."""
    scatter = scatter_columns(names)
    if "a" in scatter or "h" in scatter:
        column = scatter.get("a", scatter.get("h", 0))
        size = np.log2(np.maximum(raw[:, column].astype(np.float64), 1e-3))
        return beyond(size, samples, -1) | (raw[:, column] <= 0), names[column]
    columns = dna_columns(names)
    if not columns:
        return None, ""
    out = np.zeros(len(raw), dtype=bool)
    for column in columns:
        out |= beyond(np.arcsinh(raw[:, column].astype(np.float64) / 5.0), samples, -1)
    return out, ", ".join(names[column] for column in columns)


def at_limit(column: np.ndarray) -> Mask:
    """Which values are at an upper limit of the instrument: piled up at the largest value, shape (cells,).

    A pile is five events or more at the maximum, and more than in the whole per cent of the range below it.
    """
    finite = np.isfinite(column)
    if not finite.any():
        return np.zeros(len(column), dtype=bool)
    top, low = float(column[finite].max()), float(column[finite].min())
    at = finite & (column == top)
    below = finite & (column < top) & (column > top - 0.01 * (top - low))
    piled = at.sum() >= _LEAST_AT_LIMIT and at.sum() > below.sum() and top > low and top > 0
    return np.asarray(at if piled else np.zeros(len(column), dtype=bool))
