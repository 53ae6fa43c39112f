"""Questions that ask whether the subjects fall into groups that nobody labelled."""

from __future__ import annotations

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.priority import priority, question_match
from nereus.memory.records import Objective, ObjectiveKind

SUBTYPE_SUBJECTS = 20
"""Subjects below which no groups are looked for."""


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Once a run, with enough subjects."""
    subjects = float(context.profile.values.get("n_subjects") or 0)
    features = float(context.profile.values.get("n_features") or 0)
    fractions = context.profile.values.get("data_kind") == "fractions"
    if fractions or subjects < SUBTYPE_SUBJECTS or features < 50:
        return []
    parts = {
        "screen": 0.3,
        "power": min(1.0, subjects / 100),
        "question": question_match(context.question, ["subtypes", "clusters", "subgroups", "endotypes"]),
        "novelty": 1.0,
        "directness": 0.0,
        "cost": 0.2,
    }
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.SUBTYPES,
            statement="Do the subjects fall into groups that nobody labelled?",
            rationale="There are enough subjects to look for groups and to check whether they hold.",
            cites=("profile:n_subjects",),
            priority=priority(parts),
            priority_parts=parts,
        )
    ]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Groups, and whether they hold."""
    plan = Plan()
    plan.add(
        "consensus_clusters",
        "look for groups, and check by subsampling whether they hold",
        {"dataset": "run/prepared"},
    )
    return plan.draft("unsupervised", "stability is known")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """Whether it was done."""
    call = calls.get("consensus_clusters")
    return ObjectiveAssessment(
        verdict="done",
        summary="groups were looked for and their stability measured" if call else "not carried out",
    )


QUESTION = Question(ObjectiveKind.SUBTYPES, workflow, conclude, candidates, needs=("consensus_clusters",))
