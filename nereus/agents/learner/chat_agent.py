"""The agent that asks a chat model for one action at a time (Act style), with learned actions beside the primitives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nereus.agents.learner import chat_prompts
from nereus.agents.learner.chat_author import said_by
from nereus.agents.learner.environments.base import Argument, Call
from nereus.agents.learner.environments.operators import State
from nereus.agents.learner.environments.planning import Domain, PlanningEnvironment, PlanningTask
from nereus.agents.learner.learning import Validation
from nereus.agents.learner.running import Carried, LearnedRuntime
from nereus.agents.learner.search_agent import learned_decision, primitive_decision
from nereus.agents.learner.traces import Decision, Rollout, Trace, replayed
from nereus.memory.actions import ActionTest, LearnedAction

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_LINE = re.compile(r"([A-Za-z_]\w*)\s*\((.*)\)\s*;?\s*$")
_PIECE = re.compile(r"\[([^\]]*)\]|[^,\[\]]+")
_LEAST_VALID = 0.5
_LONGEST_LINE = 1000


class ChatAgent:
    """Asks a model for each decision.

    Parameters
    ----------
    model
        Any LangChain chat model.
    domain
        The domain.
    decisions
        Longest rollout.
    history
        Items of the past that it is shown.
    """

    def __init__(self, model: BaseChatModel, domain: Domain, decisions: int = 10, history: int = 20) -> None:
        self.model = model
        self.plan_domain = domain
        self.domain = domain.name
        self.primitives = tuple(domain.operators)
        self.decisions = decisions
        self.history = history
        self.faults: list[str] = []
        """Times that the model did not answer, for whoever looks."""

    def name(self, task: PlanningTask) -> str:
        """See `Agent`."""
        return task.name

    def goal(self, task: PlanningTask) -> str:
        """See `Agent`."""
        return PlanningEnvironment(task).goal_text()

    def objects(self, tasks: Sequence[PlanningTask]) -> frozenset[str]:
        """See `Agent`."""
        return frozenset(one for task in tasks for one in task.world.objects) - self.plan_domain.constants

    def demonstrate(self, task: PlanningTask) -> tuple[bool, Trace]:
        """See `Agent`."""
        done = self.rollout(task, ())
        return done.solved, replayed(task, [one.call for one in done.decisions if one.ok])

    def rollout(self, task: PlanningTask, actions: Sequence[LearnedAction]) -> Rollout:
        """See `Agent`."""
        return self._acted(task, actions)[0]

    def _acted(
        self, task: PlanningTask, actions: Sequence[LearnedAction]
    ) -> tuple[Rollout, list[tuple[Call, State, Carried]]]:
        environment = PlanningEnvironment(task)
        decisions: list[Decision] = []
        said: list[str] = []
        carried: list[tuple[Call, State, Carried]] = []
        with LearnedRuntime(environment, actions) as runtime:
            while len(decisions) < self.decisions and not environment.solved():
                asked = chat_prompts.acting(
                    self.plan_domain.primitives,
                    actions,
                    environment.goal_text(),
                    environment.state_text(),
                    said[-self.history :],
                )
                call = read_call(said_by(self.model, [("human", asked)], self.faults))
                if call is None:
                    said.append("(no action was named): not valid")
                    decisions.append(Decision(Call("nothing"), False, False, "the answer names no action"))
                    continue
                if call.name in runtime.actions:
                    before = environment.snapshot()
                    done = runtime.call(call.name, call.arguments)
                    decision = learned_decision(call, done)
                    carried.append((call, before, done))
                else:
                    decision = primitive_decision(environment, call)
                decisions.append(decision)
                said.append(f"{call}\n-> {decision.text}")
        return Rollout(task.name, environment.solved(), environment.progress(), tuple(decisions)), carried

    def validate(self, tasks: Sequence[PlanningTask], actions: Sequence[LearnedAction]) -> Validation:
        """See `Agent`. Each call is carried out again, last call first, in a sandbox that knows nothing of the others.

        From the same state the same call must lead to the same state: a function that goes by anything but its arguments
        and the state (how often it was called, what another one left) is no action.
        """
        rollouts: list[Rollout] = []
        tests: dict[str, list[ActionTest]] = {one.name: [] for one in actions}
        faults: dict[str, str] = {}
        plain = 0
        for task in tasks:
            plain += self.rollout(task, ()).solved
            rollout, carried = self._acted(task, actions)
            rollouts.append(rollout)
            again = PlanningEnvironment(task)
            with LearnedRuntime(again, actions) as runtime:
                for call, before, done in reversed(carried):
                    again.rollback(before)
                    got = runtime.call(call.name, call.arguments).after if done.ok else ""
                    same = done.ok and got == done.after
                    test = ActionTest(task=task.name, call=str(call), expected=done.after, ok=same)
                    tests[call.name].insert(0, test)
                    if done.ok and not same:
                        why = f"expected {done.after[:12]}, got {got[:12]}"
                        faults.setdefault(call.name, f"{task.name}: {call}: {why}")
        for name, made in tests.items():
            well = sum(test.ok for test in made)
            if name not in faults and not well:
                faults[name] = f"it was of no use in {len(tasks)} held-out tasks"
            elif well < _LEAST_VALID * len(made):
                faults.setdefault(name, f"{well} of {len(made)} calls went well")
        return Validation(
            tuple(rollouts),
            {name: tuple(one) for name, one in tests.items()},
            sum(one.solved for one in rollouts) / max(1, len(tasks)),
            plain / max(1, len(tasks)),
            faults=faults,
        )


def read_call(text: str) -> Call | None:
    r"""The last line that is a call; quotes around arguments are taken off.

    Examples
    --------
    >>> print(read_call("I will do this:\\nmove_all([a, b], 'c')"))
    move_all([a, b], c)
    """
    for line in reversed(text.strip().splitlines()):
        found = _LINE.search(line.strip().strip("`")) if len(line) <= _LONGEST_LINE else None
        if found is None:
            continue
        arguments: list[Argument] = []
        for piece in _PIECE.finditer(found[2]):
            if piece[1] is not None:
                arguments.append(tuple(_bare(one) for one in piece[1].split(",") if _bare(one)))
            elif _bare(piece[0]):
                arguments.append(_bare(piece[0]))
        return Call(found[1], tuple(arguments))
    return None


def _bare(text: str) -> str:
    return text.strip().strip("'\"").strip()
