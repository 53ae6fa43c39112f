"""Errors in OpenAI's form, with the status by which its clients choose the class of the exception."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from nereus.api.problems import Refused, status_of
from nereus.errors import NereusError

log = logging.getLogger("nereus.api")

_TYPES = {
    HTTPStatus.UNAUTHORIZED: ("authentication_error", "invalid_api_key"),
    HTTPStatus.FORBIDDEN: ("permission_error", "insufficient_permissions"),
    HTTPStatus.NOT_FOUND: ("invalid_request_error", "not_found"),
    HTTPStatus.TOO_MANY_REQUESTS: ("rate_limit_error", "rate_limit_exceeded"),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("server_error", "server_error"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("server_error", "unavailable"),
}
_REQUEST = ("invalid_request_error", "invalid_request")


class ErrorBody(BaseModel):
    """What was wrong."""

    message: str
    type: str
    param: str | None = None
    """Field of the request."""
    code: str | None = None


class ErrorDocument(BaseModel):
    """An error as OpenAI's interface tells it."""

    error: ErrorBody


class Wrong(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    message
        What is wrong, and how to mend it.
    param
        The field.
    code
        Name of the fault.
    status
        Status of the answer.
    """

    def __init__(
        self,
        message: str,
        param: str | None = None,
        code: str = "invalid_request",
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


def document(error: Exception) -> tuple[HTTPStatus, ErrorDocument, dict[str, str]]:
    """Status, document and headers of an error."""
    if isinstance(error, Wrong):
        kind = _TYPES.get(error.status, _REQUEST)[0]
        body = ErrorBody(message=error.message, type=kind, param=error.param, code=error.code)
        return error.status, ErrorDocument(error=body), {}
    if isinstance(error, Refused):
        kind, code = _TYPES.get(error.status, _REQUEST)
        body = ErrorBody(message=_told(error.what, error.mend), type=kind, param=None, code=code)
        return error.status, ErrorDocument(error=body), error.headers
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"] if one != "body")
        body = ErrorBody(
            message=f"{place}: {first['msg']}", type=_REQUEST[0], param=place or None, code=_REQUEST[1]
        )
        return HTTPStatus.BAD_REQUEST, ErrorDocument(error=body), {}
    if isinstance(error, HTTPException):  # of the framework: a body that is no text, for one
        status = HTTPStatus(error.status_code)
        kind, code = _TYPES.get(status, _REQUEST)
        body = ErrorBody(message=str(error.detail), type=kind, param=None, code=code)
        return status, ErrorDocument(error=body), dict(error.headers or {})
    if isinstance(error, NereusError):
        status = status_of(error)
        status = HTTPStatus.BAD_REQUEST if status is HTTPStatus.UNPROCESSABLE_ENTITY else status
        kind, code = _TYPES.get(status, _REQUEST)
        body = ErrorBody(message=_told(error.what, error.mend), type=kind, param=error.where, code=code)
        return status, ErrorDocument(error=body), {}
    name = uuid.uuid4().hex
    log.error("defect %s", name, exc_info=error)
    kind, code = _TYPES[HTTPStatus.INTERNAL_SERVER_ERROR]
    body = ErrorBody(
        message=f"a defect of the server; its log has the details under {name}", type=kind, code=code
    )
    return HTTPStatus.INTERNAL_SERVER_ERROR, ErrorDocument(error=body), {}


def _told(what: str, mend: str | None) -> str:
    return what if mend is None else f"{what}; {mend}"


class OpenAIRoute(APIRoute):
    """An endpoint whose errors have OpenAI's form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        plain = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await plain(request)
            except Exception as error:  # noqa: BLE001 - every error is told in the client's form; defects are logged
                status, told, headers = document(error)
                return JSONResponse(told.model_dump(), status.value, headers=headers)

        return handled


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """What an endpoint's documentation says of its errors."""
    return {
        status.value: {"description": status.phrase, "model": ErrorDocument}
        for status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *statuses)
    }
