"""Runs a command and returns what the operating system says about its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

# A bare interpreter starts the command, since a child's peak memory counts that of the process which forked it.
_START = """
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
used = [time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]
json.dump([*used, os.waitstatus_to_exitcode(status)], open(sys.argv[1], "w"))
"""


@dataclass(frozen=True)
class Used:
    """Wall-clock and processor seconds, peak memory (of the largest process) and exit code."""

    seconds: float
    processor_seconds: float
    peak_mb: float
    code: int

    def figures(self) -> dict[str, float]:
        """All but the exit code."""
        return {key: value for key, value in asdict(self).items() if key != "code"}


def measured(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Used:
    """Run a command to its end; what it prints goes to `log`."""
    with tempfile.TemporaryDirectory() as folder, log.open("wb") as out:
        figures = Path(folder) / "used.json"
        subprocess.run(
            [sys.executable, "-S", "-E", "-c", _START, str(figures), *command],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            check=True,
        )
        seconds, processor, peak, code = json.loads(figures.read_text())
    return Used(seconds, processor, peak, int(code))
