"""Greedy best-first search over primitives and learned actions: the agent of planning domains that needs no model.

Every arm of a comparison is searched alike: same estimates, same order, same caps. A learned action counts as one
decision; what it costs the simulator is every primitive in it. Whether an action is applicable is read from its
conditions, so that nothing that must fail is tried; and what may be decided in a state is put in order by what it would
change before any of it is simulated: what makes a fact that the way to the goals needs comes first, learned before
primitive, and as soon as one leads nearer the rest waits. Nothing is left out: the rest is tried where nothing else helps.

Where there are learned actions, two queues take turns (after Helmert 2006 and Roeger and Helmert 2010): one by the
estimate in decisions, learned ones too, one by the estimate in primitives. The first sees through what a macro undoes of
its own, but is misled by a macro that does more than is wanted; the second is not.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from nereus.agents.learner.environments.base import Argument, Call, Literal
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


Bindings = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Choice:
    """What can be decided in a state; not simulated yet."""

    operator: Operator
    bindings: Bindings
    """Under which it is applied one after the other: several for a loop."""
    preferred: bool
    """Whether it makes a fact that is wanted."""


def choices(
    task: PlanningTask, operators: Sequence[Operator], state: State, wanted: frozenset[Literal]
) -> list[Choice]:
    """What can be decided in a state, most promising first; nothing that must fail, nothing simulated.

    Parameters
    ----------
    operators
        Learned actions and primitives; where all else is equal, the former are tried first and the order is kept.
    wanted
        Facts that the cheapest ways to the goals make.

    Returns
    -------
    list of Choice
        Those that make a wanted fact first; of them those that make most goals, less those that they undo.
    """
    facts = task.facts(state)
    goal = set(task.goal)
    found: list[tuple[tuple[bool, int, bool, int, int], Choice]] = []
    for number, operator in enumerate(operators):
        for bindings in _rounds(task, operator, state, facts, goal):
            made, gone = set[Literal](), set[Literal]()
            for binding in bindings:
                made |= {ground(one, binding) for one in operator.added}
                gone |= {ground(one, binding) for one in operator.removed}
            gone = (gone & state) - made
            made -= state
            if not made and not gone:
                continue
            useful = len(made & wanted)
            net = len(gone & goal) - len(made & goal)
            key = (not useful, net, not operator.steps, -useful, number)
            found.append((key, Choice(operator, bindings, useful > 0)))
    found.sort(key=lambda one: one[0])
    return [one for _, one in found]


def _rounds(
    task: PlanningTask, operator: Operator, state: State, facts: Facts, goal: set[Literal]
) -> Iterator[Bindings]:
    """A loop runs over all objects of which one round is possible and reaches a goal that is still open."""
    if not operator.loop:
        yield from ((binding,) for binding in groundings(operator, task.world, state, facts))
        return
    varying = int(operator.loop[1:])
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for binding in groundings(operator, task.world, state, facts):
        if {ground(one, binding) for one in operator.added} & goal - state:
            groups.setdefault(binding[:varying] + binding[varying + 1 :], []).append(binding)
    yield from (tuple(one) for one in groups.values() if len(one) > 1)


def simulated(task: PlanningTask, choice: Choice, state: State) -> tuple[Bindings, State]:
    """The rounds that could be done one after the other, and the state after them."""
    done = []
    for binding in choice.bindings:
        if choice.operator.loop and missing(choice.operator, binding, state | task.constant_facts):
            continue
        state = apply(choice.operator, binding, state)
        done.append(binding)
    return tuple(done), state


def _move(operator: Operator, bindings: Bindings) -> Move:
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
    return _Search(task, operators, caps or Caps(), estimate).run()


class _Search:
    """One search: the queues, and what was simulated."""

    def __init__(self, task: PlanningTask, operators: Sequence[Operator], caps: Caps, estimate: str) -> None:
        self.begin = time.perf_counter()
        self.task, self.operators, self.caps = task, operators, caps
        self.judges = _judges(task, operators, estimate)
        self.queues: list[list[_Waiting]] = [[] for _ in self.judges]
        self.number = count()
        self.parents: dict[State, tuple[State, Operator, Bindings] | None] = {task.initial: None}
        self.tried: set[tuple[State, str, Bindings]] = set()
        self.expansions = self.calls = 0

    def run(self) -> Plan:
        if not self.task.unmet(self.task.initial):
            return self.ended(self.task.initial)
        self.add(self.task.initial, 0)
        turn = 0
        while any(self.queues) and self.expansions < self.caps.expansions:
            which = turn % len(self.queues)
            turn += 1
            if not self.queues[which]:
                continue
            entry = heapq.heappop(self.queues[which])
            if self.caps.decisions is not None and entry[2] >= self.caps.decisions:
                continue
            self.expansions += 1
            reached, stopped = self.expand(entry, which)
            if stopped:
                return self.ended(reached)
        return self.ended(None)

    def expand(self, entry: _Waiting, which: int) -> tuple[State | None, bool]:
        """Simulate until something is nearer; the state that solves the task, and whether the search is at its end."""
        near, stage, depth, _, state, wanted, rest = entry
        if rest is None:
            rest = choices(self.task, self.operators, state, wanted)
        position = 0
        while position < len(rest) and (rest[position].preferred or stage == _OTHERS):
            choice = rest[position]
            position += 1
            if (state, choice.operator.name, choice.bindings) in self.tried:
                continue
            self.tried.add((state, choice.operator.name, choice.bindings))
            done, after = simulated(self.task, choice, state)
            cost = choice.operator.length * len(done)
            if self.calls + cost > self.caps.calls:
                return None, True
            self.calls += cost
            if after in self.parents:
                continue
            self.parents[after] = (state, choice.operator, done)
            if not self.task.unmet(after):
                return after, True
            if self.add(after, depth + 1)[which] < near:
                break
        rest = rest[position:]
        if rest:
            stage = _AGAIN if rest[0].preferred else _OTHERS
            heapq.heappush(self.queues[which], (near, stage, depth, next(self.number), state, wanted, rest))
        return None, False

    def add(self, state: State, depth: int) -> list[int]:
        found = []
        number = next(self.number)
        for queue, judge in zip(self.queues, self.judges, strict=True):
            near, wanted = judge(state)
            found.append(near)
            heapq.heappush(queue, (near, _FIRST, depth, number, state, wanted, None))
        return found

    def ended(self, state: State | None) -> Plan:
        moves: list[Move] = []
        link = self.parents[state] if state is not None else None
        while link is not None:
            moves.append(_move(link[1], link[2]))
            link = self.parents[link[0]]
        seconds = time.perf_counter() - self.begin
        return Plan(state is not None, tuple(reversed(moves)), self.expansions, self.calls, seconds)


_FIRST, _AGAIN, _OTHERS = range(3)
"""A state's turn: for the first time, with more that is preferred, with nothing left but the others."""
_Waiting = tuple[int, int, int, int, State, frozenset[Literal], list[Choice] | None]
"""Estimate, turn, depth, number, state, wanted facts, what is still to be simulated."""
_Judge = Callable[[State], tuple[int, frozenset[Literal]]]


def _judges(task: PlanningTask, operators: Sequence[Operator], estimate: str) -> list[_Judge]:
    if estimate == "goals":
        return [lambda state: (task.unmet(state), frozenset(task.goal) - state)]
    found: list[_Judge] = []
    single = [one for one in operators if not one.loop]
    if any(one.steps for one in single):
        found.append(AdditiveEstimate(task, single).judged)
    return [*found, AdditiveEstimate(task).judged]
