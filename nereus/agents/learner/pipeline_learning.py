"""Author and agent of the omics environment: tasks are ended runs, and an action is right where it plans as it was done."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nereus.agents.learner.action_learner import ActionLearner, ActionLibrary
from nereus.agents.learner.environments.base import Call, Failure
from nereus.agents.learner.learning import Failing, Validation
from nereus.agents.learner.pipeline_plans import PipelinePlanner
from nereus.agents.learner.pipelines import DOMAIN, Planned, mine_pipelines, planned
from nereus.agents.learner.traces import Decision, Rollout
from nereus.agents.policies.base import WorkflowDraft
from nereus.errors import InputError, NereusError
from nereus.memory.actions import Actions, ActionTest, LearnedAction
from nereus.memory.records import RunRecord
from nereus.memory.workspace import Workspace
from nereus.tools import registry
from nereus.tools.steps import canonical_json

_TABLES = ("columns", "contrasts")


@dataclass(frozen=True)
class RunTask:
    """An ended run as a task: its questions, and how they were planned."""

    run_id: str
    questions: tuple[Planned, ...]
    roles: tuple[str, ...]
    values: dict[str, Any]
    contrasts: tuple[dict[str, Any], ...]


def task_of(record: RunRecord, workspace: Workspace) -> RunTask:
    """A run's questions, read from its record."""
    from nereus.agents.planner.services import rows

    step_id = record.outputs.get("profile", "").partition("/")[0]
    keys = {step.id: step.call_key for step in record.steps()}
    call = record.calls.get(keys.get(step_id) or "")
    tables = {
        name: rows(workspace.artifacts.table(call.outputs[name]))
        for name in _TABLES
        if call and name in call.outputs
    }
    first = {
        one.id: workspace.repository.workflow_versions(record.header.id, one.id)[0]
        for one in record.workflows
    }
    return RunTask(
        record.header.id,
        tuple(planned(record, tables, first)),
        tuple(record.header.inputs),
        dict(call.values) if call else {},
        tuple(tables.get("contrasts", ())),
    )


class PipelineAuthor:
    """Mines pipelines; each candidate library asks for more data sets than the one before."""

    id = "mining"

    def __init__(self) -> None:
        self.faults: list[str] = []

    def create(
        self, variant: int, traces: Sequence[RunTask], tasks: Sequence[RunTask], seed: int
    ) -> list[LearnedAction]:
        """See `Author`."""
        return mine_pipelines([one for task in traces for one in task.questions], 2 + variant, seed=seed)

    def revise(
        self,
        actions: Sequence[LearnedAction],
        rollouts: Sequence[Rollout],
        failing: Failing,
        variant: int,
        seed: int,
    ) -> list[LearnedAction]:
        """See `Author`. A pipeline that planned otherwise than was done is left out."""
        return [one for one in actions if one.name != failing.call.partition("(")[0]]


class PipelineAgent:
    """Plans the questions of ended runs again, with pipelines where they fit."""

    domain = DOMAIN

    def __init__(self) -> None:
        self.primitives = tuple(registry.names())

    def name(self, task: RunTask) -> str:
        """See `Agent`."""
        return task.run_id

    def goal(self, task: RunTask) -> str:
        """See `Agent`."""
        return "; ".join(one.objective.statement for one in task.questions)

    def objects(self, tasks: Sequence[RunTask]) -> frozenset[str]:
        """See `Agent`."""
        return frozenset(name for task in tasks for one in task.questions for name in one.names)

    def demonstrate(self, task: RunTask) -> tuple[bool, RunTask]:
        """See `Agent`. A run was a success where at least one question was answered with every step accepted."""
        return any(one.accepted for one in task.questions), task

    def rollout(self, task: RunTask, actions: Sequence[LearnedAction]) -> Rollout:
        """See `Agent`."""
        return self._planned_again(task, actions)[0]

    def _planned_again(
        self, task: RunTask, actions: Sequence[LearnedAction]
    ) -> tuple[Rollout, list[tuple[str, ActionTest, str]]]:
        planner = PipelinePlanner(actions)
        decisions: list[Decision] = []
        tests: list[tuple[str, ActionTest, str]] = []
        alike = 0
        try:
            for one in task.questions:
                found = planner.find(one.objective, task.values, task.contrasts, task.roles)
                expected = plan_hash(one.steps)
                if found is None:
                    alike += 1
                    decisions += [
                        Decision(Call("decide", (one.objective.id,)), False, True, "asked")
                    ] * one.decisions
                    continue
                action, given = found
                call = Call(action.name, tuple(sorted(given)))
                try:
                    got, fault = plan_hash(_steps(planner.draft(action, given))), ""
                except NereusError as error:
                    got, fault = "", error.what
                ok = got == expected
                why = "" if ok else fault or f"expected {expected[:12]}, got {got[:12]}"
                alike += ok
                tests.append(
                    (
                        action.name,
                        ActionTest(
                            task=task.run_id, call=f"{call} for {one.objective.id}", expected=expected, ok=ok
                        ),
                        why,
                    )
                )
                decisions.append(
                    Decision(
                        call, True, ok, why or "planned as it was done", None if ok else Failure.POSTCONDITION
                    )
                )
        finally:
            planner.close()
        share = alike / max(1, len(task.questions))
        return Rollout(task.run_id, share == 1.0, share, tuple(decisions)), tests

    def validate(self, tasks: Sequence[RunTask], actions: Sequence[LearnedAction]) -> Validation:
        """See `Agent`. Equal steps on equal inputs have equal keys, so they give the same artifacts."""
        tests: dict[str, list[ActionTest]] = {one.name: [] for one in actions}
        faults: dict[str, str] = {}
        rollouts = []
        before = after = 0
        for task in tasks:
            rollout, done = self._planned_again(task, actions)
            rollouts.append(rollout)
            before += sum(one.decisions for one in task.questions)
            after += len(rollout.decisions)
            for name, test, why in done:
                tests[name].append(test)
                if why:
                    faults.setdefault(name, f"{task.run_id}: {why}")
        for name, made in tests.items():
            if not made:
                faults.setdefault(name, f"it was of no use in {len(tasks)} held-out tasks")
        solved = sum(one.solved for one in rollouts) / max(1, len(tasks))
        kept = {name: tuple(one) for name, one in tests.items()}
        # A wrong plan is a fault of its action; the questions that it answers wrongly are asked as before without it.
        return Validation(tuple(rollouts), kept, solved, min(solved, 1.0), after / max(1, before), faults)


def plan_hash(steps: Sequence[dict[str, Any]]) -> str:
    """SHA-256 of a plan: tools, inputs and parameters; not of the words about them."""
    plain = [[one["tool"], one["inputs"], one["params"], one["publishes"]] for one in steps]
    return hashlib.sha256(canonical_json(plain).encode()).hexdigest()


def _steps(draft: WorkflowDraft) -> list[dict[str, Any]]:
    return [
        one.model_dump(mode="json", include={"tool", "inputs", "params", "publishes"}) for one in draft.steps
    ]


def learn_pipelines(
    workspace: Workspace, *, held_out: int = 1, approval: str = "costly", newest: int = 30, answer: Any = None
) -> ActionLibrary:
    """Learn pipelines from the ended runs of a home; the newest ones are held out.

    Parameters
    ----------
    workspace
        The open stores.
    held_out
        Runs that nothing is learned from: on them pipelines are validated.
    approval
        ``never`` makes active what was validated; else it waits for `nereus actions approve`.
    newest
        How many of the newest runs are looked at.
    answer
        What is answered at the gate.

    Raises
    ------
    InputError
        There are too few ended runs.
    """
    headers = [
        one
        for one in workspace.repository.list_runs()
        if one.status in ("finished", "stopped") and not one.forked_from
    ]
    tasks: list[RunTask] = []
    seen: set[str] = set()
    for header in headers[:newest]:
        data = header.inputs.get("data")
        if data is None or data.id in seen:
            continue
        seen.add(data.id)
        tasks.append(task_of(workspace.repository.load(header.id), workspace))
    if len(tasks) < held_out + 2:
        raise InputError(
            f"there are ended runs about {len(tasks)} data sets",
            where="learner",
            mend=f"pipelines are learned from two or more, and validated on {held_out} other; run `nereus discover` first",
        )
    return ActionLearner(
        PipelineAgent(),
        PipelineAuthor(),
        tasks[held_out:],
        tasks[:held_out],
        repository=Actions(workspace.database),
        approval=approval,
    ).learn(answer)
