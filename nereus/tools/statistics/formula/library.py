"""Candidate terms of a formula: powers, roots, logarithms, remainders, ratios, thresholds, and products of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from nereus.tools.statistics.formula.expression import (
    Binary,
    Column,
    Expression,
    Level,
    Number,
    Unary,
    apply_unary,
    level_values,
)
from nereus.tools.statistics.formula.sheet import FloatArray, Kind, Sheet

_DIVISORS = (2, 3, 4, 5, 7, 10)
_QUANTILES = (0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
_MOST_MULTIPLE = 3
_MOST_STEPS = 12
"""Whole numbers with at most so many different values have a threshold between any two."""
_CONSTANT = 1e-9
_LEAST_SIZE, _MOST_SIZE = 1e-120, 1e120
"""Squares of smaller and greater values leave the range of floating-point numbers."""
_MOST_SUMMED = 5
"""Numbers up to which functions of sums of two are searched: they are many."""


@dataclass(frozen=True)
class Atom:
    """A node with its values on the rows at hand."""

    node: Expression
    values: FloatArray
    cost: float


@dataclass(frozen=True)
class Library:
    """Candidate terms, the simpler ones first.

    Attributes
    ----------
    terms
        Nodes.
    values
        Their values, shape (rows, terms), finite.
    cost
        How much has to be said to write each, shape (terms,).
    """

    def simple(self, most: int) -> Library:
        """The columns themselves, conditions, and products of the two."""
        keep = [i for i, term in enumerate(self.terms) if all(_bare(part) for part in _factors(term))][:most]
        return Library([self.terms[i] for i in keep], self.values[:, keep], self.cost[keep])

    terms: list[Expression]
    values: FloatArray
    cost: FloatArray


def _factors(node: Expression) -> Iterator[Expression]:
    if isinstance(node, Binary) and node.operation == "*":
        yield from _factors(node.left)
        yield from _factors(node.right)
    else:
        yield node


def _bare(node: Expression) -> bool:
    return isinstance(node, Column | Level)


def atom(node: Expression, values: FloatArray) -> Atom:
    """A node with its values; conditions with a threshold cost one more, for the number in them."""
    return Atom(node, values, float(len(node.columns())) + 0.25 * node.complexity())


def powers(sheet: Sheet, name: str) -> list[Atom]:
    """A number and what is made of it alone."""
    x, node = sheet.numbers[name], Column(name)
    made = [
        atom(node, x),
        atom(Unary("square", node), x * x),
        atom(Unary("cube", node), x * x * x),
    ]
    low = float(x.min())
    if low >= 0:
        made.append(atom(Unary("sqrt", node), np.sqrt(x)))
        if low > 0:
            made.append(atom(Unary("log", node), np.log(x)))
        made.append(atom(Unary("log", Binary("+", node, Number(1.0))), np.log(x + 1)))
        made.append(atom(Binary("/", Number(1.0), Binary("+", node, Number(1.0))), 1.0 / (x + 1)))
    else:
        made.append(atom(Unary("abs", node), np.abs(x)))
    if (x != 0).all():
        made.append(atom(Binary("/", Number(1.0), node), 1.0 / x))
    if whole(x):
        made += [atom(Binary("%", node, Number(float(k))), np.mod(x, k)) for k in _DIVISORS if np.ptp(x) >= k]
    return made


def whole(x: FloatArray) -> bool:
    """Whether all values are whole numbers."""
    return bool((x == np.round(x)).all())


def conditions(sheet: Sheet, name: str) -> list[Atom]:
    """A Boolean, or each value of a category."""
    if sheet.kinds[name] is Kind.BOOLEAN:
        return [atom(Column(name), sheet.numbers[name])]
    labels = sheet.labels[name]
    return [atom(Level(name, (level,)), level_values(labels, (level,))) for level in sheet.levels(name)]


def thresholds(sheet: Sheet, name: str) -> list[Atom]:
    """Whether a number is above some of its values."""
    x = sheet.numbers[name]
    return [atom(Binary(">", Column(name), Number(cut)), (x > cut).astype(np.float64)) for cut in cuts(x)]


def cuts(x: FloatArray) -> list[float]:
    """Places at which a number is cut: between steps, or at quantiles."""
    steps = np.unique(x)
    if len(steps) <= _MOST_STEPS:
        return [float(value) for value in steps[:-1]]
    found = np.unique(np.quantile(x, _QUANTILES, method="lower"))
    return [float(value) for value in found if value < steps[-1]]


def build(sheet: Sheet, names: Sequence[str], *, most: int, moduli: Sequence[int] = ()) -> Library:
    """Terms over some columns, simplest first, at most `most` of them.

    Parameters
    ----------
    sheet
        Rows in which none of the columns is missing.
    names
        Columns.
    most
        Terms that are kept.
    moduli
        Divisors of remainders of sums of two whole numbers; none by default.
    """
    chosen: list[Atom] = []
    with np.errstate(all="ignore"):  # what leaves the range of numbers is left out
        for made in sorted(_all(sheet, names, moduli), key=lambda one: one.cost):
            if not np.isfinite(made.values).all():
                continue
            size = float(np.abs(made.values).max(initial=0.0))
            if not _LEAST_SIZE < size < _MOST_SIZE or float(made.values.std()) <= _CONSTANT * size:
                continue
            chosen.append(made)
            if len(chosen) == most:
                break
    if not chosen:
        return Library([], np.zeros((sheet.n_rows, 0)), np.zeros(0))
    values = np.stack([one.values for one in chosen], axis=1)
    _, first = np.unique(np.round((values - values.mean(0)) / values.std(0), 9), axis=1, return_index=True)
    keep = np.sort(first)
    return Library(
        [chosen[i].node for i in keep],
        np.ascontiguousarray(values[:, keep]),
        np.array([chosen[i].cost for i in keep]),
    )


def _times(*atoms: Atom) -> Atom:
    node, values = atoms[0].node, atoms[0].values
    for other in atoms[1:]:
        node, values = Binary("*", node, other.node), values * other.values
    return atom(node, values)


def _all(sheet: Sheet, names: Sequence[str], moduli: Sequence[int]) -> Iterator[Atom]:
    numeric = [name for name in names if sheet.kinds[name] is Kind.NUMBER]
    own = {name: powers(sheet, name) for name in numeric}
    lines = [own[name][0] for name in numeric]
    gates = {
        name: conditions(sheet, name) for name in names if sheet.kinds[name] in (Kind.BOOLEAN, Kind.CATEGORY)
    }
    steps = {name: thresholds(sheet, name) for name in numeric}
    for made in own.values():
        yield from made
    mixed = list(_mixed(lines, own))
    yield from mixed
    flat = [gate for made in gates.values() for gate in made]
    yield from flat
    yield from (step for made in steps.values() for step in made)
    for gate in flat:
        yield from (_times(gate, one) for made in own.values() for one in made[:6])
        yield from (_times(gate, one) for one in mixed)
    for rest in _remainders([line for line in lines if whole(line.values)], moduli):
        yield rest
        yield from (_times(gate, rest) for gate in flat)
    pairs = [_times(a, b) for one, other in combinations(gates.values(), 2) for a in one for b in other]
    yield from pairs
    yield from (_times(pair, line) for pair in pairs for line in lines)
    for one, two, three in combinations(gates.values(), 3):
        yield from (_times(a, b, c) for a in one for b in two for c in three)
    for name, made in steps.items():
        for step in made:
            yield from (_times(step, gate) for gate in flat)
            yield from (_times(step, line) for line in lines)
            yield _times(step, own[name][1])
            yield from (_times(step, gate, line) for gate in flat for line in lines)
    for one, other in combinations(steps.values(), 2):
        yield from (_times(a, b) for a in one for b in other)


def _mixed(lines: Sequence[Atom], own: dict[str, list[Atom]]) -> Iterator[Atom]:
    """Products and ratios of numbers."""
    for a, b in combinations(lines, 2):
        yield _times(a, b)
        for one, other in ((a, b), (b, a)):
            square = atom(Unary("square", one.node), apply_unary("square", one.values))
            yield _times(square, other)
            yield from _ratio(one, other)
            yield from _ratio(square, other)
            yield from _ratio(one, atom(Unary("square", other.node), other.values**2))
        if float(a.values.min()) >= 0 and float(b.values.min()) >= 0:
            root = _times(a, b)
            yield atom(Unary("sqrt", root.node), np.sqrt(root.values))
        square_a = atom(Unary("square", a.node), a.values**2)
        square_b = atom(Unary("square", b.node), b.values**2)
        yield _times(square_a, square_b)
        if len(lines) <= _MOST_SUMMED:
            yield from _of_sums(a, b)
    for a, b, c in combinations(lines, 3):
        yield _times(a, b, c)
        for one, two, other in ((a, b, c), (a, c, b), (b, c, a)):
            yield from _ratio(_times(one, two), other)
            if len(lines) <= _MOST_SUMMED:
                both = atom(Binary("+", one.node, two.node), one.values + two.values)
                yield from _ratio(other, both)


def _of_sums(a: Atom, b: Atom) -> Iterator[Atom]:
    """Functions of the sum and the difference of two numbers that are no sums themselves."""
    less = Binary("-", a.node, b.node)
    apart = a.values - b.values
    yield atom(Unary("abs", less), np.abs(apart))
    both, more = a.values + b.values, Binary("+", a.node, b.node)
    if float(both.min()) >= 0:
        yield atom(Unary("sqrt", more), np.sqrt(both))
        if float(both.min()) > 0:
            yield atom(Unary("log", more), np.log(both))
        yield atom(Unary("log", Binary("+", more, Number(1.0))), np.log(both + 1.0))
    total = atom(more, both)
    for part in (a, b):
        yield from _ratio(part, total)


def _remainders(lines: Sequence[Atom], moduli: Sequence[int]) -> Iterator[Atom]:
    """Remainders of small multiples of whole numbers and of sums of two of them."""
    for line in lines:
        for k in range(1, _MOST_MULTIPLE + 1):
            one = Binary("*", Number(float(k)), line.node) if k > 1 else line.node
            for m in moduli:
                yield atom(Binary("%", one, Number(float(m))), np.mod(k * line.values, m))
    for a, b in combinations(lines, 2):
        for j, k in product(range(1, _MOST_MULTIPLE + 1), repeat=2):
            one = Binary("*", Number(float(j)), a.node) if j > 1 else a.node
            two = Binary("*", Number(float(k)), b.node) if k > 1 else b.node
            for m in moduli:
                values = np.mod(j * a.values + k * b.values, m)
                yield atom(Binary("%", Binary("+", one, two), Number(float(m))), values)


def _ratio(above: Atom, below: Atom) -> Iterator[Atom]:
    if (below.values != 0).all():
        yield atom(Binary("/", above.node, below.node), above.values / below.values)
    if float(below.values.min()) >= 0:
        more = Binary("+", below.node, Number(1.0))
        yield atom(Binary("/", above.node, more), above.values / (below.values + 1.0))
