"""The one mechanism: a step is a pure, cached, recorded computation.

``step key = sha256(tool name, tool version, parameters, input artifact hashes, seed)``. A step whose key is known is
not computed again. Resume, provenance, `nereus verify`, evidence and distribution all follow from this.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from nereus.errors import NereusError, PlanError, ToolError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import ArtifactKind, ArtifactRef, CallStatus, StepSpec, ToolCall
from nereus.tools import registry
from nereus.tools.base import Params, Result, SourceFile, Tool, TrainedMethod

if TYPE_CHECKING:
    from nereus.memory.records import Scalar

# Matplotlib keeps its settings in global state, so only one figure is drawn at a time.
_DRAWING = Lock()

_KINDS = {
    "file": ArtifactKind.FILE,
    "dataset": ArtifactKind.DATASET,
    "table": ArtifactKind.TABLE,
    "tables": ArtifactKind.TABLE,
}

Inputs = Mapping[str, "ArtifactRef | Mapping[str, ArtifactRef] | None"]


class Ledger(Protocol):
    """Where finished tool calls are remembered: the database, or a dictionary."""

    def find_call(self, key: str) -> ToolCall | None:
        """The finished call with this key."""

    def record_call(self, call: ToolCall) -> None:
        """Keep a finished call; recording an equal key again changes nothing."""

    def made_by(self, artifact_id: str) -> list[tuple[str, str]]:
        """Calls that made an artifact, with the name of the output."""


class MemoryLedger:
    """A ledger in a dictionary, for notebooks, tests and `nereus verify`."""

    def __init__(self) -> None:
        self.calls: dict[str, ToolCall] = {}

    def find_call(self, key: str) -> ToolCall | None:
        """See `Ledger`."""
        return self.calls.get(key)

    def record_call(self, call: ToolCall) -> None:
        """See `Ledger`."""
        self.calls.setdefault(call.key, call)

    def made_by(self, artifact_id: str) -> list[tuple[str, str]]:
        """See `Ledger`."""
        return [
            (key, name)
            for key, call in sorted(self.calls.items())
            for name, ref in call.outputs.items()
            if ref.id == artifact_id
        ]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space: the form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def step_key(spec: StepSpec) -> str:
    """SHA-256 of everything the result depends on."""
    return hashlib.sha256(canonical_json(spec.model_dump(mode="json")).encode()).hexdigest()


def derive_seed(run_seed: int, tool: str, params: Mapping[str, Any], inputs: Mapping[str, Any]) -> int:
    """A step's seed: a function of the run's seed and of what the step computes, never of when it runs."""
    text = canonical_json([run_seed, tool, params, inputs])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


class StepRunner:
    """Runs steps: looks the key up, computes when it is unknown, stores the outputs and records the call.

    Parameters
    ----------
    artifacts
        Where inputs are read from and outputs are kept.
    ledger
        Where finished calls are remembered.
    run_seed
        Seed of the run, from which each step's seed is derived.
    on_compute
        Called with the tool's name just before a real computation; lets tests count them.
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        ledger: Ledger,
        run_seed: int = 0,
        on_compute: Callable[[str], None] | None = None,
    ) -> None:
        self.artifacts = artifacts
        self.ledger = ledger
        self.run_seed = run_seed
        self._on_compute = on_compute
        self._in_flight: defaultdict[str, Lock] = defaultdict(Lock)

    def specify(
        self, tool: Tool, params: Mapping[str, Any] | Params, inputs: Inputs, seed: int | None = None
    ) -> StepSpec:
        """Validate and freeze what is to be computed."""
        canonical = tool.validate(params).model_dump(mode="json")
        hashes = {spec.name: _hashes(inputs.get(spec.name)) for spec in tool.inputs}
        if unknown := sorted(set(inputs) - set(hashes)):
            raise PlanError(
                f"unknown inputs {unknown}", where=f"tool {tool.name!r}", mend=f"inputs are {sorted(hashes)}"
            )
        if seed is None:
            seed = derive_seed(self.run_seed, tool.name, canonical, hashes)
        return StepSpec(tool=tool.name, version=tool.version, params=canonical, inputs=hashes, seed=seed)

    def run(
        self, tool: Tool | str, params: Mapping[str, Any] | Params, inputs: Inputs, seed: int | None = None
    ) -> ToolCall:
        """Run one step, or return the recorded call of the same key.

        A `NereusError` of the tool is recorded as a failed call (a failure is a result, too); a failed call is tried
        again when it is asked for again. Any other exception is a defect of the tool and is raised as `ToolError`.
        """
        tool = registry.get(tool) if isinstance(tool, str) else tool
        spec = self.specify(tool, params, inputs, seed)
        key = step_key(spec)
        with self._in_flight[key]:  # two objectives that ask for the same step at once share one computation
            return self._find_or_compute(tool, spec, key, inputs)

    def make_again(self, ref: ArtifactRef, files: Mapping[str, ArtifactRef]) -> bool:
        """Carry out the call that made an artifact once more, and say whether the artifact is then there.

        Parameters
        ----------
        ref
            A lost artifact.
        files
            The user's files by hash, which the first steps read.
        """
        for key, _ in self.ledger.made_by(ref.id):
            call = self.ledger.find_call(key)
            if call is None:
                continue
            tool = registry.get(call.spec.tool)
            kinds = {spec.name: _KINDS[spec.kind] for spec in tool.inputs}

            def known(name: str, identity: str, kinds: Mapping[str, ArtifactKind] = kinds) -> ArtifactRef:
                return files.get(identity) or ArtifactRef(id=identity, kind=kinds[name], name=name, size=0)

            inputs = {
                name: {key: known(name, one) for key, one in value.items()}
                if isinstance(value, Mapping)
                else None
                if value is None
                else known(name, value)
                for name, value in call.spec.inputs.items()
            }
            live = {name: self._open(value) for name, value in inputs.items()}
            self._keep(self._compute(tool, call.spec, live))
            if self.artifacts.whole(ref):
                return True
        return False

    def _find_or_compute(self, tool: Tool, spec: StepSpec, key: str, inputs: Inputs) -> ToolCall:
        known = self.ledger.find_call(key)
        if (
            known is not None
            and known.status is CallStatus.OK
            and all(map(self.artifacts.has, known.outputs.values()))
        ):
            return known
        if self._on_compute is not None:
            self._on_compute(tool.name)
        # Outside the attempt: a store that has lost an input is no failure of the tool, and is never recorded as one.
        live = {name: self._open(value) for name, value in inputs.items()}
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            result = self._compute(tool, spec, live)
        except NereusError as error:
            call = ToolCall(
                key=key, spec=spec, status=CallStatus.FAILED, summary=error.what, error=str(error)
            )
        else:
            call = ToolCall(
                key=key,
                spec=spec,
                status=CallStatus.OK,
                summary=result.summary,
                values=dict(result.values),
                outputs=self._keep(result),
                warnings=result.warnings,
                complete=result.complete,
                n_total=result.n_total,
                n_returned=result.n_returned,
            )
        call = call.model_copy(
            update={
                "wall_s": round(time.perf_counter() - wall, 6),
                "cpu_s": round(time.thread_time() - cpu, 6),
                "peak_mb": round(peak_memory_mb(), 1),
            }
        )
        self.ledger.record_call(call)
        return call

    def _compute(self, tool: Tool, spec: StepSpec, live: Mapping[str, Any]) -> Result:
        draws = any(output.startswith("figure:") for output in tool.outputs)
        try:
            with _DRAWING if draws else nullcontext():
                return tool.run(live, spec.params, spec.seed)
        except NereusError:
            raise
        except (Exception, SystemExit) as error:  # a library that wants to end the process ends its step only
            raise ToolError(f"{type(error).__name__}: {error}", where=f"tool {tool.name!r}") from error

    def _open(self, value: ArtifactRef | Mapping[str, ArtifactRef] | None) -> Any:
        if value is None:
            return None
        if isinstance(value, Mapping):
            # In sorted order, as in the key: a result must not depend on the order in which tables were named.
            return {name: self.artifacts.table(ref) for name, ref in sorted(value.items())}
        if value.kind is ArtifactKind.FILE:
            return SourceFile(self.artifacts.checked_path(value), value.name)
        if value.kind is ArtifactKind.MODEL:
            return TrainedMethod(self.artifacts.checked_path(value).read_bytes())
        return (
            self.artifacts.dataset(value)
            if value.kind is ArtifactKind.DATASET
            else self.artifacts.table(value)
        )

    def _keep(self, result: Result) -> dict[str, ArtifactRef]:
        """Keep the outputs, all at once, before the ledger says that they exist."""
        with self.artifacts.together():
            outputs = {name: self.artifacts.put_table(table, name) for name, table in result.tables.items()}
            outputs |= {name: self.artifacts.put_dataset(one, name) for name, one in result.datasets.items()}
            for name, figure in result.figures.items():
                outputs[name] = self.artifacts.put_figure(figure.svg, name, figure.title)
                outputs[f"{name}_data"] = self.artifacts.put_table(figure.data, f"{name}_data")
            outputs |= {
                name: self.artifacts.put_model(one.content, name) for name, one in result.models.items()
            }
        return outputs


def _hashes(value: ArtifactRef | Mapping[str, ArtifactRef] | None) -> str | dict[str, str] | None:
    if value is None:
        return None
    return (
        value.id if isinstance(value, ArtifactRef) else {name: ref.id for name, ref in sorted(value.items())}
    )


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def value_of(call: ToolCall, name: str) -> Scalar:
    """A named value; `KeyError` when the call did not return it."""
    return call.values[name]
