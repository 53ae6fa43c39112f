"""Records as rows: the columns that are queried beside the record's JSON, and the order of ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select

from nereus.memory.database.engine import Database, now
from nereus.memory.records import Record

_IN_ONE_QUERY = 500  # bound values of one IN list, far below every database's limit

R = TypeVar("R", bound=Record)


class Rows:
    """Keeps and finds records of runs.

    Parameters
    ----------
    database
        The open database. Several saves become one transaction inside ``with database.write():``, and inside
        ``with database.unit():`` when it ends.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def put(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows or replace them; of rows with the same primary key the last one holds."""
        keys = [column.name for column in table.primary_key]

        def write(connection: Connection, gathered: list[dict[str, Any]]) -> None:
            last = {tuple(row[key] for key in keys): row for row in gathered}
            self.database.put(connection, table, list(last.values()))

        if rows:
            self.database.save(table.name, rows, write)

    def all_of(self, connection: Connection, table: Table, run_id: str, kind: type[R]) -> list[R]:
        """Every record of a run in one table, in the order of their ids."""
        found = connection.execute(select(table.c.id, table.c.document).where(table.c.run_id == run_id)).all()
        return [
            kind.model_validate_json(row.document)
            for row in sorted(found, key=lambda row: natural_order(row.id))
        ]


def row_of(run_id: str, record: Any, **columns: Any) -> dict[str, Any]:
    """A record of a run with the columns that are queried."""
    return {
        "run_id": run_id,
        "id": record.id,
        "created_at": now(),
        **columns,
        "document": record.model_dump_json(),
    }


@lru_cache(maxsize=1 << 14)
def natural_order(identity: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which E2 comes before E10."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", identity)
        if part
    )


def in_parts(items: Sequence[str]) -> Iterable[Sequence[str]]:
    """Parts that fit into one query."""
    return (items[start : start + _IN_ONE_QUERY] for start in range(0, len(items), _IN_ONE_QUERY))
