"""What every desk shares: reading the record, queueing runs and remembering, for one owner only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from nereus.agents.chat.desk import Dataset, FollowUp
from nereus.agents.chat.follow_up import queue_follow_up
from nereus.agents.planner.queued import queue_run
from nereus.errors import InputError, NotFound
from nereus.memory.actions import Actions, LearnedAction
from nereus.memory.records import ArtifactRef, Event, RunHeader, RunRecord, ToolCall
from nereus.memory.threads import Note, Notes
from nereus.memory.uploads import Upload, Uploads
from nereus.memory.workspace import Workspace
from nereus.models.store import Entry, ModelStore
from nereus.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

ENDED = ("finished", "stopped", "cancelled", "refused", "failed")
_POLL_S = 0.05
_LONGEST_LINE = 1 << 16
_LARGEST_TABLE = 64 << 20


class RecordedDesk:
    """Reads and writes the stores of one home for one owner.

    Parameters
    ----------
    workspace
        Open stores.
    owner
        For whom; whatever is another's is not found.
    reports
        Folder in which reports of runs get folders of their own.
    """

    def __init__(self, workspace: Workspace, owner: str, reports: Path) -> None:
        self.workspace = workspace
        self.owner = owner
        self.reports = reports
        self._uploads = Uploads(workspace.database)
        self._notes = Notes(workspace.database)

    @property
    def settings(self) -> Settings:
        """The settings of this home."""
        return self.workspace.settings

    # ------------------------------------------------------------------ data sets

    def datasets(self) -> list[Dataset]:
        """See `Desk`."""
        return [_dataset(one) for one in self._uploads.list(self.owner, limit=200)]

    def dataset(self, dataset_id: str) -> Dataset:
        """See `Desk`."""
        return _dataset(self._uploads.get(dataset_id, self.owner))

    def columns(self, dataset: Dataset) -> list[str]:
        """See `Desk`."""
        with self.workspace.artifacts.path(dataset.artifact).open("rb") as stream:
            line = stream.readline(_LONGEST_LINE)
        if b"\0" in line or line.startswith((b"PK", b"\x1f\x8b")):
            return []
        first = line.decode("utf-8", "replace").strip("\r\n\ufeff")
        separator = max(("\t", ",", ";"), key=first.count)
        return [one.strip().strip('"') for one in first.split(separator)]

    def read_table(self, dataset: Dataset) -> pd.DataFrame:
        """See `Desk`."""
        import pandas as pd

        if not self.columns(dataset) or dataset.artifact.size > _LARGEST_TABLE:
            raise InputError(
                f"{dataset.name} is no text table of a size that can be read here", mend="give a CSV"
            )
        path = self.workspace.artifacts.checked_path(dataset.artifact)
        try:
            return pd.read_csv(path, sep=None, engine="python")
        except (ValueError, UnicodeDecodeError) as error:
            raise InputError(f"it cannot be read as a table: {error}", where=dataset.name) from None

    def profile(self, dataset: Dataset) -> list[ToolCall]:
        """See `Desk`."""
        given = {"data": dataset.artifact} | ({"samples": dataset.samples} if dataset.samples else {})
        calls = [self.call_tool("load_dataset", given, {})]
        for name in ("annotate_genes", "profile_dataset"):
            calls.append(self.call_tool(name, {"dataset": calls[-1].outputs["dataset"]}, {}))
        return calls

    # ------------------------------------------------------------------ runs

    def runs(self, limit: int = 50) -> list[RunHeader]:
        """See `Desk`."""
        return self.workspace.repository.list_runs(limit, owner=self.owner)

    def header(self, run_id: str) -> RunHeader:
        """See `Desk`."""
        return self.workspace.repository.owned(run_id, self.owner)

    def record(self, run_id: str) -> RunRecord:
        """See `Desk`."""
        self.header(run_id)
        return self.workspace.repository.load(run_id)

    def start_run(
        self, dataset: Dataset, question: str | None = None, budget: Sequence[str] = (), **settings: Any
    ) -> str:
        """See `Desk`."""
        inputs = {"data": dataset.artifact} | ({"samples": dataset.samples} if dataset.samples else {})
        with self.workspace.database.write():
            header = queue_run(
                self.workspace,
                inputs,
                owner=self.owner,
                reports=self.reports,
                question=question,
                budget=list(budget),
                **settings,
            )
            self._queued(header.id, "run")
        self._begin(header.id)
        return header.id

    def start_follow_up(self, asked: FollowUp, told: Mapping[str, Any] | None = None) -> str:
        """See `Desk`."""
        self.header(asked.run_id)
        with self.workspace.database.write():
            header = queue_follow_up(
                self.workspace, asked, owner=self.owner, reports=self.reports, told=told or {}
            )
            self._queued(header.id, "follow_up")
        self._begin(header.id)
        return header.id

    def follow(self, run_id: str, after: int = 0, stop: Callable[[], bool] | None = None) -> Iterator[Event]:
        """See `Desk`."""
        while True:
            at_work = self._at_work(run_id)  # read first: whoever works on a run ends after it
            status = self.workspace.repository.status(run_id, self.owner)
            new = [] if status is None else self.workspace.events.read(run_id, after, 500)
            yield from new
            if new:
                after = new[-1].seq
            elif status is None or not at_work or (stop is not None and stop()):
                return
            else:
                time.sleep(_POLL_S)

    def go_on(self, run_id: str) -> None:
        """See `Desk`."""
        if self.header(run_id).status in ("queued", "running") and not self.at_work(run_id):
            self._begin(run_id)

    def at_work(self, run_id: str) -> bool:
        """See `Desk`."""
        return self._at_work(run_id)

    def cancel(self, run_id: str) -> None:
        """See `Desk`."""
        raise NotImplementedError

    def _queued(self, run_id: str, kind: str) -> None:
        """In the transaction that records a run: note that it is to be worked on."""

    def _begin(self, run_id: str) -> None:
        """See that somebody works on a run."""

    def _at_work(self, run_id: str) -> bool:
        """Whether somebody works on a run, or will."""
        raise NotImplementedError

    def table(self, ref: ArtifactRef) -> pd.DataFrame:
        """See `Desk`."""
        return self.workspace.artifacts.table(ref)

    def figure(self, ref: ArtifactRef) -> bytes:
        """See `Desk`."""
        return self.workspace.artifacts.figure(ref)

    # ------------------------------------------------------------------ tools and methods

    def keep_table(self, table: pd.DataFrame, name: str) -> ArtifactRef:
        """See `Desk`."""
        return self.workspace.artifacts.put_table(table, name)

    def call_tool(
        self,
        name: str,
        inputs: Mapping[str, ArtifactRef | Mapping[str, ArtifactRef]],
        params: Mapping[str, Any],
        seed: int = 0,
        stop: Callable[[], bool] | None = None,
    ) -> ToolCall:
        """See `Desk`."""
        raise NotImplementedError

    def models(self) -> list[Entry]:
        """See `Desk`."""
        return self._store().entries()

    def model(self, name: str) -> ArtifactRef:
        """See `Desk`."""
        method = self._store().load(name)
        return self.workspace.artifacts.put_model(method.to_bytes(), name)

    def keep_model(self, name: str, call: ToolCall, dataset: Dataset, columns: Mapping[str, str]) -> Entry:
        """See `Desk`."""
        from nereus import models

        with TemporaryDirectory() as folder:
            file = Path(folder) / "model.safetensors"
            file.write_bytes(self.workspace.artifacts.checked_path(call.outputs["model"]).read_bytes())
            trained = models.load(file)
        return self._store().keep(
            name,
            trained,
            data_hash=dataset.artifact.id,
            data_name=dataset.name,
            columns={role: [column] for role, column in columns.items()},
            metrics={key: value for key, value in call.values.items() if isinstance(value, float)},
        )

    def _store(self) -> ModelStore:
        return ModelStore(self.settings.home / "models")

    def actions(self) -> list[Mapping[str, Any]]:
        """See `Desk`."""
        known = Actions(self.workspace.database).usable()
        return [{"name": one.name, "summary": one.description} for one in known]

    def learned(self, name: str) -> LearnedAction:
        """See `Desk`."""
        kept = Actions(self.workspace.database)
        found = next((one for one in kept.usable() if one.name == name), None)
        if found is None or not kept.may_run(found):
            status = kept.get(name).status  # says where there is none
            raise InputError(
                f"the learned action {name!r} may not be used: it is {status}",
                mend=f"`nereus actions approve {name}` lets it be used, once it is validated",
            )
        return found

    def used(self, action: LearnedAction, run_id: str, ok: bool) -> None:
        """See `Desk`."""
        Actions(self.workspace.database).tried(action, run_id, ok)

    # ------------------------------------------------------------------ long-term memory

    def remember(self, text: str, thread_id: str = "") -> Note:
        """See `Desk`."""
        if not text.strip():
            raise InputError("there is nothing to remember", mend="say what: remember that ...")
        return self._notes.remember(self.owner, text, thread_id)

    def recall(self, text: str, n: int = 5) -> list[Note]:
        """See `Desk`."""
        return self._notes.recall(self.owner, text, n)

    def found_before(self, text: str, n: int = 3) -> list[Note]:
        """See `Desk`."""
        return self._notes.found_before(self.owner, text, n)

    def forget(self, note_id: str) -> None:
        """See `Desk`."""
        self._notes.forget(self.owner, note_id)


def refuse_other(owner: str, asked: str) -> None:
    """`NotFound` where a desk that serves one person is asked for another."""
    if asked != owner:
        raise NotFound(f"there is nobody called {asked!r} here", mend="ask without an owner")


def _dataset(upload: Upload) -> Dataset:
    return Dataset(id=upload.id, name=upload.name, artifact=upload.artifact)
