"""Who asks, and what they may do: tokens, scopes, and the machine's own user where the server listens on loopback only."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from nereus.api.problems import Refused, problem, status_of
from nereus.api.protection import is_upload
from nereus.api.state import ServerState
from nereus.errors import NereusError, SettingsError
from nereus.memory.database.models import LOCAL
from nereus.memory.tokens import PREFIX, SCOPES

COOKIE = "nereus_session"
"""Cookie in which a browser keeps its token; see `nereus.api.routes.session`."""
_BEARER = "bearer "
_CALLER = "nereus.caller"
_NOTED_THERE = "/api/"
"""Under it, endpoints note in the audit log what they have done; elsewhere (LangGraph's protocol, OpenAI's) it is noted
what was asked."""
_FAILURES = "30/minute"
"""How often one address may show what is no token before it is no longer looked at, nor noted."""


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    owner: str
    scopes: frozenset[str]
    address: str = ""


class Gate:
    """Decides who comes in.

    Parameters
    ----------
    open_to_all
        Whether a request without a token is the machine's own user: only where the server listens on loopback.
    rate
        Requests of one owner, as ``6000/minute``.
    """

    def __init__(self, open_to_all: bool, rate: str) -> None:
        self.open_to_all = open_to_all
        self._rate = parsed_rate(rate)
        self._failures = parsed_rate(_FAILURES)
        self._counts = MovingWindowRateLimiter(MemoryStorage())

    async def caller(self, request: Request) -> Caller:
        """Who makes a request; `Refused` where that cannot be told, or they ask too often."""
        known = request.scope.get(_CALLER)  # who was asked before the body was taken
        if known is None:
            known = request.scope[_CALLER] = await self._told(request)
        return cast(Caller, known)

    async def _told(self, request: Request) -> Caller:
        address = request.client.host if request.client else ""
        secret = shown_secret(request)
        if self.open_to_all and (secret is None or not secret.startswith(PREFIX)):
            # Many clients send a key whether or not one is asked for: what is no token of ours says nothing.
            return Caller(LOCAL, frozenset(SCOPES), address)
        if secret is None:
            raise _unauthorised("no token was shown")
        state = await state_of(request)
        token = await run_in_threadpool(state.tokens.check, secret)
        if token is None:
            self._count(self._failures, f"failures of {address}", "requests whose token is none")
            act = f"{request.method} {request.url.path}"
            await run_in_threadpool(state.audit.add, "", "show token", act, "refused", address)
            raise _unauthorised("the token is unknown, has ended or was revoked")
        self._count(self._rate, f"owner {token.owner}", "requests")
        return Caller(token.owner, token.scopes, address)

    def _count(self, rate: RateLimitItem, whose: str, what: str) -> None:
        """Count a request; `Refused` where there are too many."""
        if self._counts.hit(rate, whose):
            return
        wait = max(1, round(self._counts.get_window_stats(rate, whose).reset_time - time.time()))
        raise Refused(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"more than {rate.amount} {what} in {rate.get_expiry()} s",
            mend="ask less often; events of a run come without asking, from its stream",
            headers={"Retry-After": str(wait)},
        )


def parsed_rate(text: str) -> RateLimitItem:
    """A rate such as ``6000/minute``; `SettingsError` where it is none."""
    try:
        return parse(text)
    except ValueError:
        raise SettingsError(
            f"{text!r} is no rate",
            where="setting 'serve_rate'",
            mend="write a number and a unit: 6000/minute",
        ) from None


async def state_of(request: Request) -> ServerState:
    """The open stores of the server. A coroutine, so that no thread is asked for it."""
    return cast(ServerState, request.app.state.nereus)


def shown_secret(request: Request) -> str | None:
    """The token that a request shows, in a header or in the cookie of the web page; None where it shows none."""
    given = request.headers.get("authorization")
    if given is not None:
        if not given.lower().startswith(_BEARER):
            raise _unauthorised("the header Authorization shows no bearer token")
        return given[len(_BEARER) :].strip()
    return request.headers.get("x-api-key") or request.cookies.get(COOKIE) or None


class AskedFirst:
    """Asks who brings a file before a byte of it is taken: a stranger's upload never reaches the disk."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http" and is_upload(scope):
            try:
                await caller_with("write")(Request(scope))
            except Refused as error:
                headers = {**error.headers, "connection": "close"}
                answer = problem(error.status, error.what, error.where, error.mend, headers=headers)
                await answer(scope, receive, send)
                return
            except NereusError as error:
                answer = problem(status_of(error), error.what, error.where, error.mend)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _unauthorised(what: str) -> Refused:
    return Refused(
        HTTPStatus.UNAUTHORIZED,
        what,
        where="header Authorization",
        mend="make one with `nereus token create NAME` and send `Authorization: Bearer TOKEN`",
        headers={"WWW-Authenticate": 'Bearer realm="nereus"'},
    )


def caller_with(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency: the caller, who must have a scope."""

    async def dependency(request: Request) -> Caller:
        caller = await cast(Gate, request.app.state.gate).caller(request)
        if scope not in caller.scopes:
            state = await state_of(request)
            act = f"{request.method} {request.url.path}"
            await run_in_threadpool(state.audit.add, caller.owner, scope, act, "refused", caller.address)
            raise Refused(
                HTTPStatus.FORBIDDEN,
                f"the token lacks the scope {scope!r}",
                mend=f"make one with `nereus token create {caller.owner} --scope {scope}`",
            )
        if scope == "write" and not request.url.path.startswith(_NOTED_THERE):
            state = await state_of(request)
            act = request.scope["route"].name.replace("_", " ")
            path = request.url.path
            await run_in_threadpool(state.audit.add, caller.owner, act, path, "asked", caller.address)
        return caller

    return dependency


Reader = Annotated[Caller, Depends(caller_with("read"))]
Writer = Annotated[Caller, Depends(caller_with("write"))]
Admin = Annotated[Caller, Depends(caller_with("admin"))]
State = Annotated[ServerState, Depends(state_of)]
