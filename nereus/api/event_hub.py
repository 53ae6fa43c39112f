"""Wakes those who follow runs when something new is recorded, by whatever process.

Runs are worked on in other processes, so the database is looked at: once for all followers, not once for each, and not at
all while nobody follows.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from typing import cast

from sqlalchemy import Table, func, select

from nereus.errors import NereusError
from nereus.memory.database.engine import Database
from nereus.memory.database.models import RunRow
from nereus.memory.database.server_tables import JobRow
from nereus.memory.jobs import ENDED
from nereus.memory.rows import in_parts

log = logging.getLogger("nereus.api")

LOOK_S = 0.02
_TROUBLED_S = 1.0
_RUNS = cast(Table, RunRow.__table__)
_JOBS = cast(Table, JobRow.__table__)

Seen = tuple[int, str, int]
"""Number of the newest event, status of the run, and how many of its jobs have not ended."""
_GONE: Seen = (0, "", 0)
_AT_WORK = (
    select(func.count())
    .select_from(_JOBS)
    .where(_JOBS.c.run_id == _RUNS.c.id, _JOBS.c.status.not_in(ENDED))
    .scalar_subquery()
)
_NEWS = select(_RUNS.c.id, _RUNS.c.last_seq, _RUNS.c.status, _AT_WORK.label("at_work"))


class EventHub:
    """Looks at the database for all who follow runs.

    Parameters
    ----------
    database
        The open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._followers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._loops: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._seen: dict[str, Seen] = {}
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, run_id: str) -> asyncio.Event:
        """An event of the running loop that is set whenever the run may have something new."""
        bell = asyncio.Event()
        with self._lock:
            self._followers[run_id].add(bell)
            self._loops[bell] = asyncio.get_running_loop()
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="event hub", daemon=True)
                self._thread.start()
        self._wanted.set()
        return bell

    def leave(self, run_id: str, bell: asyncio.Event) -> None:
        """Follow no longer."""
        with self._lock:
            self._loops.pop(bell, None)
            self._followers[run_id].discard(bell)
            if not self._followers[run_id]:
                del self._followers[run_id]
                self._seen.pop(run_id, None)
            if not self._followers:
                self._wanted.clear()

    def close(self) -> None:
        """Look no longer."""
        self._closed.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _look(self) -> None:
        pause = LOOK_S
        while not self._closed.wait(pause):
            self._wanted.wait()
            try:
                self._ring()
                pause = LOOK_S
            except NereusError as error:  # followers wait on; the server's health tells
                log.error("the database cannot be looked at: %s", error)
                pause = _TROUBLED_S

    def _ring(self) -> None:
        with self._lock:
            followed = sorted(self._followers)
        for part in in_parts(followed):
            with self._database.read() as connection:
                rows = connection.execute(_NEWS.where(_RUNS.c.id.in_(part)))
                found = {row.id: (row.last_seq, row.status, row.at_work) for row in rows}
            for run_id in part:
                now = found.get(run_id, _GONE)
                with self._lock:
                    if self._seen.get(run_id) == now:
                        continue
                    self._seen[run_id] = now
                    bells = [(bell, self._loops[bell]) for bell in self._followers.get(run_id, ())]
                for bell, loop in bells:
                    if not loop.is_closed():
                        loop.call_soon_threadsafe(bell.set)
