"""LangGraph's PostgreSQL checkpointer with what it lacks: threads copied, runs taken back, the asynchronous half.

A connection that the server closed is opened again, and the call that it broke is made again: all that is written may be written
twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg import Connection, OperationalError  # type: ignore[import-not-found,unused-ignore]
from psycopg.rows import dict_row  # type: ignore[import-not-found,unused-ignore]

from nereus.errors import StoreError
from nereus.memory.threaded_saver import ThreadedSaver

T = TypeVar("T")
PATIENCE_S = 15.0
"""How long a call waits for a server that is away, as one that is started anew is."""
_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

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
    """Keeps checkpoints in PostgreSQL.

    Parameters
    ----------
    address
        URL of the server.
    serde
        Turns state into bytes.
    """

    def __init__(self, address: str, serde: SerializerProtocol) -> None:
        self._address = address
        super().__init__(connected(address), serde=serde)

    def close(self) -> None:
        """Close the connection."""
        self.conn.close()

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `PostgresSaver`."""
        return self._steadily(partial(super().get_tuple, config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """See `PostgresSaver`; all that is found is read before the first is given."""
        listed = super().list
        yield from self._steadily(lambda: [*listed(config, filter=filter, before=before, limit=limit)])

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `PostgresSaver`."""
        return self._steadily(partial(super().put, config, checkpoint, metadata, new_versions))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """See `PostgresSaver`."""
        self._steadily(partial(super().put_writes, config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """See `PostgresSaver`."""
        self._steadily(partial(super().delete_thread, thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See `PostgresSaver`."""
        self._steadily(partial(super().prune, thread_ids, strategy=strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `PostgresSaver`."""
        found = partial(super().get_delta_channel_history, config=config, channels=channels)
        return self._steadily(found)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Forget the checkpoints that runs made, by ``run_id`` in their metadata."""
        names = [str(one) for one in run_ids]
        if names:
            self._steadily(partial(self._delete_for_runs, names))

    def _delete_for_runs(self, names: Sequence[str]) -> None:
        with self._cursor() as cursor, cursor.connection.transaction():
            cursor.execute(_WRITES_OF_RUNS, (names,))
            cursor.execute(_CHECKPOINTS_OF_RUNS, (names,))
            threads = sorted({row["thread_id"] for row in cursor.fetchall()})
            cursor.execute(_UNUSED_VALUES, (threads,))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread with all its history and what waits to be written."""
        self._steadily(partial(self._copy_thread, str(source_thread_id), str(target_thread_id)))

    def _copy_thread(self, source: str, target: str) -> None:
        with self._cursor() as cursor, cursor.connection.transaction():
            for table, columns in _TABLES.items():
                cursor.execute(
                    f"INSERT INTO {table} (thread_id, {columns})"
                    f" SELECT %s, {columns} FROM {table} WHERE thread_id = %s ON CONFLICT DO NOTHING",
                    (target, source),
                )

    def _steadily(self, call: Callable[[], T]) -> T:
        """Make a call, again where the connection was lost; `StoreError` where the server stays away."""
        ends = time.monotonic() + PATIENCE_S
        pause = _PAUSE_S
        while True:
            try:
                return call()
            except OperationalError as error:
                if time.monotonic() + pause > ends:
                    raise StoreError(
                        f"the checkpoints cannot be reached: {error}",
                        where="checkpoint_url",
                        mend="when the server runs again, what was begun goes on (nereus resume --last)",
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            self._reconnect()

    def _reconnect(self) -> None:
        """Open the connection again where it is broken; where that cannot be done, the next call says why."""
        with self.lock:
            if not self.conn.closed:
                return
            try:
                self.conn = connected(self._address)
            except OperationalError:
                return


def connected(address: str) -> Any:
    """A connection to the server, whose statements are kept at once.

    Raises
    ------
    OperationalError
        It cannot be reached.
    """
    return Connection.connect(address, autocommit=True, prepare_threshold=0, row_factory=dict_row)
