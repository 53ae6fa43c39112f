"""Tables that people open in spreadsheets: a text of the data that a spreadsheet would take for a formula is made a text.

A cell that begins with ``=``, ``+``, ``-``, ``@`` or a tab is carried out when a CSV file is opened (OWASP, "CSV
Injection"). Such texts get a quote in front; numbers, also those that are written as text, and single signs stay as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_BEGINS = ("=", "+", "-", "@", "\t", "\n", "|", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf|nan)%?\Z")


def guarded(text: str) -> str:
    """A text as it can stand in a cell.

    Examples
    --------
    >>> [guarded(one) for one in ("=1+1", "-1.5e-3", "-", "KRT1", "-80C vs RT")]
    ["'=1+1", '-1.5e-3', '-', 'KRT1', "'-80C vs RT"]
    """
    if "\r" in text:  # not every writer quotes it, and every reader takes it for the end of a row
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.startswith(_BEGINS) or len(text) == 1 or _NUMBER.match(text):
        return text
    return f"'{text}"


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text, and every name of a column, guarded; the table itself stays as it is."""
    safe = table.copy(deep=False)
    for place in range(table.shape[1]):
        column = table.iloc[:, place]
        if column.dtype.kind in "biufcM":
            continue
        safe.isetitem(place, column.astype(object).map(_guarded, na_action="ignore"))
    safe.columns = [guarded(str(one)) for one in table.columns]
    return safe


def _guarded(value: Any) -> Any:
    return guarded(value) if isinstance(value, str) else value
