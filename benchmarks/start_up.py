"""Claim: `import nereus` <= 0.3 s and `nereus --help` <= 0.5 s, since nothing heavy is imported.

Run ``python -m benchmarks.start_up``. Medians of whole processes; the bare interpreter stands beside them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.truth.results import store

RUNS = 9
COMMANDS = {
    "bare interpreter": ["-c", "pass"],
    "import nereus": ["-c", "import nereus"],
    "nereus --help": ["-m", "nereus.cli", "--help"],
}
LIMITS = {"import nereus": 0.3, "nereus --help": 0.5}


def main() -> int:
    start = time.perf_counter()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS + 1):
        for name, arguments in COMMANDS.items():
            before = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - before)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    passed = all(medians[name] <= limit for name, limit in LIMITS.items())
    path = store(
        "start_up",
        {
            "claim": __doc__.splitlines()[0],
            "runs": RUNS,
            "median_seconds": medians,
            "limits": LIMITS,
            "passed": passed,
        },
        module="benchmarks.start_up",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )
    print(path.read_text())
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
