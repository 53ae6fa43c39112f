"""Arms that the learner is compared with: random macros of equal number and length, and macros written by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from nereus.agents.learner.environments.base import Call
from nereus.agents.learner.environments.operators import Operator, apply, composed, groundings
from nereus.agents.learner.environments.planning import Domain, PlanningTask
from nereus.agents.learner.mining import lifted, useful
from nereus.agents.learner.repair import as_macro
from nereus.memory.actions import LearnedAction

_TRIES = 2000


def random_macros(
    actions: Sequence[LearnedAction], tasks: Sequence[PlanningTask], seed: int
) -> list[Operator]:
    """As many macros as were learned, of the same lengths, from random walks that can be carried out in the training tasks.

    Walks that can be carried out are a harder control than random sequences of names, of which hardly one can.
    """
    draw = random.Random(f"random macros/{seed}")
    domain = tasks[0].domain
    found: list[Operator] = []
    for number, action in enumerate(actions):
        for _ in range(_TRIES):
            steps, kinds = walk(draw.choice(list(tasks)), len(action.steps), draw)
            operator = (
                composed(f"random_{number}", steps, kinds, domain.operators)
                if useful(steps, kinds, domain)
                else None
            )
            if operator is not None and all(one.steps != operator.steps for one in found):
                found.append(replace(operator, loop="?0" if action.loop and operator.kinds else ""))
                break
    return found


def walk(task: PlanningTask, length: int, draw: random.Random) -> tuple[tuple[Call, ...], tuple[str, ...]]:
    """A random walk's last steps, lifted."""
    state = task.initial
    calls: list[Call] = []
    for _ in range(length + draw.randrange(8)):
        facts = task.facts(state)
        choices = [
            (operator, binding)
            for operator in task.domain.operators.values()
            for binding in groundings(operator, task.world, state, facts)
            if apply(operator, binding, state) != state
        ]
        if not choices:
            break
        operator, binding = draw.choice(choices)
        calls.append(Call(operator.name, binding))
        state = apply(operator, binding, state)
    return lifted(calls[-length:], task)


def learned(actions: Sequence[LearnedAction], domain: Domain) -> list[Operator]:
    """Learned actions as operators."""
    found = []
    for action in actions:
        macro = as_macro(action)
        operator = composed(action.name, macro.steps, macro.kinds, domain.operators) if macro else None
        if operator is not None:
            found.append(replace(operator, loop=action.loop))
    return found


def by_hand(domain: Domain) -> list[Operator]:
    """Macros of somebody who knows the domain."""
    return [
        composed(name, tuple(Call(one[0], tuple(one[1:])) for one in steps), kinds, domain.operators)  # type: ignore[misc]
        for name, steps, kinds in _BY_HAND[domain.name]
    ]


_BY_HAND: dict[str, list[tuple[str, list[tuple[str, ...]], tuple[str, ...]]]] = {
    "gripper": [
        (
            "carry_two",
            [
                ("pick", "?0", "?2", "?4"),
                ("pick", "?1", "?2", "?5"),
                ("move", "?2", "?3"),
                ("drop", "?0", "?3", "?4"),
                ("drop", "?1", "?3", "?5"),
            ],
            ("ball", "ball", "room", "room", "hand", "hand"),
        ),
        (
            "carry",
            [("pick", "?0", "?1", "?3"), ("move", "?1", "?2"), ("drop", "?0", "?2", "?3")],
            ("ball", "room", "room", "hand"),
        ),
    ],
    "blockworld": [
        ("to_table", [("unstack", "?0", "?1"), ("putdown", "?0")], ("block", "block")),
        ("onto", [("pickup", "?0"), ("stack", "?0", "?1")], ("block", "block")),
        ("over", [("unstack", "?0", "?1"), ("stack", "?0", "?2")], ("block", "block", "block")),
    ],
    "barman": [
        (
            "mix",
            [
                ("grasp", "?0", "?2"),
                ("fill_shot", "?2", "?3", "?0", "?1", "?4"),
                ("pour_into_clean_shaker", "?2", "?3", "?5", "?0", "?6", "?7"),
                ("clean_shot", "?2", "?3", "?0", "?1"),
                ("fill_shot", "?2", "?8", "?0", "?1", "?9"),
                ("pour_into_used_shaker", "?2", "?8", "?5", "?0", "?7", "?10"),
                ("clean_shot", "?2", "?8", "?0", "?1"),
                ("leave", "?0", "?2"),
            ],
            (
                "hand",
                "hand",
                "shot",
                "ingredient",
                "dispenser",
                "shaker",
                "level",
                "level",
                "ingredient",
                "dispenser",
                "level",
            ),
        ),
        (
            "shake_and_serve",
            [
                ("grasp", "?0", "?2"),
                ("shake", "?3", "?4", "?5", "?2", "?0", "?1"),
                ("serve", "?3", "?6", "?0", "?2", "?7", "?8"),
            ],
            ("hand", "hand", "shaker", "cocktail", "ingredient", "ingredient", "shot", "level", "level"),
        ),
        (
            "pour",
            [("grasp", "?0", "?2"), ("fill_shot", "?2", "?3", "?0", "?1", "?4"), ("leave", "?0", "?2")],
            ("hand", "hand", "shot", "ingredient", "dispenser"),
        ),
    ],
    "tyreworld": [
        (
            "take_flat_off",
            [
                ("loosen", "?0", "?1"),
                ("jack_up", "?1"),
                ("unscrew", "?0", "?1"),
                ("take_off", "?2", "?1"),
                ("put_away", "?2", "?3"),
            ],
            ("nut", "hub", "wheel", "boot"),
        ),
        (
            "put_spare_on",
            [
                ("fetch", "?2", "?3"),
                ("put_on", "?2", "?1"),
                ("screw_on", "?0", "?1"),
                ("jack_down", "?1"),
                ("tighten", "?0", "?1"),
                ("inflate", "?2"),
            ],
            ("nut", "hub", "wheel", "boot"),
        ),
    ],
}
