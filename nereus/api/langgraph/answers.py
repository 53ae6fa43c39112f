"""Answers of the protocol: JSON of what graphs hold, and the errors that every endpoint may give."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import Response

from nereus.api.langgraph.serialise import dumped
from nereus.api.problems import documented
from nereus.memory.langgraph.threads import Thread

FAULTS = documented(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
JSON: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"description": "Done", "content": {"application/json": {"schema": {}}}}, **FAULTS},
}
"""Of endpoints that answer with JSON whose form is the graph's."""
NOTHING: dict[str, Any] = {
    "status_code": HTTPStatus.NO_CONTENT,
    "response_class": Response,
    "responses": FAULTS,
}


def answer(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON."""
    return Response(dumped(value), media_type="application/json", headers=dict(headers or {}))


def thread_document(thread: Thread) -> dict[str, Any]:
    """A thread as clients have it."""
    return thread.model_dump(exclude={"key"})


def selected(document: dict[str, Any], fields: Collection[str] | None) -> dict[str, Any]:
    """The fields of a document that were asked for; all where none were."""
    if not fields:
        return document
    made = {name: document[name] for name in fields if name in document}
    values = document.get("values")
    inner = [name.partition(".")[2] for name in fields if name.startswith("values.")]
    if inner and "values" not in made and isinstance(values, dict):
        made["values"] = {name: values[name] for name in inner if name in values}
    return made
