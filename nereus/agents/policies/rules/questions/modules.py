"""Questions that ask which features move together, and whether they do so with what is compared (template T7)."""

from __future__ import annotations

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import (
    MIN_SUBJECTS,
    PANEL_FEATURES,
    contrast_of,
    covariates_of,
    features_word,
    refused_by_check,
    table,
)
from nereus.agents.policies.rules.questions.priority import power, priority, question_match, screen
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, conclude
from nereus.memory.records import Contrast, Objective, ObjectiveKind

MODULE_SUBJECTS = 20
"""Subjects below which correlations are noise."""
_WORDS = ["module", "modules", "network", "coexpression", "correlate", "correlated", "together"]
MAX_FEATURES = 2000
"""Most variable features that a network is made of: its time grows with the third power."""


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Once a run, with enough subjects and features; the first contrast that can be made is what modules are held against."""
    values = context.profile.values
    if (
        float(values.get("n_subjects") or 0) < MODULE_SUBJECTS
        or float(values.get("n_features") or 0) < PANEL_FEATURES
        or values.get("data_kind") in ("peptides", "fractions")
    ):
        return []
    row = next(
        (
            one
            for one in table(context, "contrasts")
            if not one.get("refused")
            and not refused_by_check(context, str(one["factor"]))
            and min(float(one["n_a"] or 0), float(one["n_b"] or 0)) >= MIN_SUBJECTS
        ),
        None,
    )
    if row is None:
        return []
    contrast = Contrast(
        factor=str(row["factor"]),
        a=str(row["a"]),
        b=str(row["b"]),
        covariates=() if row.get("paired") else covariates_of(context, row),
        block=str(row["block"]) if row.get("block") else None,
    )
    parts = {
        "screen": screen(context, contrast.factor),
        "power": power(float(row["n_a"] or 0), float(row["n_b"] or 0)),
        "question": question_match(context.question, _WORDS),
        "novelty": 1.0,
        "directness": 0.0,
        "cost": 0.8,
    }
    word = features_word(context)
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.MODULES,
            statement=f"Which {word} move together, and do they with {contrast.factor}?",
            contrast=contrast,
            rationale="there are enough subjects to tell correlation from noise",
            cites=("profile:n_subjects", f"profile:contrasts[{row['contrast']}]"),
            priority=priority(parts),
            priority_parts=parts,
        )
    ]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Modules without a look at the groups, then each module as a whole against them."""
    contrast = contrast_of(objective)
    described = contrast.model_dump(mode="json")
    plan = Plan()
    found = plan.add(
        "coexpression_modules",
        "find features that move together beyond shuffled data, without a look at the groups",
        {"dataset": "run/prepared"},
        covariates=[],
        max_features=MAX_FEATURES,
    )
    data: Inputs = {"dataset": f"{found}/eigen"}
    plan.add("differential_abundance", "test each module as a whole", data, contrast=described)
    plan.add("stability", "does it hold when half of the subjects are left out?", data, contrast=described)
    plan.add(
        "permutation_null",
        "how much would be found if the labels meant nothing?",
        data,
        contrast=described,
        n_permutations=PERMUTATIONS,
    )
    return plan.draft("modules", "every module was tested as a whole")


QUESTION = Question(
    ObjectiveKind.MODULES,
    workflow,
    conclude,
    candidates,
    needs=("coexpression_modules", "differential_abundance"),
    essential=("coexpression_modules",),
)
