"""The event stream of a run: as server-sent events that go on where a reader left, or as a page of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from nereus.api.access import Reader, State
from nereus.api.problems import documented
from nereus.api.routes.runs import RunId, owned, shown_status
from nereus.api.state import ServerState
from nereus.memory.records import Event

router = APIRouter(prefix="/api/runs", tags=["runs"])

END = "end"
"""Last event of a stream: the run has ended, or waits for an answer; its data hold the status."""
_PAGE = 1000
_PING_S = 15
_ENDED = ("finished", "stopped", "cancelled", "refused", "failed")
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
    follow: Annotated[bool, Query(description="Whether the stream goes on until the run ends.")] = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Events above a number. With ``Accept: text/event-stream`` the stream goes on while the run does.

    Each event carries its number as its id, so that a browser that lost the connection goes on where it was
    (``Last-Event-ID`` goes before `after`). The last one is ``end``.
    """
    await run_in_threadpool(owned, state, caller, run_id)
    if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 10:
        after = int(last_event_id)
    if _EVENT_STREAM in request.headers.get("accept", ""):
        return EventSourceResponse(
            _stream(state, caller.owner, run_id, after, follow),
            ping=_PING_S,
            headers={"x-accel-buffering": "no"},
        )
    found = await run_in_threadpool(state.workspace.events.read, run_id, after, _PAGE)
    return JSONResponse([document(one) for one in found])


def document(event: Event) -> dict[str, Any]:
    """An event as JSON."""
    return event.model_dump(mode="json")


async def _stream(
    state: ServerState, owner: str, run_id: str, after: int, follow: bool
) -> AsyncIterator[ServerSentEvent]:
    bell = state.hub.follow(run_id)
    try:
        while True:
            bell.clear()
            # The status is read before the events: one written between the two is found by one more look.
            status = await run_in_threadpool(_status, state, owner, run_id)
            new = await run_in_threadpool(state.workspace.events.read, run_id, after, _PAGE)
            for event in new:
                after = event.seq
                yield ServerSentEvent(
                    json.dumps(document(event), separators=(",", ":")), event=event.type, id=str(event.seq)
                )
            if new:
                continue
            if status in (*_ENDED, None) or not follow:
                yield ServerSentEvent(json.dumps({"status": status}), event=END)
                return
            await _rung(bell)
    finally:
        state.hub.leave(run_id, bell)


async def _rung(bell: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(bell.wait(), _PING_S)
    except TimeoutError:
        return


def _status(state: ServerState, owner: str, run_id: str) -> str | None:
    """Status of a run as it is shown; None where it was deleted meanwhile."""
    work = state.jobs.unended_runs(owner).get(run_id)  # read first: a job ends after its run
    status = state.workspace.repository.status(run_id)
    return None if status is None else shown_status(status, work)
