"""LangGraph's PostgreSQL checkpointer with what it lacks: threads copied, runs taken back, and the asynchronous half."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph.checkpoint.postgres import PostgresSaver

from nereus.memory.threaded_saver import ThreadedSaver

_TABLES = {
    "checkpoints": "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata",
    "checkpoint_blobs": "checkpoint_ns, channel, version, type, blob",
    "checkpoint_writes": "checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob",
}
_WRITES_OF_RUNS = """
DELETE FROM checkpoint_writes USING checkpoints
WHERE checkpoints.metadata ->> 'run_id' = ANY(%s)
AND checkpoints.thread_id = checkpoint_writes.thread_id
AND checkpoints.checkpoint_ns = checkpoint_writes.checkpoint_ns
AND checkpoints.checkpoint_id = checkpoint_writes.checkpoint_id
"""
_CHECKPOINTS_OF_RUNS = """
DELETE FROM checkpoints WHERE metadata ->> 'run_id' = ANY(%s) RETURNING thread_id
"""
_UNUSED_VALUES = """
DELETE FROM checkpoint_blobs
WHERE thread_id = ANY(%s) AND NOT EXISTS (
    SELECT 1 FROM checkpoints
    WHERE checkpoints.thread_id = checkpoint_blobs.thread_id
    AND checkpoints.checkpoint_ns = checkpoint_blobs.checkpoint_ns
    AND checkpoints.checkpoint -> 'channel_versions' ->> checkpoint_blobs.channel = checkpoint_blobs.version
)
"""


class ServerSaver(ThreadedSaver, PostgresSaver):
    """Keeps checkpoints in PostgreSQL."""

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Forget the checkpoints that runs made, by ``run_id`` in their metadata."""
        names = [str(one) for one in run_ids]
        if not names:
            return
        with self._cursor() as cursor, cursor.connection.transaction():
            cursor.execute(_WRITES_OF_RUNS, (names,))
            cursor.execute(_CHECKPOINTS_OF_RUNS, (names,))
            threads = sorted({row["thread_id"] for row in cursor.fetchall()})
            cursor.execute(_UNUSED_VALUES, (threads,))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread with all its history and what waits to be written."""
        with self._cursor() as cursor, cursor.connection.transaction():
            for table, columns in _TABLES.items():
                cursor.execute(
                    f"INSERT INTO {table} (thread_id, {columns})"
                    f" SELECT %s, {columns} FROM {table} WHERE thread_id = %s",
                    (str(target_thread_id), str(source_thread_id)),
                )
