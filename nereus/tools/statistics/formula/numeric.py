"""A closed formula for a number: sparse sums of terms, held between bounds where the data are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.formula.expression import (
    Clip,
    Expression,
    Unary,
    apply_unary,
    weighted_sum,
)
from nereus.tools.statistics.formula.library import Library, build, whole
from nereus.tools.statistics.formula.pursuit import Support, beam_pursuit, least_squares, most_rows
from nereus.tools.statistics.formula.sheet import FloatArray, Sheet

IntArray = npt.NDArray[np.intp]

EXACT = 1e-6
"""Share of the variance on rows that were not fitted below which a formula can count as exact."""
MATCHED = 0.3
"""Share of rows that a formula meets to the last digit from which it stands, whatever the other rows are."""
_MOST = 0.6
_EXACT_ROWS = 0.99
_SEARCH_ENOUGH = 1e-13
_AT_BOUND = 0.015
_LEAST_AT_BOUND = 5
_MARGIN = 0.05
"""Share of the target's range next to a bound that is left out where noise was added to what stands at the bound."""
_NEAR_BOUND = 0.12
_TELLING_DIGITS = 1e-4
"""Share of the variance that rounding must take for a formula to say that its value is rounded."""
_FEW_STEPS = 20
_LEAST_ROWS = 20
_LEAST_INSIDE = 12
_WIDTH, _DEPTH, _BRANCHES = 8, 14, 6
_TRIED_PER_SIZE = 3
_RELATIVE = 1e-6
_MATCHED_ERROR = 6.0
"""Times the least error of all formulas that one may leave that meets many rows exactly."""
_MOST_SIMPLE = 300


@dataclass(frozen=True)
class Formula:
    """A formula for a number.

    Attributes
    ----------
    constant, terms
        The sum: a constant, and (coefficient, node).
    low, high
        Bounds at which the target stops, or None.
    margin
        Width beside the bounds in which rows are not fitted, because noise was added to what stands there.
    wrap
        ``truncate`` or ``round`` where the target is a whole number of the sum, ``round to 3`` where it is given with so
        many decimal places, else None.
    outer
        Function of the whole, such as ``sqrt`` or ``exp``, or None: the sum then stands for its inverse of the target.
    error
        Share of the target's variance left on the rows that chose between formulas.
    matched
        Share of those rows that are met to the last digit; rows at the bounds, or at the commonest value, do not count
        unless there are no others.
    criterion
        Extended Bayesian information criterion on all rows.
    """

    constant: float
    terms: tuple[tuple[float, Expression], ...]
    low: float | None = None
    high: float | None = None
    margin: float = 0.0
    wrap: str | None = None
    outer: str | None = None
    error: float = float("inf")
    matched: float = 0.0
    criterion: float = float("inf")

    @property
    def exact(self) -> bool:
        """Whether nothing but rounding is left."""
        return self.error <= 0.01 and (
            self.matched >= 1.0 or (self.matched >= _EXACT_ROWS and self.error <= EXACT)
        )

    @property
    def stands(self) -> bool:
        """Whether more rows are met exactly than chance can explain, whatever the others are."""
        return (self.matched >= MATCHED and self.error <= 0.1) or (
            self.matched >= _MOST and self.error <= 0.5
        )

    def expression(self) -> Expression:
        """As one tree."""
        tree = weighted_sum(self.constant, self.terms)
        if self.wrap is not None:
            tree = Unary(self.wrap, tree)
        if self.low is not None or self.high is not None:
            tree = Clip(tree, self.low, self.high)
        return tree if self.outer is None else Unary(self.outer, tree)

    def cost(self) -> float:
        """Complexity, for choosing between formulas that fit alike."""
        return float(self.expression().complexity())


@dataclass(frozen=True)
class Problem:
    """A sheet, a target, and rows to fit and to choose with.

    Attributes
    ----------
    sheet
        Columns.
    target
        Shape (rows,); NaN is missing.
    fit, choose
        Row numbers, apart from each other.
    """

    sheet: Sheet
    target: FloatArray
    fit: IntArray
    choose: IntArray

    def rows(self, names: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Rows to fit and to choose with in which nothing is missing."""
        seen = self.sheet.known(names) & np.isfinite(self.target)
        return self.fit[seen[self.fit]], self.choose[seen[self.choose]]


def fit_number(problem: Problem, names: Sequence[str], *, most_terms: int) -> list[Formula]:
    """Formulas over some columns, best first; empty where there are too few complete rows.

    Parameters
    ----------
    problem
        Data.
    names
        Columns that may enter.
    most_terms
        Size of the library of candidate terms.
    """
    fit, choose = problem.rows(names)
    if len(fit) < _LEAST_ROWS or len(choose) < 5 or np.ptp(problem.target[fit]) == 0:
        return []
    found: list[Formula] = []
    for low, high, margin in bounds(problem.target[fit]):
        inner = inside(problem.target, fit, low, high, margin)
        if len(inner) < _LEAST_INSIDE or np.ptp(problem.target[inner]) == 0:
            continue
        both = np.concatenate([inner, inside(problem.target, choose, low, high, margin)])
        moduli = _moduli(problem.target[fit])
        library = build(problem.sheet.rows(both), names, most=most_terms, moduli=moduli)
        if not library.terms:
            continue
        price = 2.0 * float(np.log(max(len(library.terms), 2)))
        for candidates in (library.simple(_MOST_SIMPLE), library):
            shape = Formula(0.0, (), low, high, margin)
            found += _search(problem, candidates, inner, both, choose, shape, price)
            if any(one.exact for one in found):
                break
        if any(one.exact for one in found):
            break
    return ranked(found)


def ranked(formulas: Sequence[Formula]) -> list[Formula]:
    """Exact ones first, the simplest first; then those that meet many rows exactly; then by information criterion."""
    least = min((one.error for one in formulas), default=1.0)

    def key(formula: Formula) -> tuple[int, float]:
        if formula.exact:
            return 0, formula.cost()
        if formula.stands and formula.error <= _MATCHED_ERROR * max(least, EXACT):
            return 1, 0.01 * formula.cost() - formula.matched
        return 2, formula.criterion

    return sorted(formulas, key=key)


def bounds(target: FloatArray) -> list[tuple[float | None, float | None, float]]:
    """The least and greatest value where many rows stand at them, as measurements that saturate; then no bounds.

    The third number is the width beside the bounds whose rows are left out: 0, or a share of the range where many
    rows crowd there, as when noise is added to what has saturated.
    """
    low, high = float(target.min()), float(target.max())
    least = max(_LEAST_AT_BOUND, _AT_BOUND * len(target))
    at_low, at_high = (target == low).sum() >= least, (target == high).sum() >= least
    options: list[tuple[float | None, float | None, float]] = []
    n_values = len(np.unique(target))
    margin = _MARGIN * (high - low)
    near_low = (target <= low + margin).mean() >= _NEAR_BOUND
    near_high = (target >= high - margin).mean() >= _NEAR_BOUND
    if n_values > _FEW_STEPS and (near_low or near_high):
        options.append((low if near_low else None, high if near_high else None, margin))
    options.append((None, None, 0.0))
    if n_values <= 3:
        return options
    if at_low:
        options.append((low, None, 0.0))
    if at_high:
        options.append((None, high, 0.0))
    if at_low and at_high:
        options.append((low, high, 0.0))
    return options[::-1]


def inside(
    target: FloatArray, rows: IntArray, low: float | None, high: float | None, margin: float = 0.0
) -> IntArray:
    """Rows whose target is strictly between the bounds, and not within the margin of one."""
    values = target[rows]
    kept = np.ones(len(rows), dtype=bool)
    if low is not None:
        kept &= values > low + margin
    if high is not None:
        kept &= values < high - margin
    return rows[kept]


def _moduli(target: FloatArray) -> list[int]:
    """Divisors whose remainders could be the target: the first and the first round number beyond it."""
    if not whole(target) or target.min() < 0 or not 2 <= target.max() <= 1000:
        return []
    first = int(target.max()) + 1
    return sorted({first, -(-first // 5) * 5, -(-first // 10) * 10})


def _search(
    problem: Problem,
    library: Library,
    inner: IntArray,
    both: IntArray,
    choose: IntArray,
    shape: Formula,
    price: float,
) -> Iterator[Formula]:
    target, n_fit = problem.target[both], len(inner)
    kept = np.arange(n_fit)
    for turn in range(2):
        stale, best = 0, np.inf
        done: dict[int, int] = {}
        worst: FloatArray | None = None
        for support in _supports(library, target, kept):
            size = len(support.terms)
            if done.get(size, 0) >= _TRIED_PER_SIZE:
                continue
            done[size] = done.get(size, 0) + 1
            nodes = [library.terms[i] for i in support.terms]
            for formula, off in _fitted(
                problem, nodes, library.values[:, support.terms], inner, both, choose, shape, price
            ):
                yield formula
                if formula.criterion < best:
                    best, stale = formula.criterion, 0
                    worst = off
                if formula.exact:
                    return
            stale += 1
            if stale > 4 * _TRIED_PER_SIZE:
                break
        if turn or worst is None:
            return
        # A second search without the rows that are far off: a few wrong ones may hide the formula of the others.
        middle = float(np.median(np.abs(worst[:n_fit])))
        fewer = np.flatnonzero(np.abs(worst[:n_fit]) <= 5.0 * max(middle, 1e-12))
        if len(fewer) == n_fit or len(fewer) < 0.6 * n_fit:
            return
        kept = fewer


def _supports(library: Library, target: FloatArray, kept: IntArray) -> list[Support]:
    return beam_pursuit(
        library.values[kept],
        target[kept],
        library.cost,
        width=_WIDTH,
        depth=_DEPTH,
        branches=_BRANCHES,
        enough=_SEARCH_ENOUGH,
    )


def _fitted(
    problem: Problem,
    nodes: Sequence[Expression],
    values: FloatArray,
    inner: IntArray,
    both: IntArray,
    choose: IntArray,
    shape: Formula,
    price: float,
) -> Iterator[tuple[Formula, FloatArray]]:
    """The terms with coefficients of least squares, and with those that meet most rows."""
    target = problem.target[both]
    n_fit = len(inner)
    plain, _ = least_squares(values[:n_fit], target[:n_fit])
    options = [plain]
    if (many := most_rows(values[:n_fit], target[:n_fit], plain)) is not None:
        options.append(many)
    for solved in options:
        terms = tuple((float(w), node) for w, node in zip(solved[1:], nodes, strict=True))
        formula = judge(problem, replace(shape, constant=float(solved[0]), terms=terms), choose)
        yield (
            replace(formula, criterion=criterion(problem, formula, price)),
            target - solved[0] - values @ solved[1:],
        )


def criterion(problem: Problem, formula: Formula, price: float) -> float:
    """Extended Bayesian information criterion (Chen and Chen 2008) over all rows, bounds in force."""
    fit, choose = problem.rows(formula.expression().columns())
    rows = np.concatenate([fit, choose])
    error = max(
        _scored(formula, formula.expression().evaluate(problem.sheet.rows(rows)), problem.target[rows]).error,
        1e-13,
    )
    size = len(formula.terms) + 0.1 * formula.cost() + (formula.low is not None) + (formula.high is not None)
    return len(rows) * float(np.log(error)) + size * (float(np.log(max(len(rows), 2))) + price)


def judge(problem: Problem, formula: Formula, rows: IntArray) -> Formula:
    """The formula with its error on some rows, wrapped to whole numbers where that makes it exact."""
    observed = problem.target[rows]
    plain = replace(formula, wrap=None)
    tree = weighted_sum(formula.constant, formula.terms).evaluate(problem.sheet.rows(rows))
    best = _scored(plain, tree, observed)
    if not best.exact and len(observed) and whole(observed) and best.error < 0.05:
        # least squares on values that were cut off lies half a unit below what was cut
        for wrap, shift in (("truncate", 0.0), ("truncate", 0.5), ("round", 0.0)):
            shaped = replace(plain, wrap=wrap, constant=plain.constant + shift)
            scored = _scored(shaped, apply_unary(wrap, tree + shift), observed)
            if (scored.exact and not best.exact) or scored.error < 0.2 * best.error:
                best = scored
    digits = decimals(observed)
    if digits is not None and best.wrap is None and best.stands and best.error > _TELLING_DIGITS:
        shaped = replace(plain, wrap=f"round to {digits}")
        scored = _scored(shaped, apply_unary(f"round to {digits}", tree), observed)
        if scored.error < 0.2 * best.error:
            best = scored
    return best


def decimals(target: FloatArray) -> int | None:
    """Decimal places, from one to seven, with which all values are given; None for whole numbers and for more."""
    size = max(1.0, float(np.abs(target).max(initial=0.0)))
    for digits in range(8):
        if float(np.abs(target - np.round(target, digits)).max(initial=0.0)) <= 1e-10 * size:
            return digits or None
    return None


def last_place(target: FloatArray) -> float:
    """Half a unit of the last decimal place of values given with two to seven places; else 0."""
    digits = decimals(target)
    return 0.5 * 10.0**-digits if digits is not None and digits > 1 else 0.0


def meets(value: FloatArray, observed: FloatArray) -> npt.NDArray[np.bool_]:
    """Which values equal what was observed, but for rounding."""
    scale = np.maximum(np.abs(observed), 1e-9 * float(np.abs(observed).max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        return np.abs(observed - value) <= np.maximum(_RELATIVE * scale, 1.01 * last_place(observed))


def _scored(formula: Formula, value: FloatArray, observed: FloatArray) -> Formula:
    low = -np.inf if formula.low is None else formula.low
    high = np.inf if formula.high is None else formula.high
    value = np.clip(value, low, high)
    seen = np.isfinite(value)
    total = float(((observed - observed.mean()) ** 2).sum()) if len(observed) else 0.0
    if total <= 0 or seen.mean() < 0.9:
        return replace(formula, error=float("inf"), matched=0.0)
    error = float(((observed - value)[seen] ** 2).sum()) / total
    distinct, count = np.unique(observed, return_counts=True)
    telling = seen & (observed != distinct[int(np.argmax(count))])
    if formula.low is not None or formula.high is not None:
        telling &= (observed > distinct[0]) & (observed < distinct[-1])
    met = meets(value, observed)
    share = float(met[telling].mean()) if telling.any() else 0.0
    return replace(formula, error=error, matched=1.0 if met[seen].all() else min(share, 0.999))


def sheet_values(sheet: Sheet, nodes: Sequence[Expression]) -> FloatArray:
    """Values of nodes, shape (rows, nodes)."""
    if not nodes:
        return np.zeros((sheet.n_rows, 0))
    return np.stack([node.evaluate(sheet) for node in nodes], axis=1)
