"""Verification: the claims of each context are tested again under other choices that could have been made.

One context is one tested objective. Its checks are steps like any other (cached, recorded, re-executable) and form a
workflow of their own in the plan: another normalisation, without outlying samples, without the adjustment.
"""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from nereus.agents.planner.check import materialise, trim
from nereus.agents.planner.evidence import in_order
from nereus.agents.planner.questions import TESTED, Tested
from nereus.agents.planner.services import Services, explain
from nereus.agents.planner.state import RunState
from nereus.agents.policies.base import StepDraft, WorkflowDraft
from nereus.errors import PlanError
from nereus.memory.records import CallStatus, Objective, ObjectiveKind, PlannedStep
from nereus.tools import registry

FIGURES_A_CONTEXT = 4
REPETITIONS = ("n_permutations", "n_subsamples", "n_plantings")
"""Parameters of tests that measure their own null and stability: not measured again."""
DRAWN = ("protein", "gene", "site", "peptide", "population", "marker")
"""Entities that are features of the data set."""


class VerificationState(RunState):
    """The run's state and the context to verify."""

    context: str


def contexts_to_verify(state: RunState) -> list[str]:
    """Objectives with claims, in order."""
    found = []
    for one in in_order(state.get("objectives", {})):
        objective = Objective.model_validate(state["objectives"][one])
        asked = TESTED.get(objective.kind)
        if (
            asked
            and not asked.table_only
            and f"{one}:{asked.main}" in state.get("outputs", {})
            and state.get("claimed", {}).get(one)
        ):
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
    other = "median" if _normalised_by(services, state) == "stable_subset" else "stable_subset"
    draft, checks = _plan(objective, asked, first.spec.params, _to_draw(services, objective), other)
    if draft is None:
        return {}
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


def _normalised_by(services: Services, state: VerificationState) -> str:
    """How the data were normalised when they were prepared; empty where they were not."""
    prepared = {
        name for name, one in state["objectives"].items() if one["kind"] == ObjectiveKind.QUALITY.value
    }
    for step, key in state.get("calls", {}).items():
        if step.partition(".")[0] in prepared:
            spec = services.call(key).spec
            if spec.tool == "normalise" and "cohort" not in str(spec.inputs):
                return str(spec.params.get("method", ""))
    return ""


def _plan(
    objective: Objective,
    asked: Tested,
    params: dict[str, Any],
    features: list[str],
    normalisation: str = "stable_subset",
) -> tuple[WorkflowDraft | None, dict[int, str]]:
    """The steps, and which position is which check; None where nothing is left to check, as of an unadjusted module."""
    again = {name: 0 if name in REPETITIONS else value for name, value in params.items()}
    plan: list[StepDraft] = []
    checks: dict[int, str] = {}

    def add(tool: str, purpose: str, dataset: str, given: dict[str, Any], check: str = "") -> None:
        beside = asked.inputs_of(objective) if tool == asked.tool else {}
        plan.append(
            StepDraft(tool=tool, purpose=purpose, inputs={"dataset": dataset, **beside}, params=given)
        )
        if check:
            checks[len(plan)] = check

    if asked.renormalised:
        add("normalise", "normalise in another way", "run/prepared", {"method": normalisation})
        add(asked.tool, "test again after the other normalisation", "#1/dataset", again, "normalisation")
    plain = unadjusted(again)
    if plain is not None:
        add(asked.tool, "test again without the adjustment", "run/prepared", plain, "covariate")
    for feature in features if asked.figure else ():
        purpose, drawn = _drawing(objective, asked, params)
        given = {"feature": feature, **drawn}
        add(asked.figure, purpose, asked.data.format(id=objective.id), given, f"figure:{feature}")
    if not plan:
        return None, checks
    template = WorkflowDraft(
        template="verification", steps=tuple(plan), stop_rule="every check was carried out"
    )
    return template, checks


def _drawing(objective: Objective, asked: Tested, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Why an entity is drawn, and what the drawing tool needs beside its name."""
    if asked.figure != "plot_feature":
        fields = registry.get(asked.figure).params_model.model_fields
        return "draw it as it was tested", {name: value for name, value in params.items() if name in fields}
    if objective.contrast is not None:
        return "draw every subject's value", {"contrast": objective.contrast.model_dump(mode="json")}
    if objective.variable is not None:
        return "draw every subject's value", {"variable": objective.variable}
    return "draw every subject's value", drawn_by_design(objective.design)


def drawn_by_design(design: dict[str, str]) -> dict[str, Any]:
    """How `plot_feature` shows a question that is neither a contrast nor a variable.

    A course runs along its time, with a subject's points joined; crossed factors are drawn by the first one's levels.
    """
    if "time" in design:
        subject = {"subject": design["subject"]} if design.get("subject") else {}
        return {"variable": design["time"], **subject}
    if "factor" in design:
        return {"factor": design["factor"]}
    if "first" in design:
        return {"factor": design["first"]}
    return {}


def unadjusted(params: dict[str, Any]) -> dict[str, Any] | None:
    """The same test without covariates; None where there are none."""
    contrast = params.get("contrast")
    if contrast and contrast.get("covariates"):
        return {**params, "contrast": {**contrast, "covariates": []}}
    return {**params, "covariates": []} if params.get("covariates") else None


def _to_draw(services: Services, objective: Objective) -> list[str]:
    """Features of the first hypotheses about this context."""
    named = [
        one.claim.entities[0].id
        for one in services.repository.hypotheses(services.run_id)
        if one.grain == "entity"
        and one.claim.contrast.startswith(objective.about)
        and one.claim.relation
        in {TESTED[objective.kind].relation_of(objective), *TESTED[objective.kind].also.values()}
        and one.claim.entities[0].kind in DRAWN
    ]
    return list(dict.fromkeys(named))[:FIGURES_A_CONTEXT]
