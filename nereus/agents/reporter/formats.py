"""How a value is written: one small vocabulary of formats for statements, cards, tables and `verify`.

A format is a Python number format (``.2f``, ``+.2f``, ``.3g``, ``.0%``, ``,d``) or one of

``p``
    A p or q value: two significant digits, in powers of ten below one thousandth.
``fold``
    A log2 fold change shown as a ratio of the larger to the smaller, ``2 ** |value|``.
``int``
    A count with thousands separators.
``exact``
    Every digit, as a program would read it.

An empty format gives counts as ``int`` and other numbers three significant digits. Plain text uses ASCII
(``-1.2``, ``3.4e-08``) so that any script can read it back; pages use the minus sign and powers of ten.
"""

from __future__ import annotations

import math
import re

from nereus.errors import UnresolvedNumber
from nereus.memory.records import Scalar

NAMED_FORMATS = ("p", "fold", "int", "exact")
_PYTHON_FORMAT = re.compile(r"[+ ]?,?(?:\.\d{1,2})?[efg%d]")
_EXPONENT = re.compile(r"e([+-])0*(\d+)$")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MISSING = "not available"


def check_format(spec: str) -> None:
    """Raise `UnresolvedNumber` for a format outside the vocabulary."""
    if spec and spec not in NAMED_FORMATS and not _PYTHON_FORMAT.fullmatch(spec):
        raise UnresolvedNumber(
            f"unknown number format {spec!r}",
            mend=f"use a Python format such as .2f, .3g or .0%, or one of {', '.join(NAMED_FORMATS)}, ci",
        )


def format_value(value: Scalar, spec: str = "", *, typographic: bool = False) -> str:
    """Write `value` in the format `spec`.

    Parameters
    ----------
    value
        A named value or a table cell.
    spec
        See the module's text. Ignored for text and truth values.
    typographic
        Minus sign and powers of ten, for pages; otherwise ASCII.

    Raises
    ------
    UnresolvedNumber
        For an unknown format.
    """
    check_format(spec)
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return MISSING
    if spec == "exact":
        return repr(value)
    text = _number(value, spec)
    return _typographic(text) if typographic else text


def _number(value: int | float, spec: str) -> str:
    if spec == "p":
        return _p_value(float(value))
    if spec == "fold":
        return f"{2.0 ** abs(value):.3g}"
    if spec == "int" or (
        spec == "" and float(value).is_integer() and (isinstance(value, int) or abs(value) < 1e6)
    ):
        return f"{round(value):,}"
    if spec.endswith("d"):
        return format(round(value), spec)
    return _no_negative_zero(format(float(value), spec or ".3g"))


def _p_value(value: float) -> str:
    if value < 1e-300:
        return "<1e-300"
    if value < 1e-3:
        return f"{value:.1e}"
    return f"{value:.2g}" if value < 0.995 else "1"


def _no_negative_zero(text: str) -> str:
    return (
        text.replace("-", "")
        if text.startswith("-") and not any(digit in text for digit in "123456789")
        else text
    )


def _typographic(text: str) -> str:
    text = text.replace("<1e-300", "<10⁻³⁰⁰")
    power = _EXPONENT.search(text)
    if power:
        exponent = ("-" if power[1] == "-" else "") + power[2]
        text = f"{text[: power.start()]} × 10{exponent.translate(_SUPERSCRIPT)}"
    return text.replace("-", "−")
