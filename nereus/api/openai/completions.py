"""Chat completions: a conversation in, the agent's answer out, whole or as a stream of chunks."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from nereus.api.access import State, Writer
from nereus.api.openai.again import answers_of
from nereus.api.openai.agent import Answered, Asking, Doing, Event, turn
from nereus.api.openai.client_tools import checked, turn_with_tools
from nereus.api.openai.faults import OpenAIRoute, Wrong, document, documented
from nereus.api.openai.models import CHAT, RULES, known
from nereus.api.openai.said import Said, heard
from nereus.api.openai.usage import Usage, before, cut, usage_of

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=OpenAIRoute)

THREAD_HEADERS = ("x-nereus-thread", "x-openwebui-chat-id")
PING_S = 15
STATUS_S = 5.0
"""How long a stream waits to begin, so that a fault can be told with a status."""
_THREAD = re.compile(r"[\w.:@-]{1,128}")
_PIECE = re.compile(r"\s*\S+\s*")
_WORDS = 8
"""Words of a chunk."""


class CompletionRequest(BaseModel):
    """A conversation. Fields of OpenAI's that are not named here are taken and not used."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[Any]
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    response_format: dict[str, Any] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None


class CompletionMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[dict[str, Any]] | None = None


class Choice(BaseModel):
    """The one answer."""

    index: int = 0
    message: CompletionMessage
    finish_reason: str
    logprobs: None = None


class Completion(BaseModel):
    """An answer; ``nereus`` holds what it rests on: run, evidence, artifacts, notices, thread, and what waits for a yes."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    nereus: dict[str, Any]


@router.post(
    "/chat/completions",
    response_model=Completion,
    response_model_exclude_none=False,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The answer."},
        **documented(),
    },
)
async def create_completion(asked: CompletionRequest, request: Request, state: State, caller: Writer) -> Any:
    """Ask the agent. With ``stream`` the answer comes as chunks, after what it is doing (``reasoning_content``)."""
    rules = known(asked.model, CHAT) == RULES
    refuse_unsupported(asked.n, asked.logprobs, asked.response_format)
    tools = checked(asked.tools, asked.tool_choice)
    messages = await run_in_threadpool(heard, asked.messages, state, caller)
    thread = thread_of(request, asked.metadata, asked.user)
    asking = Asking(request.app, caller, rules, messages, thread)
    events = turn_with_tools(asking, tools, asked.tool_choice) if tools else turn(asking)
    most = asked.max_completion_tokens or asked.max_tokens
    identity, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
    if asked.stream:
        told = bool((asked.stream_options or {}).get("include_usage"))
        first = await started(events)
        chunks = _chunks(first, identity, created, asked.model, messages, most, asked.stop, told)
        return EventSourceResponse(chunks, ping=PING_S, headers={"x-accel-buffering": "no"}, sep="\n")
    answer = await answers_of(request.app).of(request, caller.owner, lambda: last_of(events))
    text, was_cut = cut(before(answer.text, asked.stop), most)
    message = CompletionMessage(
        content=text or (None if answer.tool_calls else ""), tool_calls=list(answer.tool_calls) or None
    )
    made = Completion(
        id=identity,
        created=created,
        model=asked.model,
        choices=[Choice(message=message, finish_reason=_finish(answer, was_cut))],
        usage=spent(answer, messages, text),
        nereus=answer.nereus,
    )
    document = made.model_dump(mode="json")
    if not answer.tool_calls:
        document["choices"][0]["message"].pop("tool_calls")
    return Response(json.dumps(document, ensure_ascii=False), media_type="application/json")


def refuse_unsupported(
    n: int | None, logprobs: bool | None, response_format: Mapping[str, Any] | None
) -> None:
    """Refuse what an agent cannot give, instead of seeming to."""
    if n not in (None, 1):
        raise Wrong("there is one answer: n must be 1", "n", "unsupported_value")
    if logprobs:
        raise Wrong("an agent's answer has no log probabilities", "logprobs", "unsupported_value")
    if response_format is not None and response_format.get("type", "text") != "text":
        raise Wrong(
            "answers are text (Markdown); read structured results over /api or MCP",
            "response_format",
            "unsupported_value",
        )


def thread_of(request: Request, metadata: Mapping[str, Any] | None, user: str | None) -> str:
    """The name that a client gives to a conversation; empty where it gives none.

    Raises
    ------
    Wrong
        It is no name.
    """
    named = next((request.headers[one] for one in THREAD_HEADERS if one in request.headers), None)
    named = named or (metadata or {}).get("thread_id") or (metadata or {}).get("chat_id")
    if not named and user and user.startswith("thread:"):
        named = user.removeprefix("thread:")
    if named and not _THREAD.fullmatch(str(named)):
        raise Wrong("a thread is named by up to 128 letters, digits and . : @ _ -", "metadata.thread_id")
    return str(named or "")


async def started(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """Events whose first is there: what is wrong with a request is told with a status, before a stream begins.

    One that lets itself be waited for does not hold up the stream: clients give up where they see nothing.
    """
    first = asyncio.ensure_future(anext(events, None))
    try:
        await asyncio.wait({first}, timeout=STATUS_S)
    except asyncio.CancelledError:
        first.cancel()
        raise
    if first.done():
        first.result()

    async def all_of_them() -> AsyncIterator[Event]:
        try:
            event = await first
            while event is not None:
                yield event
                event = await anext(events, None)
        finally:
            first.cancel()

    return all_of_them()


async def last_of(events: AsyncIterator[Event]) -> Answered:
    """The answer, when it is there."""
    answer = Answered("")
    async for event in events:
        if isinstance(event, Answered):
            answer = event
    return answer


def spent(answer: Answered, messages: list[Said], text: str) -> Usage:
    """Tokens as the model told them, or about as many as there are."""
    if answer.usage:
        read, written = answer.usage.get("input_tokens", 0), answer.usage.get("output_tokens", 0)
        return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)
    return usage_of([one.text for one in messages], text)


def pieces(text: str) -> list[str]:
    """A text in parts of a few words; together they are the text."""
    words = _PIECE.findall(text) or ([text] if text else [])
    return ["".join(words[begin : begin + _WORDS]) for begin in range(0, len(words), _WORDS)]


async def _chunks(
    events: AsyncIterator[Event],
    identity: str,
    created: int,
    model: str,
    messages: list[Said],
    most: int | None,
    stop: str | list[str] | None,
    told: bool,
) -> AsyncIterator[ServerSentEvent]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> ServerSentEvent:
        body = {
            "id": identity,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}],
            **more,
        }
        if told:
            body.setdefault("usage", None)
        return ServerSentEvent(json.dumps(body, ensure_ascii=False))

    yield chunk({"role": "assistant", "content": ""})
    try:
        async for event in events:
            if isinstance(event, Doing):
                yield chunk({"reasoning_content": f"{event.text}\n"})
                continue
            text, was_cut = cut(before(event.text, stop), most)
            for piece in pieces(text):
                yield chunk({"content": piece})
            for index, call in enumerate(event.tool_calls):
                yield chunk({"tool_calls": [{"index": index, **call}]})
            yield chunk({}, _finish(event, was_cut), nereus=event.nereus)
            if told:
                body = {"id": identity, "object": "chat.completion.chunk", "created": created, "model": model}
                usage = spent(event, messages, text).model_dump()
                yield ServerSentEvent(json.dumps({**body, "choices": [], "usage": usage}))
    except Exception as error:  # noqa: BLE001 - the stream has begun: an error is told within it, in the client's form
        _, wrong, _ = document(error)
        yield ServerSentEvent(wrong.model_dump_json())
    yield ServerSentEvent("[DONE]")


def _finish(answer: Answered, was_cut: bool) -> str:
    return "tool_calls" if answer.tool_calls else "length" if was_cut else "stop"
