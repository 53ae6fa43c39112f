"""Settings as people write them on a command line, ``width=64 training.epochs=5``: nested values, read as their fields want."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from nereus.errors import InputError


def assigned(
    given: Sequence[str], where: str = "--set", model: type[BaseModel] | None = None
) -> dict[str, Any]:
    """Nested values of assignments: JSON where a value is that, else text; lists of texts also with commas.

    Parameters
    ----------
    given
        ``name=value``, or ``part.name=value`` of a part.
    where
        The option that they were given with.
    model
        What they are for: a field of it that is text takes its value as it is written (``pretrained=2024``).

    Raises
    ------
    InputError
        One is no assignment, or gives a part of what has a value of its own.

    Examples
    --------
    >>> assigned(["width=64", "training.epochs=5", "split=random"])
    {'width': 64, 'training': {'epochs': 5}, 'split': 'random'}
    """
    found: dict[str, Any] = {}
    for item in given:
        name, sign, text = item.partition("=")
        if not sign or not all(name.split(".")):
            raise InputError(f"{item!r} is no assignment", where=where, mend="write name=value")
        *parts, last = name.split(".")
        inner = found
        for part in parts:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise _twice(name, part, where)
        if isinstance(inner.get(last), dict):
            raise _twice(next(one for one in inner[last]), last, where)
        inner[last] = _value(text, _kind(model, [*parts, last]))
    return found


def _twice(name: str, part: str, where: str) -> InputError:
    return InputError(
        f"{name!r} is a part of {part!r}, which has a value of its own", where=where, mend="give one of them"
    )


def _kind(model: type[BaseModel] | None, path: Sequence[str]) -> Any:
    """What a field holds; None where that is not known."""
    kind: Any = model
    for name in path:
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        field = kind.model_fields.get(name)
        kind = None if field is None else field.annotation
    return kind


def _value(text: str, kind: Any) -> Any:
    if kind in (str, str | None):
        return text
    many = str(kind).startswith(("tuple", "list"))
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text.split(",") if many else text
    texts = many and "[str" in str(kind)
    return text.split(",") if texts and not isinstance(value, list) else value
