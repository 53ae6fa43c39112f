"""Writes a run's folder: report, notebook, hypotheses, claims, tables, figures, inputs and the record.

The folder is written beside its place under another name and swapped in when it is complete, so nothing
half-written ever stands there. A folder that is no report of ours is never touched; what people put into an
older report is kept.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from nereus.agents.reporter import claims, crate, graph_files, hypotheses, notebook, record_files
from nereus.agents.reporter.html import render_report
from nereus.agents.reporter.sources import Sources
from nereus.errors import InputError, UnresolvedNumber
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import ArtifactKind, RunRecord
from nereus.spreadsheets import harmless

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "ro-crate-metadata.json"
_LONGEST_NAME = 160
"""Bytes of a file's name; systems take 255, archives and long paths fewer."""
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]")
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{one}{n}" for one in ("com", "lpt") for n in range(1, 10))}
)
"""Names that are no files on Windows, whatever follows the dot."""


def write_bundle(record: RunRecord, artifacts: ArtifactStore, out_dir: str | Path) -> Path:
    """Write everything that comes out of a run.

    Parameters
    ----------
    record
        The run, finished or stopped.
    artifacts
        The store that holds its tables, figures and inputs.
    out_dir
        Folder of the report. It may be absent, empty, or an older report, which is replaced.

    Returns
    -------
    The folder, absolute.

    Raises
    ------
    InputError
        When the folder holds something else.
    UnresolvedNumber
        When a statement holds a number that the record cannot account for.
    """
    target = Path(out_dir).expanduser().absolute()
    fresh = target.parent / f".{target.name}.nereus-new"
    former = target.parent / f".{target.name}.nereus-old"
    target.parent.mkdir(parents=True, exist_ok=True)
    if former.exists() and not target.exists():
        former.replace(target)  # an earlier process was killed between the two renames below
    refuse_foreign_folder(target)
    for leftover in (fresh, former):
        if leftover.exists():
            shutil.rmtree(leftover)
    fresh.mkdir()
    try:
        _write(record, artifacts, fresh)
        if target.exists():
            _keep_foreign_files(target, fresh)
            target.replace(former)
        fresh.replace(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(former, ignore_errors=True)
    return target


def refuse_foreign_folder(folder: Path) -> None:
    """Raise `InputError` when the folder holds something that is no Nereus report.

    Called before a run starts, too, so that nobody waits for a report that cannot be written.
    """
    if not folder.exists():
        return
    mend = "name a new folder with --out"
    if not folder.is_dir():
        raise InputError(f"{folder.name!r} is a file, not a folder", where=str(folder), mend=mend)
    if any(folder.iterdir()) and not is_report(folder):
        raise InputError("the folder is not empty and holds no Nereus report", where=str(folder), mend=mend)


def refuse_unwritable_folder(folder: Path) -> None:
    """Raise `InputError` when the folder cannot be made; nothing is left behind. Called before a run starts."""
    target = folder.expanduser().absolute()
    place = next(one for one in target.parents if one.exists() or one.is_symlink())
    try:
        with TemporaryDirectory(prefix=".nereus-", dir=place):
            pass
    except OSError as error:
        raise InputError(
            f"the folder cannot be written: {error.strerror or error}",
            where=str(place),
            mend="name a folder where you may write with --out",
        ) from error


def is_report(folder: Path) -> bool:
    """Whether a folder is a report that Nereus wrote."""
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(run, dict) and run.get("made_by") == "nereus"


def _keep_foreign_files(old: Path, fresh: Path) -> None:
    """Copy what people added to an older report: files that neither its manifest nor the new report has."""
    ours = crate.listed_files(old / MANIFEST)
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old).as_posix()
        place = fresh / name
        if (
            path.is_file()
            and not path.is_symlink()
            and name != MANIFEST
            and name not in ours
            and not place.exists()
        ):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)


def _write(record: RunRecord, artifacts: ArtifactStore, folder: Path) -> None:
    sources = Sources(record, artifacts.table)
    check_evidence(sources)
    graph_files.check_edges(sources)
    input_files = _copy_inputs(record, artifacts, folder)
    files = table_files(sources)
    for (key, output), name in files.items():
        ref = record.calls[key].outputs[output]
        place = folder / name
        place.parent.mkdir(exist_ok=True)
        if ref.kind is ArtifactKind.FIGURE:
            place.write_bytes(artifacts.figure(ref))
        else:
            _write_text(place, table_csv(artifacts.table(ref)))
    for name in ("tables", "figures", "inputs"):
        (folder / name).mkdir(exist_ok=True)
    documents = derived_documents(sources, artifacts.figure)
    documents["steps.json"] = record_files.json_text(
        record_files.steps_document(sources, artifacts, input_files, files)
    )
    documents["plan.json"] = record_files.json_text(record_files.plan_document(record))
    documents["run.json"] = record_files.json_text(record_files.run_document(record))
    documents["analysis.ipynb"] = notebook.notebook_text(sources, input_files, files)
    for name, text in documents.items():
        _write_text(folder / name, text)
    _write_text(folder / MANIFEST, record_files.json_text(crate.manifest(record, sources, folder)))


def derived_documents(sources: Sources, read_figure: Callable[[Any], bytes]) -> dict[str, str]:
    """Files that are a pure function of the record and its artifacts: `nereus verify` makes them again."""
    return {
        "claims.csv": claims.claims_csv(claims.claims_table(sources)),
        "hypotheses.json": record_files.json_text(hypotheses.hypotheses_document(sources)),
        "graph.json": record_files.json_text(graph_files.graph_document(sources)),
        "edges.csv": graph_files.edges_csv(sources),
        "report.html": render_report(sources, read_figure),
    }


def check_evidence(sources: Sources) -> None:
    """Raise `UnresolvedNumber` when a piece of evidence does not say what its step says."""
    for evidence in sources.record.evidence.values():
        found = sources.evidence_value(evidence)
        if found != evidence.value:
            raise UnresolvedNumber(
                f"evidence {evidence.id} says {evidence.value!r}, its step says {found!r}",
                where=f"step {evidence.step_id}",
                mend="take the value from the step's result",
            )


def _copy_inputs(record: RunRecord, artifacts: ArtifactStore, folder: Path) -> dict[str, str]:
    """Byte copies of the user's files, and artifact id -> path in the report."""
    place = folder / "inputs"
    place.mkdir()
    copied: dict[str, str] = {}
    for role, ref in record.header.inputs.items():
        if ref.id in copied:
            continue
        name = free_name(safe_name(ref.name), {one.name.casefold() for one in place.iterdir()}, role)
        shutil.copyfile(artifacts.checked_path(ref), place / name)
        copied[ref.id] = f"inputs/{name}"
    return copied


def safe_name(name: str) -> str:
    """A file name without folders, signs that nobody sees, or a leading dot, that every system takes.

    A long one is cut before its suffix, by bytes: that tells what kind of file it is.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    seen = "".join("" if unicodedata.category(one) in _UNSEEN else one for one in _FORBIDDEN.sub("_", last))
    bare = seen.strip(". ")
    if bare.partition(".")[0].casefold() in _DEVICES:
        bare = f"_{bare}"
    return _within(bare, "") or "input"


def free_name(name: str, taken: Collection[str], before: str) -> str:
    """The name, or one with more in front that is not taken; `taken` holds names in small letters."""
    tried, number = name, 1
    while tried.casefold() in taken:
        front = f"{before}-" if number == 1 else f"{before}-{number}-"
        tried, number = front + _within(name, front), number + 1
    return tried


def _within(name: str, front: str) -> str:
    """The name, cut before its suffix so that with what stands in front it is not longer than a file's name may be."""
    room = _LONGEST_NAME - len(front.encode())
    if len(name.encode("utf-8", "replace")) <= room:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 12:
        stem, suffix = name, ""
    end = dot + suffix if suffix else ""
    kept = stem.encode("utf-8", "replace")[: room - len(end.encode())].decode("utf-8", "ignore")
    return kept.rstrip(". ") + end


def table_files(sources: Sources) -> dict[tuple[str, str], str]:
    """Where each table and figure of the run lies in the report: (call key, output) -> path.

    Named by step, tool and output; a figure's data lies beside the figure. Equal content is kept once.
    """
    placed: dict[str, str] = {}
    files: dict[tuple[str, str], str] = {}
    order = [*dict.fromkeys(sources.call_of_step.values())]
    for key in order:
        call = sources.record.calls.get(key)
        if call is None:
            continue
        figures = {name for name, ref in call.outputs.items() if ref.kind is ArtifactKind.FIGURE}
        for name, ref in call.outputs.items():
            if ref.kind not in (ArtifactKind.TABLE, ArtifactKind.FIGURE):
                continue
            drawn = ref.kind is ArtifactKind.FIGURE or name.removesuffix("_data") in figures
            suffix = "svg" if ref.kind is ArtifactKind.FIGURE else "csv"
            stem = f"{sources.step_of_call[key]}-{call.spec.tool}-{name}"
            files[key, name] = placed.setdefault(
                ref.id, f"{'figures' if drawn else 'tables'}/{stem}.{suffix}"
            )
    return files


def table_csv(table: pd.DataFrame) -> str:
    """A table as CSV with full precision: every number reads back as the same double, and no text is a formula."""
    text: str = harmless(table).to_csv(index=False, lineterminator="\n")
    return text


def _write_text(place: Path, text: str) -> None:
    with place.open("w", encoding="utf-8", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
