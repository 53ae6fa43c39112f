"""Conversations: threads, messages, and the approvals that answers wait for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from nereus.api.access import Caller, Reader, State, Writer
from nereus.api.artifact_files import content
from nereus.api.problems import documented
from nereus.api.state import ServerState
from nereus.errors import NotFound
from nereus.memory.records import ArtifactRef
from nereus.memory.threads import Thread, ThreadEvent

if TYPE_CHECKING:
    from nereus.api.chat_turns import ChatTurns

router = APIRouter(prefix="/api/threads", tags=["threads"])

ThreadId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")]
Patience = Annotated[
    float,
    Query(ge=0, le=600, description="Longest that the answer waits for a run that it began, in seconds."),
]
LONGEST_MESSAGE = 100_000
_EVENT_STREAM = "text/event-stream"
_PING_S = 15
_LOOK_S = 0.04
_TURN_S = 900.0
ANSWER_PART = "answer_part"
_FAULTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)
_ONE = (*_FAULTS, HTTPStatus.NOT_FOUND)
_ASKED = (*_ONE, HTTPStatus.CONFLICT)
_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What was said and happened, numbered; the last event is `end`.",
        "content": {
            _EVENT_STREAM: {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
        },
    }
}
_MAKING = Lock()


class ThreadRequest(BaseModel):
    """A new thread."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(max_length=200)] = ""
    datasets: list[Annotated[str, Field(pattern="^d[0-9a-f]{16}$")]] = Field(default=[], max_length=8)
    """Data sets that it begins with: the data, and its sample sheet."""


class MessageRequest(BaseModel):
    """Something that is said."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=LONGEST_MESSAGE)]
    datasets: list[Annotated[str, Field(pattern="^d[0-9a-f]{16}$")]] = Field(default=[], max_length=8)
    """Data sets that the question is about, from here on."""
    run: Annotated[str, Field(pattern="^r[0-9a-f]{10}-[0-9]{1,9}$")] | None = None
    """The run that the question is about, from here on; the newest where none was named yet."""


class ApprovalAnswers(BaseModel):
    """Answers to all open requests, in their order."""

    model_config = ConfigDict(extra="forbid")

    answers: list[dict[str, Any]] = Field(max_length=20)
    """``{"type": "accept" | "edit" | "ignore" | "response", "args": ...}`` for each."""


class ThreadView(BaseModel):
    """A thread."""

    id: str
    title: str
    status: str
    """``idle``, ``busy`` or ``interrupted`` (it waits for approvals)."""
    created_at: str
    updated_at: str
    last_event: int
    datasets: list[str]

    @classmethod
    def of(cls, thread: Thread) -> ThreadView:
        """What is told of a thread."""
        return cls(
            id=thread.id,
            title=thread.title,
            status=thread.status,
            created_at=thread.created_at,
            updated_at=thread.updated_at,
            last_event=thread.last_seq,
            datasets=list(thread.datasets),
        )


async def _turns(request: Request, state: State) -> Any:
    """The one that runs turns, made when it is first asked for: what it imports is heavy."""
    holder = request.app.state
    if getattr(holder, "chat_turns", None) is None:
        await run_in_threadpool(_make, holder, state)
    return holder.chat_turns


def _make(holder: Any, state: ServerState) -> None:
    from nereus.api.chat_turns import ChatTurns

    with _MAKING:
        if getattr(holder, "chat_turns", None) is None:
            holder.chat_turns = ChatTurns(state)


if TYPE_CHECKING:
    Turns = Annotated[ChatTurns, Depends(_turns)]
else:
    Turns = Annotated[Any, Depends(_turns)]


@router.post("", status_code=HTTPStatus.CREATED, responses=documented(*_ONE))
def create_thread(
    asked: ThreadRequest, response: Response, state: State, turns: Turns, caller: Writer
) -> ThreadView:
    """Begin a conversation."""
    for one in asked.datasets:
        state.uploads.get(one, caller.owner)
    thread = turns.threads.create(caller.owner, asked.title, asked.datasets)
    response.headers["location"] = f"/api/threads/{thread.id}"
    return ThreadView.of(thread)


@router.get("", responses=documented(*_FAULTS))
def list_threads(
    turns: Turns, caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> list[ThreadView]:
    """Your conversations, the one that was used last first."""
    return [ThreadView.of(one) for one in turns.threads.list(caller.owner, limit)]


@router.get("/{thread_id}", responses=documented(*_ONE))
def get_thread(thread_id: ThreadId, turns: Turns, caller: Reader) -> ThreadView:
    """One conversation."""
    return ThreadView.of(turns.mended(turns.threads.get(thread_id, caller.owner)))


@router.delete("/{thread_id}", status_code=HTTPStatus.NO_CONTENT, responses=documented(*_ASKED))
def delete_thread(thread_id: ThreadId, turns: Turns, state: State, caller: Writer) -> None:
    """Forget a conversation with all that was said; runs that it began stay."""
    turns.forget(turns.threads.get(thread_id, caller.owner))
    state.audit.add(caller.owner, "delete thread", thread_id, "done", caller.address)


@router.get("/{thread_id}/messages", response_class=Response, responses={**_STREAMED, **documented(*_ONE)})
async def messages(
    thread_id: ThreadId,
    request: Request,
    turns: Turns,
    caller: Reader,
    after: Annotated[int, Query(ge=0, lt=2**31, description="Number of the last event that you have.")] = 0,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """What was said and happened above a number; as a stream until the answer at work has ended."""
    if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 10:
        after = int(last_event_id)
    await run_in_threadpool(turns.threads.get, thread_id, caller.owner)
    if _EVENT_STREAM in request.headers.get("accept", ""):
        return _streamed(turns, caller, thread_id, after)
    found = await run_in_threadpool(turns.threads.events, thread_id, caller.owner, after, 2000)
    return JSONResponse([_document(one) for one in found])


@router.post("/{thread_id}/messages", response_class=Response, responses={**_STREAMED, **documented(*_ASKED)})
async def say(
    thread_id: ThreadId,
    asked: MessageRequest,
    request: Request,
    turns: Turns,
    caller: Writer,
    patience: Patience = 60.0,
) -> Response:
    """Say something. The answer comes as a stream where one is accepted, else when it is complete."""

    def begin() -> int:
        thread = turns.threads.get(thread_id, caller.owner)
        named = asked.datasets or (list(thread.datasets) if thread.last_seq == 0 else [])
        return turns.say(thread, asked.text, named, patience, asked.run)

    before = await run_in_threadpool(begin)
    return await _answered(turns, caller, thread_id, before, request)


@router.get("/{thread_id}/approvals", responses=documented(*_ONE))
def thread_approvals(thread_id: ThreadId, turns: Turns, caller: Reader) -> list[dict[str, Any]]:
    """Requests that wait for an answer."""
    return turns.requests(turns.threads.get(thread_id, caller.owner))


@router.post(
    "/{thread_id}/approvals", response_class=Response, responses={**_STREAMED, **documented(*_ASKED)}
)
async def approve(
    thread_id: ThreadId,
    given: ApprovalAnswers,
    request: Request,
    turns: Turns,
    state: State,
    caller: Writer,
    patience: Patience = 60.0,
) -> Response:
    """Answer all open requests, in their order; then the conversation goes on."""

    def begin() -> int:
        thread = turns.threads.get(thread_id, caller.owner)
        before = turns.answer(thread, given.answers, patience)
        told = ", ".join(str(one.get("type")) for one in given.answers)
        state.audit.add(
            caller.owner, "answer approvals", f"{thread_id}: {told}"[:200], "done", caller.address
        )
        return before

    before = await run_in_threadpool(begin)
    return await _answered(turns, caller, thread_id, before, request)


@router.post("/{thread_id}/cancel", responses=documented(*_ONE))
def cancel(thread_id: ThreadId, turns: Turns, caller: Writer) -> ThreadView:
    """End the answer at work, with the run that it began; the conversation stays."""
    thread = turns.threads.get(thread_id, caller.owner)
    turns.stop(thread)
    return ThreadView.of(turns.threads.get(thread_id, caller.owner))


@router.get("/{thread_id}/artifacts/{artifact_id}", response_class=Response, responses=documented(*_ONE))
def thread_artifact(
    thread_id: ThreadId,
    artifact_id: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    turns: Turns,
    state: State,
    caller: Reader,
    form: Annotated[str, Query(pattern="^(json|csv|file)$")] = "file",
) -> Response:
    """A figure or table that an answer of this conversation showed."""
    return content(state.workspace.artifacts, _shown(turns, state, caller, thread_id, artifact_id), form)


def _shown(
    turns: ChatTurns, state: ServerState, caller: Caller, thread_id: str, artifact_id: str
) -> ArtifactRef:
    turns.threads.get(thread_id, caller.owner)
    for event in turns.threads.events(thread_id, caller.owner):
        for one in (event.payload.get("nereus") or {}).get("artifacts", ()):
            if one["id"] == artifact_id:
                ref = ArtifactRef(id=artifact_id, kind=one["kind"], name=one["title"] or "artifact", size=0)
                if state.workspace.artifacts.has(ref):
                    return ref
                raise NotFound(
                    f"{one['title'] or 'it'!r} is no longer kept: it was removed with the run that it belonged to",
                    mend="ask for it again in the conversation: it is drawn anew where its data are kept",
                )
    raise NotFound(f"this conversation shows no artifact {artifact_id[:12]!r}", mend="answers name theirs")


async def _answered(
    turns: ChatTurns, caller: Caller, thread_id: str, before: int, request: Request
) -> Response:
    if _EVENT_STREAM in request.headers.get("accept", ""):
        return _streamed(turns, caller, thread_id, before)
    told: list[dict[str, Any]] = []
    async for event in _followed(turns, caller, thread_id, before):
        if isinstance(event, ThreadEvent):
            told.append(_document(event))
    return JSONResponse(told)


def _streamed(turns: ChatTurns, caller: Caller, thread_id: str, after: int) -> EventSourceResponse:
    async def stream() -> AsyncIterator[ServerSentEvent]:
        async for event in _followed(turns, caller, thread_id, after, parts=True):
            if isinstance(event, ThreadEvent):
                yield ServerSentEvent(
                    json.dumps(_document(event), separators=(",", ":")), event=event.type, id=str(event.seq)
                )
            else:
                yield ServerSentEvent(json.dumps(event, separators=(",", ":")), event=ANSWER_PART)

    return EventSourceResponse(stream(), ping=_PING_S, headers={"x-accel-buffering": "no"})


async def _followed(
    turns: ChatTurns, caller: Caller, thread_id: str, after: int, parts: bool = False
) -> AsyncIterator[ThreadEvent | dict[str, Any]]:
    """Events above a number, until the turn at work has ended; with `parts` also what is being written.

    Parts have no number (``seq`` 0) and are kept nowhere: whoever comes later gets what was written so far, and in any
    case the whole answer, as a message with the same id.
    """
    ends = asyncio.get_running_loop().time() + _TURN_S
    shown = ("", "")
    while asyncio.get_running_loop().time() < ends:
        draft = turns.draft(thread_id) if parts else None
        if draft is not None and draft != shown:
            same = draft.id == shown[0] and draft.text.startswith(shown[1])
            start = len(shown[1]) if same else 0
            shown = draft
            told = {"id": draft.id, "start": start, "text": draft.text[start:]}
            yield {"seq": 0, "type": ANSWER_PART, "payload": told}
        try:
            thread = await run_in_threadpool(_now, turns, thread_id, caller.owner)  # before its events
        except NotFound:  # deleted meanwhile
            return
        new = await run_in_threadpool(turns.threads.events, thread_id, caller.owner, after, 500)
        for event in new:
            after = event.seq
            yield event
        if not new and thread.status != "busy":
            return
        if not new:
            await asyncio.sleep(_LOOK_S)


def _now(turns: ChatTurns, thread_id: str, owner: str) -> Thread:
    return turns.mended(turns.threads.get(thread_id, owner))


def _document(event: ThreadEvent) -> dict[str, Any]:
    return event.model_dump(mode="json")
