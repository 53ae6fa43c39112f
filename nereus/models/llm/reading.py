"""What came back from an endpoint: thoughts apart from the text, and calls of tools that stand in the text read from there.

Whole replies and streams are read by the same machine (`nereus.models.llm.hermes`), so that both give the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from nereus.errors import EndpointError
from nereus.models.llm import hermes
from nereus.models.llm.calls import Reply, arguments_of


def first_message(result: ChatResult) -> AIMessage:
    """The reply of a result; `EndpointError` where there is none."""
    if not result.generations or not isinstance(result.generations[0].message, AIMessage):
        raise EndpointError("the reply holds no choice", mend="ask again", transient=True)
    return result.generations[0].message


def read(result: ChatResult, offered: Sequence[Mapping[str, Any]]) -> ChatResult:
    """The result with thoughts apart, and with calls that stand in the text where the server read none."""
    generation = result.generations[0]
    message = generation.message
    if not isinstance(message, AIMessage) or not isinstance(message.content, str):
        return result
    if not offered and "<" not in message.content:
        return result
    finished = message.response_metadata.get("finish_reason") != "length"
    found = (
        hermes.parse(message.content, offered, finished=finished)
        if offered and not message.tool_calls
        else hermes.without_thought(message.content)
    )
    changed = message.model_copy(update={"content": found.text.strip() if found.calls else found.text})
    if found.thought:
        changed.additional_kwargs = {**changed.additional_kwargs, "reasoning_content": found.thought}
    if found.calls:
        changed.tool_calls = [
            {"name": one.name, "args": one.arguments, "id": one.id, "type": "tool_call"}
            for one in found.calls
        ]
    if found.broken or found.partial:
        bad = [(one.text, one.why) for one in found.broken]
        bad += [(found.partial, "it was cut off")] if found.partial else []
        invalid: list[Any] = [
            *changed.invalid_tool_calls,
            *(
                {"name": None, "args": text, "id": None, "error": why, "type": "invalid_tool_call"}
                for text, why in bad
            ),
        ]
        changed.invalid_tool_calls = invalid
    first = ChatGeneration(message=changed, generation_info=generation.generation_info)
    return ChatResult(generations=[first, *result.generations[1:]], llm_output=result.llm_output)


class StreamReader:
    """Pieces of a stream with thoughts apart, and with calls read from the text where tools were offered.

    Calls that the server read are held until the end: LangChain completes arguments that were cut off, and an agent would
    carry out half of what was meant.
    """

    def __init__(self, offered: Sequence[Mapping[str, Any]]) -> None:
        self._stream = hermes.HermesStream(offered, calls=bool(offered))
        self._held: list[dict[str, Any]] = []
        self._finished = True

    def read(self, piece: ChatGenerationChunk) -> Iterator[ChatGenerationChunk]:
        """What can be given on because of a piece."""
        message = piece.message
        if not isinstance(message, AIMessageChunk) or not isinstance(message.content, str):
            yield piece
            return
        if (piece.generation_info or {}).get("finish_reason") == "length":
            self._finished = False
        said = message.content
        shown = self._stream.feed(said) if said else ""
        changed: dict[str, Any] = {} if shown == said else {"content": shown}
        if message.tool_call_chunks:
            for chunk in message.tool_call_chunks:
                self._hold(chunk)
            changed |= {"tool_call_chunks": [], "tool_calls": [], "invalid_tool_calls": []}
        if changed:
            message = message.model_copy(update=changed)
            piece = ChatGenerationChunk(message=message, generation_info=piece.generation_info)
        yield piece

    def _hold(self, chunk: Mapping[str, Any]) -> None:
        """Put a piece of a call to those before it: by its place in the reply, or where it has none, after the last."""
        index = chunk.get("index")
        found = next((one for one in reversed(self._held) if one["index"] == index), None)
        if index is None and (chunk.get("name") or chunk.get("id")):
            found = None
        if found is None:
            found = {"index": index, "name": "", "args": "", "id": None}
            self._held.append(found)
        found["name"] = found["name"] or chunk.get("name") or ""
        found["id"] = found["id"] or chunk.get("id")
        found["args"] += chunk.get("args") or ""

    def end(self) -> Iterator[ChatGenerationChunk]:
        """What is left when the stream ends: text that was held back, calls that were read, and those that cannot be."""
        shown = self._stream.shown
        read = self._stream.close(finished=self._finished)
        rest = read.text[len(shown) :] if read.text.startswith(shown) else ""
        chunks = _whole(self._held) if self._held else _chunks(read)
        extra = {"reasoning_content": read.thought} if read.thought else {}
        if rest or chunks or extra:
            yield ChatGenerationChunk(
                message=AIMessageChunk(content=rest, tool_call_chunks=chunks, additional_kwargs=extra)
            )


def _whole(held: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Calls that the server read, as one piece each; one without a name, or with half of its arguments, names no tool."""
    found: list[Any] = []
    for number, one in enumerate(held):
        arguments = arguments_of(one["args"]) if one["name"] else None
        name, args = (
            (None, one["args"] or "{")
            if arguments is None
            else (one["name"], json.dumps(arguments, ensure_ascii=False))
        )
        found.append(
            {"name": name, "args": args, "id": one["id"], "index": number, "type": "tool_call_chunk"}
        )
    return found


def _chunks(read: Reply) -> list[Any]:
    """Calls of a reply as the last pieces of a stream: those that were read, then those that cannot be."""
    calls = [(one.name, hermes.arguments_json(one), one.id) for one in read.calls]
    broken = [one.text for one in read.broken] + ([read.partial] if read.partial else [])
    return [
        {"name": name, "args": args, "id": own, "index": number, "type": "tool_call_chunk"}
        for number, (name, args, own) in enumerate([*calls, *((None, text or "{", None) for text in broken)])
    ]


def read_stream(
    pieces: Iterator[ChatGenerationChunk], offered: Sequence[Mapping[str, Any]]
) -> Iterator[ChatGenerationChunk]:
    """A stream, read."""
    reader = StreamReader(offered)
    for one in pieces:
        yield from reader.read(one)
    yield from reader.end()


def after_first(
    first: ChatGenerationChunk, rest: Iterator[ChatGenerationChunk]
) -> Iterator[ChatGenerationChunk]:
    """A stream whose first piece has come."""
    yield first
    yield from rest


def finishes(piece: ChatGenerationChunk) -> bool:
    """Whether a piece tells that the reply is whole."""
    return bool((piece.generation_info or {}).get("finish_reason"))


def require_end(finished: bool) -> None:
    """Refuse a stream that ended without having told so."""
    if not finished:
        raise EndpointError(
            "the stream broke off before the reply was finished", mend="ask again", transient=True
        )
