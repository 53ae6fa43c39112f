"""Cells to numbers: decimal comma or point, thousands separators, missing values, and what is no number."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nereus.errors import InputError
from nereus.tools.proteomics.readers.delimited import Table

Decimal = Literal["auto", ".", ","]
FloatArray = NDArray[np.float64]

MISSING = frozenset(
    {
        "",
        "na",
        "n/a",
        "nan",
        "#n/a",
        "n.a.",
        "null",
        "none",
        "missing",
        "-",
        "--",
        ".",
        "?",
        "filtered",
        "nd",
        "n.d.",
    }
    | {"not detected", "#num!", "#div/0!", "#value!", "<na>"}
)
_JUDGED = 200
LARGEST = 1e30
"""Larger readings are no measurement: an overflow or a damaged cell."""

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_COMMA = re.compile(r"[+-]?(\d*,\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_COMMA_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}\Z", re.ASCII)
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d*\Z|[+-]?[1-9]\d{0,2}(,\d{3}){2,}\Z", re.ASCII)
_DOT_GROUPS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d*\Z|[+-]?[1-9]\d{0,2}(\.\d{3}){2,}\Z", re.ASCII)
_DOT_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}\Z", re.ASCII)
_SPACE_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}([ \u00a0\u202f'’]\d{3})+([.,]\d*)?\Z", re.ASCII)
_ODD_SIGNS = re.compile(r"[, \u00a0\u202f'’]|\.\d+\.")
_PLAIN_CHARACTERS = re.compile(r"[0-9.eE+\-\x1f]*\Z")
_LONG_PLAIN = re.compile(r"[+-]?\d{4,}([.,]\d*)?\Z", re.ASCII)
_SPACES = re.compile(r"[ \u00a0\u202f'’]")


def is_missing(cell: str) -> bool:
    """Whether a cell stands for no value."""
    return cell.lower() in MISSING


def is_number_like(cell: str) -> bool:
    """Whether a cell is a number in any of the known notations (infinity included, so that it is refused by name)."""
    return bool(
        _PLAIN.match(cell)
        or _COMMA.match(cell)
        or _COMMA_GROUPS.match(cell)
        or _DOT_GROUPS.match(cell)
        or _SPACE_GROUPS.match(cell)
        or cell.lower().lstrip("+-") in ("inf", "infinity")
    )


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written: the decimal sign, and the sign between groups of thousands ("" = none)."""

    decimal: Literal[".", ","] = "."
    thousands: str = ""


def numeric_share(cells: Sequence[str]) -> tuple[float, int]:
    """Share of number-like cells among those that hold something, and how many hold something.

    Long columns are judged by evenly spaced cells, unless most of these are empty.
    """
    if len(cells) > 4 * _JUDGED:
        share, seen = numeric_share(cells[:: len(cells) // _JUDGED])
        if seen > _JUDGED // 4:
            return share, seen
    seen = numbers = 0
    for cell in cells:
        if cell.lower() in MISSING:
            continue
        seen += 1
        numbers += is_number_like(cell)
    return (numbers / seen if seen else 0.0), seen


def number_format(table: Table, columns: Sequence[int], decimal: Decimal = "auto") -> NumberFormat:
    """The one notation of the numeric columns.

    Raises
    ------
    InputError
        Point and comma are both used as decimal sign, a comma could be either (``1,234``), or only some of the
        numbers above 999 have signs between thousands.
    """
    if decimal != "," and not any(_ODD_SIGNS.search("\x1f".join(table.columns[j])) for j in columns):
        return NumberFormat()
    form = _signs(table, columns, decimal)
    _check_grouping(table, columns)
    return form


def _check_grouping(table: Table, columns: Sequence[int]) -> None:
    """A few numbers with signs between thousands among others without are damage, not notation."""
    grouped = plain = None
    for j in columns:
        for i, cell in enumerate(table.columns[j]):
            if _LONG_PLAIN.match(cell):
                plain = plain or (i, j)
            elif len(cell) > 4 and (
                _SPACE_GROUPS.match(cell) or _COMMA_GROUPS.match(cell) or _DOT_GROUPS.match(cell)
            ):
                grouped = grouped or (i, j)
    if grouped and plain:
        raise _mixed(table, grouped, f"signs between thousands, but {_show(table, plain)} has none")


def _signs(table: Table, columns: Sequence[int], decimal: Decimal) -> NumberFormat:
    comma = groups_comma = groups_dot = ambiguous = point = None  # (row, column) of a first witness
    points_ambiguous = True
    for j in columns:
        for i, cell in enumerate(table.columns[j]):
            if "," in cell:
                if _COMMA_GROUPS.match(cell):
                    groups_comma = groups_comma or (i, j)
                elif _DOT_GROUPS.match(cell):
                    groups_dot = groups_dot or (i, j)
                elif _COMMA_AMBIGUOUS.match(cell):
                    ambiguous = ambiguous or (i, j)
                elif _COMMA.match(cell) or _SPACE_GROUPS.match(cell):
                    comma = comma or (i, j)
            elif "." in cell and _PLAIN.match(cell):
                point = point or (i, j)
                points_ambiguous = points_ambiguous and bool(_DOT_AMBIGUOUS.match(cell))
            elif "." in cell and _DOT_GROUPS.match(cell):
                groups_dot = groups_dot or (i, j)
    decimal_comma = comma or (
        groups_dot if groups_dot and "," in table.columns[groups_dot[1]][groups_dot[0]] else None
    )
    if decimal == ",":
        if point and not (groups_dot and points_ambiguous):
            raise _mixed(table, point, "a decimal point, but decimal=',' was given")
        if groups_comma:
            raise _mixed(table, groups_comma, "commas between thousands, but decimal=',' was given")
        return NumberFormat(",", ".")
    if decimal == ".":
        if decimal_comma:
            raise _mixed(table, decimal_comma, "a decimal comma, but decimal='.' was given")
        return NumberFormat(
            ".", "," if groups_comma or ambiguous else "." if groups_dot and not point else ""
        )
    if decimal_comma:
        if groups_comma:
            raise _mixed(
                table,
                groups_comma,
                f"commas between thousands, but {_show(table, decimal_comma)} has a decimal comma",
            )
        if point and not (groups_dot and points_ambiguous):
            raise _mixed(
                table, point, f"a decimal point, but {_show(table, decimal_comma)} has a decimal comma"
            )
        return NumberFormat(",", ".")
    if groups_dot:
        if point and not points_ambiguous:
            raise _mixed(
                table, groups_dot, f"points between thousands, but {_show(table, point)} has a decimal point"
            )
        return NumberFormat(",", ".")
    if ambiguous and not groups_comma:
        i, j = ambiguous
        raise InputError(
            f"{table.columns[j][i]!r} may have a decimal comma or a comma between thousands",
            where=table.at(i, j),
            mend="pass decimal=',' or decimal='.', or write all numbers alike",
        )
    if groups_comma:
        return NumberFormat(".", ",")
    return NumberFormat()


def _show(table: Table, place: tuple[int, int]) -> str:
    i, j = place
    return f"{table.columns[j][i]!r} (row {table.lines[i]}, column {table.header[j]!r})"


def _mixed(table: Table, place: tuple[int, int], why: str) -> InputError:
    i, j = place
    return InputError(
        f"{table.columns[j][i]!r} has {why}",
        where=table.at(i, j),
        mend="write all numbers alike, or pass `decimal`",
    )


def to_floats(table: Table, column: int, form: NumberFormat) -> FloatArray:
    """One column as float64, NaN where it is missing.

    Raises
    ------
    InputError
        A cell that is no number, infinite, or larger than `LARGEST`; names row, column and cell.
    """
    cells = table.columns[column]
    if form.thousands != "." and _PLAIN_CHARACTERS.match("\x1f".join(cells)):
        try:
            quick = np.array([float(cell) if cell else math.nan for cell in cells])
        except ValueError:
            pass  # a cell such as "-" or "1.2.3": found and judged below
        else:
            if not (np.abs(quick) > LARGEST).any():
                return quick
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        if _PLAIN.match(cell) and (form.thousands != "." or "." not in cell):
            number = float(cell)
        elif cell.lower() in MISSING:
            number = math.nan
        else:
            number = _float(cell, form, table, i, column)
        if number > LARGEST or number < -LARGEST:
            raise InputError(
                f"{cell!r} is no finite measurement",
                where=table.at(i, column),
                mend="correct the cell or leave it empty",
            )
        values[i] = number
    return values


def _float(cell: str, form: NumberFormat, table: Table, row: int, column: int) -> float:
    if cell.lower().lstrip("+-") in ("inf", "infinity"):
        return math.inf
    text = _SPACES.sub("", cell) if _SPACE_GROUPS.match(cell) else cell
    if form.thousands == "," and (_COMMA_GROUPS.match(text) or _COMMA_AMBIGUOUS.match(text)):
        text = text.replace(",", "")
    elif form.thousands == "." and (_DOT_GROUPS.match(text) or _DOT_AMBIGUOUS.match(text)):
        text = text.replace(".", "")
    if form.decimal == "," and _COMMA.match(text):
        text = text.replace(",", ".")
    if _PLAIN.match(text):
        return float(text)
    raise InputError(
        f"{cell[:60]!r} is no number",
        where=table.at(row, column),
        mend="correct the cell or leave it empty (if the column holds no measurements, rename or remove it)",
    )
