"""The simplest number within an interval: fewest digits first, then the roundest."""

from __future__ import annotations

import math

_MOST_DIGITS = 12
_LARGEST_DENOMINATOR = 12


def simplest_between(low: float, high: float) -> float:
    """Number with the fewest significant digits in ``[low, high]``; among those, ending in 0 or 5, then nearest the middle.

    Fractions with a small denominator stand in where decimals would need more than four digits.
    """
    if low > high:
        low, high = high, low
    if low <= 0 <= high:
        return 0.0
    if high < 0:
        return -simplest_between(-high, -low)
    middle = (low + high) / 2
    for digits in range(_MOST_DIGITS):
        step = 10.0 ** (math.floor(math.log10(high)) - digits)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if first > last:
            continue
        if digits >= 4 and (fraction := _fraction(low, high)) is not None:
            return fraction
        multiples = [m for m in (10, 5, 2, 1) if math.ceil(first / m) * m <= last]
        m = multiples[0]
        candidates = range(math.ceil(first / m), math.floor(last / m) + 1)
        near = min(max(round(middle / step / m), candidates[0]), candidates[-1]) * m
        exponent = math.floor(math.log10(high)) - digits
        return float(f"{near}e{exponent}")
    return middle


def _fraction(low: float, high: float) -> float | None:
    for denominator in range(3, _LARGEST_DENOMINATOR + 1):
        numerator = math.ceil(low * denominator - 1e-12)
        if low * denominator <= numerator <= high * denominator:
            return numerator / denominator
    return None
