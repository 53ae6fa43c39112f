"""Countdown: make the target of all numbers, each used once. A step combines two of them.

The rules are exact (fractions, never floats), and `solutions_exist` is a solver of its own that no policy or value sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import combinations_with_replacement
from math import log
from typing import Any, ClassVar

import numpy as np

from nereus.agents.reasoner.problem import Problem, State, Turn
from nereus.agents.reasoner.tasks.rational import SIGNS, Number, combinations, text, value
from nereus.errors import InputError
from nereus.models.language.cpl.choices import Described

Numbers = tuple[Number, ...]
"""What is left, sorted by value."""

TARGET = 24
SLOTS = 4
"""Numbers at the start, which is how many slots a network reads."""
_LOW, _HIGH = -24, 170
"""Whole numbers from here to here have symbols of their own; 0 is an empty slot, 1 any other number."""
VOCABULARY = _HIGH - _LOW + 3 + 4
"""Symbols: empty, other, whole numbers, four signs."""


def solutions_exist(numbers: Sequence[int], target: int = TARGET) -> bool:
    """Whether the target can be made of all numbers, by trying everything exactly."""
    return _reaches(tuple(sorted(((n, 1) for n in numbers), key=value)), (target, 1))


def solutions_left(state: State, target: int = TARGET) -> bool:
    """Whether the target can still be made after a prefix, by the same solver."""
    return _reaches(_read(state)[0], (target, 1))


def solvable(low: int = 1, high: int = 13, count: int = SLOTS, target: int = TARGET) -> list[tuple[int, ...]]:
    """All multisets of `count` whole numbers from `low` to `high` of which the target can be made, sorted."""
    return [
        m for m in combinations_with_replacement(range(low, high + 1), count) if solutions_exist(m, target)
    ]


def split(seed: int, train: int, test: int, target: int = TARGET) -> tuple[list[Countdown], list[Countdown]]:
    """Problems to train on and problems to test on, of solvable multisets; none is in both.

    Raises
    ------
    InputError
        There are not so many solvable multisets.
    """
    known = _solvable(target)
    if train + test > len(known):
        raise InputError(
            f"{train} + {test} problems are asked of {len(known)} solvable ones",
            where="countdown",
            mend="ask fewer",
        )
    order = np.random.default_rng(seed).permutation(len(known))
    problems = [Countdown(known[i], target) for i in order[: train + test]]
    return problems[:train], problems[train:]


class Countdown(Problem):
    """Make `target` of all numbers.

    Parameters
    ----------
    numbers
        Whole numbers; more than `SLOTS` can be searched, but not learned from.
    target
        What is to be made: a whole number above 0.

    Raises
    ------
    InputError
        There are fewer than two numbers, one is not whole, or the target is not above 0.
    """

    name: ClassVar[str] = "countdown"

    def __init__(self, numbers: Sequence[int], target: int = TARGET) -> None:
        if len(numbers) < 2:
            raise InputError(
                f"{list(numbers)} are too few numbers", where="countdown", mend="give two or more"
            )
        if broken := [n for n in (*numbers, target) if n != int(n)]:
            raise InputError(
                f"{broken[0]} is no whole number",
                where="countdown",
                mend="multiply all of them, or leave it out",
            )
        if target < 1:
            raise InputError(f"the target is {target}", where="countdown", mend="take a whole number above 0")
        self.numbers = tuple(sorted(int(n) for n in numbers))
        self.target = int(target)
        self.max_depth = len(self.numbers) - 1

    @property
    def question(self) -> str:
        """See `Problem`."""
        return f"make {self.target} of {' '.join(map(str, self.numbers))}"

    def start(self) -> State:
        """See `Problem`."""
        left: Numbers = tuple((n, 1) for n in self.numbers)
        return (left, ())

    def moves(self, state: State) -> Sequence[str]:
        """See `Problem`."""
        left, _ = _read(state)
        return tuple(_combinations(left))

    def play(self, state: State, step: str) -> Turn:
        """See `Problem`."""
        left, steps = _read(state)
        found = _combinations(left).get(step)
        if found is None:
            return Turn(
                state, ended=True, reward=-1.0, violation=f"{step!r} does not combine two of the numbers left"
            )
        after = found[2]
        made = (after, (*steps, step))
        if len(after) > 1:
            return Turn(made)
        return Turn(made, ended=True, reward=1.0 if after[0] == (self.target, 1) else -1.0)

    def prompt(self, state: State) -> str:
        """See `Problem`."""
        left, steps = _read(state)
        told = "".join(f"{step}; " for step in steps)
        return f"{self.question}: {told}left {' '.join(map(text, left))}:"

    def describe(self, state: State, moves: Sequence[str]) -> Described:
        """See `Problem`."""
        left, _ = self._describable(state)
        features, tokens = _described(left, self.target)
        known = _combinations(left)
        if len(moves) == len(known) and all(a == b for a, b in zip(moves, known, strict=True)):
            return Described(features, tokens)
        places = {step: i for i, step in enumerate(known)}
        rows = [places[step] for step in moves]
        return Described(features[rows], tokens[rows])

    def describe_state(self, state: State) -> Described:
        """See `Problem`."""
        left, _ = self._describable(state)
        features, tokens = _prefix(left, self.target)
        return Described(features, tokens)

    def _describable(self, state: State) -> tuple[Numbers, tuple[str, ...]]:
        if len(self.numbers) > SLOTS:
            raise InputError(
                f"{len(self.numbers)} numbers are more than the {SLOTS} that steps are described of",
                where="countdown",
                mend="search without a learned policy, or take fewer numbers",
            )
        return _read(state)

    def dump(self, state: State) -> Any:
        """See `Problem`."""
        left, steps = _read(state)
        return [[list(n) for n in left], list(steps)]


# ------------------------------------------------------------------------------------------------------------ rules


def _read(state: State) -> tuple[Numbers, tuple[str, ...]]:
    assert isinstance(state, tuple)
    return state


@lru_cache(maxsize=200_000)
def _combinations(left: Numbers) -> dict[str, tuple[str, Number, Numbers]]:
    """Every step that combines two of the numbers -> its sign, its result and what is left after it, in a fixed order."""
    found: dict[str, tuple[str, Number, Numbers]] = {}
    for i in range(len(left)):
        for j in range(i + 1, len(left)):
            rest = left[:i] + left[i + 1 : j] + left[j + 1 :]
            for a, sign, b, made in combinations(left[j], left[i]):
                after = tuple(sorted((*rest, made), key=value))
                found[f"{text(a)}{sign}{text(b)}={text(made)}"] = (sign, made, after)
    return found


@lru_cache(maxsize=500_000)
def _reaches(left: Numbers, target: Number) -> bool:
    if len(left) == 1:
        return left[0] == target
    return any(_reaches(after, target) for after in {after for _, _, after in _combinations(left).values()})


@cache
def _solvable(target: int) -> tuple[tuple[int, ...], ...]:
    return tuple(solvable(target=target))


# ------------------------------------------------------------------------------------------------------ description


def _symbol(number: Number) -> int:
    if number[1] != 1 or not _LOW <= number[0] <= _HIGH:
        return 1
    return number[0] - _LOW + 2


@lru_cache(maxsize=100_000)
def _described(left: Numbers, target: int) -> tuple[np.ndarray, np.ndarray]:
    rows, tokens = [], []
    for sign, result, after in _combinations(left).values():
        rows.append(_features(sign, result, after, target))
        slots = [_symbol(n) for n in after] + [0] * (SLOTS - 1 - len(after))
        tokens.append([*slots, VOCABULARY - 4 + SIGNS.index(sign)])
    return np.asarray(rows), np.asarray(tokens, dtype=np.int64)


def _features(sign: str, result: Number, after: Numbers, target: int) -> list[float]:
    """Of one step: what a person sees at a glance in its result, told apart by how many numbers are left."""
    size = value(result)
    whole = result[1] == 1
    glance = [
        float(whole),
        float(size < 0),
        float(size == 0),
        float(size == 1),
        float(size == target),
        float(whole and abs(size) > 1 and target % abs(result[0]) == 0),
        float(whole and size != 0 and result[0] % target == 0),
        min(abs(size - target) / target, 3.0),
        min(log(1 + abs(size)), 6.0) / 3.0,
    ]
    signs = [float(sign == one) for one in SIGNS]
    stage = len(after)
    return [
        *signs,
        *glance,
        *(x * (stage == 1) for x in glance[4:8]),
        *(x * (stage == 2) for x in (*signs, *glance[:1], *glance[4:8])),
    ]


@lru_cache(maxsize=200_000)
def _prefix(left: Numbers, target: int) -> tuple[np.ndarray, np.ndarray]:
    values = [value(n) for n in left]
    whole = [n[1] == 1 for n in left]
    divides = [w and abs(n[0]) > 1 and target % abs(n[0]) == 0 for n, w in zip(left, whole, strict=True)]
    features = [
        *(float(len(left) == k) for k in (2, 3, 4)),
        float(np.mean(whole)),
        float(np.mean([v < 0 for v in values])),
        float(np.mean([v == 0 for v in values])),
        float(np.mean([v == 1 for v in values])),
        float(target in values),
        float(np.mean(divides)),
        min(max(abs(v) for v in values) / target, 6.0),
        min(abs(sum(values) - target) / target, 4.0),
        float(len(set(values)) < len(values)),
    ]
    slots = [_symbol(n) for n in left] + [0] * (SLOTS - len(left))
    return np.asarray([features]), np.asarray([slots], dtype=np.int64)
