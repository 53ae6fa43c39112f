"""Verbs on runs: start one, follow it, read what it found and the evidence behind it, end it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import Response
from mcp import types
from pydantic import BaseModel, Field

from nereus.api.mcp.asked import Asked
from nereus.api.mcp.findings import evidence_document, hypotheses_of
from nereus.api.mcp.uris import run_uri
from nereus.api.mcp.verbs import Answer, Arguments, Verb
from nereus.api.mcp.works import MAX_WAIT_S
from nereus.api.routes import runs
from nereus.api.views import RunView
from nereus.memory.records import RUN_ENDED

_LOOK_S = 0.5
RUN_PATTERN = "^r[0-9a-f]{10}-[0-9]{1,9}$"
RunName = Annotated[str, Field(pattern=RUN_PATTERN, description="Id of the run.")]


class StartArguments(Arguments):
    """What is asked for."""

    data: str
    """Data set with the table of intensities, or of cells."""
    samples: str | None = None
    """Data set with the sample sheet."""
    question: Annotated[str, Field(max_length=2000)] | None = None
    """What you want to know, in your words."""
    budget: list[Annotated[str, Field(max_length=60)]] = Field(default_factory=list, max_length=20)
    """Limits, as ``steps=40`` or ``wall_s=300``."""
    load: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the reader where it should not decide alone."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class RunArguments(Arguments):
    """Which run."""

    run: RunName


class FollowArguments(RunArguments):
    """Which run, and how long."""

    after: Annotated[int, Field(ge=0)] = 0
    """Number of the last event that you have."""
    wait_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 30
    """Seconds to follow it, unless it ends before."""


class RunsArguments(Arguments):
    """Which runs."""

    limit: Annotated[int, Field(ge=1, le=200)] = 20
    before: str | None = None
    """Only runs older than this one."""


class HypothesesArguments(RunArguments):
    """Which hypotheses of which run."""

    limit: Annotated[int, Field(ge=1, le=200)] = 20
    start: Annotated[int, Field(ge=0)] = 0


class EvidenceArguments(RunArguments):
    """Which evidence."""

    evidence: Annotated[str, Field(pattern="^E[0-9]{1,9}$")]
    """Id, as hypotheses name it: ``E12``."""


class RunAnswer(Answer):
    """A run."""

    run: RunView
    uri: str

    def links(self) -> list[types.ResourceLink]:
        """The run, and its report where it has ended."""
        found = [types.ResourceLink(type="resource_link", uri=self.uri, name=self.run.id)]
        if self.run.status in ("finished", "stopped"):
            at = run_uri(self.run.id, "report")
            found.append(types.ResourceLink(type="resource_link", uri=at, name="report"))
        return found


class RunList(Answer):
    """Your runs, newest first."""

    runs: list[RunView]


class EventLine(BaseModel):
    """One event of a run."""

    seq: int
    type: str
    subject: str
    payload: dict[str, Any]


class Followed(Answer):
    """What was new."""

    status: str
    events: list[EventLine]
    last: int
    """Number of the last event; ask again with it in `after`."""
    ended: bool


class Hypotheses(Answer):
    """What a run found, best first. Every number in a statement is read from the evidence that it names."""

    hypotheses: list[dict[str, Any]]
    n_total: int
    next_start: int | None


class EvidenceAnswer(Answer):
    """One piece of evidence: where the value lies, and the call that recomputes it."""

    evidence: dict[str, Any]
    call: dict[str, Any] | None


def _answer(view: RunView) -> RunAnswer:
    return RunAnswer(run=view, uri=run_uri(view.id))


async def _start(asked: Asked, given: StartArguments) -> RunAnswer:
    def queue() -> RunView:
        asked.before_work()
        request = runs.RunRequest.model_validate(given.model_dump())
        return runs.create_run(request, Response(), asked.state, asked.caller)

    return _answer(await run_sync(queue))


async def _get(asked: Asked, given: RunArguments) -> RunAnswer:
    return _answer(await run_sync(runs.view, asked.state, asked.caller, given.run))


async def _list(asked: Asked, given: RunsArguments) -> RunList:
    return RunList(runs=await run_sync(runs.list_runs, asked.state, asked.caller, given.limit, given.before))


async def _follow(asked: Asked, given: FollowArguments) -> Followed:
    """Events as they come: each is told as progress, and the new ones are the answer."""
    ends = time.monotonic() + given.wait_s
    after, found = given.after, list[EventLine]()
    bell = asked.state.hub.follow(given.run)
    try:
        while True:
            bell.clear()
            view = await run_sync(runs.view, asked.state, asked.caller, given.run)
            for event in await run_sync(asked.state.workspace.events.read, given.run, after, 1000):
                after = event.seq
                found.append(
                    EventLine(seq=event.seq, type=event.type, subject=event.subject, payload=event.payload)
                )
                await asked.progress(event.seq, None, f"{event.type} {event.subject}".strip())
            ended = view.status in RUN_ENDED or view.status == "waiting"
            left = ends - time.monotonic()
            if (ended and after >= view.last_event) or left <= 0:
                return Followed(status=view.status, events=found, last=after, ended=view.status in RUN_ENDED)
            with anyio.move_on_after(min(left, _LOOK_S)):
                await bell.wait()
    finally:
        asked.state.hub.leave(given.run, bell)


async def _hypotheses(asked: Asked, given: HypothesesArguments) -> Hypotheses:
    found = await run_sync(hypotheses_of, asked, given.run)
    ends = given.start + given.limit
    return Hypotheses(
        hypotheses=found[given.start : ends],
        n_total=len(found),
        next_start=ends if ends < len(found) else None,
    )


async def _evidence(asked: Asked, given: EvidenceArguments) -> EvidenceAnswer:
    return EvidenceAnswer(**await run_sync(evidence_document, asked, given.run, given.evidence))


async def _cancel(asked: Asked, given: RunArguments) -> RunAnswer:
    return _answer(await run_sync(runs.cancel_run, given.run, asked.state, asked.caller))


VERBS: tuple[Verb[Any], ...] = (
    Verb(
        "run_start",
        "Start a run",
        "Start an autonomous analysis of a data set: it asks its own questions, tests them, and gives ranked hypotheses "
        "whose numbers lead to evidence. Answers at once with the run; follow it with run_follow.",
        StartArguments,
        RunAnswer,
        _start,
        scope="write",
    ),
    Verb(
        "run_follow",
        "Follow a run",
        "Wait for news of a run: events as progress while it goes, and those that came as the answer. Ask again until "
        "`ended` is true.",
        FollowArguments,
        Followed,
        _follow,
    ),
    Verb("run_list", "List runs", "Your runs, newest first.", RunsArguments, RunList, _list),
    Verb("run_get", "Look at a run", "How a run is.", RunArguments, RunAnswer, _get),
    Verb(
        "run_hypotheses",
        "What a run found",
        "What a run found, best first, each with its evidence, caveats, competing explanations and the next experiment.",
        HypothesesArguments,
        Hypotheses,
        _hypotheses,
    ),
    Verb(
        "evidence_get",
        "Look at evidence",
        "One piece of evidence: the value, the table row it is read from, and the call that recomputes it.",
        EvidenceArguments,
        EvidenceAnswer,
        _evidence,
    ),
    Verb(
        "run_cancel",
        "End a run",
        "End a run with every process that works on it. What was found stays, and it can be resumed.",
        RunArguments,
        RunAnswer,
        _cancel,
        scope="write",
        destructive=True,
    ),
)
