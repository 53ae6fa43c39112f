"""Claim: the demo run, cold, takes <= 60 s on two cores and <= 2 GiB of memory; every value of it is reproduced.

Run ``python -m benchmarks.demo_run``. Each run has a fresh NEREUS_HOME and process; peak memory is the operating
system's own account of the finished process. The last run is verified, and two runs with one and two workers must give
equal bytes.
"""

from __future__ import annotations

import filecmp
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.truth.results import store

EXAMPLE = Path(__file__).parents[1] / "examples" / "alzheimer_csf"
QUESTION = "Which proteins mark biochemical Alzheimer's disease?"
LIMIT_S, LIMIT_MB = 60.0, 2048.0


def run(home: Path, workers: int) -> float:
    command = [
        sys.executable, "-m", "nereus.cli", "discover", str(EXAMPLE / "proteome.csv.gz"),
        "--samples", str(EXAMPLE / "samples.csv"), "--question", QUESTION, "--out", str(home / "report"),
        "--workers", str(workers), "--yes", "--quiet",
    ]  # fmt: skip
    start = time.perf_counter()
    subprocess.run(
        command, check=True, env={**os.environ, "NEREUS_HOME": str(home)}, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def main() -> int:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        homes = {workers: Path(folder) / f"workers{workers}" for workers in (1, 2)}
        seconds = {workers: run(home, workers) for workers, home in homes.items()}
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        names = ["claims.csv", "hypotheses.json", "report.html"]
        names += [f"tables/{path.name}" for path in sorted((homes[1] / "report" / "tables").glob("*.csv"))]
        equal, different, missing = filecmp.cmpfiles(
            homes[1] / "report", homes[2] / "report", names, shallow=False
        )
        verified = subprocess.run(
            [sys.executable, "-m", "nereus.cli", "verify", str(homes[2] / "report")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        claims = len((homes[2] / "report" / "claims.csv").read_text().splitlines()) - 1
    passed = (
        seconds[2] <= LIMIT_S
        and peak_mb <= LIMIT_MB
        and not different
        and not missing
        and verified.returncode == 0
    )
    path = store(
        "demo_run",
        {
            "claim": __doc__.splitlines()[0],
            "seconds_by_workers": seconds,
            "peak_mb": peak_mb,
            "claims": claims,
            "equal_files": len(equal),
            "different_files": different + missing,
            "verify": verified.stdout.strip().splitlines()[-1],
            "limits": {"seconds": LIMIT_S, "peak_mb": LIMIT_MB},
            "passed": passed,
        },
        module="benchmarks.demo_run",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - begin,
    )
    print(path.read_text())
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
