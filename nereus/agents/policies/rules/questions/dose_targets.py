"""Questions that ask whose structure follows the dose of a compound: limited proteolysis with a series of doses."""

from __future__ import annotations

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Plan, Question
from nereus.agents.policies.rules.questions.design import structures_of_peptides, table
from nereus.agents.policies.rules.questions.priority import novelty, power, priority, question_match, screen
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, SUBSAMPLES, conclude
from nereus.memory.records import Objective, ObjectiveKind

_WORDS = ["dose", "concentration", "target", "structure", "proteolysis"]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Series of doses of peptides, where the user speaks of limited proteolysis, structures or targets."""
    if not structures_of_peptides(context):
        return []
    drafts = []
    for row in table(context, "doses"):
        if not row.get("testable"):
            continue
        dose, n = str(row["dose"]), float(row["n"] or 0)
        parts = {
            "screen": screen(context, str(row["labels"])),
            "power": power(n / 2, n / 2),
            "question": max(0.5, question_match(context.question, [dose, *_WORDS])),
            "novelty": novelty(context, ObjectiveKind.DOSE_TARGETS, dose),
            "directness": 1.0,
            "cost": 0.2,
        }
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.DOSE_TARGETS,
                statement=f"Whose structure follows {dose}?",
                design={"dose": dose},
                label=dose,
                rationale="peptides of a limited digest follow the dose where the structure of their protein does",
                cites=(f"profile:doses[{dose}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """A curve of every peptide, with and without the highest dose, then proteins by their peptides."""
    plan = Plan()
    test = plan.add(
        "dose_targets",
        "fit a curve to every peptide, also without the highest dose, and combine the peptides of a protein; repeat on "
        "subsamples and with exchanged doses",
        {"dataset": "run/prepared"},
        dose=objective.design["dose"],
        n_permutations=PERMUTATIONS,
        n_subsamples=SUBSAMPLES,
    )
    plan.add("plot_volcano", "draw the proteins by their leading peptides", {"table": f"{test}/targets"})
    return plan.draft("limited proteolysis with doses", "every protein with peptides was ranked")


QUESTION = Question(
    ObjectiveKind.DOSE_TARGETS,
    workflow,
    conclude,
    candidates,
    needs=("dose_targets",),
    essential=("dose_targets",),
)
