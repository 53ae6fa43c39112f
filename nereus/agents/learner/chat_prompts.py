"""What a chat model is told when it makes, explains, revises and uses actions."""

from __future__ import annotations

from collections.abc import Sequence

from nereus.agents.learner.environments.base import Primitive
from nereus.agents.learner.learning import Failing
from nereus.memory.actions import LearnedAction

_RULES = (
    "Rules: plain Python functions, every argument with its type, a docstring each; all objects are passed as arguments, "
    "none is named inside; call the actions above as functions and nothing else; no imports are needed. Each function "
    "combines two actions or more. Put everything into one ```python block: the functions, then one example call of "
    "each with objects of the state above."
)
_EXAMPLE = """Example of another domain (a lamp that is fetched and lit):
```python
def fetch_and_light(lamp: lamp, room: room) -> None:
    \"\"\"Take a lamp that stands in a room and light it.\"\"\"
    take(lamp, room)
    light(lamp)

fetch_and_light("lamp_3", "cellar")
```"""
VARIANTS = {
    "free": "Write several general functions that would shorten tasks of this kind.",
    "structured": (
        "First list, as comments, the phases of every task of this kind, with what must hold before and after each. "
        "Then write one general function for each phase that takes more than one action."
    ),
    "decompose": (
        "Take the goals apart into sub-goals that occur in every task of this kind. Write one general function that "
        "reaches one sub-goal from any state in which it can be reached."
    ),
    "repeated": (
        "These sequences of actions occurred again and again in solved tasks:\n{repeated}\n"
        "Turn the most useful ones into general functions."
    ),
}
"""Ways of asking for a library."""


def instruction(primitives: Sequence[Primitive]) -> str:
    """What can be done in the environment."""
    return "Actions of the environment:\n" + "\n".join(f"- {one}: {one.doc}" for one in primitives)


def creation(
    variant: str, primitives: Sequence[Primitive], goal: str, state: str, repeated: Sequence[str]
) -> str:
    """Asks for a library."""
    wanted = VARIANTS[variant].format(repeated="\n".join(f"- {one}" for one in repeated) or "- (none)")
    return "\n\n".join(
        [instruction(primitives), f"A task. State: {state}\nGoal: {goal}", wanted, _RULES, _EXAMPLE]
    )


def mend(fault: str) -> str:
    """Sends what went wrong back."""
    return f"That cannot be used:\n{fault}\n\nGive the whole ```python block again, corrected."


def words(action: LearnedAction) -> str:
    """Asks for the instruction of one function."""
    return (
        f"```python\n{action.source}```\nWrite one paragraph of at most 80 words for whoever will call this function: what "
        "must hold before, what holds afterwards, and when it is of use. No code."
    )


def usage(actions: Sequence[LearnedAction], carried: Sequence[str]) -> str:
    """Asks for one example of use for the whole library."""
    listed = "\n".join(f"- {one.signature}: {one.description}" for one in actions)
    happened = "\n".join(carried)
    return (
        f"Functions:\n{listed}\n\nThis was carried out:\n{happened}\n\nWrite a short trace of how these functions are used "
        "together in one task, one line an action, each followed by a line that begins with -> and says what it did."
    )


def revision(actions: Sequence[LearnedAction], failing: Failing) -> str:
    """Asks for a revision of what failed, with the failing call and what happened inside it."""
    sources = "\n\n".join(one.source for one in actions)
    before = "\n".join(failing.trace[-20:]) or "(nothing)"
    inner = "\n".join(failing.subtrace) or "(no action was carried out)"
    name = failing.call.partition("(")[0]
    return (
        f"Goal: {failing.goal}\n\nAll functions:\n```python\n{sources}```\n\nWhat was done before:\n{before}\n\n"
        f"The call {failing.call} failed: {failing.text}\nInside it:\n{inner}\n\n"
        f"Answer in this form:\nReason: why it failed\nThen either `Update {name}` and one ```python block with the "
        f"corrected function (and others that you add) and one example call each, or `Plan {name}` and one line that says "
        "when it must not be used, or what to do instead."
    )


def acting(
    primitives: Sequence[Primitive],
    actions: Sequence[LearnedAction],
    goal: str,
    state: str,
    history: Sequence[str],
) -> str:
    """Asks for the next action. Notes stand before the examples; what happened last is at the end."""
    parts = [instruction(primitives)]
    if actions:
        parts.append(
            "Learned actions:\n" + "\n".join(f"- {one.signature}: {one.description}" for one in actions)
        )
        notes = [f"- {one.name}: {note}" for one in actions for note in one.notes]
        if notes:
            parts.append("Notes:\n" + "\n".join(notes))
        examples = list(dict.fromkeys(one.usage for one in actions if one.usage))
        if examples:
            parts.append("Examples:\n" + "\n".join(examples))
    parts.append(f"Goal: {goal}\nState: {state}")
    if history:
        parts.append("So far:\n" + "\n".join(history))
    parts.append("Answer with one line: the next action, as name(argument, ...). Lists are written [a, b].")
    return "\n\n".join(parts)
