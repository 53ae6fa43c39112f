"""One description of each call, carried out by whoever waits and by whoever awaits.

A verb is a generator: it yields requests, is sent their answers, and returns what the caller gets. `Made` turns it into a plain
method where it stands in a class that waits, and into a coroutine where it stands in one that awaits.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from nereus.errors import InputError, NereusError, NotFound, ResumeRefused, StoreError

TRIES = 6
FIRST_PAUSE_S = 0.2
_CONNECT_S = 10.0
_KINDS: dict[str, type[NereusError]] = {
    "not-found": NotFound,
    "resume-refused": ResumeRefused,
    "store-error": StoreError,
}

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
A = TypeVar("A")


@dataclass(frozen=True)
class Ask:
    """A request."""

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `httpx.Client.request` takes beside: ``json``, ``params``, ``files``."""


Asks = Generator[Ask, httpx.Response, T]
"""Requests that are made one after the other, and what comes of them."""


class Attempts:
    """How often a request is made. What only reads is asked again where the server cannot be reached."""

    def __init__(self, ask: Ask, address: str) -> None:
        self._left = TRIES if ask.method == "GET" else 1
        self._pause = FIRST_PAUSE_S
        self._address = address

    def pause_after(self, error: Exception) -> float:
        """Seconds until the next attempt; `StoreError` where there is none."""
        self._left -= 1
        if self._left < 1:
            raise StoreError(
                f"the server cannot be reached: {error}",
                where=self._address,
                mend="start it with `nereus serve`, or check the address",
            ) from None
        pause, self._pause = self._pause, 2 * self._pause
        return pause


def checked(answer: httpx.Response) -> httpx.Response:
    """An answer that is a success; what was refused is raised in the server's own words."""
    if answer.is_success:
        return answer
    raise refusal(answer)


def refusal(answer: httpx.Response) -> NereusError:
    """What the server said, as an error of the same kind."""
    try:
        told = answer.json()
    except ValueError:
        told = {}
    if not isinstance(told, dict) or "detail" not in told:
        return StoreError(
            f"the server answered {answer.status_code}",
            where=str(answer.url),
            mend="is this a Nereus server?",
        )
    kind = str(told.get("type", "")).rpartition(":")[2]
    return _KINDS.get(kind, InputError)(str(told["detail"]), where=told.get("where"), mend=told.get("mend"))


def headers_of(token: str | None) -> dict[str, str]:
    """What every request says of who asks."""
    return {"user-agent": "nereus"} | ({"authorization": f"Bearer {token}"} if token else {})


def timeout_of(seconds: float) -> httpx.Timeout:
    """How long an answer, and a connection, may take."""
    return httpx.Timeout(seconds, connect=_CONNECT_S)


class Line:
    """Carries out calls, and waits.

    Parameters
    ----------
    http
        Connections.
    ready
        Called before each request: starts what is not there yet.
    """

    def __init__(self, http: httpx.Client, ready: Callable[[], None] | None = None) -> None:
        self.http = http
        self._ready = ready

    def carry_out(self, asks: Asks[T]) -> T:
        """The outcome of a call."""
        try:
            ask = next(asks)
            while True:
                try:
                    answer = self._answer(ask)
                except NereusError as error:
                    ask = asks.throw(error)
                else:
                    ask = asks.send(answer)
        except StopIteration as done:
            outcome: T = done.value
            return outcome

    def _answer(self, ask: Ask) -> httpx.Response:
        if self._ready is not None:
            self._ready()
        attempts = Attempts(ask, str(self.http.base_url))
        while True:
            try:
                return checked(self.http.request(ask.method, ask.path, **ask.options))
            except httpx.TransportError as error:
                time.sleep(attempts.pause_after(error))


class AsyncLine:
    """Carries out calls, and awaits; see `Line`."""

    def __init__(self, http: httpx.AsyncClient, ready: Callable[[], None] | None = None) -> None:
        self.http = http
        self._ready = ready

    async def carry_out(self, asks: Asks[T]) -> T:
        """The outcome of a call."""
        try:
            ask = next(asks)
            while True:
                try:
                    answer = await self._answer(ask)
                except NereusError as error:
                    ask = asks.throw(error)
                else:
                    ask = asks.send(answer)
        except StopIteration as done:
            outcome: T = done.value
            return outcome

    async def _answer(self, ask: Ask) -> httpx.Response:
        if self._ready is not None:
            await asyncio.to_thread(self._ready)
        attempts = Attempts(ask, str(self.http.base_url))
        while True:
            try:
                return checked(await self.http.request(ask.method, ask.path, **ask.options))
            except httpx.TransportError as error:
                await asyncio.sleep(attempts.pause_after(error))


class Waits:
    """Something whose verbs wait."""

    def __init__(self, line: Line) -> None:
        self.line = line


class Awaits:
    """Something whose verbs are awaited."""

    def __init__(self, line: AsyncLine) -> None:
        self.line = line


def _as_it_is(part: Any, outcome: Any) -> Any:
    del part
    return outcome


class Made(Generic[P, S, A]):
    """A verb: gives `S` where it is waited for, and a promise of `A` where it is awaited.

    Parameters
    ----------
    describe
        The requests, as a method.
    into
        What is made of the outcome, for the thing whose verb it is.
    """

    def __init__(
        self,
        describe: Callable[Concatenate[Any, P], Asks[Any]],
        into: Callable[[Any, Any], Any] = _as_it_is,
    ) -> None:
        self._describe = describe
        self._into = into
        functools.update_wrapper(self, describe)  # type: ignore[arg-type]

    @overload
    def __get__(self, part: None, kind: type) -> Self: ...
    @overload
    def __get__(self, part: Waits, kind: type) -> Callable[P, S]: ...
    @overload
    def __get__(self, part: Awaits, kind: type) -> Callable[P, Awaitable[A]]: ...
    def __get__(self, part: Any, kind: type) -> Any:
        """The verb of one thing."""
        if part is None:
            return self
        describe, into = self._describe, self._into
        if isinstance(part, Waits):

            @functools.wraps(describe)
            def wait(*given: P.args, **named: P.kwargs) -> Any:
                return into(part, part.line.carry_out(describe(part, *given, **named)))

            return wait

        @functools.wraps(describe)
        async def promise(*given: P.args, **named: P.kwargs) -> Any:
            return into(part, await part.line.carry_out(describe(part, *given, **named)))

        return promise


class Told(Generic[T]):
    """A property that is asked for: its value where it is waited for, a promise of it where it is awaited."""

    def __init__(self, describe: Callable[[Any], Asks[T]]) -> None:
        self._describe = describe
        functools.update_wrapper(self, describe)  # type: ignore[arg-type]

    @overload
    def __get__(self, part: None, kind: type) -> Self: ...
    @overload
    def __get__(self, part: Waits, kind: type) -> T: ...
    @overload
    def __get__(self, part: Awaits, kind: type) -> Awaitable[T]: ...
    def __get__(self, part: Any, kind: type) -> Any:
        """The property of one thing."""
        return self if part is None else part.line.carry_out(self._describe(part))


def verb(describe: Callable[Concatenate[Any, P], Asks[T]]) -> Made[P, T, T]:
    """Make a verb of the description of its requests."""
    return Made(describe)
