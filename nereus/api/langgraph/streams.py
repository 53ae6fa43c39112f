"""Streams of runs as server-sent events: numbered, kept, and gone on with after the last one that a client has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from nereus.errors import NotFound
from nereus.memory.langgraph.runs import UNENDED, Run, RunStatus
from nereus.memory.langgraph.streamed import RunEvent

if TYPE_CHECKING:
    from nereus.api.langgraph.service import GraphService

MEDIA_TYPE = "text/event-stream"
_ALWAYS = ("metadata", "error")
_PING_S = 10.0
_ELSEWHERE_S = 0.5
"""How often the database is asked for a run that another server may be working on."""
_NEXT_S = 0.3
"""How often it is asked for the next run of a thread."""
PING = b": still there\n"
"""A comment without an empty line after it: some clients take one for an event without a name."""


def frame(event: RunEvent, identity: str) -> bytes:
    """An event on the wire."""
    return f"id: {identity}\nevent: {event.name}\ndata: {event.data}\n\n".encode()


END = b"event: end\ndata: null\n\n"
"""The run has ended, and there is nothing more."""


def shown(event: RunEvent, modes: Collection[str] | None) -> bool:
    """Whether an event belongs to the modes that were asked for."""
    if not modes or event.name in _ALWAYS:
        return True
    kind = event.name.split("|")[0].split("/")[0]
    return kind in modes or (kind == "messages" and "messages-tuple" in modes)


def number(last_event_id: str | None) -> int:
    """The number of the last event that a client has; 0 where it has none or sends what is no number of ours."""
    if last_event_id is None or not last_event_id.isdecimal() or len(last_event_id) > 9:
        return 0
    return int(last_event_id)


async def follow(
    graphs: GraphService, run_id: str, owner: str, after: int = 0
) -> AsyncIterator[RunEvent | RunStatus | None]:
    """Events of a run above a number, until it has ended; then how it ended. None where nothing came for a while."""
    bell = graphs.tails.follow(run_id)
    try:
        while True:
            bell.clear()
            here = graphs.tails.look(run_id, after)
            if here is not None:
                events, ended = here
                status: RunStatus | None = None
            else:
                status, events = await run_in_threadpool(graphs.kept.streamed.look, run_id, owner, after)
                ended = status not in UNENDED
            for event in events:
                after = event.seq
                yield event
            if events:
                continue
            if ended:
                yield status or "success"
                return
            pause = _PING_S if here is not None else _ELSEWHERE_S
            try:
                await asyncio.wait_for(bell.wait(), pause)
            except TimeoutError:
                if here is not None:
                    yield None
    finally:
        graphs.tails.leave(run_id, bell)


async def ended(graphs: GraphService, run_id: str, owner: str) -> AsyncIterator[bytes]:
    """Wait for the end of a run; now and then a blank, which JSON takes before a document."""
    bell = graphs.tails.follow(run_id)
    waited = 0.0
    try:
        while True:
            bell.clear()
            here = graphs.tails.look(run_id, 0)
            if here is not None and here[1]:
                return
            if here is None:
                status, _ = await run_in_threadpool(graphs.kept.streamed.look, run_id, owner, 0, 1)
                if status not in UNENDED:
                    return
            try:
                await asyncio.wait_for(bell.wait(), _ELSEWHERE_S if here is None else _PING_S)
            except TimeoutError:
                waited += _ELSEWHERE_S if here is None else _PING_S
                if waited >= _PING_S:
                    waited = 0.0
                    yield b" "
    finally:
        graphs.tails.leave(run_id, bell)


async def runs_of_thread(
    graphs: GraphService, owner: str, thread_id: str, first: Run | None, began: str | None
) -> AsyncIterator[Run | None]:
    """Runs of a thread as they begin, one after the other, until it is forgotten. None where none came for a while.

    Parameters
    ----------
    first
        The run to begin with.
    began
        Where there is none: the moment after which the next one must have begun.
    """
    if first is not None:
        yield first
        began = first.started_at
    silent = 0.0
    while True:
        try:
            run = await run_in_threadpool(graphs.kept.runs.next_in_thread, owner, thread_id, began)
            await run_in_threadpool(graphs.kept.threads.get, thread_id, owner)
        except NotFound:  # forgotten meanwhile
            return
        if run is not None:
            silent = 0.0
            yield run
            began = run.started_at
            continue
        silent += _NEXT_S
        if silent >= _PING_S:
            silent = 0.0
            yield None
        await asyncio.sleep(_NEXT_S)


async def run_stream(
    graphs: GraphService,
    run_id: str,
    owner: str,
    after: int,
    modes: Collection[str] | None,
    cancels: bool,
) -> AsyncIterator[bytes]:
    """The stream of a run.

    Parameters
    ----------
    modes
        Of what it streams, what is told; all where None.
    cancels
        Whether the run is ended when the client goes.
    """
    finished = False
    try:
        async for one in follow(graphs, run_id, owner, after):
            if isinstance(one, RunEvent):
                if shown(one, modes):
                    yield frame(one, str(one.seq))
            elif one is None:
                yield PING
            else:
                finished = True
                yield END
    finally:
        if cancels and not finished:  # what is cancelled here cannot wait
            graphs.engine.aside(graphs.cancel_by_id, run_id, owner)


def event_stream(content: AsyncIterator[bytes], location: str | None = None) -> StreamingResponse:
    """An answer that streams events."""
    headers = {"x-accel-buffering": "no", "cache-control": "no-store"}
    if location is not None:
        headers |= {"location": f"{location}/stream", "content-location": location}
    return StreamingResponse(content, media_type=MEDIA_TYPE, headers=headers)
