"""Claim: killed with SIGKILL at random instants, every resumed run ends with the same tables and hypotheses.

Run ``python -m benchmarks.kill_and_resume [--kills 20] [--seed 0] [--database sqlite] [--keep]``. A part of the shipped
data set is analysed once without interruption, with SQLite; then each run is killed after a random time, resumed until it
ends, and compared byte for byte. With ``--database postgres`` the killed runs keep their records and checkpoints in a PostgreSQL
that is started for them (`scripts.local_postgres`), each in a database of its own.
Every computation is counted in a log: a finished step must not be computed again (a step whose result was not yet
recorded when the kill came is not finished), and none may be lost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
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
from typing import Any

import pandas as pd

from benchmarks.truth.results import RESULTS, store
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


def kept(name: str, seed: int, hash_: str) -> list[dict[str, Any]]:
    """Kills that an earlier call stored, where its outputs were these."""
    path = RESULTS / f"{name}.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    same = stored.get("seeds") == [seed] and stored.get("hash_of_outputs") == hash_
    return list(stored["rows"]) if same else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--keep", action="store_true", help="go on after the stored kills of this seed")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    rng = random.Random(arguments.seed)
    name = "kill_and_resume" + ("_postgres" if arguments.database == "postgres" else "")
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
        rows = kept(name, arguments.seed, hash_of(expected)) if arguments.keep else []
        for number in range(arguments.kills):
            share = rng.uniform(0.1, 1.0)
            if number < len(rows):
                continue
            rows.append(killed_and_resumed(folder, number, share * duration, data, server))
            print(rows[-1], flush=True)
            # Stored after each kill, so that what is stopped keeps what it has.
            content = {
                "claim": __doc__.splitlines()[0],
                "seeds": [arguments.seed],
                "kills": sum(row["killed"] for row in rows),
                "equal": sum(row["equal"] for row in rows),
                "computed_again": sum(row["computed_again"] for row in rows),
                "database": arguments.database,
                "hash_of_outputs": hash_of(expected),
                "uninterrupted_seconds": duration,
                "rows": rows,
                "passed": all(row["equal"] and not row["computed_again"] for row in rows),
            }
            seconds = time.perf_counter() - begin
            store(name, content, module="benchmarks.kill_and_resume", arguments=sys.argv[1:], seconds=seconds)
    return 0 if all(row["equal"] and not row["computed_again"] for row in rows) else 1


def killed_and_resumed(
    folder: Path, number: int, instant: float, data: list[str], server: str | None
) -> dict[str, Any]:
    """Start a run, kill it at the instant, resume it; its outputs against those of the uninterrupted one."""
    home, log = folder / f"home{number}", folder / f"{number}.log"
    database = None if server is None else fresh_database(server, f"killed{number}")
    child = start(log, home, *data, database=database)
    try:
        child.wait(timeout=instant)
        killed = False
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        killed = True
    resumed = start(log, home, "resume", database=database).wait() if killed else child.returncode
    if killed and resumed != 0:  # killed before the run was recorded: there is nothing to resume
        resumed = start(log, home, *data, database=database).wait()
    same = resumed == 0 and outputs(home / "report") == outputs(folder / "whole" / "report")
    row = {"instant": instant, "killed": killed, "equal": same, "computed_again": computed_again(log)}
    shutil.rmtree(home)
    return row if resumed == 0 else {**row, "told": told(log)}


if __name__ == "__main__":
    sys.exit(main())
