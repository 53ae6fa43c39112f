"""Greedy best-first search over primitives and learned actions: the agent of planning domains that needs no model.

Every arm of a comparison is searched alike, under the same caps. A learned action counts as one decision; what it costs
the simulator is every primitive in it. Whether an action is applicable is read from its conditions, so that nothing that
must fail is tried; and what may be decided in a state is put in order by what it would change before any of it is
simulated: what makes a fact that the way to the goals needs comes first, learned before primitive, and as soon as one
leads nearer the rest waits. Nothing is left out: the rest is tried where nothing else helps.

With learned actions a state is judged by the plan that would be left if nothing were undone, learned ones in it. That sees
through what a macro undoes of its own, but is misled by a macro that does more than is wanted. So where nothing came
nearer for a while a second queue is opened, judged in primitives alone, and the two take turns (after Helmert 2006 and
Roeger and Helmert 2010); and of the caps a third is kept for primitives alone, where all that found nothing: what they
solve with so much is solved with learned actions, too.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from nereus.agents.learner.environments.base import Argument, Call
from nereus.agents.learner.environments.grounded import GroundAction, GroundTask
from nereus.agents.learner.environments.operators import Operator
from nereus.agents.learner.environments.planning import PlanningTask
from nereus.agents.learner.environments.relaxed import RelaxedEstimate

ESTIMATES = ("goals", "additive")
"""``goals``: number of goals that do not hold. ``additive``: what each costs by itself, as if nothing were undone; with
macros, first the decisions of one plan for all."""


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
    """Processor time of this thread: on a quiet machine all the time that it took."""

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

    actions: tuple[GroundAction, ...]
    """One; of a loop several, done one after the other."""
    preferred: bool
    """Whether it makes a fact that is wanted."""

    @property
    def operator(self) -> Operator:
        """What is decided."""
        return self.actions[0].operator

    @property
    def bindings(self) -> Bindings:
        """With which objects."""
        return tuple(one.binding for one in self.actions)


def choices(ground: GroundTask, state: int, wanted: int) -> list[Choice]:
    """What can be decided in a state, most promising first; nothing that must fail, nothing simulated.

    Parameters
    ----------
    ground
        The task with all that can be done in it; where all else is equal, learned actions are tried first and its order
        is kept.
    wanted
        Facts that the cheapest ways to the goals make.

    Returns
    -------
    list of Choice
        Those that make a wanted fact first; of them those that make most goals, less those that they undo.
    """
    goal = ground.goal
    found: list[tuple[tuple[bool, int, bool, int], Choice]] = []
    loops: dict[tuple[str, tuple[str, ...]], list[GroundAction]] = {}
    for action in ground.actions:
        if state & action.needs != action.needs or state & action.refuses:
            continue
        operator = action.operator
        if operator.loop:
            # A loop runs over all objects of which one round is possible and reaches a goal that is still open.
            if action.adds & goal & ~state:
                varying = int(operator.loop[1:])
                rest = action.binding[:varying] + action.binding[varying + 1 :]
                loops.setdefault((operator.name, rest), []).append(action)
            continue
        made, gone = action.adds & ~state, action.removes & state
        if made or gone:
            found.append((_key(made, gone, goal, wanted, operator), Choice((action,), bool(made & wanted))))
    for rounds in loops.values():
        if len(rounds) > 1:
            made = gone = 0
            for action in rounds:
                made, gone = made | action.adds, gone | action.removes
            gone, made = gone & state & ~made, made & ~state
            key = _key(made, gone, goal, wanted, rounds[0].operator)
            found.append((key, Choice(tuple(rounds), bool(made & wanted))))
    found.sort(key=lambda one: one[0])
    return [one for _, one in found]


def _key(made: int, gone: int, goal: int, wanted: int, operator: Operator) -> tuple[bool, int, bool, int]:
    useful = (made & wanted).bit_count()
    return (not useful, (gone & goal).bit_count() - (made & goal).bit_count(), not operator.steps, -useful)


def simulated(choice: Choice, state: int) -> tuple[tuple[GroundAction, ...], int]:
    """The rounds that could be done one after the other, and the state after them."""
    done = []
    for action in choice.actions:
        if action.possible(state):
            state = action.after(state)
            done.append(action)
    return tuple(done), state


def _move(done: tuple[GroundAction, ...]) -> Move:
    operator, bindings = done[0].operator, tuple(one.binding for one in done)
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
    begin = time.thread_time()
    caps = caps or Caps()
    ground = GroundTask(task, operators)
    if not any(one.operator.steps for one in ground.actions):
        return _Search(ground, caps, estimate).run(begin)
    most = replace(caps, expansions=int(caps.expansions * _SHARE), calls=int(caps.calls * _SHARE))
    first = _Search(ground, most, estimate).run(begin)
    if first.solved:
        return first
    rest = replace(caps, expansions=caps.expansions - first.expansions, calls=caps.calls - first.calls)
    second = _Search(ground.without_macros(), rest, estimate).run(begin)
    return replace(second, expansions=first.expansions + second.expansions, calls=first.calls + second.calls)


_SHARE = 2 / 3
"""Of the caps for a search with learned actions; where it finds nothing, primitives alone have the rest."""
_PATIENCE = 8
"""Expansions without coming nearer after which the second queue is opened."""


class _Search:
    """One search: the queues, and what was simulated."""

    def __init__(self, ground: GroundTask, caps: Caps, estimate: str) -> None:
        self.ground = ground
        self.caps = caps
        self.estimate = estimate
        self.judges = _judges(ground, estimate)[:1]
        self.queues: list[list[_Waiting]] = [[] for _ in self.judges]
        self.depths: dict[int, int] = {}
        self.nearest, self.waited = 10**9, 0
        self.number = count()
        self.parents: dict[int, tuple[int, tuple[GroundAction, ...]] | None] = {self.ground.initial: None}
        self.tried: set[tuple[int, tuple[GroundAction, ...]]] = set()
        self.expansions = self.calls = 0

    def run(self, begin: float) -> Plan:
        self.begin = begin
        if not self.ground.unmet(self.ground.initial):
            return self.ended(self.ground.initial)
        self.add(self.ground.initial, 0)
        turn = 0
        while any(self.queues) and self.expansions < self.caps.expansions:
            if len(self.queues) == 1 and self.waited >= _PATIENCE:
                self.open_second()
            which = turn % len(self.queues)
            turn += 1
            if not self.queues[which]:
                continue
            entry = heapq.heappop(self.queues[which])
            if self.caps.decisions is not None and entry[2] >= self.caps.decisions:
                continue
            self.expansions += 1
            self.waited += 1
            reached, stopped = self.expand(entry, which)
            if stopped:
                return self.ended(reached)
        return self.ended(None)

    def expand(self, entry: _Waiting, which: int) -> tuple[int | None, bool]:
        """Simulate until something is nearer; the state that solves the task, and whether the search is at its end."""
        near, stage, depth, _, state, wanted, rest = entry
        if rest is None:
            rest = choices(self.ground, state, wanted)
        position = 0
        while position < len(rest) and (rest[position].preferred or stage == _OTHERS):
            choice = rest[position]
            position += 1
            if (state, choice.actions) in self.tried:
                continue
            self.tried.add((state, choice.actions))
            done, after = simulated(choice, state)
            cost = choice.operator.length * len(done)
            if self.calls + cost > self.caps.calls:
                return None, True
            self.calls += cost
            if after in self.parents:
                continue
            self.parents[after] = (state, done)
            if not self.ground.unmet(after):
                return after, True
            if self.add(after, depth + 1)[which] < near:
                break
        rest = rest[position:]
        if rest:
            stage = _AGAIN if rest[0].preferred else _OTHERS
            heapq.heappush(self.queues[which], (near, stage, depth, next(self.number), state, wanted, rest))
        return None, False

    def open_second(self) -> None:
        """Judge what is known by the other estimate, too; from now on the queues take turns."""
        more = _judges(self.ground, self.estimate)[1:]
        self.waited = -(10**9)
        for judge in more:
            self.judges.append(judge)
            self.queues.append([])
            for number, (state, depth) in enumerate(self.depths.items()):
                near, wanted = judge(state)
                heapq.heappush(self.queues[-1], (near, _FIRST, depth, number, state, wanted, None))

    def add(self, state: int, depth: int) -> list[int]:
        found = []
        number = next(self.number)
        self.depths[state] = depth
        for queue, judge in zip(self.queues, self.judges, strict=True):
            near, wanted = judge(state)
            found.append(near)
            heapq.heappush(queue, (near, _FIRST, depth, number, state, wanted, None))
        if found[0] < self.nearest:
            self.nearest, self.waited = found[0], 0
        return found

    def ended(self, state: int | None) -> Plan:
        moves: list[Move] = []
        link = self.parents[state] if state is not None else None
        while link is not None:
            moves.append(_move(link[1]))
            link = self.parents[link[0]]
        seconds = time.thread_time() - self.begin
        return Plan(state is not None, tuple(reversed(moves)), self.expansions, self.calls, seconds)


_FIRST, _AGAIN, _OTHERS = range(3)
"""A state's turn: for the first time, with more that is preferred, with nothing left but the others."""
_Waiting = tuple[int, int, int, int, int, int, list[Choice] | None]
"""Estimate, turn, depth, number, state, wanted facts, what is still to be simulated."""
_Judge = Callable[[int], tuple[int, int]]


def _judges(ground: GroundTask, estimate: str) -> list[_Judge]:
    if estimate == "goals":
        return [lambda state: (ground.unmet(state), ground.goal & ~state)]
    found: list[_Judge] = []
    if any(one.operator.steps and not one.operator.loop for one in ground.actions):
        found.append(RelaxedEstimate(ground).judged)
    return [*found, RelaxedEstimate(ground, macros=False, together=False).judged]
