"""The thread protocol of the SDK's ``threads.stream``: commands in, and one stream of events of all runs of a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field, ValidationError

from nereus.api.access import Reader, Writer
from nereus.api.langgraph.answers import JSON, answer
from nereus.api.langgraph.asking import ask
from nereus.api.langgraph.requests import Anything, Body, Document, RunBody, checked
from nereus.api.langgraph.runs import STREAM
from nereus.api.langgraph.serialise import dumped
from nereus.api.langgraph.service import Graphs, GraphService
from nereus.api.langgraph.streams import PING, event_stream, follow, runs_of_thread
from nereus.api.langgraph.thread_streams import status_of
from nereus.api.langgraph.threads import ThreadId
from nereus.api.langgraph.told_events import CHANNELS, MODES, Teller, Wanted, moment_of, number_at
from nereus.errors import NereusError
from nereus.memory.database.engine import now
from nereus.memory.langgraph.runs import UNENDED, Run
from nereus.memory.langgraph.streamed import RunEvent
from nereus.memory.langgraph.threads import Thread

router = APIRouter(tags=["langgraph"])

_SETTLES_S = 10.0
"""How long an answer to a question waits for the run that asked it to have ended."""
_JUST_ENDED = timedelta(seconds=60)
Label = Annotated[str, Field(max_length=400)]


class Commanded(Body):
    """A command: its number, which the answer repeats, what is to be done, and with what."""

    id: Annotated[int, Field(ge=0, lt=2**53)]
    method: Annotated[str, Field(max_length=100)]
    params: Document = Field(default_factory=dict)


class Followed(Body):
    """Which events are wanted, and after which number."""

    channels: Annotated[list[Label], Field(min_length=1, max_length=100)]
    namespaces: (
        Annotated[list[Annotated[list[Label], Field(max_length=50)]], Field(max_length=100)] | None
    ) = None
    depth: Annotated[int, Field(ge=0, le=100)] | None = None
    since: Annotated[int, Field(ge=0, lt=2**53)] | None = None


class _Started(Body):
    assistant_id: str
    input: Anything = None
    config: Document = Field(default_factory=dict)
    metadata: Document = Field(default_factory=dict)


class _One(Body):
    interrupt_id: Annotated[str, Field(max_length=200)]
    response: Anything = None


class _Responded(Body):
    interrupt_id: Annotated[str, Field(max_length=200)] | None = None
    response: Anything = None
    responses: Annotated[list[_One], Field(min_length=1, max_length=200)] | None = None
    update: Document | None = None
    goto: Anything = None
    config: Document = Field(default_factory=dict)
    metadata: Document = Field(default_factory=dict)


class _Refused(Exception):
    """A command that cannot be done: code and reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@router.post("/threads/{thread_id}/commands", **JSON)
async def command_thread(thread_id: ThreadId, given: Commanded, graphs: Graphs, caller: Writer) -> Response:
    """Begin a run (``run.start``), answer what one asks (``input.respond``), or look at the state (``state.get``).

    What cannot be done is told in the answer (``type`` is ``error``), as clients of this protocol expect.
    """
    before = number_at(now())
    try:
        checked(given.params)
        if given.method == "run.start":
            result = await run_in_threadpool(_start, graphs, caller.owner, thread_id, given.params)
        elif given.method == "input.respond":
            result = await _respond(graphs, caller.owner, thread_id, given.params)
        elif given.method == "state.get":
            result = await run_in_threadpool(_values, graphs, caller.owner, thread_id, given.params)
        else:
            known = given.method.partition(".")[0] in ("subscription", "agent", "input", "state")
            raise _Refused(
                "not_supported" if known else "unknown_command",
                f"{given.method!r} is not offered here; there are run.start, input.respond and state.get",
            )
    except (_Refused, NereusError, ValidationError) as error:
        return answer({"type": "error", "id": given.id, "error": _code(error), "message": _told(error)})
    meta = {"applied_through_seq": before}
    return answer({"type": "success", "id": given.id, "result": result, "meta": meta})


@router.post("/threads/{thread_id}/stream/events", **STREAM)
async def stream_thread_events(
    thread_id: ThreadId, given: Followed, graphs: Graphs, caller: Reader
) -> StreamingResponse:
    """Events of all runs of a thread: of the one that is at work and those that come, or of all since a number."""
    await run_in_threadpool(graphs.kept.threads.get, thread_id, caller.owner)
    channels = list(CHANNELS) if "*" in given.channels else given.channels
    wanted = Wanted(channels, given.namespaces, given.depth)
    return event_stream(_stream(graphs, thread_id, caller.owner, wanted, given.since))


# ---------------------------------------------------------------------- commands


def _start(graphs: GraphService, owner: str, thread_id: str, params: dict[str, Any]) -> dict[str, Any]:
    asked = _Started.model_validate(params)
    run = ask(
        graphs,
        owner,
        thread_id,
        RunBody(
            assistant_id=asked.assistant_id,
            input=asked.input,
            config=asked.config,
            metadata=asked.metadata,
            stream_mode=MODES,
            stream_subgraphs=True,
            if_not_exists="create",
        ),
    )
    return {"run_id": run.run_id}


async def _respond(
    graphs: GraphService, owner: str, thread_id: str, params: dict[str, Any]
) -> dict[str, Any]:
    told = _Responded.model_validate(params)
    if told.responses is not None:
        answers = {one.interrupt_id: one.response for one in told.responses}
    elif told.interrupt_id is not None:
        answers = {told.interrupt_id: told.response}
    else:
        raise _Refused(
            "invalid_argument", "it is not said which question is answered: interrupt_id is missing"
        )
    thread = await _settled(graphs, thread_id, owner)
    open_ones = {one["id"] for several in thread.interrupts.values() for one in several}
    if unknown := sorted(set(answers) - open_ones):
        raise _Refused(
            "no_such_interrupt", f"nothing waits under {unknown[0]!r}; open are {sorted(open_ones)}"
        )
    assistant = thread.metadata.get("assistant_id") or thread.graph_id
    command: dict[str, Any] = {"resume": answers}
    command |= {name: one for name, one in (("update", told.update), ("goto", told.goto)) if one is not None}
    body = RunBody(
        assistant_id=str(assistant),
        command=command,
        config=told.config,
        metadata=told.metadata,
        stream_mode=MODES,
        stream_subgraphs=True,
    )
    run = await run_in_threadpool(ask, graphs, owner, thread_id, body)
    return {"run_id": run.run_id}


async def _settled(graphs: GraphService, thread_id: str, owner: str) -> Thread:
    """The thread, when the run at work in it has ended: a client answers as soon as it sees the question."""
    ends = time.monotonic() + _SETTLES_S
    while True:
        thread = await run_in_threadpool(graphs.kept.threads.get, thread_id, owner)
        if thread.status != "busy" or time.monotonic() > ends:
            return thread
        await asyncio.sleep(0.02)


def _values(graphs: GraphService, owner: str, thread_id: str, params: dict[str, Any]) -> dict[str, Any]:
    values = graphs.kept.threads.get(thread_id, owner).values or {}
    keys = params.get("keys")
    if isinstance(keys, list) and isinstance(values, dict):
        values = {key: values[key] for key in keys if key in values}
    return {"values": values}


def _code(error: Exception) -> str:
    if isinstance(error, _Refused):
        return error.code
    return "invalid_argument" if isinstance(error, ValidationError | NereusError) else "unknown_error"


def _told(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"params.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


# ---------------------------------------------------------------------- events


async def _stream(
    graphs: GraphService, thread_id: str, owner: str, wanted: Wanted, since: int | None
) -> AsyncIterator[bytes]:
    first, began = await run_in_threadpool(_begin, graphs, thread_id, owner, since)
    async for run in runs_of_thread(graphs, owner, thread_id, first, began):
        if run is None:
            yield PING
            continue
        teller = Teller(run, run.graph_id)
        async for one in follow(graphs, run.run_id, owner):
            if one is None:
                yield PING
                continue
            status = None if isinstance(one, RunEvent) else await run_in_threadpool(status_of, graphs, run)
            for event in teller.of(one) if isinstance(one, RunEvent) else teller.ended(status or "success"):
                if event["seq"] > (since or 0) and wanted.has(event):
                    yield _frame(event)
            if status is not None and since is None:
                graphs.tails.end_was_told(run.run_id)


def _frame(event: dict[str, Any]) -> bytes:
    return f"id: {event['event_id']}\nevent: {event['method']}\ndata: {dumped(event)}\n\n".encode()


def _begin(
    graphs: GraphService, thread_id: str, owner: str, since: int | None
) -> tuple[Run | None, str | None]:
    """The run with which a stream begins, if there is one yet, and the moment after which the next one must have begun."""
    if since is not None:
        found = graphs.kept.runs.last_begun(owner, thread_id, moment_of(since))
        return found, None if found is None else found.started_at
    last = graphs.kept.runs.last_begun(owner, thread_id)
    if last is None:
        return None, None
    if last.status in UNENDED:
        return last, last.started_at
    # One that a client began a moment ago may have ended before it could ask for its events: nobody has heard of its end.
    recent = datetime.now(UTC) - datetime.fromisoformat(last.updated_at) < _JUST_ENDED
    return last if recent and not graphs.tails.was_end_told(last.run_id) else None, last.started_at
