"""Every shared data set whose truth is known: found, missed and false, one line each.

Claim: what is known of a data set stands among the outputs of `nereus discover` on the files as a user has them, and
what contradicts it does not. Each row runs in a home of its own, with default limits and, but where the kind of
experiment cannot be seen in the file, without a question; ids that
tell the truth are anonymised. A row that cannot be asked of `discover` calls the tools and says why. Rows are stored one
by one, so that a part can be run again.

    python -m benchmarks.truth.every_data_set --data FOLDER [--only NAME ...] [--seed 0] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.truth.data_sets import ROWS, Row
from benchmarks.truth.data_sets.row import Report, Score
from benchmarks.truth.results import RESULTS, data_folder, store, without_nan
from benchmarks.truth.truth_table import PAGE, rendered

NAME = "every_data_set"
LIMIT_S = 1800.0
MODULE = "benchmarks.truth.every_data_set"


def measured(command: list[str], home: Path, log: Path) -> tuple[int, dict[str, float]]:
    """Run a command; its status, and its processor seconds, wall seconds and peak megabytes."""
    start = time.perf_counter()
    environment = {**os.environ, "NEREUS_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() - start > LIMIT_S:
                process.kill()
            time.sleep(0.2)
    process.returncode = os.waitstatus_to_exitcode(status)
    seen = {
        "seconds": usage.ru_utime + usage.ru_stime,
        "wall_seconds": time.perf_counter() - start,
        "megabytes": float(round(usage.ru_maxrss / 1024)),
    }
    return process.returncode, seen


def run(
    row: Row, folder: Path, work: Path, seed: int, kept: Path | None, before: dict[str, Any] | None
) -> dict[str, Any]:
    """One row: what was found, in what time; `before` is its earlier result where a kept report is scored again."""
    given = row.files(folder, work, seed)
    out = (kept / row.name.replace("/", "-")) if kept else work / "report"
    log, home = work / "log.txt", work / "home"
    if row.tools is not None:
        answer = work / "answer.json"
        command = [sys.executable, "-m", MODULE, "--data", str(folder), "--seed", str(seed)]
        command += ["--answer", str(answer), "--only", row.name]
    else:
        command = [
            sys.executable,
            "-m",
            "nereus.cli",
            "discover",
            str(given.data),
            "--out",
            str(out),
            "-y",
            "-q",
        ]
        command += ["--seed", str(seed), "--workers", "1", *given.arguments]
        command += ["--question", row.question] if row.question else []
        command += [] if given.samples is None else ["--samples", str(given.samples)]
    if before is None:
        status, seen = measured(command, home, log)
    else:
        status, seen = 0, {name: before[name] for name in ("seconds", "wall_seconds", "megabytes")}
    made: dict[str, Any] = {
        "truth": row.truth,
        "checked": row.checked,
        "how": "tools" if row.tools else "discover",
        "why": row.why,
        "question": row.question,
        "seed": seed,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        **seen,
        "naive": None,
    }
    if status:
        made["error"] = log.read_text()[-600:] if not row.tools else f"exit {status}"
        made["product"] = asdict(Score(0, 1, note=f"ended with status {status}"))
    elif row.tools:
        made["product"] = json.loads((work / "answer.json").read_text())
    else:
        assert row.score is not None
        made["product"] = asdict(row.score(Report(out), given))
        made["hypotheses"] = len(Report(out).hypotheses)
        made["ended"], made["unanswered"] = Report(out).ended
    if row.naive is not None:
        made["naive"] = asdict(row.naive(given))
    return made


def stored() -> dict[str, Any]:
    """Rows of earlier runs."""
    path = RESULTS / f"{NAME}.json"
    return dict(json.loads(path.read_text())["rows"]) if path.is_file() else {}


def keep(rows: dict[str, Any]) -> None:
    """Write the result in the order of the table, and the page from it."""
    ordered = {name: rows[name] for name in ROWS if name in rows}
    total = sum(float(one["seconds"] or 0.0) for one in ordered.values())
    missing = [name for name in ROWS if name not in rows]
    content = {"claim": "every data set", "not_run": missing, "rows": ordered}
    store(NAME, content, module=MODULE, arguments=["--data", "/"], seconds=total)
    PAGE.write_text(rendered(json.loads((RESULTS / f"{NAME}.json").read_text())))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--only", nargs="+", help="names of rows, or beginnings of names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder that keeps the reports")
    parser.add_argument(
        "--score-again", action="store_true", help="score the reports that --keep kept; run nothing"
    )
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = data_folder(options.data)
    chosen = [name for name in ROWS if not options.only or name.startswith(tuple(options.only))]
    if not chosen:
        parser.error(f"no such row; the rows are {', '.join(ROWS)}")
    if options.answer:
        row = ROWS[options.only[0]]
        assert row.tools is not None
        with tempfile.TemporaryDirectory() as work:
            score = row.tools(row.files(folder, Path(work), options.seed), options.seed)
        options.answer.write_text(json.dumps(without_nan(asdict(score))))
        return
    for name in chosen:
        before = stored().get(name) if options.score_again and ROWS[name].tools is None else None
        if options.score_again and before is None:
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                made = run(ROWS[name], folder, Path(work), options.seed, options.keep, before)
            except Exception:  # noqa: BLE001 - one row must not stop the others; nothing is stored of it
                traceback.print_exc()
                print(f"{name}: could not be scored; nothing stored", flush=True)
                continue
        keep({**stored(), name: made})
        print(name, {k: made[k] for k in ("product", "seconds", "megabytes")}, flush=True)


if __name__ == "__main__":
    main()
