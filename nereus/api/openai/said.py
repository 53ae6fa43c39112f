"""What a client says: messages of OpenAI's forms as roles and texts, with the files that they bring."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import UploadFile

from nereus.api.access import Caller
from nereus.api.incoming import kept
from nereus.api.openai.faults import Wrong
from nereus.api.state import ServerState

MOST_MESSAGES = 1000
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_TEXTS = ("text", "input_text", "output_text", "refusal")


@dataclass(frozen=True)
class Said:
    """One message."""

    role: str
    """``system``, ``user``, ``assistant`` or ``tool``."""
    text: str
    datasets: tuple[str, ...] = ()
    """Data sets that came with it."""
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_call_id: str = ""
    name: str = ""


def heard(messages: Sequence[Any], state: ServerState, caller: Caller, param: str = "messages") -> list[Said]:
    """Messages in the order in which they were said; files in them are kept as the caller's data sets.

    Raises
    ------
    Wrong
        There are none, too many, or one is of a form that cannot be understood.
    """
    if not messages or len(messages) > MOST_MESSAGES:
        raise Wrong(f"give 1 to {MOST_MESSAGES} messages", param)
    found = [_one(message, f"{param}.{place}", state, caller) for place, message in enumerate(messages)]
    if all(one.role != "user" for one in found):
        raise Wrong("nobody asks anything: there is no message of the role 'user'", param)
    return found


def _one(message: Any, place: str, state: ServerState, caller: Caller) -> Said:
    if not isinstance(message, dict):
        raise Wrong("a message is an object with role and content", place)
    kind = message.get("type", "message")
    if kind == "function_call":
        call = {
            "id": message.get("call_id", ""),
            "name": message.get("name", ""),
            "arguments": message.get("arguments", "{}"),
        }
        return Said("assistant", "", tool_calls=(call,))
    if kind == "function_call_output":
        return Said(
            "tool",
            _text(message.get("output"), f"{place}.output"),
            tool_call_id=str(message.get("call_id", "")),
        )
    role = _ROLES.get(str(message.get("role")))
    if kind != "message" or role is None:
        raise Wrong(f"the role {message.get('role')!r} is not known", f"{place}.role", "unsupported_value")
    content = message.get("content")
    datasets: list[str] = []
    parts = content if isinstance(content, list) else [content]
    texts: list[str] = []
    for number, part in enumerate(parts):
        if isinstance(part, dict) and part.get("type") in ("file", "input_file"):
            datasets.append(_file(part, f"{place}.content.{number}", state, caller))
        else:
            texts.append(_text(part, f"{place}.content.{number}"))
    calls = tuple(_call(one, place) for one in message.get("tool_calls") or ())
    return Said(
        role,
        "\n".join(texts),
        tuple(datasets),
        calls,
        str(message.get("tool_call_id") or ""),
        str(message.get("name") or ""),
    )


def _text(part: Any, place: str) -> str:
    if part is None:
        return ""
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") in _TEXTS:
        found = part.get("text", part.get("refusal"))
        if isinstance(found, str):
            return found
    if isinstance(part, list):
        return "\n".join(_text(one, place) for one in part)
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise Wrong(
        f"content of the type {kind!r} cannot be read; send text, or a table as a file",
        place,
        "unsupported_value",
    )


def _call(given: Any, place: str) -> dict[str, Any]:
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Wrong("a tool call has an id and a function with name and arguments", f"{place}.tool_calls")
    return {
        "id": str(given.get("id", "")),
        "name": function["name"],
        "arguments": str(function.get("arguments", "{}")),
    }


def _file(part: dict[str, Any], place: str, state: ServerState, caller: Caller) -> str:
    """A table that came in a message, as a data set; one that is named by the id of a data set is looked up."""
    given = part.get("file") if isinstance(part.get("file"), dict) else part
    assert isinstance(given, dict)
    if isinstance(given.get("file_id"), str):
        return state.uploads.get(given["file_id"], caller.owner).id
    data = given.get("file_data")
    if not isinstance(data, str):
        raise Wrong("a file has file_data (base64) or file_id (a data set)", place)
    try:
        content = base64.b64decode(data.rpartition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("file_data is not base64", place) from None
    name = str(given.get("filename") or "table.csv")
    made = state.uploads.add(
        caller.owner, kept(state.workspace, UploadFile(io.BytesIO(content), filename=name))
    )
    state.audit.add(caller.owner, "upload data set", f"{made.id} {made.name}", "done", caller.address)
    return made.id
