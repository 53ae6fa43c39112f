"""Greedy best-first search over primitives and learned actions: the agent of planning domains that needs no model.

Every arm of a comparison is searched alike: same estimate, same order, same caps. A learned action counts as one
decision; what it costs the simulator is every primitive in it. Whether an action is applicable is read from its
conditions, so that nothing that must fail is tried.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from nereus.agents.learner.environments.base import Argument, Call
from nereus.agents.learner.environments.operators import (
    Facts,
    Operator,
    State,
    apply,
    ground,
    groundings,
    missing,
)
from nereus.agents.learner.environments.planning import PlanningTask
from nereus.agents.learner.environments.relaxed import AdditiveEstimate

ESTIMATES = ("goals", "additive")
"""``goals``: number of goals that do not hold. ``additive``: what each costs by itself, as if nothing were undone."""


@dataclass(frozen=True)
class Caps:
    """What a search may use."""

    expansions: int = 300
    calls: int = 3000
    """Primitive calls of the simulator; those inside learned actions count one by one."""
    decisions: int | None = None
    """Longest plan, in decisions."""


@dataclass(frozen=True)
class Move:
    """One decision of a plan: a primitive or a learned action with its arguments."""

    operator: Operator
    arguments: tuple[Argument, ...]
    primitives: tuple[Call, ...]

    @property
    def call(self) -> Call:
        """As it is called."""
        return Call(self.operator.name, self.arguments)

    @property
    def learned(self) -> bool:
        """Whether it is no primitive."""
        return bool(self.operator.steps)


@dataclass(frozen=True)
class Plan:
    """What a search found, and what it took."""

    solved: bool
    decisions: tuple[Move, ...]
    expansions: int
    calls: int
    seconds: float

    @property
    def primitives(self) -> tuple[Call, ...]:
        """The plan step by step."""
        return tuple(one for move in self.decisions for one in move.primitives)


def unfolded(operator: Operator, binding: Sequence[str]) -> tuple[Call, ...]:
    """Primitive calls of one application."""
    if not operator.steps:
        return (Call(operator.name, tuple(binding)),)
    return tuple(
        Call(
            step.name,
            tuple(binding[int(one[1:])] if one[0] == "?" else one for one in map(str, step.arguments)),
        )
        for step in operator.steps
    )


Successor = tuple[Operator, tuple[tuple[str, ...], ...], State, int]
"""Operator, the bindings under which it is applied one after the other, the state after it, and its primitive calls."""


def successors(task: PlanningTask, operators: Sequence[Operator], state: State) -> Iterator[Successor]:
    """What can be decided in a state, in a fixed order; nothing that must fail.

    A loop runs over all objects of which one round is possible and reaches a goal that is still open.
    """
    facts = task.facts(state)
    for operator in operators:
        if operator.loop:
            yield from _loops(task, operator, state, facts)
            continue
        for binding in groundings(operator, task.world, state, facts):
            yield operator, (binding,), apply(operator, binding, state), operator.length


def _loops(task: PlanningTask, operator: Operator, state: State, facts: Facts) -> Iterator[Successor]:
    varying = int(operator.loop[1:])
    goal = set(task.goal)
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for binding in groundings(operator, task.world, state, facts):
        made = {ground(one, binding) for one in operator.added}
        if made & goal - state:
            groups.setdefault(binding[:varying] + binding[varying + 1 :], []).append(binding)
    for rounds in groups.values():
        after, done = state, []
        for binding in rounds:
            if not missing(operator, binding, after | task.constant_facts):
                after = apply(operator, binding, after)
                done.append(binding)
        if len(done) > 1:
            yield operator, tuple(done), after, operator.length * len(done)


def _move(operator: Operator, bindings: tuple[tuple[str, ...], ...]) -> Move:
    primitives = tuple(call for binding in bindings for call in unfolded(operator, binding))
    arguments: tuple[Argument, ...] = bindings[0]
    if operator.loop:
        varying = int(operator.loop[1:])
        arguments = (
            *bindings[0][:varying],
            tuple(one[varying] for one in bindings),
            *bindings[0][varying + 1 :],
        )
    return Move(operator, arguments, primitives)


def search(
    task: PlanningTask, operators: Sequence[Operator], caps: Caps | None = None, estimate: str = "additive"
) -> Plan:
    """Look for a plan.

    Parameters
    ----------
    task
        The task.
    operators
        What may be decided: primitives and learned actions.
    caps
        What the search may use; the same for all that is compared.
    estimate
        One of `ESTIMATES`.

    Returns
    -------
    Plan
        With ``solved`` false where the caps ended the search or there is nothing left to try.
    """
    caps = caps or Caps()
    begin = time.perf_counter()
    judged: Callable[[State], int] = task.unmet if estimate == "goals" else AdditiveEstimate(task)
    number = count()
    first = task.initial
    parents: dict[State, tuple[State, Operator, tuple[tuple[str, ...], ...]] | None] = {first: None}
    depth = {first: 0}
    waiting: list[tuple[int, int, int, State]] = [(judged(first), 0, next(number), first)]
    expansions = calls = 0

    def ended(state: State | None) -> Plan:
        moves: list[Move] = []
        link = parents[state] if state is not None else None
        while link is not None:
            moves.append(_move(link[1], link[2]))
            link = parents[link[0]]
        return Plan(state is not None, tuple(reversed(moves)), expansions, calls, time.perf_counter() - begin)

    if not task.unmet(first):
        return ended(first)
    while waiting and expansions < caps.expansions:
        _, _, _, state = heapq.heappop(waiting)
        if caps.decisions is not None and depth[state] >= caps.decisions:
            continue
        expansions += 1
        for operator, bindings, after, cost in successors(task, operators, state):
            if calls + cost > caps.calls:
                return ended(None)
            calls += cost
            if after in parents:
                continue
            parents[after] = (state, operator, bindings)
            depth[after] = depth[state] + 1
            if not task.unmet(after):
                return ended(after)
            heapq.heappush(waiting, (judged(after), depth[after], next(number), after))
    return ended(None)
