"""The files of a report: their hashes, and tables and drawings against what the recomputed outputs give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nereus.agents.reporter import bundle, crate, record_files
from nereus.agents.reporter.cells import equal_numbers
from nereus.agents.reporter.verify.execution import Recomputed
from nereus.agents.reporter.verify.verification import TOLERANCE, Verification
from nereus.memory.artifacts import file_hash
from nereus.memory.records import ArtifactKind


def check_files(folder: Path, found: Verification) -> None:
    """Compare each file with its hash in the manifest."""
    listed = crate.listed_files(folder / bundle.MANIFEST)
    if not listed:
        found.count(False, f"{bundle.MANIFEST}: the manifest is missing or names no file")
    for name, sha256 in sorted(listed.items()):
        path = folder / name
        if not path.is_file():
            found.count(False, f"{name}: the file is missing")
        else:
            found.count(
                file_hash(path) == sha256,
                f"{name}: the file is not the one that the manifest names (hash differs)",
            )


def check_tables(folder: Path, steps: dict[str, Any], recomputed: Recomputed, found: Verification) -> None:
    """Compare every output: bytes first, otherwise cells; and every stored CSV and SVG."""
    compared: set[str] = set()
    for entry in steps["steps"]:
        call = recomputed.record.calls.get(entry["key"])
        if call is None:
            continue
        for name, output in entry["outputs"].items():
            if name not in call.outputs:
                continue
            where = f"step {entry['step']} ({entry['tool']}), {name}"
            now = recomputed.real[output["sha256"]]
            same = now.id == output["sha256"]
            file = output["file"]
            kind = ArtifactKind(output["kind"])
            if kind is ArtifactKind.TABLE and file:
                shape = (output["rows"], output["columns"])
                table = recomputed.store.table(now)
                found.count(
                    shape == (int(table.shape[0]), [str(column) for column in table.columns]),
                    f"{where}: rows or columns are not those of steps.json",
                )
                if file not in compared:
                    compared.add(file)
                    stored = stored_text(folder, file)
                    if stored is None:
                        found.count(False, f"{file}: the file is missing")
                    else:
                        found.count_cells(file, stored, bundle.table_csv(table))
                if not same:
                    found.notes.append(
                        f"{where}: not equal to the last bit; its cells were compared within 1e-9"
                    )
            elif kind is ArtifactKind.DATASET:
                if not same:
                    digest = record_files.dataset_digest(recomputed.store.dataset(now))
                    same = _equal_digests(output["digest"], digest)
                    if same:
                        found.notes.append(
                            f"{where}: not equal to the last bit; its sums were compared within 1e-9"
                        )
                found.count(same, f"{where}: the data set differs")
            elif kind is ArtifactKind.FIGURE and file:
                stored = stored_text(folder, file)
                drawn = recomputed.store.figure(now).decode("utf-8", "replace")
                if stored != drawn and same:
                    found.count(False, f"{file}: the drawing is not the one that the step makes")
                elif not same:
                    # Another version of the drawing library: its data, a table, is what is compared.
                    found.notes.append(f"{where}: drawn differently here; its data were compared")
                else:
                    found.count(True)


def _equal_digests(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal_digests(a[key], b[key]) for key in a)
    if isinstance(a, int | float) and isinstance(b, int | float):
        return equal_numbers(float(a), float(b), TOLERANCE)
    return bool(a == b)


def stored_text(folder: Path, name: str) -> str | None:
    """The text of a file of the report; None where there is none, or it lies outside."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as stream:
        return stream.read()
