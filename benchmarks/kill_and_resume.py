"""Claim: killed with SIGKILL at random instants, every resumed run ends with the same tables and hypotheses.

Run ``python -m benchmarks.kill_and_resume [--kills 20] [--seed 0] [--database sqlite]``. A part of the shipped data set is
analysed once without interruption, with SQLite; then each run is killed after a random time, resumed until it ends, and
compared byte for byte. With ``--database postgres`` the killed runs keep their records and checkpoints in a PostgreSQL
that is started for them (`scripts.local_postgres`), each in a database of its own.
Every computation is counted in a log: a finished step must not be computed again (a step whose result was not yet
recorded when the kill came is not finished), and none may be lost.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from benchmarks.truth.results import store
from scripts.local_postgres import temporary_server

EXAMPLE = Path(__file__).parents[1] / "examples" / "alzheimer_csf"

# Runs or resumes with a log line after every recorded call: what was recorded is finished.
CHILD = """
import sys, nereus
from nereus.memory.database.ledger import DatabaseLedger
from nereus.tools.steps import StepRunner
log = open(sys.argv[1], "a", buffering=1)
compute = StepRunner._compute
def counted(self, tool, spec, inputs):
    from nereus.tools.steps import step_key
    log.write("compute " + step_key(spec) + "\\n")
    return compute(self, tool, spec, inputs)
StepRunner._compute = counted
record = DatabaseLedger.record_call
def recorded(self, call):
    record(self, call)
    log.write("record " + call.key + "\\n")
DatabaseLedger.record_call = recorded
home = sys.argv[2]
if sys.argv[3] == "resume":
    nereus.resume(home=home)
else:
    nereus.discover(sys.argv[3], sys.argv[4], out=home + "/report", home=home, seed=1, budget=["objectives=2"])
"""


def small_data(folder: Path) -> tuple[Path, Path]:
    values = pd.read_csv(EXAMPLE / "proteome.csv.gz", index_col=0)
    sheet = pd.read_csv(EXAMPLE / "samples.csv", index_col=0)
    label = "_primary biochemical AD classification"
    sheet = sheet[sheet[label].notna() & sheet["_collection site"].isin(["Sweden", "Magdeburg"])]
    kept = values.columns[values.notna().mean() > 0.6][::5]
    values.loc[sheet.index, kept].to_csv(folder / "values.csv")
    sheet[["_collection site", "_age at CSF collection", "_gender", label]].to_csv(folder / "samples.csv")
    return folder / "values.csv", folder / "samples.csv"


def outputs(report: Path) -> dict[str, bytes]:
    files = ("claims.csv", "hypotheses.json", "graph.json", "edges.csv")
    names = [*(report / name for name in files), *sorted((report / "tables").glob("*.csv"))]
    return {str(path.relative_to(report)): path.read_bytes() for path in names}


def start(log: Path, home: Path, *arguments: str, database: str | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(log), str(home), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEREUS_")}
    if database is not None:
        environment["NEREUS_DATABASE_URL"] = database
    with log.with_suffix(".stderr").open("ab") as told:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told, env=environment)


def hash_of(found: dict[str, bytes]) -> str:
    """One hash over names and contents."""
    parts = [f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in sorted(found.items())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def fresh_database(server: str, name: str) -> str:
    """Make an empty database in the server; return its URL."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return f"{server.rpartition('/')[0]}/{name}"


def told(log: Path) -> str:
    """The last line that a run said about an error."""
    lines = log.with_suffix(".stderr").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing was said"


def computed_again(log: Path) -> int:
    """Computations of a key after its record was written."""
    finished: set[str] = set()
    again = 0
    for line in log.read_text().splitlines():
        word, key = line.split()
        again += word == "compute" and key in finished
        if word == "record":
            finished.add(key)
    return again


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    rng = random.Random(arguments.seed)
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(temporary_server()) if arguments.database == "postgres" else None
        data = [str(path) for path in small_data(folder)]
        before = time.perf_counter()
        whole = start(folder / "whole.log", folder / "whole", *data)
        if whole.wait() != 0:
            sys.exit(f"the uninterrupted run failed: {told(folder / 'whole.log')}")
        duration = time.perf_counter() - before
        expected = outputs(folder / "whole" / "report")
        for number in range(arguments.kills):
            home, log = folder / f"home{number}", folder / f"{number}.log"
            instant = rng.uniform(0.1, 1.0) * duration
            database = None if server is None else fresh_database(server, f"killed{number}")
            child = start(log, home, *data, database=database)
            try:
                child.wait(timeout=instant)
                killed = False
            except subprocess.TimeoutExpired:
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
                killed = True
            resumed = start(log, home, "resume", database=database).wait() if killed else 0
            if killed and resumed != 0:  # killed before the run was recorded: there is nothing to resume
                resumed = start(log, home, *data, database=database).wait()
            same = resumed == 0 and outputs(home / "report") == expected
            rows.append(
                {"instant": instant, "killed": killed, "equal": same, "computed_again": computed_again(log)}
            )
            print(rows[-1] if resumed == 0 else {**rows[-1], "told": told(log)}, flush=True)
            shutil.rmtree(home)
    counts = collections.Counter(row["equal"] for row in rows)
    passed = counts[True] == len(rows) and not any(row["computed_again"] for row in rows)
    store(
        "kill_and_resume" if server is None else f"kill_and_resume_{arguments.database}",
        {
            "claim": __doc__.splitlines()[0],
            "seeds": [arguments.seed],
            "kills": sum(row["killed"] for row in rows),
            "equal": counts[True],
            "computed_again": sum(row["computed_again"] for row in rows),
            "database": arguments.database,
            "hash_of_outputs": hash_of(expected),
            "uninterrupted_seconds": duration,
            "rows": rows,
            "passed": passed,
        },
        module="benchmarks.kill_and_resume",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - begin,
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
