"""How far a state is from the goals where nothing is ever undone: the additive estimate (Bonet and Geffner 2001)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import islice

from nereus.agents.learner.environments.base import Literal
from nereus.agents.learner.environments.operators import Operator, State, ground, groundings
from nereus.agents.learner.environments.planning import PlanningTask

_FAR = 1_000_000
_MOST_GROUNDINGS = 20_000
"""An operator that can be applied in more ways is left out of the estimate (not of the search)."""


class AdditiveEstimate:
    """Sum over the goals of what each costs by itself, in decisions, ignoring what actions undo.

    Parameters
    ----------
    task
        The task.
    operators
        What a decision may be; the primitives where nothing is given. Each is grounded once, as far as it can ever
        become applicable. What a macro undoes of its own is no effect of it, so that an estimate over macros ignores
        less than one over primitives.
    """

    def __init__(self, task: PlanningTask, operators: Sequence[Operator] | None = None) -> None:
        operators = list(operators or task.domain.operators.values())
        self._numbers: dict[Literal, int] = {}
        self._goal = [self._number(one) for one in task.goal]
        reached = set(task.initial)
        seen: set[tuple[str, tuple[str, ...]]] = set()
        needs: list[list[int]] = []
        makes: list[list[int]] = []
        while True:
            facts = {**task.world.fixed}
            for one in sorted(reached):
                facts.setdefault(one[0], [])
                facts[one[0]] = [*facts[one[0]], one]
            new: set[Literal] = set()
            for operator in operators:
                limit = _MOST_GROUNDINGS + 1 if operator.steps else None
                found = list(islice(groundings(operator, task.world, frozenset(), facts), limit))
                if operator.steps and len(found) > _MOST_GROUNDINGS:
                    continue
                for binding in found:
                    if (operator.name, binding) in seen:
                        continue
                    seen.add((operator.name, binding))
                    conditions = [ground(one, binding) for one in operator.positive]
                    needs.append([self._number(one) for one in conditions if one[0] not in task.world.fixed])
                    effects = [ground(one, binding) for one in operator.added]
                    makes.append([self._number(one) for one in effects])
                    new |= set(effects)
            if new <= reached:
                break
            reached |= new
        self._makes = makes
        self._needs = needs
        self._literals = list(self._numbers)
        self._wanted = [len(one) for one in needs]
        self._users: list[list[int]] = [[] for _ in self._numbers]
        for action, conditions_of in enumerate(needs):
            for fact in conditions_of:
                self._users[fact].append(action)
        self._always = [action for action, count in enumerate(self._wanted) if not count]

    def _number(self, literal: Literal) -> int:
        return self._numbers.setdefault(literal, len(self._numbers))

    def __call__(self, state: State) -> int:
        """The estimate; very large where a goal cannot be reached even so."""
        return self.judged(state)[0]

    def judged(self, state: State) -> tuple[int, frozenset[Literal]]:
        """The estimate, and the facts that the cheapest ways to the goals make: those worth making now."""
        cost = [_FAR] * len(self._numbers)
        by = [-1] * len(cost)
        waiting = list(self._wanted)
        price = [1] * len(waiting)
        queue: list[tuple[int, int]] = []
        for one in state:
            number = self._numbers.get(one)
            if number is not None:
                cost[number] = 0
                queue.append((0, number))
        for action in self._always:
            for made in self._makes[action]:
                if cost[made] > 1:
                    cost[made] = 1
                    by[made] = action
                    queue.append((1, made))
        heapq.heapify(queue)
        open_goals = set(self._goal)
        while queue:
            now, fact = heapq.heappop(queue)
            if now > cost[fact]:
                continue
            open_goals.discard(fact)
            if not open_goals:
                break
            for action in self._users[fact]:
                waiting[action] -= 1
                price[action] += now
                if not waiting[action]:
                    for made in self._makes[action]:
                        if price[action] < cost[made]:
                            cost[made] = price[action]
                            by[made] = action
                            heapq.heappush(queue, (price[action], made))
        wanted: set[int] = set()
        left = [one for one in self._goal if cost[one]]
        while left:
            fact = left.pop()
            if fact in wanted:
                continue
            wanted.add(fact)
            if by[fact] >= 0:
                left += [one for one in self._needs[by[fact]] if cost[one]]
        return sum(cost[one] for one in self._goal), frozenset(self._literals[one] for one in wanted)
