"""What each kind of job is. A task runs in a process of its own, which may be killed at any moment and run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nereus.errors import NereusError, PlanError
from nereus.memory.jobs import Job
from nereus.memory.records import ArtifactRef, CallStatus, ToolCall
from nereus.memory.workspace import Workspace

Task = Callable[[Workspace, Job], dict[str, Any]]


def perform(workspace: Workspace, job: Job) -> dict[str, Any]:
    """Do what a job asks for, and give what its result says.

    Raises
    ------
    NereusError
        It could not be done.
    """
    return _TASKS[job.kind](workspace, job)


def error_document(error: NereusError) -> dict[str, Any]:
    """An error as a job's result holds it."""
    return {"error": {"what": error.what, "where": error.where, "mend": error.mend}}


def _run(workspace: Workspace, job: Job) -> dict[str, Any]:
    from nereus.agents.chat.follow_up import is_follow_up, work_on_follow_up
    from nereus.agents.planner.queued import work_on

    header = workspace.repository.header(_run_id(job))
    if is_follow_up(header):
        return {"run": header.id, "status": work_on_follow_up(workspace, header.id).status}
    run = work_on(workspace, header.id)
    return {"run": run.id, "status": run.status}


def _tool(workspace: Workspace, job: Job) -> dict[str, Any]:
    """One recorded tool call."""
    from nereus.memory.database import DatabaseLedger
    from nereus.tools import registry
    from nereus.tools.steps import StepRunner

    tool = registry.get(str(job.request["tool"]))
    runner = StepRunner(workspace.artifacts, DatabaseLedger(workspace.database), int(job.request["seed"]))
    call = runner.run(tool, job.request["params"], _inputs(job.request["inputs"]))
    if call.status is CallStatus.FAILED:
        raise PlanError(call.error or call.summary, where=f"tool {tool.name!r}")
    return call_document(call)


def _profile(workspace: Workspace, job: Job) -> dict[str, Any]:
    """What a file is: read, features named, and the design understood, as a run would."""
    from nereus.api.workers.sheets import sheet_table
    from nereus.memory.database import DatabaseLedger
    from nereus.tools import registry
    from nereus.tools.steps import StepRunner

    runner = StepRunner(workspace.artifacts, DatabaseLedger(workspace.database), 0)
    calls: list[ToolCall] = []
    made: dict[str, ArtifactRef] = {}
    inputs: Mapping[str, Any] = _inputs(job.request["inputs"])
    for name, params in (
        ("load_dataset", job.request["load"]),
        ("annotate_genes", {}),
        ("profile_dataset", {}),
    ):
        call = runner.run(registry.get(name), params, inputs)
        if call.status is CallStatus.FAILED:
            raise PlanError(call.error or call.summary)
        calls.append(call)
        made |= {output: ref for output, ref in call.outputs.items() if output != "dataset"}
        if name == "load_dataset":
            sheet = sheet_table(workspace.artifacts.dataset(call.outputs["dataset"]))
            made["sheet"] = workspace.artifacts.put_table(sheet, "sheet")
        if "dataset" in call.outputs:
            inputs = {"dataset": call.outputs["dataset"]}
    return {
        "summary": " ".join(call.summary for call in calls),
        "values": {name: value for call in calls for name, value in call.values.items()},
        "warnings": [warning for call in calls for warning in call.warnings],
        "outputs": {name: ref.model_dump(mode="json") for name, ref in made.items()},
    }


def _roles(workspace: Workspace, job: Job) -> dict[str, Any]:
    """What each of some files is for, by its first rows."""
    from nereus.tools.proteomics.readers.file_roles import look_at, roles_of

    refs = {one: ArtifactRef.model_validate(ref) for one, ref in job.request["inputs"].items()}
    known = [look_at(one, workspace.artifacts.checked_path(ref), ref.name) for one, ref in refs.items()]
    found = roles_of(known, job.request["given"])
    return {
        "files": [
            {"id": one, "name": refs[one].name, "role": role.role, "why": role.why, "problem": role.problem}
            for one, role in found.items()
        ]
    }


def call_document(call: ToolCall) -> dict[str, Any]:
    """What a finished tool call says, without its inputs."""
    return {
        "key": call.key,
        "summary": call.summary,
        "values": dict(call.values),
        "warnings": list(call.warnings),
        "complete": call.complete,
        "n_total": call.n_total,
        "n_returned": call.n_returned,
        "outputs": {name: ref.model_dump(mode="json") for name, ref in call.outputs.items()},
    }


def _inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a call: an artifact, or several under names, as the job kept them."""
    return {
        slot: ArtifactRef.model_validate(one)
        if "kind" in one
        else {name: ArtifactRef.model_validate(ref) for name, ref in one.items()}
        for slot, one in given.items()
    }


def _run_id(job: Job) -> str:
    if job.run_id is None:
        raise PlanError("the job names no run", where=f"job {job.id}")
    return job.run_id


_TASKS: dict[str, Task] = {"run": _run, "tool": _tool, "profile": _profile, "roles": _roles}
KINDS = tuple(_TASKS)
