"""A stranger's tool as we show it: its name, what its maker says of it (quoted), and the shape of its arguments."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from nereus.errors import InputError
from nereus.memory.records import Record

PREFIX = "mcp__"
_LONGEST_NAME = 64
"""Of a function, where models call them."""
_LONGEST_WORDS = 400
_LONGEST_TEXT = 64
_MOST_CHOICES = 50
_MOST_PROPERTIES = 60
_DEEPEST = 6
_PROPERTY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_NUMBERS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
    }
)


class ExternalTool(Record):
    """One tool of an external server."""

    server: str
    tool: str
    """Its name there."""
    name: str
    """Its name here: ``mcp__<server>__<tool>``."""
    words: str
    """What its maker says of it, made harmless to show; to be quoted."""
    arguments: dict[str, Any]
    """Schema of its arguments: only their shape, no free text."""
    digest: str
    """Of all that the server says of the tool: a tool that changes is another one."""


def defined(
    server: str, tool: str, description: str, schema: Mapping[str, Any], rest: Mapping[str, Any]
) -> ExternalTool:
    """A tool as the server lists it.

    Parameters
    ----------
    server
        Name in the settings.
    tool, description, schema
        What the server says.
    rest
        Everything else that it says: title, annotations; only its digest is kept.

    Raises
    ------
    InputError
        Its name or its arguments cannot be used.
    """
    if not _NAME.fullmatch(tool):
        raise InputError(
            f"{shown(tool, _LONGEST_TEXT)!r} is no name of a tool", where=f"MCP server {server!r}"
        )
    arguments = shape(schema)
    if arguments.get("type") != "object":
        arguments = {"type": "object", "properties": {}}
    said = json.dumps([tool, description, schema, rest], sort_keys=True, ensure_ascii=False, default=str)
    digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
    return ExternalTool(
        server=server,
        tool=tool,
        name=_here(server, tool),
        words=shown(description, _LONGEST_WORDS),
        arguments=arguments,
        digest=digest,
    )


def _here(server: str, tool: str) -> str:
    """A name that models may call; two tools never share one."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", tool)
    name = f"{PREFIX}{server}__{plain}"
    if plain == tool and len(name) <= _LONGEST_NAME:
        return name
    mark = hashlib.sha256(tool.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]}_{mark}"


def shown(text: str, longest: int) -> str:
    """A stranger's text on one line: nothing invisible, no marks of ours, cut where it is long."""
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(one if unicodedata.category(one)[0] not in "CZ" else " " for one in plain)
    plain = " ".join(plain.split())
    for ours, theirs in (
        ("«", "‹"),
        ("»", "›"),
        ("{{", "{ {"),
        ("}}", "} }"),
        ("`", "'"),
        ("<", "‹"),
        (">", "›"),
    ):
        plain = plain.replace(ours, theirs)
    return plain if len(plain) <= longest else f"{plain[:longest].rstrip()} … (cut)"


def shape(schema: Any, depth: int = 0) -> dict[str, Any]:
    """A JSON schema without its texts: types, names of properties, limits and choices.

    Raises
    ------
    InputError
        A property has a name that is none, or there are very many.
    """
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return {}
    found: dict[str, Any] = {}
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        found["type"] = kind
    elif isinstance(kind, list):
        found["type"] = [one for one in kind if one in _TYPES]
    found |= {name: schema[name] for name in _NUMBERS if isinstance(schema.get(name), int | float)}
    if isinstance(schema.get("enum"), list):
        found["enum"] = _choices(schema["enum"])
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        if len(properties) > _MOST_PROPERTIES:
            raise InputError(f"a tool with {len(properties)} arguments is not offered", where="MCP")
        wrong = [one for one in properties if not isinstance(one, str) or not _PROPERTY.fullmatch(one)]
        if wrong:
            raise InputError(
                f"{shown(str(wrong[0]), _LONGEST_TEXT)!r} is no name of an argument", where="MCP"
            )
        found["properties"] = {name: shape(one, depth + 1) for name, one in properties.items()}
        required = schema.get("required")
        if isinstance(required, list):
            found["required"] = [one for one in required if one in properties]
    if isinstance(schema.get("items"), Mapping):
        found["items"] = shape(schema["items"], depth + 1)
    for several in ("anyOf", "oneOf"):
        if isinstance(schema.get(several), list):
            found["anyOf"] = [shape(one, depth + 1) for one in schema[several][:10]]
    if isinstance(schema.get("additionalProperties"), bool):
        found["additionalProperties"] = schema["additionalProperties"]
    return found


def _choices(given: Sequence[Any]) -> list[Any]:
    """Values that are words or numbers; a sentence is no choice."""
    return [
        one
        for one in given[:_MOST_CHOICES]
        if one is None
        or isinstance(one, bool | int | float)
        or (isinstance(one, str) and re.fullmatch(r"[\w.:/+-]{1,40}", one))
    ]


def is_external(name: str) -> bool:
    """Whether a name is one of an external tool."""
    return name.startswith(PREFIX)
