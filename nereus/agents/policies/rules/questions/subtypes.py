"""Questions that ask whether the subjects fall into groups that nobody labelled."""

from __future__ import annotations

from typing import Any

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.design import MAX_COVARIATES, batches_that_matter, table
from nereus.agents.policies.rules.questions.priority import priority, question_match
from nereus.memory.records import Objective, ObjectiveKind

SUBTYPE_SUBJECTS = 20
"""Subjects below which no groups are looked for."""
FOLLOWED = 0.05
"""Permutation p up to which the whole proteome follows a column."""


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


def known_groups(context: DecisionContext) -> tuple[str, ...]:
    """Columns that are known not to be what is looked for, and that the proteome follows.

    Batches that explain variance, and factors that were read from the names of samples (an acquisition, a plate, a
    series): groups that follow them are found again in any resample, and hide those that nobody labelled. Factors of a
    sample sheet stay: whether groups follow them is an answer (`consensus_clusters` compares them).
    """
    followed = {
        str(row["column"])
        for row in table(context, "screen")
        if row.get("p") is not None and float(row["p"]) <= FOLLOWED
    }
    named = [
        str(row["column"])
        for row in table(context, "columns")
        if row.get("constructed") and row.get("role") == "factor" and str(row["column"]) in followed
    ]
    return tuple(dict.fromkeys([*batches_that_matter(context), *named]))[:MAX_COVARIATES]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Groups, and whether they hold, beside the groups that are known."""
    plan = Plan()
    known = known_groups(context)
    beside = f", beside the known ones of {', '.join(known)}" if known else ""
    adjust: dict[str, Any] = {"adjust": list(known)} if known else {}
    plan.add(
        "consensus_clusters",
        f"look for groups{beside}, and check by subsampling whether they hold",
        {"dataset": "run/prepared"},
        **adjust,
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
