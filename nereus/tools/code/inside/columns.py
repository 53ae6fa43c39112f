"""Tables as JSON: numbers as their bytes in base64, text as lists. Nothing in it can run, name a class or unpack to more.

Both sides use it, and `decoded` trusts nothing: kinds are a short list, and every length is checked against the bytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = frozenset({"<f8", "<f4", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1", "<M8[ns]"})
MOST_CELLS = 20_000_000


def encoded(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """A table as JSON values; columns that are neither numbers, dates nor text become text.

    Of columns that share a name, the later ones get a number.
    """
    labels = unique(map(str, frame.columns))
    columns = [_column(label, frame.iloc[:, i]) for i, label in enumerate(labels)]
    return {"name": name, "n_rows": len(frame), "columns": columns}


def unique(labels: Iterable[str]) -> list[str]:
    """Names, each once: the second ``a`` is ``a_2``."""
    found: dict[str, None] = {}
    for label in labels:
        name, number = label, 1
        while name in found:
            number += 1
            name = f"{label}_{number}"
        found[name] = None
    return list(found)


def _column(name: str, values: pd.Series) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values)
    if numeric and not isinstance(values.dtype, np.dtype):
        whole = values.isna().any() or not pd.api.types.is_integer_dtype(values)
        plain = "float64" if whole else "int64"
        values = values.astype(
            "bool" if pd.api.types.is_bool_dtype(values) and not values.isna().any() else plain
        )
    if pd.api.types.is_datetime64_dtype(values):
        values = values.astype("datetime64[ns]")
    array = values.to_numpy()
    if array.dtype == np.float16 or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
        array = array.astype("<f8")
    if array.dtype.kind in "fiub" or array.dtype.kind == "M":
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
        return {
            "name": name,
            "kind": array.dtype.str,
            "data": base64.b64encode(array.tobytes()).decode("ascii"),
        }
    return {"name": name, "kind": "text", "data": [_text(one) for one in array]}


def _text(value: Any) -> str | None:
    import pandas as pd

    if value is None:
        return None
    missing = pd.isna(value)
    return None if isinstance(missing, bool) and missing else str(value)


def readable(text: str) -> str:
    """A text that can be kept: half a character of two, and the zero that ends texts elsewhere, are shown as numbers."""
    text = text.replace("\0", "\\x00")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def decoded(table: Any) -> tuple[str, pd.DataFrame]:
    """Name and table from JSON values that anybody may have written.

    Raises
    ------
    ValueError
        It is no table; says why.
    """
    import pandas as pd

    match table:
        case {"name": str(name), "n_rows": int(n_rows), "columns": list(columns)} if n_rows >= 0:
            pass
        case _:
            raise ValueError("a table lacks its name, rows or columns")
    if n_rows * max(1, len(columns)) > MOST_CELLS:
        raise ValueError(f"a table has more than {MOST_CELLS} cells")
    found: dict[str, Any] = {}
    for column in columns:
        label, values = _values(column, n_rows)
        label = readable(label)
        if label in found:
            raise ValueError("two columns of a table have one name")
        found[label] = values
    return name, pd.DataFrame(found, index=pd.RangeIndex(n_rows))


def _values(column: Any, n_rows: int) -> tuple[str, Any]:
    import numpy as np
    import pandas as pd

    match column:
        case {"name": str(name), "kind": "text", "data": list(data)}:
            if len(data) != n_rows or not all(one is None or isinstance(one, str) for one in data):
                raise ValueError("a column of text has another length, or holds no text")
            return name, pd.Series([one if one is None else readable(one) for one in data], dtype=object)
        case {"name": str(name), "kind": str(kind), "data": str(data)} if kind in NUMBERS:
            dtype = np.dtype(kind)
            try:
                content = base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError("a column is not base64") from None
            if len(content) != n_rows * dtype.itemsize:
                raise ValueError("a column of numbers has another length")
            if kind == "|b1" and content.translate(None, b"\0\1"):
                raise ValueError("a column of truth values holds others")
            return name, pd.Series(np.frombuffer(content, dtype).copy())
        case _:
            raise ValueError("a column has an unknown kind")
