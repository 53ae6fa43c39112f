"""Writes what runs stream, all of a moment as one transaction, and tells it when it is kept. Used in the engine's loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from nereus.api.langgraph.tails import Tails
from nereus.errors import NereusError
from nereus.memory.langgraph.streamed import RunEvent, StreamedEvents

log = logging.getLogger("nereus.api")

_TROUBLED_S = 1.0


@dataclass
class _Group:
    """What is to be written next."""

    events: list[tuple[str, RunEvent]] = field(default_factory=list)
    ends: list[Callable[[Connection], None]] = field(default_factory=list)
    kept: asyncio.Future[None] | None = None


class Keeper:
    """Keeps events and ends of runs.

    Parameters
    ----------
    streamed
        Where they are kept.
    tails
        Where they are told.
    in_writer
        Does a call in the thread that writes.
    lost
        Told of a run whose events cannot be kept.
    """

    def __init__(
        self,
        streamed: StreamedEvents,
        tails: Tails,
        in_writer: Callable[..., Awaitable[Any]],
        lost: Callable[[str], None],
    ) -> None:
        self._streamed = streamed
        self._tails = tails
        self._in_writer = in_writer
        self._lost = lost
        self._group = _Group()
        self._waiting = asyncio.Event()

    def add(self, run_id: str, event: RunEvent) -> None:
        """Keep an event soon, and then tell it."""
        self._group.events.append((run_id, event))
        self._waiting.set()

    async def end(self, note: Callable[[Connection], None]) -> None:
        """Note the end of a run behind all that was added, and wait until that is kept."""
        self._group.ends.append(note)
        if self._group.kept is None:
            self._group.kept = asyncio.get_running_loop().create_future()
        self._waiting.set()
        await asyncio.shield(self._group.kept)

    async def write(self) -> None:
        """Write for ever."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            group, self._group = self._group, _Group()
            told: dict[str, list[RunEvent]] = {}
            for run_id, event in group.events:
                told.setdefault(run_id, []).append(event)
            while not await self._keep(group, told):
                await asyncio.sleep(_TROUBLED_S)
            for run_id, events in told.items():
                self._tails.add(run_id, events)
            if group.kept is not None:
                group.kept.set_result(None)

    async def _keep(self, group: _Group, told: dict[str, list[RunEvent]]) -> bool:
        """Write a group; False where the database is away. Rows that cannot be written end their own run only."""
        try:
            await self._in_writer(self._streamed.write, group.events, group.ends)
        except Exception as error:
            away = isinstance(error, NereusError) and not isinstance(error.__cause__, IntegrityError)
            if away or not group.events:
                log.exception("what runs stream cannot be kept")
                return False
            for run_id, events in list(told.items()):
                if not await self._keep_one(run_id, events):
                    del told[run_id]
            group.events = []
            return await self._keep(group, told)
        return True

    async def _keep_one(self, run_id: str, events: list[RunEvent]) -> bool:
        try:
            await self._in_writer(self._streamed.write, [(run_id, one) for one in events])
        except Exception:
            log.exception("what run %s streams cannot be kept", run_id)
            self._lost(run_id)
            return False
        return True
