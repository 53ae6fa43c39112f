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

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus.agents.reporter import bundle, claims, crate, graph_files, hypotheses, record_files
from nereus.agents.reporter.cells import different_cells, equal_numbers, equal_texts
from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.html import render_report
from nereus.agents.reporter.page_numbers import PageNumber, read_page
from nereus.agents.reporter.render import exact
from nereus.agents.reporter.sources import Sources
from nereus.errors import InputError, NereusError, ToolError
from nereus.memory.artifacts import ArtifactStore, file_hash
from nereus.memory.records import ArtifactKind, ArtifactRef, CallStatus, RunRecord, ToolCall

if TYPE_CHECKING:
    from nereus.tools.steps import StepRunner

TOLERANCE = 1e-9
"""Largest relative difference of two numbers that count as reproduced."""

GRAPH = "graph.json"

Progress = Callable[[str], None]

_NUMBER = re.compile(
    r'<a (class="num" data-(?:evidence|source)="[^"]*" data-format="[^"]*") data-value="[^"]*" href="[^"]*">[^<]*</a>'
)
_DRAWING = re.compile(r'<div class="paper"><svg.*')


@dataclass
class Verification:
    """What was compared and what differs."""

    n_total: int = 0
    n_reproduced: int = 0
    differences: list[str] = field(default_factory=list)
    """Each names the file or step, the place in it, and both values."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know and is no difference: other library versions, outputs equal but for rounding."""

    @property
    def ok(self) -> bool:
        """Whether everything was reproduced."""
        return not self.differences and self.n_reproduced == self.n_total

    def line(self) -> str:
        """The last line of the command."""
        return f"{self.n_reproduced}/{self.n_total} values reproduced"

    def count(self, reproduced: bool, difference: str = "") -> None:
        """Count one comparison."""
        self.n_total += 1
        if reproduced:
            self.n_reproduced += 1
        else:
            self.differences.append(difference)

    def count_cells(self, where: str, stored: str, computed: str) -> None:
        """Count the cells of a CSV."""
        found = different_cells(stored, computed, TOLERANCE)
        self.n_total += found.total
        self.n_reproduced += found.equal
        self.differences += [f"{where}: {difference}" for difference in found.differences]
        if (hidden := found.total - found.equal - len(found.differences)) > 0:
            self.differences.append(f"{where}: {hidden} further cells differ")


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
            f"steps.json, plan.json, run.json or graph.json cannot be read as a record: {_first_line(error)}",
        )
        return found
    _check_versions(record, documents["steps.json"], found)
    with tempfile.TemporaryDirectory(prefix="nereus-verify-") as scratch:
        store = ArtifactStore(Path(scratch))
        again = _execute(target, documents["steps.json"], record, store, found, progress)
        recomputed = Recomputed(record, again, store)
        check_tables(target, documents["steps.json"], recomputed, found)
        check_derived(target, documents["hypotheses.json"], recomputed, found)
        if GRAPH in documents:
            check_graph(target, documents[GRAPH], recomputed, found)
    return found


class Recomputed:
    """The recorded run with the recomputed results in place of the recorded ones.

    Calls keep their recorded keys, so that evidence finds them even where an input differs in its bytes.
    """

    def __init__(self, record: RunRecord, again: dict[str, ToolCall], store: ArtifactStore) -> None:
        # Outputs keep their recorded identity, too: `real` leads from it to what was made now.
        self.real: dict[str, ArtifactRef] = {}
        calls = {}
        for key, call in record.calls.items():
            made = again.get(key)
            if made is None:
                continue
            outputs = {}
            for name, ref in made.outputs.items():
                recorded = call.outputs.get(name, ref)
                outputs[name] = ref.model_copy(update={"id": recorded.id, "size": recorded.size})
                self.real.setdefault(recorded.id, ref)
            calls[key] = made.model_copy(update={"key": key, "spec": call.spec, "outputs": outputs})
        self.record = record.model_copy(update={"calls": calls})
        self.store = store
        self.sources = Sources(self.record, self.table)

    def table(self, ref: ArtifactRef) -> Any:
        """A recomputed table."""
        return self.store.table(self.real[ref.id])

    def draws_alike(self) -> bool:
        """Whether every drawing came out with the same bytes."""
        return all(
            ref.id == recorded for recorded, ref in self.real.items() if ref.kind is ArtifactKind.FIGURE
        )

    def figure(self, ref: ArtifactRef) -> bytes:
        """A recomputed drawing."""
        return self.store.figure(self.real[ref.id])


# -------------------------------------------------------------------------------------------------- files


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
                f"cannot be read: {_first_line(error)}", where=str(folder / name), mend="restore the file"
            ) from None
    return loaded


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


def _check_versions(record: RunRecord, steps: dict[str, Any], found: Verification) -> None:
    from importlib.metadata import PackageNotFoundError, version

    from nereus.tools import registry

    for tool in sorted({(entry["tool"], entry["version"]) for entry in steps["steps"]}):
        name, recorded = tool
        if name not in registry.CATALOGUE:
            found.count(
                False,
                f"tool {name!r} is not known to this version of Nereus: install the one that run.json names",
            )
        elif registry.get(name).version != recorded:
            found.count(
                False,
                f"tool {name!r} has version {registry.get(name).version} here, {recorded} in the report: "
                "install the version of Nereus that run.json names",
            )
    for package, recorded in record.header.versions.items():
        try:
            here = version(package)
        except PackageNotFoundError:
            continue
        if here != recorded:
            found.notes.append(f"{package} is {here} here, {recorded} in the report")


# -------------------------------------------------------------------------------------------------- steps


def _execute(
    folder: Path,
    steps: dict[str, Any],
    record: RunRecord,
    store: ArtifactStore,
    found: Verification,
    progress: Progress | None,
) -> dict[str, ToolCall]:
    """Execute every step again, and compare its status and values. Recorded key -> call made now."""
    from nereus.tools import registry
    from nereus.tools.steps import MemoryLedger, StepRunner, step_key

    runner = StepRunner(store, MemoryLedger())
    real: dict[str, ArtifactRef] = {}
    for role, entry in steps["inputs"].items():
        path = (folder / entry["file"]).resolve()
        if not path.is_relative_to(folder.resolve()):
            found.count(False, f"steps.json: input {role!r} lies outside the report")
        elif not path.is_file():
            found.count(
                False,
                f"{entry['file']}: the input is missing, nothing that was made from it can be computed again",
            )
        else:
            ref = store.put_file(path, entry["name"])
            found.count(
                ref.id == entry["sha256"],
                f"{entry['file']}: the input is not the one that was analysed (hash differs)",
            )
            real[entry["sha256"]] = ref
    again: dict[str, ToolCall] = {}
    for number, entry in enumerate(steps["steps"], start=1):
        call = record.calls[entry["key"]]
        where = f"step {entry['step']} ({entry['tool']})"
        if progress is not None:
            progress(f"[{number}/{len(steps['steps'])}] {entry['step']} {entry['tool']}")
        found.count(
            step_key(call.spec) == call.key,
            f"steps.json, {where}: tool, parameters, inputs or seed are not those of its key",
        )
        missing = sorted(record_files.input_artifacts(call) - set(real))
        if missing:
            names = [entry["inputs_from"].get(one, one[:12]) for one in missing]
            found.count(
                False, f"{where}: cannot be computed again, its input {', '.join(names)} was not made"
            )
            continue
        if entry["tool"] not in registry.CATALOGUE:
            found.count(False, f"{where}: cannot be computed again, there is no such tool")
            continue
        made = _run(runner, call, real, where, found)
        if made is None:
            continue
        again[call.key] = made
        _compare_call(call, made, where, found)
        for name, ref in call.outputs.items():
            if name in made.outputs:
                real.setdefault(ref.id, made.outputs[name])
    return again


def _run(
    runner: StepRunner, call: ToolCall, real: dict[str, ArtifactRef], where: str, found: Verification
) -> ToolCall | None:
    inputs: dict[str, Any] = {}
    for name, value in call.spec.inputs.items():
        if isinstance(value, str):
            inputs[name] = real[value]
        else:
            inputs[name] = None if value is None else {key: real[one] for key, one in value.items()}
    try:
        return runner.run(call.spec.tool, call.spec.params, inputs, seed=call.spec.seed)
    except NereusError as error:
        found.count(False, f"{where}: {_first_line(error)}")
        return None


def _compare_call(call: ToolCall, made: ToolCall, where: str, found: Verification) -> None:
    found.count(
        made.status is call.status,
        f"{where}: recorded as {call.status.value}, now {made.status.value} ({_first_line(made.error or '')})",
    )
    if call.status is CallStatus.FAILED or made.status is CallStatus.FAILED:
        return
    for name in sorted({*call.values, *made.values}):
        stored, now = (one.values.get(name, "no such value") for one in (call, made))
        found.count(
            equal_scalars(stored, now), f"{where}, value {name!r}: stored {stored!r}, recomputed {now!r}"
        )
    for name in ("summary", "warnings", "complete", "n_total", "n_returned"):
        stored, now = getattr(call, name), getattr(made, name)
        found.count(stored == now, f"{where}, {name}: stored {stored!r}, recomputed {now!r}")
    for name in sorted({*call.outputs, *made.outputs}):
        if name not in call.outputs or name not in made.outputs:
            found.count(
                False, f"{where}: output {name!r} is {'new' if name in made.outputs else 'not made any more'}"
            )


def equal_scalars(a: object, b: object) -> bool:
    """Whether two named values are equal: numbers within `TOLERANCE`, anything else exactly."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return equal_numbers(float(a), float(b), TOLERANCE)
    return a == b


# -------------------------------------------------------------------------------------------------- outputs


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
                    stored = _stored(folder, file)
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
                stored = _stored(folder, file)
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


def _stored(folder: Path, name: str) -> str | None:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as stream:
        return stream.read()


# -------------------------------------------------------------------------------- claims, hypotheses, page


def check_derived(
    folder: Path, stored_hypotheses: dict[str, Any], recomputed: Recomputed, found: Verification
) -> None:
    """Compare ``claims.csv``, ``hypotheses.json`` and ``report.html`` with what the recomputed results give."""
    sources = recomputed.sources
    text = _stored(folder, "claims.csv")
    if text is None:
        found.count(False, "claims.csv: the file is missing")
    else:
        try:
            found.count_cells("claims.csv", text, claims.claims_csv(claims.claims_table(sources)))
        except NereusError as error:
            found.count(False, f"claims.csv: {_first_line(error)}")
    for evidence in recomputed.record.evidence.values():
        now = _attempt(lambda one=evidence: sources.evidence_value(one))  # type: ignore[misc]
        found.count(
            equal_scalars(evidence.value, now),
            f"plan.json, evidence {evidence.id} ({evidence.quantity}): stored {evidence.value!r}, recomputed {now!r}",
        )
    try:
        expected = hypotheses.hypotheses_document(sources)
    except NereusError as error:
        found.count(False, f"hypotheses.json: {_first_line(error)}")
    else:
        for place, stored, now in _leaves(stored_hypotheses, expected):
            found.count(
                equal_scalars(stored, now), f"hypotheses.json, {place}: stored {stored!r}, recomputed {now!r}"
            )
    page = _stored(folder, "report.html")
    if page is None:
        found.count(False, "report.html: the file is missing")
    else:
        check_page(page, recomputed, found)


def check_graph(folder: Path, stored: dict[str, Any], recomputed: Recomputed, found: Verification) -> None:
    """Compare ``graph.json`` and ``edges.csv`` with what the rows give that the edges' evidence points at."""
    try:
        expected = graph_files.graph_document(recomputed.sources)
        rows = graph_files.edges_csv(recomputed.sources)
    except NereusError as error:
        found.count(False, f"{GRAPH}: {_first_line(error)}")
        return
    for place, then, now in _leaves(stored, expected):
        found.count(equal_scalars(then, now), f"{GRAPH}, {place}: stored {then!r}, recomputed {now!r}")
    table = _stored(folder, "edges.csv")
    if table is None:
        found.count(False, "edges.csv: the file is missing")
    else:
        found.count_cells("edges.csv", table, rows)


def _leaves(stored: Any, now: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Pairs of values at equal places of two JSON documents."""
    if isinstance(stored, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*stored, *now)):
            inner = f"{place}.{key}" if place else str(key)
            yield from _leaves(stored.get(key, "nothing"), now.get(key, "nothing"), inner)
    elif isinstance(stored, list) and isinstance(now, list):
        for index in range(max(len(stored), len(now))):
            a, b = (one[index] if index < len(one) else "nothing" for one in (stored, now))
            label = a.get("id", index) if isinstance(a, dict) else index
            yield from _leaves(a, b, f"{place}[{label}]")
    else:
        yield place, stored, now


def check_page(page: str, recomputed: Recomputed, found: Verification) -> None:
    """Compare every number of the page, and the page as a whole."""
    sources = recomputed.sources
    content = read_page(page)
    before = len(found.differences)
    for number in content.numbers:
        now = _attempt(lambda one=number: sources.value(one.source))  # type: ignore[misc]
        found.count(*_page_number(number, now))
    for loose in content.loose:
        found.count(False, f"report.html: {loose!r} stands on the page without a source")
    try:
        rendered = render_report(sources, recomputed.figure)
    except NereusError as error:
        found.count(False, f"report.html: {_first_line(error)}")
        return
    stored, fresh = (_comparable(text, recomputed.draws_alike()) for text in (page, rendered))
    same = stored == fresh
    if same or len(found.differences) == before:
        found.count(same, "report.html: " + _first_difference(stored, fresh))


def _page_number(number: PageNumber, now: object) -> tuple[bool, str]:
    where = f"report.html, {number.source}"
    if isinstance(now, NereusError):
        return False, f"{where}: {_first_line(now)}"
    if number.value is None:  # a text or a name
        stored, expected = number.text, exact(now) if not isinstance(now, str) else now  # type: ignore[arg-type]
        return stored == expected, f"{where}: the page says {stored!r}, recomputed {expected!r}"
    value = now if isinstance(now, bool | int | float | str) else None
    shown = _attempt(lambda: format_value(value, number.format, typographic=True))
    if not equal_texts(number.value, exact(value), TOLERANCE):
        return False, f"{where}: the page holds {number.value}, recomputed {exact(value)}"
    same = (
        equal_texts(number.text, str(shown), TOLERANCE) if number.format == "exact" else number.text == shown
    )
    return same, f"{where}: the page says {number.text!r}, recomputed {shown!r}"


def _comparable(page: str, drawings: bool) -> list[str]:
    """The page's lines without its numbers, which are compared by themselves and may differ in their last bit.

    Drawings are left out, too, where another version of the drawing library makes them differ.
    """
    lines = _NUMBER.sub(r"<a \1></a>", page).splitlines()
    return lines if drawings else [_DRAWING.sub("<div>drawing</div>", line) for line in lines]


def _first_difference(page: list[str], rendered: list[str]) -> str:
    for number, (a, b) in enumerate(zip(page, rendered, strict=False), start=1):
        if a != b:
            start = next(
                (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
            )
            return f"line {number} is not what this record renders: {a[max(0, start - 30) : start + 60]!r}"
    return "the page is not what this record renders: it is cut short or goes on"


def _attempt(compute: Callable[[], Any]) -> Any:
    """A value, or the error that stands in its way."""
    try:
        return compute()
    except NereusError as error:
        return error


def _first_line(error: object) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


# -------------------------------------------------------------------------------------------------- command


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m nereus.agents.reporter.verify DIR [--json]``."""
    parser = argparse.ArgumentParser(
        prog="nereus verify", description="Compute every value of a report again."
    )
    parser.add_argument("folder")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    options = parser.parse_args(arguments)
    write = sys.stdout.write

    def progress(text: str) -> None:
        write((json.dumps({"progress": text}) if options.json else text) + "\n")
        sys.stdout.flush()

    try:
        found = verify_here(options.folder, progress=progress)
    except NereusError as error:
        if not options.json:
            sys.stderr.write(f"{error}\n")
            return 1
        found = Verification(n_total=1, differences=[str(error)])
    if options.json:
        write(json.dumps(vars(found)) + "\n")
    else:
        write(report_text(found))
    return 0 if found.ok else 1


def report_text(found: Verification, most: int = 50) -> str:
    """What the command prints: notes, differences, and the last line."""
    lines = [f"note: {note}" for note in found.notes[:most]]
    lines += [f"DIFFERS  {difference}" for difference in found.differences[:most]]
    if len(found.differences) > most:
        lines.append(f"... and {len(found.differences) - most} further differences")
    return "\n".join([*lines, found.line()]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
