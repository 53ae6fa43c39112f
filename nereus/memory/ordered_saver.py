"""A SQLite checkpointer that knows how much of the run was recorded when it wrote.

A checkpoint says "this step is done". The record of the step is committed first, so a killed process never leaves a
checkpoint that is ahead of the record. A power cut may: both files are written through to the disk when the operating
system likes, and the end of one may be lost without that of the other. Writing the record through before each checkpoint
would cost milliseconds to tens of milliseconds a step. Instead each checkpoint carries how many events and decisions
the run had, both of which only grow; a run whose record has fewer is begun again from what is recorded (`ahead`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite import SqliteSaver

from nereus.memory.progress import Mark

_TABLE = """
CREATE TABLE IF NOT EXISTS marks (
    thread_id TEXT PRIMARY KEY,
    events INTEGER NOT NULL,
    decisions INTEGER NOT NULL
)
"""
_KEEP = """
INSERT INTO marks VALUES (?, ?, ?)
ON CONFLICT (thread_id) DO UPDATE SET events = excluded.events, decisions = excluded.decisions
"""


class OrderedSaver(SqliteSaver):
    """LangGraph's SQLite checkpointer, which keeps a `Mark` with what it writes.

    Parameters
    ----------
    connection
        To the file of checkpoints.
    serde
        Turns state into bytes.
    progress
        Tells how much of the run is recorded now; None where nobody asks.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        serde: SerializerProtocol,
        progress: Callable[[], Mark] | None = None,
    ) -> None:
        super().__init__(connection, serde=serde)
        self._progress = progress
        self._marked: Mark | None = None

    def setup(self) -> None:
        """Make the tables."""
        if not self.is_setup:
            super().setup()
            self.conn.execute(_TABLE)

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """Open a cursor; what is written through it is committed with the mark."""
        with super().cursor(transaction) as cursor:
            yield cursor
            if transaction and self._progress is not None:
                mark = self._progress()
                if mark != self._marked:
                    cursor.execute(_KEEP, mark)
                    self._marked = mark

    def ahead(self, recorded: Mark) -> bool:
        """Whether the checkpoints of the run rest on more than is recorded: the record lost its end in a power cut."""
        with self.cursor(transaction=False) as cursor:
            found = cursor.execute(
                "SELECT events, decisions FROM marks WHERE thread_id = ?", (recorded.run_id,)
            ).fetchone()
        return found is not None and (found[0] > recorded.events or found[1] > recorded.decisions)

    def delete_thread(self, thread_id: str) -> None:
        """Forget all checkpoints of a run."""
        super().delete_thread(thread_id)
        self.conn.execute("DELETE FROM marks WHERE thread_id = ?", (thread_id,))
        self.conn.commit()
        self._marked = None
