"""Read what a chat model replied: the object it meant, whatever it wrapped it in, or what is wrong with it.

Models think aloud, fence their JSON, double it, forget its last brace, write Python literals, or leave the arguments of
a tool call empty. `json-repair` mends the syntax; which object is meant is decided here; and what the object must hold
is decided by its schema alone, so nothing that was mended gets in without being valid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from json_repair import repair_json
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ValidationError

Answer = TypeVar("Answer", bound=BaseModel)

MOST_CHARACTERS = 400_000
"""A reply longer than this is not read: no schema of ours needs it."""
MOST_PROBLEMS = 8
MOST_NESTED = 5_000
"""Objects and lists in a broken reply beyond which it is not mended."""
_THOUGHT = re.compile(r"<(think|thinking|reasoning|scratchpad)>.*?(?:</\1>|$)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"^.*?</(?:think|thinking|reasoning|scratchpad)>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"```[\w-]*\s*\n?(.*?)(?:```|$)", re.DOTALL)
_UNPRINTED = re.compile(r"[\ud800-\udfff\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_WRAPPERS = (
    "arguments",
    "args",
    "parameters",
    "input",
    "output",
    "answer",
    "result",
    "response",
    "json",
    "data",
)


def read_message(message: BaseMessage, schema: type[Answer]) -> tuple[Answer | None, list[str]]:
    """Read a message: the arguments of its tool call where it holds one, else its text.

    Returns
    -------
    tuple
        The answer and no problems, or None and what is wrong.
    """
    problems: list[str] = []
    for arguments in _called_with(message):
        answer, wrong = (
            _of_schema(arguments, schema) if isinstance(arguments, dict) else read_reply(arguments, schema)
        )
        if answer is not None:
            return answer, []
        problems = problems or wrong
    text = text_of(message)
    if text.strip():
        answer, wrong = read_reply(text, schema)
        if answer is not None:
            return answer, []
        problems = problems or wrong
    return None, problems or ["the reply is empty"]


def text_of(message: BaseMessage) -> str:
    """The text of a message, whose content may come in blocks."""
    if isinstance(message.content, str):
        return message.content
    parts = [one if isinstance(one, str) else one.get("text", "") for one in message.content]
    return "\n".join(part for part in parts if isinstance(part, str))


def _called_with(message: BaseMessage) -> Iterator[dict[str, Any] | str]:
    for call in getattr(message, "tool_calls", None) or ():
        if isinstance(call.get("args"), dict) and call["args"]:
            yield call["args"]
    for broken in getattr(message, "invalid_tool_calls", None) or ():
        if isinstance(broken.get("args"), str) and broken["args"].strip():
            yield broken["args"]


def read_reply(text: str, schema: type[Answer]) -> tuple[Answer | None, list[str]]:
    """Parse a reply in text: what stands around and inside the object is tolerated, wrong content is not.

    Returns
    -------
    tuple
        The answer and no problems, or None and what is wrong.
    """
    if len(text) > MOST_CHARACTERS:
        return None, [f"the reply has more than {MOST_CHARACTERS} characters"]
    problems: list[str] = []
    for candidate in _candidates(text):
        answer, wrong = _of_schema(candidate, schema)
        if answer is not None:
            return answer, []
        problems = problems or wrong
    return None, problems or ["the reply holds no JSON object"]


def _candidates(text: str) -> Iterator[dict[str, Any]]:
    """Objects that the reply may mean, likeliest first: intact ones, then mended ones."""
    spoken = _THOUGHT.sub("", text)
    if not spoken.strip() or "{" not in spoken:
        spoken = _THOUGHT_END.sub("", text)
    places = [*_FENCED.findall(spoken), spoken]
    for place in places:
        yield from _intact(place)
    for place in places:
        start = place.find("{")
        if start < 0:
            continue
        mended = _mended(place[start:])
        yield from (
            one for one in (mended if isinstance(mended, list) else [mended]) if isinstance(one, dict)
        )


def _mended(text: str) -> Any:
    if sum(map(text.count, "{[")) > MOST_NESTED:
        return None
    try:
        return repair_json(text, return_objects=True)
    except (ValueError, RecursionError):  # nested too deep: nothing of ours is
        return None


def _intact(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    position = text.find("{")
    tried = 0
    while position >= 0 and tried < 200:
        tried += 1
        try:
            found, end = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError):
            end = position + 1
        else:
            if isinstance(found, dict):
                yield found
        position = text.find("{", end)


def _plain(value: Any) -> Any:
    """A JSON value without what no text of ours holds: halves of letters, control signs, marks that turn the direction."""
    if isinstance(value, str):
        return _UNPRINTED.sub("", value)
    if isinstance(value, Mapping):
        return {_plain(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _of_schema(found: Mapping[str, Any], schema: type[Answer]) -> tuple[Answer | None, list[str]]:
    try:
        found = _plain(found)
    except RecursionError:
        return None, ["the reply is nested too deep"]
    try:
        return schema.model_validate(dict(found)), []
    except ValidationError as error:
        problems = explained(error)
    for wrapper in _wrapped(found):
        try:
            return schema.model_validate(wrapper), []
        except ValidationError:
            continue
    return None, problems


def _wrapped(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What stands inside an object that only wraps the answer: ``{"name": ..., "arguments": {...}}``."""
    for name in _WRAPPERS:
        inner = found.get(name)
        if isinstance(inner, str) and inner.lstrip().startswith("{"):
            inner = _mended(inner)
        if isinstance(inner, dict):
            yield inner
    if len(found) == 1 and isinstance(only := next(iter(found.values())), dict):
        yield only


def explained(error: ValidationError) -> list[str]:
    """What is wrong with an object, a line a field, without quoting what it held."""
    lines = [f"{'.'.join(map(str, item['loc'])) or 'object'}: {item['msg']}" for item in error.errors()]
    return list(dict.fromkeys(lines))[:MOST_PROBLEMS]
