"""Verification: the claims of each context are tested again under other choices that could have been made.

One context is one tested objective. Its checks are steps like any other (cached, recorded, re-executable) and form a
workflow of their own in the plan: another normalisation, without outlying samples, without the adjustment.
"""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from nereus.agents.planner.check import materialise, trim
from nereus.agents.planner.evidence import in_order
from nereus.agents.planner.questions import TESTED
from nereus.agents.planner.services import Services, explain
from nereus.agents.planner.state import RunState
from nereus.agents.policies.base import StepDraft, WorkflowDraft
from nereus.errors import PlanError
from nereus.memory.records import CallStatus, Objective, PlannedStep

FIGURES_A_CONTEXT = 4


class VerificationState(RunState):
    """The run's state and the context to verify."""

    context: str


def contexts_to_verify(state: RunState) -> list[str]:
    """Objectives with claims, in order."""
    found = []
    for one in in_order(state.get("objectives", {})):
        objective = Objective.model_validate(state["objectives"][one])
        asked = TESTED.get(objective.kind)
        if asked and f"{one}:{asked.main}" in state.get("outputs", {}) and state.get("claimed", {}).get(one):
            found.append(one)
    return found


def verify_context(state: VerificationState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Run the checks of one context."""
    services = runtime.context
    one: str = state["context"]
    objective = Objective.model_validate(state["objectives"][one])
    asked = TESTED[objective.kind]
    main = asked.main
    calls: dict[str, str] = dict(state.get("calls", {}))
    outputs: dict[str, str] = dict(state.get("outputs", {}))
    first = services.call(calls[outputs[f"{one}:{main}"].partition("/")[0]])
    allowed = int(state["limits"]["tool_calls"] - state.get("used", {}).get("tool_calls", 0)) // len(
        contexts_to_verify(state)
    )
    draft, checks = _plan(objective, asked.tool, first.spec.params, _to_draw(services, objective))
    number = 1 + max(int(step.split(".W")[1].split(".")[0]) for step in calls if step.startswith(f"{one}.W"))
    workflow = trim(materialise(draft, one, number), allowed)
    done: list[PlannedStep] = []
    update: dict[str, Any] = {"calls": {}, "outputs": {}, "used": {}, "notices": []}
    for position, step in enumerate(workflow.steps, start=1):
        if step.status == "skipped":
            done.append(step)
            continue
        try:
            call = services.execute(step, step.params, calls, outputs)
        except PlanError as error:
            done.append(step.model_copy(update={"status": "skipped", "note": explain(error)}))
            continue
        fine = call.status is CallStatus.OK
        done.append(
            step.model_copy(
                update={
                    "status": "done" if fine else "failed",
                    "call_key": call.key,
                    "verdict": "accept" if fine else "skip",
                }
            )
        )
        calls[step.id] = update["calls"][step.id] = call.key
        update["used"] = {"tool_calls": update["used"].get("tool_calls", 0) + 1}
        if fine and position in checks:
            made = main if main in call.outputs else next(iter(call.outputs))
            update["outputs"][f"{one}:check:{checks[position]}"] = f"{step.id}/{made}"
        if not fine:
            update["notices"].append(f"{step.id}: a check could not be carried out: {call.summary}")
    services.repository.save_workflow(services.run_id, workflow.model_copy(update={"steps": tuple(done)}))
    services.emit(
        "workflow_planned",
        workflow.id,
        objective=one,
        template="verification",
        version=1,
        steps=[[s.id, s.tool, s.purpose] for s in done],
    )
    return update


def _plan(
    objective: Objective, test: str, params: dict[str, Any], features: list[str]
) -> tuple[WorkflowDraft, dict[int, str]]:
    """The steps, and which position is which check."""
    steps = [
        StepDraft(
            tool="normalise",
            purpose="normalise in another way",
            inputs={"dataset": "run/prepared"},
            params={"method": "stable_subset"},
        ),
        StepDraft(
            tool=test,
            purpose="test again after the other normalisation",
            inputs={"dataset": "#1/dataset"},
            params=params,
        ),
    ]
    checks = {2: "normalisation"}
    plain = unadjusted(params)
    if plain is not None:
        steps.append(
            StepDraft(
                tool=test,
                purpose="test again without the adjustment",
                inputs={"dataset": "run/prepared"},
                params=plain,
            )
        )
        checks[len(steps)] = "covariate"
    drawn: dict[str, Any] = {"variable": objective.variable}
    if objective.contrast is not None:
        drawn = {"contrast": objective.contrast.model_dump(mode="json")}
    for feature in features:
        steps.append(
            StepDraft(
                tool="plot_feature",
                purpose="draw every subject's value",
                inputs={"dataset": "run/prepared"},
                params={"feature": feature, **drawn},
            )
        )
        checks[len(steps)] = f"figure:{feature}"
    return WorkflowDraft(
        template="verification", steps=tuple(steps), stop_rule="every check was carried out"
    ), checks


def unadjusted(params: dict[str, Any]) -> dict[str, Any] | None:
    """The same test without covariates; None where there are none."""
    contrast = params.get("contrast")
    if contrast and contrast.get("covariates"):
        return {**params, "contrast": {**contrast, "covariates": []}}
    return {**params, "covariates": []} if params.get("covariates") else None


def _to_draw(services: Services, objective: Objective) -> list[str]:
    """Features of the first hypotheses about this context."""
    about = objective.contrast.label if objective.contrast else objective.variable
    named = [
        one.claim.entities[0].id
        for one in services.repository.hypotheses(services.run_id)
        if one.grain == "entity" and one.claim.contrast == about and one.claim.entities[0].kind == "protein"
    ]
    return list(dict.fromkeys(named))[:FIGURES_A_CONTEXT]
