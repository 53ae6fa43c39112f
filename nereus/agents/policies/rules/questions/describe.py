"""Describe the samples where the groups are too small to infer anything."""

from __future__ import annotations

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.design import MIN_SUBJECTS, refused_by_check, table
from nereus.memory.records import Objective, ObjectiveKind


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Where there are contrasts, and none of them has three subjects in both groups."""
    sizes = [
        min(float(row["n_a"] or 0), float(row["n_b"] or 0))
        for row in table(context, "contrasts")
        if not (row.get("refused") or refused_by_check(context, str(row["factor"])))
    ]
    fractions = context.profile.values.get("data_kind") == "fractions"
    if fractions or not sizes or max(sizes) >= MIN_SUBJECTS:
        return []
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.DESCRIBE,
            statement="Describe the samples: the groups are too small to infer anything",
            rationale="With fewer than three subjects in a group no error rate can be promised.",
            cites=("profile:contrasts",),
            priority=0.5,
        )
    ]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Quality of each sample."""
    plan = Plan()
    plan.add("quality_control", "describe each sample", {"dataset": "run/prepared"})
    return plan.draft("describe", "described; nothing is inferred from groups this small")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """The refusal to infer."""
    return ObjectiveAssessment(
        verdict="done", summary="described; the groups are too small to infer anything"
    )


QUESTION = Question(ObjectiveKind.DESCRIBE, workflow, conclude, candidates, needs=("quality_control",))
