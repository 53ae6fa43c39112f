"""The rows of the protocol."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nereus.memory.database.engine import Database
from nereus.memory.langgraph.assistants import Assistants
from nereus.memory.langgraph.leases import Leases
from nereus.memory.langgraph.runs import ProtocolRuns
from nereus.memory.langgraph.streamed import StreamedEvents
from nereus.memory.langgraph.threads import ProtocolThreads


@dataclass(frozen=True)
class Kept:
    """Assistants, threads, runs, who works on which, and what they stream."""

    assistants: Assistants
    threads: ProtocolThreads
    runs: ProtocolRuns
    leases: Leases
    streamed: StreamedEvents

    @classmethod
    def of(cls, database: Database, graphs: Collection[str]) -> Kept:
        """Those of a database."""
        return cls(
            Assistants(database, graphs),
            ProtocolThreads(database),
            ProtocolRuns(database),
            Leases(database),
            StreamedEvents(database),
        )
