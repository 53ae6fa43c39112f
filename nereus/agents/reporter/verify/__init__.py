"""Computes a report's every value again from ``inputs/`` alone, in a clean process, and compares.

What is compared, and how:

- the files: SHA-256 of each against the manifest, and nothing that the manifest names may be missing;
- every step, executed again in the recorded order in a temporary store (no cache, no database): its status, each
  named value, each output. An output whose bytes are equal is equal to the last bit; where bytes differ (another
  processor or library), the cells of its CSV copy are compared with a relative tolerance of 1e-9, data sets by
  their names, shapes, missing values and sums, drawings by their data;
- ``tables/`` and ``figures/``: the stored files against what the recomputed outputs give, cell by cell;
- ``claims.csv``, ``hypotheses.json``, ``graph.json`` and ``edges.csv``: against what the recomputed tables give, cell by
  cell, number by number;
- ``report.html``: every element with ``data-evidence`` or ``data-source``, its full value and its text; digits that
  no element accounts for; and the page as a whole against what this record renders.

Run as ``python -m nereus.agents.reporter.verify DIR``; exit code 1 when anything differs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from nereus.agents.reporter import record_files
from nereus.agents.reporter.verify.documents import GRAPH, check_derived, check_graph
from nereus.agents.reporter.verify.execution import Progress, Recomputed, check_versions, execute
from nereus.agents.reporter.verify.files import check_files, check_tables
from nereus.agents.reporter.verify.verification import Verification, first_line, report_text
from nereus.errors import InputError, ToolError
from nereus.memory.artifacts import ArtifactStore

__all__ = ["Verification", "report_text", "verify", "verify_here"]


def verify(folder: str | Path, *, progress: Progress | None = None) -> Verification:
    """Verify a report in a clean process.

    Parameters
    ----------
    folder
        A folder that `write_bundle` wrote.
    progress
        Called with a line for each step that is computed again.

    Raises
    ------
    InputError
        When the folder is no report.
    """
    target = _report_folder(folder)
    with tempfile.TemporaryDirectory(prefix="nereus-verify-") as home:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NEREUS_")} | {
            "NEREUS_HOME": home
        }
        command = [sys.executable, "-m", "nereus.agents.reporter.verify", str(target), "--json"]
        result: dict[str, Any] | None = None
        # Errors go to a file: a pipe that nobody reads would stop the process when it is full.
        with (Path(home) / "errors.txt").open("w+", encoding="utf-8") as said:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                encoding="utf-8",
                env=environment,
                cwd=home,
            )
            assert process.stdout is not None
            for line in process.stdout:
                message = json.loads(line) if line.startswith("{") else {}
                if "progress" in message and progress is not None:
                    progress(message["progress"])
                if "n_total" in message:
                    result = message
            process.wait()
            said.seek(0)
            errors = said.read()
    if result is None:
        raise ToolError(f"the process that computes again ended: {errors.strip()[-500:]}", where=str(target))
    return Verification(**result)


def verify_here(folder: str | Path, *, progress: Progress | None = None) -> Verification:
    """Verify a report in this process; `verify` runs this in a clean one."""
    target = _report_folder(folder)
    documents = _documents(target)
    found = Verification()
    check_files(target, found)
    try:
        record = record_files.read_record(
            documents["steps.json"], documents["plan.json"], documents["run.json"], documents.get(GRAPH)
        )
    except (KeyError, TypeError, ValueError) as error:
        found.count(
            False,
            f"steps.json, plan.json, run.json or graph.json cannot be read as a record: {first_line(error)}",
        )
        return found
    check_versions(record, documents["steps.json"], found)
    with tempfile.TemporaryDirectory(prefix="nereus-verify-") as scratch:
        store = ArtifactStore(Path(scratch))
        again = execute(target, documents["steps.json"], record, store, found, progress)
        recomputed = Recomputed(record, again, store)
        check_tables(target, documents["steps.json"], recomputed, found)
        check_derived(target, documents["hypotheses.json"], recomputed, found)
        if GRAPH in documents:
            check_graph(target, documents[GRAPH], recomputed, found)
    return found


def _report_folder(folder: str | Path) -> Path:
    target = Path(folder).expanduser().absolute()
    if not target.is_dir():
        raise InputError(
            "there is no such folder", where=str(target), mend="name the folder that `nereus discover` wrote"
        )
    missing = [name for name in ("steps.json", "plan.json", "run.json") if not (target / name).is_file()]
    if missing:
        raise InputError(
            f"the folder lacks {', '.join(missing)}",
            where=str(target),
            mend="name the folder that `nereus discover` wrote",
        )
    return target


def _documents(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = {}
    for name in ("steps.json", "plan.json", "run.json", "hypotheses.json", GRAPH):
        if name == GRAPH and not (folder / name).exists():
            continue  # reports of older versions have none; where the manifest names one, it is missed there
        try:
            loaded[name] = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot be read: {first_line(error)}", where=str(folder / name), mend="restore the file"
            ) from None
    return loaded
