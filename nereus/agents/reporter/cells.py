"""Compares two tables cell by cell, as text with numbers in it."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field


@dataclass
class CellComparison:
    """How many cells two tables have, how many agree, and what differs."""

    total: int = 0
    equal: int = 0
    differences: list[str] = field(default_factory=list)
    """One line a differing cell: row key, column, both values; at most `LISTED` of them."""


LISTED = 20


def different_cells(stored: str, computed: str, tolerance: float) -> CellComparison:
    """Compare two CSV texts.

    Parameters
    ----------
    stored, computed
        CSV with a header; the first column is the row key.
    tolerance
        Largest relative difference of two numbers that count as equal. Texts must be equal to the letter.

    Returns
    -------
    The comparison. Cells that one side lacks count as different; the header counts as cells, too.
    """
    found = CellComparison()
    ours, theirs = (list(csv.reader(io.StringIO(text))) for text in (computed, stored))
    if stored == computed:
        found.total = found.equal = sum(map(len, ours))
        return found
    for number in range(max(len(ours), len(theirs))):
        left = theirs[number] if number < len(theirs) else []
        right = ours[number] if number < len(ours) else []
        for column in range(max(len(left), len(right))):
            found.total += 1
            a = left[column] if column < len(left) else None
            b = right[column] if column < len(right) else None
            if a is not None and b is not None and equal_texts(a, b, tolerance):
                found.equal += 1
            elif len(found.differences) < LISTED:
                key = (right or left)[0]
                head = ours[0] if ours else []
                name = head[column] if column < len(head) else f"column {column + 1}"
                found.differences.append(f"row {key!r}, {name}: stored {_shown(a)}, recomputed {_shown(b)}")
    return found


def equal_texts(a: str, b: str, tolerance: float) -> bool:
    """Whether two cells are equal: as texts, or as numbers within a relative tolerance."""
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    return equal_numbers(x, y, tolerance)


def equal_numbers(x: float, y: float, tolerance: float) -> bool:
    """Whether two numbers are equal within a relative tolerance; not-a-number equals itself."""
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    return x == y or abs(x - y) <= tolerance * max(abs(x), abs(y))


def _shown(text: str | None) -> str:
    return "nothing" if text is None else repr(text)
