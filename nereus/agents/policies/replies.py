"""Read what a chat model replied: the object it meant, whatever it wrapped it in, or what is wrong with it.

Models think aloud, fence their JSON, double it, forget its last brace, write Python literals, or leave the arguments of
a tool call empty. `loose_json` finds and mends the object; what it must hold is decided by its schema alone, so nothing
that was mended gets in without being valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ValidationError

from nereus.models.llm.chatml import text_of
from nereus.models.llm.loose_json import MOST_CHARACTERS, mended, objects, plain

Answer = TypeVar("Answer", bound=BaseModel)

MOST_PROBLEMS = 8
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
    for candidate in objects(text):
        answer, wrong = _of_schema(candidate, schema)
        if answer is not None:
            return answer, []
        problems = problems or wrong
    return None, problems or ["the reply holds no JSON object"]


def _of_schema(found: Mapping[str, Any], schema: type[Answer]) -> tuple[Answer | None, list[str]]:
    try:
        found = plain(found)
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
            inner = mended(inner)
        if isinstance(inner, dict):
            yield inner
    if len(found) == 1 and isinstance(only := next(iter(found.values())), dict):
        yield only


def explained(error: ValidationError) -> list[str]:
    """What is wrong with an object, a line a field, without quoting what it held."""
    lines = [f"{'.'.join(map(str, item['loc'])) or 'object'}: {item['msg']}" for item in error.errors()]
    return list(dict.fromkeys(lines))[:MOST_PROBLEMS]
