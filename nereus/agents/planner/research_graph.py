"""The research graph: from a file to ranked hypotheses.

::

    begin -> select -> objective x1..2 (side by side) -> collect
    collect -(more)-> propose -> [gate_objectives -> amend] -> select
            -(data unusable)-> refuse -> END
            -(synthesis done)-> compose -> verify (one per context) -> judge -> [gate_report] -> report -> END

The first objective is always to read and understand the data, the second to prepare and judge the matrix, the last to
combine everything under one error rate. In between the policy proposes, chooses and re-ranks objectives from results.
At most two objectives run in one round, whatever the number of workers, so results do not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt

from nereus.agents.planner.approval import (
    ObjectivesAnswer,
    edited_objective,
    objectives_request,
    other_contrast,
    read_answer,
)
from nereus.agents.planner.evidence import in_order
from nereus.agents.planner.hypotheses import compose, judge
from nereus.agents.planner.objective_graph import build_objective_graph
from nereus.agents.planner.questions import FIXED_KINDS, TESTED, anything_tested
from nereus.agents.planner.recording import recorded
from nereus.agents.planner.services import Services
from nereus.agents.planner.state import RunState
from nereus.agents.planner.verification import contexts_to_verify, verify_context
from nereus.agents.policies.base import (
    DecisionContext,
    DecisionKind,
    ObjectiveDraft,
    ObjectivesChoice,
    ObjectivesProposal,
)
from nereus.memory.records import Objective, ObjectiveKind

GRAPH_VERSION = "2"
"""Part of a run's fingerprint: raise it whenever a change of the graph changes results."""

SYNTHESIS_STEPS = 2
"""Steps that are kept for stating the claims, beside one a tested objective: a run that its budget stops states them."""

ROUND_SIZE = 2
_AT_GATE = "at the approval gate"
"""How the outcome of an objective ends that a person took out: it used nothing of the budget."""
MAX_DEPTH = 2


def build_research_graph(checkpointer: Any) -> Any:
    """The compiled graph; `Services` is its runtime context."""
    return _research_graph().compile(checkpointer=checkpointer)


@cache
def _research_graph() -> StateGraph[RunState, Services]:
    """Nodes and edges, put together once a process: looking into every node costs more than compiling."""
    graph = StateGraph(RunState, context_schema=Services)
    graph.add_node("objective", build_objective_graph())
    for node in (begin, select, collect, propose, amend, refuse, compose, judge, report, verify_context):
        graph.add_node(node.__name__, recorded(node))
    for plain in (gate_objectives, verify, gate_report):
        graph.add_node(plain.__name__, plain)
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "select")
    graph.add_conditional_edges("select", _fan_out, ["objective", "compose"])
    graph.add_edge("objective", "collect")
    graph.add_conditional_edges("collect", _after_collect, ["refuse", "compose", "propose"])
    graph.add_conditional_edges("propose", _after_propose, ["gate_objectives", "select"])
    graph.add_edge("gate_objectives", "amend")
    graph.add_edge("amend", "select")
    graph.add_conditional_edges("compose", _fan_out_contexts, ["verify_context", "verify"])
    graph.add_edge("verify_context", "verify")
    graph.add_edge("verify", "judge")
    graph.add_conditional_edges("judge", _after_judge, ["gate_report", "report"])
    graph.add_edge("gate_report", "report")
    graph.add_edge("report", END)
    graph.add_edge("refuse", END)
    return graph


# ---------------------------------------------------------------------------------------------------------- rounds


def begin(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Open the run with its first objective: read and understand the data."""
    services = runtime.context
    services.emit("run_started", services.run_id, question=services.question)
    first = Objective(
        id="O0",
        kind=ObjectiveKind.DATA,
        statement="Read and understand the data",
        rationale="Everything is decided from the computed profile of the data.",
        priority=1.0,
    )
    services.repository.save_objectives(services.run_id, [first])
    return {
        "objectives": {"O0": first.model_dump(mode="json")},
        "round": 0,
        "proposals": 0,
        "status": "running",
    }


def select(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Choose the objectives of the next round, or the synthesis when nothing else is worth doing."""
    services = runtime.context
    objectives = _objectives(state, services)
    opened = [one for one in objectives.values() if one.status == "open"]
    ready = [one for one in opened if one.kind in (ObjectiveKind.DATA, ObjectiveKind.QUALITY)]
    stop = state.get("stop_reason", "") or state.get("outputs", {}).get("stop", "")
    if "synthesis" in state.get("outputs", {}):
        return {"selected": []}
    if ready:
        chosen = [ready[0].id]
    else:
        chosen = []
        started = sum(
            one.status != "open" and one.kind not in FIXED_KINDS and not one.outcome.endswith(_AT_GATE)
            for one in objectives.values()
        )
        room = int(state["limits"]["objectives"]) - started
        if room <= 0 and not stop:
            stop = "the budget of objectives is used up"
        if opened and not stop:
            answer = services.decide(
                DecisionKind.CHOOSE_OBJECTIVES,
                f"round {state['round'] + 1}",
                _context(state, services),
                ObjectivesChoice,
            )
            chosen = [one for one in answer.ids if objectives[one].status == "open"]
            chosen = chosen[: min(ROUND_SIZE, room)]
            if not chosen:
                stop = answer.reason
        if not chosen:
            return _start_synthesis(state, services, stop or "all objectives are closed")
    selected = {one: objectives[one].model_copy(update={"status": "running"}) for one in in_order(chosen)}
    for one in selected.values():
        services.repository.save_objectives(services.run_id, [one])
        services.emit("objective_selected", one.id, statement=one.statement, priority=one.priority)
    return {
        "selected": list(selected),
        "objectives": {one: objective.model_dump(mode="json") for one, objective in selected.items()},
        "round": state["round"] + 1,
    }


def _start_synthesis(state: RunState, services: Services, reason: str) -> dict[str, Any]:
    objectives = _objectives(state, services)
    update: dict[str, Any] = {
        "stop_reason": reason,
        "selected": [],
        "outputs": {"synthesis": ""},
        "objectives": {},
    }
    for one in objectives.values():
        if one.status == "open":
            left = one.model_copy(update={"status": "abandoned", "outcome": f"not pursued: {reason}"})
            services.repository.save_objectives(services.run_id, [left])
            services.emit("objective_closed", one.id, status="abandoned", reason=reason)
            update["objectives"][one.id] = left.model_dump(mode="json")
    if not anything_tested(objectives.values(), state.get("outputs", {})):
        return update
    last = Objective(
        id=f"O{len(objectives)}",
        kind=ObjectiveKind.SYNTHESIS,
        statement="Combine all tests under one error rate and state the claims",
        rationale="Every table that was tested counts, so errors are controlled over the whole run.",
        status="running",
        priority=1.0,
    )
    services.repository.save_objectives(services.run_id, [last])
    services.emit("objective_selected", last.id, statement=last.statement, priority=1.0)
    update["objectives"][last.id] = last.model_dump(mode="json")
    update["selected"] = [last.id]
    return update


def _fan_out(state: RunState) -> list[Send] | str:
    selected = state.get("selected", [])
    if not selected:
        return "compose"
    left = int(state["limits"]["steps"] - state.get("used", {}).get("steps", 0))
    kinds = {state["objectives"][one]["kind"] for one in selected}
    # Nothing is kept back from reading the data: without it there is nothing to state.
    if not kinds & {ObjectiveKind.DATA, ObjectiveKind.SYNTHESIS}:
        tested = sum(
            1 for one in state["objectives"].values() if one["kind"] in TESTED and one["status"] != "open"
        )
        left = max(0, left - SYNTHESIS_STEPS - tested)
    share = left // len(selected)
    return [
        Send(
            "objective",
            {
                "objective": state["objectives"][one],
                "run_objectives": state["objectives"],
                "run_calls": state.get("calls", {}),
                "run_outputs": state.get("outputs", {}),
                "steps_left": share,
                "workflow": None,
            },
        )
        for one in selected
    ]


def collect(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """After a round: give the children of the closed objectives their ids, in the order of their parents."""
    services = runtime.context
    update: dict[str, Any] = {"objectives": {}, "children": {}}
    known = _objectives(state, services)
    for parent in in_order(state.get("children", {})):
        for item in state["children"][parent]:
            draft = ObjectiveDraft.model_validate(item)
            if known[parent].depth < MAX_DEPTH and _same(draft, known.values()) is None:
                child = _open(draft, len(known), services, parent=known[parent])
                known[child.id] = child
                update["objectives"][child.id] = child.model_dump(mode="json")
        update["children"][parent] = []
    return update


def propose(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Ask for new objectives and new priorities, from the profile and from what was found."""
    services = runtime.context
    number = state.get("proposals", 0) + 1
    answer = services.decide(
        DecisionKind.PROPOSE_OBJECTIVES, f"proposal {number}", _context(state, services), ObjectivesProposal
    )
    objectives = _objectives(state, services)
    update: dict[str, Any] = {"objectives": {}, "proposals": number, "notices": []}
    for draft in answer.objectives:
        same = _same(draft, objectives.values())
        if same is not None:
            kept = ("statement", "contrast", "covariates", "rationale", "cites", "priority", "priority_parts")
            revised = {
                name: getattr(draft, name)
                for name in kept
                if name not in same.by_person and getattr(draft, name) != getattr(same, name)
            }
            if same.status == "open" and revised:
                ranked = same.model_copy(update=revised)
                services.repository.save_objectives(services.run_id, [ranked])
                services.emit(
                    "objective_refined",
                    same.id,
                    changed=sorted(revised),
                    before=same.priority,
                    after=ranked.priority,
                )
                objectives[same.id] = ranked
                update["objectives"][same.id] = ranked.model_dump(mode="json")
            continue
        fresh = _open(draft, len(objectives), services)
        objectives[fresh.id] = fresh
        update["objectives"][fresh.id] = fresh.model_dump(mode="json")
    for dropped in answer.dropped:
        services.emit("objective_dropped", dropped.subject, reason=dropped.reason)
        update["notices"].append(f"{dropped.verdict}: {dropped.subject} ({dropped.reason})")
        withdrawn = objectives.get(dropped.objective_id or "")
        if withdrawn is not None and withdrawn.status == "open":
            closed = withdrawn.model_copy(
                update={"status": "abandoned", "outcome": f"{dropped.verdict}: {dropped.reason}"}
            )
            services.repository.save_objectives(services.run_id, [closed])
            services.emit("objective_closed", closed.id, status="abandoned", reason=dropped.reason)
            update["objectives"][closed.id] = closed.model_dump(mode="json")
    return update


def gate_objectives(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Ask a person which of the open objectives to keep, change or add (`approval.ObjectivesAnswer`)."""
    services = runtime.context
    opened = [one for one in _objectives(state, services).values() if one.status == "open"]
    profile = services.profile(state.get("calls", {}), state.get("outputs", {}))
    return {"answer": interrupt(objectives_request(opened, state["proposals"], profile))}


def amend(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Carry out what a person answered about the open objectives."""
    services = runtime.context
    objectives = _objectives(state, services)
    answer = read_answer("objectives", state.get("answer"))
    if not isinstance(answer, ObjectivesAnswer):
        raise TypeError(f"the gate of objectives was answered with {type(answer).__name__}")
    changed: dict[str, Objective] = {}

    def close(one: Objective, why: str) -> None:
        changed[one.id] = one.model_copy(update={"status": "abandoned", "outcome": why})
        services.repository.save_objectives(services.run_id, [changed[one.id]])
        services.emit("objective_closed", one.id, status="abandoned", reason=why)

    for one in objectives.values():
        edit = answer.edit.get(one.id)
        if one.status != "open":
            continue
        if one.id in answer.drop or (not answer.approve and one.kind is not ObjectiveKind.QUALITY):
            close(one, f"dropped {_AT_GATE}")
        elif edit is not None and edit.contrast is not None:
            fresh = _open(
                other_contrast(one, edit), len(objectives) + len(set(changed) - set(objectives)), services
            )
            changed[fresh.id] = fresh
            close(one, f"replaced by {fresh.id} {_AT_GATE}")
        elif edit is not None:
            changed[one.id] = edited_objective(one, edit)
            services.repository.save_objectives(services.run_id, [changed[one.id]])
            services.emit(
                "objective_refined",
                one.id,
                changed=sorted(edit.model_dump(exclude_none=True)),
                before=one.priority,
                after=changed[one.id].priority,
                by="person",
            )
    for draft in answer.add if answer.approve else ():
        known = {**objectives, **changed}
        if _same(draft, (one for one in known.values() if one.status != "abandoned")) is None:
            fresh = _open(draft, len(known), services)
            changed[fresh.id] = fresh.model_copy(
                update={"by_person": ("priority", "covariates", "contrast", "statement")}
            )
    return {
        "objectives": {name: one.model_dump(mode="json") for name, one in changed.items()},
        "answer": None,
    }


def refuse(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """End a run whose data cannot be analysed, with the reason."""
    services = runtime.context
    reason = next(iter(state.get("notices", [])), "the data could not be read")
    services.emit("run_stopped", services.run_id, reason=reason)
    return {"status": "refused", "stop_reason": reason}


def _after_collect(state: RunState) -> str:
    if "profile" not in state.get("outputs", {}):
        return "refuse"
    return "compose" if "synthesis" in state["outputs"] else "propose"


def _after_propose(state: RunState) -> str:
    return "gate_objectives" if state["limits"].get("gate_objectives") else "select"


# ------------------------------------------------------------------------------------------------------ the ending


def _fan_out_contexts(state: RunState) -> list[Send] | str:
    contexts = contexts_to_verify(state)
    return [Send("verify_context", {"context": context, **state}) for context in contexts] or "verify"


def verify(state: RunState) -> dict[str, Any]:
    """Join of the verifications."""
    return {"selected": []}


def gate_report(state: RunState) -> dict[str, Any]:
    """Ask a person before the report is written."""
    interrupt({"gate": "report", "id": "report", "hypotheses": state["used"].get("hypotheses", 0)})
    return {"status": "approved"}


def report(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Keep what the report needs beside the records; the files are written by the caller from the finished record."""
    services = runtime.context
    services.repository.save_outputs(
        services.run_id, {k: v for k, v in state.get("outputs", {}).items() if v}
    )
    notices = list(state.get("notices", []))
    if state.get("used", {}).get("hypotheses", 0) >= state["limits"]["hypotheses"]:
        notices.append(
            "the budget of hypotheses is used up: every claim is in claims.csv, whether it became a hypothesis or not"
            " — raise it with --budget hypotheses=N"
        )
    services.repository.save_notices(services.run_id, notices)
    reason = state.get("stop_reason", "")
    services.emit("run_finished", services.run_id, reason=reason)
    return {"status": "stopped" if "stop" in state.get("outputs", {}) else "finished"}


def _after_judge(state: RunState) -> str:
    return "gate_report" if state["limits"].get("gate_report") else "report"


# --------------------------------------------------------------------------------------------------------- helpers


def _objectives(state: RunState, services: Services) -> dict[str, Objective]:
    return {name: services.parsed.objective(value) for name, value in state.get("objectives", {}).items()}


def _context(state: RunState, services: Services) -> DecisionContext:
    calls, outputs = state.get("calls", {}), state.get("outputs", {})
    owners = sorted({reference.partition("/")[0] for reference in outputs.values() if reference})
    profile = services.profile(calls, outputs)
    return DecisionContext(
        question=services.question,
        profile=profile,
        experience=services.experience.promise(str(profile.values.get("data_kind") or "")),
        objectives=tuple(_objectives(state, services).values()),
        calls=tuple(services.view(one, calls[one]) for one in owners if one in calls),
        memories=services.recall_similar("objectives", services.question or "") if services.question else (),
        run_outputs=outputs,
        limits=state["limits"],
    )


def _same(draft: ObjectiveDraft, known: Iterable[Objective]) -> Objective | None:
    for one in known:
        if (one.kind, one.variable, one.design, one.contrast is None) != (
            draft.kind,
            draft.variable,
            draft.design,
            draft.contrast is None,
        ):
            continue
        if one.contrast is None or draft.contrast is None or one.contrast.asks_the_same(draft.contrast):
            return one
    return None


def _open(
    draft: ObjectiveDraft, number: int, services: Services, parent: Objective | None = None
) -> Objective:
    objective = Objective(
        id=f"O{number}",
        kind=draft.kind,
        statement=draft.statement,
        contrast=draft.contrast,
        variable=draft.variable,
        design=draft.design,
        label=draft.label,
        covariates=draft.covariates,
        rationale=draft.rationale,
        cites=draft.cites,
        priority=draft.priority,
        priority_parts=draft.priority_parts,
        parent_id=parent.id if parent else None,
        depth=parent.depth + 1 if parent else 0,
    )
    services.repository.save_objectives(services.run_id, [objective])
    services.emit(
        "objective_proposed",
        objective.id,
        statement=objective.statement,
        priority=objective.priority,
        why=draft.rationale,
    )
    return objective
