"""What takes how long, told as it goes."""

from __future__ import annotations

import sys
import time


class Clock:
    """Seconds since the last call, by name.

    Attributes
    ----------
    told
        Seconds of each part.
    """

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, part: str) -> None:
        now = time.perf_counter()
        self.told[part] = round(now - self._last, 1)
        self._last = now
        print(f"    {part}: {self.told[part]} s", file=sys.stderr, flush=True)
