"""When a call that failed is made again, and after how long."""

from __future__ import annotations

from typing import Any

from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from nereus.errors import EndpointError

FIRST_WAIT_S = 0.3
LONGEST_WAIT_S = 8.0


def transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    return isinstance(error, EndpointError) and error.transient


def _options(retries: int) -> dict[str, Any]:
    return {
        "stop": stop_after_attempt(1 + retries),
        "wait": wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
        "retry": retry_if_exception(transient),
        "reraise": True,
    }


def retrying(retries: int) -> Retrying:
    """Calls that fail for a passing reason are made again, at most so often, with growing random waits."""
    return Retrying(**_options(retries))


def retrying_async(retries: int) -> AsyncRetrying:
    """The same for coroutines."""
    return AsyncRetrying(**_options(retries))
