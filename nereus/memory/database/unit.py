"""A unit of work: what one thread saves on its way, kept in one transaction at the end of it.

A node of the research graph saves a handful of records: decisions, objectives, steps, events. Alone, each would cost
a transaction; together they cost one. Rows of one table are gathered and written by one statement, at the place of
the first of them, so that a row never comes before what it refers to. A unit that a killed process did not finish
leaves nothing of itself behind, and the node runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

Write = Callable[[Connection, list[Any]], None]
"""Writes what was gathered under one name."""


@dataclass
class Unit:
    """What one thread has saved and not written yet, in the order of its first saving."""

    _waiting: dict[Hashable, tuple[Write, list[Any]]] = field(default_factory=dict)

    def gather(self, name: Hashable, items: Iterable[Any], write: Write) -> None:
        """Add items to those of the same name, which `write` gets at once."""
        self._waiting.setdefault(name, (write, []))[1].extend(items)

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def write(self, connection: Connection) -> None:
        """Write everything; what is refused is not tried again."""
        waiting, self._waiting = self._waiting, {}
        for write, items in waiting.values():
            write(connection, items)
