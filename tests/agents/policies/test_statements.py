"""Statements read well whatever the groups are called."""

from __future__ import annotations

from typing import Any

import pytest

from nereus.agents.policies.base import DecisionContext, EvidenceGroup, ProfileView
from nereus.agents.policies.rules.hypotheses import compose
from nereus.memory.records import Claim, Contrast, Entity, Objective, ObjectiveKind


def context(groups: list[EvidenceGroup], contrasts: list[Contrast], unit: str = "sample") -> DecisionContext:
    objectives = tuple(
        Objective(id=f"O{number}", kind=ObjectiveKind.DIFFERENTIAL, statement="?", contrast=one, priority=1.0)
        for number, one in enumerate(contrasts)
    )
    return DecisionContext(
        question=None,
        profile=ProfileView(values={"unit_of_analysis": unit}),
        objectives=objectives,
        groups=tuple(groups),
    )


def group(contrast: Contrast, grain: Any = "entity", **changes: Any) -> EvidenceGroup:
    entity = Entity(kind="protein", id="P1", name="TF", direction="up")
    given: dict[str, Any] = {
        "id": "G1",
        "grain": grain,
        "claim": Claim(
            relation="abundance", entities=(entity,), contrast=contrast.label, context=contrast.factor
        ),
        "objective_ids": ("O0",),
        "evidence": {"n_a": "E1", "n_b": "E2"},
        "values": {},
    }
    return EvidenceGroup(**{**given, **changes})


def said(found: EvidenceGroup, *contrasts: Contrast, unit: str = "sample") -> str:
    return compose(context([found], list(contrasts), unit)).drafts[0].statement


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ("drug", "control", "higher in drug than in control"),
        ("2", "1", "higher in stage 2 than in stage 1"),
        ("tumour (primary)", "healthy vs not", "higher in tumour (primary) than in healthy vs not"),
    ],
)
def test_groups_are_named_as_the_objective_names_them(a: str, b: str, text: str) -> None:
    contrast = Contrast(factor="stage", a=a, b=b)
    assert text in said(group(contrast), contrast)


def test_the_subset_is_said_once() -> None:
    contrast = Contrast(factor="drug", a="x", b="y", subset={"day": "7"})
    assert "higher in x than in y (day = 7) (" in said(group(contrast), contrast)


def test_mice_are_counted_as_mice() -> None:
    contrast = Contrast(factor="diet", a="fat", b="chow")
    assert said(group(contrast), contrast, unit="mouse").endswith("against {{E2|.0f}} mice).")


def test_independent_findings_say_what_their_numbers_are() -> None:
    first, second = Contrast(factor="g", a="salt and heat", b="c"), Contrast(factor="g", a="b", b="c")
    entities = tuple(Entity(kind="protein", id="P1", name="TF", direction=one) for one in ("up", "absent"))
    found = group(
        first,
        "cross",
        claim=Claim(
            relation="abundance", entities=entities, contrast="salt and heat vs c and b vs c", context="g"
        ),
        objective_ids=("O0", "O1"),
        evidence={"effect:O0": "E1", "effect:O1": "E2"},
    )
    assert said(found, first, second) == (
        "TF (P1) is found by independent analyses: higher in salt and heat vs c (log2 fold change {{E1|+.2f}}); "
        "detected less often in b vs c (difference of detection rates {{E2|+.2f}})."
    )
