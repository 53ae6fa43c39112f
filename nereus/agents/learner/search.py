"""Greedy best-first search over primitives and learned actions: the agent of planning domains that needs no model.

Every arm of a comparison is searched alike: same estimate, same order, same caps. A learned action counts as one
decision; what it costs the simulator is every primitive in it. Whether an action is applicable is read from its
conditions, so that nothing that must fail is tried.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from nereus.agents.learner.environments.base import Call
from nereus.agents.learner.environments.operators import Operator, State, apply, groundings
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
class Plan:
    """What a search found, and what it took."""

    solved: bool
    decisions: tuple[tuple[Operator, tuple[str, ...]], ...]
    expansions: int
    calls: int
    seconds: float

    @property
    def primitives(self) -> tuple[Call, ...]:
        """The plan step by step."""
        return tuple(one for operator, binding in self.decisions for one in unfolded(operator, binding))


def unfolded(operator: Operator, binding: Sequence[str]) -> tuple[Call, ...]:
    """Primitive calls of one application."""
    if not operator.steps:
        return (Call(operator.name, tuple(binding)),)
    return tuple(
        Call(step.name, tuple(binding[int(one[1:])] if one[0] == "?" else one for one in map(str, step.arguments)))
        for step in operator.steps
    )


def search(
    task: PlanningTask, operators: Sequence[Operator], caps: Caps | None = None, estimate: str = "goals"
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
    parents: dict[State, tuple[State, Operator, tuple[str, ...]] | None] = {first: None}
    depth = {first: 0}
    waiting: list[tuple[int, int, int, State]] = [(judged(first), 0, next(number), first)]
    expansions = calls = 0

    def ended(state: State | None) -> Plan:
        steps: list[tuple[Operator, tuple[str, ...]]] = []
        link = parents[state] if state is not None else None
        while link is not None:
            steps.append((link[1], link[2]))
            link = parents[link[0]]
        return Plan(state is not None, tuple(reversed(steps)), expansions, calls, time.perf_counter() - begin)

    if not task.unmet(first):
        return ended(first)
    while waiting and expansions < caps.expansions:
        _, _, _, state = heapq.heappop(waiting)
        if caps.decisions is not None and depth[state] >= caps.decisions:
            continue
        expansions += 1
        facts = task.facts(state)
        for operator in operators:
            for binding in groundings(operator, task.world, state, facts):
                if calls + operator.length > caps.calls:
                    return ended(None)
                calls += operator.length
                after = apply(operator, binding, state)
                if after in parents:
                    continue
                parents[after] = (state, operator, binding)
                depth[after] = depth[state] + 1
                if not task.unmet(after):
                    return ended(after)
                heapq.heappush(waiting, (judged(after), depth[after], next(number), after))
    return ended(None)
