"""How much of a run is recorded, as two numbers that only grow: what a checkpoint may rest on."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import NamedTuple


class Mark(NamedTuple):
    """How much of a run is recorded."""

    run_id: str
    events: int
    decisions: int


class Progress:
    """Counts what of a run is kept: two numbers that only grow.

    Parameters
    ----------
    recorded
        What was kept before this process worked on the run.
    last_event
        Number of the newest event of a run that this process has kept: `EventStream.kept`.
    """

    def __init__(self, recorded: Mark, last_event: Callable[[str], int]) -> None:
        self._before = recorded
        self._last_event = last_event
        self._decided = 0
        self._lock = Lock()

    def __call__(self) -> Mark:
        """How much is kept now."""
        run_id, events, decisions = self._before
        return Mark(run_id, max(events, self._last_event(run_id)), decisions + self._decided)

    def decided(self) -> None:
        """A decision was kept."""
        with self._lock:
            self._decided += 1
