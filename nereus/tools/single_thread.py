"""One thread a computation: linear algebra on several threads adds in another order and so gives other last digits.

Results must not depend on the number of processors, nor on which library happened to be loaded first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_lock = Lock()
_depth = 0
_modules_seen = -1
_controller: Any = None
_limits: list[Any] = []


@contextmanager
def single_thread() -> Iterator[None]:
    """Hold BLAS and OpenMP at one thread while any tool computes; the former limits come back after the last one.

    Libraries that were loaded since the last call are found: a limit that is set before a library is loaded does not
    reach it.
    """
    global _depth, _modules_seen, _controller
    from threadpoolctl import ThreadpoolController

    with _lock:
        fresh = len(sys.modules) != _modules_seen
        if fresh:
            _controller = ThreadpoolController()
            _modules_seen = len(sys.modules)
        if _depth == 0 or fresh:
            _limits.append(_controller.limit(limits=1))
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            while _depth == 0 and _limits:
                _limits.pop().restore_original_limits()
