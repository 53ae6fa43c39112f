"""Claim: a sandbox opens within half a second of the interpreter's own start, and a call in an open one takes milliseconds.

Run ``python -m benchmarks.sandbox``. For every layer that works here: opening (process, confinement, first empty piece of
code, closing), one call in an open session, a call with a table of 10,000 x 5 there and back, and the time from a limit to
the process being gone. The same code in a bare interpreter stands beside it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.results import store
from nereus.tools.code.layers import Grade, available, grade
from nereus.tools.code.sandbox import Session, run_once

STARTS = 9
CALLS = 50
LIMIT_START_MS = 500
LIMIT_CALL_MS = 20
WALL = 0.3


def milliseconds(function: Callable[[], Any], times: int) -> dict[str, float]:
    """Median, quickest and slowest of some runs."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        function()
        taken.append((time.perf_counter() - before) * 1000)
    return {
        "median": round(statistics.median(taken), 2),
        "least": round(min(taken), 2),
        "most": round(max(taken), 2),
    }


def main() -> int:
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(10_000, 5)), columns=list("abcde"))
    bare = milliseconds(
        lambda: subprocess.run([sys.executable, "-s", "-P", "-B", "-c", "pass"], check=True), STARTS
    )
    layers: dict[str, Any] = {}
    for layer in available():
        options: dict[str, Any] = {"layer": layer, "least": Grade.LIMITED}
        once = milliseconds(lambda options=options: run_once("pass", **options), STARTS)
        with Session(**options) as session:
            session.run("import numpy, pandas")
            call = milliseconds(lambda session=session: session.run("x = 1"), CALLS)
            both = milliseconds(lambda session=session: session.run("t2 = t + 1", tables={"t": table}), 9)
        late = milliseconds(lambda options=options: run_once("while True: pass", timeout=WALL, **options), 5)
        layers[layer.value] = {
            "grade": grade(layer).value,
            "once_ms": once,
            "over_bare_interpreter_ms": round(once["median"] - bare["median"], 2),
            "call_ms": call,
            "call_with_table_ms": both,
            "stopped_after_limit_ms": round(late["median"] - once["median"] - WALL * 1000, 2),
        }
    passed = all(
        one["over_bare_interpreter_ms"] <= LIMIT_START_MS and one["call_ms"]["median"] <= LIMIT_CALL_MS
        for one in layers.values()
    )
    path = store(
        "sandbox",
        {
            "claim": (__doc__ or "").splitlines()[0],
            "starts": STARTS,
            "calls": CALLS,
            "bare_interpreter_ms": bare,
            "layers": layers,
            "limits": {"over_bare_interpreter_ms": LIMIT_START_MS, "call_ms": LIMIT_CALL_MS},
            "passed": passed,
        },
        module="benchmarks.sandbox",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )
    print(path.read_text())
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
