"""What must hold for an action, read from what happened: facts true before every success and false before some failure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from nereus.agents.learner.environments.base import Literal
from nereus.agents.learner.environments.operators import State, apply, ground, missing
from nereus.agents.learner.environments.planning import PlanningTask
from nereus.agents.learner.mining import Macro, lifted
from nereus.agents.learner.traces import Trace

_MOST_STATES = 40
_MOST_BINDINGS = 60


@dataclass(frozen=True)
class Attempt:
    """One try of an action: the objects for its variables, the state before, and whether it went well."""

    binding: tuple[str, ...]
    before: State
    ok: bool


def preconditions(attempts: Iterable[Attempt]) -> tuple[Literal, ...]:
    """Facts over the variables that were true before every success and false before some failure, in sorted order.

    Examples
    --------
    >>> here, gone = frozenset({("at", "a"), ("up", "b")}), frozenset({("up", "b")})
    >>> preconditions([Attempt(("a", "b"), here, True), Attempt(("a", "b"), gone, False)])
    (('at', '?0'),)
    """
    attempts = list(attempts)
    always: set[Literal] | None = None
    for one in attempts:
        if one.ok:
            seen = _over_variables(one)
            always = seen if always is None else always & seen
    if not always:
        return ()
    failures = [_over_variables(one) for one in attempts if not one.ok]
    return tuple(sorted(fact for fact in always if any(fact not in seen for seen in failures)))


def _over_variables(attempt: Attempt) -> set[Literal]:
    """Facts of the state that speak of the action's objects only, with variables for them."""
    names = {value: f"?{number}" for number, value in enumerate(attempt.binding)}
    return {
        (fact[0], *(names[one] for one in fact[1:]))
        for fact in attempt.before
        if all(one in names for one in fact[1:])
    }


def attempts(macro: Macro, traces: Sequence[Trace]) -> list[Attempt]:
    """Try a macro in states of the traces, with objects for which it goes well and others for which it does not."""
    found = []
    for trace in traces:
        states = [trace.task.initial, *(step.after for step in trace.steps)]
        for state in states[:: max(1, len(states) * len(traces) // _MOST_STATES)]:
            choices = [trace.task.world.of_kind.get(kind, ()) for kind in macro.kinds]
            total = 1
            for one in choices:
                total *= max(1, len(one))
            every = max(1, total // _MOST_BINDINGS)
            for number, binding in enumerate(product(*choices)):
                if number % every == 0 and len(set(binding)) == len(binding):
                    found.append(
                        Attempt(
                            binding,
                            state | trace.task.constant_facts,
                            _goes(macro, binding, state, trace.task),
                        )
                    )
        found += _successes(macro, trace)
    return found


def _successes(macro: Macro, trace: Trace) -> Iterable[Attempt]:
    calls = trace.calls
    for start in range(len(calls) - len(macro.steps) + 1):
        window = calls[start : start + len(macro.steps)]
        if lifted(window, trace.task)[0] == macro.steps:
            names: dict[str, str] = {}
            for step, call in zip(macro.steps, window, strict=True):
                names.update(zip(map(str, step.arguments), map(str, call.arguments), strict=True))
            binding = tuple(names[f"?{number}"] for number in range(len(macro.kinds)))
            yield Attempt(binding, trace.steps[start].before | trace.task.constant_facts, True)


def _goes(macro: Macro, binding: Sequence[str], state: State, task: PlanningTask) -> bool:
    for step in macro.steps:
        operator = task.domain.operators[step.name]
        terms = ground((step.name, *map(str, step.arguments)), binding)[1:]
        if any(
            one not in task.world.of_kind.get(kind, ())
            for one, kind in zip(terms, operator.kinds, strict=True)
        ):
            return False
        if missing(operator, terms, state | task.constant_facts):
            return False
        state = apply(operator, terms, state)
    return True
