"""Which sets of proteins move together? A child of any question that tested every protein."""

from __future__ import annotations

from typing import Any

from nereus.agents.planner.questions import TESTED
from nereus.agents.policies.base import DecisionContext, ObjectiveAssessment, StepDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Calls, Inputs, Question
from nereus.memory.records import Objective, ObjectiveKind


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Both kinds of set tests over the parent's table, and a drawing."""
    parent = objective.parent_id or ""
    held = [one.main for one in TESTED.values() if f"{parent}:{one.main}" in context.run_outputs]
    data: Inputs = {
        "table": f"run/{parent}:{held[0]}" if held else "run/differential",
        "dataset": "run/prepared",
    }
    # What the table tests: from its residuals the correlation between members of a set is estimated.
    # A hazard has no residuals: there they are taken beside the follow-up time, which the correlation hardly feels.
    beside = objective.variable or objective.design.get("time")
    tested: dict[str, Any] = {"variable": beside, "covariates": list(objective.covariates)} if beside else {}
    sides: dict[str, Any] = {}
    if objective.contrast is not None:
        tested = {"contrast": objective.contrast.model_dump(mode="json")}
        sides = {} if objective.design else tested
    steps = (
        StepDraft(
            tool="enrichment_gsea",
            purpose="which sets of proteins move together, against the measured proteins as background?",
            inputs=data,
            params=tested,
        ),
        StepDraft(
            tool="enrichment_ora",
            purpose="which sets hold more of the significant proteins than chance gives?",
            inputs=data,
            publishes="over_represented",
        ),
        StepDraft(tool="plot_set_bars", purpose="draw the sets", inputs={"table": "#1/sets"}, params=sides),
    )
    return WorkflowDraft(
        template="sets", steps=steps, stop_rule="all collections of the organism were tested"
    )


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How many sets move."""
    call = calls.get("enrichment_gsea") or calls.get("enrichment_ora")
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="no collection of sets could be tested")
    if not call.complete and not call.values.get("n_significant"):
        return ObjectiveAssessment(
            verdict="done", summary="sets could not be tested in full; see the notice of the step"
        )
    return ObjectiveAssessment(
        verdict="done", summary=f"{{{{{call.step_id}.n_significant}}}} sets move", cites=(call.step_id,)
    )


QUESTION = Question(ObjectiveKind.PATHWAY, workflow, conclude, needs=("enrichment_gsea",))
