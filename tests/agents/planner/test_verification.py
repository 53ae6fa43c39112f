"""Verification: what is tested again, and that a claim about which nothing can be tested again stops no run."""

from __future__ import annotations

import pytest

from nereus.agents.planner.questions import TESTED
from nereus.agents.planner.verification import _plan
from nereus.memory.records import Contrast, Objective, ObjectiveKind

PLAIN = Contrast(factor="condition", a="treated", b="control")
ADJUSTED = PLAIN.model_copy(update={"covariates": ("batch",)})


def tools(kind: ObjectiveKind, contrast: Contrast, drawn: list[str]) -> list[str] | None:
    objective = Objective(id="O3", kind=kind, statement="Which?", contrast=contrast)
    draft, _ = _plan(objective, TESTED[kind], {"contrast": contrast.model_dump(mode="json")}, drawn)
    return None if draft is None else [step.tool for step in draft.steps]


def test_a_module_without_adjustment_and_drawing_leaves_nothing_to_check() -> None:
    assert tools(ObjectiveKind.MODULES, PLAIN, []) is None
    assert tools(ObjectiveKind.MODULES, ADJUSTED, []) == ["differential_abundance"]


@pytest.mark.parametrize("contrast", [PLAIN, ADJUSTED])
def test_a_comparison_is_normalised_again_and_drawn(contrast: Contrast) -> None:
    test = "differential_abundance"
    again = ["normalise", test] + ([test] if contrast.covariates else [])
    assert tools(ObjectiveKind.DIFFERENTIAL, contrast, ["P1", "P2"]) == [
        *again,
        "plot_feature",
        "plot_feature",
    ]
