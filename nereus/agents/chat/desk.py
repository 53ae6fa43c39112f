"""What chat may do for one person: the one door through which it reads, computes and remembers.

`LocalDesk` works in this process's home; the server's desk queues work and asks the database for one owner's rows only.
Everything that is not the owner's is answered as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import Field

from nereus.memory.records import ArtifactRef, Event, Record, RunHeader, RunRecord, ToolCall

if TYPE_CHECKING:
    import pandas as pd

    from nereus.memory.actions import LearnedAction
    from nereus.memory.threads import Note
    from nereus.models.store import Entry
    from nereus.settings import Settings


class Dataset(Record):
    """A file that can be analysed."""

    id: str
    name: str
    artifact: ArtifactRef
    samples: ArtifactRef | None = None
    """Sample sheet that belongs to it."""


SHEET = re.compile(r"(sample|meta|clin|pheno|annot|design|sheet|traits|info)", re.IGNORECASE)
"""What sample sheets are called."""


def paired(given: list[Dataset]) -> tuple[Dataset, Dataset | None]:
    """Which of some files is the data, and which its sample sheet: by name, else the smaller is the sheet."""
    if len(given) == 1:
        return given[0], None
    sheets = [one for one in given if SHEET.search(one.name)]
    rest = [one for one in given if one not in sheets]
    if len(sheets) == 1 and rest:
        return max(rest, key=lambda one: one.artifact.size), sheets[0]
    by_size = sorted(given, key=lambda one: one.artifact.size)
    return by_size[-1], by_size[0]


class FollowUp(Record):
    """A question that is asked again in another way, on the data of a run."""

    run_id: str
    """The run that is followed up."""
    objective_id: str
    """Its question."""
    statement: str
    """What is asked now, in words without numbers."""
    covariates: tuple[str, ...] | None = None
    """Columns to adjust for; None keeps those of the question."""
    without: tuple[str, ...] = ()
    """Tools whose steps are left out of the preparation."""
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Tool -> parameters that are set otherwise."""
    exclude_samples: tuple[str, ...] = ()
    """Samples that are left out."""
    subset: dict[str, str] = Field(default_factory=dict)
    """Column -> value: the test takes only these samples; the preparation is that of all."""
    rows: tuple[str, ...] = ()
    """Rows of the test's table that are to be cited."""
    action: str = ""
    """Learned action that planned the steps; empty where they are those of the run."""
    steps: tuple[dict[str, Any], ...] = ()
    """Its steps, as drafts; what they read of the run is planned before them."""


@runtime_checkable
class Desk(Protocol):
    """Reads, computes and remembers for one owner."""

    owner: str

    @property
    def settings(self) -> Settings:
        """Settings of the home that it works in."""

    def for_owner(self, owner: str) -> Desk:
        """The same for another owner; `NotFound` where this desk serves one person only."""

    # ------------------------------------------------------------------ data sets

    def datasets(self) -> list[Dataset]:
        """Files that can be analysed, newest first."""

    def dataset(self, dataset_id: str) -> Dataset:
        """One of them; `NotFound` where there is none."""

    def columns(self, dataset: Dataset) -> list[str]:
        """Names in the first line of a text table; empty where it is none."""

    def read_table(self, dataset: Dataset) -> pd.DataFrame:
        """A text table as it is, one row an object."""

    def profile(self, dataset: Dataset) -> list[ToolCall]:
        """Read a file and understand its design: the calls of `load_dataset`, `annotate_genes` and `profile_dataset`."""

    # ------------------------------------------------------------------ runs

    def runs(self, limit: int = 50) -> list[RunHeader]:
        """The owner's runs, newest first."""

    def header(self, run_id: str) -> RunHeader:
        """A run's header; `NotFound` where there is none."""

    def record(self, run_id: str) -> RunRecord:
        """All about a run; `NotFound` where there is none."""

    def start_run(
        self, dataset: Dataset, question: str | None = None, budget: Sequence[str] = (), **settings: Any
    ) -> str:
        """Begin a run and return its id at once."""

    def start_follow_up(self, asked: FollowUp, told: Mapping[str, Any] | None = None) -> str:
        """Begin to ask a question of a run in another way, as a run of its own; returns its id at once."""

    def go_on(self, run_id: str) -> None:
        """See that somebody works on a run that has not ended; nothing where somebody does."""

    def at_work(self, run_id: str) -> bool:
        """Whether somebody works on a run, or will without being asked."""

    def follow(self, run_id: str, after: int = 0, stop: Callable[[], bool] | None = None) -> Iterator[Event]:
        """Events of a run above a number, until the run ends, waits for an answer, or `stop` says so."""

    def cancel(self, run_id: str) -> None:
        """End a run; what it found stays."""

    def table(self, ref: ArtifactRef) -> pd.DataFrame:
        """A table of one of the owner's runs or calls."""

    def figure(self, ref: ArtifactRef) -> bytes:
        """A drawing, as SVG."""

    # ------------------------------------------------------------------ tools and methods

    def keep_table(self, table: pd.DataFrame, name: str) -> ArtifactRef:
        """Keep a small table that a tool is to be given."""

    def call_tool(
        self,
        name: str,
        inputs: Mapping[str, ArtifactRef | Mapping[str, ArtifactRef]],
        params: Mapping[str, Any],
        seed: int = 0,
        stop: Callable[[], bool] | None = None,
    ) -> ToolCall:
        """One recorded tool call; an equal one is not computed again. `ToolError` where `stop` ended it."""

    def models(self) -> list[Entry]:
        """Trained methods of the store."""

    def model(self, name: str) -> ArtifactRef:
        """A trained method of the store as an artifact, newest version."""

    def keep_model(self, name: str, call: ToolCall, dataset: Dataset, columns: Mapping[str, str]) -> Entry:
        """Keep what a `fit_...` call trained under a name."""

    def actions(self) -> list[Mapping[str, Any]]:
        """Learned actions: ``name``, ``summary``."""

    def learned(self, name: str) -> LearnedAction:
        """A learned action that may be used; `InputError` or `NotFound` where it may not."""

    def used(self, action: LearnedAction, run_id: str, ok: bool) -> None:
        """Note how a use of a learned action went."""

    # ------------------------------------------------------------------ long-term memory

    def remember(self, text: str, thread_id: str = "") -> Note:
        """Keep a note of the owner."""

    def recall(self, text: str, n: int = 5) -> list[Note]:
        """The owner's notes that are most like a text; all newest first where the text is empty."""

    def found_before(self, text: str, n: int = 3) -> list[Note]:
        """What the owner's earlier runs found that is most like a text; the id is that of the run."""

    def forget(self, note_id: str) -> None:
        """Remove a note; `NotFound` where the owner has none of this id."""
