"""Planning tasks in PDDL as environments: read by unified-planning, stepped on sets of facts.

unified-planning's simulator needs milliseconds a step, which is too slow to search with. So its parsed problem becomes
operators (`operators`), and tests hold the two equal: the same applicable actions and the same states.
"""

from __future__ import annotations

import builtins
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from nereus.agents.learner.environments.base import (
    ActionFailed,
    Call,
    Failure,
    Literal,
    Observation,
    Primitive,
)
from nereus.agents.learner.environments.operators import Operator, State, World, apply, by_predicate, missing
from nereus.errors import InputError

if TYPE_CHECKING:
    from unified_planning.model import Problem

DOMAINS = ("gripper", "blockworld", "barman", "tyreworld")
"""Domains that ship with the package."""


@dataclass(frozen=True)
class Domain:
    """Actions of a domain."""

    name: str
    operators: Mapping[str, Operator]
    primitives: tuple[Primitive, ...]
    constants: frozenset[str]
    """Objects that the domain itself names: every task has them, so an action may name them, too."""


@dataclass(frozen=True)
class PlanningTask:
    """One task of a domain: objects, first state and goal."""

    domain: Domain
    name: str
    world: World
    initial: State
    """Facts that can change."""
    goal: tuple[Literal, ...]
    goal_not: tuple[Literal, ...] = ()
    text: str = field(default="", repr=False, compare=False)
    """The problem in PDDL."""

    def facts(self, state: State) -> dict[str, list[Literal]]:
        """All facts by predicate, those that never change too."""
        return {**{name: list(facts) for name, facts in self.world.fixed.items()}, **by_predicate(state)}

    @cached_property
    def constant_facts(self) -> State:
        """Facts that no action changes."""
        return frozenset(one for facts in self.world.fixed.values() for one in facts)

    def unmet(self, state: State) -> int:
        """Goals that do not hold."""
        return sum(one not in state for one in self.goal) + sum(one in state for one in self.goal_not)

    @property
    def size(self) -> int:
        """Number of objects."""
        return len(self.world.objects)


class PlanningEnvironment:
    """A planning task to act in.

    Parameters
    ----------
    task
        The task.
    """

    snapshots = True

    def __init__(self, task: PlanningTask) -> None:
        self.plan_task = task
        self.name = task.domain.name
        self.task = task.name
        self.state = task.initial
        self.calls = 0
        self._fixed = task.constant_facts

    @property
    def primitives(self) -> tuple[Primitive, ...]:
        """See `Environment`."""
        return self.plan_task.domain.primitives

    @property
    def objects(self) -> Mapping[str, str]:
        """See `Environment`."""
        return self.plan_task.world.objects

    def act(self, call: Call) -> Observation:
        """See `Environment`."""
        self.calls += 1
        operator = self.plan_task.domain.operators.get(call.name)
        if operator is None:
            raise ActionFailed(
                f"there is no action {call.name!r}",
                kind=Failure.UNKNOWN_ACTION,
                mend=f"actions are {', '.join(self.plan_task.domain.operators)}",
            )
        binding = self._checked(call, operator)
        everything = self.state | self._fixed
        lacking = missing(operator, binding, everything)
        if lacking:
            raise ActionFailed(
                f"{call} cannot be done: {', '.join(shown(one) for one in lacking)} does not hold",
                missing=tuple(lacking),
                where=self.task,
            )
        after = apply(operator, binding, self.state)
        if after == self.state:
            raise ActionFailed(f"{call} changes nothing", kind=Failure.NO_CHANGE, where=self.task)
        added, removed = sorted(after - self.state), sorted(self.state - after)
        self.state = after
        told = [shown(one) for one in added] + [f"no longer {shown(one)}" for one in removed]
        return Observation(f"{call}: now {'; '.join(told)}", tuple(added), tuple(removed))

    def _checked(self, call: Call, operator: Operator) -> tuple[str, ...]:
        if len(call.arguments) != len(operator.kinds):
            raise ActionFailed(
                f"{call.name} takes {len(operator.kinds)} arguments, not {len(call.arguments)}",
                kind=Failure.WRONG_ARGUMENT,
                position=min(len(call.arguments), len(operator.kinds)),
            )
        world = self.plan_task.world
        for position, (given, kind) in enumerate(zip(call.arguments, operator.kinds, strict=True)):
            if not isinstance(given, str) or given not in world.of_kind.get(kind, ()):
                raise ActionFailed(
                    f"argument {position + 1} of {call.name} is {given!r}, which is no {kind}",
                    kind=Failure.WRONG_ARGUMENT,
                    position=position,
                    mend=f"of this kind are {', '.join(world.of_kind.get(kind, ())[:12])}",
                )
        return tuple(str(one) for one in call.arguments)

    def holds(self, literal: Literal) -> bool:
        """See `Environment`."""
        return literal in self.state or literal in self._fixed

    def snapshot(self) -> State:
        """See `Environment`."""
        return self.state

    def rollback(self, state: Any) -> None:
        """See `Environment`."""
        self.state = state

    def progress(self) -> float:
        """See `Environment`."""
        total = len(self.plan_task.goal) + len(self.plan_task.goal_not)
        return 1.0 - self.plan_task.unmet(self.state) / max(1, total)

    def solved(self) -> bool:
        """See `Environment`."""
        return self.plan_task.unmet(self.state) == 0

    def state_hash(self) -> str:
        """See `Environment`."""
        return hashlib.sha256("\n".join(map(shown, sorted(self.state))).encode()).hexdigest()

    def goal_text(self) -> str:
        """See `Environment`."""
        return "; ".join(
            [shown(one) for one in self.plan_task.goal]
            + [f"not {shown(one)}" for one in self.plan_task.goal_not]
        )

    def state_text(self) -> str:
        """See `Environment`."""
        return "; ".join(shown(one) for one in sorted(self.state | self._fixed))


def shown(literal: Literal) -> str:
    """A fact as people read it: ``on(b1, b2)``."""
    return f"{literal[0]}({', '.join(literal[1:])})"


# --------------------------------------------------------------------------------------------------- reading PDDL


def domain_text(name: str) -> str:
    """PDDL of a domain that ships with the package.

    Raises
    ------
    InputError
        There is no such domain.
    """
    if name not in DOMAINS:
        raise InputError(f"there is no domain {name!r}", where="domain", mend=f"one of {', '.join(DOMAINS)}")
    return (files(__package__) / "domains" / f"{name}.pddl").read_text(encoding="utf-8")


def parsed(domain: str, problem: str) -> Problem:
    """unified-planning's problem of two PDDL texts.

    Raises
    ------
    InputError
        unified-planning is not installed, or the texts are no PDDL that it reads.
    """
    try:
        from pyparsing import ParseBaseException
        from unified_planning.exceptions import UPException
        from unified_planning.io import PDDLReader
        from unified_planning.shortcuts import get_environment
    except ImportError as error:
        raise InputError(
            "unified-planning is not installed", where="planning", mend="pip install -e '.[learner]'"
        ) from error
    get_environment().credits_stream = None
    try:
        return PDDLReader().parse_problem_string(_in_order(domain, problem), problem)
    except (UPException, ParseBaseException, AssertionError, ValueError, KeyError, SyntaxError) as error:
        raise InputError(
            f"the problem cannot be read: {str(error) or type(error).__name__}",
            where="PDDL",
            mend="check domain and problem",
        ) from error


def _in_order(domain: str, problem: str) -> str:
    """A domain with its constants before its predicates, as the reader wants them, without those the problem names again."""
    found = _CONSTANTS.search(domain)
    if found is None:
        return domain
    rest = domain[: found.start()] + domain[found.end() :]
    named = _OBJECTS.search(problem)
    again = set(named[1].split()) if named else set()
    if again >= set(re.split(r"\s-\s", found[1])[0].split()):
        return rest
    return rest.replace("(:predicates", f"{found[0]}\n(:predicates", 1)


class TaskReader:
    """Reads problems of one domain; its actions are read once.

    Parameters
    ----------
    domain
        PDDL of the domain.
    name
        What it is called.
    """

    def __init__(self, domain: str, name: str) -> None:
        self.text = domain
        self.name = name

    @cached_property
    def domain(self) -> Domain:
        """The domain, read with a problem that has no objects of its own."""
        named = re.search(r"\(\s*domain\s+([^\s)]+)", self.text)
        if named is None:
            raise InputError(
                "the text names no domain", where="PDDL", mend="begin with (define (domain NAME)"
            )
        return _domain(parsed(self.text, _EMPTY.format(name=named[1])), self.name)

    def read(self, problem: str, name: str) -> PlanningTask:
        """A task of a problem in PDDL.

        Raises
        ------
        InputError
            The text is no problem of this domain.
        """
        return _task(parsed(self.text, problem), self.domain, name, problem)


_CONSTANTS = re.compile(r"\(:constants([^()]*)\)")
_OBJECTS = re.compile(r"\(:objects([^()]*)\)")
_EMPTY = "(define (problem none) (:domain {name}) (:init) (:goal (and)))"


def _python(name: str) -> str:
    return f"{name}_" if iskeyword(name) else name.replace("-", "_")


def _domain(problem: Problem, name: str) -> Domain:
    operators = {}
    primitives = []
    for action in problem.actions:
        names = [one.name for one in action.parameters]
        kinds = tuple(_kind(one.type) for one in action.parameters)
        terms = {one: f"?{number}" for number, one in enumerate(names)}
        positive: list[Literal] = []
        negative: list[Literal] = []
        unequal: list[tuple[str, str]] = []
        for condition in action.preconditions:
            _gather(condition, terms, positive, negative, unequal, action.name)
        added = [_literal(one.fluent, terms) for one in action.effects if one.value.is_true()]
        removed = [_literal(one.fluent, terms) for one in action.effects if one.value.is_false()]
        if any(one.is_conditional() or one.is_forall() for one in action.effects):
            raise InputError(
                f"action {action.name!r} has conditional effects", where="PDDL", mend="use STRIPS"
            )
        called = _python(action.name)
        operators[called] = Operator(
            called,
            kinds,
            tuple(positive),
            tuple(negative),
            tuple(added),
            tuple(removed),
            unequal=tuple(unequal),
        )
        doc = "Needs " + (", ".join(_told(one, names) for one in positive) or "nothing") + ". Makes "
        doc += (
            ", ".join([_told(one, names) for one in added] + [f"not {_told(one, names)}" for one in removed])
            + "."
        )
        primitives.append(Primitive(called, tuple(zip(map(_python, names), kinds, strict=True)), doc))
    constants = frozenset(one.name for one in problem.all_objects)
    return Domain(name, operators, tuple(primitives), constants)


def _told(literal: Literal, names: list[str]) -> str:
    return shown((literal[0], *(names[int(one[1:])] if one[0] == "?" else one for one in literal[1:])))


def _kind(type_: Any) -> str:
    """A type as Python source can name it; files without types have ``object`` only, which learned code may not name."""
    name = _python(str(getattr(type_, "name", type_)))
    return f"{name}_" if hasattr(builtins, name) else name


def _gather(
    node: Any,
    terms: Mapping[str, str],
    positive: list[Literal],
    negative: list[Literal],
    unequal: list[tuple[str, str]],
    where: str,
) -> None:
    if node.is_and():
        for one in node.args:
            _gather(one, terms, positive, negative, unequal, where)
    elif node.is_fluent_exp():
        positive.append(_literal(node, terms))
    elif node.is_not() and node.arg(0).is_fluent_exp():
        negative.append(_literal(node.arg(0), terms))
    elif node.is_not() and node.arg(0).is_equals():
        unequal.append((_term(node.arg(0).arg(0), terms), _term(node.arg(0).arg(1), terms)))
    elif not node.is_true():
        raise InputError(
            f"{where!r} has a condition that is no list of facts: {node}", where="PDDL", mend="use STRIPS"
        )


def _literal(node: Any, terms: Mapping[str, str]) -> Literal:
    return (_python(node.fluent().name), *(_term(one, terms) for one in node.args))


def _term(node: Any, terms: Mapping[str, str]) -> str:
    if node.is_parameter_exp():
        return terms[node.parameter().name]
    return str(node.object().name)


def _task(problem: Problem, domain: Domain, name: str, text: str) -> PlanningTask:
    objects = {one.name: _kind(one.type) for one in problem.all_objects}
    of_kind: dict[str, list[str]] = {}
    for one in problem.all_objects:
        type_ = one.type
        while type_ is not None:
            of_kind.setdefault(_kind(type_), []).append(one.name)
            type_ = type_.father
    changing = {
        literal[0]
        for operator in domain.operators.values()
        for literal in (*operator.added, *operator.removed)
    }
    initial: set[Literal] = set()
    fixed: dict[str, list[Literal]] = {}
    for fact, value in problem.explicit_initial_values.items():
        if value.is_true():
            literal = _literal(fact, {})
            if literal[0] in changing:
                initial.add(literal)
            else:
                fixed.setdefault(literal[0], []).append(literal)
    goal: list[Literal] = []
    goal_not: list[Literal] = []
    for one in problem.goals:
        _gather(one, {}, goal, goal_not, [], "goal")
    world = World(
        objects,
        {kind: tuple(sorted(names)) for kind, names in of_kind.items()},
        {predicate: sorted(facts) for predicate, facts in fixed.items()},
    )
    goal = [one for one in goal if one[0] in changing or one not in fixed.get(one[0], ())]
    return PlanningTask(domain, name, world, frozenset(initial), tuple(goal), tuple(goal_not), text)
