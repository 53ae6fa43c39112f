"""Runs: asked for, followed, answered, gone on with, forked, compared and read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Concatenate

import httpx

from nereus.api.labs.asking import Ask, Asks, AsyncLine, Awaits, Line, Made, P, Told, Waits, refusal, verb
from nereus.api.labs.datasets import Given, id_of
from nereus.api.labs.following import SILENCE_S, EventReader
from nereus.api.labs.shown import Listing, card
from nereus.api.labs.work import quoted, table_of
from nereus.api.views import ApprovalView, EvidenceView, Pruned, RunArtifact, RunView
from nereus.errors import InputError, NotFound
from nereus.memory.records import Event, Hypothesis

if TYPE_CHECKING:
    import pandas as pd

Listener = Callable[[Event], object]
_RUN_COLUMNS = ("id", "status", "question", "inputs", "started", "wall_s")
_HYPOTHESIS_COLUMNS = ("id", "status", "confidence", "confidence_word", "statement")


class Comparison:
    """What differs between two runs.

    Attributes
    ----------
    same_findings
        Whether both found the same.
    differences, claims, effects
        Tables: one row a difference; every claim of either; what both tested.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        import pandas as pd

        self.first, self.second = str(document["first"]), str(document["second"])
        self.same_findings = bool(document["same_findings"])
        self.equal: Mapping[str, int] = document["equal"]
        self.differences, self.claims, self.effects = (
            pd.DataFrame(document[name]["rows"], columns=document[name]["columns"])
            for name in ("differences", "claims", "effects")
        )

    def __repr__(self) -> str:
        return f"<Comparison of {self.first} and {self.second}: {len(self.differences)} differences>"

    def _repr_html_(self) -> str:
        told = {"same findings": self.same_findings, "equal": self.equal}
        table: str = self.differences.to_html(escape=True, max_rows=40, index=False)
        return card(f"{self.first} and {self.second}", told) + table


class RunVerbs:
    """A run.

    Attributes
    ----------
    seen
        What was told of it when it was last looked at.
    """

    seen: RunView

    @property
    def id(self) -> str:
        """Its id."""
        return self.seen.id

    @property
    def _path(self) -> str:
        return f"/api/runs/{quoted(self.id)}"

    def _look(self) -> Asks[RunView]:
        answer = yield Ask("GET", self._path)
        self.seen = RunView.model_validate(answer.json())
        return self.seen

    @verb
    def look(self) -> Asks[RunView]:
        """What is told of it now."""
        return (yield from self._look())

    @Told
    def status(self) -> Asks[str]:
        """``queued``, ``running``, ``waiting``, ``finished``, ``stopped``, ``cancelled``, ``refused`` or ``failed``."""
        return (yield from self._look()).status

    @Told
    def hypotheses(self) -> Asks[Listing[Hypothesis]]:
        """All hypotheses, best first; refuted ones are kept."""
        answer = yield Ask("GET", f"{self._path}/hypotheses")
        return Listing(map(Hypothesis.model_validate, answer.json()), _HYPOTHESIS_COLUMNS, "hypotheses")

    @Told
    def claims(self) -> Asks[pd.DataFrame]:
        """Every claim about a feature at the run's error level; empty where it made none."""
        import pandas as pd

        try:
            return (yield from self._output("claims"))
        except NotFound:
            return pd.DataFrame()

    @verb
    def evidence(self, evidence_id: str) -> Asks[EvidenceView]:
        """One piece of evidence, and the call that recomputes it."""
        answer = yield Ask("GET", f"{self._path}/evidence/{quoted(evidence_id)}")
        return EvidenceView.model_validate(answer.json())

    @verb
    def artifacts(self) -> Asks[Listing[RunArtifact]]:
        """Everything that its steps made."""
        answer = yield Ask("GET", f"{self._path}/artifacts")
        columns = ("step", "tool", "name", "kind", "summary")
        return Listing(map(RunArtifact.model_validate, answer.json()), columns, "artifacts")

    def _content(self, step: str, name: str) -> Asks[bytes]:
        answer = yield Ask("GET", f"{self._path}/artifacts/{quoted(step)}/{quoted(name)}")
        return answer.content

    @verb
    def content(self, step: str, name: str) -> Asks[bytes]:
        """What a step made, as it is kept: Parquet, h5ad, SVG."""
        return (yield from self._content(step, name))

    @verb
    def table(self, step: str, name: str) -> Asks[pd.DataFrame]:
        """A table that a step made."""
        return table_of((yield from self._content(step, name)))

    def _output(self, name: str) -> Asks[pd.DataFrame]:
        known = (yield Ask("GET", f"{self._path}/outputs")).json()
        if name not in known:
            raise NotFound(
                f"the run has no output {name!r}", where=f"run {self.id}", mend=f"it has {sorted(known)}"
            )
        step, _, output = str(known[name]).partition("/")
        return table_of((yield from self._content(step, output)))

    @verb
    def output(self, name: str) -> Asks[pd.DataFrame]:
        """A well-known table of the run: ``claims``, ``profile``, ``calibration`` ..."""
        return (yield from self._output(name))

    @verb
    def report(self, file: str = "report.html") -> Asks[bytes]:
        """A file of its report."""
        return (yield Ask("GET", f"{self._path}/report/{quoted(file)}")).content

    @verb
    def approvals(self, pending: bool = True) -> Asks[Listing[ApprovalView]]:
        """Questions that wait for an answer, or all."""
        answer = yield Ask("GET", f"{self._path}/approvals", {"params": {"pending": pending}})
        found = map(ApprovalView.model_validate, answer.json())
        return Listing(found, ("id", "kind", "status"), "questions")

    @verb
    def answer(self, /, approval_id: str, approve: bool = True, **more: Any) -> Asks[None]:
        """Answer a question: accept or refuse, and by its kind ``drop``, ``edit``, ``add``, ``params``, ``steps``."""
        path = f"{self._path}/approvals/{quoted(approval_id)}"
        yield Ask("POST", path, {"json": {"approve": approve, **more}})

    @verb
    def plan(self) -> Asks[dict[str, Any]]:
        """Objectives, workflows and steps as they stand, with what each step came to."""
        found: dict[str, Any] = (yield Ask("GET", f"{self._path}/plan")).json()
        return found

    @verb
    def plan_file(self) -> Asks[dict[str, Any]]:
        """The plan with which a run waits that was started with ``stop_at="plan"``: to edit, and give to `carry_out`."""
        found: dict[str, Any] = (yield Ask("GET", f"{self._path}/plan-file")).json()
        return found

    @verb
    def carry_out(self, plan: Mapping[str, Any]) -> Asks[None]:
        """Go on by a plan, edited or as it was."""
        answer = yield Ask("PUT", f"{self._path}/plan-file", {"json": dict(plan)})
        self.seen = RunView.model_validate(answer.json())

    @verb
    def cancel(self) -> Asks[None]:
        """End it, with every process that works on it."""
        yield Ask("POST", f"{self._path}/cancel")

    @verb
    def resume(self) -> Asks[None]:
        """Go on with it."""
        yield Ask("POST", f"{self._path}/resume")

    @verb
    def delete(self) -> Asks[None]:
        """Forget it, with its report."""
        yield Ask("DELETE", self._path)

    def _at_rest(self) -> Asks[None]:
        seen = yield from self._look()
        if seen.status == "refused":
            raise InputError(seen.stop_reason, where=seen.inputs.get("data"))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.seen.status}>"

    def _repr_html_(self) -> str:
        told = self.seen.model_dump(exclude={"id", "last_event"})
        return card(f"Run {self.id}", told)


class Run(RunVerbs, Waits):
    """A run of a lab or a server."""

    def __init__(self, line: Line, seen: RunView) -> None:
        super().__init__(line)
        self.seen = seen

    def events(self, after: int = 0) -> Iterator[Event]:
        """Every event above a number, once and in order, until the run ends or waits; lost connections are taken up again."""
        reader = EventReader(self.id, after)
        while not reader.is_over():
            error: Exception | None = None
            try:
                with self.line.http.stream(
                    "GET", f"{self._path}/events", headers=reader.headers, timeout=httpx.Timeout(SILENCE_S)
                ) as answer:
                    if not answer.is_success:
                        answer.read()
                        raise refusal(answer)
                    for line in answer.iter_lines():
                        event = reader.read(line)
                        if event is not None:
                            yield event
                        if reader.is_over():
                            return
            except httpx.TransportError as lost:
                error = lost
            time.sleep(reader.pause_after(error))

    def wait(self, on_event: Listener | None = None, after: int = 0) -> Run:
        """Wait until it has ended, or waits for an answer; one that does already is given back at once.

        Raises
        ------
        InputError
            The data cannot be analysed.
        """
        for event in self.events(after):
            if on_event is not None:
                on_event(event)
        self.line.carry_out(self._at_rest())
        return self


class AsyncRun(RunVerbs, Awaits):
    """A run of a lab or a server, whose verbs are awaited."""

    def __init__(self, line: AsyncLine, seen: RunView) -> None:
        super().__init__(line)
        self.seen = seen

    async def events(self, after: int = 0) -> AsyncIterator[Event]:
        """See `Run.events`."""
        reader = EventReader(self.id, after)
        while not reader.is_over():
            error: Exception | None = None
            try:
                async with self.line.http.stream(
                    "GET", f"{self._path}/events", headers=reader.headers, timeout=httpx.Timeout(SILENCE_S)
                ) as answer:
                    if not answer.is_success:
                        await answer.aread()
                        raise refusal(answer)
                    async for line in answer.aiter_lines():
                        event = reader.read(line)
                        if event is not None:
                            yield event
                        if reader.is_over():
                            return
            except httpx.TransportError as lost:
                error = lost
            await asyncio.sleep(reader.pause_after(error))

    async def wait(self, on_event: Listener | None = None, after: int = 0) -> AsyncRun:
        """See `Run.wait`."""
        async for event in self.events(after):
            if on_event is not None:
                on_event(event)
        await self.line.carry_out(self._at_rest())
        return self


def run_of(part: Waits | Awaits, seen: RunView) -> Run | AsyncRun:
    """A run as a thing of the same kind as what it was asked of."""
    return Run(part.line, seen) if isinstance(part, Waits) else AsyncRun(part.line, seen)


def run_verb(describe: Callable[Concatenate[Any, P], Asks[RunView]]) -> Made[P, Run, AsyncRun]:
    """Make a verb that gives a run."""
    return Made(describe, run_of)


def asked_for(
    data: Given,
    samples: Given | None = None,
    *,
    cohort: Given | None = None,
    cohort_samples: Given | None = None,
    layers: Mapping[str, Given] | None = None,
    **asked: Any,
) -> Asks[RunView]:
    """Ask for a run; files are uploaded first."""
    body: dict[str, Any] = {"data": (yield from id_of(data)), "layers": {}, **asked}
    given = {"samples": samples, "cohort": cohort, "cohort_samples": cohort_samples}
    for role, one in given.items():
        if one is not None:
            body[role] = yield from id_of(one)
    for name, one in (layers or {}).items():
        body["layers"][name] = yield from id_of(one)
    answer = yield Ask("POST", "/api/runs", {"json": body})
    return RunView.model_validate(answer.json())


class RunsVerbs:
    """The runs."""

    @run_verb
    def start(self, /, data: Given, samples: Given | None = None, **asked: Any) -> Asks[RunView]:
        """Ask for a run, and go on at once.

        Parameters
        ----------
        data, samples
            Files, which are uploaded, or data sets.
        **asked
            ``cohort``, ``cohort_samples``, ``layers`` (further files); ``question``, ``budget``, ``load``, ``seed``,
            ``approval``, ``policy``; ``stop_at="plan"`` to edit the plan first.
        """
        return (yield from asked_for(data, samples, **asked))

    @run_verb
    def get(self, run_id: str) -> Asks[RunView]:
        """A run by its id."""
        answer = yield Ask("GET", f"/api/runs/{quoted(run_id)}")
        return RunView.model_validate(answer.json())

    @verb
    def list(self, limit: int = 50) -> Asks[Listing[RunView]]:
        """Your runs, newest first."""
        answer = yield Ask("GET", "/api/runs", {"params": {"limit": limit}})
        return Listing(map(RunView.model_validate, answer.json()), _RUN_COLUMNS, "runs")

    @run_verb
    def fork(self, run_id: str, at: str, edit: Mapping[str, Any] | None = None) -> Asks[RunView]:
        """Go another way from a question of a run on, as a new run; see `nereus.fork`."""
        answer = yield Ask(
            "POST", f"/api/runs/{quoted(run_id)}/forks", {"json": {"at": at, "edit": dict(edit or {})}}
        )
        return RunView.model_validate(answer.json())

    @verb
    def compare(self, first: str, second: str) -> Asks[Comparison]:
        """What differs between two runs."""
        answer = yield Ask("GET", "/api/comparisons", {"params": {"first": first, "second": second}})
        return Comparison(answer.json())

    @verb
    def prune(
        self, keep: int | None = None, older_than_days: float | None = None, dry_run: bool = True
    ) -> Asks[Pruned]:
        """Forget older runs; with `dry_run` only tell which would go."""
        body = {"keep": keep, "older_than_days": older_than_days, "dry_run": dry_run}
        return Pruned.model_validate((yield Ask("POST", "/api/runs/prune", {"json": body})).json())


class Runs(RunsVerbs, Waits):
    """The runs."""


class AsyncRuns(RunsVerbs, Awaits):
    """The runs, with verbs that are awaited."""
