"""Conditions that rows of a class all meet: thresholds on columns, products, ratios, sums and differences, and categories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.formula.expression import (
    Binary,
    Column,
    Expression,
    Level,
    Number,
    Unary,
    level_values,
)
from nereus.tools.statistics.formula.library import whole
from nereus.tools.statistics.formula.sheet import FloatArray, Kind, Sheet
from nereus.tools.statistics.formula.simple_number import simplest_between

BoolArray = npt.NDArray[np.bool_]

_MOST_CONDITIONS = 4
_WIDTH = 24


@dataclass(frozen=True)
class Quantity:
    """Something that can be cut: a number made of columns, or a yes-or-no answer."""

    node: Expression
    values: FloatArray
    cost: float
    answer: bool


def quantities(sheet: Sheet, names: Sequence[str], *, pairs: bool) -> list[Quantity]:
    """Columns, and, with `pairs`, products, ratios, sums, differences and sums with a square of two numbers."""
    made: list[Quantity] = []
    numeric = [name for name in names if sheet.kinds[name] is Kind.NUMBER]
    for name in names:
        if sheet.kinds[name] is Kind.NUMBER:
            made.append(Quantity(Column(name), sheet.numbers[name], 1.0, answer=False))
        elif sheet.kinds[name] is Kind.BOOLEAN:
            made.append(Quantity(Column(name), sheet.numbers[name], 1.0, answer=True))
        elif sheet.kinds[name] is Kind.CATEGORY:
            made += [
                Quantity(Level(name, (one,)), level_values(sheet.labels[name], (one,)), 1.0, answer=True)
                for one in sheet.levels(name)
            ]
    if pairs:
        with np.errstate(all="ignore"):  # what leaves the range of numbers is left out
            for a, b in combinations(numeric, 2):
                made += _pairs(a, b, sheet.numbers[a], sheet.numbers[b])
    return [one for one in made if np.isfinite(one.values).all() and np.ptp(one.values) > 0]


def _pairs(a: str, b: str, x: FloatArray, y: FloatArray) -> Iterator[Quantity]:
    one, two = Column(a), Column(b)
    yield Quantity(Binary("*", one, two), x * y, 2.2, answer=False)
    yield Quantity(Binary("+", one, two), x + y, 2.3, answer=False)
    yield Quantity(Binary("-", one, two), x - y, 2.3, answer=False)
    for top, below, t, u in ((one, two, x, y), (two, one, y, x)):
        if (u != 0).all():
            yield Quantity(Binary("/", top, below), t / u, 2.2, answer=False)
        square = Unary("square", top)
        yield Quantity(Binary("+", square, below), t * t + u, 2.6, answer=False)
        yield Quantity(Binary("-", square, below), t * t - u, 2.6, answer=False)


def conjunction(options: Sequence[Quantity], wanted: BoolArray) -> Expression | None:
    """The simplest few conditions that all wanted rows meet and no other row meets; None where there are none.

    Parameters
    ----------
    options
        What can be cut.
    wanted
        Rows of the class, shape (rows,).
    """
    if not wanted.any() or wanted.all():
        return None
    others = ~wanted
    found = [cut for option in options for cut in _cuts(option, wanted)]
    found.sort(key=lambda one: (one.cost, -int(one.excludes.sum())))
    beam: list[tuple[float, int, tuple[int, ...], BoolArray]] = [
        (0.0, 0, (), np.zeros(int(others.sum()), dtype=bool))
    ]
    best: tuple[float, tuple[int, ...]] | None = None
    for _ in range(_MOST_CONDITIONS):
        grown: dict[frozenset[int], tuple[float, int, tuple[int, ...], BoolArray]] = {}
        for cost, _, chosen, covered in beam:
            for at, cut in enumerate(found):
                more = covered | cut.excludes
                gained = int(more.sum()) - int(covered.sum())
                if gained == 0:
                    continue
                total = cost + cut.cost
                if more.all():
                    if best is None or total < best[0]:
                        best = (total, (*chosen, at))
                elif (key := frozenset((*chosen, at))) not in grown:
                    grown[key] = (total, -int(more.sum()), (*chosen, at), more)
        # few rows left to exclude counts, and so does simplicity
        beam = sorted(
            grown.values(), key=lambda one: (one[1] / max(int(others.sum()), 1) + 0.05 * one[0], one[2])
        )[:_WIDTH]
        if best is not None or not beam:
            break
    if best is None:
        return None
    picked = [found[at] for at in best[1]]
    for at, one in enumerate(picked):
        left = ~np.logical_or.reduce(
            [other.excludes for other in picked[:at] + picked[at + 1 :]]
            or [np.zeros(int(others.sum()), dtype=bool)]
        )
        picked[at] = _loosened(one, wanted, left)
    node = picked[0].node
    for one in picked[1:]:
        node = Binary("and", node, one.node)
    return node


@dataclass(frozen=True)
class _Cut:
    node: Expression
    excludes: BoolArray
    """Which of the other rows do not meet it."""
    cost: float
    option: Quantity


def _cuts(option: Quantity, wanted: BoolArray) -> Iterator[_Cut]:
    mine, others = option.values[wanted], option.values[~wanted]
    if option.answer:
        if (mine == 1).all() and (others == 0).any():
            yield _Cut(option.node, others == 0, option.cost, option)
        elif (mine == 0).all() and (others == 1).any():
            yield _Cut(Unary("not", option.node), others == 1, option.cost + 0.1, option)
        return
    integral = whole(option.values)
    low, high = float(mine.min()), float(mine.max())
    if (below := others < low).any():
        last = float(others[below].max())
        cut = between(last, low, integral)
        yield _Cut(Binary(">", option.node, Number(cut)), below, option.cost, option)
    if (above := others > high).any():
        first = float(others[above].min())
        cut = between(high, first, integral)
        yield _Cut(Binary("<=", option.node, Number(cut)), above, option.cost, option)


def _loosened(one: _Cut, wanted: BoolArray, left: BoolArray) -> _Cut:
    """The simplest threshold that still parts the class from the rows that no other condition excludes."""
    if not isinstance(one.node, Binary):
        return one
    mine, others = one.option.values[wanted], one.option.values[~wanted]
    above = one.node.operation == ">"
    near = others[left & (others < mine.min() if above else others > mine.max())]
    if not len(near):
        return one
    low, high = (near.max(), mine.min()) if above else (mine.max(), near.min())
    number = between(float(low), float(high), whole(one.option.values))
    node = Binary(one.node.operation, one.option.node, Number(number))
    excludes = others <= number if above else others > number
    return _Cut(node, excludes, one.cost, one.option)


def between(low: float, high: float, integral: bool) -> float:
    """The simplest number at or above `low` and below `high`."""
    if integral:
        return simplest_between(low, max(low, high - 1))
    return simplest_between(low, low + (high - low) * (1 - 1e-9))
