"""Questions that ask where in the cell proteins are, from their distribution over fractions and from markers."""

from __future__ import annotations

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.design import features_word, table
from nereus.agents.policies.rules.questions.priority import priority, question_match
from nereus.memory.records import Objective, ObjectiveKind

_WORDS = ["localisation", "localization", "organelle", "organelles", "subcellular", "compartment", "where"]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """The best column of markers."""
    if context.profile.values.get("data_kind") != "fractions":
        return []
    rows = [row for row in table(context, "organelles") if row.get("testable")]
    if not rows:
        return []
    column = str(rows[0]["column"])
    parts = {
        "screen": 0.5,
        "power": 1.0,
        "question": question_match(context.question, _WORDS),
        "novelty": 1.0,
        "directness": 1.0,
        "cost": 0.5,
    }
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.LOCALISATION,
            statement=f"In which organelle is each of the {features_word(context)} without a marker's label?",
            design={"markers": column},
            label=f"organelles of {column}",
            rationale=str(rows[0]["why"]),
            cites=(f"profile:organelles[{column}]",),
            priority=priority(parts),
            priority_parts=parts,
        )
    ]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Learn from the markers, judge on markers held out, and leave what fits nowhere unknown."""
    plan = Plan()
    plan.add(
        "classify_organelles",
        "learn the profiles of the markers, and say how sure each assignment is",
        {"dataset": "run/prepared"},
        markers=objective.design["markers"],
    )
    return plan.draft("organelles", "every profile was compared with those of the markers")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How many were assigned, and how well markers are found again."""
    call = calls.get("classify_organelles")
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="nothing could be classified")
    step = call.step_id
    return ObjectiveAssessment(
        verdict="done",
        summary=f"{{{{{step}.n_assigned}}}} assigned; markers held out: macro F1 {{{{{step}.macro_f1|.2f}}}}",
        cites=(step,),
    )


QUESTION = Question(
    ObjectiveKind.LOCALISATION,
    workflow,
    conclude,
    candidates,
    needs=("classify_organelles",),
    essential=("classify_organelles",),
)
