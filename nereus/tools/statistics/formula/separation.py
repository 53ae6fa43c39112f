"""A weighted sum of columns that parts classes: largest margin with small weights, then simple numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

from nereus.tools.statistics.formula.expression import (
    Binary,
    Column,
    Expression,
    Level,
    Unary,
    level_values,
    weighted_sum,
)
from nereus.tools.statistics.formula.sheet import FloatArray, Kind, Sheet
from nereus.tools.statistics.formula.simple_number import simplest_between

IntArray = npt.NDArray[np.intp]
_MOST_MULTIPLIED = 5
_MOST_CUBED = 3
_MOST_WEIGHED = 12
_DIGITS = (1, 2, 3, 4)
_SOFT = 1.0
"""Price of a unit of weight beside a row that is a unit on the wrong side."""
_SECONDS = 2.0


@dataclass(frozen=True)
class Score:
    """A sum whose value orders the classes.

    Attributes
    ----------
    node
        The sum.
    order
        Classes from the least to the greatest value.
    cuts
        Values between neighbours, one fewer than classes; a class begins above its cut.
    """

    node: Expression
    order: tuple[int, ...]
    cuts: tuple[float, ...]


def features(sheet: Sheet, names: Sequence[str]) -> Iterator[list[tuple[Expression, FloatArray]]]:
    """Sets of features to weigh, growing: columns, squares, products, cubes."""
    flat: list[tuple[Expression, FloatArray]] = [
        (Column(name), sheet.numbers[name])
        for name in names
        if sheet.kinds[name] in (Kind.NUMBER, Kind.BOOLEAN)
    ]
    numeric = [one for one in flat if isinstance(one[0], Column) and sheet.kinds[one[0].name] is Kind.NUMBER]
    levels: list[tuple[Expression, FloatArray]] = [
        (Level(name, (level,)), level_values(sheet.labels[name], (level,)))
        for name in names
        if sheet.kinds[name] is Kind.CATEGORY
        for level in sheet.levels(name)[:-1]
    ]
    if len(flat) > _MOST_WEIGHED:
        return
    if levels and len(flat) + len(levels) <= _MOST_WEIGHED:
        yield [*flat, *levels]
    if not numeric:
        return
    if len(flat) > 1:
        yield flat
    squares = [*flat, *((Unary("square", node), x * x) for node, x in numeric)]
    yield squares
    products = [
        *squares,
        *((Binary("*", a, b), x * y) for (a, x), (b, y) in combinations(flat, 2)),
    ]
    if 1 < len(flat) <= _MOST_MULTIPLIED:
        yield products
    if len(numeric) <= _MOST_CUBED and len(flat) <= _MOST_MULTIPLIED:
        yield [*products, *((Unary("cube", node), x**3) for node, x in numeric)]


def separate(
    made: Sequence[tuple[Expression, FloatArray]], classes: IntArray, *, soft: bool = False
) -> Score | None:
    """Weights under which the classes do not overlap, or None.

    Parameters
    ----------
    made
        Features and their values.
    classes
        Class of each row, from 0.
    soft
        Allow rows on the wrong side, as few and as little as can be.
    """
    X = np.stack([values for _, values in made], axis=1)
    centre, scale = X.mean(axis=0), X.std(axis=0)
    keep = np.flatnonzero(scale > 0)
    if not len(keep):
        return None
    Z = (X[:, keep] - centre[keep]) / scale[keep]
    k = int(classes.max()) + 1
    order = _order(Z, classes, k)
    weights = _program(Z, classes, order, soft)
    if weights is None:
        return None
    raw = weights / scale[keep]
    used = np.abs(weights) > (0.02 if soft else 1e-7) * np.abs(weights).max()
    return _simple([made[i] for i in keep[used]], raw[used], classes, order, soft)


def _order(Z: FloatArray, classes: IntArray, k: int) -> tuple[int, ...]:
    """Classes along the direction in which their means are most spread out."""
    if k == 2:
        return (0, 1)
    means = np.stack([Z[classes == c].mean(axis=0) for c in range(k)])
    within = np.cov((Z - means[classes]).T).reshape(Z.shape[1], Z.shape[1]) + 1e-6 * np.eye(Z.shape[1])
    offset = means - means.mean(axis=0)
    direction = np.linalg.solve(within, np.linalg.svd(offset)[2][0])
    along = offset @ direction
    return tuple(int(c) for c in np.argsort(along, kind="stable"))


def _program(Z: FloatArray, classes: IntArray, order: Sequence[int], soft: bool) -> FloatArray | None:
    """Linear programme: least sum of absolute weights with a margin of one at every cut."""
    n, p = Z.shape
    rank = np.empty(len(order), dtype=np.intp)
    rank[list(order)] = np.arange(len(order))
    place = rank[classes]
    rows, limits = [], []
    for cut in range(len(order) - 1):
        sign = np.where(place > cut, 1.0, -1.0)
        offsets = np.zeros((n, len(order) - 1))
        offsets[:, cut] = sign
        # sign * (z.w - b) >= 1
        rows.append(np.hstack([-sign[:, None] * Z, sign[:, None] * Z, offsets]))
        limits.append(np.full(n, -1.0))
    A, limit = np.vstack(rows), np.concatenate(limits)
    cost = np.concatenate([np.ones(2 * p), np.zeros(len(order) - 1)])
    ranges: list[tuple[float | None, float | None]] = [(0, None)] * (2 * p) + [(None, None)] * (
        len(order) - 1
    )
    if soft:  # one slack a row and cut
        m = len(limit)
        cost = np.concatenate([_SOFT * cost, np.ones(m)])
        A = sparse.hstack([sparse.csr_matrix(A), -sparse.identity(m)], format="csr")
        ranges = [*ranges, *([(0.0, None)] * m)]
    solved = linprog(
        cost, A_ub=A, b_ub=limit, bounds=ranges, method="highs", options={"time_limit": _SECONDS}
    )
    if not solved.success:
        return None
    return np.asarray(solved.x[:p] - solved.x[p : 2 * p])


def _simple(
    used: Sequence[tuple[Expression, FloatArray]],
    weights: FloatArray,
    classes: IntArray,
    order: tuple[int, ...],
    soft: bool,
) -> Score | None:
    """Weights relative to one of them, with as few digits as keep the classes apart, or lose next to nothing."""
    if len(weights) == 0:
        return None
    values = np.stack([x for _, x in used], axis=1)
    allowed = 0
    if soft:
        allowed = _cuts(values @ weights, classes, order)[1] + max(1, len(classes) // 200)
    for digits in _DIGITS:
        for anchor in np.argsort(np.abs(weights), kind="stable"):
            rounded = np.array([_significant(w, digits) for w in weights / abs(weights[anchor])])
            cuts, wrong = _cuts(values @ rounded, classes, order)
            if wrong > allowed:
                continue
            terms = [(float(w), node) for w, (node, _) in zip(rounded, used, strict=True)]
            positive = next((i for i, (w, _) in enumerate(terms) if w > 0), 0)
            terms.insert(0, terms.pop(positive))
            return Score(weighted_sum(0.0, terms), order, cuts)
    return None


def _significant(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _cuts(score: FloatArray, classes: IntArray, order: Sequence[int]) -> tuple[tuple[float, ...], int]:
    """Simplest cut at each place where least rows are on the wrong side, and how many are wrong over all."""
    rank = np.empty(len(order), dtype=np.intp)
    rank[list(order)] = np.arange(len(order))
    place = rank[classes]
    sorted_ = np.argsort(score, kind="stable")
    values, wrong, cuts = score[sorted_], 0, []
    grain = 1e-9 * max(1.0, float(np.abs(values).max()))
    for cut in range(len(order) - 1):
        above = (place[sorted_] > cut).astype(np.intp)
        # cutting after position i leaves the high ones before it and the low ones behind it on the wrong side
        errors = np.cumsum(above)[:-1] + (np.cumsum((1 - above)[::-1])[::-1])[1:]
        errors = np.where(np.diff(values) > grain, errors, len(values))
        at = int(np.argmin(errors))
        wrong += int(errors[at])
        low, high = float(values[at]), float(values[at + 1])
        cuts.append(simplest_between(low + grain / 4, high - grain / 4))
    return tuple(cuts), wrong
