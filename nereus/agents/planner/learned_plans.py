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


def pipelines_of(learned: Mapping[str, Any], settings: Settings) -> PipelinePlanner | None:
    """Pipelines that a run knew when it began; None without any."""
    if not learned.get("actions"):
        return None
    from nereus.agents.learner.pipeline_plans import PipelinePlanner

    known = [LearnedAction.model_validate(one) for one in learned["actions"]]
    return PipelinePlanner(known, settings.sandbox_grade)


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
            action, draft = found
            services.emit("action_used", subject, action=action.name, version=action.version)
            return services.decide(
                DecisionKind.PLAN_WORKFLOW, subject, context, WorkflowDraft, LearnedPlan(action, draft)
            )
    return services.decide(DecisionKind.PLAN_WORKFLOW, subject, context, WorkflowDraft)


def learned_step(services: Services, context: DecisionContext) -> bool | None:
    """Whether the step of a context warned in what its pipeline was learned from; None where no pipeline planned it."""
    workflow = context.workflow
    if services.pipelines is None or workflow is None or context.step_id is None:
        return None
    action = _planner_of(services, workflow)
    if action is None:
        return None
    place = next((at for at, step in enumerate(workflow.steps) if step.id == context.step_id), None)
    number = context.step_id.rpartition(".S")[2]
    if place is None or not number.isdigit():
        return None
    tools, warned = action.plan["tools"], action.plan["warned"]
    at = int(number) - 1
    return bool(warned[at]) if at < len(tools) and tools[at] == workflow.steps[place].tool else None


def note_use(services: Services, workflow: Workflow) -> None:
    """Note how a pipeline fared when its question is closed: retired are those whose plans are changed or fail."""
    action = _planner_of(services, workflow) if services.pipelines is not None else None
    if action is None:
        return
    ok = workflow.version == 1 and all(
        step.status == "done" and step.verdict in ("accept", None) for step in workflow.steps
    )
    Actions(services.repository.database).tried(action, services.run_id, ok, workflow=workflow.id)


def _planner_of(services: Services, workflow: Workflow) -> LearnedAction | None:
    known = services.decided(f"{DecisionKind.PLAN_WORKFLOW.value}@{workflow.id}#1")
    if known is None or not known.policy.startswith(_LEARNED) or services.pipelines is None:
        return None
    name = known.policy[len(_LEARNED) :].partition(" ")[0]
    return next((one for one in services.pipelines.actions if one.name == name), None)
