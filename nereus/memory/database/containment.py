"""Whether a JSON column contains what a caller looks for, asked in SQL: what is named must be equal, more may be there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Connection, Text, bindparam, cast, func
from sqlalchemy.dialects.postgresql import JSONB

from nereus.memory.database.engine import Database

_FUNCTION = "nereus_contains"


def contains(whole: Any, part: Any) -> bool:
    """Whether a document contains another, as PostgreSQL's ``@>`` means it.

    Examples
    --------
    >>> contains({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}), contains({"a": [1, 2]}, {"a": [2]}), contains({}, {"a": 1})
    (True, True, False)
    """
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(
            key in whole and contains(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains(one, item) for one in whole) for item in part)
    return (type(whole) is type(part) and bool(whole == part)) or _equal_numbers(whole, part)


def containing(
    database: Database, connection: Connection, column: Any, part: Mapping[str, Any]
) -> ColumnElement[bool]:
    """A condition: the column's document contains `part`."""
    text = json.dumps(part, allow_nan=False)
    if not database.is_sqlite:
        return cast(column, JSONB).op("@>", return_type=Boolean())(
            cast(bindparam(None, text, type_=Text()), JSONB)
        )
    driver: Any = connection.connection.driver_connection
    driver.create_function(_FUNCTION, 2, _contains_text, deterministic=True)
    asked: ColumnElement[bool] = getattr(func, _FUNCTION)(column, text) == 1
    return asked


def _contains_text(whole: str | None, part: str) -> int:
    return int(whole is not None and contains(json.loads(whole), json.loads(part)))


def _equal_numbers(whole: Any, part: Any) -> bool:
    numbers = (int, float)
    plain = not isinstance(whole, bool) and not isinstance(part, bool)
    return plain and isinstance(whole, numbers) and isinstance(part, numbers) and whole == part
