"""Errors as problem documents (RFC 9457): what was wrong, where, and how to mend it, in one form for every endpoint."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from nereus import errors

log = logging.getLogger("nereus.api")

MEDIA_TYPE = "application/problem+json"
_STATUS: dict[type[errors.NereusError], HTTPStatus] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PlanError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ToolError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.SettingsError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ResumeRefused: HTTPStatus.CONFLICT,
    errors.StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(BaseModel):
    """A problem document."""

    type: str
    """``urn:nereus:problem:<kind>``; the kind is the name of the error."""
    title: str
    status: int
    detail: str
    """What was wrong."""
    where: str | None = None
    """File, row, column, field or setting in which it was found."""
    mend: str | None = None
    """What to do about it."""
    instance: str | None = None
    """Names this occurrence in the server's log."""


class Refused(Exception):
    """An answer that is no success, with its status.

    Parameters
    ----------
    status
        Status of the answer.
    what, where, mend
        As of `nereus.errors.NereusError`.
    headers
        Headers that belong to it.
    """

    def __init__(
        self,
        status: HTTPStatus,
        what: str,
        where: str | None = None,
        mend: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.where = where
        self.mend = mend
        self.headers = dict(headers or {})


def problem(
    status: HTTPStatus,
    what: str,
    where: str | None = None,
    mend: str | None = None,
    kind: str = "",
    headers: Mapping[str, str] | None = None,
    instance: str | None = None,
) -> JSONResponse:
    """A problem document as an answer."""
    made = Problem(
        type=f"urn:nereus:problem:{kind or status.name.lower().replace('_', '-')}",
        title=status.phrase,
        status=status.value,
        detail=what,
        where=where,
        mend=mend,
        instance=instance,
    )
    return JSONResponse(
        made.model_dump(exclude_none=True), status.value, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def status_of(error: errors.NereusError) -> HTTPStatus:
    """The status that says best what an error of ours means."""
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return HTTPStatus.UNPROCESSABLE_ENTITY


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem document."""

    @app.exception_handler(errors.NereusError)
    def ours(request: Request, error: errors.NereusError) -> JSONResponse:
        del request
        kind = _kebab(type(error).__name__)
        return problem(status_of(error), error.what, error.where, error.mend, kind)

    @app.exception_handler(Refused)
    def refused(request: Request, error: Refused) -> JSONResponse:
        del request
        return problem(error.status, error.what, error.where, error.mend, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        del request
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"])
        more = len(error.errors()) - 1
        what = first["msg"] + (f" (and {more} more)" if more else "")
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            what,
            place,
            "see /openapi.json for what is expected",
            "invalid-request",
        )

    @app.exception_handler(HTTPException)
    def plain(request: Request, error: HTTPException) -> JSONResponse:
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = ", ".join(
                _allowed(request)
            )  # of all routes of the path, not of the first alone
        return problem(HTTPStatus(error.status_code), str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    def defect(request: Request, error: Exception) -> JSONResponse:
        name = uuid.uuid4().hex
        log.error("defect %s at %s %s", name, request.method, request.url.path, exc_info=error)
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "a defect of the server",
            mend="tell whoever runs the server; its log has the details under this instance",
            instance=f"urn:uuid:{name}",
        )


def _allowed(request: Request) -> list[str]:
    """Methods that a path takes."""
    paths = request.app.openapi()["paths"]
    matching = [
        operations for path, operations in paths.items() if compile_path(path)[0].match(request.url.path)
    ]
    return sorted({method.upper() for operations in matching for method in operations})


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """What an endpoint's documentation says of its errors."""
    return {
        status.value: {
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def _kebab(name: str) -> str:
    return "".join(f"-{one.lower()}" if one.isupper() else one for one in name).lstrip("-")
