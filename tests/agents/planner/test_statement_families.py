"""A panel is one test among all those of the run: its p is decided at the error level of the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nereus.agents.planner.grouping import whole_groups
from nereus.agents.planner.questions import families
from nereus.agents.policies.base import DecisionContext
from nereus.agents.policies.rules.questions import question
from nereus.memory.records import Contrast, Evidence, Objective, ObjectiveKind
from nereus.tools.base import Result
from nereus.tools.statistics.fdr import run_wide_fdr
from nereus.tools.statistics.panel import _decision

PANEL = Objective(
    id="O3",
    kind=ObjectiveKind.PANEL,
    statement="can a few proteins tell a from b?",
    contrast=Contrast(factor="g", a="a", b="b"),
    status="done",
)
OUTPUTS = {
    "O3:panel": "O3.W1.S1/panel",
    "O3:decision": "O3.W1.S1/decision",
    "findings": "O9.W1.S1/findings",
}


class Book:
    """An evidence book over one panel and one error control."""

    def __init__(self, p: float | None, control: Result) -> None:
        self._values = {"performance": 0.8, "p_permutation": p}
        self._findings = control.table("findings")

    def table(self, step: str, name: str) -> pd.DataFrame:
        assert (step, name) == ("O9.W1.S1", "findings")
        return self._findings

    def value(self, step: str, name: str, quantity: str = "") -> Evidence:
        return self._cited(self._values[name])

    def cell(self, step: str, name: str, key: str, column: str, quantity: str) -> Evidence:
        row = self._findings.set_index("finding").loc[key]
        return self._cited(float(row[column]))

    def _cited(self, value: Any) -> Evidence:
        return Evidence(id="E1", step_id="O3.W1.S1", call_key="k", quantity="", value=value)


@pytest.mark.parametrize(
    ("p", "barren", "held"), [(0.01, 1, True), (0.03, 1, False), (0.01, 9, False), (None, 0, False)]
)
def test_a_panel_is_decided_with_all_other_questions(p: float | None, barren: int, held: bool) -> None:
    """One question in two leaves half of the level; one in ten a tenth; without permutations nothing is decided."""
    nothing = pd.DataFrame({"feature": ["A", "B"], "effect": [0.1, -0.1], "p": [0.6, 0.9]})
    tables = {f"O{10 + at} abundance": nothing for at in range(barren)}
    control = run_wide_fdr({"O3 prediction": _decision(0.8, p, 40), **tables})
    (group,) = whole_groups(Book(p, control), {"O3": PANEL}, OUTPUTS)  # type: ignore[arg-type]
    assert group.values["claimed"] is held
    assert ("q_run" in group.evidence) is held
    if held:
        assert group.values["q_run"] == pytest.approx(p * (1 + barren))  # type: ignore[operator]


def test_an_earlier_run_without_the_family_is_decided_on_its_own() -> None:
    outputs = {name: where for name, where in OUTPUTS.items() if name != "O3:decision"}
    control = run_wide_fdr({"O2 abundance": pd.DataFrame({"feature": ["A"], "p": [0.9]})})
    (group,) = whole_groups(Book(0.03, control), {"O3": PANEL}, outputs)  # type: ignore[arg-type]
    assert group.values["claimed"] is True


def test_the_synthesis_takes_the_panel_along() -> None:
    assert families(PANEL) == {"decision": "prediction"}
    last = Objective(id="O9", kind=ObjectiveKind.SYNTHESIS, statement="")
    seen = DecisionContext(objectives=(PANEL,), run_outputs=OUTPUTS)
    first = question(ObjectiveKind.SYNTHESIS).workflow(seen, last).steps[0]
    assert first.inputs["tables"] == {"O3 prediction": "run/O3:decision"}
    assert first.params["questions"] == {"O3 prediction": "O3"}


def test_without_permutations_the_panel_counts_as_no_test() -> None:
    control = run_wide_fdr({"O3 prediction": _decision(0.9, None, 40)})
    assert control.values["n_families"] == 0
    assert np.isnan(_decision(0.9, None, 40)["p"][0])
