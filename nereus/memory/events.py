"""The event stream of a run: one table, numbered from 1 without gaps, replayable.

Whoever reads the stream from the start sees what the run did; whoever reads from `after` gets exactly what
is new.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, select, update

from nereus.errors import StoreError
from nereus.memory.database.engine import Database, now
from nereus.memory.database.models import EventRow, RunRow
from nereus.memory.records import RUN_ENDED, Event
from nereus.memory.rows import in_parts

_EVENTS = cast(Table, EventRow.__table__)
_RUNS = cast(Table, RunRow.__table__)

# Built once: a statement costs more to build than to run.
# Locks the run's row until the transaction ends, so that numbers are given in turn; rows that only refer to the run may
# be written meanwhile (two writers that had each written one would otherwise wait for each other).
_LAST = select(_RUNS.c.last_seq).where(_RUNS.c.id == bindparam("run")).with_for_update(key_share=True)
_COUNT = update(_RUNS).where(_RUNS.c.id == bindparam("run")).values(last_seq=bindparam("seq"))
_TAKE_OUT = delete(_EVENTS).where(_EVENTS.c.run_id == bindparam("run"), _EVENTS.c.seq > bindparam("after"))
_BY_KEY = select(_EVENTS).where(_EVENTS.c.run_id == bindparam("run"), _EVENTS.c.key == bindparam("event_key"))
_AFTER = (
    select(_EVENTS)
    .where(_EVENTS.c.run_id == bindparam("run"), _EVENTS.c.seq > bindparam("after"))
    .order_by(_EVENTS.c.seq)
)

Listener = Callable[[Event], None]


class EventStream:
    """Append to and read from the streams of all runs in a database.

    Parameters
    ----------
    database
        The open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._add = (
            database.insert(_EVENTS)
            .on_conflict_do_nothing(index_elements=["run_id", "key"])
            .execution_options(preserve_rowcount=True)
        )
        self._kept: dict[str, int] = {}
        self._listeners: dict[int, Listener] = {}
        self._next_listener = 0
        self._lock = threading.Lock()

    def append(
        self,
        run_id: str,
        type: str,
        subject: str = "",
        payload: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Event:
        """Add an event and return it with its number.

        Parameters
        ----------
        run_id
            An existing run.
        type
            ``run_started``, ``step_finished`` ...; see `docs/architecture.md`.
        subject
            Id of the objective, workflow, step or hypothesis it is about.
        payload
            Small JSON.
        key
            Names the event within its run: appended again (by a node that is executed again after a crash),
            the first one is returned and nothing is added.

        Raises
        ------
        StoreError
            There is no such run.
        """
        draft = _draft(run_id, type, subject, payload, key)
        with self._database.write() as connection:
            known = self._write(connection, run_id, [draft])
        return known.get(0) or _event(draft)

    def post(
        self, run_id: str, type: str, subject: str, payload: Mapping[str, Any], key: str | None = None
    ) -> None:
        """Add an event as `append` does; inside a `Database.unit` it is numbered when the unit is kept."""
        draft = _draft(run_id, type, subject, payload, key)
        self._database.save(("events", run_id), [draft], partial(self._write_all, run_id))

    def _write_all(self, run_id: str, connection: Connection, drafts: list[dict[str, Any]]) -> None:
        self._write(connection, run_id, drafts)

    def _write(self, connection: Connection, run_id: str, drafts: list[dict[str, Any]]) -> dict[int, Event]:
        """Number and write events; return those that were written before, by position."""
        last = connection.execute(_LAST, {"run": run_id}).scalar_one_or_none()
        if last is None:
            raise StoreError(f"there is no run {run_id!r}", where="event stream", mend="create the run first")
        for seq, draft in enumerate(drafts, start=last + 1):
            draft["seq"] = seq
        known: dict[int, Event] = {}
        if connection.execute(self._add, drafts).rowcount != len(drafts):  # rare: a node that runs again
            connection.execute(_TAKE_OUT, {"run": run_id, "after": last})
            known = self._write_new(connection, run_id, drafts, last)
        last += len(drafts) - len(known)
        connection.execute(_COUNT, {"run": run_id, "seq": last})
        self._database.after_commit(partial(self._now_kept, run_id, last))
        if self._listeners:
            for event in [_event(draft) for place, draft in enumerate(drafts) if place not in known]:
                self._database.after_commit(partial(self._tell, event))
        return known

    def _write_new(
        self, connection: Connection, run_id: str, drafts: list[dict[str, Any]], last: int
    ) -> dict[int, Event]:
        """Write one by one those whose key is new; return the others."""
        known: dict[int, Event] = {}
        for place, draft in enumerate(drafts):
            if draft["key"] is not None:
                found = connection.execute(_BY_KEY, {"run": run_id, "event_key": draft["key"]}).one_or_none()
                if found is not None:
                    known[place] = _event(found._mapping)
                    continue
            draft["seq"] = last = last + 1
            connection.execute(self._add, draft)
        return known

    def read(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """List the events with a number above `after`, in order."""
        with self._database.read() as connection:
            return [
                _event(row._mapping)
                for row in connection.execute(_AFTER.limit(limit), {"run": run_id, "after": after})
            ]

    def kept(self, run_id: str) -> int:
        """Tell the number of the newest event that this process has appended and kept; 0 when there is none."""
        return self._kept.get(run_id, 0)

    def _now_kept(self, run_id: str, last: int) -> None:
        with self._lock:
            self._kept[run_id] = max(last, self._kept.get(run_id, 0))

    def last(self, run_id: str) -> int:
        """Tell the number of the newest event; 0 when there is none."""
        with self._database.read() as connection:
            return (
                connection.execute(select(_RUNS.c.last_seq).where(_RUNS.c.id == run_id)).scalar_one_or_none()
                or 0
            )

    def newest(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Tell the numbers of the newest events of several runs."""
        found: dict[str, int] = {}
        with self._database.read() as connection:
            for part in in_parts(run_ids):
                query = select(_RUNS.c.id, _RUNS.c.last_seq).where(_RUNS.c.id.in_(part))
                found |= {row.id: row.last_seq for row in connection.execute(query)}
        return found

    def follow(
        self, run_id: str, after: int = 0, poll_s: float = 0.1, stop: Callable[[], bool] | None = None
    ) -> Iterator[Event]:
        """Iterate over the events above `after`, and new ones from any process, until the run has ended.

        Parameters
        ----------
        run_id
            An existing run.
        after
            Number of the last event that the reader has.
        poll_s
            Seconds between two looks at the database.
        stop
            Ends the iteration early when it returns True; asked once a look.
        """
        while True:
            # The status is read before the events: an event written between the two is then found by one
            # more look.
            with self._database.read() as connection:
                status = connection.execute(
                    select(_RUNS.c.status).where(_RUNS.c.id == run_id)
                ).scalar_one_or_none()
            new = self.read(run_id, after)
            yield from new
            if new:
                after = new[-1].seq
            elif status is None or status in RUN_ENDED or (stop is not None and stop()):
                return
            else:
                time.sleep(poll_s)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event that this process appends, once stored; return how to end it."""
        with self._lock:
            number = self._next_listener
            self._next_listener += 1
            self._listeners = {**self._listeners, number: listener}

        def end() -> None:
            with self._lock:
                self._listeners = {n: other for n, other in self._listeners.items() if n != number}

        return end

    def _tell(self, event: Event) -> None:
        for listener in self._listeners.values():
            listener(event)


def _draft(
    run_id: str, type_: str, subject: str, payload: Mapping[str, Any] | None, key: str | None
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "seq": 0,
        "created_at": now(),
        "type": type_,
        "subject": subject,
        "key": key,
        "payload": json.dumps(dict(payload or {}), sort_keys=True, allow_nan=False),
    }


def _event(row: Mapping[Any, Any]) -> Event:
    return Event(
        run_id=row["run_id"],
        seq=row["seq"],
        type=row["type"],
        subject=row["subject"],
        payload=json.loads(row["payload"]),
        ts=row["created_at"],
    )
