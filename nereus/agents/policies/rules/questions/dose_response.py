"""Questions that ask what follows a dose along a curve."""

from __future__ import annotations

from typing import Any

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import features_word, structures_of_peptides, table
from nereus.agents.policies.rules.questions.priority import novelty, power, priority, question_match, screen
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, PLANTINGS, SUBSAMPLES, conclude
from nereus.memory.records import Objective, ObjectiveKind

_WORDS = ["dose", "concentration", "response", "ec50", "potency", "titration"]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Every series of four or more doses; of a limited digest proteins are asked about, by `dose_targets`."""
    if structures_of_peptides(context):
        return []
    drafts = []
    for row in table(context, "doses"):
        spoken_of = question_match(context.question, _WORDS) > 0
        if not row.get("testable") or (row.get("cue") == "possible" and not spoken_of):
            continue
        dose, n = str(row["dose"]), float(row["n"] or 0)
        parts = {
            "screen": screen(context, str(row["labels"])),
            "power": power(n / 2, n / 2),
            "question": question_match(context.question, [dose, *_WORDS]),
            "novelty": novelty(context, ObjectiveKind.DOSE_RESPONSE, dose),
            "directness": 1.0,
            "cost": 0.2,
        }
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.DOSE_RESPONSE,
                statement=f"Which {features_word(context)} follow {dose} along a dose-response curve?",
                design={"dose": dose},
                label=dose,
                rationale="there are four or more doses, so that a curve can be told from a flat line",
                cites=(f"profile:doses[{dose}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """A log-logistic curve of every feature against a flat line, with its own null and stability."""
    data: Inputs = {"dataset": "run/prepared"}
    described: dict[str, Any] = {"dose": objective.design["dose"]}
    plan = Plan()
    test = plan.add(
        "dose_response",
        "fit a curve of the dose and test it against no response; repeat on subsamples and with exchanged doses",
        data,
        **described,
        n_permutations=PERMUTATIONS,
        n_subsamples=SUBSAMPLES,
        n_plantings=PLANTINGS,
    )
    plan.add("plot_heatmap", "draw what follows the dose best", {**data, "table": f"{test}/dose_response"})
    return plan.draft("dose-response", "every curve was fitted and tested against a flat line")


QUESTION = Question(
    ObjectiveKind.DOSE_RESPONSE,
    workflow,
    conclude,
    candidates,
    needs=("dose_response", "plot_dose_response"),
    essential=("dose_response",),
)
