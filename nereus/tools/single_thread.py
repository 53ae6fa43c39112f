"""One thread a computation: linear algebra on several threads adds in another order and so gives other last digits.

Results must not depend on the number of processors, on the number of workers, nor on which library happened to be
loaded first.
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
_blas_limits: list[Any] = []


@contextmanager
def single_thread() -> Iterator[None]:
    """Hold BLAS and OpenMP at one thread while any tool computes; the former limits come back after the last one.

    BLAS has one limit for the process, OpenMP one for each Python thread. Libraries that were loaded since the last call
    are found: a limit that is set before a library is loaded does not reach it.
    """
    global _depth, _modules_seen, _controller
    from threadpoolctl import ThreadpoolController

    with _lock:
        fresh = len(sys.modules) != _modules_seen
        if fresh:
            _controller = ThreadpoolController()
            _modules_seen = len(sys.modules)
        _take_control(_controller)
        if _depth == 0 or fresh:
            _blas_limits.append(_controller.limit(limits=1, user_api="blas"))
        openmp_limit = _controller.limit(limits=1, user_api="openmp")
        _depth += 1
    try:
        yield
    finally:
        openmp_limit.restore_original_limits()
        with _lock:
            _depth -= 1
            _take_control(_controller)
            while _depth == 0 and _blas_limits:
                _blas_limits.pop().restore_original_limits()


def _take_control(controller: Any) -> None:
    """Newer threadpoolctl lets only the first thread that set a BLAS limit set another; ours take turns under a lock."""
    for library in controller.lib_controllers:
        clear = getattr(library, "clear_controlling_thread", None)
        if clear is not None:
            clear(force=True)
