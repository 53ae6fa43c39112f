"""States and what graphs stream as JSON, as LangGraph's clients expect it: messages as objects with a type."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

import orjson

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def dumped(value: Any) -> str:
    """JSON on one line. What has no form in JSON is told by what it is; numbers that are none are null."""
    try:
        return orjson.dumps(value, _plain, _OPTIONS).decode()
    except (TypeError, orjson.JSONEncodeError):  # integers beyond 64 bits, lone surrogates
        return json.dumps(_cleaned(value))


def plain(value: Any) -> Any:
    """A value as JSON would give it back."""
    return orjson.loads(dumped(value))


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return value.model_dump()
    if type(value).__name__ == "Interrupt" and hasattr(value, "value"):
        return {"value": value.value, "id": value.id}
    if type(value).__name__ == "Send" and hasattr(value, "node"):
        return {"node": value.node, "input": value.arg}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": str(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(bytes(value))} bytes>"
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(_cleaned(key)): _cleaned(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(one) for one in value]
    return _cleaned(_plain(value))
