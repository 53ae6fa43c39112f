"""Questions that a learned pipeline fits are planned by it: one decision, which says so, in place of one for every step.

Its steps are not asked about as long as what must hold for them does: the call ended well and complete, warned only where
it did in all that the pipeline was learned from, and the rules see no reason against it in the actual result. Whatever
is otherwise is asked as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nereus.agents.policies.base import DecisionContext, DecisionKind, Verdict, WorkflowDraft
from nereus.memory.actions import Actions, LearnedAction
from nereus.memory.records import Objective, Workflow

if TYPE_CHECKING:
    from nereus.agents.learner.pipeline_plans import PipelinePlanner
    from nereus.agents.planner.services import Services
    from nereus.memory.database import Database
    from nereus.settings import Settings

PIPELINES = "omics"
"""Domain of the actions that plan questions."""
_LEARNED = "learned:"


class LearnedPlan:
    """Answers with the plan of a pipeline."""

    version = "1"
    deterministic = True
    needs_network = False

    def __init__(self, action: LearnedAction, draft: WorkflowDraft) -> None:
        self.id = f"{_LEARNED}{action.name} v{action.version}"
        self._draft = draft

    def decide(self, kind: DecisionKind, context: DecisionContext, *, seed: int) -> Verdict:
        """See `Policy`."""
        del kind, context, seed
        return Verdict(payload=self._draft, rationale=self._draft.rationale, policy=self.id)


def pipelines_of(
    learned: Mapping[str, Any], settings: Settings, database: Database
) -> PipelinePlanner | None:
    """Pipelines that a run knew when it began; None without any. What was revoked since is not run."""
    if not learned.get("actions"):
        return None
    from nereus.agents.learner.pipeline_plans import PipelinePlanner

    known = [LearnedAction.model_validate(one) for one in learned["actions"]]
    return PipelinePlanner(known, settings.sandbox_grade, Actions(database).may_run)


def planned_draft(
    services: Services, subject: str, objective: Objective, context: DecisionContext
) -> WorkflowDraft:
    """The plan of a pipeline that fits the question, else the policy's."""
    planner = services.pipelines
    if planner is not None and not context.errors and subject.endswith(".W1#1"):
        found = planner.planned(
            objective,
            context.profile.values,
            context.profile.tables.get("contrasts", ()),
            list(services.inputs),
        )
        if found is not None:
            action, draft = found.action, found.draft
            told = {"action": action.name, "version": action.version}
            if draft is not None:
                services.emit("action_used", subject, **told)
                return services.decide(
                    DecisionKind.PLAN_WORKFLOW, subject, context, WorkflowDraft, LearnedPlan(action, draft)
                )
            # A pipeline that cannot plan has failed, too: its record says so, and the question is planned as ever.
            services.emit("action_failed", subject, **told, reason=found.why)
            Actions(services.repository.database).tried(action, services.run_id, False, reason=found.why)
    return services.decide(DecisionKind.PLAN_WORKFLOW, subject, context, WorkflowDraft)


def learned_step(services: Services, context: DecisionContext) -> bool | None:
    """Whether the step of a context warned in what its pipeline was learned from; None where no pipeline planned it."""
    workflow = context.workflow
    if services.pipelines is None or workflow is None or context.step_id is None:
        return None
    action = None if _refused(services, workflow) else _planner_of(services, workflow)
    if action is None or not services.pipelines.may_run(action):
        return None
    place = next((at for at, step in enumerate(workflow.steps) if step.id == context.step_id), None)
    number = context.step_id.rpartition(".S")[2]
    if place is None or not number.isdigit():
        return None
    tools, warned = action.plan["tools"], action.plan["warned"]
    at = int(number) - 1
    return bool(warned[at]) if at < len(tools) and tools[at] == workflow.steps[place].tool else None


def note_use(services: Services, workflow: Workflow, stopped: bool = False) -> None:
    """Note how a pipeline fared when its question is closed: retired are those whose plans are changed or fail.

    A run that a budget or a person stopped says nothing about the steps that it did not reach.
    """
    action = _planner_of(services, workflow) if services.pipelines is not None else None
    if action is None:
        return
    kept = workflow.version == 1 and not _refused(services, workflow)
    failed = any(
        step.status == "failed" or (step.status == "done" and step.verdict not in ("accept", None))
        for step in workflow.steps
    )
    whole = all(step.status == "done" for step in workflow.steps)
    if stopped and kept and not failed and not whole:
        return
    ok = kept and whole and not failed
    Actions(services.repository.database).tried(action, services.run_id, ok, workflow=workflow.id)


def _refused(services: Services, workflow: Workflow) -> bool:
    """Whether the plan of the pipeline did not pass the check, so that the policy's own was carried out."""
    return services.decided(f"{DecisionKind.PLAN_WORKFLOW.value}@{workflow.id}#2") is not None


def _planner_of(services: Services, workflow: Workflow) -> LearnedAction | None:
    known = services.decided(f"{DecisionKind.PLAN_WORKFLOW.value}@{workflow.id}#1")
    if known is None or not known.policy.startswith(_LEARNED) or services.pipelines is None:
        return None
    name = known.policy[len(_LEARNED) :].partition(" ")[0]
    return next((one for one in services.pipelines.known if one.name == name), None)
