"""What a run plans: objectives, workflows in all their versions, and steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, func, select

from nereus.errors import StoreError
from nereus.memory.database.engine import now
from nereus.memory.database.models import ObjectiveRow, RunRow, StepRow, WorkflowRow
from nereus.memory.records import Objective, PlannedStep, Workflow
from nereus.memory.rows import Rows, natural_order, row_of

_OBJECTIVES = cast(Table, ObjectiveRow.__table__)
_RUNS = cast(Table, RunRow.__table__)
_STEPS = cast(Table, StepRow.__table__)
_WORKFLOWS = cast(Table, WorkflowRow.__table__)
_OTHERS = delete(_STEPS).where(  # built once: a statement costs more to build than to run
    _STEPS.c.run_id == bindparam("run"),
    _STEPS.c.workflow_id == bindparam("workflow"),
    _STEPS.c.version == bindparam("of_version"),
    _STEPS.c.id.not_in(bindparam("kept", expanding=True)),
)


class Plans(Rows):
    """Keeps the plans of all runs."""

    def save_objectives(self, run_id: str, objectives: Iterable[Objective]) -> None:
        """Add objectives or replace them by their newer state."""
        rows = [row_of(run_id, one, kind=one.kind.value, status=one.status) for one in objectives]
        self.put(_OBJECTIVES, rows)

    def save_workflow(self, run_id: str, workflow: Workflow) -> None:
        """Add or replace one version of a workflow with all its steps. Earlier versions stay."""
        stamp = now()
        row = {
            "run_id": run_id,
            "id": workflow.id,
            "version": workflow.version,
            "created_at": stamp,
            "objective_id": workflow.objective_id,
            "template": workflow.template,
            "document": workflow.model_copy(update={"steps": ()}).model_dump_json(),
        }
        steps = [
            _step_row(run_id, workflow, step, position, stamp) for position, step in enumerate(workflow.steps)
        ]
        self.put(_WORKFLOWS, [row])
        self.put(_STEPS, steps)
        kept = {
            "run": run_id,
            "workflow": workflow.id,
            "of_version": workflow.version,
            "kept": [step.id for step in workflow.steps],
        }
        self.database.save(("other steps", run_id, workflow.id, workflow.version), [kept], _drop_others)

    def save_step(self, run_id: str, workflow: Workflow, step: PlannedStep) -> None:
        """Replace one step of a saved workflow version: the cheap way to note that it was done."""
        position = next((number for number, one in enumerate(workflow.steps) if one.id == step.id), None)
        if position is None:
            raise StoreError(
                f"workflow {workflow.id} has no step {step.id!r}",
                where=f"run {run_id}",
                mend="save the workflow first",
            )
        self.put(_STEPS, [_step_row(run_id, workflow, step, position, now())])

    def workflow_versions(self, run_id: str, workflow_id: str) -> list[Workflow]:
        """Every version of a workflow, oldest first."""
        with self.database.read() as connection:
            return self.workflows_of(connection, run_id, workflow_id)

    def times_done(self, data_id: str, kind: str | None = None) -> int:
        """Count the objectives (of a kind) done on a data file by all runs: the planner's novelty term."""
        query = (
            select(func.count())
            .select_from(_OBJECTIVES.join(_RUNS, _RUNS.c.id == _OBJECTIVES.c.run_id))
            .where(_RUNS.c.data_id == data_id, _OBJECTIVES.c.status == "done")
        )
        if kind is not None:
            query = query.where(_OBJECTIVES.c.kind == kind)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def workflows_of(
        self, connection: Connection, run_id: str, workflow_id: str | None = None
    ) -> list[Workflow]:
        """All versions, in the order of their ids and then versions."""
        workflows = select(_WORKFLOWS).where(_WORKFLOWS.c.run_id == run_id)
        steps = select(_STEPS).where(_STEPS.c.run_id == run_id).order_by(_STEPS.c.position)
        if workflow_id is not None:
            workflows = workflows.where(_WORKFLOWS.c.id == workflow_id)
            steps = steps.where(_STEPS.c.workflow_id == workflow_id)
        inside: dict[tuple[str, int], list[PlannedStep]] = {}
        for row in connection.execute(steps):
            step = PlannedStep.model_validate_json(row.document)
            inside.setdefault((row.workflow_id, row.version), []).append(step)
        found = sorted(
            connection.execute(workflows).all(), key=lambda row: (natural_order(row.id), row.version)
        )
        return [
            Workflow.model_validate_json(row.document).model_copy(
                update={"steps": tuple(inside.get((row.id, row.version), []))}
            )
            for row in found
        ]


def _drop_others(connection: Connection, gathered: list[dict[str, Any]]) -> None:
    connection.execute(_OTHERS, gathered[-1])


def _step_row(
    run_id: str, workflow: Workflow, step: PlannedStep, position: int, stamp: str
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "workflow_id": workflow.id,
        "version": workflow.version,
        "id": step.id,
        "created_at": stamp,
        "position": position,
        "tool": step.tool,
        "status": step.status,
        "call_key": step.call_key,
        "document": step.model_dump_json(),
    }
