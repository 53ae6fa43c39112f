"""Macros from successful traces: sequences and data-flow-connected parts, lifted, with equal arguments kept equal.

A window of a trace becomes a candidate by replacing each object by a variable in order of first occurrence. Windows
are contiguous, or connected by data flow: each step makes a fact that a later one needs, whatever lies between them
for other purposes, provided that the connected steps can be carried out by themselves. Objects that the domain itself
names stay. A macro that was repeated with one changing variable becomes a loop over a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nereus.agents.learner.environments.base import Call
from nereus.agents.learner.environments.operators import (
    Operator,
    apply,
    composed,
    ground,
    groundings,
    missing,
)
from nereus.agents.learner.environments.planning import Domain, PlanningTask
from nereus.agents.learner.traces import Trace, TraceStep

LEAST_SUPPORT = 3
LEAST_TASKS = 2


@dataclass(frozen=True)
class Mining:
    """What is mined."""

    shortest: int = 2
    longest: int = 5
    data_flow: bool = False
    """Connected parts beside contiguous windows."""
    horizon: int = 8
    """Steps of the trace that a connected part may stretch over."""
    loops: bool = False
    keep: int = 4
    """Macros of a library."""


@dataclass(frozen=True)
class Macro:
    """A lifted sequence of primitives."""

    steps: tuple[Call, ...]
    """Over variables ``?0``, ``?1`` ... in order of first occurrence."""
    kinds: tuple[str, ...]
    support: int
    tasks: tuple[str, ...]
    loop: str = ""
    """The variable that changes from one repetition to the next, for a loop."""
    successes: float = 1.0
    """Share of the places where its first step could be done at which all of it could."""

    @property
    def gain(self) -> float:
        """Decisions that it would have saved: support times the steps saved, times how often it succeeds."""
        return self.support * (len(self.steps) - 1) * self.successes * (1.5 if self.loop else 1.0)

    @property
    def key(self) -> str:
        """The lifted form: equal for equal macros."""
        return " ".join(map(str, self.steps)) + (f" for {self.loop}" if self.loop else "")


@dataclass
class _Seen:
    kinds: tuple[str, ...]
    places: set[tuple[str, int]] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)


def mine(traces: Iterable[Trace], options: Mining | None = None) -> list[Macro]:
    """Macros of the successful traces, by gain.

    Parameters
    ----------
    traces
        Traces; those that did not reach the goals count for nothing.
    options
        What is mined.

    Returns
    -------
    list of Macro
        Only those that were seen in three places or more and in two tasks or more, and no part of a longer one that was
        seen as often.
    """
    options = options or Mining()
    good = [one for one in traces if one.solved]
    if not good:
        return []
    seen: dict[tuple[tuple[Call, ...], str], _Seen] = {}
    for trace in good:
        for start, window in _windows(trace, options):
            steps, kinds = lifted([one.call for one in window], trace.task)
            entry = seen.setdefault((steps, ""), _Seen(kinds))
            entry.places.add((trace.task.name, start))
            entry.tasks.add(trace.task.name)
        if options.loops:
            for start, steps, kinds, variable in _repeated(trace, options):
                entry = seen.setdefault((steps, variable), _Seen(kinds))
                entry.places.add((trace.task.name, start))
                entry.tasks.add(trace.task.name)
    domain = good[0].task.domain
    found = []
    for (steps, variable), entry in seen.items():
        few = len(entry.tasks) < LEAST_TASKS or (len(entry.places) < LEAST_SUPPORT and not variable)
        if few or not useful(steps, entry.kinds, domain):
            continue
        rate = success_rate(steps, good) if not variable else 1.0
        found.append(Macro(steps, entry.kinds, len(entry.places), tuple(sorted(entry.tasks)), variable, rate))
    whole = [one for one in found if not any(_part(one, other) for other in found)]
    return sorted(whole, key=lambda one: (-one.gain, one.key))


def chosen(macros: Sequence[Macro], traces: Iterable[Trace], keep: int) -> list[Macro]:
    """Up to `keep` macros that complement each other: each saves most of what those before it leave.

    Loops and fixed sequences are counted apart, since a list takes the place of several calls.
    """
    good = [one for one in traces if one.solved]
    places = {macro.key: _places(macro, good) for macro in macros}
    covered: set[tuple[str, int]] = set()
    found: list[Macro] = []
    while len(found) < keep:
        best: tuple[float, Macro] | None = None
        for macro in macros:
            if macro in found or any(one.steps == macro.steps and one.loop == macro.loop for one in found):
                continue
            saved = 0.0
            own: set[tuple[str, int]] = set()
            for name, start in places[macro.key]:
                window = {(name, start + i) for i in range(len(macro.steps))}
                if not window & (covered | own):
                    own |= window
                    saved += len(macro.steps) - 1
            saved *= macro.successes * (1.5 if macro.loop else 1.0)
            if saved > 0 and (best is None or saved > best[0]):
                best = (saved, macro)
        if best is None:
            break
        found.append(best[1])
        if not best[1].loop:
            covered |= {
                (name, start + i) for name, start in places[best[1].key] for i in range(len(best[1].steps))
            }
    return found


def _places(macro: Macro, traces: Sequence[Trace]) -> list[tuple[str, int]]:
    found = []
    for trace in traces:
        calls = trace.calls
        for start in range(len(calls) - len(macro.steps) + 1):
            window = calls[start : start + len(macro.steps)]
            if [a.name for a in window] == [b.name for b in macro.steps] and lifted(window, trace.task)[
                0
            ] == macro.steps:
                found.append((trace.task.name, start))
    return found


def useful(steps: Sequence[Call], kinds: Sequence[str], domain: Domain) -> bool:
    """Whether a macro can be carried out and leaves something changed."""
    operator = composed("macro", steps, kinds, domain.operators)
    if operator is None:
        return False
    needed = set(operator.positive)
    return bool(set(operator.added) - needed or set(operator.removed) & needed)


def lifted(calls: Sequence[Call], task: PlanningTask) -> tuple[tuple[Call, ...], tuple[str, ...]]:
    """Calls over variables, and the type of each variable: the narrowest that its places ask for."""
    names: dict[str, str] = {}
    kinds: list[str] = []
    steps = []
    for call in calls:
        operator = task.domain.operators[call.name]
        terms = []
        for value, wanted in zip(map(str, call.arguments), operator.kinds, strict=True):
            if value in task.domain.constants:
                terms.append(value)
                continue
            if value not in names:
                names[value] = f"?{len(names)}"
                kinds.append(wanted)
            number = int(names[value][1:])
            if len(task.world.of_kind.get(wanted, ())) < len(task.world.of_kind.get(kinds[number], ())):
                kinds[number] = wanted
            terms.append(names[value])
        steps.append(Call(call.name, tuple(terms)))
    return tuple(steps), tuple(kinds)


def success_rate(steps: Sequence[Call], traces: Sequence[Trace]) -> float:
    """Of the places where the first step was done, the share at which the others could have followed."""
    tried = went = 0
    for trace in traces:
        for one in trace.steps:
            if one.call.name != steps[0].name:
                continue
            binding = _bound(steps, one.call)
            if binding is None:
                continue
            tried += 1
            went += _follows(steps, binding, one, trace)
    return went / tried if tried else 0.0


def _bound(steps: Sequence[Call], call: Call) -> dict[str, str] | None:
    binding: dict[str, str] = {}
    for term, value in zip(map(str, steps[0].arguments), map(str, call.arguments), strict=True):
        if term[0] != "?":
            if term != value:
                return None
        elif binding.setdefault(term, value) != value:
            return None
    return binding if len(set(binding.values())) == len(binding) else None


def _follows(steps: Sequence[Call], binding: dict[str, str], first: TraceStep, trace: Trace) -> bool:
    """Whether the rest can be done after the first step, for any objects for the variables that are still free."""
    terms = [*dict.fromkeys(str(t) for step in steps for t in step.arguments if str(t)[0] == "?")]
    kinds: dict[str, str] = {}
    for step in steps:
        for term, kind in zip(
            map(str, step.arguments), trace.task.domain.operators[step.name].kinds, strict=True
        ):
            kinds.setdefault(term, kind)
    operator = composed("macro", steps, [kinds[one] for one in terms], trace.task.domain.operators)
    if operator is None:
        return False
    fixed = {"?" + str(terms.index(one)): value for one, value in binding.items()}
    facts = trace.task.facts(first.before)
    for found in groundings(operator, trace.task.world, first.before, facts):
        if all(found[int(one[1:])] == value for one, value in fixed.items()):
            return True
    return False


def _windows(trace: Trace, options: Mining) -> Iterator[tuple[int, list[TraceStep]]]:
    steps = trace.steps
    for start in range(len(steps)):
        for length in range(options.shortest, options.longest + 1):
            if start + length <= len(steps):
                yield start, list(steps[start : start + length])
        if options.data_flow:
            yield from ((start, one) for one in _connected(trace, start, options))


def _connected(trace: Trace, start: int, options: Mining) -> Iterator[list[TraceStep]]:
    """Parts that begin at a step and follow what it makes; only those that can be done without what lies between."""
    operators = trace.task.domain.operators
    chosen = [trace.steps[start]]
    made = _made(operators, chosen[0].call)
    last = start
    for number in range(start + 1, min(len(trace.steps), start + options.horizon)):
        step = trace.steps[number]
        operator = operators[step.call.name]
        needs = {ground(one, [str(a) for a in step.call.arguments]) for one in operator.positive}
        if not needs & made:
            continue
        chosen.append(step)
        made |= _made(operators, step.call)
        contiguous = number - last == 1 and len(chosen) == number - start + 1
        last = number
        if len(chosen) > options.longest:
            return
        if len(chosen) >= options.shortest and not contiguous and _by_themselves(trace, chosen):
            yield list(chosen)


def _made(operators: object, call: Call) -> set[tuple[str, ...]]:
    operator: Operator = operators[call.name]  # type: ignore[index]
    return {ground(one, [str(a) for a in call.arguments]) for one in operator.added}


def _by_themselves(trace: Trace, chosen: Sequence[TraceStep]) -> bool:
    state = chosen[0].before
    fixed = frozenset(one for facts in trace.task.world.fixed.values() for one in facts)
    for step in chosen:
        operator = trace.task.domain.operators[step.call.name]
        binding = [str(one) for one in step.call.arguments]
        if missing(operator, binding, state | fixed):
            return False
        state = apply(operator, binding, state)
    return True


def _repeated(trace: Trace, options: Mining) -> Iterator[tuple[int, tuple[Call, ...], tuple[str, ...], str]]:
    """Windows that follow each other twice or more, the same but for one object: steps, types, the changing variable."""
    calls = trace.calls
    for length in range(1, options.longest + 1):
        for start in range(len(calls) - 2 * length + 1):
            one, two = calls[start : start + length], calls[start + length : start + 2 * length]
            if [a.name for a in one] != [b.name for b in two]:
                continue
            changed = {
                (x, y)
                for a, b in zip(one, two, strict=True)
                for x, y in zip(map(str, a.arguments), map(str, b.arguments), strict=True)
                if x != y
            }
            if len(changed) != 1:
                continue
            steps, kinds = lifted(one, trace.task)
            old = next(iter(changed))[0]
            if old in trace.task.domain.constants:
                continue
            place = next(
                str(t)
                for step, call in zip(steps, one, strict=True)
                for t, value in zip(step.arguments, call.arguments, strict=True)
                if value == old
            )
            yield start, steps, kinds, place


def _part(one: Macro, other: Macro) -> bool:
    """Whether a macro lies within a longer one that was seen as often."""
    if one.loop or other.loop or len(one.steps) >= len(other.steps) or one.support > other.support:
        return False
    names = [step.name for step in one.steps]
    for start in range(len(other.steps) - len(names) + 1):
        window = other.steps[start : start + len(names)]
        if [step.name for step in window] == names and _renamed(window) == _renamed(one.steps):
            return True
    return False


def _renamed(steps: Sequence[Call]) -> tuple[tuple[str, ...], ...]:
    order: dict[str, str] = {}
    return tuple(
        (
            step.name,
            *(
                order.setdefault(str(one), f"?{len(order)}") if str(one)[0] == "?" else str(one)
                for one in step.arguments
            ),
        )
        for step in steps
    )
