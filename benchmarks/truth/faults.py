"""S11: honesty under injected faults, through the whole product.

Each fault of `fault_cases` is injected into a run with a home of its own, in which a clean run of the same
data was recorded. Handled is a fault when all of this holds:

- **ended**: the run finishes or stops by itself, or ends with one of our typed errors; nothing else is raised;
- **told**: the report's notices, its steps or the terminal's closing lines say what was wrong (words of the case);
- **nothing invented**: no claim that the clean run does not make where the data are the same, and no claim or hypothesis
  without a finite effect and q;
- **verified**: where a report was written, every number in it is reproduced.

    python -m benchmarks.truth.faults [--only NAME ...] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.fault_cases import CASES, Case, Scene
from benchmarks.truth.results import RESULTS, store

LIMIT_S = 900
"""A fault whose run takes longer has not ended."""


def make_scene(work: Path) -> Scene:
    """A part of the shipped clinical data and a clean run of it."""
    import nereus

    scene = Scene(work)
    scene.write_data()
    run = nereus.discover(scene.values, scene.samples, home=scene.home, out=scene.clean, **scene.options)
    if run.status != "finished" or not len(run.claims):
        raise RuntimeError(f"the clean run is no base to compare with: {run}")
    return scene


def observe(case: Case, scene: Scene) -> dict[str, Any]:
    """Inject one fault in this process, and judge what came of it."""
    from nereus.agents.reporter.verify import verify_here
    from nereus.errors import NereusError
    from nereus.terminal import closing_lines

    begun = time.perf_counter()
    seen: dict[str, Any] = {"ended": False, "told": False, "nothing_invented": False, "verified": None}
    texts: list[str] = []
    run = None
    try:
        run = case.inject(scene)
        seen |= {"ended": run.status in ("finished", "stopped"), "status": run.status}
    except NereusError as error:
        seen |= {"ended": "mend: " in str(error), "status": type(error).__name__, "said": str(error)}
        texts.append(str(error))
    except BaseException as error:  # noqa: BLE001  what a user must never see
        seen |= {"status": type(error).__name__, "said": "".join(traceback.format_exception(error)[-3:])}
    if run is not None:
        texts += [*scene.said, *run.record.notices, *closing_lines(run), page_text(run.directory)]
    found = next((m for m in (re.search(case.told, text, re.IGNORECASE) for text in texts) if m), None)
    seen["told"] = found is not None
    if found is not None:
        seen["words"] = found.group(0)[:200]
    elif "said" not in seen:
        seen["said"] = " | ".join(texts[:-1])[:600]
    seen["nothing_invented"] = not (wrong := list(invented(case, scene, run)))
    if wrong:
        seen["invented"] = wrong[:5]
    if run is not None:
        found_again = verify_here(run.directory)  # in this process: a broken tool must do the same again
        seen["verified"] = found_again.ok
        if not found_again.ok:
            seen["differences"] = found_again.differences[:5]
    seen["handled"] = all(seen[one] is not False for one in ("ended", "told", "nothing_invented", "verified"))
    return {"fault": case.name, "group": case.group, **seen, "seconds": time.perf_counter() - begun}


def page_text(folder: Path) -> str:
    """What a reader of the report sees, on one line."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    page = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def invented(case: Case, scene: Scene, run: Any) -> Iterator[str]:
    """Claims that nothing stands behind."""
    if run is None:
        return
    claims = pd.read_csv(run.directory / "claims.csv")
    for column in ("effect", "q"):
        if len(claims) and not np.isfinite(claims[column].astype(float)).all():
            yield f"a claim without {column}"
    if case.same_data:
        clean = pd.read_csv(scene.clean / "claims.csv")
        key = ["contrast", "feature", "direction"]
        known = set(map(tuple, clean[key].astype(str).to_numpy()))
        yield from (
            f"claim {one}" for one in map(tuple, claims[key].astype(str).to_numpy()) if one not in known
        )
    for one in run.hypotheses:
        if one.status in ("supported", "tentative") and not set(one.evidence_ids) & set(run.record.evidence):
            yield f"hypothesis {one.id} without evidence"


def observed(case: Case, work: Path) -> dict[str, Any]:
    """Observe one fault in a fresh copy of the clean run's home, and in a fresh process where it needs one."""
    folder = work / case.name
    shutil.copytree(work / "home", folder / "home")
    if not case.alone:
        return observe(case, Scene(work).for_fault(case.name))
    answer = folder / "answer.json"
    command = [sys.executable, "-m", "benchmarks.truth.faults"]
    command += ["--observe", case.name, "--work", str(work), "--answer", str(answer)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"fault": case.name, "group": case.group, "handled": False, "status": "did not end"}
    if not answer.exists():
        said = (done.stderr or done.stdout)[-800:]
        status = f"process ended with {done.returncode}"
        return {"fault": case.name, "group": case.group, "handled": False, "status": status, "said": said}
    seen: dict[str, Any] = json.loads(answer.read_text())
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="*", choices=list(CASES), help="these faults; others keep their result"
    )
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    parser.add_argument("--observe", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.observe:
        case = CASES[options.observe]
        seen = observe(case, Scene(options.work).for_fault(case.name))
        options.answer.write_text(json.dumps(seen, default=str))
        return
    with tempfile.TemporaryDirectory(prefix="nereus-faults-") as folder:
        work = options.keep or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        if not (work / "clean" / "report.html").exists():
            make_scene(work)
        rows = []
        for name in options.only or CASES:
            shutil.rmtree(work / name, ignore_errors=True)
            rows.append(observed(CASES[name], work))
            told = "" if rows[-1]["handled"] else json.dumps(rows[-1], indent=1)
            print(
                f"{'ok ' if rows[-1]['handled'] else 'BAD'} {name} ({rows[-1].get('status')}) {told}",
                flush=True,
            )
    kept = RESULTS / "faults.json"
    before = json.loads(kept.read_text())["rows"] if options.only and kept.exists() else []
    known = {row["fault"]: row for row in (*before, *rows)}
    rows = [known[name] for name in CASES if name in known]
    handled = sum(bool(row["handled"]) for row in rows)
    summary = {"faults": len(rows), "handled": handled, "share_handled": handled / len(rows)}
    print(summary)
    store(
        "faults",
        {"claim": "S11", "demand": "all of at least 20", "summary": summary, "rows": rows},
        module="benchmarks.truth.faults",
        arguments=[],
        seconds=sum(float(row.get("seconds", 0.0)) for row in rows),
    )


if __name__ == "__main__":
    main()
