"""A SQLite checkpointer that knows how much of the run was recorded when it wrote.

A checkpoint says "this step is done". The record of the step is committed first, so a killed process never leaves a
checkpoint that is ahead of the record. A power cut may: both files are written through to the disk when the operating
system likes, and the end of one may be lost without that of the other. Writing the record through before each checkpoint
would cost milliseconds to tens of milliseconds a step. Instead each checkpoint carries how many events and decisions
the run had, both of which only grow; a run whose record has fewer is begun again from what is recorded (`ahead`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite import SqliteSaver

from nereus.memory.progress import Mark
from nereus.memory.threaded_saver import ThreadedSaver

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
_CHECKPOINTS = "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata"
_WRITES = "checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value"
_OF_RUN = """
SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints
WHERE json_extract(CAST(metadata AS TEXT), '$.run_id') = ?
"""
_OLDER = """
DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id < (
    SELECT MAX(newest.checkpoint_id) FROM checkpoints AS newest
    WHERE newest.thread_id = {table}.thread_id AND newest.checkpoint_ns = {table}.checkpoint_ns
)
"""  # ids are ordered by time


class OrderedSaver(ThreadedSaver, SqliteSaver):
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

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Forget the checkpoints that runs made, by ``run_id`` in their metadata."""
        with self.cursor() as cursor:
            for run_id in run_ids:
                cursor.execute(
                    f"DELETE FROM writes WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OF_RUN})",
                    (str(run_id),),
                )
                cursor.execute(
                    f"DELETE FROM checkpoints WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OF_RUN})",
                    (str(run_id),),
                )

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread with all its history and what waits to be written."""
        with self.cursor() as cursor:
            for table, columns in (("checkpoints", _CHECKPOINTS), ("writes", _WRITES)):
                cursor.execute(
                    f"INSERT INTO {table} (thread_id, {columns})"
                    f" SELECT ?, {columns} FROM {table} WHERE thread_id = ?",
                    (str(target_thread_id), str(source_thread_id)),
                )

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Forget threads (``delete``), or all but the newest checkpoint of each of their namespaces (``keep_latest``).

        The state must not use LangGraph's delta channels, whose values are spread over the history.
        """
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"{strategy!r} is no way to prune: keep_latest or delete")
        for thread_id in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread_id)
                continue
            with self.cursor() as cursor:
                for table in ("writes", "checkpoints"):
                    cursor.execute(_OLDER.format(table=table), (str(thread_id),))
