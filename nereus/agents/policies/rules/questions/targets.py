"""Questions that ask whose structure a compound changes: limited proteolysis of peptides."""

from __future__ import annotations

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Plan, Question
from nereus.agents.policies.rules.questions.design import (
    MIN_SUBJECTS,
    contrast_of,
    covariates_of,
    structures_of_peptides,
    table,
)
from nereus.agents.policies.rules.questions.priority import (
    DIRECTNESS,
    novelty,
    power,
    priority,
    question_match,
    screen,
)
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, SUBSAMPLES, conclude
from nereus.memory.records import Contrast, Objective, ObjectiveKind


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Comparisons of peptides, where the user speaks of limited proteolysis, structures or targets."""
    if not structures_of_peptides(context):
        return []
    drafts = []
    for row in table(context, "contrasts"):
        n_a, n_b = float(row["n_a"] or 0), float(row["n_b"] or 0)
        if row.get("refused") or min(n_a, n_b) < MIN_SUBJECTS:
            continue
        contrast = Contrast(
            factor=str(row["factor"]),
            a=str(row["a"]),
            b=str(row["b"]),
            covariates=() if row.get("paired") else covariates_of(context, row),
            block=str(row["block"]) if row.get("block") else None,
        )
        parts = {
            "screen": screen(context, contrast.factor),
            "power": power(n_a, n_b),
            "question": max(0.5, question_match(context.question, [contrast.factor, contrast.a, contrast.b])),
            "novelty": novelty(context, ObjectiveKind.TARGETS, contrast.factor),
            "directness": DIRECTNESS.get(str(row.get("kind")), 0.5),
            "cost": 0.2,
        }
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.TARGETS,
                statement=f"Whose structure differs between {contrast.a} and {contrast.b} ({contrast.factor})?",
                contrast=contrast,
                rationale="peptides of a limited digest change where the structure of their protein does",
                cites=(f"profile:contrasts[{row['contrast']}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Peptides beyond their protein, then proteins by their peptides, with its own null and stability."""
    plan = Plan()
    test = plan.add(
        "limited_proteolysis",
        "test every peptide and combine the peptides of a protein; repeat on subsamples and with exchanged labels",
        {"dataset": "run/prepared"},
        contrast=contrast_of(objective).model_dump(mode="json"),
        n_permutations=PERMUTATIONS,
        n_subsamples=SUBSAMPLES,
    )
    plan.add(
        "plot_volcano",
        "draw the proteins by their leading peptides",
        {"table": f"{test}/targets"},
        contrast=contrast_of(objective).model_dump(mode="json"),
    )
    return plan.draft("limited proteolysis", "every protein with peptides was ranked")


QUESTION = Question(
    ObjectiveKind.TARGETS,
    workflow,
    conclude,
    candidates,
    needs=("limited_proteolysis",),
    essential=("limited_proteolysis",),
)
