"""How much of a run is recorded, as two numbers that only grow: what a checkpoint may rest on."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

from nereus.memory.records import Event


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
    """

    def __init__(self, recorded: Mark) -> None:
        self._mark = recorded
        self._lock = Lock()

    def __call__(self) -> Mark:
        """How much is kept now."""
        return self._mark

    def heard(self, event: Event) -> None:
        """An event was kept."""
        with self._lock:
            if event.run_id == self._mark.run_id and event.seq > self._mark.events:
                self._mark = self._mark._replace(events=event.seq)

    def decided(self) -> None:
        """A decision was kept."""
        with self._lock:
            self._mark = self._mark._replace(decisions=self._mark.decisions + 1)
