"""Rules that mend an action from the errors of its calls, where no model does.

- A fact was missing before a failing call: it becomes a guard that refuses with `NotApplicable`.
- The same argument had the wrong type again and again: its type is narrowed to that of the primitive.
- More than half of the calls failed after the same step: the action is split there.
- Otherwise a note says when it failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nereus.agents.learner.environments.base import Call, Failure, Literal
from nereus.agents.learner.environments.operators import composed
from nereus.agents.learner.environments.planning import Domain, shown
from nereus.agents.learner.mining import Macro
from nereus.agents.learner.source import written
from nereus.agents.learner.traces import Decision
from nereus.memory.actions import LearnedAction

_OFTEN = 0.5
_AGAIN = 2


def repaired(action: LearnedAction, calls: Sequence[Decision], domain: Domain) -> list[LearnedAction]:
    """What becomes of an action: itself with a guard, a narrower type or a note, or its two parts.

    Parameters
    ----------
    action
        An action whose steps are known.
    calls
        All its calls, those that went well too.
    """
    failed = [one for one in calls if not one.ok]
    if not failed:
        return [action]
    macro = as_macro(action)
    if macro is None:
        return [_noted(action, failed[0])]
    places = Counter(one.position for one in failed if one.position and one.position > 1)
    if places:
        step, times = places.most_common(1)[0]
        if times / len(calls) > _OFTEN and len(macro.steps) > step - 1 >= 1:
            return _split(action, macro, step - 1, domain)
    wrong = Counter(_wrong_argument(one) for one in failed if one.failure is Failure.WRONG_ARGUMENT)
    if wrong and wrong.most_common(1)[0][1] >= _AGAIN:
        return [_narrowed(action, macro, domain)]
    lacking = sorted({fact for one in failed for fact in _over(one.missing, one.call, action)})
    if lacking:
        return [_guarded(action, macro, lacking, domain)]
    return [_noted(action, failed[0])]


def as_macro(action: LearnedAction) -> Macro | None:
    """The lifted steps of an action; None where only its source says them."""
    if not action.steps:
        return None
    steps = tuple(Call(one[0], tuple(one[1:])) for one in action.steps)
    told = action.provenance
    return Macro(
        steps,
        action.kinds,
        int(told.get("support", 0)),
        tuple(told.get("tasks", ())),
        action.loop,
        float(told.get("success", 1.0)),
    )


def _over(facts: Sequence[Literal], call: Call, action: LearnedAction) -> list[Literal]:
    """Missing facts over the action's variables; those that speak of other objects cannot be checked by it."""
    names = {
        str(value): f"?{number}" for number, value in enumerate(call.arguments) if isinstance(value, str)
    }
    return [
        (one[0], *(names.get(term, term) for term in one[1:]))
        for one in facts
        if one[0] not in ("not", "different") and all(term in names for term in one[1:])
    ]


def _guarded(
    action: LearnedAction, macro: Macro, lacking: Sequence[Literal], domain: Domain
) -> LearnedAction:
    operator = composed("macro", macro.steps, macro.kinds, domain.operators)
    known = list(operator.positive) if operator is not None else []
    guards = [*known, *(one for one in lacking if one not in known)]
    again = written(macro, domain, guards)
    return action.model_copy(
        update={
            "source": again.source.replace(again.name, action.name, 1),
            "description": again.description,
            "notes": (),
        }
    )


def _narrowed(action: LearnedAction, macro: Macro, domain: Domain) -> LearnedAction:
    """Every variable gets the type that the primitives ask of it."""
    kinds = list(macro.kinds)
    for step in macro.steps:
        for term, kind in zip(map(str, step.arguments), domain.operators[step.name].kinds, strict=True):
            if term[0] == "?" and kinds[int(term[1:])] != kind:
                kinds[int(term[1:])] = kind
    again = written(
        Macro(macro.steps, tuple(kinds), macro.support, macro.tasks, macro.loop, macro.successes), domain
    )
    return action.model_copy(
        update={
            "source": again.source.replace(again.name, action.name, 1),
            "parameters": again.parameters,
            "kinds": tuple(kinds),
        }
    )


def _wrong_argument(decision: Decision) -> str:
    return decision.text.partition(" is ")[0]


def _split(action: LearnedAction, macro: Macro, at: int, domain: Domain) -> list[LearnedAction]:
    parts: list[LearnedAction] = []
    for steps in (macro.steps[:at], macro.steps[at:]):
        if len(steps) < 2:
            continue
        order = list(dict.fromkeys(str(t) for step in steps for t in step.arguments if str(t)[0] == "?"))
        renamed = tuple(
            Call(
                step.name,
                tuple(f"?{order.index(str(t))}" if str(t)[0] == "?" else str(t) for t in step.arguments),
            )
            for step in steps
        )
        kinds = tuple(macro.kinds[int(one[1:])] for one in order)
        if composed("macro", renamed, kinds, domain.operators) is not None:
            taken = {action.name, *(one.name for one in parts)}
            parts.append(
                written(
                    Macro(renamed, kinds, macro.support, macro.tasks),
                    domain,
                    taken=taken,
                    split_of=action.name,
                )
            )
    return parts


def _noted(action: LearnedAction, failed: Decision) -> LearnedAction:
    lacking = ", ".join(shown(one) for one in failed.missing)
    note = f"{failed.call} failed ({failed.failure.value if failed.failure else 'failed'}): {lacking or failed.text}"
    return action.model_copy(update={"notes": tuple(dict.fromkeys([*action.notes, note]))})
