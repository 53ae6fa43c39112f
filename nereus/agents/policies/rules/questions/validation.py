"""Questions that ask whether findings hold again in subjects that had no say in them (template T10).

Where no second cohort is given, the subjects are split: six of ten discover, four of ten confirm.
"""

from __future__ import annotations

from nereus.agents.policies.base import (
    CallView,
    DecisionContext,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.design import contrast_of, smallest_group
from nereus.agents.policies.rules.questions.priority import question_match
from nereus.memory.records import Objective, ObjectiveKind
from nereus.tools import registry

SMALLEST_GROUP = 30
"""Subjects in the smaller group from which on some can be kept aside."""
SHARE = 0.6
_WORDS = ["validate", "validation", "replicate", "replication", "confirm", "confirmed", "hold"]
NEEDS = ("split_cohort", "differential_abundance", "replicate_externally")


def children(context: DecisionContext, objective: Objective, call: CallView) -> list[ObjectiveDraft]:
    """After a comparison that found something among subjects enough: the first one, or all where the user asks for it."""
    known = any(one.kind is ObjectiveKind.VALIDATION for one in context.objectives)
    if known and not question_match(context.question, _WORDS):
        return []
    if (
        objective.kind is not ObjectiveKind.DIFFERENTIAL
        or objective.contrast is None
        or objective.contrast.block is not None
        or float(call.values.get("n_significant") or 0) == 0
        or smallest_group(context, objective.contrast) < SMALLEST_GROUP
        or not all(tool in registry.CATALOGUE for tool in NEEDS)
    ):
        return []
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.VALIDATION,
            statement=f"Does what differs in {objective.about} hold again in subjects that were kept aside?",
            contrast=objective.contrast,
            rationale="with thirty or more subjects a group, some of them can be kept aside",
            cites=(call.step_id,),
            priority=objective.priority,
        )
    ]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Split, discover in one part, and test the findings in the other."""
    contrast = contrast_of(objective)
    described = contrast.model_dump(mode="json")
    plan = Plan()
    split = plan.add(
        "split_cohort",
        "divide the subjects into those that discover and those that confirm",
        {"dataset": "run/prepared"},
        by=[contrast.factor, *contrast.covariates[:1]],
        share=SHARE,
    )
    found = plan.add(
        "differential_abundance",
        "find what differs among those that discover",
        {"dataset": f"{split}/discovery"},
        publishes_as="discovered",
        contrast=described,
    )
    plan.add(
        "replicate_externally",
        "test the findings, and only them, among those that confirm",
        {"table": f"{found}/differential", "dataset": f"{split}/confirmation"},
        contrast=described,
    )
    return plan.draft("validation", "every finding was tested again in other subjects")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How many findings hold again."""
    call = calls.get("replicate_externally")
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="nothing could be tested again")
    step = call.step_id
    return ObjectiveAssessment(
        verdict="done",
        summary=f"{{{{{step}.n_replicated}}}} of {{{{{step}.n_carried}}}} findings hold again in other subjects",
        cites=(step,),
    )


QUESTION = Question(
    ObjectiveKind.VALIDATION, workflow, conclude, needs=NEEDS, essential=("replicate_externally",)
)
