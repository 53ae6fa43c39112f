"""The machine-readable record of a run: ``steps.json``, ``plan.json`` and ``run.json``, and the way back.

``steps.json`` is all that `nereus verify` needs to compute every result again from ``inputs/``: no
database, no cache. ``plan.json`` holds objectives, workflows, decisions and evidence. Neither holds a time,
so equal seeds give equal bytes; times, budgets and settings are in ``run.json``, secrets are nowhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus.agents.reporter.sources import Sources
from nereus.errors import InputError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.network import FORMAT as GRAPH_FORMAT
from nereus.memory.records import ArtifactKind, ArtifactRef, RunHeader, RunRecord, ToolCall

if TYPE_CHECKING:
    from anndata import AnnData

STEPS_FORMAT = "nereus-steps/1"
PLAN_FORMAT = "nereus-plan/1"
RUN_FORMAT = "nereus-run/1"

_SECRET = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
_URL_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


def json_text(document: Any) -> str:
    """JSON as the report's files write it: readable, keys in the given order, no NaN."""
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


# ------------------------------------------------------------------------------------------------ writing


def steps_document(
    sources: Sources,
    artifacts: ArtifactStore,
    input_files: dict[str, str],
    output_files: dict[tuple[str, str], str],
) -> dict[str, Any]:
    """Every executed step in an order in which it can be executed again.

    Parameters
    ----------
    sources
        The run.
    artifacts
        Where its outputs lie.
    input_files
        Artifact id of a user's file -> its path in the report.
    output_files
        (call key, output name) -> path in the report of the table's CSV or the figure's SVG.
    """
    record = sources.record
    made_by: dict[str, str] = {}
    steps = []
    for call in execution_order(record):
        step_id = sources.step_of_call[call.key]
        entry: dict[str, Any] = {
            "step": step_id,
            "also": [
                step for step, key in sources.call_of_step.items() if key == call.key and step != step_id
            ],
            "key": call.key,
            "tool": call.spec.tool,
            "version": call.spec.version,
            "params": call.spec.params,
            "seed": call.spec.seed,
            "inputs": call.spec.inputs,
            "inputs_from": {
                artifact: made_by.get(artifact) or input_files.get(artifact, "unknown")
                for artifact in sorted(input_artifacts(call))
            },
            "status": call.status.value,
            "error": call.error,
            "summary": call.summary,
            "values": call.values,
            "warnings": list(call.warnings),
            "complete": call.complete,
            "n_total": call.n_total,
            "n_returned": call.n_returned,
            "outputs": {},
        }
        for name, ref in call.outputs.items():
            made_by.setdefault(ref.id, f"{step_id}/{name}")
            entry["outputs"][name] = _output(ref, artifacts, output_files.get((call.key, name)))
        steps.append(entry)
    inputs = {
        name: {"file": input_files[ref.id], "name": ref.name, "sha256": ref.id, "size": ref.size}
        for name, ref in record.header.inputs.items()
    }
    return {"format": STEPS_FORMAT, "inputs": inputs, "steps": steps}


def _output(ref: ArtifactRef, artifacts: ArtifactStore, file: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": ref.kind.value,
        "sha256": ref.id,
        "size": ref.size,
        "summary": ref.summary,
        "file": file,
    }
    if ref.kind is ArtifactKind.TABLE:
        table = artifacts.table(ref)
        entry |= {"rows": int(table.shape[0]), "columns": [str(column) for column in table.columns]}
    if ref.kind is ArtifactKind.DATASET:
        entry["digest"] = dataset_digest(artifacts.dataset(ref))
    return entry


def dataset_digest(dataset: AnnData) -> dict[str, Any]:
    """Numbers by which two data sets are compared where their files differ in bytes only."""
    import numpy as np

    digest: dict[str, Any] = {
        "n_obs": int(dataset.n_obs),
        "n_vars": int(dataset.n_vars),
        "names": hashlib.sha256("\n".join([*dataset.obs_names, "", *dataset.var_names]).encode()).hexdigest(),
        "obs_columns": [str(column) for column in dataset.obs.columns],
        "var_columns": [str(column) for column in dataset.var.columns],
    }
    for name, values in {"X": dataset.X, **dataset.layers}.items():
        if values is None:
            continue
        matrix = np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=float)
        digest[f"matrix {name}"] = {
            "missing": int(np.isnan(matrix).sum()),
            "sum": float(np.nansum(matrix)),
            "sum_of_squares": float(np.nansum(matrix**2)),
        }
    return digest


def execution_order(record: RunRecord) -> list[ToolCall]:
    """Every call of the run, each after the calls whose outputs it reads; plan order otherwise."""
    planned = [record.calls[step.call_key] for step in record.steps() if step.call_key in record.calls]
    rest = [call for _, call in sorted(record.calls.items())]
    pending = list({call.key: call for call in [*planned, *rest]}.values())
    known = {ref.id for ref in record.header.inputs.values()}
    made = {ref.id for call in pending for ref in call.outputs.values()}
    ordered: list[ToolCall] = []
    while pending:
        # An input that no call of the run made cannot be waited for: `nereus verify` will name it.
        ready = [call for call in pending if all(a in known or a not in made for a in input_artifacts(call))]
        chosen = ready[0] if ready else pending[0]
        pending.remove(chosen)
        ordered.append(chosen)
        known |= {ref.id for ref in chosen.outputs.values()}
    return ordered


def input_artifacts(call: ToolCall) -> set[str]:
    """Ids of all artifacts that a call reads."""
    found: set[str] = set()
    for value in call.spec.inputs.values():
        if isinstance(value, str):
            found.add(value)
        elif value is not None:
            found |= set(value.values())
    return found


def plan_document(record: RunRecord) -> dict[str, Any]:
    """Objectives, workflows, decisions, evidence and notices."""
    decisions = [{k: v for k, v in d.model_dump(mode="json").items() if k != "ms"} for d in record.decisions]
    return {
        "format": PLAN_FORMAT,
        "objectives": [one.model_dump(mode="json") for one in record.objectives],
        "workflows": [one.model_dump(mode="json") for one in record.workflows],
        "decisions": decisions,
        "evidence": {identity: one.model_dump(mode="json") for identity, one in record.evidence.items()},
        "hypotheses": [one.model_dump(mode="json") for one in record.hypotheses],
        "notices": list(record.notices),
        "outputs": dict(record.outputs),
    }


def run_document(record: RunRecord) -> dict[str, Any]:
    """Settings, seed, versions, timings and budgets; secrets are masked, machine paths left out."""
    header = record.header.model_dump(mode="json")
    header.pop("out_dir")
    header["settings"] = without_secrets(header["settings"])
    timings = {
        key: {"wall_s": call.wall_s, "cpu_s": call.cpu_s, "peak_mb": call.peak_mb}
        for key, call in record.calls.items()
    }
    return {"format": RUN_FORMAT, "made_by": "nereus", **header, "timings": timings}


def without_secrets(value: Any) -> Any:
    """A copy in which what may be secret is masked, by its key or as a login in a URL, and the home folder is ~."""
    if isinstance(value, dict):
        return {
            key: "***"
            if _SECRET.search(str(key)) and isinstance(inner, str) and inner
            else without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    if isinstance(value, str):
        return _URL_LOGIN.sub("***@", value).replace(str(Path.home()), "~")
    return value


# ------------------------------------------------------------------------------------------------ reading


def read_record(
    steps: dict[str, Any], plan: dict[str, Any], run: dict[str, Any], graph: dict[str, Any] | None = None
) -> RunRecord:
    """The run's record from the three documents, and from ``graph.json`` where there is one, as far as a report needs it.

    Raises
    ------
    InputError
        When a document is of another format.
    """
    for name, document, expected in (
        ("steps.json", steps, STEPS_FORMAT),
        ("plan.json", plan, PLAN_FORMAT),
        ("run.json", run, RUN_FORMAT),
        *([("graph.json", graph, GRAPH_FORMAT)] if graph is not None else ()),
    ):
        if document.get("format") != expected:
            raise InputError(
                f"the format is {document.get('format')!r}, not {expected!r}",
                where=name,
                mend="verify a folder that `nereus discover` of this version wrote",
            )
    header = {k: v for k, v in run.items() if k not in ("format", "made_by", "timings")}
    calls = {}
    for entry in steps["steps"]:
        outputs = {
            name: ArtifactRef(id=o["sha256"], kind=o["kind"], name=name, size=o["size"], summary=o["summary"])
            for name, o in entry["outputs"].items()
        }
        spec = {name: entry[name] for name in ("tool", "version", "params", "inputs", "seed")}
        fields = (
            "key",
            "status",
            "summary",
            "values",
            "warnings",
            "complete",
            "n_total",
            "n_returned",
            "error",
        )
        calls[entry["key"]] = ToolCall.model_validate(
            {"spec": spec, "outputs": outputs} | {f: entry[f] for f in fields}
        )
    return RunRecord(
        header=RunHeader.model_validate({**header, "out_dir": ""}),
        objectives=plan["objectives"],
        workflows=plan["workflows"],
        calls=calls,
        evidence=plan["evidence"],
        hypotheses=plan["hypotheses"],
        decisions=plan["decisions"],
        notices=plan["notices"],
        outputs=plan["outputs"],
        nodes=graph["nodes"] if graph is not None else (),
        edges=graph["edges"] if graph is not None else (),
    )
