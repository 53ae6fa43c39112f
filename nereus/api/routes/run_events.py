"""The event stream of a run: as server-sent events that go on where a reader left, or as a page of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from nereus.api.access import Reader, State
from nereus.api.problems import documented
from nereus.api.routes.runs import RunId
from nereus.api.state import ServerState
from nereus.api.views import shown_status
from nereus.errors import NotFound
from nereus.memory.records import RUN_ENDED, Event

router = APIRouter(prefix="/api/runs", tags=["runs"])

END = "end"
"""Last event of a stream: the run has ended, or waits for an answer; its data hold the status."""
_PAGE = 1000
_PING_S = 15
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
    first = await run_in_threadpool(_look, state, caller.owner, run_id, after)
    if first is None:
        raise NotFound(f"there is no run {run_id!r}", mend="list the runs to see which there are")
    if _EVENT_STREAM in request.headers.get("accept", ""):
        return EventSourceResponse(
            _stream(state, caller.owner, run_id, first, after, follow),
            ping=_PING_S,
            headers={"x-accel-buffering": "no"},
        )
    return JSONResponse([document(one) for one in first.events])


def document(event: Event) -> dict[str, Any]:
    """An event as JSON."""
    return event.model_dump(mode="json")


@dataclass(frozen=True)
class _Look:
    """What one look at a run found: its status as it is shown, and what is new."""

    status: str
    events: list[Event]


async def _stream(
    state: ServerState, owner: str, run_id: str, first: _Look, after: int, follow: bool
) -> AsyncIterator[ServerSentEvent]:
    bell = state.hub.follow(run_id)
    seen: _Look | None = first
    try:
        while seen is not None:
            for event in seen.events:
                after = event.seq
                yield ServerSentEvent(
                    json.dumps(document(event), separators=(",", ":")), event=event.type, id=str(event.seq)
                )
            # An end is told by a look that finds nothing new: what is written between its reads is not lost.
            if not seen.events:
                if seen.status in _AT_REST or not follow:
                    break
                await _rung(bell)
            bell.clear()
            seen = await run_in_threadpool(_look, state, owner, run_id, after)
        yield ServerSentEvent(json.dumps({"status": None if seen is None else seen.status}), event=END)
    finally:
        state.hub.leave(run_id, bell)


async def _rung(bell: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(bell.wait(), _PING_S)
    except TimeoutError:
        return


def _look(state: ServerState, owner: str, run_id: str, after: int) -> _Look | None:
    """Look at a run of an owner; None where there is none, or it was deleted meanwhile."""
    work = state.jobs.unended_runs(owner).get(run_id)  # read first: a job ends after its run
    status = state.workspace.repository.status(run_id, owner)
    if status is None:
        return None
    return _Look(shown_status(status, work), state.workspace.events.read(run_id, after, _PAGE))
