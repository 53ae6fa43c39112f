"""The event stream of a run: one table, numbered from 1 without gaps, replayable.

Whoever reads the stream from the start sees what the run did; whoever reads from `after` gets exactly what
is new.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from sqlalchemy import Table, bindparam, select, update

from nereus.errors import StoreError
from nereus.memory.database.engine import Database, now
from nereus.memory.database.models import EventRow, RunRow
from nereus.memory.records import Event

_EVENTS = cast(Table, EventRow.__table__)
_RUNS = cast(Table, RunRow.__table__)
_ENDED = ("finished", "stopped", "refused", "failed")

# Built once: a statement costs more to build than to run.
_LAST = select(_RUNS.c.last_seq).where(_RUNS.c.id == bindparam("run")).with_for_update()
_COUNT = update(_RUNS).where(_RUNS.c.id == bindparam("run")).values(last_seq=bindparam("seq"))
_BY_KEY = select(_EVENTS).where(_EVENTS.c.run_id == bindparam("run"), _EVENTS.c.key == bindparam("event_key"))
_AFTER = (
    select(_EVENTS)
    .where(_EVENTS.c.run_id == bindparam("run"), _EVENTS.c.seq > bindparam("after"))
    .order_by(_EVENTS.c.seq)
)
_ADD = _EVENTS.insert()

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
        text = json.dumps(dict(payload or {}), sort_keys=True, allow_nan=False)
        with self._database.write() as connection:
            last = connection.execute(_LAST, {"run": run_id}).scalar_one_or_none()
            if last is None:
                raise StoreError(
                    f"there is no run {run_id!r}", where="event stream", mend="create the run first"
                )
            if key is not None:
                known = connection.execute(_BY_KEY, {"run": run_id, "event_key": key}).one_or_none()
                if known is not None:
                    return _event(known)
            row = {
                "run_id": run_id,
                "seq": last + 1,
                "created_at": now(),
                "type": type,
                "subject": subject,
                "key": key,
                "payload": text,
            }
            connection.execute(_ADD, row)
            connection.execute(_COUNT, {"run": run_id, "seq": last + 1})
        event = Event(
            run_id=run_id,
            seq=last + 1,
            type=type,
            subject=subject,
            payload=json.loads(text),
            ts=str(row["created_at"]),
        )
        if self._listeners:
            self._database.after_commit(lambda: self._tell(event))
        return event

    def read(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """List the events with a number above `after`, in order."""
        with self._database.read() as connection:
            return [
                _event(row)
                for row in connection.execute(_AFTER.limit(limit), {"run": run_id, "after": after})
            ]

    def last(self, run_id: str) -> int:
        """Tell the number of the newest event; 0 when there is none."""
        with self._database.read() as connection:
            return (
                connection.execute(select(_RUNS.c.last_seq).where(_RUNS.c.id == run_id)).scalar_one_or_none()
                or 0
            )

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
            elif status is None or status in _ENDED or (stop is not None and stop()):
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


def _event(row: Any) -> Event:
    return Event(
        run_id=row.run_id,
        seq=row.seq,
        type=row.type,
        subject=row.subject,
        payload=json.loads(row.payload),
        ts=row.created_at,
    )
