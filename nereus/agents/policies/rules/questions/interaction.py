"""Questions that ask whether the effect of one factor depends on another (template T3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import MAX_COVARIATES, contrast_of, features_word, table
from nereus.agents.policies.rules.questions.priority import (
    DIRECTNESS,
    novelty,
    power,
    priority,
    question_match,
    screen,
)
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, PLANTINGS, SUBSAMPLES, conclude
from nereus.memory.records import Contrast, Objective, ObjectiveKind

_WORDS = ["interaction", "interact", "depend", "depends", "modifies", "synergy"]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Every pair of crossed factors with three subjects in each of the four cells."""
    drafts = []
    for row in table(context, "interactions"):
        first, second = str(row["first"]), str(row["second"])
        label = str(row["interaction"])
        if row.get("refused"):
            dropped.append(Dropped(subject=label, reason=str(row["refused"]), verdict="refused"))
            continue
        if not row.get("testable"):
            continue
        least = float(row["smallest_cell"] or 0)
        contrast = Contrast(
            factor=first,
            a=str(row["a_first"]),
            b=str(row["b_first"]),
            covariates=_covariates(context, first, second),
            block=str(row["block"]) if row.get("block") else None,
        )
        parts = {
            "screen": round((screen(context, first) + screen(context, second)) / 2, 4),
            # The difference of two differences has twice the variance: as if each side had half of the subjects.
            "power": power(least, least),
            "question": _spoken_of(context, row),
            "novelty": novelty(context, ObjectiveKind.INTERACTION, first),
            "directness": DIRECTNESS.get(str(row.get("kind")), 0.5),
            "cost": 0.1,
        }
        adjusted = f", adjusted for {', '.join(contrast.covariates)}" if contrast.covariates else ""
        compared = f"{first} ({contrast.a} vs {contrast.b})"
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.INTERACTION,
                statement=f"For which {features_word(context)} does the effect of {compared} depend on "
                f"{second} ({row['a_second']} vs {row['b_second']}){adjusted}?",
                contrast=contrast,
                design={
                    "first": first,
                    "a_first": contrast.a,
                    "b_first": contrast.b,
                    "second": second,
                    "a_second": str(row["a_second"]),
                    "b_second": str(row["b_second"]),
                },
                label=label,
                rationale=f"{first} and {second} are crossed, with three or more subjects in each cell",
                cites=(f"profile:interactions[{label}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def _spoken_of(context: DecisionContext, row: Mapping[str, Any]) -> float:
    """How far the user names both factors or their levels, and speaks of an interaction."""
    factors = [
        question_match(context.question, [str(row[name]) for name in names])
        for names in (("first", "a_first", "b_first"), ("second", "a_second", "b_second"))
    ]
    return round(sum(factors) / 4 + question_match(context.question, _WORDS) / 2, 4)


def _covariates(context: DecisionContext, first: str, second: str) -> tuple[str, ...]:
    """What the contrasts of both factors are adjusted for, but for the two themselves."""
    found: list[str] = []
    for row in table(context, "contrasts"):
        if str(row["factor"]) in (first, second):
            found += [one for one in str(row.get("covariates") or "").split(";") if one]
    return tuple(dict.fromkeys(one for one in found if one not in (first, second)))[:MAX_COVARIATES]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """The test of the product, with its own null and stability."""
    contrast, design = contrast_of(objective), objective.design
    described: dict[str, Any] = {
        "contrast": contrast.model_dump(mode="json"),
        "by": design["second"],
        "by_a": design["a_second"],
        "by_b": design["b_second"],
    }
    data: Inputs = {"dataset": "run/prepared"}
    plan = Plan()
    test = plan.add(
        "interaction_test",
        f"test every protein for an effect of {contrast.factor} that depends on {design['second']}; "
        "repeat on half-samples and in data sets without an interaction",
        data,
        **described,
        n_permutations=PERMUTATIONS,
        n_subsamples=SUBSAMPLES,
        n_plantings=PLANTINGS,
    )
    plan.add(
        "plot_heatmap",
        "draw the strongest proteins over all four cells",
        {**data, "table": f"{test}/interaction"},
        factors=[contrast.factor, design["second"]],
    )
    return plan.draft("crossed factors", "every protein was tested for the product of both factors")


QUESTION = Question(
    ObjectiveKind.INTERACTION,
    workflow,
    conclude,
    candidates,
    needs=("interaction_test",),
    essential=("interaction_test",),
)
