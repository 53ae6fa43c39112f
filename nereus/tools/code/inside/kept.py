"""What of the variables comes back: tables and plain values, as many as there is room for, and a word on the others."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from nereus.tools.code.inside import columns

MOST = 200
_LONGEST_NAME = 100
_LONGEST_TEXT = 2000
_MOST_BITS = 4096


def results(variables: Mapping[str, Any], room: int) -> dict[str, Any]:
    """Tables and plain values among variables.

    Parameters
    ----------
    variables
        New and changed ones, by name.
    room
        Bytes for all tables together: ``result`` comes first whatever its size, then the others, smallest first.

    Returns
    -------
    dict
        ``tables``, ``values`` and ``left_out``: what is not among them, each with the reason.
    """
    frames: dict[str, Any] = {}
    values: dict[str, Any] = {}
    left_out: list[str] = []
    numpy = sys.modules.get("numpy")
    for name, value in variables.items():
        plain = value.item() if numpy is not None and isinstance(value, numpy.generic) else value
        table = _table(value)
        if not table and not _is_plain(plain):
            continue
        if not (name.isascii() and name.isidentifier() and len(name) <= _LONGEST_NAME):
            left_out.append(f"{name[:_LONGEST_NAME]}: only names of ASCII letters come back")
        elif len(frames if table else values) >= MOST:
            left_out.append(f"{name}: there are more than {MOST}")
        elif table:
            frames[name] = value
        elif isinstance(plain, int) and plain.bit_length() > _MOST_BITS:
            left_out.append(f"{name}: a number of {plain.bit_length()} bits")
        else:
            values[name] = _shown(plain)
    tables = []
    for name in sorted(frames, key=lambda one: (one != "result", _size(frames[one]), one)):
        if name != "result" and _size(frames[name]) > room:
            left_out.append(f"{name}: {len(frames[name])} rows are more than there is room for")
            continue
        try:
            frame = plain_table(name, frames[name])
        except Exception as error:  # noqa: BLE001 - a table of strange contents costs itself, and not the others
            left_out.append(f"{name}: {type(error).__name__}: {error}"[:300])
            continue
        if frame.shape[0] * max(1, frame.shape[1]) > columns.MOST_CELLS:
            left_out.append(f"{name}: more than {columns.MOST_CELLS} cells")
            continue
        encoded = columns.encoded(name, frame)
        tables.append(encoded)
        room -= sum(_length(column["data"]) for column in encoded["columns"])
    return {"tables": tables, "values": values, "left_out": left_out[:MOST]}


def plain_table(name: str, value: Any) -> Any:
    """A frame without an index: levels of rows become columns, and levels of columns one name."""
    import pandas as pd

    frame = value.to_frame(name) if isinstance(value, pd.Series) else value
    several = frame.columns.nlevels > 1
    labels = ["_".join(map(str, one)) if several else str(one) for one in frame.columns]
    if isinstance(frame.index, pd.RangeIndex):
        return frame.set_axis(labels, axis=1)
    levels = [str("index" if one is None else one) for one in frame.index.names]
    names = columns.unique([*labels, *levels])
    whole = [*names[len(labels) :], *names[: len(labels)]]
    frame = frame.set_axis(range(len(levels), len(whole)), axis=1)
    return frame.reset_index(names=list(range(len(levels)))).set_axis(whole, axis=1)


def _table(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series)


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= _LONGEST_TEXT)


def _shown(value: Any) -> Any:
    """A value that JSON can hold: what is no number, and what is too large for one, as text."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    return int(value) if abs(value) < 2**63 else repr(int(value))


def _size(frame: Any) -> int:
    """Bytes that it takes in a reply, about: numbers are four thirds of themselves there."""
    return (
        int(frame.memory_usage(index=False, deep=False).sum() if frame.ndim == 2 else frame.nbytes) * 4 // 3
    )


def _length(data: Any) -> int:
    return len(data) if isinstance(data, str) else sum(2 + len(one or "") for one in data)
