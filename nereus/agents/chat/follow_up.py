"""Follow-ups: one question of a run asked again in another way, as a small run of its own.

"Is it still there after adjusting for age?" is no matter of words: the test's steps are taken from the run's plan, changed
as asked, and computed. Steps that stay the same are found by their keys. The follow-up has a record, events and evidence
like every run, so its numbers are cited and recomputed like every other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus.agents.chat.desk import FollowUp
from nereus.agents.chat.lineage import Lineage
from nereus.agents.planner.header import versions
from nereus.agents.planner.questions import TESTED
from nereus.agents.planner.services import scalar
from nereus.errors import InputError, NereusError, PlanError, ResumeRefused
from nereus.memory.database import DatabaseLedger
from nereus.memory.fingerprint import fingerprint
from nereus.memory.locks import held
from nereus.memory.records import (
    ArtifactRef,
    CallStatus,
    Evidence,
    Objective,
    PlannedStep,
    RunHeader,
    RunRecord,
    ToolCall,
    Workflow,
)
from nereus.memory.retention import LOCKS
from nereus.memory.workspace import Workspace
from nereus.tools import registry
from nereus.tools.steps import StepRunner

if TYPE_CHECKING:
    import pandas as pd

_MARK = "follow-up"
"""Part of the fingerprint by which a follow-up is known."""
CITED = ("effect", "ci_low", "ci_high", "p", "q", "n", "n_a", "n_b")
"""Columns of the test's table that are cited for each row."""
MOST_CITED = 5
_VALUES = ("n_tested", "n_significant", "n_up", "n_down", "n_samples", "n_units", "df_residual")
_KILLED_S = 2.0


def is_follow_up(header: RunHeader) -> bool:
    """Whether a run is a follow-up."""
    return _MARK in header.fingerprint_parts


def request_of(header: RunHeader) -> FollowUp:
    """What a follow-up asks."""
    return FollowUp.model_validate_json(header.fingerprint_parts[_MARK])


def objective_of(record: RunRecord, asked: FollowUp) -> Objective:
    """The question that is asked again.

    Raises
    ------
    InputError
        The run has no such question, or it tests nothing entity by entity.
    """
    found = next((one for one in record.objectives if one.id == asked.objective_id), None)
    if (
        found is None
        or found.kind not in TESTED
        or f"{found.id}:{TESTED[found.kind].main}" not in record.outputs
    ):
        tested = [
            one.id
            for one in record.objectives
            if one.kind in TESTED and f"{one.id}:{TESTED[one.kind].main}" in record.outputs
        ]
        raise InputError(
            f"{asked.objective_id!r} is no question that can be asked again",
            where=f"run {record.header.id}",
            mend=f"name one of {', '.join(tested)}" if tested else "the run tested nothing",
        )
    return found


def planned(record: RunRecord, asked: FollowUp) -> tuple[Objective, Workflow, dict[str, str]]:
    """Question, steps and outputs of a follow-up.

    Raises
    ------
    InputError
        What is to be left out was not done, or a setting does not exist.
    """
    origin = objective_of(record, asked)
    tested = TESTED[origin.kind]
    lineage = Lineage(record, asked)
    if asked.steps:
        last, output = lineage.by_drafts(f"table:{tested.main}"), tested.main
    else:
        last, _, output = lineage.placed(record.outputs[f"{origin.id}:{tested.main}"]).partition("/")
    if unused := sorted({*asked.without, *asked.params} - lineage.met):
        raise InputError(
            f"the test of {origin.id} rests on no step {unused[0]!r}",
            where=f"run {record.header.id}",
            mend=f"it rests on {', '.join(dict.fromkeys(one.tool for one in lineage.steps))}",
        )
    if asked.subset and not lineage.restricted:
        raise InputError(
            f"the test of {origin.id} cannot be made on a part of the samples",
            where=f"run {record.header.id}",
            mend="leave out samples by name, or start a run on a sheet of those samples",
        )
    covariates = origin.covariates if asked.covariates is None else asked.covariates
    contrast = origin.contrast
    if contrast is not None and asked.covariates is not None:
        contrast = contrast.model_copy(update={"covariates": asked.covariates})
    if contrast is not None and asked.subset:
        contrast = contrast.model_copy(update={"subset": {**contrast.subset, **asked.subset}})
    objective = origin.model_copy(
        update={
            "id": "O1",
            "statement": asked.statement,
            "contrast": contrast,
            "covariates": covariates,
            "status": "running",
            "outcome": "",
            "parent_id": None,
            "depth": 0,
            "priority_parts": {},
            "cites": (),
            "rationale": "asked for in a conversation",
        }
    )
    workflow = Workflow(id="O1.W1", objective_id="O1", template=_MARK, steps=tuple(lineage.steps))
    return objective, workflow, {f"O1:{tested.main}": f"{last}/{output}"}


def queue_follow_up(
    workspace: Workspace,
    asked: FollowUp,
    *,
    owner: str,
    reports: Path,
    told: Mapping[str, Any] | None = None,
) -> RunHeader:
    """Record a follow-up that is asked for, with what else its settings are told; its status is ``queued``.

    Raises
    ------
    InputError
        It cannot be asked of that run.
    """
    origin = workspace.repository.owned(asked.run_id, owner)
    planned(workspace.repository.load(origin.id), asked)
    parts = {
        name: text for name, text in origin.fingerprint_parts.items() if not name.startswith("fork ")
    } | {_MARK: asked.model_dump_json()}
    header = workspace.repository.create_run(
        origin.model_copy(
            update={
                "id": "",
                "status": "queued",
                "stop_reason": "",
                "question": asked.statement,
                "out_dir": "",
                "fingerprint": fingerprint(parts),
                "fingerprint_parts": parts,
                "versions": versions(),
                "settings": {**origin.settings, **(told or {})},
                "used": {},
                "started": "",
                "finished": None,
                "wall_s": 0.0,
                "learned": {},
                "forked_from": origin.id,
                "forked_at": asked.objective_id,
                "forked_edit": asked.model_dump(mode="json", exclude_defaults=True),
            }
        ),
        owner,
    )
    header = workspace.repository.update_header(header.id, out_dir=str(reports / header.id))
    workspace.events.append(
        header.id, "run_queued", header.id, {"question": asked.statement, "follows": origin.id}, key="queued"
    )
    return header


def work_on_follow_up(workspace: Workspace, run_id: str) -> RunHeader:
    """Compute a follow-up; goes on where another process died.

    Raises
    ------
    NereusError
        What ended it; it stands in its record.
    """
    header = workspace.repository.header(run_id)
    if header.status in ("finished", "refused", "failed"):
        return header
    with held(workspace.database, workspace.settings.home / LOCKS, run_id, wait_s=_KILLED_S) as mine:
        if not mine:
            raise ResumeRefused("another process is working on it", where=f"run {run_id}", mend="wait for it")
        try:
            return _worked_on(workspace, header)
        except NereusError as error:
            status = "refused" if isinstance(error, InputError | PlanError) else "failed"
            workspace.repository.set_status(run_id, status, str(error))  # type: ignore[arg-type]
            workspace.events.append(run_id, f"run_{status}", run_id, {"reason": error.what}, key="ended")
            raise


def _worked_on(workspace: Workspace, header: RunHeader) -> RunHeader:
    repository, events, run_id = workspace.repository, workspace.events, header.id
    asked = request_of(header)
    objective, workflow, outputs = planned(repository.load(asked.run_id), asked)
    repository.set_status(run_id, "running")

    def tell(type_: str, subject: str, **payload: Any) -> None:
        events.append(run_id, type_, subject, payload, key=f"{type_} {subject}")

    tell("run_started", run_id, question=header.question)
    repository.save_objectives(run_id, [objective])
    tell("objective_selected", "O1", statement=objective.statement, priority=1.0)
    repository.save_workflow(run_id, workflow)
    tell(
        "workflow_planned",
        workflow.id,
        objective="O1",
        template=workflow.template,
        version=1,
        steps=[[one.id, one.tool, one.purpose] for one in workflow.steps],
    )
    runner = StepRunner(workspace.artifacts, DatabaseLedger(workspace.database, run_id), header.seed)
    calls: dict[str, ToolCall] = {}
    done: list[PlannedStep] = []
    for step in workflow.steps:
        tell("step_started", step.id, tool=step.tool, purpose=step.purpose, attempt=1)
        inputs = {name: _resolved(one, calls, header) for name, one in step.inputs.items()}
        call = runner.run(registry.get(step.tool), step.params, inputs)
        if call.status is CallStatus.FAILED:
            tell("step_failed", step.id, tool=step.tool, error=call.error)
            raise InputError(call.error or call.summary, where=f"step {step.id} ({step.tool})")
        tell("step_finished", step.id, tool=step.tool, summary=call.summary, warnings=list(call.warnings))
        calls[step.id] = call
        done.append(step.model_copy(update={"status": "done", "call_key": call.key}))
    repository.save_workflow(run_id, workflow.model_copy(update={"steps": tuple(done)}))
    last, _, output = next(iter(outputs.values())).partition("/")
    table = workspace.artifacts.table(calls[last].outputs[output])
    repository.save_evidence(run_id, evidence_of(calls[last], last, output, table, asked.rows))
    repository.save_outputs(run_id, outputs)
    for warning in calls[last].warnings:
        repository.add_notice(run_id, warning)
    repository.save_objectives(
        run_id, [objective.model_copy(update={"status": "done", "outcome": calls[last].summary})]
    )
    tell("objective_closed", "O1", status="done")
    tell("run_finished", run_id)
    return repository.set_status(run_id, "finished", "")


def evidence_of(
    call: ToolCall, step_id: str, output: str, table: pd.DataFrame, rows: tuple[str, ...]
) -> list[Evidence]:
    """Evidence of a test: its counts, the rows that were asked about, and its first rows."""
    key = table.columns[0]
    keys = table[key].astype(str)
    wanted = [one for one in rows if (keys == one).any()]
    order = table.sort_values(["p", key], kind="stable") if "p" in table.columns else table
    wanted = list(dict.fromkeys([*wanted, *order[key].astype(str).head(MOST_CITED)]))
    found: list[Evidence] = []
    for name in _VALUES:
        if call.values.get(name) is not None:
            found.append(
                Evidence(
                    id=f"E{len(found) + 1}",
                    step_id=step_id,
                    call_key=call.key,
                    quantity=name.replace("_", " "),
                    value=call.values[name],
                    name=name,
                )
            )
    for row in wanted:
        place = table[keys == row].iloc[0]
        for column in CITED:
            if column in table.columns:
                found.append(
                    Evidence(
                        id=f"E{len(found) + 1}",
                        step_id=step_id,
                        call_key=call.key,
                        quantity=column.replace("_", " "),
                        value=scalar(place[column]),
                        artifact=call.outputs[output].id,
                        table=output,
                        row=row,
                        column=column,
                    )
                )
    return found


def _resolved(
    reference: str | Mapping[str, str], calls: Mapping[str, ToolCall], header: RunHeader
) -> ArtifactRef | dict[str, ArtifactRef]:
    if isinstance(reference, Mapping):
        return {name: _one(one, calls, header) for name, one in reference.items()}
    return _one(reference, calls, header)


def _one(reference: str, calls: Mapping[str, ToolCall], header: RunHeader) -> ArtifactRef:
    owner, _, output = reference.partition("/")
    return header.inputs[output] if owner == "run" else calls[owner].outputs[output]
