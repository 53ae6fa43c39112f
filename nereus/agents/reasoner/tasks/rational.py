"""Exact arithmetic on fractions as pairs of whole numbers: fast to make, to compare and to keep as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import gcd

Number = tuple[int, int]
"""A fraction in lowest terms, denominator positive."""
SIGNS = "+-*/"


@cache
def combined(a: Number, sign: str, b: Number) -> Number | None:
    """What a sign makes of two numbers; None where it divides by zero."""
    (p, q), (r, s) = a, b
    if sign == "+":
        return reduced(p * s + r * q, q * s)
    if sign == "-":
        return reduced(p * s - r * q, q * s)
    if sign == "*":
        return reduced(p * r, q * s)
    return reduced(p * s, q * r) if r else None


def combinations(a: Number, b: Number) -> Iterator[tuple[Number, str, Number, Number]]:
    """Everything that can be made of two numbers: first, sign, second, result; sums and products in one order only."""
    for first, sign, second in ((a, "+", b), (a, "*", b), (a, "-", b), (b, "-", a), (a, "/", b), (b, "/", a)):
        made = combined(first, sign, second)
        if made is not None:
            yield first, sign, second, made


def reduced(p: int, q: int) -> Number:
    """In lowest terms; `q` is not 0."""
    shared = gcd(p, q) * (1 if q > 0 else -1)
    return p // shared, q // shared


def value(number: Number) -> float:
    """As a float; huge fractions are cut to the largest one."""
    try:
        return number[0] / number[1]
    except OverflowError:
        return float("inf") if number[0] > 0 else float("-inf")


def text(number: Number) -> str:
    """As it stands in a step: in brackets where it is negative or no whole number."""
    whole = str(number[0]) if number[1] == 1 else f"{number[0]}/{number[1]}"
    return whole if number[0] >= 0 and number[1] == 1 else f"({whole})"


def read(digits: str) -> Number:
    """Of decimal digits as they are written: ``1,200.50``."""
    whole, _, part = digits.replace(",", "").partition(".")
    return reduced(int((whole or "0") + part), 10 ** len(part))
