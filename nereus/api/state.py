"""The open stores that all endpoints share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nereus.api.event_hub import EventHub
from nereus.memory.audit import AuditLog
from nereus.memory.jobs import Jobs
from nereus.memory.tokens import Tokens
from nereus.memory.uploads import Uploads
from nereus.memory.workspace import Workspace, open_workspace
from nereus.settings import Settings


@dataclass(frozen=True)
class ServerState:
    """Everything that an endpoint may need. It is used from several threads."""

    workspace: Workspace
    jobs: Jobs
    uploads: Uploads
    tokens: Tokens
    audit: AuditLog
    hub: EventHub

    @property
    def settings(self) -> Settings:
        """The settings with which the server was started."""
        return self.workspace.settings


@contextmanager
def open_state(settings: Settings) -> Iterator[ServerState]:
    """Open all stores for as long as the server lives."""
    with open_workspace(settings) as workspace:
        database = workspace.database
        hub = EventHub(database)
        try:
            yield ServerState(
                workspace, Jobs(database), Uploads(database), Tokens(database), AuditLog(database), hub
            )
        finally:
            hub.close()
