"""Operators on sets of facts: primitives and, composed of them, macros, with the groundings that their conditions allow.

A state is a frozen set of facts. An operator is applied only where its conditions hold, which is found by joining them
with the facts of the state: nothing is tried that must fail. Composition is exact, since different variables of a
macro stand for different objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nereus.agents.learner.environments.base import Call, Literal

State = frozenset[Literal]
Facts = Mapping[str, Sequence[Literal]]
"""Predicate -> facts."""


@dataclass(frozen=True)
class Operator:
    """Conditions and effects over variables ``?0``, ``?1`` ...; anything else in a literal is a constant."""

    name: str
    kinds: tuple[str, ...]
    """Type of each variable."""
    positive: tuple[Literal, ...]
    negative: tuple[Literal, ...]
    added: tuple[Literal, ...]
    removed: tuple[Literal, ...]
    distinct: bool = False
    """Whether different variables are different objects."""
    steps: tuple[Call, ...] = ()
    """What a macro consists of, over the same variables; empty for a primitive."""
    unequal: tuple[tuple[str, str], ...] = ()
    """Variables or constants that must be different."""
    loop: str = ""
    """The variable that runs over a list: the operator is one round."""

    @property
    def length(self) -> int:
        """Primitive calls of one application."""
        return max(1, len(self.steps))

    @cached_property
    def constants(self) -> frozenset[str]:
        """Objects that it names: no variable of a macro stands for one of them."""
        named = [one for literal in (*self.positive, *self.added, *self.removed) for one in literal[1:]]
        named += [one for step in self.steps for one in step.arguments if isinstance(one, str)]
        return frozenset(one for one in named if one[0] != "?")


@dataclass(frozen=True)
class World:
    """What does not change within a task."""

    objects: Mapping[str, str]
    """Object -> type."""
    of_kind: Mapping[str, tuple[str, ...]]
    """Type -> its objects, those of its subtypes too."""
    fixed: Facts = field(default_factory=dict)
    """Facts of predicates that no action changes."""


def by_predicate(state: State) -> dict[str, list[Literal]]:
    """Facts of a state by predicate, in sorted order."""
    found: dict[str, list[Literal]] = {}
    for one in sorted(state):
        found.setdefault(one[0], []).append(one)
    return found


def groundings(
    operator: Operator,
    world: World,
    state: State,
    facts: Facts,
    first: tuple[int, Sequence[Literal]] | None = None,
) -> Iterator[tuple[str, ...]]:
    """Objects for the variables under which the operator can be applied, in a fixed order.

    Parameters
    ----------
    first
        Number of a condition and the facts that it must hold by; None takes all facts for every condition.
    """
    bound: list[str | None] = [None] * len(operator.kinds)
    allowed = [frozenset(world.of_kind.get(kind, ())) for kind in operator.kinds]
    for binding in _joined(operator, world, _conditions(operator, facts, first), 0, bound, allowed):
        if any(ground(literal, binding) in state for literal in operator.negative) or any(
            _of(a, binding) == _of(b, binding) for a, b in operator.unequal
        ):
            continue
        yield binding


@dataclass(frozen=True)
class _Condition:
    """A condition at its place in a join: what is known of it by then, and what it binds."""

    known: tuple[str, ...]
    """Constants, and variables that earlier conditions bind."""
    fresh: tuple[tuple[int, int], ...]
    """Place in a fact, and the variable that it binds."""
    facts: Mapping[tuple[str, ...], Sequence[Literal]]
    """Objects at the known places -> facts."""


def _conditions(
    operator: Operator, facts: Facts, first: tuple[int, Sequence[Literal]] | None
) -> list[_Condition]:
    """Conditions in the order of the join: the one with the fewest free variables, and of these facts, first."""
    waiting = list(range(len(operator.positive)))
    bound: set[str] = set()
    found: list[_Condition] = []
    while waiting:
        if first is not None and not found:
            number, every = first
        else:
            number = min(
                waiting,
                key=lambda i: (
                    sum(one[0] == "?" and one not in bound for one in operator.positive[i][1:]),
                    len(facts.get(operator.positive[i][0], ())),
                ),
            )
            every = facts.get(operator.positive[number][0], ())
        waiting.remove(number)
        literal = operator.positive[number]
        places = [i for i, one in enumerate(literal) if i and (one[0] != "?" or one in bound)]
        fresh = [
            (i, int(one[1:])) for i, one in enumerate(literal) if i and one[0] == "?" and one not in bound
        ]
        by: dict[tuple[str, ...], list[Literal]] = {}
        for fact in every:
            if len(fact) == len(literal):
                by.setdefault(tuple(fact[i] for i in places), []).append(fact)
        found.append(_Condition(tuple(literal[i] for i in places), tuple(fresh), by))
        bound |= {one for one in literal[1:] if one[0] == "?"}
    return found


def _joined(
    operator: Operator,
    world: World,
    conditions: Sequence[_Condition],
    depth: int,
    bound: list[str | None],
    allowed: list[frozenset[str]],
) -> Iterator[tuple[str, ...]]:
    if depth == len(conditions):
        yield from _free(operator, world, bound, 0)
        return
    condition = conditions[depth]
    known = tuple((bound[int(one[1:])] or "") if one[0] == "?" else one for one in condition.known)
    for fact in condition.facts.get(known, ()):
        set_here: list[int] = []
        for place, number in condition.fresh:
            got, held = fact[place], bound[number]
            if held is None and not (
                got not in allowed[number]
                or (operator.distinct and (got in bound or got in operator.constants))
            ):
                bound[number] = got
                set_here.append(number)
            elif held != got:
                break
        else:
            yield from _joined(operator, world, conditions, depth + 1, bound, allowed)
        for number in set_here:
            bound[number] = None


def _free(
    operator: Operator, world: World, bound: list[str | None], position: int
) -> Iterator[tuple[str, ...]]:
    """Variables that no condition binds take every object of their type."""
    while position < len(bound) and bound[position] is not None:
        position += 1
    if position == len(bound):
        yield tuple(one for one in bound if one is not None)
        return
    for name in world.of_kind.get(operator.kinds[position], ()):
        if operator.distinct and (name in bound or name in operator.constants):
            continue
        bound[position] = name
        yield from _free(operator, world, bound, position + 1)
    bound[position] = None


def ground(literal: Literal, binding: Sequence[str]) -> Literal:
    """A literal with objects for its variables."""
    return (literal[0], *(_of(one, binding) for one in literal[1:]))


def _of(term: str, binding: Sequence[str]) -> str:
    return binding[int(term[1:])] if term[0] == "?" else term


def apply(operator: Operator, binding: Sequence[str], state: State) -> State:
    """The state after an application; what is added stays where it is removed, too."""
    gone = {ground(one, binding) for one in operator.removed}
    made = {ground(one, binding) for one in operator.added}
    return (state - gone) | made


def missing(operator: Operator, binding: Sequence[str], state: State) -> list[Literal]:
    """Facts that the operator needs and the state lacks; unwanted ones begin with ``not``."""
    lacking = [one for one in (ground(each, binding) for each in operator.positive) if one not in state]
    lacking += [
        ("not", *one) for one in (ground(each, binding) for each in operator.negative) if one in state
    ]
    lacking += [
        ("different", _of(a, binding), _of(b, binding))
        for a, b in operator.unequal
        if _of(a, binding) == _of(b, binding)
    ]
    return lacking


def composed(
    name: str, steps: Sequence[Call], kinds: Sequence[str], primitives: Mapping[str, Operator]
) -> Operator | None:
    """One operator that does what a sequence of primitives does; None where a step undoes what a later one needs.

    Parameters
    ----------
    steps
        Primitives over variables ``?0`` ... (different variables are different objects).
    kinds
        Type of each variable.
    """
    needs: list[Literal] = []
    needs_not: list[Literal] = []
    unequal: list[tuple[str, str]] = []
    true: dict[Literal, bool] = {}
    for step in steps:
        operator = primitives[step.name]
        terms = [str(one) for one in step.arguments]
        for literal in (ground(one, terms) for one in operator.positive):
            if true.get(literal) is False or (literal in needs_not and literal not in true):
                return None
            if literal not in true and literal not in needs:
                needs.append(literal)
        for literal in (ground(one, terms) for one in operator.negative):
            if true.get(literal) is True or (literal in needs and literal not in true):
                return None
            if literal not in true and literal not in needs_not:
                needs_not.append(literal)
        for a, b in operator.unequal:
            one, two = _of(a, terms), _of(b, terms)
            if one == two:
                return None
            if not (one[0] == "?" and two[0] == "?"):
                unequal.append((one, two))
        made = [ground(one, terms) for one in operator.added]
        for literal in (ground(one, terms) for one in operator.removed):
            true[literal] = False
        for literal in made:
            true[literal] = True
    return Operator(
        name=name,
        kinds=tuple(kinds),
        positive=tuple(needs),
        negative=tuple(needs_not),
        added=tuple(one for one, holds in true.items() if holds),
        removed=tuple(one for one, holds in true.items() if not holds),
        distinct=True,
        steps=tuple(steps),
        unequal=tuple(unequal),
    )
