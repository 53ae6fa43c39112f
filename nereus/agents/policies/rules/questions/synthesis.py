"""Combine all tests under one error rate and state the claims: always the last question, opened by the graph."""

from __future__ import annotations

from typing import Any

from nereus.agents.planner.questions import TESTED, families
from nereus.agents.planner.relations import RELATIONS
from nereus.agents.policies.base import DecisionContext, ObjectiveAssessment, StepDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Calls, Inputs, Question
from nereus.memory.records import Objective, ObjectiveKind


def volcano_sides(objective: Objective) -> dict[str, Any]:
    """How the axis of a volcano plot is named."""
    relation = RELATIONS[TESTED[objective.kind].relation_of(objective)]
    if relation.name == "abundance" and objective.contrast is not None:
        return {"contrast": objective.contrast.model_dump(mode="json")}
    if relation.name == "association":
        return {"variable": objective.variable}
    return {"axis": f"{relation.axis}: {objective.about}"}


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """One error rate, the claims of each question, all claims, and drawings last."""
    outputs = context.run_outputs
    tables = {}
    for one in context.objectives:
        for output, family in families(one).items():
            if f"{one.id}:{output}" in outputs:
                tables[f"{one.id} {family}"] = f"run/{one.id}:{output}"
    steps = [
        StepDraft(
            tool="run_wide_fdr",
            purpose="one error rate over every table that was tested in this run",
            inputs={"tables": tables},
            params={"questions": {family: family.partition(" ")[0] for family in tables}},
        )
    ]
    parts: dict[str, str] = {}
    tested: list[tuple[Objective, str]] = []
    for one in context.objectives:
        asked = TESTED.get(one.kind)
        if asked is None or f"{one.id}:{asked.main}" not in outputs:
            continue
        main = asked.main
        inputs: Inputs = {"findings": "#1/findings", "differential": f"run/{one.id}:{main}"}
        for extra in ("detection", "stability", "confidence", "rank", "rerun"):
            if f"{one.id}:{extra}" in outputs:
                inputs[extra] = f"run/{one.id}:{extra}"
        if asked.own_checks:
            inputs["stability"] = inputs["differential"]
        params: dict[str, Any] = {
            "contrast": one.about,
            "abundance_family": f"{one.id} {asked.relation_of(one)}",
            "kind": asked.relation_of(one),
            "prefix": one.id,
        }
        if "detection" in inputs:
            params["detection_family"] = f"{one.id} detection"
        steps.append(
            StepDraft(
                tool="compose_claims",
                purpose=f"what holds of {one.id} at the run's error level",
                inputs=inputs,
                params=params,
            )
        )
        parts[one.id] = f"#{len(steps)}/claims"
        tested.append((one, main))
    steps.append(
        StepDraft(
            tool="gather_claims", purpose="every claim of the run in one table", inputs={"tables": parts}
        )
    )
    for one, main in tested:  # drawings last: they are what a short budget leaves out
        drawn = volcano_sides(one)
        steps.append(
            StepDraft(
                tool="plot_volcano",
                purpose="draw effect against significance, with what is claimed",
                inputs={"table": f"run/{one.id}:{main}", "claims": parts[one.id]},
                params=drawn,
            )
        )
    return WorkflowDraft(template="synthesis", steps=tuple(steps), stop_rule="all claims are stated")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """Nothing to say beyond its tables."""
    return ObjectiveAssessment(verdict="done", summary="done")


QUESTION = Question(
    ObjectiveKind.SYNTHESIS,
    workflow,
    conclude,
    needs=("run_wide_fdr", "compose_claims", "gather_claims"),
    essential=("run_wide_fdr",),
)
