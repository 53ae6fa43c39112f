"""Seconds of the contract suite: of the six methods of molecules and sequences, and of all that are registered.

    python -m benchmarks.methods.contract_suite [--arm six all] [--repeats 1]

Each arm is one process of pytest with one thread. Compared are processor seconds, which other work on the machine disturbs
little; seconds on the wall stand beside them with the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.truth.results import RESULTS, store

NAME = "methods/contract_suite"
SIX = ("unimatch", "mgssl", "mbp", "asgn", "utgdiff", "bsm")
ALLOWED_SECONDS = 90
ROOT = Path(__file__).parents[2]
ARMS = {"six": ("six_methods", " or ".join(SIX)), "all": ("all_methods", "test")}


def measured(words: str) -> dict[str, float]:
    """Seconds of one run of the suite's tests whose names hold `words`."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/models/test_contract.py", "-k", words],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stdout[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.perf_counter() - started
    return {"processor": spent, "wall": wall, "tests": float(done.stdout.split(" passed")[0].split()[-1])}


def main() -> None:
    """Run the arms that are named, and store them with what is known of the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arm", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--repeats", type=int, default=1)
    given = parser.parse_args()
    file = RESULTS / f"{NAME}.json"
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["figures"] if file.exists() else {}
    started, load = time.perf_counter(), os.getloadavg()[0]
    for arm in given.arm:
        name, words = ARMS[arm]
        runs = [measured(words) for _ in range(given.repeats)]
        figures[name] = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        figures["acceptance"] = {
            f"six_within_{ALLOWED_SECONDS}_processor_seconds": figures["six_methods"]["processor"]
            <= ALLOWED_SECONDS
            if "six_methods" in figures
            else None
        }
        content = {"seeds": [0], "load_average": load, "figures": figures}
        store(NAME, content, module="benchmarks.methods.contract_suite", arguments=sys.argv[1:],
              seconds=time.perf_counter() - started)  # fmt: skip
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
