"""The event stream of a run as a client reads it: once, in order, and taken up again where a connection was lost."""

from __future__ import annotations

import json

from nereus.api.labs.asking import FIRST_PAUSE_S, TRIES
from nereus.errors import StoreError
from nereus.memory.records import Event

END = "end"
"""Last event of a stream: the run has ended, or waits for an answer."""
SILENCE_S = 60.0
"""Seconds without a word (the server sends one every fifteen) after which a connection counts as lost."""


class EventReader:
    """Reads the lines of a stream.

    Parameters
    ----------
    run_id
        The run.
    after
        Number of the last event that is known.
    """

    def __init__(self, run_id: str, after: int) -> None:
        self.run_id = run_id
        self.after = after
        self._ended = False
        self._name = ""
        self._lost = 0
        self._pause = FIRST_PAUSE_S

    def is_over(self) -> bool:
        """Whether the last event was read."""
        return self._ended

    @property
    def headers(self) -> dict[str, str]:
        """What a connection asks for: what comes after the last event that was read."""
        self._name = ""
        return {"accept": "text/event-stream", "last-event-id": str(self.after)}

    def read(self, line: str) -> Event | None:
        """Read a line; the event that it holds, if it holds one."""
        field, _, value = line.partition(":")
        if field == "event":
            self._name = value.strip()
        elif field == "data" and self._name == END:
            self._ended = True
        elif field == "data":
            event = Event.model_validate(json.loads(value))
            self.after, self._lost, self._pause = event.seq, 0, FIRST_PAUSE_S
            return event
        return None

    def pause_after(self, error: Exception | None) -> float:
        """Seconds after which a stream that was cut is taken up again; `StoreError` where the server stays away."""
        if error is not None and (tries := self._lost + 1) >= TRIES:
            raise StoreError(
                f"the server cannot be reached: {error}",
                where=f"run {self.run_id}",
                mend=f"runs.get({self.run_id!r}).events(after={self.after}) goes on",
            ) from None
        self._lost = 0 if error is None else tries
        pause, self._pause = self._pause, 2 * self._pause
        return pause
