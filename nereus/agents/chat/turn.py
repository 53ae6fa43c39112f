"""One turn of a conversation: what is talked about, what may be cited, and what an action gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nereus.agents.chat.book import Book
from nereus.agents.chat.desk import SHEET, paired
from nereus.agents.chat.follow_up import is_follow_up
from nereus.agents.chat.lookup import Entities
from nereus.agents.reporter.sources import Sources
from nereus.errors import InputError, NereusError, NotFound, on_one_line
from nereus.memory.records import ArtifactRef, Record, RunRecord

if TYPE_CHECKING:
    from nereus.agents.chat.desk import Dataset, Desk


ASKED_IN = "asked_in"
"""Among the settings of a run: thread and call that it was asked for in."""


class Focus(Record):
    """What a conversation is about now: follow-ups such as "and after adjusting for age?" are understood by it."""

    dataset: str = ""
    samples: str = ""
    """Data set with the sample sheet."""
    run: str = ""
    earlier_run: str = ""
    """The run that was talked about before: what `run` is compared with."""
    objective: str = ""
    entity: str = ""
    """Key of a row of the test's table."""
    entity_name: str = ""
    molecule: str = ""
    """SMILES."""
    figure: str = ""


class Shown(Record):
    """An artifact that belongs to an answer."""

    run_id: str = ""
    id: str
    kind: str
    title: str


class Outcome(Record):
    """What an action gives back."""

    text: str
    """Markdown with references in place of numbers."""
    artifacts: tuple[Shown, ...] = ()
    notices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Names in the text that hold digits."""
    failed: bool = False
    run_id: str = ""


class Cost(Record):
    """What an action would take."""

    ask: bool = False
    """Whether a person must say yes first."""
    always: bool = False
    """Whether it is asked about under every rule, ``never`` too: what leaves Nereus for a stranger."""
    why: str = ""


@dataclass
class Turn:
    """What actions work with."""

    desk: Desk
    book: Book
    focus: Focus = field(default_factory=Focus)
    thread_id: str = ""
    tell: Callable[[Mapping[str, Any]], None] = lambda event: None
    """Sends an event to whoever listens."""
    stopped: Callable[[], bool] = lambda: False
    patience_s: float = 600.0
    """Longest that an answer waits for a run."""
    said: str = ""
    """The question, as it was asked."""
    call: str = ""
    """Thread and id of the call that is being done."""
    messages: list[Any] = field(default_factory=list)
    _records: dict[str, RunRecord] = field(default_factory=dict)
    _sources: dict[str, Sources] = field(default_factory=dict)
    _entities: dict[str, Entities] = field(default_factory=dict)

    def move(self, **changes: str) -> None:
        """Talk about something else from here on."""
        if "run" in changes and changes["run"] != self.focus.run and self.focus.run:
            changes.setdefault("earlier_run", self.focus.run)
        self.focus = self.focus.model_copy(update=changes)

    def run_id(self, given: str = "") -> str:
        """The run that is meant: the one that is named, the one talked about, or the newest."""
        if given:
            return self.desk.header(given).id
        if self.focus.run:
            try:
                return self.desk.header(self.focus.run).id
            except NotFound:
                gone = self.focus.run
                self.move(run="", earlier_run="", objective="", entity="", entity_name="", figure="")
                raise InputError(
                    f"run {gone}, which we talked about, was removed",
                    mend="ask again: then the newest run is meant, or name one; `list runs` shows them",
                ) from None
        about = self.desk.dataset(self.focus.dataset) if self.focus.dataset else None
        for header in self.desk.runs(limit=50):
            data = header.inputs.get("data")
            if about is not None and (data is None or data.id != about.artifact.id):
                continue
            if header.status in ("finished", "stopped") and not is_follow_up(header):
                return header.id
        if about is not None:
            raise InputError(f"{about.name} was not analysed yet", mend="say `analyse it`")
        raise InputError(
            "there is no run yet that could be talked about",
            mend="name a file and say `analyse it`",
        )

    def begun(self) -> str:
        """The run that this very call began before its process died; empty where it did not."""
        if not self.call:
            return ""
        known = [one.id for one in self.desk.runs(limit=50) if one.settings.get(ASKED_IN) == self.call]
        return known[-1] if known else ""

    def unended(self) -> str:
        """The newest run that this conversation began and that has not ended; empty where there is none."""
        mine = f"{self.thread_id}/"
        for one in self.desk.runs(limit=50):
            asked_in = str(one.settings.get(ASKED_IN) or "")
            if (
                self.thread_id
                and asked_in.startswith(mine)
                and one.status in ("queued", "running", "waiting")
            ):
                return one.id
        return ""

    def whole_run(self, given: str = "") -> str:
        """The run that is meant, or the one that it follows: a follow-up has no hypotheses and no profile of its own."""
        run_id = self.run_id(given)
        while is_follow_up(header := self.desk.header(run_id)):
            run_id = header.forked_from
        return run_id

    def record(self, given: str = "") -> RunRecord:
        """Record of the run that is meant."""
        run_id = self.run_id(given)
        if run_id not in self._records:
            self._records[run_id] = self.desk.record(run_id)
        return self._records[run_id]

    def again(self, run_id: str) -> None:
        """Forget what was read of a run: it has gone on."""
        self._records.pop(run_id, None)
        self._sources.pop(run_id, None)
        self._entities.pop(run_id, None)

    def sources(self, given: str = "") -> Sources:
        """Values of the run that is meant."""
        record = self.record(given)
        if record.header.id not in self._sources:
            self._sources[record.header.id] = Sources(record, self.desk.table)
        return self._sources[record.header.id]

    def entities(self, run_id: str) -> Entities:
        """What a run tested, by every name that people may use."""
        if run_id not in self._entities:
            self._entities[run_id] = Entities.of(self.sources(run_id))
        return self._entities[run_id]

    def dataset(self, given: str = "") -> Dataset:
        """The data set that is meant, with its sample sheet where one is known."""
        identity = given or self.focus.dataset
        if not identity:
            known = self.desk.datasets()
            if not known:
                raise InputError(
                    "no file was given yet",
                    mend="in a terminal `nereus chat FILE`; on the page drop a file; over REST upload it first",
                )
            identity = known[0].id
            if len(known) > 1 and not self.focus.samples:
                data, sheet = paired(known[:2])  # the newest may be the sheet of the one before
                if sheet is not None and SHEET.search(sheet.name):
                    return data.model_copy(update={"samples": sheet.artifact})
        found = self.desk.dataset(identity)
        if found.samples is None and self.focus.samples and self.focus.samples != found.id:
            found = found.model_copy(update={"samples": self.desk.dataset(self.focus.samples).artifact})
        return found

    def shown(self, ref: ArtifactRef, title: str = "", run_id: str = "") -> Shown:
        """An artifact as an answer names it."""
        return Shown(run_id=run_id, id=ref.id, kind=ref.kind.value, title=title or ref.summary or ref.name)


def trouble(error: NereusError) -> Outcome:
    """What is said where an action could not be done."""
    text = on_one_line(error.what) + (f" ({error.where})" if error.where else "")
    if text and "." not in text.split()[0]:
        text = text[0].upper() + text[1:]
    if error.mend:
        text += f". What helps: {error.mend}"
    text = text.rstrip(".") + "."
    return Outcome(text=text, names=(text,), failed=True)


__all__ = ["Cost", "Field", "Focus", "Outcome", "Shown", "Turn", "trouble"]
