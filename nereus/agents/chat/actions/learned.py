"""Learned actions: a question of a run is answered again by the pipeline that was learned for its kind, after a yes.

What was learned is code. It runs in the sandbox only, once it is approved, and there it says which steps it wants; the steps
are a follow-up, recorded and cited like every other. Whether it is active, unchanged and fits is looked at before and after.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nereus.agents.chat.actions.again import compared_with_before
from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.actions.entities import question_for
from nereus.agents.chat.desk import FollowUp
from nereus.agents.chat.turn import Cost, Outcome, Turn
from nereus.errors import InputError
from nereus.memory.actions import LearnedAction
from nereus.memory.records import Objective
from nereus.tools import registry
from nereus.tools.base import Capability


class LearnedArgs(Args):
    """Which action, and for which question."""

    name: str = Field(max_length=120)
    """Name of an active action of `list actions`."""
    about: str = Field(default="", max_length=300)
    """Groups or variable of the question, or its id such as O2; empty: the one talked about."""
    run: str = ""
    """Id of the run; empty: the one talked about."""


def _meant(turn: Turn, args: LearnedArgs) -> tuple[LearnedAction, Objective, str, dict[str, Any]]:
    """Action, question, run and arguments.

    Raises
    ------
    InputError
        It cannot be used here, or does not fit the question.
    """
    from nereus.agents.learner.pipelines import fits, signature, sources

    action = turn.desk.learned(args.name)
    if not action.plan:
        raise InputError(
            f"{action.name!r} acts on tasks of {action.domain!r}, and there are none in a conversation",
            mend="`nereus actions test` carries it out; actions of the domain omics can be used here",
        )
    run = turn.whole_run(args.run)
    objective, _, _ = question_for(turn, "", args.about, run)
    kind = str(action.plan.get("kind"))
    if kind != objective.kind.value:
        raise InputError(
            f"{action.name!r} answers {kind} questions, and {objective.id} is a {objective.kind.value} question",
            mend="name another question, such as O3; `plan` lists them",
        )
    found = turn.sources(run)
    where = found.output("profile")
    call = None if where is None else found.call(where[0])
    values = {} if call is None else dict(call.values)
    contrasts: list[dict[Any, Any]] = []
    if call is not None and "contrasts" in call.outputs:
        contrasts = turn.desk.table(call.outputs["contrasts"]).to_dict("records")
    roles = list(turn.desk.header(run).inputs)
    given = sources(objective, values, contrasts)
    if not fits(action, signature(objective, values, roles), given):
        raise InputError(
            f"{action.name!r} does not fit {objective.id} of run {run}: data or question differ from those it was learned from",
            mend=f"`nereus actions show {action.name}` says what must hold",
        )
    return action, objective, run, {name: given[name] for name, _ in action.parameters}


def _use(turn: Turn, args: LearnedArgs) -> Outcome:
    from nereus.agents.learner.pipeline_plans import PipelinePlanner

    action, objective, run, arguments = _meant(turn, args)
    turn.tell({"type": "progress", "text": f"planning with {action.name}"})
    planner = PipelinePlanner([action], turn.desk.settings.sandbox_grade)
    try:
        draft = planner.draft(action, arguments)
    finally:
        planner.close()
    unknown = [one.tool for one in draft.steps if one.tool not in registry.names()]
    risky = [one.tool for one in draft.steps if one.tool not in unknown and _reaches_out(one.tool)]
    planned = set(action.plan.get("tools", ()))
    if odd := [*unknown, *risky, *(one.tool for one in draft.steps if one.tool not in planned)]:
        raise InputError(
            f"its code asks for {odd[0]!r}, which is none of the tools that it was approved with",
            where=f"action {action.name!r}",
            mend=f"`nereus actions revoke {action.name}`",
        )
    follow = FollowUp(
        run_id=run,
        objective_id=objective.id,
        statement=f"{objective.about}, by the learned action {action.name}",
        action=action.name,
        steps=tuple(one.model_dump(mode="json") for one in draft.steps),
        rows=(turn.focus.entity,) if turn.focus.entity else (),
    )
    outcome = compared_with_before(turn, follow, objective, turn.focus.entity_name, [])
    turn.desk.used(action, outcome.run_id, not outcome.failed)
    return outcome.model_copy(update={"names": (*outcome.names, action.name)})


def _reaches_out(tool: str) -> bool:
    return registry.get(tool).capability in (Capability.NETWORK, Capability.EXEC)


def _use_cost(turn: Turn, args: LearnedArgs) -> Cost:
    action, objective, run, _ = _meant(turn, args)
    tools = ", ".join(dict.fromkeys(map(str, action.plan.get("tools", ()))))
    return Cost(
        ask=True,
        why=f"Run the learned action {action.name} (version {action.version}, {action.decided_by or 'nobody'} let it be used) "
        f"in the sandbox, to answer {objective.id} of run {run} by {tools}.",
    )


LEARNED = (
    Action(
        "use_action",
        "Answer a question of a run again by a learned action (see `list actions`): its code plans in the sandbox.",
        LearnedArgs,
        _use,
        _use_cost,
    ),
)
