"""Read a reply of a sandbox: the code may have written it itself, so that every part is checked before it is used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nereus.tools.base import Figure
from nereus.tools.code.drawing_check import fault
from nereus.tools.code.inside import columns
from nereus.tools.code.outcome import CodeError

if TYPE_CHECKING:
    import pandas as pd

    from nereus.memory.records import Scalar

_MOST = 200
_CAPTION = (
    "Drawn by code that ran in the sandbox; the table beside it holds the points of its lines, dots and bars."
)


def read(reply: dict[str, Any]) -> dict[str, Any]:
    """The parts of an outcome that a reply holds.

    Raises
    ------
    ValueError
        It is no reply; says why.
    """
    match reply:
        case {
            "error": dict() | None as error,
            "exit": int() | None as code,
            "tables": list(tables),
            "values": dict(values),
            "figures": list(figures),
            "left_out": list(left_out),
        } if max(map(len, (tables, values, figures, left_out))) <= _MOST:
            pass
        case _:
            raise ValueError("a reply lacks a part, or holds too many")
    return {
        "error": None if error is None else _error(error),
        "exit": None if code is None else code & 255,
        "tables": _tables(tables),
        "values": {_name(name): _scalar(value) for name, value in values.items()},
        "figures": _figures(figures),
        "left_out": tuple(_said(one) for one in left_out),
    }


def _name(name: Any) -> str:
    if not (isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= 100):
        raise ValueError("a name is no identifier")
    return name


def _said(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError("what is left out is no text")
    return columns.readable(text[:400])


def _scalar(value: Any) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and len(value) <= 2000:
        return columns.readable(value)
    raise ValueError("a value is no scalar")


def _error(error: dict[str, Any]) -> CodeError:
    match error:
        case {
            "kind": str(kind),
            "message": str(message),
            "traceback": str(traceback),
            "errno": int() | None as number,
            "file": str() | None as file,
        }:
            kind, message = columns.readable(kind[:200]), columns.readable(message[:2000])
            return CodeError(kind, message, columns.readable(traceback[:20_000]), number, file)
        case _:
            raise ValueError("an error lacks a part")


def _tables(tables: list[Any]) -> dict[str, pd.DataFrame]:
    found: dict[str, pd.DataFrame] = {}
    for one in tables:
        name, frame = columns.decoded(one)
        found[_name(name)] = frame
    return found


def _figures(figures: list[Any]) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for i, one in enumerate(figures, 1):
        match one:
            case {"svg": str(svg), "title": str(title), "points": points}:
                pass
            case _:
                raise ValueError("a figure lacks a part")
        if why := fault(svg):
            raise ValueError(f"a figure is refused: {why}")
        name = "figure" if i == 1 else f"figure_{i}"
        _, data = columns.decoded(points)
        found[name] = Figure(
            svg.encode("utf-8", "replace"), data, columns.readable(title[:200]) or f"Figure {i}", _CAPTION
        )
    return found
