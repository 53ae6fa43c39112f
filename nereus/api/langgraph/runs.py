"""Runs: asked for, streamed, waited for, joined, ended and forgotten; in a thread, or without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, Field

from nereus.api.access import Reader, Writer
from nereus.api.langgraph.answers import FAULTS, JSON, NOTHING, answer, selected
from nereus.api.langgraph.asking import ask
from nereus.api.langgraph.requests import BatchedRunBody, Body, RunBody, checked, listed
from nereus.api.langgraph.serialise import dumped
from nereus.api.langgraph.service import Graphs, GraphService
from nereus.api.langgraph.streams import MEDIA_TYPE, ended, event_stream, number, run_stream
from nereus.api.langgraph.threads import ThreadId
from nereus.errors import InputError, NotFound, ResumeRefused
from nereus.memory.langgraph.runs import UNENDED, CancelAction, Run, RunStatus

router = APIRouter(tags=["langgraph"])

RunId = Annotated[str, Path(min_length=1, max_length=64), AfterValidator(checked)]
Modes = Annotated[list[Annotated[str, Field(max_length=400)]] | None, Query()]
LastEvent = Annotated[str | None, Header(alias="Last-Event-ID")]
STREAM: dict[str, Any] = {
    "response_class": StreamingResponse,
    "responses": {
        200: {
            "description": "Events as they come; ``Last-Event-ID`` goes on after one.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **FAULTS,
    },
}


class ManyRuns(Body):
    """Which runs are ended."""

    thread_id: Annotated[str, Field(max_length=64), AfterValidator(checked)] | None = None
    run_ids: Annotated[list[Annotated[str, AfterValidator(checked)]], Field(max_length=500)] | None = None
    status: Literal["pending", "running", "all"] | None = None


# ---------------------------------------------------------------------- without a thread


@router.post("/runs", name="create_stateless_run", **JSON)
def create_stateless_run(given: RunBody, graphs: Graphs, caller: Writer) -> Response:
    """Ask for a run without a thread."""
    return _created(ask(graphs, caller.owner, None, given))


@router.post("/runs/batch", **JSON)
def create_batch(given: list[BatchedRunBody], graphs: Graphs, caller: Writer) -> Response:
    """Ask for several runs at once."""
    if len(given) > _MOST:
        raise InputError(f"{len(given)} runs are asked for at once", mend=f"ask for {_MOST} at most")
    return answer([_document(ask(graphs, caller.owner, one.thread_id, one)) for one in given])


@router.post("/runs/stream", name="stream_stateless_run", **STREAM)
async def stream_stateless_run(given: RunBody, graphs: Graphs, caller: Writer) -> StreamingResponse:
    """Ask for a run without a thread, and follow it."""
    return await _streamed(graphs, caller.owner, None, given)


@router.post("/runs/wait", name="wait_stateless_run", **JSON)
async def wait_stateless_run(given: RunBody, graphs: Graphs, caller: Writer) -> StreamingResponse:
    """Ask for a run without a thread, and wait for its values."""
    return await _waited(graphs, caller.owner, None, given)


@router.post("/runs/cancel", **NOTHING)
def cancel_runs(given: ManyRuns, graphs: Graphs, caller: Writer, action: CancelAction = "interrupt") -> None:
    """End several runs: those that are named, those of a thread, or all of a status."""
    if given.status is None and given.thread_id is None and not given.run_ids:
        raise InputError("it is not said which runs are meant", mend="give status, or thread_id with run_ids")
    for run in graphs.kept.runs.unended(caller.owner, given.thread_id, given.run_ids):
        if given.status in (None, "all", run.status):
            graphs.cancel(run, action)


# ---------------------------------------------------------------------- in a thread


@router.post("/threads/{thread_id}/runs", **JSON)
def create_thread_run(thread_id: ThreadId, given: RunBody, graphs: Graphs, caller: Writer) -> Response:
    """Ask for a run in a thread."""
    return _created(ask(graphs, caller.owner, thread_id, given))


@router.get("/threads/{thread_id}/runs", **JSON)
def list_thread_runs(
    thread_id: ThreadId,
    graphs: Graphs,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    status: RunStatus | None = None,
    select: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Runs of a thread, newest first."""
    graphs.kept.threads.get(thread_id, caller.owner)
    found = graphs.kept.runs.of_thread(caller.owner, thread_id, status, limit, offset)
    return answer([selected(_document(one), listed(select)) for one in found])


@router.post("/threads/{thread_id}/runs/stream", **STREAM)
async def stream_thread_run(
    thread_id: ThreadId, given: RunBody, graphs: Graphs, caller: Writer
) -> StreamingResponse:
    """Ask for a run in a thread, and follow it."""
    return await _streamed(graphs, caller.owner, thread_id, given)


@router.post("/threads/{thread_id}/runs/wait", **JSON)
async def wait_thread_run(
    thread_id: ThreadId, given: RunBody, graphs: Graphs, caller: Writer
) -> StreamingResponse:
    """Ask for a run in a thread, and wait for the values of the thread after it."""
    return await _waited(graphs, caller.owner, thread_id, given)


@router.get("/threads/{thread_id}/runs/{run_id}", **JSON)
def get_thread_run(thread_id: ThreadId, run_id: RunId, graphs: Graphs, caller: Reader) -> Response:
    """One run."""
    return answer(_document(graphs.kept.runs.get(run_id, caller.owner, thread_id)))


@router.delete("/threads/{thread_id}/runs/{run_id}", **NOTHING)
def delete_thread_run(thread_id: ThreadId, run_id: RunId, graphs: Graphs, caller: Writer) -> None:
    """Forget a run that has ended; the states that it made stay."""
    run = graphs.kept.runs.get(run_id, caller.owner, thread_id)
    if run.status in UNENDED:
        raise ResumeRefused("the run is at work", where=f"run {run_id}", mend="cancel it first")
    graphs.kept.runs.delete(run_id, caller.owner)


@router.post("/threads/{thread_id}/runs/{run_id}/cancel", **JSON)
async def cancel_thread_run(
    thread_id: ThreadId,
    run_id: RunId,
    graphs: Graphs,
    caller: Writer,
    wait: Annotated[bool, Query()] = False,
    action: CancelAction = "interrupt",
) -> Response:
    """End a run; with ``rollback`` the run and the states that it made are forgotten."""
    run = await run_in_threadpool(graphs.kept.runs.get, run_id, caller.owner, thread_id)
    if run.status not in UNENDED:
        raise ResumeRefused(
            f"the run has ended: {run.status}",
            where=f"run {run_id}",
            mend="an ended run is deleted, not ended",
        )
    await run_in_threadpool(graphs.cancel, run, action)
    if not wait:
        return Response(status_code=202)
    async for _ in ended(graphs, run_id, caller.owner):
        continue
    return Response(status_code=204)


@router.get("/threads/{thread_id}/runs/{run_id}/join", **JSON)
async def join_thread_run(
    thread_id: ThreadId,
    run_id: RunId,
    graphs: Graphs,
    caller: Reader,
    cancel_on_disconnect: bool = False,
) -> StreamingResponse:
    """Wait for a run, and give the values of the thread after it."""
    run = await run_in_threadpool(graphs.kept.runs.get, run_id, caller.owner, thread_id)
    cancels = cancel_on_disconnect and "write" in caller.scopes
    return StreamingResponse(_values(graphs, run, cancels), media_type="application/json")


@router.get("/threads/{thread_id}/runs/{run_id}/stream", **STREAM)
async def join_thread_run_stream(
    thread_id: ThreadId,
    run_id: RunId,
    graphs: Graphs,
    caller: Reader,
    stream_mode: Modes = None,
    cancel_on_disconnect: bool = False,
    last_event_id: LastEvent = None,
) -> StreamingResponse:
    """Follow a run, from its beginning or after the last event that you have."""
    run = await run_in_threadpool(graphs.kept.runs.get, run_id, caller.owner, thread_id)
    cancels = cancel_on_disconnect and "write" in caller.scopes
    return event_stream(
        run_stream(graphs, run.run_id, caller.owner, number(last_event_id), listed(stream_mode), cancels),
        _place(run),
    )


_MOST = 200
"""Runs that are asked for at once."""


async def _streamed(
    graphs: GraphService, owner: str, thread_id: str | None, given: RunBody
) -> StreamingResponse:
    run = await run_in_threadpool(ask, graphs, owner, thread_id, given)
    cancels = given.on_disconnect == "cancel"
    return event_stream(run_stream(graphs, run.run_id, owner, 0, None, cancels), _place(run))


async def _waited(
    graphs: GraphService, owner: str, thread_id: str | None, given: RunBody
) -> StreamingResponse:
    run = await run_in_threadpool(ask, graphs, owner, thread_id, given)
    place = _place(run)
    return StreamingResponse(
        _values(graphs, run, given.on_disconnect == "cancel"),
        media_type="application/json",
        headers={"location": f"{place}/join", "content-location": place},
    )


async def _values(graphs: GraphService, run: Run, cancels: bool) -> AsyncIterator[bytes]:
    """Blanks while a run is at work, then the values of its thread, or why it failed."""
    finished = False
    try:
        async for blank in ended(graphs, run.run_id, run.owner):
            yield blank
        finished = True
        yield dumped(await run_in_threadpool(_outcome, graphs, run)).encode()
    finally:
        if cancels and not finished:
            graphs.engine.aside(graphs.cancel_by_id, run.run_id, run.owner)


def _outcome(graphs: GraphService, run: Run) -> Any:
    try:
        now_is = graphs.kept.runs.get(run.run_id, run.owner)
        thread = graphs.kept.threads.get(run.thread_id, run.owner)
    except NotFound:  # taken back, or forgotten with its thread
        return None
    if now_is.status == "error":
        return {"__error__": _failure(now_is.error)}
    values = thread.values
    if thread.interrupts and isinstance(values, dict):
        asked = [one for several in thread.interrupts.values() for one in several]
        return {**values, "__interrupt__": asked}
    return values


def _failure(error: str | None) -> Any:
    import json

    try:
        return json.loads(error or "")
    except ValueError:
        return {"error": "Error", "message": error or "the run failed"}


def _document(run: Run) -> dict[str, Any]:
    return run.model_dump(exclude={"error"})


def _created(run: Run) -> Response:
    place = _place(run)
    return answer(_document(run), {"content-location": place})


def _place(run: Run) -> str:
    return f"/threads/{run.thread_id}/runs/{run.run_id}"
