"""What runs stream, as it is kept: those who follow are woken when more of it is, and read the newest without the database."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from nereus.memory.langgraph.streamed import RunEvent

_REMEMBERED = 10_000


@dataclass
class Tail:
    """The events of a run that is at work in this process: those that are kept, numbered on from `first`."""

    first: int
    """Number of the last event before it."""
    events: list[RunEvent] = field(default_factory=list)
    ended: bool = False

    def after(self, seq: int) -> list[RunEvent] | None:
        """Events above a number; None where some of them are older than the tail."""
        return None if seq < self.first else self.events[seq - self.first :]


class Tails:
    """The tails of all runs at work here, and who follows which run. Used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tails: dict[str, Tail] = {}
        self._bells: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._loops: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._told: OrderedDict[str, None] = OrderedDict()

    def end_was_told(self, run_id: str) -> None:
        """Somebody who follows a thread from now on has heard that a run ended."""
        with self._lock:
            self._told[run_id] = None
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)

    def was_end_told(self, run_id: str) -> bool:
        """Whether somebody has heard it."""
        with self._lock:
            return run_id in self._told

    def begin(self, run_id: str, first: int) -> None:
        """A run begins to be worked on here."""
        with self._lock:
            self._tails[run_id] = Tail(first)
        self.ring(run_id)

    def add(self, run_id: str, events: Sequence[RunEvent]) -> None:
        """Events were kept."""
        with self._lock:
            if run_id in self._tails:
                self._tails[run_id].events.extend(events)
        self.ring(run_id)

    def end(self, run_id: str) -> None:
        """A run has ended, and that is kept."""
        with self._lock:
            if run_id in self._tails:
                self._tails[run_id].ended = True
        self.ring(run_id)

    def drop(self, run_id: str) -> None:
        """Who follows an ended run reads the database from now on."""
        with self._lock:
            self._tails.pop(run_id, None)
        self.ring(run_id)

    def look(self, run_id: str, after: int) -> tuple[list[RunEvent], bool] | None:
        """Events above a number and whether the run has ended; None where the database has to be asked."""
        with self._lock:
            tail = self._tails.get(run_id)
            events = None if tail is None else tail.after(after)
            return None if tail is None or events is None else (events, tail.ended)

    def follow(self, run_id: str) -> asyncio.Event:
        """An event of the running loop that is set whenever the run may have something new."""
        bell = asyncio.Event()
        with self._lock:
            self._bells[run_id].add(bell)
            self._loops[bell] = asyncio.get_running_loop()
        return bell

    def leave(self, run_id: str, bell: asyncio.Event) -> None:
        """Follow no longer."""
        with self._lock:
            self._loops.pop(bell, None)
            self._bells[run_id].discard(bell)
            if not self._bells[run_id]:
                del self._bells[run_id]

    def ring(self, run_id: str) -> None:
        """Wake those who follow a run."""
        with self._lock:
            bells = [(bell, self._loops[bell]) for bell in self._bells.get(run_id, ())]
        for bell, loop in bells:
            if not loop.is_closed():
                loop.call_soon_threadsafe(bell.set)
