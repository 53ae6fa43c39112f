"""One objective: plan a workflow, check it, run its steps, assess each, refine what is left, and close the objective.

::

    plan -> check -(wrong)-> plan ; -(uncertain)-> reason -> check ; -(fine)-> [gate_workflow -> amend_workflow] -> fill
    fill -> [gate_tool] -> execute -> assess
    assess -(next)-> fill ; -(surprise)-> refine -> check ; -(end)-> conclude -(again)-> plan ; -(closed)-> END

Gates are nodes of their own without side effects: LangGraph runs an interrupted node again on resume.
Every node may run again after a crash: steps, decisions and events are recorded under keys, so nothing is repeated.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from nereus.agents.planner.approval import (
    ToolAnswer,
    WorkflowAnswer,
    edited_workflow,
    read_answer,
    workflow_request,
)
from nereus.agents.planner.check import check_workflow, materialise, trim
from nereus.agents.planner.companions import options_of, owner
from nereus.agents.planner.editing import apply_edits
from nereus.agents.planner.escalation import Doubt, doubt, reasoned
from nereus.agents.planner.evidence import in_order
from nereus.agents.planner.learned_plans import note_use, planned_draft
from nereus.agents.planner.recording import recorded
from nereus.agents.planner.services import Services, explain
from nereus.agents.planner.state import ObjectiveReturn, ObjectiveState
from nereus.agents.policies.base import (
    DecisionContext,
    DecisionKind,
    ObjectiveAssessment,
    ParamsDraft,
    Refinement,
    StepAssessment,
)
from nereus.errors import BudgetExceeded, PlanError, on_one_line
from nereus.memory.records import (
    ArtifactKind,
    CallStatus,
    Objective,
    ObjectiveKind,
    PlannedStep,
    Workflow,
)
from nereus.tools import registry
from nereus.tools.base import Capability

MAX_PLAN_ATTEMPTS = 3
COSTLY_SECONDS = 60.0

# Results that the whole run builds on: objective kind -> output name -> well-known name. Test and set tables are shared
# under ``<objective id>:<output name>`` as well, for error control over the whole run.
WELL_KNOWN: dict[ObjectiveKind, dict[str, str]] = {
    ObjectiveKind.DATA: {"dataset": "loaded", "columns": "profile", "removed_rows": "removed_rows"},
    ObjectiveKind.QUALITY: {
        "dataset": "prepared",
        "scores": "scores",
        "variance": "variance",
        "screen": "screen",
        "batch": "batch",
        "checks": "quality_checks",
    },
    ObjectiveKind.SYNTHESIS: {"claims": "claims", "families": "families", "findings": "findings"},
}


def build_objective_graph() -> Any:
    """The compiled subgraph of one objective."""
    graph = StateGraph(ObjectiveState, context_schema=Services, output_schema=ObjectiveReturn)
    for node, ways in (
        (plan, ("check", "conclude")),
        (check, ("plan", "reason", "gate_workflow", "fill", "conclude")),
        (fill, ("gate_tool", "execute", "conclude")),
        (execute, ("assess", "conclude")),
        (assess, ("fill", "refine", "conclude")),
        (conclude, ("plan", END)),
    ):
        graph.add_node(node.__name__, recorded(node), destinations=ways)
    graph.add_node("reason", recorded(reason))
    graph.add_node("refine", recorded(refine))
    graph.add_node("amend_workflow", recorded(amend_workflow))
    for gate in (gate_workflow, gate_tool):
        graph.add_node(gate.__name__, gate)
    graph.add_edge(START, "plan")
    graph.add_edge("gate_workflow", "amend_workflow")
    graph.add_edge("amend_workflow", "fill")
    graph.add_edge("gate_tool", "execute")
    graph.add_edge("reason", "check")
    graph.add_edge("refine", "check")
    return graph.compile()


# ------------------------------------------------------------------------------------------------------ planning


def plan(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Ask for a workflow, with what was wrong with the previous one."""
    services = runtime.context
    objective = services.parsed.objective(state["objective"])
    number = state.get("workflow_number", 0) + (0 if state.get("plan_errors") else 1)
    attempt = state.get("plan_attempts", 0) + 1
    context = context_of(state, services)
    kind_of_data = str(context.profile.values.get("data_kind") or "")
    context = context.model_copy(
        update={
            "errors": tuple(state.get("plan_errors", ())),
            "memories": _memories(services, objective),
            "anticipated": tuple(sorted(services.experience.anticipated(kind_of_data, objective.kind.value))),
        }
    )
    draft = planned_draft(services, f"{objective.id}.W{number}#{attempt}", objective, context)
    workflow = materialise(draft, objective.id, number)
    return {
        "workflow": workflow.model_dump(mode="json"),
        "workflow_number": number,
        "plan_attempts": attempt,
        "cursor": 0,
        "refinements": 0,
        "route": "check",
    }


def check(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Static check; a wrong plan goes back with the list of errors, at most twice."""
    services = runtime.context
    workflow = services.parsed.workflow(state["workflow"])
    known = {step_id: services.call(key).spec.tool for step_id, key in _all_calls(state).items()}
    errors = check_workflow(workflow, state["run_outputs"], known)
    if errors:
        services.emit("plan_rejected", workflow.id, errors=errors, version=workflow.version)
        if workflow.version > 1 and state.get("unrefined"):
            notice = f"{workflow.id}: a refinement was refused and the plan stays as it was: {errors[0]}"
            return {"workflow": state["unrefined"], "unrefined": None, "notices": [notice], "route": "fill"}
        if state["plan_attempts"] >= MAX_PLAN_ATTEMPTS:
            return {
                "plan_errors": errors,
                "route": "conclude",
                "notices": [f"{workflow.id}: plan refused: {errors[0]}"],
            }
        return {"plan_errors": errors, "route": "plan"}
    if services.reason and workflow.version == 1 and state.get("reasoned") != workflow.id:
        found = _doubt(state, services, workflow)
        if found.uncertain:
            return {"reason": found.reason, "route": "reason"}
    trimmed = trim(workflow, state["steps_left"])
    update: dict[str, Any] = {"plan_errors": [], "plan_attempts": 0}
    if trimmed != workflow:
        reason = "the step budget does not allow the whole plan"
        services.emit("budget_warning", workflow.id, reason=reason)
        update |= {
            "notices": [f"{workflow.id}: {reason} — raise it with --budget steps=N"],
            "outputs": {"stop": reason},
            "workflow": trimmed.model_dump(mode="json"),
        }
        workflow = trimmed
    services.repository.save_workflow(services.run_id, workflow)
    services.emit(
        "workflow_planned" if workflow.version == 1 else "workflow_refined",
        workflow.id,
        objective=workflow.objective_id,
        template=workflow.template,
        version=workflow.version,
        steps=[[step.id, step.tool, step.purpose] for step in workflow.steps],
    )
    gate = services.approval == "always" and workflow.version == 1
    return {**update, "route": "gate_workflow" if gate else "fill"}


def reason(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Let the reasoner look for a better design of an uncertain or failing workflow, once."""
    services = runtime.context
    workflow = services.parsed.workflow(state["workflow"])
    found, told = reasoned(workflow, services, _all_calls(state), state["run_outputs"], state["reason"])
    return {
        "workflow": found.model_dump(mode="json"),
        "reasoned": workflow.id,
        "notices": [told] if told else [],
    }


def gate_workflow(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Ask a person whether the workflow may run, and how (`approval.WorkflowAnswer`)."""
    services = runtime.context
    workflow = services.parsed.workflow(state["workflow"])
    known = {step_id: services.call(key).spec.tool for step_id, key in _all_calls(state).items()}
    asked = workflow_request(workflow, state["objective"], _all_outputs(state), known)
    return {"answer": interrupt(asked)}


def amend_workflow(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Carry out what a person answered about the workflow; a refused one is left with a notice."""
    services = runtime.context
    workflow = services.parsed.workflow(state["workflow"])
    answer = read_answer("workflow", state.get("answer"))
    if not isinstance(answer, WorkflowAnswer) or not answer.approve:
        steps = tuple(
            s.model_copy(update={"status": "skipped", "note": "refused at the gate"}) for s in workflow.steps
        )
        return {
            "answer": None,
            "workflow": workflow.model_copy(update={"steps": steps}).model_dump(mode="json"),
            "cursor": len(steps),
            "notices": [f"{workflow.id} was refused at the approval gate"],
        }
    edited = edited_workflow(workflow, answer)
    if edited == workflow:
        return {"answer": None}
    # The budget was checked with the proposed steps; a person may have added some.
    edited = trim(edited, state["steps_left"])
    services.repository.save_workflow(services.run_id, edited)
    services.emit(
        "workflow_refined",
        edited.id,
        objective=edited.objective_id,
        template=edited.template,
        version=edited.version,
        steps=[[step.id, step.tool, step.purpose] for step in edited.steps],
        by="person",
    )
    return {
        "answer": None,
        "workflow": edited.model_dump(mode="json"),
        "notices": [f"{edited.id} was edited at the approval gate"],
    }


# ----------------------------------------------------------------------------------------------------- executing


def fill(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Fix the parameters of the next step from the actual results of its inputs."""
    services = runtime.context
    workflow = services.parsed.workflow(state["workflow"])
    cursor = state["cursor"]
    while cursor < len(workflow.steps) and workflow.steps[cursor].status != "planned":
        cursor += 1
    if cursor == len(workflow.steps):
        return {"cursor": cursor, "route": "conclude"}
    step = workflow.steps[cursor]
    lost = _lost_inputs(step, workflow, state)
    if lost:
        skipped = step.model_copy(update={"status": "skipped", "note": f"needs {lost}, which was not made"})
        return {"workflow": _with(workflow, cursor, skipped), "cursor": cursor, "route": "execute"}
    context = context_of(state, services, step_id=step.id)
    draft = services.decide_step(
        DecisionKind.FILL_PARAMS, f"{step.id}#{step.attempt}", context, ParamsDraft, step.tool
    )
    tool = registry.get(step.tool)
    given: dict[str, Any] = {}
    if step.tool == "load_dataset":
        given = options_of(owner(step.publishes) or "data", services.load, services.inputs)
    filled = step.model_copy(update={"params": {**draft.params, **step.params, **given}})
    long = services.seconds(step.tool, context.profile) > COSTLY_SECONDS
    risky = tool.capability in (Capability.NETWORK, Capability.EXEC) or long
    gate = services.approval == "always" or (services.approval == "costly" and risky)
    return {
        "workflow": _with(workflow, cursor, filled),
        "cursor": cursor,
        "route": "gate_tool" if gate else "execute",
    }


def gate_tool(state: ObjectiveState) -> dict[str, Any]:
    """Ask a person whether the step may run, and with which parameters (`approval.ToolAnswer`)."""
    workflow = Workflow.model_validate(state["workflow"])
    step = workflow.steps[state["cursor"]]
    answer = read_answer(
        "tool",
        interrupt(
            {
                "gate": "tool",
                "id": f"{step.id}#{step.attempt}",
                "tool": step.tool,
                "params": step.params,
                "purpose": step.purpose,
            }
        ),
    )
    if isinstance(answer, ToolAnswer) and answer.approve:
        if not answer.params:
            return {}
        changed = step.model_copy(
            update={"params": {**step.params, **answer.params}, "note": "parameters set at the gate"}
        )
        return {"workflow": _with(workflow, state["cursor"], changed)}
    refused = step.model_copy(update={"status": "skipped", "note": "refused at the gate"})
    return {
        "workflow": _with(workflow, state["cursor"], refused),
        "notices": [f"{step.id} was refused at the approval gate"],
    }


def execute(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Run the step under the cursor."""
    services = runtime.context
    workflow = services.parsed.workflow(state["workflow"])
    cursor = state["cursor"]
    if cursor >= len(workflow.steps) or workflow.steps[cursor].status != "planned":
        return {"route": "assess"}
    step = workflow.steps[cursor]
    try:
        profile = services.profile(_all_calls(state), state["run_outputs"])
        services.budget.reserve({}, "steps", 1, seconds=services.seconds(step.tool, profile))
        if state["steps_left"] < 1:
            raise BudgetExceeded("this objective's share of the step budget is used up", where="budget")
        call = services.execute(step, step.params, _all_calls(state), _all_outputs(state))
    except BudgetExceeded as error:
        services.emit("budget_warning", step.id, reason=error.what)
        return {"route": "conclude", "notices": [explain(error)], "outputs": {"stop": error.what}}
    except PlanError as error:
        failed = step.model_copy(update={"status": "failed", "note": explain(error)})
        services.emit("step_failed", step.id, tool=step.tool, error=str(error))
        return {
            "workflow": _with(workflow, cursor, failed),
            "route": "assess",
            "notices": [f"{step.id}: {explain(error)}"],
        }
    done = step.model_copy(
        update={"status": "done" if call.status is CallStatus.OK else "failed", "call_key": call.key}
    )
    return {
        "workflow": _with(workflow, cursor, done),
        "calls": {step.id: call.key},
        "used": {"steps": 1, "tool_calls": 1},
        "steps_left": state["steps_left"] - 1,
        "route": "assess",
    }


def assess(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Judge the step that just ran, and say where to go."""
    services = runtime.context
    workflow = services.parsed.workflow(state["workflow"])
    cursor = state["cursor"]
    if cursor >= len(workflow.steps) or workflow.steps[cursor].status == "skipped":
        return {"cursor": cursor + 1, "route": "fill"}
    step = workflow.steps[cursor]
    answer = services.decide_step(
        DecisionKind.ASSESS_STEP,
        f"{step.id}#{step.attempt}",
        context_of(state, services, step_id=step.id),
        StepAssessment,
        step.tool,
    )
    judged = step.model_copy(
        update={"verdict": answer.verdict, "note": "; ".join(answer.diagnostics) or step.note}
    )
    services.emit(
        "step_assessed",
        step.id,
        verdict=answer.verdict,
        diagnostics=list(answer.diagnostics),
        surprise=answer.surprise,
    )
    update: dict[str, Any] = {"surprise": answer.surprise or "", "route": "fill", "cursor": cursor + 1}
    if answer.verdict == "retry" and step.attempt <= services.budget.limits.retries:
        judged = judged.model_copy(
            update={
                "status": "planned",
                "attempt": step.attempt + 1,
                "params": {**step.params, **answer.params},
                "call_key": None,
            }
        )
        update["cursor"] = cursor
    elif step.status == "failed":
        update["notices"] = [f"{step.id} ({step.tool}) failed: {_failure(services, step)}"]
    workflow_json = _with(workflow, cursor, judged)
    update["workflow"] = workflow_json
    if answer.verdict == "fail":
        update["route"] = "conclude"
    elif (answer.surprise or answer.verdict in ("replace", "insert")) and _may_refine(state, services):
        update["route"] = "refine"
    update["outputs"] = _shared_outputs(services, judged, services.parsed.objective(state["objective"]))
    return update


def refine(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Edit the steps that have not run, because of a result. Executed steps never change."""
    services = runtime.context
    workflow = services.parsed.workflow(state["workflow"])
    number = state.get("refinements", 0) + 1
    context = context_of(
        state, services, step_id=workflow.steps[min(state["cursor"], len(workflow.steps)) - 1].id
    )
    answer = services.decide(
        DecisionKind.REFINE_WORKFLOW,
        f"{workflow.id}#{number}",
        context.model_copy(update={"errors": (state["surprise"],)}),
        Refinement,
    )
    refined = apply_edits(workflow, answer.edits)
    return {
        "workflow": refined.model_dump(mode="json"),
        "unrefined": state["workflow"],
        "refinements": number,
        "surprise": "",
        "used": {"refinements": 1},
    }


def conclude(state: ObjectiveState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Close the objective, give it another workflow, or leave children for the run to take up."""
    services = runtime.context
    objective = services.parsed.objective(state["objective"])
    workflow = services.parsed.workflow(state["workflow"])
    services.repository.save_workflow(services.run_id, workflow)
    stopped = "stop" in state.get("outputs", {})
    note_use(services, workflow, stopped)
    answer = services.decide(
        DecisionKind.ASSESS_OBJECTIVE,
        f"{objective.id}#{state['workflow_number']}",
        context_of(state, services),
        ObjectiveAssessment,
    )
    if (
        answer.verdict == "new_workflow"
        and state["workflow_number"] < 2
        and not stopped
        and not state.get("plan_errors")
    ):
        return {"route": "plan", "plan_attempts": 0}
    closed = objective.model_copy(
        update={
            "status": "abandoned" if answer.verdict == "abandon" else "done",
            "outcome": answer.summary,
            "cites": tuple(dict.fromkeys([*objective.cites, *answer.cites])),
        }
    )
    services.repository.save_objectives(services.run_id, [closed])
    services.emit("objective_closed", objective.id, status=closed.status)
    children = [] if stopped else [child.model_dump(mode="json") for child in answer.children]
    return {
        "objectives": {objective.id: closed.model_dump(mode="json")},
        "children": {objective.id: children} if children else {},
        "used": {"workflows": state["workflow_number"]},
        "route": END,
    }


# ------------------------------------------------------------------------------------------------------- helpers


def context_of(state: ObjectiveState, services: Services, step_id: str | None = None) -> DecisionContext:
    """What decisions about an objective are made on."""
    calls = _all_calls(state)
    workflow = services.parsed.workflow(state["workflow"]) if state.get("workflow") else None
    own = [step.id for step in workflow.steps if step.id in calls] if workflow else []
    shared = sorted({reference.partition("/")[0] for reference in state["run_outputs"].values()} - set(own))
    return DecisionContext(
        question=services.question,
        profile=services.profile(calls, state["run_outputs"]),
        objectives=tuple(
            services.parsed.objective(state["run_objectives"][one])
            for one in in_order(state["run_objectives"])
        ),
        objective=services.parsed.objective(state["objective"]),
        workflow=workflow,
        step_id=step_id,
        calls=tuple(services.view(one, calls[one]) for one in [*shared, *own] if one in calls),
        run_outputs=_all_outputs(state),
        limits={
            "steps": float(state["steps_left"]),
            "has_samples": float("samples" in services.inputs),
            **{f"has:{role}": 1.0 for role in services.inputs if role not in ("data", "samples")},
        },
    )


def _doubt(state: ObjectiveState, services: Services, workflow: Workflow) -> Doubt:
    objective = services.parsed.objective(state["objective"])
    kind_of_data = str(
        services.profile(_all_calls(state), state["run_outputs"]).values.get("data_kind") or ""
    )
    return doubt(
        workflow,
        services.experience,
        kind_of_data,
        objective.kind.value,
        number=state["workflow_number"],
        attempt=state.get("plan_attempts", 1),
    )


def _memories(services: Services, objective: Objective) -> tuple[Any, ...]:
    return services.recall_similar("workflows", objective.statement)


def _all_calls(state: ObjectiveState) -> dict[str, str]:
    return {**state["run_calls"], **state.get("calls", {})}


def _all_outputs(state: ObjectiveState) -> dict[str, str]:
    return {**state["run_outputs"], **state.get("outputs", {})}


def _with(workflow: Workflow, position: int, step: PlannedStep) -> dict[str, Any]:
    steps = [*workflow.steps]
    steps[position] = step
    return workflow.model_copy(update={"steps": tuple(steps)}).model_dump(mode="json")


def _lost_inputs(step: PlannedStep, workflow: Workflow, state: ObjectiveState) -> str:
    lost = {one.id for one in workflow.steps if one.status in ("failed", "skipped")}
    for reference in step.inputs.values():
        for one in reference.values() if isinstance(reference, dict) else [reference]:
            owner = one.partition("/")[0]
            if owner in lost:
                return owner
    return ""


def _failure(services: Services, step: PlannedStep) -> str:
    if step.call_key is None:
        return step.note
    return on_one_line(services.call(step.call_key).error or step.note)


def _may_refine(state: ObjectiveState, services: Services) -> bool:
    return state.get("refinements", 0) < services.budget.limits.refinements


def _shared_outputs(services: Services, step: PlannedStep, objective: Objective) -> dict[str, str]:
    """Register a finished step's results that the run builds on."""
    if step.status != "done" or step.call_key is None:
        return {}
    call = services.call(step.call_key)
    if owner(step.publishes):  # of the cohort or a layer: its newest data set
        return {step.publishes: f"{step.id}/dataset"} if "dataset" in call.outputs else {}
    if step.publishes:
        first = next(name for name, ref in call.outputs.items() if ref.kind is ArtifactKind.TABLE)
        return {f"{objective.id}:{step.publishes}": f"{step.id}/{first}"}
    well_known = WELL_KNOWN.get(objective.kind, {})
    shared = {well_known[name]: f"{step.id}/{name}" for name in call.outputs if name in well_known}
    return shared | {f"{objective.id}:{name}": f"{step.id}/{name}" for name in call.outputs}
