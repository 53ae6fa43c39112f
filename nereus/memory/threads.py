"""Threads of chat and notes that outlive them, by owner.

A thread's messages are numbered events, so that whoever lost the connection goes on where it was. Its graph state lies in
the checkpoints under the same id. Notes are recalled by similarity of text among the rows of one owner, exactly.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from pydantic import Field
from sqlalchemy import Table, delete, or_, select, update

from nereus.errors import NotFound, ResumeRefused
from nereus.memory.database.chat_tables import NoteRow, ThreadEventRow, ThreadRow
from nereus.memory.database.engine import Database, now
from nereus.memory.database.models import MemoryRow, RunRow
from nereus.memory.embedding import Embedder, HashedEmbedder
from nereus.memory.records import Record

ThreadStatus = Literal["idle", "busy", "interrupted"]
BUSY_S = 45.0
"""How long a thread is busy without a sign of life of the process that answers (`Threads.renew`)."""
LONGEST_NOTE = 2000
_LONGEST_TITLE = 120
_MOST_NOTES = 5000

_THREADS = cast(Table, ThreadRow.__table__)
_EVENTS = cast(Table, ThreadEventRow.__table__)
_NOTES = cast(Table, NoteRow.__table__)
_MEMORIES = cast(Table, MemoryRow.__table__)
_RUNS = cast(Table, RunRow.__table__)


class Thread(Record):
    """A conversation."""

    id: str
    owner: str
    title: str = ""
    status: ThreadStatus = "idle"
    created_at: str = ""
    updated_at: str = ""
    last_seq: int = 0
    datasets: tuple[str, ...] = ()


class ThreadEvent(Record):
    """Something that was said or happened in a thread."""

    seq: int
    type: str
    payload: dict[str, Any] = Field(default_factory=dict)
    created_at: str = ""


class Note(Record):
    """Something that an owner wants remembered."""

    id: str
    text: str
    thread_id: str = ""
    created_at: str = ""
    similarity: float = 0.0


class Threads:
    """Keeps and finds threads.

    Parameters
    ----------
    database
        The open database; several processes may share it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, owner: str, title: str = "", datasets: Sequence[str] = (), thread_id: str | None = None
    ) -> Thread:
        """Begin a thread. A given id that the owner has already is returned as it is."""
        stamp = now()
        identity = thread_id or f"t{secrets.token_hex(8)}"
        row = {
            "id": identity,
            "owner": owner,
            "title": title[:_LONGEST_TITLE],
            "status": "idle",
            "busy_until": None,
            "updated_at": stamp,
            "last_seq": 0,
            "document": json.dumps({"datasets": list(datasets)}),
            "created_at": stamp,
        }
        with self._database.write() as connection:
            self._database.add(connection, _THREADS, [row])
        return self.get(identity, owner)

    def get(self, thread_id: str, owner: str) -> Thread:
        """Look a thread of an owner up; `NotFound` where there is none, also where it is another's."""
        query = select(_THREADS).where(_THREADS.c.id == thread_id, _THREADS.c.owner == owner)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(
                f"there is no thread {thread_id!r}", mend="list the threads to see which there are"
            )
        return _thread(row)

    def list(self, owner: str, limit: int | None = None) -> list[Thread]:
        """Threads of an owner, the one that was used last first."""
        query = select(_THREADS).where(_THREADS.c.owner == owner)
        query = query.order_by(_THREADS.c.updated_at.desc(), _THREADS.c.id).limit(limit)
        with self._database.read() as connection:
            return [_thread(row) for row in connection.execute(query)]

    def remove(self, thread_id: str, owner: str) -> None:
        """Forget a thread with all that was said in it; `NotFound` where the owner has none of this id."""
        with self._database.write() as connection:
            query = delete(_THREADS).where(_THREADS.c.id == thread_id, _THREADS.c.owner == owner)
            if not connection.execute(query).rowcount:
                raise NotFound(
                    f"there is no thread {thread_id!r}", mend="list the threads to see which there are"
                )

    def take(self, thread_id: str, owner: str, wanted: Sequence[ThreadStatus] = ("idle",)) -> Thread:
        """Begin to work on a thread, which nobody else does meanwhile.

        Raises
        ------
        ResumeRefused
            It is being worked on, or waits for an answer that must come first.
        """
        left = (_THREADS.c.status == "busy") & (_THREADS.c.busy_until < now())  # by a process that died
        free = or_(_THREADS.c.status.in_(wanted), left) if "idle" in wanted else _THREADS.c.status.in_(wanted)
        query = update(_THREADS).where(_THREADS.c.id == thread_id, _THREADS.c.owner == owner, free)
        with self._database.write() as connection:
            taken = connection.execute(query.values(status="busy", busy_until=_until(), updated_at=now()))
        thread = self.get(thread_id, owner)
        if not taken.rowcount:
            waits = thread.status == "interrupted"
            raise ResumeRefused(
                "it waits for an approval"
                if waits
                else "it is being worked on"
                if thread.status == "busy"
                else "nothing waits for an answer",
                where=f"thread {thread_id!r}",
                mend="answer the open requests first" if waits else "wait for the answer, or cancel it",
            )
        return thread

    def renew(self, thread_ids: Sequence[str]) -> None:
        """A sign of life of the process that answers in these threads."""
        if not thread_ids:
            return
        query = update(_THREADS).where(_THREADS.c.id.in_(list(thread_ids)), _THREADS.c.status == "busy")
        with self._database.write() as connection:
            connection.execute(query.values(busy_until=_until()))

    def lapsed(self, thread_id: str, owner: str) -> bool:
        """Whether a thread is busy by a process that gives no sign of life any more."""
        query = select(_THREADS.c.status, _THREADS.c.busy_until).where(
            _THREADS.c.id == thread_id, _THREADS.c.owner == owner
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return row is not None and row.status == "busy" and (row.busy_until or "") < now()

    def release(self, thread_id: str, status: ThreadStatus = "idle", title: str = "") -> None:
        """Stop working on a thread; the first question becomes its title."""
        changes: dict[str, Any] = {"status": status, "busy_until": None, "updated_at": now()}
        with self._database.write() as connection:
            connection.execute(update(_THREADS).where(_THREADS.c.id == thread_id).values(changes))
            if title:
                untitled = (_THREADS.c.id == thread_id, _THREADS.c.title == "")
                connection.execute(
                    update(_THREADS).where(*untitled).values(title=" ".join(title.split())[:_LONGEST_TITLE])
                )

    def append(self, thread_id: str, type: str, payload: Mapping[str, Any]) -> ThreadEvent:
        """Add what was said or happened, and number it."""
        with self._database.write() as connection:
            last = connection.execute(
                select(_THREADS.c.last_seq).where(_THREADS.c.id == thread_id).with_for_update()
            ).scalar_one_or_none()
            if last is None:
                raise NotFound(f"there is no thread {thread_id!r}")
            event = ThreadEvent(seq=last + 1, type=type, payload=dict(payload), created_at=now())
            connection.execute(
                _EVENTS.insert().values(
                    thread_id=thread_id,
                    seq=event.seq,
                    type=type,
                    payload=json.dumps(event.payload, sort_keys=True, allow_nan=False),
                    created_at=event.created_at,
                )
            )
            connection.execute(
                update(_THREADS)
                .where(_THREADS.c.id == thread_id)
                .values(last_seq=event.seq, updated_at=now())
            )
        return event

    def events(
        self, thread_id: str, owner: str, after: int = 0, limit: int | None = None
    ) -> Sequence[ThreadEvent]:
        """What was said and happened above a number, in order; nothing of another's thread."""
        query = (
            select(_EVENTS)
            .join(_THREADS, _THREADS.c.id == _EVENTS.c.thread_id)
            .where(_EVENTS.c.thread_id == thread_id, _THREADS.c.owner == owner, _EVENTS.c.seq > after)
            .order_by(_EVENTS.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [
                ThreadEvent(
                    seq=row.seq, type=row.type, payload=json.loads(row.payload), created_at=row.created_at
                )
                for row in connection.execute(query)
            ]


def _until() -> str:
    return (datetime.now(UTC) + timedelta(seconds=BUSY_S)).isoformat(timespec="microseconds")


class Notes:
    """Keeps and recalls notes of owners.

    Parameters
    ----------
    database
        The open database.
    embedder
        Turns texts into vectors.
    """

    def __init__(self, database: Database, embedder: Embedder | None = None) -> None:
        self._database = database
        self._embedder = embedder or HashedEmbedder()

    def remember(self, owner: str, text: str, thread_id: str = "") -> Note:
        """Keep a note."""
        note = Note(
            id=f"m{secrets.token_hex(6)}",
            text=text.strip()[:LONGEST_NOTE],
            thread_id=thread_id,
            created_at=now(),
        )
        row = note.model_dump(exclude={"similarity"}) | {"owner": owner}
        with self._database.write() as connection:
            connection.execute(_NOTES.insert().values(row))
        return note

    def recall(self, owner: str, text: str, n: int = 5) -> list[Note]:
        """The owner's notes that are most like a text, most similar first; the newest where the text is empty."""
        query = select(_NOTES).where(_NOTES.c.owner == owner)
        query = query.order_by(_NOTES.c.created_at.desc(), _NOTES.c.id).limit(_MOST_NOTES)
        with self._database.read() as connection:
            notes = [
                Note(id=row.id, text=row.text, thread_id=row.thread_id, created_at=row.created_at)
                for row in connection.execute(query)
            ]
        if not text.strip():
            return notes[:n]
        return self._nearest(text, [(one.text, one) for one in notes], n)

    def found_before(self, owner: str, text: str, n: int = 3) -> list[Note]:
        """What the owner's earlier runs found that is most like a text; the id is that of the run."""
        query = (
            select(_MEMORIES.c.text, _MEMORIES.c.run_id, _RUNS.c.created_at)
            .join(_RUNS, _RUNS.c.id == _MEMORIES.c.run_id)
            .where(_RUNS.c.owner == owner, _MEMORIES.c.collection == "hypotheses")
            .order_by(_RUNS.c.created_at.desc(), _MEMORIES.c.id)
            .limit(_MOST_NOTES)
        )
        with self._database.read() as connection:
            rows = [
                (row.text, Note(id=row.run_id, text=row.text, created_at=row.created_at))
                for row in connection.execute(query)
            ]
        return self._nearest(text, rows, n)

    def forget(self, owner: str, note_id: str) -> None:
        """Remove a note; `NotFound` where the owner has none of this id."""
        with self._database.write() as connection:
            query = delete(_NOTES).where(_NOTES.c.owner == owner, _NOTES.c.id == note_id)
            if not connection.execute(query).rowcount:
                raise NotFound(
                    f"there is no note {note_id!r}", mend="ask what is remembered to see which there are"
                )

    def _nearest(self, text: str, texts: Sequence[tuple[str, Note]], n: int) -> list[Note]:
        if not texts or n < 1:
            return []
        vectors = self._embedder.embed([text, *(one for one, _ in texts)]).astype("float64")
        similarity = (vectors[1:] @ vectors[0]).round(6)
        order = sorted(range(len(texts)), key=lambda place: (-similarity[place], place))
        return [
            texts[place][1].model_copy(update={"similarity": float(similarity[place])})
            for place in order[:n]
            if similarity[place] > 0
        ]


def _thread(row: Any) -> Thread:
    return Thread(
        id=row.id,
        owner=row.owner,
        title=row.title,
        status=row.status,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_seq=row.last_seq,
        datasets=tuple(json.loads(row.document).get("datasets", ())),
    )
