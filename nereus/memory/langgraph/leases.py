"""Who works on which run of the LangGraph protocol.

A server leases the runs that it works on and renews the lease. What a killed one had begun is taken up again from its
last checkpoint, by whichever server looks next; after `ATTEMPTS` it is said to have failed. Who has the fewest at work
comes first, however many others have queued.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Select, Table, case, func, select, update

from nereus.memory.database.engine import Database, now
from nereus.memory.database.langgraph_tables import ProtocolRunRow, ProtocolThreadRow
from nereus.memory.langgraph.runs import LEASE_S, CancelAction, Run, RunStatus, run_of
from nereus.memory.langgraph.threads import Snapshot, settle

ATTEMPTS = 3
GIVEN_UP = "it was taken up several times, and each time the server or its database went away"

_RUNS = cast(Table, ProtocolRunRow.__table__)
_THREADS = cast(Table, ProtocolThreadRow.__table__)


class Leases:
    """Takes, renews and gives back runs.

    Parameters
    ----------
    database
        The open database; several servers may share it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, worker: str, free: int, share: int) -> list[Run]:
        """Take runs that may begin, of those first who have the fewest at work; a dead worker's count as waiting.

        Parameters
        ----------
        worker
            Who takes them.
        free
            At most so many.
        share
            How many of one owner this worker works on at once.
        """
        moment = time.time()
        with self._database.read() as connection:  # most looks find nothing: they take no lock
            waiting = select(_RUNS.c.id).where(_may_begin(moment)).limit(1)
            if free <= 0 or connection.execute(waiting).first() is None:
                return []
        taken: list[Run] = []
        with self._database.write() as connection:
            self._give_up(connection, moment)
            for row in connection.execute(_in_turn(worker, moment, free, share)).all():
                run = run_of(row)
                begun = run.started_at or now()
                changes = {"status": "running", "attempts": run.attempts + 1, "started_at": begun}
                connection.execute(
                    update(_RUNS)
                    .where(_RUNS.c.id == run.run_id)
                    .values(worker=worker, lease_until=moment + LEASE_S, **changes)
                )
                taken.append(run.model_copy(update={**changes, "resumed": run.started_at is not None}))
        return taken

    def renew(self, worker: str, run_ids: Collection[str]) -> dict[str, CancelAction | None]:
        """Go on with runs: those that are still this worker's, and how each is to be ended, if it is."""
        mine = (_RUNS.c.worker == worker, _RUNS.c.status == "running", _RUNS.c.id.in_(sorted(run_ids)))
        with self._database.write() as connection:
            connection.execute(update(_RUNS).where(*mine).values(lease_until=time.time() + LEASE_S))
            rows = connection.execute(select(_RUNS.c.id, _RUNS.c.cancel).where(*mine)).all()
        return {row.id: row.cancel for row in rows}

    def put_back(self, worker: str) -> None:
        """Let others go on with what this worker has begun, as one that is told to stop does; no attempt is counted."""
        mine = update(_RUNS).where(_RUNS.c.worker == worker, _RUNS.c.status == "running")
        with self._database.write() as connection:
            connection.execute(
                mine.values(status="pending", worker=None, lease_until=None, attempts=_RUNS.c.attempts - 1)
            )

    @staticmethod
    def ended(
        run: Run, worker: str, status: RunStatus, thread: Snapshot | None, error: str | None = None
    ) -> Callable[[Connection], None]:
        """What notes the end of a run, for `StreamedEvents.write`; nothing where it is no longer this worker's."""

        def note(connection: Connection) -> None:
            query = update(_RUNS).where(
                _RUNS.c.id == run.run_id, _RUNS.c.worker == worker, _RUNS.c.status == "running"
            )
            changes = {"status": status, "error": error, "lease_until": None, "updated_at": now()}
            if connection.execute(query.values(changes)).rowcount and thread is not None:
                settle(connection, run.owner, run.thread_id, thread)

        return note

    def _give_up(self, connection: Connection, moment: float) -> None:
        """End what several servers died of, and what nobody wants any more; then their threads are free."""
        dead = (_RUNS.c.status == "running", _RUNS.c.lease_until < moment)
        lost = select(_RUNS).where(*dead, (_RUNS.c.attempts >= ATTEMPTS) | _RUNS.c.cancel.is_not(None))
        for row in connection.execute(lost).all():
            unwanted = row.cancel is not None
            connection.execute(
                update(_RUNS)
                .where(_RUNS.c.id == row.id)
                .values(
                    status="interrupted" if unwanted else "error",
                    error=None if unwanted else GIVEN_UP,
                    lease_until=None,
                    updated_at=now(),
                )
            )
            connection.execute(
                update(_THREADS)
                .where(_THREADS.c.owner == row.owner, _THREADS.c.id == row.thread_id)
                .values(status="idle" if unwanted else "error", updated_at=now())
            )


def _may_begin(moment: float) -> ColumnElement[bool]:
    """Runs that wait, or whose worker died, in threads where nothing else is at work."""
    other = _RUNS.alias("other")
    busy = (
        select(other.c.id)
        .where(
            other.c.owner == _RUNS.c.owner,
            other.c.thread_id == _RUNS.c.thread_id,
            other.c.id != _RUNS.c.id,
            other.c.status == "running",
        )
        .exists()
    )
    waits = (_RUNS.c.status == "pending") & (_RUNS.c.not_before <= moment)
    dead = (_RUNS.c.status == "running") & (_RUNS.c.lease_until < moment)
    return (waits | dead) & ~busy


def _in_turn(worker: str, moment: float, free: int, share: int) -> Select[Any]:
    """Runs that begin next: of each thread the oldest, of each owner as many as they have fewer at work than others."""
    mine = case((_RUNS.c.worker == worker, 1), else_=0)
    at_work = (
        select(_RUNS.c.owner, func.count().label("everywhere"), func.sum(mine).label("here"))
        .where(_RUNS.c.status == "running", _RUNS.c.lease_until >= moment)
        .group_by(_RUNS.c.owner)
        .subquery()
    )
    of_thread = func.row_number().over(
        partition_by=(_RUNS.c.owner, _RUNS.c.thread_id), order_by=(_RUNS.c.created_at, _RUNS.c.id)
    )
    first = (
        select(_RUNS.c.id, _RUNS.c.owner, _RUNS.c.created_at, of_thread.label("place"))
        .where(_may_begin(moment))
        .subquery()
    )
    of_owner = func.row_number().over(partition_by=first.c.owner, order_by=(first.c.created_at, first.c.id))
    ranked = (
        select(
            first.c.id,
            first.c.created_at,
            (func.coalesce(at_work.c.everywhere, 0) + of_owner).label("rank"),
            (func.coalesce(at_work.c.here, 0) + of_owner).label("rank_here"),
        )
        .join(at_work, at_work.c.owner == first.c.owner, isouter=True)
        .where(first.c.place == 1)
        .subquery()
    )
    chosen = (
        select(ranked.c.id)
        .where(ranked.c.rank_here <= share)
        .order_by(ranked.c.rank, ranked.c.created_at, ranked.c.id)
        .limit(free)
    )
    # Chosen before they are locked: who was quicker has them, and what they begin is seen by this second look.
    return (
        select(_RUNS)
        .where(_RUNS.c.id.in_(chosen), _may_begin(moment))
        .order_by(_RUNS.c.created_at, _RUNS.c.id)
        .with_for_update(of=_RUNS, skip_locked=True)
    )
