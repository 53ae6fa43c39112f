"""Seconds of the contract suite of the six methods of molecules and sequences.

    python -m benchmarks.methods.contract_suite [--methods NAME ...]

Each method is one process of pytest with one thread, so that a machine that others use can be measured in pieces. What a process
takes to start is measured by a test that does nothing, and is counted once, as in one run of the suite. Compared are processor
seconds, which other work disturbs little; seconds on the wall stand beside them with the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.truth.results import RESULTS, store

NAME = "methods/contract_suite"
SIX = ("unimatch", "mgssl", "mbp", "asgn", "utgdiff", "bsm")
START = "start"
WORDS = {START: "test_every_method_has_a_case", **{name: name for name in SIX}}
"""What is run, and the words that choose its tests."""
ALLOWED_SECONDS = 90
ROOT = Path(__file__).parents[2]


def measured(words: str) -> dict[str, float]:
    """Seconds of one run of the suite's tests whose names hold `words`."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/models/test_contract.py", "-k", words],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stdout[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.perf_counter() - started
    return {"processor": spent, "wall": wall, "tests": float(done.stdout.split(" passed")[0].split()[-1])}


def main() -> None:
    """Run the methods that are named, and store them with what is known of the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", choices=list(WORDS), default=list(WORDS))
    given = parser.parse_args()
    file = RESULTS / f"{NAME}.json"
    started = time.perf_counter()
    for name in given.methods:
        found = {"load_average": os.getloadavg()[0], **measured(WORDS[name])}
        known = json.loads(file.read_text(encoding="utf-8"))["figures"] if file.exists() else {}
        runs: dict[str, dict[str, float]] = {**known.get("by_method", {}), name: found}
        figures: dict[str, Any] = {"by_method": runs}
        if set(WORDS) <= set(runs):
            whole = {
                key: sum(runs[one][key] - runs[START][key] for one in SIX) + runs[START][key]
                for key in ("processor", "wall")
            }
            figures |= {
                "six_methods": {**whole, "tests": sum(runs[one]["tests"] for one in SIX)},
                "acceptance": {
                    f"within_{ALLOWED_SECONDS}_processor_seconds": whole["processor"] <= ALLOWED_SECONDS
                },
            }
        store(NAME, {"seeds": [0], "figures": figures}, module="benchmarks.methods.contract_suite",
              arguments=sys.argv[1:], seconds=known.get("seconds", 0) + time.perf_counter() - started)  # fmt: skip
        print(name, runs[name], flush=True)


if __name__ == "__main__":
    main()
