"""Requests that a client makes again because it gave up waiting: they join the answer that is on its way.

OpenAI's clients ask again twice by themselves after a timeout. What was asked may have begun a run, or said yes to one: it
is not done twice. A client says that it asks again (``x-stainless-retry-count``), or names its request (``Idempotency-Key``).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request

from nereus.api.openai.agent import Answered

KEPT = 128
GRACE_S = 60.0
"""How long an answer is worked on for a client that has gone and may ask again."""
_LOOK_S = 1.0
_COUNT = "x-stainless-retry-count"
_NAME = "idempotency-key"


@dataclass
class _Making:
    """An answer on its way, and who waits for it."""

    task: asyncio.Task[Answered]
    waiting: int = 0
    gone_at: float = field(default_factory=time.monotonic)


class Answers:
    """Answers on their way, and the newest of those that are there."""

    def __init__(self) -> None:
        self._making: OrderedDict[str, _Making] = OrderedDict()

    async def of(
        self, request: Request, owner: str, make: Callable[[], Coroutine[Any, Any, Answered]]
    ) -> Answered:
        """The answer to a request: made, or that of the same request made before."""
        named = request.headers.get(_NAME, "")
        asks_again = bool(named) or request.headers.get(_COUNT, "0") not in ("", "0")
        said = f"{owner} {request.url.path} {named} ".encode() + await request.body()
        key = hashlib.sha256(said).hexdigest()
        making = self._making.get(key) if asks_again else None
        if making is None or _failed(making.task):
            making = _Making(asyncio.create_task(make()))
            making.task.add_done_callback(_heard)
            self._making[key] = making
        self._making.move_to_end(key)
        self._forget()
        return await self._waited(request, making)

    async def _waited(self, request: Request, making: _Making) -> Answered:
        """Wait for an answer; what nobody waits for any more is ended after a while."""
        making.waiting += 1
        try:
            while not making.task.done():
                await asyncio.wait({making.task}, timeout=_LOOK_S)
                if not making.task.done() and await request.is_disconnected():
                    break
        finally:
            making.waiting -= 1
            making.gone_at = time.monotonic()
        while not making.task.done():
            await asyncio.wait({making.task}, timeout=_LOOK_S)
            if not making.waiting and time.monotonic() - making.gone_at > GRACE_S:
                making.task.cancel()
        return Answered("") if making.task.cancelled() else making.task.result()

    def _forget(self) -> None:
        for old in list(self._making)[: max(0, len(self._making) - KEPT)]:
            if self._making[old].task.done():
                del self._making[old]


def _failed(task: asyncio.Task[Answered]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _heard(task: asyncio.Task[Answered]) -> None:
    """An error that nobody waits for is no defect."""
    if not task.cancelled():
        task.exception()


def answers_of(app: FastAPI) -> Answers:
    """The answers of a server."""
    found = getattr(app.state, "openai_answers", None)
    if found is None:
        found = app.state.openai_answers = Answers()
    assert isinstance(found, Answers)
    return found
