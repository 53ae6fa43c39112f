"""Tables that people open in spreadsheets: a text of the data that a spreadsheet would take for a formula is made a text.

A cell that begins with ``=``, ``+``, ``-``, ``@`` or a tab is carried out when a CSV file is opened (OWASP, "CSV
Injection"), also behind signs that nobody sees. Where the machine's language separates columns by ``;``, a spreadsheet breaks
cells of a comma-separated file there and, as the quotes no longer stand at their beginning, at line breaks: each such part is
looked at by itself. Such texts get a quote in front; numbers, also those that are written as text, and single signs stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_SIGNS = "=+\\-@|＝＋－＠"
_UNSEEN = r"\s\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\""
_SIGN = re.compile(rf"[{_SIGNS}]")
_BEGINS = re.compile(rf"[\t\n]|[{_UNSEEN}]*[{_SIGNS}]")
_PART = re.compile(r"(?<=[;\n])[^;\n]+")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf|nan)%?\Z")


def guarded(text: str) -> str:
    """A text as it can stand in a cell.

    Examples
    --------
    >>> [guarded(one) for one in ("=1+1", "-1.5e-3", "-", "KRT1", "-80C vs RT", "P1;=1+1")]
    ["'=1+1", '-1.5e-3', '-', 'KRT1', "'-80C vs RT", "P1;'=1+1"]
    """
    if "\r" in text:  # not every writer quotes it, and every reader takes it for the end of a row
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not _SIGN.search(text) and not text.startswith(("\t", "\n")):
        return text
    first, apart, rest = text.partition(";")
    return _PART.sub(lambda found: _quoted(found.group()), _quoted(first) + apart + rest)


def _quoted(part: str) -> str:
    if not _BEGINS.match(part) or len(part) <= 1 or _NUMBER.match(part.strip(" ")):
        return part
    return f"'{part}"


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
