"""LearnAct as a graph: make libraries, try them, find what fails, revise, select on held-out tasks, and ask before use.

::

    collect_traces -> mine_or_create (x4) -> static_check -> rollout -> score -> pick_best -> localise_error
    localise_error -(a call failed, revisions left)-> revise (x4) -> static_check
    localise_error -(else)-> validate_held_out -> gate_activate* -> publish

The best library competes again with its revisions, so that none is lost. What is selected in the end is decided on
tasks that nothing was learned from, and an action becomes active only when it was carried out there with the result that
its steps have. Source: Zhao and others, "Empowering Large Language Model Agents through Action Learning" (COLM 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send, interrupt

from nereus.agents.learner.learning import EVALUATIONS, VARIANTS, Failing, LearnServices, Validation
from nereus.agents.learner.scoring import failing, score
from nereus.agents.learner.static_check import faults
from nereus.agents.learner.traces import Rollout
from nereus.errors import InputError
from nereus.memory.actions import UNATTENDED, LearnedAction

_SHOWN = 3
"""Faults of candidates that are told where nothing came of any."""


def merge(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Union; the later value wins, and None takes a key away."""
    return {name: value for name, value in {**left, **right}.items() if value is not None}


class LearnState(TypedDict, total=False):
    """State of `learn_graph`: small JSON only. Traces and rollouts live with the services."""

    t: int
    """Evaluations so far."""
    libraries: Annotated[dict[str, Any], merge]
    """Library -> its actions as JSON."""
    scores: Annotated[dict[str, float], merge]
    successes: Annotated[dict[str, float], merge]
    refused: Annotated[dict[str, Any], merge]
    """Library -> what the static check left out, and why."""
    best_id: str
    failing: dict[str, Any] | None
    curve: list[dict[str, float]]
    """One row an evaluation: score, success and decisions of the best library."""
    validation: dict[str, Any]
    accepted: list[str]
    published: list[str]
    notices: list[str]
    answer: Any


class _Variant(TypedDict):
    variant: int
    t: int
    libraries: dict[str, Any]
    best_id: str
    failing: dict[str, Any] | None


@dataclass
class LearnRun:
    """What the nodes of one learning share beside the state: traces and rollouts are objects, not JSON."""

    services: LearnServices
    traces: list[Any] = field(default_factory=list)
    rollouts: dict[str, list[Rollout]] = field(default_factory=dict)
    validations: dict[str, Validation] = field(default_factory=dict)


def build_learn_graph(checkpointer: Any = None) -> Any:
    """The compiled graph; its context is a `LearnRun`."""
    graph = StateGraph(LearnState, context_schema=LearnRun)
    graph.add_node("collect_traces", collect_traces)
    graph.add_node("mine_or_create", mine_or_create)
    for node in (
        static_check,
        rollout,
        score_libraries,
        pick_best,
        revise,
        validate_held_out,
        gate_activate,
        publish,
    ):
        graph.add_node(node.__name__, node)
    graph.add_node("localise_error", localise_error, destinations=("revise", "validate_held_out"))
    graph.add_edge(START, "collect_traces")
    graph.add_conditional_edges("collect_traces", _creations, ["mine_or_create"])
    graph.add_edge("mine_or_create", "static_check")
    graph.add_edge("static_check", "rollout")
    graph.add_edge("rollout", "score_libraries")
    graph.add_edge("score_libraries", "pick_best")
    graph.add_edge("pick_best", "localise_error")
    graph.add_edge("revise", "static_check")
    graph.add_edge("validate_held_out", "gate_activate")
    graph.add_edge("gate_activate", "publish")
    graph.add_edge("publish", END)
    return graph.compile(checkpointer=checkpointer)


# ---------------------------------------------------------------------------------------------------- creating


def collect_traces(state: LearnState, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """Act without learned actions; without a success there is nothing to mine."""
    run, services = runtime.context, runtime.context.services
    if len(services.training) < 2:
        raise InputError(
            f"there is {len(services.training)} training task"
            if services.training
            else "there is no training task",
            where="learner",
            mend="give two or more: what helps in one task only is no action",
        )
    outcomes = [services.agent.demonstrate(task) for task in services.training]
    run.traces = [trace for solved, trace in outcomes if solved]
    if not run.traces and services.author.id == "mining":
        raise InputError(
            f"0 of {len(services.training)} training tasks solved in {services.decisions} decisions; nothing to mine",
            where="learner",
            mend="raise the cap or give a demonstration",
        )
    share = sum(solved for solved, _ in outcomes) / len(outcomes)
    return {"t": 0, "curve": [], "notices": [f"demonstrations: {share:.2f} of the training tasks solved"]}


def _creations(state: LearnState) -> list[Send]:
    return [Send("mine_or_create", {"variant": number, "t": 0}) for number in range(VARIANTS)]


def mine_or_create(state: _Variant, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """One candidate library."""
    run, services = runtime.context, runtime.context.services
    number = state["variant"]
    made = services.author.create(number, run.traces, services.training, services.seed * 101 + number)
    return {"libraries": {f"L0.{number}": _json(made)}}


def static_check(state: LearnState, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """Leave out what is wrong at a look: forbidden names, objects of one task, names of primitives."""
    services = runtime.context.services
    objects = services.agent.objects(services.training)
    libraries: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for name, actions in sorted(state["libraries"].items()):
        kept, out = [], {}
        names = [one["name"] for one in actions]
        for one in actions:
            wrong = faults(one["source"], services.agent.primitives, objects, names)
            if wrong:
                out[one["name"]] = wrong
            else:
                kept.append(one)
        libraries[name] = kept
        if out:
            refused[name] = out
    return {"libraries": libraries, "refused": refused}


# ----------------------------------------------------------------------------------------------------- judging


def rollout(state: LearnState, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """Act with every library that was not tried yet, in every training task."""
    run, services = runtime.context, runtime.context.services
    for name, actions in sorted(state["libraries"].items()):
        if name not in run.rollouts:
            library = _actions(actions)
            run.rollouts[name] = (
                [services.agent.rollout(task, library) for task in services.training] if library else []
            )
    return {}


def score_libraries(state: LearnState, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """Score every library by its rollouts."""
    run = runtime.context
    names = sorted(state["libraries"])
    return {
        "scores": {name: round(score(run.rollouts[name]), 6) for name in names},
        "successes": {name: _success(run.rollouts[name]) for name in names},
        "t": state["t"] + 1,
    }


def pick_best(state: LearnState, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """The best library so far; of equal ones the older, so that a revision must be better to replace it."""
    run = runtime.context
    best = max(sorted(state["libraries"]), key=lambda name: state["scores"][name])
    done = run.rollouts[best]
    decisions = sum(len(one.decisions) for one in done) / max(1, len(done))
    row = {
        "evaluation": state["t"],
        "score": state["scores"][best],
        "success": state["successes"][best],
        "decisions": round(decisions, 4),
    }
    return {"best_id": best, "curve": [*state["curve"], row]}


def localise_error(state: LearnState, runtime: Runtime[LearnRun]) -> Command[str]:
    """The first failed call of a learned action, with what led to it and what happened inside."""
    run, services = runtime.context, runtime.context.services
    done = run.rollouts[state["best_id"]]
    place = failing(done)
    if place is None or state["t"] >= EVALUATIONS:
        return Command(update={"failing": None}, goto="validate_held_out")
    task, number = place
    decision = done[task].decisions[number]
    found = Failing(
        task=done[task].task,
        goal=services.agent.goal(services.training[task]),
        call=str(decision.call),
        text=decision.text,
        trace=tuple(f"{one.call}\n-> {one.text}" for one in done[task].decisions[:number]),
        subtrace=decision.inner,
    )
    told = {**vars(found), "trace": list(found.trace), "subtrace": list(found.subtrace)}
    sends = [
        Send(
            "revise",
            {
                "variant": number,
                "t": state["t"],
                "libraries": state["libraries"],
                "best_id": state["best_id"],
                "failing": told,
            },
        )
        for number in range(VARIANTS)
    ]
    return Command(update={"failing": told}, goto=sends)


def revise(state: _Variant, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """One revision of the best library, by changed code or by a note."""
    run, services = runtime.context, runtime.context.services
    best = state["best_id"]
    told = state["failing"] or {}
    found = Failing(**{**told, "trace": tuple(told["trace"]), "subtrace": tuple(told["subtrace"])})
    number = state["variant"]
    made = services.author.revise(
        _actions(state["libraries"][best]),
        run.rollouts[best],
        found,
        number,
        services.seed * 101 + 10 * state["t"] + number,
    )
    return {"libraries": {f"L{state['t']}.{number}": _json(made)}}


# ------------------------------------------------------------------------------------- selecting and publishing


def validate_held_out(state: LearnState, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """Select on tasks that nothing was learned from, and accept the actions that did there what they must."""
    run, services = runtime.context, runtime.context.services
    ranked = sorted(state["libraries"], key=lambda name: (-state["scores"][name], name))
    seen: set[str] = set()
    for name in ranked:
        library = _actions(state["libraries"][name])
        identity = "|".join(sorted(one.sha256 for one in library))
        if library and identity not in seen and len(run.validations) < VARIANTS:
            seen.add(identity)
            run.validations[name] = services.agent.validate(services.held_out, library)
    if not run.validations:
        why = [f"a candidate: {one.splitlines()[0]}" for one in services.author.faults[-_SHOWN:] if one]
        return {"accepted": [], "validation": {}, "notices": [*state["notices"], "no library is left", *why]}

    def held(name: str) -> tuple[float, float, float, str]:
        one = run.validations[name]
        return (-one.solved, one.cost, -state["scores"][name], name)

    best = min(run.validations, key=held)
    chosen = run.validations[best]
    accepted = [one["name"] for one in state["libraries"][best] if one["name"] not in chosen.faults]
    notices = [f"{name}: {why}" for name, why in sorted(chosen.faults.items())]
    if chosen.solved < chosen.baseline:
        share = f"{chosen.solved:.2f} of the held-out tasks were solved, without it {chosen.baseline:.2f}"
        notices.append(f"with the library {share}: nothing is accepted")
        accepted = []
    told = {
        name: {
            "solved": one.solved,
            "baseline": one.baseline,
            "cost": round(one.cost, 6),
            "faults": one.faults,
        }
        for name, one in run.validations.items()
    }
    return {
        "best_id": best,
        "accepted": accepted,
        "validation": told,
        "notices": [*state["notices"], *notices],
    }


def gate_activate(state: LearnState, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """Ask a person which of the accepted actions may be used; nothing else is done here."""
    services = runtime.context.services
    if services.approval == "never" or not state["accepted"]:
        return {"answer": True}
    shown = [one for one in state["libraries"][state["best_id"]] if one["name"] in state["accepted"]]
    asked = {
        "gate": "actions",
        "id": state["best_id"],
        "actions": [
            {"name": one["name"], "source": one["source"], "description": one["description"]} for one in shown
        ],
    }
    return {"answer": interrupt(asked)}


def publish(state: LearnState, runtime: Runtime[LearnRun]) -> dict[str, Any]:
    """Keep what was accepted; what a person approved becomes active, the rest stays validated."""
    run, services = runtime.context, runtime.context.services
    allowed = _allowed(state.get("answer"), state["accepted"])
    if services.repository is None or not state["accepted"]:
        return {"published": allowed}
    tests = run.validations[state["best_id"]].tests if state["best_id"] in run.validations else {}
    published: list[str] = []
    notices: list[str] = []
    for one in _actions(state["libraries"][state["best_id"]]):
        if one.name not in state["accepted"]:
            continue
        told = {
            **one.provenance,
            **services.provenance,
            "tasks": [services.agent.name(task) for task in services.training],
        }
        try:
            kept = services.repository.add(one.model_copy(update={"provenance": told}))
            if kept.status in ("revoked", "deprecated"):
                continue
            # What was kept before may have been learned from what is held out now.
            own = [test for test in tests.get(one.name, ()) if test.task not in kept.learned_from]
            kept = services.repository.validated(kept, own) if own else kept
            if one.name in allowed and kept.status in ("validated", "active"):
                by = UNATTENDED if services.approval == "never" else "person"
                services.repository.approve(one.name, by, kept.version)
                published.append(one.name)
        except InputError as error:
            notices.append(str(error))
    return {"published": published, "notices": [*state["notices"], *notices]}


def _allowed(answer: Any, accepted: list[str]) -> list[str]:
    if answer is True or (isinstance(answer, dict) and answer.get("approve") is True):
        return list(accepted)
    named = answer.get("approve") if isinstance(answer, dict) else answer
    return [one for one in accepted if isinstance(named, list | tuple) and one in named]


def _success(done: list[Rollout]) -> float:
    return round(sum(one.solved for one in done) / len(done), 6) if done else 0.0


def _json(actions: list[LearnedAction]) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in actions]


def _actions(documents: list[dict[str, Any]]) -> list[LearnedAction]:
    return [LearnedAction.model_validate(one) for one in documents]
