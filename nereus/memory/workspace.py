"""The open stores of one home, as whoever works with runs shares them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from nereus.errors import SettingsError, StoreError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.database import Database
from nereus.memory.events import EventStream
from nereus.memory.locks import STORE, held
from nereus.memory.retention import LOCKS, sign
from nereus.memory.runs import RunRepository
from nereus.offline import enforce
from nereus.settings import Settings

_PRUNED_S = 60.0


@dataclass
class Workspace:
    """Open stores of one NEREUS_HOME."""

    settings: Settings
    database: Database
    repository: RunRepository
    events: EventStream
    artifacts: ArtifactStore

    def with_settings(self, settings: Settings) -> Workspace:
        """The same stores under other settings."""
        return replace(self, settings=settings)


@contextmanager
def open_workspace(settings: Settings) -> Iterator[Workspace]:
    """Open database and artifacts; with `offline`, this process is cut off from the network first."""
    enforce(settings)
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the folder cannot be made: {error.strerror or error}",
            where=f"home {str(settings.home)!r}",
            mend="set NEREUS_HOME to a folder where you may write",
        ) from error
    database = Database(settings.database_url)
    with (
        closing(database),
        held(database, settings.home / LOCKS, STORE, shared=True, wait_s=_PRUNED_S) as mine,
    ):
        if not mine:
            raise StoreError(
                "old runs are being pruned",
                where=str(settings.home),
                mend="try again when `nereus runs prune` has ended",
            )
        artifacts = ArtifactStore(settings.artifact_root, durable=True)
        sign(settings.artifact_root, database)
        yield Workspace(settings, database, RunRepository(database), EventStream(database), artifacts)
