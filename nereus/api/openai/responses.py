"""Responses: the newer of OpenAI's interfaces, for the same agent; a response can be gone on from while it is remembered."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from nereus.api.access import State, Writer
from nereus.api.openai.again import answers_of
from nereus.api.openai.agent import Answered, Asking, Doing, Event, conversations_of, turn
from nereus.api.openai.client_tools import checked, turn_with_tools
from nereus.api.openai.completions import (
    PING_S,
    last_of,
    pieces,
    refuse_unsupported,
    spent,
    started,
    thread_of,
)
from nereus.api.openai.faults import OpenAIRoute, Wrong, document, documented
from nereus.api.openai.models import CHAT, RULES, known
from nereus.api.openai.said import Said, heard
from nereus.api.openai.usage import cut

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=OpenAIRoute)


class ResponseRequest(BaseModel):
    """A question, or a conversation. Fields of OpenAI's that are not named here are taken and not used."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[Any]
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = False
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    background: bool | None = None


@router.post(
    "/responses",
    responses={
        200: {
            "description": "The response.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        },
        **documented(HTTPStatus.NOT_FOUND),
    },
    response_class=Response,
)
async def create_response(asked: ResponseRequest, request: Request, state: State, caller: Writer) -> Response:
    """Ask the agent."""
    rules = known(asked.model, CHAT) == RULES
    refuse_unsupported(None, None, (asked.text or {}).get("format"))
    if asked.background:
        raise Wrong(
            "responses are not made in the background; start a run over /api/runs",
            "background",
            "unsupported_value",
        )
    tools = checked(asked.tools, asked.tool_choice)
    given = [{"role": "user", "content": asked.input}] if isinstance(asked.input, str) else asked.input
    messages = await run_in_threadpool(heard, given, state, caller, "input")
    place = None
    if asked.previous_response_id:
        place = conversations_of(request.app).named(caller.owner, asked.previous_response_id)
        if place is None:
            raise Wrong(
                f"the response {asked.previous_response_id!r} is not remembered; send the conversation as input",
                "previous_response_id",
                "previous_response_not_found",
                HTTPStatus.NOT_FOUND,
            )
    if asked.instructions and place is None:
        messages = [Said("system", asked.instructions), *messages]
    thread = thread_of(request, asked.metadata, asked.user)
    asking = Asking(request.app, caller, rules, messages, thread, place)
    events = turn_with_tools(asking, tools, asked.tool_choice) if tools else turn(asking)
    making = _Making(asked, asking)
    if asked.stream:
        first = await started(events)
        return EventSourceResponse(
            making.stream(first), ping=PING_S, sep="\n", headers={"x-accel-buffering": "no"}
        )
    answer = await answers_of(request.app).of(request, caller.owner, lambda: last_of(events))
    return Response(json.dumps(making.whole(answer), ensure_ascii=False), media_type="application/json")


class _Making:
    """One response as it comes about."""

    def __init__(self, asked: ResponseRequest, asking: Asking) -> None:
        self._asked = asked
        self._asking = asking
        self._id = f"resp_{uuid.uuid4().hex}"
        self._message_id = f"msg_{uuid.uuid4().hex}"
        self._created = time.time()
        self._number = -1

    def whole(self, answer: Answered) -> dict[str, Any]:
        """The response that an answer makes; it is remembered."""
        text, was_cut = cut(answer.text, self._asked.max_output_tokens)
        if answer.place is not None:
            kept = conversations_of(self._asking.app)
            kept.keep_named(self._asking.caller.owner, self._id, answer.place)
        used = spent(answer, list(self._asking.messages), text)
        output = [self._message(text, "completed")] if text or not answer.tool_calls else []
        output += [
            {
                "type": "function_call",
                "id": f"fc_{uuid.uuid4().hex}",
                "call_id": call["id"],
                "name": call["function"]["name"],
                "arguments": call["function"]["arguments"],
                "status": "completed",
            }
            for call in answer.tool_calls
        ]
        return {
            **self._frame("incomplete" if was_cut else "completed", output),
            "incomplete_details": {"reason": "max_output_tokens"} if was_cut else None,
            "usage": {
                "input_tokens": used.prompt_tokens,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": used.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": used.total_tokens,
            },
            "nereus": answer.nereus,
        }

    async def stream(self, events: AsyncIterator[Event]) -> AsyncIterator[ServerSentEvent]:
        """The events of a response."""
        yield self._event("response.created", response=self._frame("in_progress", []))
        yield self._event("response.in_progress", response=self._frame("in_progress", []))
        try:
            async for event in events:
                if isinstance(event, Doing):
                    yield self._event("response.nereus.progress", text=event.text)
                else:
                    for one in self._answered(event):
                        yield one
        except Exception as error:  # noqa: BLE001 - the stream has begun: an error is told within it
            _, wrong, _ = document(error)
            failed = self._frame("failed", [])
            failed["error"] = {"code": "server_error", "message": wrong.error.message}
            yield self._event("response.failed", response=failed)

    def _answered(self, answer: Answered) -> list[ServerSentEvent]:
        whole = self.whole(answer)
        found: list[ServerSentEvent] = []
        for index, item in enumerate(whole["output"]):
            place = {"output_index": index, "item_id": item["id"]}
            if item["type"] == "message":
                text = item["content"][0]["text"]
                part = {"content_index": 0, **place}
                found.append(
                    self._event(
                        "response.output_item.added",
                        output_index=index,
                        item={**item, "status": "in_progress", "content": []},
                    )
                )
                found.append(self._event("response.content_part.added", part=_part(""), **part))
                found += [
                    self._event("response.output_text.delta", delta=piece, logprobs=[], **part)
                    for piece in pieces(text)
                ]
                found.append(self._event("response.output_text.done", text=text, logprobs=[], **part))
                found.append(self._event("response.content_part.done", part=_part(text), **part))
            else:
                opened = {**item, "arguments": "", "status": "in_progress"}
                found.append(self._event("response.output_item.added", output_index=index, item=opened))
                found.append(
                    self._event("response.function_call_arguments.delta", delta=item["arguments"], **place)
                )
                found.append(
                    self._event(
                        "response.function_call_arguments.done",
                        arguments=item["arguments"],
                        name=item["name"],
                        **place,
                    )
                )
            found.append(self._event("response.output_item.done", output_index=index, item=item))
        kind = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
        return [*found, self._event(kind, response=whole)]

    def _event(self, kind: str, **fields: Any) -> ServerSentEvent:
        self._number += 1
        body = {"type": kind, "sequence_number": self._number, **fields}
        return ServerSentEvent(json.dumps(body, ensure_ascii=False), event=kind)

    def _message(self, text: str, status: str) -> dict[str, Any]:
        return {
            "type": "message",
            "id": self._message_id,
            "role": "assistant",
            "status": status,
            "content": [_part(text)],
        }

    def _frame(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": self._asked.instructions,
            "metadata": self._asked.metadata or {},
            "model": self._asked.model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": self._asked.previous_response_id,
            "temperature": None,
            "tool_choice": self._asked.tool_choice or "auto",
            "tools": self._asked.tools or [],
            "top_p": None,
            "max_output_tokens": self._asked.max_output_tokens,
            "usage": None,
        }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
