"""Every recorded step, executed again in a temporary store, and the run as it is with what was made now."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus.agents.reporter import record_files
from nereus.agents.reporter.sources import Sources
from nereus.agents.reporter.verify.verification import Verification, equal_scalars, first_line
from nereus.errors import NereusError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import ArtifactKind, ArtifactRef, CallStatus, RunRecord, ToolCall

if TYPE_CHECKING:
    from nereus.tools.steps import StepRunner

Progress = Callable[[str], None]


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


def check_versions(record: RunRecord, steps: dict[str, Any], found: Verification) -> None:
    """Compare the versions of tools and packages with those of the report."""
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


def execute(
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
        found.count(False, f"{where}: {first_line(error)}")
        return None


def _compare_call(call: ToolCall, made: ToolCall, where: str, found: Verification) -> None:
    found.count(
        made.status is call.status,
        f"{where}: recorded as {call.status.value}, now {made.status.value} ({first_line(made.error or '')})",
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
