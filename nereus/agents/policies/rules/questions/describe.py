"""Describe the samples where nothing can be inferred: groups that are too small, or no groups at all."""

from __future__ import annotations

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.design import (
    MIN_SUBJECTS,
    features_word,
    refused_by_check,
    table,
)
from nereus.memory.records import Objective, ObjectiveKind
from nereus.tools import registry

VARIABLE = "variable_features"
LEAST_SAMPLES = 4
LEAST_FEATURES = 50
"""Fewer features do not tell which variance is usual."""


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Where no contrast has three subjects in both groups, or where the samples cannot be told apart at all."""
    if context.profile.values.get("data_kind") == "fractions":
        return []
    if _nothing_to_compare(context):
        if VARIABLE not in registry.CATALOGUE:
            return []
        return [
            ObjectiveDraft(
                kind=ObjectiveKind.DESCRIBE,
                statement=f"Which {features_word(context)} vary more between the samples than others of like abundance?",
                rationale="Nothing says how the samples differ, so no groups are compared; what varies is a first look.",
                cites=("profile:contrasts",),
                priority=0.5,
            )
        ]
    sizes = _sizes(context)
    if not sizes or max(sizes) >= MIN_SUBJECTS:
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


def _sizes(context: DecisionContext) -> list[float]:
    """Subjects in the smaller group of every contrast that is not refused."""
    return [
        min(float(row["n_a"] or 0), float(row["n_b"] or 0))
        for row in table(context, "contrasts")
        if not (row.get("refused") or refused_by_check(context, str(row["factor"])))
    ]


def _nothing_to_compare(context: DecisionContext) -> bool:
    """Enough samples and features, and neither groups nor variables, courses, doses, outcomes or baits."""
    values = context.profile.values
    asked = (
        "contrasts",
        "associations",
        "interactions",
        "courses",
        "doses",
        "outcomes",
        "pulldowns",
        "organelles",
    )
    return (
        not any(table(context, one) for one in asked)
        and float(values.get("n_samples") or 0) >= LEAST_SAMPLES
        and float(values.get("n_features") or 0) >= LEAST_FEATURES
    )


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Quality of each sample, or the variance of each feature."""
    plan = Plan()
    if _nothing_to_compare(context):
        plan.add(
            VARIABLE,
            "hold the variance of each feature against what is usual at its abundance",
            {"dataset": "run/prepared"},
        )
        return plan.draft("variability", "every feature's variance was judged")
    plan.add("quality_control", "describe each sample", {"dataset": "run/prepared"})
    return plan.draft("describe", "described; nothing is inferred from groups this small")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """What varies, or the refusal to infer."""
    if VARIABLE in calls:
        step = calls[VARIABLE].step_id
        return ObjectiveAssessment(
            verdict="done",
            summary=f"{{{{{step}.n_significant}}}} of {{{{{step}.n_tested}}}} vary more than usual; why, no column says",
        )
    return ObjectiveAssessment(
        verdict="done", summary="described; the groups are too small to infer anything"
    )


QUESTION = Question(ObjectiveKind.DESCRIBE, workflow, conclude, candidates, needs=("quality_control",))
