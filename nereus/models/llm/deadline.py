"""End what takes too long: a call, or a stream, in a thread that nobody waits for once its time is over.

A timeout of an HTTP client ends a read that is silent; a reply that drips in byte by byte never trips it. The transports here
end such a reply, and one that is too large, as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import copy_context
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpx

T = TypeVar("T")
MOST_BYTES = 32 * 2**20
"""Bytes of one reply; a model writes less in any time that is allowed."""


def within(work: Callable[[], T], seconds: float) -> T:
    """What `work` gives, or `TimeoutError`. The thread is a daemon: a reply that never comes keeps no process alive."""
    answer: Queue[tuple[T | None, BaseException | None]] = Queue()
    context = copy_context()

    def run() -> None:
        try:
            answer.put((context.run(work), None))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            answer.put((None, error))

    Thread(target=run, daemon=True, name="nereus-chat-model").start()
    try:
        found, error = answer.get(timeout=max(seconds, 0.0))
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return found  # type: ignore[return-value]


def stream_within(items: Callable[[], Iterator[T]], seconds: float) -> Iterator[T]:
    """What an iterator gives, each in turn, or `TimeoutError` once the time of the whole is over."""
    pieces: Queue[tuple[T | None, BaseException | None, bool]] = Queue(maxsize=1024)
    left = Event()
    context = copy_context()
    deadline = time.monotonic() + seconds

    def put(piece: tuple[T | None, BaseException | None, bool]) -> None:
        while not left.is_set():
            try:
                pieces.put(piece, timeout=0.2)
            except Full:  # whoever reads may have gone
                continue
            return

    def run() -> None:
        try:
            for item in items():
                put((item, None, False))
                if left.is_set():
                    return
            put((None, None, True))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            put((None, error, True))

    Thread(target=lambda: context.run(run), daemon=True, name="nereus-chat-stream").start()
    try:
        while True:
            try:
                item, error, end = pieces.get(timeout=max(deadline - time.monotonic(), 0.0))
            except Empty:
                raise TimeoutError from None
            if error is not None:
                raise error
            if end:
                return
            yield item  # type: ignore[misc]
    finally:
        left.set()


class BoundedTransport(httpx.HTTPTransport):
    """A transport whose replies end in time and size."""

    def __init__(self, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self._seconds = seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        deadline = time.monotonic() + self._seconds
        response = super().handle_request(request)
        response.stream = _Bounded(response.stream, deadline)
        return response


class AsyncBoundedTransport(httpx.AsyncBaseTransport):
    """The same for asynchronous clients. Each event loop has connections of its own: those of another cannot be awaited."""

    def __init__(self, seconds: float, **options: Any) -> None:
        self._seconds, self._options = seconds, options
        self._of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncHTTPTransport] = (
            WeakKeyDictionary()
        )
        self._lock = Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.AsyncBaseTransport`."""
        deadline = time.monotonic() + self._seconds
        loop = asyncio.get_running_loop()
        with self._lock:
            transport = self._of_loop.get(loop)
            if transport is None:
                transport = self._of_loop[loop] = httpx.AsyncHTTPTransport(**self._options)
        response = await transport.handle_async_request(request)
        response.stream = _AsyncBounded(response.stream, deadline)
        return response

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        transport = self._of_loop.pop(asyncio.get_running_loop(), None)
        if transport is not None:
            await transport.aclose()


def _check(size: int, deadline: float) -> None:
    if size > MOST_BYTES:
        raise httpx.ReadError(f"the reply is larger than {MOST_BYTES} bytes")
    if time.monotonic() > deadline:
        raise httpx.ReadTimeout("the reply took too long")


class _Bounded(httpx.SyncByteStream):
    def __init__(self, stream: Any, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._stream:
            size += len(piece)
            _check(size, self._deadline)
            yield piece

    def close(self) -> None:
        self._stream.close()


class _AsyncBounded(httpx.AsyncByteStream):
    def __init__(self, stream: Any, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            _check(size, self._deadline)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
