"""When a call that failed is made again, and after how long; and when an endpoint that asked for a pause is asked at all.

An endpoint that answers "too many requests" tells mostly how long to wait (``Retry-After``). That wait is kept by every call
to it in this process: a dozen calls side by side that each tried again on their own would only lengthen the queue.
"""

from __future__ import annotations

import random
import time
from threading import Lock
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from nereus.errors import EndpointError

FIRST_WAIT_S = 0.3
LONGEST_WAIT_S = 8.0
"""Seconds of a wait that nobody asked for."""
LONGEST_PAUSE_S = 600.0
"""Seconds for which an endpoint is left alone because it asked; one that asks for longer is asked again after so many."""
_SPREAD = 0.1
"""Share of a pause by which calls that waited for its end are spread, so that they do not come all at once."""
_random_wait = wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)


def transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    return isinstance(error, EndpointError) and error.transient


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.wait_s if isinstance(error, EndpointError) else None
    return max(_random_wait(state), asked or 0.0)


def _options(retries: int, seconds: float) -> dict[str, Any]:
    tried = stop_after_attempt(1 + retries)
    end = time.monotonic() + seconds

    def stop(state: RetryCallState) -> bool:
        """Too often, or the wait would end when nothing is left of the time."""
        return tried(state) or time.monotonic() + state.upcoming_sleep >= end

    return {"stop": stop, "wait": _wait, "retry": retry_if_exception(transient), "reraise": True}


def retrying(retries: int, seconds: float = float("inf")) -> Retrying:
    """Calls that fail for a passing reason are made again, at most so often, with growing random waits.

    Parameters
    ----------
    retries
        How often at most.
    seconds
        Time from now in which a try must begin; a wait that would pass it is not begun, and the last error stands.
    """
    return Retrying(**_options(retries, seconds))


def retrying_async(retries: int, seconds: float = float("inf")) -> AsyncRetrying:
    """The same for coroutines."""
    return AsyncRetrying(**_options(retries, seconds))


class Pause:
    """Until when an endpoint asked to be left alone."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = Lock()

    def ask(self, seconds: float) -> None:
        """Leave it alone for so long, from now."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + min(max(seconds, 0.0), LONGEST_PAUSE_S))

    def wait_s(self, left: float) -> float:
        """Seconds to wait before a call that has so many left.

        Raises
        ------
        EndpointError
            The pause does not end in time.
        """
        with self._lock:
            pause = self._until - time.monotonic()
        if pause <= 0.0:
            return 0.0
        if pause >= left:
            raise EndpointError(
                f"the endpoint asked to be left alone for another {pause:.0f} s",
                mend="ask later, or raise llm_timeout_s",
                status=429,
                wait_s=pause,
            )
        return min(pause * (1.0 + random.random() * _SPREAD), left)


_pauses: dict[str, Pause] = {}
_pauses_lock = Lock()


def pause_of(address: str) -> Pause:
    """The pause that all calls to an address keep."""
    with _pauses_lock:
        return _pauses.setdefault(address, Pause())
