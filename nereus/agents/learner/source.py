"""Python of a mined macro: a typed function with its conditions in words, guards, calls, and what must hold after it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nereus.agents.learner.environments.base import Literal
from nereus.agents.learner.environments.operators import Operator, composed
from nereus.agents.learner.environments.planning import Domain, shown
from nereus.agents.learner.mining import Macro
from nereus.memory.actions import LearnedAction

_NAME_WORDS = 5


def written(
    macro: Macro,
    domain: Domain,
    guards: Sequence[Literal] | None = None,
    taken: Collection[str] = (),
    **provenance: object,
) -> LearnedAction:
    """A macro as a learned action.

    Parameters
    ----------
    macro
        The macro.
    domain
        Its domain.
    guards
        Facts over its variables that are checked first; None checks what its steps need.
    taken
        Names that it must not have.
    """
    operator = composed("macro", macro.steps, macro.kinds, domain.operators)
    assert operator is not None
    names = _variables(macro, domain)
    checked = list(operator.positive if guards is None else guards)
    name = _free_name(macro, {*taken, *domain.operators})
    needs = [_told(one, names) for one in checked]
    makes = _left(operator, macro)
    doc = _doc(macro, operator, names, needs)
    body = [f'    """{doc}"""']
    indent = "    "
    listed = _plural(names, macro.loop)
    if macro.loop:
        body.append(f"    for {names[int(macro.loop[1:])]} in {listed}:")
        indent = "        "
    body += [f"{indent}require({_quoted(one, names)})" for one in checked]
    body += [
        f"{indent}{step.name}({', '.join(_term(str(t), names) for t in step.arguments)})"
        for step in macro.steps
    ]
    body += [f"{indent}ensure({_quoted(one, names)})" for one in makes]
    parameters = tuple(
        (listed, f"list[{kind}]") if f"?{number}" == macro.loop else (names[number], kind)
        for number, kind in enumerate(macro.kinds)
    )
    head = f"def {name}({', '.join(f'{one}: {kind}' for one, kind in parameters)}) -> None:"
    return LearnedAction(
        name=name,
        domain=domain.name,
        source="\n".join([head, *body]) + "\n",
        parameters=parameters,
        description=doc,
        steps=tuple((step.name, *map(str, step.arguments)) for step in macro.steps),
        kinds=macro.kinds,
        loop=macro.loop,
        provenance={
            "support": macro.support,
            "tasks": list(macro.tasks),
            "success": round(macro.successes, 4),
            **provenance,
        },
    )


def _variables(macro: Macro, domain: Domain) -> list[str]:
    """Names for the variables: those of the primitives' arguments that they stand for first."""
    found: dict[str, str] = {}
    primitives = {one.name: one for one in domain.primitives}
    for step in macro.steps:
        for term, (parameter, _) in zip(
            map(str, step.arguments), primitives[step.name].parameters, strict=True
        ):
            if term[0] == "?" and term not in found:
                wanted, number = parameter, 1
                while wanted in found.values() or wanted in domain.operators:
                    number += 1
                    wanted = f"{parameter}_{number}"
                found[term] = wanted
    return [found[f"?{number}"] for number in range(len(macro.kinds))]


def _plural(names: Sequence[str], loop: str) -> str:
    return f"{names[int(loop[1:])]}_list" if loop else ""


def _free_name(macro: Macro, taken: Collection[str]) -> str:
    words = [step.name for step in macro.steps]
    shortened = [*words[: _NAME_WORDS - 1], "to", words[-1]] if len(words) > _NAME_WORDS else words
    base = ("each_" if macro.loop else "") + "_".join(shortened)
    name, number = base[:80], 1
    while name in taken:
        number += 1
        name = f"{base[:80]}_{number}"
    return name


def _left(operator: Operator, macro: Macro) -> list[Literal]:
    """What is true afterwards and was not before; of a loop, what it says of the object that changes."""
    new = [one for one in operator.added if one not in operator.positive]
    return [one for one in new if not macro.loop or macro.loop in one]


def _doc(macro: Macro, operator: Operator, names: Sequence[str], needs: Sequence[str]) -> str:
    steps = ", ".join(step.name.replace("_", " ") for step in macro.steps)
    lines = [f"Do {steps}{' for each of a list' if macro.loop else ''}.", ""]
    lines.append(f"    Needs: {'; '.join(needs) or 'nothing'}.")
    lines.append(f"    Makes: {'; '.join(_told(one, names) for one in operator.added) or 'nothing'}.")
    if operator.removed:
        lines.append(f"    Ends: {'; '.join(_told(one, names) for one in operator.removed)}.")
    return "\n".join([*lines, "    "])


def _term(term: str, names: Sequence[str]) -> str:
    return names[int(term[1:])] if term[0] == "?" else repr(term)


def _told(literal: Literal, names: Sequence[str]) -> str:
    return shown((literal[0], *(names[int(one[1:])] if one[0] == "?" else one for one in literal[1:])))


def _quoted(literal: Literal, names: Sequence[str]) -> str:
    return ", ".join([repr(literal[0]).replace("'", '"'), *(_term(one, names) for one in literal[1:])])
