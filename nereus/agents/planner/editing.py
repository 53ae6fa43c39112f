"""Edits of a workflow: a new version with the edits applied. Executed steps never change, whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterable

from nereus.agents.planner.check import planned
from nereus.agents.policies.base import EditDraft
from nereus.errors import PlanError
from nereus.memory.records import Edit, PlannedStep, Workflow


def apply_edits(workflow: Workflow, edits: Iterable[EditDraft]) -> Workflow:
    """A new version of the workflow. Positions refer to the version that was seen; inserted steps get new ids.

    Raises
    ------
    PlanError
        A position that does not exist, a step that has run, or an edit that names no step.
    """
    steps: list[PlannedStep] = [*workflow.steps]
    log: list[Edit] = [*workflow.edits]
    fresh = max((_number(one) for one in [*(s.id for s in steps), *(e.step_id for e in log)]), default=0)
    offset = 0
    for edit in sorted(edits, key=lambda one: one.position):
        index = edit.position - 1 + offset
        if edit.op != "insert" and not 0 <= index < len(steps):
            raise PlanError(
                f"position {edit.position} does not exist",
                where=workflow.id,
                mend=f"there are {len(steps)} steps",
            )
        if index < len(steps) and steps[index].status != "planned":
            if edit.op == "insert":
                index = next((i for i, one in enumerate(steps) if one.status == "planned"), len(steps))
            else:
                raise PlanError(f"step {steps[index].id} has run and cannot be edited", where=workflow.id)
        if edit.op in ("insert", "replace"):
            if edit.step is None:
                raise PlanError(f"{edit.op} names no step", where=workflow.id)
            fresh += 1
            new = planned(edit.step, f"{workflow.id}.S{fresh}", workflow.id)
            if edit.op == "insert":
                steps.insert(min(index, len(steps)), new)
                offset += 1
            else:
                steps[index] = new
            touched = new.id
        elif edit.op == "remove":
            touched = steps.pop(index).id
            offset -= 1
        else:
            steps[index] = steps[index].model_copy(update={"params": {**steps[index].params, **edit.params}})
            touched = steps[index].id
        log.append(Edit(op=edit.op, step_id=touched, reason=edit.reason, trigger=edit.trigger))
    return workflow.model_copy(
        update={"version": workflow.version + 1, "steps": tuple(steps), "edits": tuple(log)}
    )


def _number(step_id: str) -> int:
    """The counter in a step's id: an id is never given twice, also after its step was removed."""
    return int(step_id.rpartition("S")[2])
