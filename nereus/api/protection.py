"""What every request passes before an endpoint sees it: its host, its origin, its size; and what every answer carries.

Plain ASGI, so that streams are not held up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nereus.api.problems import problem

MAX_BODY = 4 * 2**20
"""Bytes of a request that is no upload."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "content-security-policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'self'",
}
CROSS_ORIGIN: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": ["*"],
    "expose_headers": [
        "content-location",
        "location",
        "x-pagination-next",
        "x-pagination-total",
        "mcp-session-id",
    ],
    "max_age": 600,
}
"""What pages of origins that the settings name may ask and read. They show a token: no cookie is taken from them."""
_UPLOADS = ("/api/datasets",)
SILENT_S = 60.0
"""Longest that the next part of a request is waited for."""
SLOWEST = 1024
"""Bytes a second below which a request is given up, after that time."""


class SecureHeaders:
    """Headers that keep browsers from guessing, framing and telling others. An endpoint's own headers stay."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


class KnownHosts:
    """Refuse requests that were meant for another host, or that a page of another origin makes.

    A page anywhere can point a name of its own at this machine (DNS rebinding) or post to ``localhost``; a server that
    trusts its loopback address must look at both headers.

    Parameters
    ----------
    hosts
        Names under which the server is reached; ``*`` for any.
    origins
        Origins of other pages that may call.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], origins: Collection[str]) -> None:
        self._app = app
        self._any = "*" in hosts
        self._hosts = {one.lower() for one in hosts}
        self._origins = {one.rstrip("/").lower() for one in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            refused = self._fault(headers)
            if refused is not None:
                answer = problem(
                    HTTPStatus.FORBIDDEN, refused, mend="NEREUS_SERVE_HOSTS and _ORIGINS name others"
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _fault(self, headers: Headers) -> str | None:
        host = headers.get("host", "")
        name = _name(f"//{host}")
        if not self._any and name not in self._hosts:
            return f"the request is meant for the host {host!r}"
        origin = headers.get("origin")
        if origin is None or origin.lower().rstrip("/") in self._origins:
            return None
        if origin != "null" and urlsplit(origin).netloc.lower() == host.lower():
            return None
        return f"a page of {origin!r} may not call this server"


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


class BodyLimit:
    """Refuse requests that are larger or slower than they need to be, as soon as that is known.

    Parameters
    ----------
    upload_bytes
        Largest upload.
    """

    def __init__(self, app: ASGIApp, upload_bytes: int) -> None:
        self._app = app
        self._upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._upload_bytes if is_upload(scope) else MAX_BODY
        told = Headers(scope=scope).get("content-length", "")
        if told.isdigit() and int(told) > limit:
            await _too_large(limit)(scope, receive, send)
            return
        began = time.monotonic()
        seen, answered, whole = 0, False, False
        refusal: ASGIApp | None = None

        async def counted() -> Message:
            nonlocal seen, whole, refusal
            if whole:  # what comes now is that the client has gone
                return await receive()
            try:
                async with asyncio.timeout(SILENT_S):
                    message = await receive()
            except TimeoutError:
                refusal = _too_slow()
                raise _NotTaken from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                spent = time.monotonic() - began
                if seen > limit:
                    refusal = _too_large(limit)
                elif not whole and spent > SILENT_S and seen < SLOWEST * spent:
                    refusal = _too_slow()
                if refusal is not None:
                    raise _NotTaken
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            if refusal is not None and not answered:  # what the application makes of a body that was cut
                return
            answered = answered or message["type"] == "http.response.start"
            await send(message)

        with contextlib.suppress(_NotTaken):
            await self._app(scope, counted, noted)
        if refusal is not None and not answered:
            await refusal(scope, receive, send)


def is_upload(scope: Scope) -> bool:
    """Whether a request brings a file."""
    return scope["method"] == "POST" and scope["path"].rstrip("/") in _UPLOADS


def _too_large(limit: int) -> ASGIApp:
    return problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the request is larger than {limit // 2**20} MiB",
        mend="NEREUS_SERVE_UPLOAD_MB sets the limit of uploads",
        headers={"connection": "close"},
    )


def _too_slow() -> ASGIApp:
    return problem(
        HTTPStatus.REQUEST_TIMEOUT,
        f"nothing came for {SILENT_S:.0f} s, or less than {SLOWEST} bytes a second",
        mend="send the request again",
        headers={"connection": "close"},
    )


class _NotTaken(Exception):
    """More came than was allowed, or too little."""
