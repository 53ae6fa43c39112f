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

from nereus.api.problems import Refused
from nereus.api.state import ServerState
from nereus.errors import SettingsError
from nereus.memory.database.models import LOCAL
from nereus.memory.tokens import SCOPES

COOKIE = "nereus_session"
"""Cookie in which a browser keeps its token; see `nereus.api.routes.session`."""
_BEARER = "bearer "


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
        self._counts = MovingWindowRateLimiter(MemoryStorage())

    async def caller(self, request: Request) -> Caller:
        """Who makes a request; `Refused` where that cannot be told, or they ask too often."""
        address = request.client.host if request.client else ""
        secret = shown_secret(request)
        if secret is None:
            if self.open_to_all:
                return Caller(LOCAL, frozenset(SCOPES), address)
            raise _unauthorised("no token was shown")
        state = await state_of(request)
        token = await run_in_threadpool(state.tokens.check, secret)
        if token is None:
            act = f"{request.method} {request.url.path}"
            await run_in_threadpool(state.audit.add, "", "show token", act, "refused", address)
            raise _unauthorised("the token is unknown, has ended or was revoked")
        if not self._counts.hit(self._rate, token.owner):
            wait = max(
                1, round(self._counts.get_window_stats(self._rate, token.owner).reset_time - time.time())
            )
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._rate.amount} requests in {self._rate.get_expiry()} s",
                mend="ask less often; events of a run come without asking, from its stream",
                headers={"Retry-After": str(wait)},
            )
        return Caller(token.owner, token.scopes, address)


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
        return caller

    return dependency


Reader = Annotated[Caller, Depends(caller_with("read"))]
Writer = Annotated[Caller, Depends(caller_with("write"))]
Admin = Annotated[Caller, Depends(caller_with("admin"))]
State = Annotated[ServerState, Depends(state_of)]
