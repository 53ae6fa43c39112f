"""Runs of the LangGraph protocol: asked for, found, ended and forgotten. In a thread one works at a time, the oldest first.

Who works on which is in `nereus.memory.langgraph.leases`, what they stream in `nereus.memory.langgraph.streamed`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import Field
from sqlalchemy import Connection, Select, Table, delete, select, update

from nereus.errors import NotFound, ResumeRefused
from nereus.memory.database.engine import Database, now
from nereus.memory.database.langgraph_tables import ProtocolEventRow, ProtocolRunRow, ProtocolThreadRow
from nereus.memory.langgraph.threads import free_again
from nereus.memory.records import Record

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
Strategy = Literal["reject", "enqueue", "interrupt", "rollback"]
CancelAction = Literal["interrupt", "rollback"]
UNENDED: tuple[RunStatus, ...] = ("pending", "running")
LEASE_S = 10.0
"""How long a server that says nothing keeps a run."""

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
            unended = [run_of(row) for row in connection.execute(_unended(owner, thread_id))]
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
        return run_of(row)

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
            return [run_of(row) for row in connection.execute(query)]

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
            return [run_of(row) for row in connection.execute(query.order_by(_RUNS.c.created_at, _RUNS.c.id))]

    def next_in_thread(self, owner: str, thread_id: str, after: str | None) -> Run | None:
        """The run that began first after a moment in a thread, or None."""
        query = select(_RUNS).where(
            _RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id, _RUNS.c.started_at.is_not(None)
        )
        if after is not None:
            query = query.where(_RUNS.c.started_at > after)
        with self._database.read() as connection:
            row = connection.execute(query.order_by(_RUNS.c.started_at).limit(1)).one_or_none()
        return None if row is None else run_of(row)

    def last_begun(self, owner: str, thread_id: str, until: str | None = None) -> Run | None:
        """The run that began last in a thread, or last before a moment, or None."""
        query = select(_RUNS).where(
            _RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id, _RUNS.c.started_at.is_not(None)
        )
        if until is not None:
            query = query.where(_RUNS.c.started_at <= until)
        with self._database.read() as connection:
            row = connection.execute(query.order_by(_RUNS.c.started_at.desc()).limit(1)).one_or_none()
        return None if row is None else run_of(row)

    def ask_to_cancel(self, run: Run, action: CancelAction) -> None:
        """End a run: at once where it waits, by whoever works on it where it is at work."""
        with self._database.write() as connection:
            _ask_to_cancel(connection, run, action)

    def delete(self, run_id: str, owner: str) -> None:
        """Forget a run with what it streamed."""
        with self._database.write() as connection:
            connection.execute(delete(_EVENTS).where(_EVENTS.c.run_id == run_id))
            connection.execute(delete(_RUNS).where(_RUNS.c.id == run_id, _RUNS.c.owner == owner))


def _unended(owner: str, thread_id: str) -> Select[Any]:
    return (
        select(_RUNS)
        .where(_RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id, _RUNS.c.status.in_(UNENDED))
        .order_by(_RUNS.c.created_at, _RUNS.c.id)
    )


def _ask_to_cancel(connection: Connection, run: Run, action: CancelAction) -> None:
    at_once = update(_RUNS).where(_RUNS.c.id == run.run_id, _RUNS.c.status == "pending")
    if connection.execute(at_once.values(status="interrupted", cancel=action, updated_at=now())).rowcount:
        free_again(connection, run.owner, run.thread_id)
    working = update(_RUNS).where(_RUNS.c.id == run.run_id, _RUNS.c.status == "running")
    connection.execute(working.values(cancel=action))


def run_of(row: Any) -> Run:
    """A run as its row holds it."""
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
