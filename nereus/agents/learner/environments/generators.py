"""Seeded instances of the planning domains: small ones to learn from, larger ones to test on.

Names of objects are drawn anew for every instance, so that an action that names one of them fails on the next.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from nereus.agents.learner.environments.planning import DOMAINS, PlanningTask, TaskReader, domain_text
from nereus.errors import InputError

_SYLLABLES = ("ba", "do", "ke", "li", "mu", "na", "pi", "ro", "su", "ta", "vo", "ze")

LEARNING_SIZES = {"gripper": (3, 4), "blockworld": (4, 5, 6), "barman": (1, 2), "tyreworld": (1,)}
"""Balls, blocks, drinks and wheels of instances to learn from."""
HELD_OUT_SIZES = {"gripper": (5,), "blockworld": (7,), "barman": (3,), "tyreworld": (2,)}
"""The same of instances to select and validate on: larger, so that what fits one size only is not selected."""
TEST_SIZES = {
    "gripper": (6, 8, 10, 12),
    "blockworld": (8, 10, 12, 14, 16),
    "barman": (4, 5),
    "tyreworld": (3, 4),
}
"""The same of instances to test on: none of them is learned from or selected on."""
_SECOND_COCKTAIL = 6
"""From so many drinks on two of them are mixed; the others are poured."""

_READERS: dict[str, TaskReader] = {}


def reader(domain: str) -> TaskReader:
    """The reader of a domain that ships with the package."""
    if domain not in _READERS:
        _READERS[domain] = TaskReader(domain_text(domain), domain)
    return _READERS[domain]


def instance(domain: str, size: int, seed: int) -> PlanningTask:
    """A random instance that can be solved.

    Parameters
    ----------
    domain
        One of `DOMAINS`.
    size
        Balls, blocks, drinks or wheels.
    seed
        Equal seeds give equal instances.

    Raises
    ------
    InputError
        There is no such domain, or the size is below 1.

    Examples
    --------
    >>> instance("blockworld", 4, seed=1).size
    4
    """
    if domain not in DOMAINS:
        raise InputError(
            f"there is no domain {domain!r}", where="domain", mend=f"one of {', '.join(DOMAINS)}"
        )
    if size < 1:
        raise InputError(f"the size is {size}", where=domain, mend="ask for 1 or more")
    draw = random.Random(f"{domain}/{size}/{seed}")
    text = _GENERATORS[domain](size, draw)
    return reader(domain).read(text, f"{domain}-{size}-{seed}")


def _names(draw: random.Random, count: int, taken: set[str]) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        name = "".join(draw.choices(_SYLLABLES, k=3))
        if name not in taken:
            taken.add(name)
            found.append(name)
    return found


def _problem(domain: str, objects: dict[str, list[str]], init: list[str], goal: list[str]) -> str:
    listed = "\n    ".join(f"{' '.join(names)} - {kind}" for kind, names in objects.items() if names)
    return (
        f"(define (problem drawn)\n  (:domain {domain})\n  (:objects\n    {listed})\n"
        f"  (:init\n    {_lines(init)})\n  (:goal (and\n    {_lines(goal)})))\n"
    )


def _lines(facts: list[str]) -> str:
    return "\n    ".join(f"({one})" for one in facts)


def _gripper(size: int, draw: random.Random) -> str:
    taken: set[str] = set()
    balls, rooms, hands = _names(draw, size, taken), _names(draw, 2, taken), _names(draw, 2, taken)
    init = [f"door {a} {b}" for a in rooms for b in rooms if a != b]
    init += [f"bare {one}" for one in hands] + [f"robot-in {draw.choice(rooms)}"]
    goal = []
    for ball in balls:
        start = draw.choice(rooms)
        end = rooms[1 - rooms.index(start)] if draw.random() < 0.8 else start
        init.append(f"lies-in {ball} {start}")
        goal.append(f"lies-in {ball} {end}")
    if all(one.replace("lies-in", "") in {i.replace("lies-in", "") for i in init} for one in goal):
        ball = balls[0]
        start = next(one.split()[2] for one in init if one.startswith(f"lies-in {ball} "))
        goal[0] = f"lies-in {ball} {rooms[1 - rooms.index(start)]}"
    return _problem("gripper", {"ball": balls, "room": rooms, "hand": hands}, init, goal)


def _towers(blocks: list[str], draw: random.Random) -> list[list[str]]:
    towers: list[list[str]] = []
    for block in draw.sample(blocks, len(blocks)):
        if towers and draw.random() < 0.65:
            draw.choice(towers).append(block)
        else:
            towers.append([block])
    return towers


def _blockworld(size: int, draw: random.Random) -> str:
    blocks = _names(draw, size, set())
    while True:
        start, end = _towers(blocks, draw), _towers(blocks, draw)
        goal = [f"on {upper} {lower}" for tower in end for lower, upper in itertools.pairwise(tower)]
        now = [f"on {upper} {lower}" for tower in start for lower, upper in itertools.pairwise(tower)]
        if size < 2 or (goal and not set(goal) <= set(now)):
            break
    init = [
        "arm-idle",
        *now,
        *(f"on-table {tower[0]}" for tower in start),
        *(f"clear {tower[-1]}" for tower in start),
    ]
    return _problem("blockworld", {"block": blocks}, init, goal or [f"on-table {blocks[0]}"])


def _barman(size: int, draw: random.Random) -> str:
    taken: set[str] = set()
    mixed = 1 if size < _SECOND_COCKTAIL else 2
    ingredients, cocktails = _names(draw, 3, taken), _names(draw, mixed, taken)
    shots, taps = _names(draw, size + 1, taken), _names(draw, 3, taken)
    (shaker,), hands, levels = _names(draw, 1, taken), _names(draw, 2, taken), _names(draw, 3, taken)
    init = [f"stands {one}" for one in [shaker, *shots]] + [f"clean {one}" for one in [shaker, *shots]]
    init += [f"void {one}" for one in [shaker, *shots]] + [f"idle {one}" for one in hands]
    init += [f"gives {tap} {what}" for tap, what in zip(taps, ingredients, strict=True)]
    init += [f"bottom {shaker} {levels[0]}", f"filled-to {shaker} {levels[0]}"]
    init += [f"below {a} {b}" for a, b in itertools.pairwise(levels)]
    goal = []
    for cocktail, shot in zip(cocktails, shots, strict=False):
        one, two = draw.sample(ingredients, 2)
        init += [f"first-part {cocktail} {one}", f"second-part {cocktail} {two}"]
        goal.append(f"holds {shot} {cocktail}")
    goal += [f"holds {shot} {draw.choice(ingredients)}" for shot in shots[mixed:size]]
    kinds = {"ingredient": ingredients, "cocktail": cocktails, "shot": shots, "shaker": [shaker]}
    kinds |= {"hand": hands, "level": levels, "dispenser": taps}
    return _problem("barman", kinds, init, goal)


def _tyreworld(size: int, draw: random.Random) -> str:
    taken: set[str] = set()
    hubs, nuts = _names(draw, size, taken), _names(draw, size, taken)
    old, spare = _names(draw, size, taken), _names(draw, size, taken)
    (boot,) = _names(draw, 1, taken)
    init = [f"inside {tool} {boot}" for tool in ("wrench", "jack", "pump")]
    init += [f"unlocked {boot}", f"{draw.choice(['shut', 'open'])} {boot}"]
    goal = []
    for hub, nut, wheel, new in zip(hubs, nuts, old, spare, strict=True):
        init += [f"on-ground {hub}", f"fastened {hub}", f"tight {nut} {hub}", f"mounted {wheel} {hub}"]
        init += [f"inside {new} {boot}", f"intact {new}", f"flat {new}"]
        goal += [f"mounted {new} {hub}", f"inflated {new}", f"tight {nut} {hub}", f"inside {wheel} {boot}"]
    goal += [f"inside {tool} {boot}" for tool in ("wrench", "jack", "pump")]
    return _problem(
        "tyreworld", {"hub": hubs, "nut": nuts, "wheel": [*old, *spare], "boot": [boot]}, init, goal
    )


_GENERATORS: dict[str, Callable[[int, random.Random], str]] = {
    "gripper": _gripper,
    "blockworld": _blockworld,
    "barman": _barman,
    "tyreworld": _tyreworld,
}
