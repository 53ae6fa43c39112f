"""Questions about cells (template T1): which populations differ in abundance, and which markers within them.

Cells are never the unit: populations are counted, and markers summarised, by sample or subject.
"""

from __future__ import annotations

from typing import Any

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import MIN_SUBJECTS, contrast_of, refused_by_check, table
from nereus.agents.policies.rules.questions.priority import (
    DIRECTNESS,
    novelty,
    power,
    priority,
    question_match,
)
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, conclude
from nereus.memory.records import Contrast, Objective, ObjectiveKind


def _asked(
    context: DecisionContext, dropped: list[Dropped], kind: ObjectiveKind, question: str, words: list[str]
) -> list[ObjectiveDraft]:
    drafts = []
    for row in table(context, "contrasts"):
        factor, a, b = str(row["factor"]), str(row["a"]), str(row["b"])
        label = f"{a} vs {b} ({factor})"
        refused = str(row.get("refused") or "") or refused_by_check(context, factor)
        if refused:
            dropped.append(Dropped(subject=label, reason=refused, verdict="refused"))
            continue
        n_a, n_b = float(row["n_a"] or 0), float(row["n_b"] or 0)
        if min(n_a, n_b) < MIN_SUBJECTS:
            reason = "fewer than three subjects in a group: described, not tested"
            dropped.append(Dropped(subject=label, reason=reason))
            continue
        contrast = Contrast(factor=factor, a=a, b=b, block=str(row["block"]) if row.get("block") else None)
        parts = {
            "screen": 0.5,
            "power": power(n_a, n_b),
            "question": question_match(context.question, [factor, a, b, *words]),
            "novelty": novelty(context, kind, factor),
            "directness": DIRECTNESS.get(str(row.get("kind")), 0.5),
            "cost": 0.2,
        }
        drafts.append(
            ObjectiveDraft(
                kind=kind,
                statement=question.format(a=a, b=b, factor=factor),
                contrast=contrast,
                rationale="samples or subjects are compared, never cells",
                cites=(f"profile:contrasts[{row['contrast']}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def populations(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Every comparison of samples, for the shares of populations."""
    words = ["abundance", "frequency", "population", "populations", "composition", "share"]
    return _asked(
        context,
        dropped,
        ObjectiveKind.POPULATIONS,
        "Which cell populations differ in abundance between {a} and {b} ({factor})?",
        words,
    )


def states(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Every comparison of samples, for the markers within populations."""
    words = ["state", "activation", "signalling", "signaling", "phosphorylation", "marker", "markers"]
    return _asked(
        context,
        dropped,
        ObjectiveKind.STATES,
        "Which markers differ within populations between {a} and {b} ({factor})?",
        words,
    )


def _workflow(objective: Objective, tool: str, main: str, values: str, purpose: str) -> WorkflowDraft:
    described: dict[str, Any] = {"contrast": contrast_of(objective).model_dump(mode="json")}
    plan = Plan()
    test = plan.add(tool, purpose, {"dataset": "run/prepared"}, **described)
    data: Inputs = {"dataset": f"{test}/{values}"}
    stable = plan.add(
        "stability", "does a finding hold when half of the subjects are left out?", data, **described
    )
    null = plan.add(
        "permutation_null",
        "how much would be found if the labels meant nothing?",
        data,
        **described,
        n_permutations=PERMUTATIONS,
    )
    plan.add(
        "calibrate_confidence",
        "plant known effects into these data and learn how often a finding like this is true",
        {
            **data,
            "differential": f"{test}/{main}",
            "stability": f"{stable}/stability",
            "null": f"{null}/null",
        },
        **described,
    )
    plan.add("plot_heatmap", "draw the values of each sample", {**data, "table": f"{test}/{main}"})
    return plan.draft("cells", "everything was tested by subject, and the tests were themselves tested")


def count(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Shares of populations by subject."""
    purpose = "count populations by subject and compare their log odds"
    return _workflow(objective, "cell_abundance_test", "abundance", "shares", purpose)


def compare(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Medians of markers by population and subject."""
    purpose = "summarise each marker by population and subject, and compare the medians"
    return _workflow(objective, "cell_state_test", "state", "states", purpose)


_NEEDS = ("transform_cells", "cell_quality", "cluster_cells", "annotate_clusters")
POPULATIONS = Question(
    ObjectiveKind.POPULATIONS,
    count,
    conclude,
    populations,
    needs=(*_NEEDS, "cell_abundance_test"),
    essential=("cell_abundance_test",),
    of_cells=True,
)
STATES = Question(
    ObjectiveKind.STATES,
    compare,
    conclude,
    states,
    needs=(*_NEEDS, "cell_state_test"),
    essential=("cell_state_test",),
    of_cells=True,
)
