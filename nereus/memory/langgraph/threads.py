"""Threads of the LangGraph protocol: what they are called, what state they are in, and what they are named by."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import Field
from sqlalchemy import Connection, Select, Table, case, delete, func, select, update

from nereus.errors import NotFound, ResumeRefused
from nereus.memory.database.containment import containing
from nereus.memory.database.engine import Database, now
from nereus.memory.database.langgraph_tables import ProtocolEventRow, ProtocolRunRow, ProtocolThreadRow
from nereus.memory.records import Record

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]

_THREADS = cast(Table, ProtocolThreadRow.__table__)
_RUNS = cast(Table, ProtocolRunRow.__table__)
_EVENTS = cast(Table, ProtocolEventRow.__table__)


class Thread(Record):
    """A thread, in the words of the protocol but for `key`, which is never told."""

    thread_id: str
    key: str
    """Its name among the checkpoints."""
    status: ThreadStatus = "idle"
    metadata: dict[str, Any] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    values: Any = None
    interrupts: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
    created_at: str = ""
    updated_at: str = ""
    state_updated_at: str = ""

    @property
    def graph_id(self) -> str | None:
        """The graph whose states these are; None before the first run."""
        found = self.metadata.get("graph_id")
        return found if isinstance(found, str) else None


class Snapshot(Record):
    """What a thread is like after something was done in it."""

    status: ThreadStatus
    values: str
    """JSON."""
    interrupts: str
    """JSON: id of the task to what it asks."""


class ProtocolThreads:
    """Keeps and finds threads.

    Parameters
    ----------
    database
        The open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        owner: str,
        thread_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        if_exists: Literal["raise", "do_nothing"] = "raise",
        lifetime_s: float | None = None,
        hidden: bool = False,
    ) -> Thread:
        """Make a thread; `ResumeRefused` where its id is taken, unless that is to be left as it is."""
        key = str(uuid.uuid4())
        chosen = thread_id or key
        moment = now()
        with self._database.write() as connection:
            known = connection.execute(_one(owner, chosen)).one_or_none()
            if known is not None:
                if if_exists == "do_nothing":
                    return _thread(known)
                raise ResumeRefused(f"there is a thread {chosen!r} already", mend="ask for another id")
            connection.execute(
                _THREADS.insert().values(
                    owner=owner,
                    id=chosen,
                    key=key,
                    status="idle",
                    document=json.dumps(dict(metadata or {}), allow_nan=False),
                    config="{}",
                    state=None,
                    interrupts="{}",
                    expires_at=None if lifetime_s is None else time.time() + lifetime_s,
                    hidden=hidden,
                    created_at=moment,
                    updated_at=moment,
                    state_updated_at=moment,
                )
            )
            return _thread(connection.execute(_one(owner, chosen)).one())

    def get(self, thread_id: str, owner: str) -> Thread:
        """A thread of an owner; `NotFound` where there is none."""
        with self._database.read() as connection:
            row = connection.execute(_one(owner, thread_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no thread {thread_id!r}", mend="make one: POST /threads")
        return _thread(row)

    def update(
        self,
        thread_id: str,
        owner: str,
        metadata: Mapping[str, Any],
        lifetime_s: float | None = None,
    ) -> Thread:
        """Add to the metadata of a thread."""
        with self._database.write() as connection:
            row = connection.execute(_one(owner, thread_id).with_for_update()).one_or_none()
            if row is None:
                raise NotFound(f"there is no thread {thread_id!r}")
            merged = {**json.loads(row.document), **metadata}
            changes: dict[str, Any] = {
                "document": json.dumps(merged, allow_nan=False),
                "updated_at": now(),
            }
            if lifetime_s is not None:
                changes["expires_at"] = time.time() + lifetime_s
            connection.execute(_set(owner, thread_id).values(changes))
        return self.get(thread_id, owner)

    def search(
        self,
        owner: str,
        metadata: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        ids: Sequence[str] | None = None,
        status: ThreadStatus | None = None,
        by: SortBy = "updated_at",
        descending: bool = True,
        limit: int = 10,
        offset: int = 0,
    ) -> list[Thread]:
        """Threads of an owner, with what their metadata and values must contain."""
        column = _THREADS.c["id" if by == "thread_id" else by]
        with self._database.read() as connection:
            query = self._fitting(connection, select(_THREADS), owner, metadata, values, ids, status)
            order = column.desc() if descending else column.asc()
            rows = connection.execute(query.order_by(order, _THREADS.c.id).limit(limit).offset(offset))
            return [_thread(row) for row in rows]

    def count(
        self,
        owner: str,
        metadata: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        status: ThreadStatus | None = None,
    ) -> int:
        """How many there are."""
        with self._database.read() as connection:
            query = select(func.count()).select_from(_THREADS)
            fitting = self._fitting(connection, query, owner, metadata, values, None, status)
            return int(connection.execute(fitting).scalar_one())

    def settle(self, thread_id: str, owner: str, now_is: Snapshot) -> None:
        """Note what a thread is like now; one with unended runs stays busy."""
        with self._database.write() as connection:
            settle(connection, owner, thread_id, now_is)

    def delete(self, thread_id: str, owner: str) -> Thread:
        """Forget a thread with its runs; returns it, so that its checkpoints can be forgotten, too."""
        with self._database.write() as connection:
            row = connection.execute(_one(owner, thread_id)).one_or_none()
            if row is None:
                raise NotFound(f"there is no thread {thread_id!r}")
            forget(connection, owner, thread_id)
        return _thread(row)

    def expired(self, limit: int = 100) -> list[tuple[str, str]]:
        """Owner and id of threads whose time is over and in which nothing is at work."""
        busy = select(_RUNS.c.id).where(
            _RUNS.c.owner == _THREADS.c.owner,
            _RUNS.c.thread_id == _THREADS.c.id,
            _RUNS.c.status.in_(("pending", "running")),
        )
        query = select(_THREADS.c.owner, _THREADS.c.id).where(
            _THREADS.c.expires_at < time.time(), ~busy.exists()
        )
        with self._database.read() as connection:
            return [(row.owner, row.id) for row in connection.execute(query.limit(limit))]

    def _fitting(
        self,
        connection: Connection,
        query: Select[Any],
        owner: str,
        metadata: Mapping[str, Any] | None,
        values: Mapping[str, Any] | None,
        ids: Sequence[str] | None,
        status: ThreadStatus | None,
    ) -> Select[Any]:
        query = query.where(_THREADS.c.owner == owner, _THREADS.c.hidden.is_(False))
        if metadata:
            query = query.where(containing(self._database, connection, _THREADS.c.document, metadata))
        if values:
            query = query.where(containing(self._database, connection, _THREADS.c.state, values))
        if ids is not None:
            query = query.where(_THREADS.c.id.in_(list(ids)))
        return query if status is None else query.where(_THREADS.c.status == status)


def settle(connection: Connection, owner: str, thread_id: str, now_is: Snapshot) -> None:
    """Note what a thread is like, inside a transaction."""
    moment = now()
    connection.execute(
        _set(owner, thread_id).values(
            status="busy" if _is_busy(connection, owner, thread_id) else now_is.status,
            state=now_is.values,
            interrupts=now_is.interrupts,
            updated_at=moment,
            state_updated_at=moment,
        )
    )


def free_again(connection: Connection, owner: str, thread_id: str) -> None:
    """Note that a run that waited in a thread was taken back, inside a transaction."""
    if _is_busy(connection, owner, thread_id):
        return
    status = case((_THREADS.c.interrupts == "{}", "idle"), else_="interrupted")
    connection.execute(_set(owner, thread_id).values(status=status, updated_at=now()))


def _is_busy(connection: Connection, owner: str, thread_id: str) -> bool:
    query = select(_RUNS.c.id).where(
        _RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id, _RUNS.c.status.in_(("pending", "running"))
    )
    return connection.execute(query.limit(1)).first() is not None


def forget(connection: Connection, owner: str, thread_id: str) -> None:
    """Remove a thread with its runs and what they streamed, inside a transaction."""
    runs = select(_RUNS.c.id).where(_RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id)
    connection.execute(delete(_EVENTS).where(_EVENTS.c.run_id.in_(runs)))
    connection.execute(delete(_RUNS).where(_RUNS.c.owner == owner, _RUNS.c.thread_id == thread_id))
    connection.execute(delete(_THREADS).where(_THREADS.c.owner == owner, _THREADS.c.id == thread_id))


def _one(owner: str, thread_id: str) -> Select[Any]:
    return select(_THREADS).where(_THREADS.c.owner == owner, _THREADS.c.id == thread_id)


def _set(owner: str, thread_id: str) -> Any:
    return update(_THREADS).where(_THREADS.c.owner == owner, _THREADS.c.id == thread_id)


def _thread(row: Any) -> Thread:
    return Thread(
        thread_id=row.id,
        key=row.key,
        status=row.status,
        metadata=json.loads(row.document),
        config=json.loads(row.config),
        values=None if row.state is None else json.loads(row.state),
        interrupts=json.loads(row.interrupts),
        created_at=row.created_at,
        updated_at=row.updated_at,
        state_updated_at=row.state_updated_at,
    )
