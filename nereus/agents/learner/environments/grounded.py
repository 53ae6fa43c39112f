"""All that can ever be done in a task, grounded once: facts are bits of a number, and an action is four such numbers.

What can ever become true follows from the primitives alone (a macro makes nothing that they do not), so that they are
grounded round by round, each round only where a fact of the last one is among the conditions, and macros once, at the
end. In a search every state is a number then: whether something can be done, what it would change, and the state after
it are a few operations on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

from nereus.agents.learner.environments.base import Literal
from nereus.agents.learner.environments.operators import Operator, ground, groundings
from nereus.agents.learner.environments.planning import PlanningTask

MOST_GROUNDINGS = 20_000
"""A macro that can be applied in more ways is not searched with."""


@dataclass(frozen=True, eq=False)
class GroundAction:
    """An operator with its objects. Conditions and effects are numbers whose bits are facts."""

    operator: Operator
    binding: tuple[str, ...]
    needs: int
    refuses: int
    adds: int
    removes: int
    needed: tuple[int, ...]
    """Numbers of the facts that it needs."""
    made: tuple[int, ...]
    """Numbers of the facts that it makes."""

    def possible(self, state: int) -> bool:
        """Whether it can be done in a state."""
        return state & self.needs == self.needs and not state & self.refuses

    def after(self, state: int) -> int:
        """The state after it."""
        return state & ~self.removes | self.adds


class GroundTask:
    """A task with everything that primitives and macros can ever do in it.

    Parameters
    ----------
    task
        The task.
    operators
        Primitives and macros, in any order.
    """

    def __init__(self, task: PlanningTask, operators: Sequence[Operator]) -> None:
        self.task = task
        self.literals: list[Literal] = []
        self._numbers: dict[Literal, int] = {}
        self._fixed = task.constant_facts
        self._changing = {literal[0] for one in operators for literal in (*one.added, *one.removed)} | {
            literal[0] for literal in task.initial
        }
        self._templates: dict[int, _Template] = {}
        self.initial = self.state_of(sorted(task.initial))
        facts = {name: list(one) for name, one in task.world.fixed.items()}
        for literal in sorted(task.initial):
            facts.setdefault(literal[0], []).append(literal)
        primitives = [one for one in operators if not one.steps]
        found: dict[int, list[GroundAction]] = {id(one): [] for one in operators}
        self._reach(primitives, facts, found)
        for operator in operators:
            if operator.steps:
                every = groundings(operator, task.world, frozenset(), facts)
                bindings = list(islice(every, MOST_GROUNDINGS + 1))
                if len(bindings) <= MOST_GROUNDINGS:
                    found[id(operator)] = [a for one in bindings if (a := self._action(operator, one))]
        self.actions = [
            action
            for one in operators
            for action in sorted(found[id(one)], key=lambda action: action.binding)
        ]
        """Operators in the order given, each with its objects in sorted order."""
        unreachable = any(one not in self._numbers and one not in self._fixed for one in task.goal)
        self.solvable = not unreachable
        self.goal = self.state_of(one for one in task.goal if one in self._numbers)
        self.goal_not = self.state_of(one for one in task.goal_not if one in self._numbers)

    def without_macros(self) -> GroundTask:
        """The same task with primitives alone."""
        found = copy(self)
        found.actions = [one for one in self.actions if not one.operator.steps]
        return found

    def _reach(
        self,
        primitives: Sequence[Operator],
        facts: dict[str, list[Literal]],
        found: dict[int, list[GroundAction]],
    ) -> None:
        seen: set[tuple[int, tuple[str, ...]]] = set()
        reached = set(self.task.initial)
        new: dict[str, list[Literal]] | None = None
        while new is None or new:
            made: set[Literal] = set()
            for operator in primitives:
                for binding in _newly(operator, self.task, facts, new):
                    if (id(operator), binding) in seen:
                        continue
                    seen.add((id(operator), binding))
                    action = self._action(operator, binding)
                    if action is not None:
                        found[id(operator)].append(action)
                        made |= {ground(one, binding) for one in operator.added}
            new = {}
            for literal in sorted(made - reached):
                facts.setdefault(literal[0], []).append(literal)
                new.setdefault(literal[0], []).append(literal)
            reached |= made

    def _action(self, operator: Operator, binding: tuple[str, ...]) -> GroundAction | None:
        """None where what never changes stands against it."""
        template = self._templates.get(id(operator))
        if template is None:
            template = self._templates[id(operator)] = _Template(operator, self._changing)
        values = (*binding, *template.constants)
        if any(_filled(one, values) in self._fixed for one in template.refused_for_good):
            return None
        needed = self._filled(template.needs, values)
        refused = self._filled(template.refuses, values)
        made = self._filled(template.adds, values)
        adds = _mask(made)
        removes = _mask(self._filled(template.removes, values)) & ~adds
        return GroundAction(operator, binding, _mask(needed), _mask(refused), adds, removes, needed, made)

    def _filled(self, patterns: Sequence[_Pattern], values: tuple[str, ...]) -> tuple[int, ...]:
        numbers = self._numbers
        found: dict[int, None] = {}
        for name, get in patterns:
            literal = (name, *get(values))
            number = numbers.get(literal)
            found[self.number(literal) if number is None else number] = None
        return tuple(found)

    def number(self, literal: Literal) -> int:
        """The bit of a fact."""
        found = self._numbers.get(literal)
        if found is None:
            found = self._numbers[literal] = len(self.literals)
            self.literals.append(literal)
        return found

    def state_of(self, literals: Iterable[Literal]) -> int:
        """A number whose bits are the facts."""
        return _mask(map(self.number, literals))

    def unmet(self, state: int) -> int:
        """Goals that do not hold."""
        if not self.solvable:
            return 1
        return (self.goal & ~state).bit_count() + (self.goal_not & state).bit_count()


_Pattern = tuple[str, Callable[[tuple[str, ...]], tuple[str, ...]]]
"""Predicate, and how its objects are taken from those of the operator."""


class _Template:
    """An operator's literals, ready to be filled with objects."""

    def __init__(self, operator: Operator, changing: Collection[str]) -> None:
        self.constants = tuple(sorted(operator.constants))
        size = len(operator.kinds)

        def pattern(literal: Literal) -> _Pattern:
            places = [
                int(one[1:]) if one[0] == "?" else size + self.constants.index(one) for one in literal[1:]
            ]
            if not places:
                return literal[0], lambda values: ()
            if len(places) == 1:
                (only,) = places
                return literal[0], lambda values: (values[only],)
            return literal[0], itemgetter(*places)

        self.needs = [pattern(one) for one in operator.positive if one[0] in changing]
        self.refuses = [pattern(one) for one in operator.negative if one[0] in changing]
        self.refused_for_good = [pattern(one) for one in operator.negative if one[0] not in changing]
        self.adds = [pattern(one) for one in operator.added]
        self.removes = [pattern(one) for one in operator.removed]


def _filled(pattern: _Pattern, values: tuple[str, ...]) -> Literal:
    return (pattern[0], *pattern[1](values))


def _mask(numbers: Iterable[int]) -> int:
    state = 0
    for one in numbers:
        state |= 1 << one
    return state


def bits(state: int) -> Iterator[int]:
    """Numbers of the facts of a state, smallest first."""
    while state:
        lowest = state & -state
        yield lowest.bit_length() - 1
        state ^= lowest


def _newly(
    operator: Operator,
    task: PlanningTask,
    facts: dict[str, list[Literal]],
    new: dict[str, list[Literal]] | None,
) -> Iterator[tuple[str, ...]]:
    """Objects under which an operator's conditions hold, one of them by a new fact; in the first round all."""
    if new is None:
        yield from groundings(operator, task.world, frozenset(), facts)
        return
    for place, literal in enumerate(operator.positive):
        if literal[0] in new:
            yield from groundings(operator, task.world, frozenset(), facts, (place, new[literal[0]]))
