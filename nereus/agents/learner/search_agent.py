"""The agent of planning domains that needs no model: it searches, and carries out what it found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from nereus.agents.learner.environments.base import ActionFailed, Call, Failure
from nereus.agents.learner.environments.operators import Operator, composed
from nereus.agents.learner.environments.planning import Domain, PlanningEnvironment, PlanningTask
from nereus.agents.learner.learning import Validation
from nereus.agents.learner.repair import as_macro
from nereus.agents.learner.running import Carried, LearnedRuntime
from nereus.agents.learner.search import Caps, Plan, search
from nereus.agents.learner.traces import Decision, Rollout, Trace, replayed
from nereus.errors import InputError
from nereus.memory.actions import Actions, ActionTest, LearnedAction, nearest

_LEAST_VALID = 0.5
MOST_ACTIONS = 12
"""Learned actions that a search is given: of more, those whose words are nearest to the goals."""


def operators_of(actions: Sequence[LearnedAction], domain: Domain) -> list[Operator]:
    """What can be searched with: actions whose steps are known, then the primitives."""
    found = []
    for action in actions:
        macro = as_macro(action)
        operator = composed(action.name, macro.steps, macro.kinds, domain.operators) if macro else None
        if operator is not None:
            found.append(replace(operator, loop=action.loop))
    return [*found, *domain.operators.values()]


def recalled(actions: Sequence[LearnedAction], goal: str) -> list[LearnedAction]:
    """What a search for a goal is given, in the order of the library: every action costs time in every state."""
    if len(actions) <= MOST_ACTIONS:
        return list(actions)
    near = {one.name for one, _ in nearest(actions, goal, MOST_ACTIONS)}
    return [one for one in actions if one.name in near]


class SearchAgent:
    """Plans by search and acts by the plan; learned actions run in the sandbox.

    Parameters
    ----------
    domain
        The domain.
    caps
        What a search may use; the same with a library and without.
    demonstrations
        The same where traces to learn from are looked for.
    decisions
        Longest rollout.
    record
        Where uses of kept actions are noted (`act`), so that those which fail are retired; None notes nothing.
    """

    def __init__(
        self,
        domain: Domain,
        caps: Caps | None = None,
        demonstrations: Caps | None = None,
        decisions: int = 30,
        estimate: str = "additive",
        record: Actions | None = None,
    ) -> None:
        self.plan_domain = domain
        self.domain = domain.name
        self.primitives = tuple(domain.operators)
        self.caps = caps or Caps()
        self.demonstrations = demonstrations or Caps(3000, 60000)
        self.decisions = decisions
        self.estimate = estimate
        self.record = record
        self.simulator_calls = 0
        self._runtime: LearnedRuntime | None = None

    def close(self) -> None:
        """End its sandbox."""
        if self._runtime is not None:
            self._runtime.__exit__(None, None, None)
            self._runtime = None

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
        plan = search(task, list(self.plan_domain.operators.values()), self.demonstrations, self.estimate)
        self.simulator_calls += plan.calls
        return plan.solved, replayed(task, plan.primitives)

    def rollout(self, task: PlanningTask, actions: Sequence[LearnedAction]) -> Rollout:
        """See `Agent`."""
        return self._acted(task, self._planned(task, actions), actions)[0]

    def act(self, task: PlanningTask) -> Rollout:
        """Solve a task with what is in use, and note how each action fared; one that fails is planned without, once.

        Raises
        ------
        InputError
            The agent has no record.
        """
        if self.record is None:
            raise InputError(
                "there is no record of actions", where="SearchAgent", mend="give one: SearchAgent(record=...)"
            )
        actions = self.record.usable(self.domain)
        done = self.rollout(task, actions)
        failed = {one.call.name for one in done.decisions if one.learned and not one.ok}
        for one in done.decisions:
            if one.learned:
                action = next(each for each in actions if each.name == one.call.name)
                self.record.tried(action, task.name, one.ok)
        if done.solved or not failed:
            return done
        return self.rollout(task, [one for one in actions if one.name not in failed])

    def _planned(self, task: PlanningTask, actions: Sequence[LearnedAction]) -> Plan:
        given = recalled(actions, self.goal(task))
        plan = search(task, operators_of(given, self.plan_domain), self.caps, self.estimate)
        self.simulator_calls += plan.calls
        return plan

    def _acted(
        self, task: PlanningTask, plan: Plan, actions: Sequence[LearnedAction]
    ) -> tuple[Rollout, list[tuple[Call, tuple[Call, ...], Carried]]]:
        environment = PlanningEnvironment(task)
        decisions: list[Decision] = []
        carried: list[tuple[Call, tuple[Call, ...], Carried]] = []
        for move in plan.decisions[: self.decisions]:
            if not move.learned:
                decisions.append(primitive_decision(environment, move.call))
                continue
            done = self._runtime_for(environment, actions).call(move.call.name, move.arguments)
            carried.append((move.call, move.primitives, done))
            decisions.append(learned_decision(move.call, done))
            if not done.ok:
                break
        return Rollout(task.name, environment.solved(), environment.progress(), tuple(decisions)), carried

    def _runtime_for(
        self, environment: PlanningEnvironment, actions: Sequence[LearnedAction]
    ) -> LearnedRuntime:
        if self._runtime is None:
            self._runtime = LearnedRuntime(environment, actions)
        if list(self._runtime.actions.values()) != list(actions):
            self._runtime.teach(actions, fresh=any(not one.steps for one in actions))
        self._runtime.enter(environment)
        return self._runtime

    def validate(self, tasks: Sequence[PlanningTask], actions: Sequence[LearnedAction]) -> Validation:
        """See `Agent`. Each call must lead to the state that its steps lead to, one primitive after the other."""
        rollouts: list[Rollout] = []
        tests: dict[str, list[ActionTest]] = {one.name: [] for one in actions}
        faults: dict[str, str] = {}
        solved = 0
        logs: list[float] = []
        for task in tasks:
            plain = search(task, list(self.plan_domain.operators.values()), self.caps, self.estimate)
            plan = self._planned(task, actions)
            rollout, carried = self._acted(task, plan, actions)
            rollouts.append(rollout)
            solved += plain.solved
            if plain.solved and plan.solved:
                logs.append(math.log(max(1, len(plan.decisions)) / max(1, len(plain.decisions))))
                logs.append(math.log(max(1, plan.calls) / max(1, plain.calls)))
            check = PlanningEnvironment(task)
            left = iter(carried)
            for move in plan.decisions[: self.decisions]:
                for call in move.primitives:
                    check.act(call)
                if not move.learned:
                    continue
                found = next(left, None)
                if found is None:
                    break
                expected, got = check.state_hash(), found[2].after
                ok = found[2].ok and got == expected
                test = ActionTest(task=task.name, call=str(move.call), expected=expected, ok=ok)
                tests[move.call.name].append(test)
                if not ok:
                    why = found[2].text if not found[2].ok else f"expected {expected[:12]}, got {got[:12]}"
                    faults.setdefault(move.call.name, f"{task.name}: {move.call}: {why}")
                    break  # what follows began from another state
        for name, one in tests.items():
            well = sum(test.ok for test in one)
            if name not in faults and not well:
                faults[name] = f"it was of no use in {len(tasks)} held-out tasks"
            elif well < _LEAST_VALID * len(one):
                faults.setdefault(name, f"{well} of {len(one)} calls went well")
        return Validation(
            rollouts=tuple(rollouts),
            tests={name: tuple(one) for name, one in tests.items()},
            solved=sum(one.solved for one in rollouts) / max(1, len(tasks)),
            baseline=solved / max(1, len(tasks)),
            cost=math.exp(sum(logs) / len(logs)) if logs else 1.0,
            faults=faults,
        )


def primitive_decision(environment: PlanningEnvironment, call: Call) -> Decision:
    """One primitive, carried out."""
    try:
        told = environment.act(call)
    except ActionFailed as error:
        return Decision(call, False, False, error.what, error.kind, error.missing)
    return Decision(call, False, True, told.text)


def learned_decision(call: Call, done: Carried) -> Decision:
    """What became of a learned action, as the agent sees it."""
    failure = done.failure or (None if done.ok else Failure.CODE)
    text = done.text if done.ok else f"not valid ({failure.value if failure else 'failed'}): {done.text}"
    return Decision(call, True, done.ok, text, failure, done.missing, done.inner, done.position)
