"""What surprises the rules, and how the plan changes because of it."""

from __future__ import annotations

from typing import Any

import pytest

from nereus.agents.planner.check import check_workflow
from nereus.agents.planner.editing import apply_edits
from nereus.agents.policies.base import CallView, DecisionContext
from nereus.agents.policies.rules.assessment import assess, refine
from nereus.memory.records import PlannedStep, Workflow

CONTRAST = {"factor": "g", "a": "a", "b": "b"}


def step(number: int, tool: str, table: str = "", status: str = "planned", **changes: Any) -> PlannedStep:
    inputs: dict[str, Any] = {"dataset": "run/prepared"}
    if table:
        inputs["table"] = table
    given = {"id": f"O2.W1.S{number}", "tool": tool, "purpose": "", "inputs": inputs, "status": status}
    return PlannedStep.model_validate({**given, **changes})


def call(number: int, tool: str, params: dict[str, Any] | None = None, **values: Any) -> CallView:
    return CallView(
        step_id=f"O2.W1.S{number}", tool=tool, status="ok", summary="", values=values, params=params or {}
    )


def refined(steps: list[PlannedStep], calls: list[CallView], at: int) -> tuple[str | None, Workflow]:
    """The surprise that the step at a position raises, and the workflow after it."""
    workflow = Workflow(id="O2.W1", objective_id="O2", template="t", steps=tuple(steps))
    seen = DecisionContext(workflow=workflow, step_id=f"O2.W1.S{at}", calls=tuple(calls))
    surprise = assess(seen).surprise
    if surprise is None:
        return None, workflow
    after = apply_edits(workflow, refine(seen.model_copy(update={"errors": (surprise,)})).edits)
    known = {"O1.W1.S1": "normalise", **{one.id: one.tool for one in steps if one.status == "done"}}
    assert check_workflow(after, {"prepared": "O1.W1.S1/dataset"}, known) == []
    return surprise, after


def tools(workflow: Workflow) -> list[str]:
    return [one.tool for one in workflow.steps]


def test_subjects_that_differ_in_their_slopes_are_observations_of_their_own() -> None:
    params = {"time": "day", "subject": "mouse", "method": "blocked"}
    steps = [
        step(1, "longitudinal_test", status="done", params=params),
        step(2, "plot_heatmap", "O2.W1.S1/longitudinal"),
    ]
    surprise, after = refined(steps, [call(1, "longitudinal_test", params, slope_heterogeneity=3.0)], 1)
    assert surprise == "slopes_differ"
    assert tools(after) == ["longitudinal_test", "longitudinal_test", "plot_heatmap"]
    assert after.steps[1].params["method"] == "slopes"
    assert after.steps[2].inputs["table"] == f"{after.steps[1].id}/longitudinal"
    assert {edit.trigger for edit in after.edits} == {"slopes_differ: O2.W1.S1.slope_heterogeneity"}


def test_subjects_with_one_slope_are_left_alone() -> None:
    steps = [step(1, "longitudinal_test", status="done")]
    assert (
        refined(steps, [call(1, "longitudinal_test", {"method": "blocked"}, slope_heterogeneity=1.1)], 1)[0]
        is None
    )


def test_findings_that_outliers_made_call_for_a_rank_test() -> None:
    steps = [
        step(1, "differential_abundance", status="done", params={"contrast": CONTRAST}),
        step(2, "differential_abundance", status="done", params={"contrast": CONTRAST}, publishes="rerun"),
    ]

    def with_left(n: int) -> tuple[str | None, Workflow]:
        calls = [
            call(1, "differential_abundance", {"contrast": CONTRAST}, n_significant=40, n_tested=900),
            call(2, "differential_abundance", {"contrast": CONTRAST}, n_significant=n, n_tested=900),
        ]
        return refined(steps, calls, 2)

    surprise, after = with_left(10)
    assert surprise == "made_by_outliers"
    assert tools(after)[-1] == "rank_test"
    assert with_left(35)[0] is None


def test_signs_that_disagree_call_for_robust_variances() -> None:
    steps = [
        step(1, "differential_abundance", status="done", params={"contrast": CONTRAST}),
        step(2, "rank_test", status="done", params={"contrast": CONTRAST}),
        step(3, "plot_heatmap", "O2.W1.S1/differential"),
    ]
    calls = [
        call(1, "differential_abundance", {"contrast": CONTRAST}, n_significant=4, n_tested=900),
        call(2, "rank_test", {"contrast": CONTRAST}, sign_disagreement=2),
    ]
    surprise, after = refined(steps, calls, 2)
    assert surprise == "sign_disagreement"
    assert tools(after)[2] == "differential_abundance"
    assert (after.steps[2].params["robust"], after.steps[2].publishes) == (True, "robust")


def test_peptides_of_no_named_protein_stay_peptides() -> None:
    steps = [step(1, "load_dataset", status="done", inputs={"data": "run/data"})]
    assert refined(steps, [call(1, "load_dataset", level="peptide", n_proteins_named=0)], 1)[0] is None
    assert refined(steps, [call(1, "load_dataset", level="peptide", n_proteins_named=9)], 1)[0] is not None


@pytest.mark.parametrize("level", ["peptide", "fragment"])
def test_peptides_are_rolled_up_and_everything_behind_reads_the_proteins(level: str) -> None:
    steps = [
        step(1, "load_dataset", status="done", inputs={"data": "run/data"}),
        step(2, "annotate_genes", inputs={"dataset": "O2.W1.S1/dataset"}),
        step(3, "profile_dataset", inputs={"dataset": "O2.W1.S2/dataset"}),
        step(4, "plot_missingness", inputs={"dataset": "O2.W1.S3/dataset"}),
    ]
    surprise, after = refined(steps, [call(1, "load_dataset", level=level)], 1)
    assert surprise == "peptide_level"
    assert after.steps[1].purpose.startswith(level)
    assert tools(after) == [
        "load_dataset",
        "summarise_peptides",
        "annotate_genes",
        "profile_dataset",
        "plot_missingness",
    ]
    read = [one.inputs["dataset"] for one in after.steps[1:]]
    assert read == ["O2.W1.S1/dataset", *(f"{one.id}/dataset" for one in after.steps[1:-1])]


@pytest.mark.parametrize(
    ("n", "unchanged_sd", "least"),
    [
        (400, None, 0.5),
        (400, 0.09, 0.2),
        (200, 0.38, 0.8),
        (200, 0.01, 0.1),
        (200, None, None),
        (0, 0.38, None),
    ],
)
def test_where_many_features_change_more_is_asked_than_the_unchanged_differ(
    n: int, unchanged_sd: float | None, least: float | None
) -> None:
    steps = [
        step(1, "differential_abundance", status="done", params={"contrast": CONTRAST}),
        step(2, "stability", params={"contrast": CONTRAST}),
    ]
    values = {"n_significant": n, "n_tested": 900, "unchanged_sd": unchanged_sd}
    surprise, after = refined(steps, [call(1, "differential_abundance", {"contrast": CONTRAST}, **values)], 1)
    if least is None:
        assert surprise != "many_significant"
        assert "lfc_min" not in str([one.params for one in after.steps])
        return
    assert surprise == "many_significant"
    assert tools(after) == ["differential_abundance", "differential_abundance", "stability"]
    assert [one.params.get("lfc_min") for one in after.steps] == [None, least, least]
    cited = "n_significant" if unchanged_sd is None else "unchanged_sd"
    assert {edit.trigger for edit in after.edits} == {f"many_significant: O2.W1.S1.{cited}"}
