"""What a reply holds once it is read: text, thoughts, calls of tools, and calls that cannot be carried out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nereus.models.llm.loose_json import mended

_NAMES = ("name", "tool", "function", "tool_name")
_ARGUMENTS = ("arguments", "args", "parameters", "input")


@dataclass(frozen=True)
class ToolCall:
    """A whole call; whether the tool exists and the arguments fit it is for whoever carries it out."""

    name: str
    arguments: dict[str, Any]
    id: str


@dataclass(frozen=True)
class BrokenCall:
    """Something that was meant as a call and is none: told to the model, never carried out."""

    text: str
    why: str


@dataclass(frozen=True)
class Reply:
    """A reply of a model, read."""

    text: str = ""
    """What it said, without thoughts and calls, as written."""
    thought: str = ""
    calls: tuple[ToolCall, ...] = ()
    """Calls in their order."""
    broken: tuple[BrokenCall, ...] = ()
    partial: str = ""
    """The beginning of a call whose end never came."""
    final: bool = field(default=False, compare=False)
    """Whether the model marked its text as the final answer, where its form has such a mark."""


def identified(number: int) -> str:
    """The id of a call that came without one, by its place in the reply."""
    return f"call_{number}"


def calls_in(body: str, closed: bool, first: int = 0) -> tuple[list[ToolCall], str]:
    """Calls that a text holds which should be JSON, and why not, where it holds none.

    Parameters
    ----------
    body
        JSON, or nearly so: quotes of another kind, Python literals, trailing commas, comments, fences, a call twice.
    closed
        Whether the model marked the end of the call. Only then a missing bracket is an oversight; else it was cut off, and
        what was cut off may be half an argument.
    first
        Number of calls before it.

    Returns
    -------
    tuple
        Calls, and why there is none ("" where there are some).
    """
    found, why = values_in(body, closed)
    if why:
        return [], why
    calls: list[ToolCall] = []
    for one in found:
        call, why = _call(one, identified(first + len(calls)))
        if call is None:
            return [], why
        if all((call.name, call.arguments) != (other.name, other.arguments) for other in calls):
            calls.append(call)
    return calls, "" if calls else "there is no JSON object"


def values_in(body: str, closed: bool) -> tuple[list[Any], str]:
    """JSON values that a text is made of, mended where that is safe; why not where it is not. See `calls_in`."""
    text = _unfenced(body)
    if not text:
        return [], "it is empty"
    try:
        return _whole(text), ""
    except (ValueError, RecursionError):
        pass
    if text[0] not in "{[":
        return [], "it does not begin with an object"
    opened, within_text = _open(text)
    if within_text:
        return [], "a text in it has no end"
    if opened and not closed:
        return [], "it has no end"
    if opened and text.rstrip()[-1] in ":,":
        return [], "a value in it is missing"
    if _hole(text):
        return [], "a value in it is missing"
    value = mended(text)
    return (
        ([], "it is no JSON")
        if not isinstance(value, dict | list) or not value
        else (
            value if isinstance(value, list) else [value],
            "",
        )
    )


def arguments_of(value: Any) -> dict[str, Any] | None:
    """Arguments of a call, also where they are None, or JSON in a text; None where they are neither."""
    if value is None:
        return {}
    if isinstance(value, str):
        if not value.strip() or value.strip() in ("null", "None"):
            return {}
        found, why = values_in(value, closed=False)
        same = bool(found) and all(one == found[0] for one in found)  # some servers write them twice
        value = found[0] if not why and same else None
        if isinstance(value, str):  # JSON of a text of JSON
            return arguments_of(value)
    return dict(value) if isinstance(value, Mapping) else None


def _call(value: Any, identity: str) -> tuple[ToolCall | None, str]:
    if not isinstance(value, dict):
        return None, "it is no object"
    inner = value.get("function")
    if isinstance(inner, dict):
        value = {**value, **inner}
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), "")
    if not name.strip():
        return None, "it names no tool"
    given = next((value[key] for key in _ARGUMENTS if key in value), None)
    arguments = arguments_of(given)
    if arguments is None:
        return None, "its arguments are no object"
    own = value.get("id")
    return ToolCall(name.strip(), arguments, own if isinstance(own, str) and own else identity), ""


def _unfenced(text: str) -> str:
    """The text within a code fence, or as it is."""
    text = text.strip().lstrip("\ufeff").strip()
    if text.startswith("```"):
        _, _, text = text.partition("\n") if "\n" in text else ("", "", text.strip("`"))
        text = text.rstrip().removesuffix("```")
    return text.strip()


def _whole(text: str) -> list[Any]:
    """Intact values one after the other; `ValueError` where anything else is between them."""
    decoder = json.JSONDecoder()
    found: list[Any] = []
    place = 0
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        found += value if isinstance(value, list) and not found and place == len(text) else [value]
        while place < len(text) and text[place] in " \t\r\n,;":
            place += 1
    return found


def _open(text: str) -> tuple[int, bool]:
    """(brackets that stay open, whether a text stays open)."""
    depth, quote, escaped = 0, "", False
    before = ""
    for letter in text:
        if quote:
            if escaped:
                escaped = False
            elif letter == "\\":
                escaped = True
            elif letter == quote:
                quote = ""
        elif letter == '"' or (letter == "'" and before in "{[:,( "):
            quote = letter  # an apostrophe opens a text only where a value may begin
        elif letter in "{[":
            depth += 1
        elif letter in "}]":
            depth -= 1
        before = letter
    return max(depth, 0), bool(quote)


def _hole(text: str) -> bool:
    """Whether a name stands without its value, as in ``{"x": }``: mending would invent one."""
    squeezed = "".join(text.split())
    return any(mark in squeezed for mark in ('":}', '":,', "':}", "':,", '":]', "':]"))


def named(tools: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Schema of the arguments by name of the tool, from tools in OpenAI's form."""
    functions = [one.get("function", one) for one in tools]
    return {one["name"]: dict(one.get("parameters") or {}) for one in functions if one.get("name")}
