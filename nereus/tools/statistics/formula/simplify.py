"""Simpler formulas that say the same: fewer terms, round thresholds and coefficients, levels joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nereus.tools.statistics.formula.expression import Binary, Column, Expression, Level, Number, Unary
from nereus.tools.statistics.formula.library import whole
from nereus.tools.statistics.formula.numeric import (
    Formula,
    IntArray,
    Problem,
    inside,
    judge,
    last_place,
    meets,
    sheet_values,
)
from nereus.tools.statistics.formula.pursuit import least_squares, most_rows
from nereus.tools.statistics.formula.sheet import FloatArray
from nereus.tools.statistics.formula.simple_number import simplest_between

_REACHES = (2.5, 4.5, 1.0)
"""Standard errors within which a coefficient may be replaced by a simpler number, in the order tried."""
_FELT = 1e-7
"""Standard deviations of the target that a term must move."""
_SLACK = 1.01
_FEWER = 0.02
_FARTHER = 4.0


def simplify(problem: Problem, formula: Formula) -> Formula:
    """Drop terms, move thresholds, round coefficients and join levels.

    A change is kept where neither the error on rows that were not fitted rises beyond its rounding, nor fewer of them
    are met exactly.
    """
    fit, choose = problem.rows(formula.expression().columns())
    inner = inside(problem.target, fit, formula.low, formula.high, formula.margin)
    current = _refit(problem, formula, inner, choose)
    if not _no_worse(current, formula):
        current = judge(problem, formula, choose)
    current = _drop(problem, current, inner, choose)
    current = _cut_better(problem, current, inner, choose)
    current = _round_weights(problem, current, inner, choose)
    current = _join_levels(problem, current, choose)
    current = _unbounded(problem, current, choose)
    place = {name: i for i, name in enumerate(problem.sheet.kinds)}
    ordered = sorted(
        current.terms, key=lambda term: ([place[name] for name in term[1].columns()], term[1].complexity())
    )
    return replace(current, terms=tuple(ordered))


def _unbounded(problem: Problem, formula: Formula, choose: IntArray) -> Formula:
    """Without a bound that no row needs."""
    current = formula
    for low, high in ((None, formula.high), (formula.low, None), (None, None)):
        freed = judge(problem, replace(current, low=low, high=high), choose)
        if freed != current and freed.error <= current.error and (freed.exact or not current.exact):
            current = freed
    return current


def _refit(problem: Problem, shape: Formula, fit: IntArray, choose: IntArray) -> Formula:
    """Coefficients of least squares, or those that meet most rows where that is what the formula does."""
    nodes = [node for _, node in shape.terms]
    values, target = sheet_values(problem.sheet.rows(fit), nodes), problem.target[fit]
    usable = np.isfinite(values).all(axis=1)
    if usable.sum() <= len(nodes) + 2:
        return shape
    solved, _ = least_squares(values[usable], target[usable])
    if not shape.exact and shape.stands:
        many = most_rows(values[usable], target[usable], solved)
        solved = solved if many is None else many
    felt = np.abs(solved[1:]) * values[usable].std(axis=0) > _FELT * target[usable].std()
    terms = tuple((float(w), node) for w, node, kept in zip(solved[1:], nodes, felt, strict=True) if kept)
    return judge(problem, replace(shape, constant=float(solved[0]), terms=terms), choose)


def _no_worse(new: Formula, old: Formula) -> bool:
    if old.exact:
        return new.exact
    if old.stands:
        return new.exact or new.matched >= old.matched - _FEWER
    return new.exact or new.error <= old.error * _SLACK


def _drop(problem: Problem, formula: Formula, fit: IntArray, choose: IntArray) -> Formula:
    current = formula
    for node in [node for _, node in formula.terms][::-1]:
        if len(current.terms) == 1:
            break
        fewer = replace(current, terms=tuple(term for term in current.terms if term[1] != node))
        tried = _refit(problem, fewer, fit, choose)
        if _no_worse(tried, current):
            current = tried
    return current


def _cut_better(problem: Problem, formula: Formula, fit: IntArray, choose: IntArray) -> Formula:
    """Move each threshold to the place that leaves least, and to the simplest number there."""
    sheet, target = problem.sheet.rows(fit), problem.target[fit]
    current = formula
    for step in dict.fromkeys(s for _, node in formula.terms for s in _steps(node)):
        if not isinstance(step.left, Column):
            continue
        values = np.unique(sheet.numbers[step.left.name])
        best: tuple[float, int] | None = None
        for at in range(len(values) - 1):
            moved = [_replaced(node, step, _moved(step, float(values[at]))) for _, node in current.terms]
            columns = sheet_values(sheet, moved)
            if not np.isfinite(columns).all():
                continue
            design = np.column_stack([np.ones(len(target)), columns])
            scale = np.maximum(np.abs(design).max(axis=0), 1e-300)
            solved = np.linalg.lstsq(design / scale, target, rcond=None)[0]
            left = float(np.abs(target - design / scale @ solved).sum())
            if best is None or left < best[0] * (1 - 1e-9):
                best = (left, at)
        if best is None:
            continue
        low, high = float(values[best[1]]), float(values[best[1] + 1])
        cut = low if whole(values) else simplest_between(low, low + (high - low) * (1 - 1e-9))
        terms = tuple((w, _replaced(node, step, _moved(step, cut))) for w, node in current.terms)
        tried = _refit(problem, replace(current, terms=terms), fit, choose)
        if _no_worse(tried, current):
            current = tried
    return current


def _steps(node: Expression) -> Iterator[Binary]:
    if isinstance(node, Binary) and node.operation == ">":
        yield node
    for child in node.children():
        yield from _steps(child)


def _moved(step: Binary, cut: float) -> Binary:
    return replace(step, right=Number(cut))


def _replaced(node: Expression, old: Expression, new: Expression) -> Expression:
    if node == old:
        return new
    if isinstance(node, Binary):
        return replace(node, left=_replaced(node.left, old, new), right=_replaced(node.right, old, new))
    if isinstance(node, Unary):
        return replace(node, of=_replaced(node.of, old, new))
    return node


def _round_weights(problem: Problem, formula: Formula, fit: IntArray, choose: IntArray) -> Formula:
    """One coefficient after the other becomes the simplest number its error allows; the others are fitted again."""
    nodes = [node for _, node in formula.terms]
    columns, target = sheet_values(problem.sheet.rows(fit), nodes), problem.target[fit]
    usable = np.isfinite(columns).all(axis=1)
    weights = np.array([w for w, _ in formula.terms])
    if not formula.exact and formula.stands:
        usable &= meets(formula.constant + columns @ weights, target)
    if usable.sum() <= len(nodes) + 2:
        return formula
    columns, target = columns[usable], target[usable]
    if formula.wrap == "truncate":
        target = target + 0.5 * np.sign(target)
    tried: list[Formula] = []
    for reach in _REACHES:
        weights = _simple_weights(columns, target, reach)
        rest = target - columns @ weights
        terms = tuple((float(w), node) for w, node in zip(weights, nodes, strict=True) if w != 0)
        for constant in _constants(rest, float(np.abs(target).max(initial=1.0)), reach):
            tried.append(judge(problem, replace(formula, constant=constant, terms=terms), choose))
        if any(one.exact for one in tried):
            break
    good = [one for one in tried if _no_worse(one, formula)]
    standing = [one for one in tried if one.stands and one.error <= _FARTHER * formula.error]
    if not formula.exact and not formula.stands and standing:
        return max(standing, key=lambda one: one.matched)
    return next((one for one in good if one.exact), good[0]) if good else formula


def _simple_weights(columns: FloatArray, target: FloatArray, reach: float) -> FloatArray:
    """The surest coefficient first becomes simple; the others are fitted again."""
    weights = np.zeros(columns.shape[1])
    waiting = list(range(columns.shape[1]))
    grain = last_place(target)
    while waiting:
        solved, error = least_squares(columns[:, waiting], target - columns @ weights)
        size = np.maximum(np.abs(solved[1:]), 1e-300)
        spread = np.maximum(reach * error[1:], 1e-7 * size)
        if grain:  # what rounding of the target alone allows
            spread = np.maximum(spread, 2 * grain / np.maximum(np.ptp(columns[:, waiting], axis=0), 1e-300))
        with np.errstate(over="ignore"):
            at = int(np.argmin(spread / size))
        middle, within = float(solved[1 + at]), float(spread[at])
        weights[waiting.pop(at)] = simplest_between(middle - within, middle + within)
    return weights


def _constants(rest: FloatArray, size: float, reach: float) -> list[float]:
    """Simple numbers near the mean, the mean, and the commonest value of what the terms leave."""
    middle = float(rest.mean())
    spread = max(reach * float(rest.std()) / np.sqrt(len(rest)), 1e-7 * size)
    values, count = np.unique(
        np.round(rest, 6 - int(np.floor(np.log10(max(size, 1e-300))))), return_counts=True
    )
    common = float(values[int(np.argmax(count))])
    near = simplest_between(common - 2e-6 * size, common + 2e-6 * size)
    return [simplest_between(middle - spread, middle + spread), middle, near]


def _join_levels(problem: Problem, formula: Formula, choose: IntArray) -> Formula:
    """Terms that differ only in the level of one category and have one coefficient become one term."""
    terms = formula.terms
    for i in range(len(terms)):
        for j in range(i):
            (w1, a), (w2, b) = terms[j], terms[i]
            if w1 != w2 or (joined := _joined(a, b)) is None:
                continue
            kept = (*terms[:j], (w1, joined), *terms[j + 1 : i], *terms[i + 1 :])
            tried = judge(problem, replace(formula, terms=kept), choose)
            if _no_worse(tried, formula):
                return _join_levels(problem, tried, choose)
    return formula


def _joined(a: Expression, b: Expression) -> Expression | None:
    if isinstance(a, Level) and isinstance(b, Level):
        return Level(a.name, tuple(sorted({*a.levels, *b.levels}))) if a.name == b.name else None
    if isinstance(a, Binary) and isinstance(b, Binary) and a.operation == b.operation == "*":
        if a.left == b.left and (right := _joined(a.right, b.right)) is not None:
            return replace(a, right=right)
        if a.right == b.right and (left := _joined(a.left, b.left)) is not None:
            return replace(a, left=left)
    return None
