"""Limits reach every library, from every thread, and come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np  # noqa: F401 - loads a BLAS
import scipy.linalg  # noqa: F401 - loads another
import sklearn.utils  # noqa: F401 - loads OpenMP
from threadpoolctl import threadpool_info

from nereus.tools.single_thread import single_thread


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info()]


def test_threads_that_overlap_are_all_limited_and_the_limits_come_back() -> None:
    before = threads()
    barrier = Barrier(3)

    def compute(_: int) -> list[int]:
        with single_thread():
            barrier.wait()
            seen = threads()
            barrier.wait()
        return seen

    for _ in range(3):  # from fresh threads each time
        with ThreadPoolExecutor(3) as pool:
            for seen in pool.map(compute, range(3)):
                assert set(seen) == {1}
        with single_thread():
            assert set(threads()) == {1}
    assert threads() == before
