"""A SQLite checkpointer that is never ahead of the run's record.

A checkpoint says "this step is done". If a power cut kept the checkpoint but lost the record of the step, the run
could not go on. So the record is written through to the disk before each checkpoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite import SqliteSaver


class OrderedSaver(SqliteSaver):
    """LangGraph's SQLite checkpointer, which calls `flush` before it writes."""

    def __init__(
        self, connection: sqlite3.Connection, serde: SerializerProtocol, flush: Callable[[], None]
    ) -> None:
        super().__init__(connection, serde=serde)
        self._flush = flush

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint."""
        self._flush()
        return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what one node returned."""
        self._flush()
        super().put_writes(config, writes, task_id, task_path)
