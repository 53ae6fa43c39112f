"""The event stream of a run: as server-sent events that go on where a reader left, or as a page of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from nereus.api.access import Reader, State
from nereus.api.problems import documented
from nereus.api.routes.runs import RunId
from nereus.api.run_looks import Look, look
from nereus.api.state import ServerState
from nereus.errors import NotFound
from nereus.memory.records import RUN_ENDED

router = APIRouter(prefix="/api/runs", tags=["runs"])

END = "end"
"""Last event of a stream: the run has ended, or waits for an answer; its data hold the status."""
_PING_S = 15
_PING = ": still there\n\n"
_AT_REST = (*RUN_ENDED, "waiting")
_EVENT_STREAM = "text/event-stream"
_FAULTS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@router.get(
    "/{run_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "The events, numbered without gaps.",
            "content": {
                _EVENT_STREAM: {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
            },
        },
        **documented(*_FAULTS),
    },
)
async def events(
    run_id: RunId,
    request: Request,
    state: State,
    caller: Reader,
    after: Annotated[int, Query(ge=0, lt=2**31, description="Number of the last event that you have.")] = 0,
    follow: Annotated[
        bool, Query(description="Whether the stream goes on until the run ends or waits.")
    ] = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Events above a number. With ``Accept: text/event-stream`` the stream goes on while the run does.

    Each event carries its number as its id, so that a browser that lost the connection goes on where it was
    (``Last-Event-ID`` goes before `after`). The last one is ``end``, when the run has ended or waits for an answer.
    """
    if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 10:
        after = int(last_event_id)
    database = state.workspace.database
    first = await run_in_threadpool(look, database, caller.owner, run_id, after)
    if first is None:
        raise NotFound(f"there is no run {run_id!r}", mend="list the runs to see which there are")
    if _EVENT_STREAM in request.headers.get("accept", ""):
        return StreamingResponse(
            _stream(state, caller.owner, run_id, first, after, follow),
            media_type=_EVENT_STREAM,
            headers={"x-accel-buffering": "no", "cache-control": "no-store"},
        )
    page = ",".join(one.data for one in first.events)
    return Response(f"[{page}]", media_type="application/json")


async def _stream(
    state: ServerState, owner: str, run_id: str, first: Look, after: int, follow: bool
) -> AsyncIterator[str]:
    """What each look found, in one part; a comment where nothing came for a while."""
    bell = state.hub.follow(run_id)
    seen: Look | None = first
    try:
        while seen is not None:
            if seen.events:
                after = seen.events[-1].seq
                yield "".join(
                    f"id: {one.seq}\nevent: {one.type}\ndata: {one.data}\n\n" for one in seen.events
                )
            # An end is told by a look that finds nothing new: what is written between its reads is not lost.
            elif seen.status in _AT_REST or not follow:
                break
            elif not await _rung(bell):
                yield _PING
            bell.clear()
            seen = await run_in_threadpool(look, state.workspace.database, owner, run_id, after)
        status = json.dumps({"status": None if seen is None else seen.status})
        yield f"event: {END}\ndata: {status}\n\n"
    finally:
        state.hub.leave(run_id, bell)


async def _rung(bell: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(bell.wait(), _PING_S)
    except TimeoutError:
        return False
    return True
