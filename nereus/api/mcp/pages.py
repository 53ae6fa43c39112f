"""Lists in pages: an opaque cursor holds where the next one begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from nereus.api.mcp.asked import invalid

T = TypeVar("T")
_PREFIX = "from:"


def page(items: Sequence[T], cursor: str | None, size: int) -> tuple[list[T], str | None]:
    """The items of a page, and the cursor of the next; None behind the last.

    Raises
    ------
    McpError
        The cursor is none of ours.
    """
    begins = start_of(cursor)
    ends = begins + size
    return list(items[begins:ends]), cursor_at(ends) if ends < len(items) else None


def start_of(cursor: str | None) -> int:
    """Where a page begins."""
    if cursor is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, UnicodeError):
        text = ""
    number = text.removeprefix(_PREFIX)
    if not text.startswith(_PREFIX) or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise invalid("the cursor is none that this server gave")
    return int(number)


def cursor_at(start: int) -> str:
    """The cursor of a page that begins at an item."""
    return base64.urlsafe_b64encode(f"{_PREFIX}{start}".encode()).decode()
