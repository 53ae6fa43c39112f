"""Runs of the LangGraph protocol: who works on which, what it streamed, and what came of it.

A server leases the runs that it works on and renews the lease. What a killed one had begun is taken up again from its
last checkpoint, by whichever server looks next; after `ATTEMPTS` it is said to have failed. In a thread one run works at
a time, the oldest first.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import Field
from sqlalchemy import Connection, Select, Table, delete, func, select, update

from nereus.errors import NotFound, ResumeRefused
from nereus.memory.database.engine import Database, now
from nereus.memory.database.langgraph_tables import ProtocolEventRow, ProtocolRunRow, ProtocolThreadRow
from nereus.memory.langgraph.threads import Snapshot, settle
from nereus.memory.records import Record

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
Strategy = Literal["reject", "enqueue", "interrupt", "rollback"]
CancelAction = Literal["interrupt", "rollback"]
UNENDED: tuple[RunStatus, ...] = ("pending", "running")
ATTEMPTS = 3
LEASE_S = 10.0

_RUNS = cast(Table, ProtocolRunRow.__table__)
_THREADS = cast(Table, ProtocolThreadRow.__table__)
_EVENTS = cast(Table, ProtocolEventRow.__table__)


class Run(Record):
    """A run, in the words of the protocol; what is kept beside is excluded from what is told."""

    run_id: str
    thread_id: str
    assistant_id: str
    graph_id: str = Field(exclude=True)
    owner: str = Field(exclude=True)
    status: RunStatus
    metadata: dict[str, Any] = Field(default_factory=dict)
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """What was asked for."""
    multitask_strategy: Strategy = "enqueue"
    created_at: str = ""
    updated_at: str = ""
    cancel: CancelAction | None = Field(default=None, exclude=True)
    attempts: int = Field(default=0, exclude=True)
    error: str | None = None
    not_before: float = Field(default=0.0, exclude=True)
    started_at: str | None = Field(default=None, exclude=True)
    resumed: bool = Field(default=False, exclude=True)
    """Whether it was begun before, by a server that died or was told to stop."""


class RunEvent(Record):
    """Something that a run streamed."""

    seq: int
    name: str
    data: str
    """JSON on one line."""


@dataclass(frozen=True)
class Asked:
    """A run that is asked for."""

    assistant_id: str
    graph_id: str
    request: Mapping[str, Any]
    metadata: Mapping[str, Any]
    strategy: Strategy = "enqueue"
    after_s: float = 0.0


class ProtocolRuns:
    """Keeps and finds runs.

    Parameters
    ----------
    database
        The open database; several servers may share it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------------ those who ask

    def create(
        self, owner: str, thread_id: str, asked: Asked, worker: str | None = None
    ) -> tuple[Run, list[Run]]:
        """Queue a run, or begin it where a worker is given and its thread is free.

        Returns
        -------
        tuple
            The run, and those that must make room for it (strategies ``interrupt`` and ``rollback``).

        Raises
        ------
        NotFound
            The owner has no such thread.
        ResumeRefused
            Something is at work in the thread, and the strategy is ``reject``.
        """
        moment = now()
        with self._database.write() as connection:
            thread = connection.execute(
                select(_THREADS)
                .where(_THREADS.c.owner == owner, _THREADS.c.id == thread_id)
                .with_for_update()
            ).one_or_none()
            if thread is None:
                raise NotFound(f"there is no thread {thread_id!r}", mend="make one: POST /threads")
            unended = [_run(row) for row in connection.execute(_unended(owner, thread_id))]
            if unended and asked.strategy == "reject":
                raise ResumeRefused(
                    "a run is at work in the thread",
                    where=f"thread {thread_id}",
                    mend="wait for it, or choose another multitask_strategy",
                )
            make_room: list[Run] = []
            if asked.strategy in ("interrupt", "rollback"):
                make_room = unended
                for one in unended:
                    _ask_to_cancel(connection, one, asked.strategy)
                unended = [one for one in unended if one.status == "running"]
            begins = worker is not None and not unended and asked.after_s <= 0
            run = Run(
                run_id=str(uuid.uuid4()),
                thread_id=thread_id,
                assistant_id=asked.assistant_id,
                graph_id=asked.graph_id,
                owner=owner,
                status="running" if begins else "pending",
                metadata=dict(asked.metadata),
                kwargs=dict(asked.request),
                multitask_strategy=asked.strategy,
                created_at=moment,
                updated_at=moment,
                attempts=int(begins),
                not_before=time.time() + max(0.0, asked.after_s),
                started_at=moment if begins else None,
            )
            connection.execute(
                _RUNS.insert().values(
                    id=run.run_id,
                    owner=owner,
                    thread_id=thread_id,
                    assistant_id=run.assistant_id,
                    graph_id=run.graph_id,
                    status=run.status,
                    document=json.dumps(run.metadata, allow_nan=False),
                    request=json.dumps(run.kwargs, allow_nan=False),
                    strategy=run.multitask_strategy,
                    not_before=run.not_before,
                    cancel=None,
                    worker=worker if begins else None,
                    lease_until=time.time() + LEASE_S if begins else None,
                    attempts=run.attempts,
                    error=None,
                    started_at=run.started_at,
                    created_at=moment,
                    updated_at=moment,
                )
            )
            known = json.loads(thread.document)
            known |= {"graph_id": run.graph_id, "assistant_id": run.assistant_id}
            connection.execute(
                update(_THREADS)
                .where(_THREADS.c.owner == owner, _THREADS.c.id == thread_id)
                .values(status="busy", document=json.dumps(known), updated_at=moment)
            )
        return run, make_room

    def get(self, run_id: str, owner: str, thread_id: str | None = None) -> Run:
        """A run of an owner; `NotFound` where there is none, or not in this thread."""
        query = select(_RUNS).where(_RUNS.c.id == run_id, _RUNS.c.owner == owner)
        if thread_id is not None:
            query = query.where(_RUNS.c.thread_id == thread_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"there is no run {run_id!r}", mend="list the runs of the thread")
        return _run(row)

    def of_thread(
        self,
        owner: str,
        thread_id: str,
        status: RunStatus | None = None,
        limit: int = 10,
        offset: int = 0,
    ) -> list[Run]:
        """Runs of a thread, newest first."""
        query = select(_RUNS).where(_RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id)
        if status is not None:
            query = query.where(_RUNS.c.status == status)
        query = query.order_by(_RUNS.c.created_at.desc(), _RUNS.c.id).limit(limit).offset(offset)
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(query)]

    def unended(
        self, owner: str, thread_id: str | None = None, ids: Sequence[str] | None = None
    ) -> list[Run]:
        """Runs of an owner that wait or are at work, oldest first."""
        query = select(_RUNS).where(_RUNS.c.owner == owner, _RUNS.c.status.in_(UNENDED))
        if thread_id is not None:
            query = query.where(_RUNS.c.thread_id == thread_id)
        if ids is not None:
            query = query.where(_RUNS.c.id.in_(list(ids)))
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(query.order_by(_RUNS.c.created_at, _RUNS.c.id))]

    def next_in_thread(self, owner: str, thread_id: str, after: str | None) -> Run | None:
        """The run that began first after a moment in a thread, or None."""
        query = select(_RUNS).where(
            _RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id, _RUNS.c.started_at.is_not(None)
        )
        if after is not None:
            query = query.where(_RUNS.c.started_at > after)
        with self._database.read() as connection:
            row = connection.execute(query.order_by(_RUNS.c.started_at).limit(1)).one_or_none()
        return None if row is None else _run(row)

    def ask_to_cancel(self, run: Run, action: CancelAction) -> None:
        """End a run: at once where it waits, by whoever works on it where it is at work."""
        with self._database.write() as connection:
            _ask_to_cancel(connection, run, action)

    def delete(self, run_id: str, owner: str) -> None:
        """Forget a run with what it streamed."""
        with self._database.write() as connection:
            connection.execute(delete(_EVENTS).where(_EVENTS.c.run_id == run_id))
            connection.execute(delete(_RUNS).where(_RUNS.c.id == run_id, _RUNS.c.owner == owner))

    # ------------------------------------------------------------------ what was streamed

    def look(
        self, run_id: str, owner: str, after: int, limit: int = 500
    ) -> tuple[RunStatus | None, list[RunEvent]]:
        """Status of a run and events above a number; the status is read first, so that none is missed at its end."""
        with self._database.read() as connection:
            status = connection.execute(
                select(_RUNS.c.status).where(_RUNS.c.id == run_id, _RUNS.c.owner == owner)
            ).scalar_one_or_none()
        if status is None:
            return None, []
        query = (
            select(_EVENTS)
            .where(_EVENTS.c.run_id == run_id, _EVENTS.c.seq > after)
            .order_by(_EVENTS.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return status, [RunEvent(seq=row.seq, name=row.name, data=row.data) for row in rows]

    def last_event(self, run_id: str) -> int:
        """Number of the newest event of a run; 0 before the first."""
        query = select(func.max(_EVENTS.c.seq)).where(_EVENTS.c.run_id == run_id)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one() or 0)

    # ------------------------------------------------------------------ those who work

    def write(
        self, events: Iterable[tuple[str, RunEvent]], ends: Sequence[Callable[[Connection], None]] = ()
    ) -> None:
        """Keep events of several runs, then what is done with `ended`, as one transaction."""
        rows = [{"run_id": run_id, **event.model_dump()} for run_id, event in events]
        with self._database.write() as connection:
            if rows:
                connection.execute(_EVENTS.insert(), rows)
            for one in ends:
                one(connection)

    @staticmethod
    def ended(
        run: Run, worker: str, status: RunStatus, thread: Snapshot | None, error: str | None = None
    ) -> Callable[[Connection], None]:
        """What notes the end of a run, for `write`; nothing where it is no longer this worker's."""

        def note(connection: Connection) -> None:
            query = update(_RUNS).where(
                _RUNS.c.id == run.run_id, _RUNS.c.worker == worker, _RUNS.c.status == "running"
            )
            changes = {"status": status, "error": error, "lease_until": None, "updated_at": now()}
            if connection.execute(query.values(changes)).rowcount and thread is not None:
                settle(connection, run.owner, run.thread_id, thread)

        return note

    def claim(self, worker: str, free: int) -> list[Run]:
        """Take runs that may begin, of those first who have the fewest at work; a dead worker's count as waiting."""
        moment = time.time()
        with self._database.read() as connection:  # most looks find nothing: they take no lock
            if free <= 0 or connection.execute(_takeable(moment).limit(1)).first() is None:
                return []
        taken: list[Run] = []
        with self._database.write() as connection:
            self._give_up(connection, moment)
            rows = connection.execute(
                _takeable(moment).limit(10 * free).with_for_update(of=_RUNS, skip_locked=True)
            ).all()
            at_work: dict[str, int] = {
                row.owner: row.n
                for row in connection.execute(
                    select(_RUNS.c.owner, func.count().label("n"))
                    .where(_RUNS.c.status == "running", _RUNS.c.lease_until >= moment)
                    .group_by(_RUNS.c.owner)
                )
            }
            waiting = [_run(row) for row in rows]
            threads: set[tuple[str, str]] = set()
            while waiting and len(taken) < free:
                chosen = min(waiting, key=lambda one: (at_work.get(one.owner, 0), one.created_at))
                waiting.remove(chosen)
                if (chosen.owner, chosen.thread_id) in threads:
                    continue
                threads.add((chosen.owner, chosen.thread_id))
                at_work[chosen.owner] = at_work.get(chosen.owner, 0) + 1
                begun = chosen.started_at or now()
                connection.execute(
                    update(_RUNS)
                    .where(_RUNS.c.id == chosen.run_id)
                    .values(
                        status="running",
                        worker=worker,
                        lease_until=moment + LEASE_S,
                        attempts=chosen.attempts + 1,
                        started_at=begun,
                    )
                )
                taken.append(
                    chosen.model_copy(
                        update={
                            "status": "running",
                            "attempts": chosen.attempts + 1,
                            "started_at": begun,
                            "resumed": chosen.started_at is not None,
                        }
                    )
                )
        return taken

    def renew(self, worker: str) -> dict[str, CancelAction | None]:
        """Go on with what this worker has: its runs, and how each is to be ended, if it is."""
        mine = (_RUNS.c.worker == worker, _RUNS.c.status == "running")
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
                    error=None
                    if unwanted
                    else "the server died while it worked on it, every time it was tried",
                    lease_until=None,
                    updated_at=now(),
                )
            )
            connection.execute(
                update(_THREADS)
                .where(_THREADS.c.owner == row.owner, _THREADS.c.id == row.thread_id)
                .values(status="idle" if unwanted else "error", updated_at=now())
            )


def _unended(owner: str, thread_id: str) -> Select[Any]:
    return (
        select(_RUNS)
        .where(_RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id, _RUNS.c.status.in_(UNENDED))
        .order_by(_RUNS.c.created_at, _RUNS.c.id)
    )


def _takeable(moment: float) -> Select[Any]:
    """Runs that wait, or whose worker died, in threads where nothing else is at work; oldest first."""
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
    return select(_RUNS).where(waits | dead, ~busy).order_by(_RUNS.c.created_at, _RUNS.c.id)


def _ask_to_cancel(connection: Connection, run: Run, action: CancelAction) -> None:
    at_once = update(_RUNS).where(_RUNS.c.id == run.run_id, _RUNS.c.status == "pending")
    connection.execute(at_once.values(status="interrupted", cancel=action, updated_at=now()))
    working = update(_RUNS).where(_RUNS.c.id == run.run_id, _RUNS.c.status == "running")
    connection.execute(working.values(cancel=action))


def _run(row: Any) -> Run:
    return Run(
        run_id=row.id,
        thread_id=row.thread_id,
        assistant_id=row.assistant_id,
        graph_id=row.graph_id,
        owner=row.owner,
        status=row.status,
        metadata=json.loads(row.document),
        kwargs=json.loads(row.request),
        multitask_strategy=row.strategy,
        created_at=row.created_at,
        updated_at=row.updated_at,
        cancel=row.cancel,
        attempts=row.attempts,
        error=row.error,
        not_before=row.not_before,
        started_at=row.started_at,
    )
