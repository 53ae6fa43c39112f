"""The stream of a thread: what its runs stream, one after the other, for as long as a client follows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from nereus.api.access import Reader
from nereus.api.langgraph.requests import listed
from nereus.api.langgraph.runs import STREAM
from nereus.api.langgraph.service import Graphs, GraphService
from nereus.api.langgraph.streams import PING, event_stream, follow, frame, runs_of_thread
from nereus.api.langgraph.threads import ThreadId
from nereus.errors import NotFound
from nereus.memory.langgraph.runs import UNENDED, Run, RunStatus
from nereus.memory.langgraph.streamed import RunEvent

router = APIRouter(tags=["langgraph"])

_BETWEEN = "/"
_OF_STATE = ("values", "updates")


@router.get("/threads/{thread_id}/stream", **STREAM)
async def join_thread_stream(
    thread_id: ThreadId,
    graphs: Graphs,
    caller: Reader,
    stream_mode: Annotated[list[str] | None, Query()] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> StreamingResponse:
    """Follow a thread: the run that is at work in it now, and those that come.

    With ``run_modes`` all that its runs stream, and ``run_done`` after each; with ``lifecycle`` only beginnings and ends;
    with ``state_update`` only states. ``Last-Event-ID`` goes on after the last event that you have.
    """
    await run_in_threadpool(graphs.kept.threads.get, thread_id, caller.owner)
    modes = set(listed(stream_mode)) or {"run_modes"}
    return event_stream(_stream(graphs, thread_id, caller.owner, modes, last_event_id))


async def _stream(
    graphs: GraphService, thread_id: str, owner: str, modes: set[str], last: str | None
) -> AsyncIterator[bytes]:
    first, after, began = await run_in_threadpool(_begin, graphs, thread_id, owner, last)
    async for run in runs_of_thread(graphs, owner, thread_id, first, began):
        if run is None:
            yield PING
            continue
        async for one in follow(graphs, run.run_id, owner, after):
            if isinstance(one, RunEvent):
                after = one.seq
                if _told(one, modes):
                    yield frame(one, f"{run.run_id}{_BETWEEN}{one.seq}")
            elif one is None:
                yield PING
            elif "run_modes" in modes or "lifecycle" in modes:
                status = await run_in_threadpool(status_of, graphs, run)
                data = json.dumps({"run_id": run.run_id, "status": status})
                done = RunEvent(seq=after + 1, name="run_done", data=data)
                yield frame(done, f"{run.run_id}{_BETWEEN}{after + 1}")
        after = 0


def _begin(
    graphs: GraphService, thread_id: str, owner: str, last: str | None
) -> tuple[Run | None, int, str | None]:
    """Where a stream begins: after the event that a client has, else with the run that is at work now.

    Returns
    -------
    tuple
        The run, the number of the last event of it that is not to be told again, and where there is no run to begin with
        the moment after which the next one must have begun.
    """
    run_id, _, seq = (last or "").partition(_BETWEEN)
    if run_id and seq.isdecimal() and len(seq) < 10:
        try:
            known = graphs.kept.runs.get(run_id, owner, thread_id)
        except NotFound:
            known = None
        if known is not None:
            told = int(seq) > graphs.kept.streamed.last(run_id) and known.status not in UNENDED
            return (None, 0, known.started_at) if told else (known, int(seq), known.started_at)
    at_work = [one for one in graphs.kept.runs.unended(owner, thread_id) if one.status == "running"]
    if at_work:
        return at_work[0], 0, at_work[0].started_at
    began = [
        one.started_at for one in graphs.kept.runs.of_thread(owner, thread_id, limit=20) if one.started_at
    ]
    return None, 0, max(began, default=None)


def status_of(graphs: GraphService, run: Run) -> RunStatus:
    """How a run ended; one that is gone was taken back."""
    try:
        return graphs.kept.runs.get(run.run_id, run.owner).status
    except NotFound:
        return "interrupted"


def _told(event: RunEvent, modes: set[str]) -> bool:
    if "run_modes" in modes:
        return True
    if "lifecycle" in modes and event.name in ("metadata", "error"):
        return True
    return "state_update" in modes and event.name.split("|")[0] in _OF_STATE
