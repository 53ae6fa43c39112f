"""What runs of the LangGraph protocol stream: numbered from 1 without gaps, and kept before it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from sqlalchemy import Connection, Table, func, select

from nereus.memory.database.engine import Database
from nereus.memory.database.langgraph_tables import ProtocolEventRow, ProtocolRunRow
from nereus.memory.langgraph.runs import RunStatus
from nereus.memory.records import Record

_RUNS = cast(Table, ProtocolRunRow.__table__)
_EVENTS = cast(Table, ProtocolEventRow.__table__)


class RunEvent(Record):
    """Something that a run streamed."""

    seq: int
    name: str
    data: str
    """JSON on one line."""


class StreamedEvents:
    """Keeps and reads what runs stream.

    Parameters
    ----------
    database
        The open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(
        self, run_id: str, owner: str, after: int, limit: int = 500
    ) -> tuple[RunStatus | None, list[RunEvent]]:
        """Status of a run and events above a number; the status is read first, so that none is missed at its end."""
        status = select(_RUNS.c.status).where(_RUNS.c.id == run_id, _RUNS.c.owner == owner)
        query = (
            select(_EVENTS)
            .where(_EVENTS.c.run_id == run_id, _EVENTS.c.seq > after)
            .order_by(_EVENTS.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            found: RunStatus | None = connection.execute(status).scalar_one_or_none()
            if found is None:
                return None, []
            rows = connection.execute(query).all()
        return found, [RunEvent(seq=row.seq, name=row.name, data=row.data) for row in rows]

    def last(self, run_id: str) -> int:
        """Number of the newest event of a run; 0 before the first."""
        query = select(func.max(_EVENTS.c.seq)).where(_EVENTS.c.run_id == run_id)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one() or 0)

    def write(
        self, events: Iterable[tuple[str, RunEvent]], ends: Sequence[Callable[[Connection], None]] = ()
    ) -> None:
        """Keep events of several runs, then what is done with the ends of runs, as one transaction."""
        rows = [{"run_id": run_id, **event.model_dump()} for run_id, event in events]
        with self._database.write() as connection:
            if rows:
                connection.execute(_EVENTS.insert(), rows)
            for one in ends:
                one(connection)
