"""The search over sets of columns: those that a question names first, then those that trees use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.formula.expression import apply_unary
from nereus.tools.statistics.formula.numeric import Formula, Problem, fit_number, ranked
from nereus.tools.statistics.formula.rules import Classes, RuleList, fit_rules, number_labels
from nereus.tools.statistics.formula.sheet import FloatArray, LabelArray, Sheet
from nereus.tools.statistics.formula.simplify import simplify

IntArray = npt.NDArray[np.intp]

MENTIONED = 0.6
"""Share of a column's name that a question must have for the column to be tried first."""
_MOST_COLUMNS = 10
_FEW_VALUES = 8
_MANY_VALUES = 20
"""Different values from which a target may be a smooth function of a sum."""
_ADDED = (3, 6)
_ALONE = 6
_OFTEN = 0.75
_OUTER = {"sqrt": "square", "exp": "log", "reciprocal": "reciprocal"}
"""Functions of a whole sum, and what makes the sum of the target."""
_IN_FULL = 2
_MOST_BENT = 200
_SHORT = 5
_HALF = 0.5
_LEAST_GAIN = 1e-3
_ENOUGH = 1e-3
"""Share of the variance left at which no further columns are tried."""


@dataclass(frozen=True)
class Found:
    """The best formula or rules, the runners-up, and what was tried.

    Attributes
    ----------
    best
        A formula, rules, or None.
    others
        Other formulas or rules, the better first.
    tried
        Sets of columns in the order in which they were searched.
    """

    best: Formula | RuleList | None
    others: tuple[Formula | RuleList, ...]
    tried: tuple[tuple[str, ...], ...]


def column_sets(
    names: Sequence[str],
    mentioned: Mapping[str, float],
    importance: Mapping[str, float],
    seen_share: Mapping[str, float],
) -> Iterator[tuple[str, ...]]:
    """Sets of columns to search, each once; the order of the table does not matter.

    Parameters
    ----------
    names
        Columns that may enter.
    mentioned, importance
        How much the question names each, and how much a forest uses it.
    seen_share
        Share of the rows in which each is known: columns that no question names and that are often missing would
        leave few complete rows, and wait till last.
    """
    said = [name for name in names if mentioned[name] >= MENTIONED]
    said = sorted(said, key=lambda name: (-mentioned[name], name))[:_MOST_COLUMNS]
    used = sorted(
        (name for name in names if importance[name] > 0), key=lambda name: (-importance[name], name)
    )
    often = [name for name in used if seen_share[name] >= _OFTEN]
    sets = [said]
    if said:
        further = [name for name in often if name not in said]
        sets += [(said + further[:n])[:_MOST_COLUMNS] for n in _ADDED]
    sets += [often[:_ALONE], often[:_MOST_COLUMNS]]
    if len(often) < len(used):
        sets.append(used[:_ALONE])
    seen: set[frozenset[str]] = set()
    for one in sets:
        if one and frozenset(one) not in seen:
            seen.add(frozenset(one))
            yield tuple(sorted(one))


def search_number(
    sheet: Sheet,
    target: FloatArray,
    fit: IntArray,
    choose: IntArray,
    sets: Sequence[tuple[str, ...]],
    most_terms: int,
) -> Found:
    """A formula for a number; rules where it has few values and rules say more."""
    problem = Problem(sheet, target, fit, choose)
    seen = _seen(sheet, fit)
    n_values = len(np.unique(target[np.concatenate([fit, choose])]))
    few, many = n_values <= _FEW_VALUES, n_values > _MANY_VALUES
    classes = Classes(sheet, number_labels(target), fit, choose)
    formulas: list[Formula] = []
    rules: list[RuleList] = []
    tried: list[tuple[str, ...]] = []
    for names in sets:
        # Sets behind the first two are guesses: they are searched for the simpler terms only.
        most = most_terms if len(tried) < _IN_FULL else max(_MOST_BENT, most_terms // 3)
        tried.append(names)
        made = ranked([simplify(problem, one) for one in fit_number(problem, names, most_terms=most)[:2]])
        if len(tried) == 1 and many and not any(one.exact for one in made):
            made = [*_whole_function(problem, names, most_terms), *made]
        formulas = _wider(formulas, made, lambda one: 0.0 if one.exact else one.error, seen)
        if few:
            rules = _wider(rules, fit_rules(classes, names)[:2], lambda one: 1.0 - one.accuracy, seen)
        done = bool(formulas) and (formulas[0].exact or formulas[0].error <= _ENOUGH)
        if done or (rules and rules[0].exact):
            break
    ordered = formulas
    options: list[Formula | RuleList] = [*ordered, *rules]
    if not options:
        return Found(None, (), tuple(tried))
    best = _better(ordered[0] if ordered else None, rules[0] if rules else None)
    return Found(best, tuple(one for one in options if one is not best), tuple(tried))


def inverse_target(target: FloatArray, outer: str) -> FloatArray | None:
    """What a sum must give for `outer` of it to be the target; None where the target is no such function's value."""
    seen = target[np.isfinite(target)]
    least = float(seen.min(initial=np.inf))
    if least < 0 or (least == 0 and outer != "sqrt"):
        return None
    return apply_unary(_OUTER[outer], target)


def _whole_function(problem: Problem, names: Sequence[str], most_terms: int) -> list[Formula]:
    """Exact formulas that are a root, an exponential or a reciprocal of a short sum."""
    for outer in _OUTER:
        target = inverse_target(problem.target, outer)
        if target is None:
            continue
        bent = Problem(problem.sheet, target, problem.fit, problem.choose)
        for one in fit_number(bent, names, most_terms=min(most_terms, _MOST_BENT))[:1]:
            simple = simplify(bent, one)
            if simple.exact and len(simple.terms) <= _SHORT:
                return [replace(simple, outer=outer)]
    return []


Solution = TypeVar("Solution", bound="Formula | RuleList")


def _seen(sheet: Sheet, rows: IntArray) -> Callable[[Formula | RuleList], float]:
    """Share of the rows in which a formula's columns are known."""

    def share(one: Formula | RuleList) -> float:
        names = one.expression().columns() if isinstance(one, Formula) else one.columns()
        return float(sheet.known(names)[rows].mean())

    return share


def _wider(
    best: list[Solution],
    made: Sequence[Solution],
    error: Callable[[Solution], float],
    seen: Callable[[Solution], float],
) -> list[Solution]:
    """What was found with other columns comes first only where it leaves less than half as much, a row or two aside.

    Nor does it where it can be evaluated in far fewer rows.
    """
    if not best or not made:
        return [*best, *made]
    if seen(made[0]) < _OFTEN * seen(best[0]):
        return [*best, *made]
    if error(made[0]) < _HALF * error(best[0]) - _LEAST_GAIN:
        return [*made, *best]
    return [*best, *made]


def _better(formula: Formula | None, rules: RuleList | None) -> Formula | RuleList:
    """Of a formula and rules for the same number: what is exact, then what is shorter, then what is more often right."""
    if formula is None or rules is None:
        made = formula or rules
        assert made is not None
        return made
    if formula.exact or rules.exact:
        if formula.exact and rules.exact:
            return formula if formula.cost() <= rules.complexity() + 2 else rules
        return formula if formula.exact else rules
    return rules if rules.accuracy > max(0.9, 1.0 - formula.error) else formula


def search_labels(
    sheet: Sheet, labels: LabelArray, fit: IntArray, choose: IntArray, sets: Sequence[tuple[str, ...]]
) -> Found:
    """Rules for a category or an answer."""
    classes = Classes(sheet, labels, fit, choose)
    seen = _seen(sheet, fit)
    found: list[RuleList] = []
    tried: list[tuple[str, ...]] = []
    for names in sets:
        tried.append(names)
        found = _wider(found, fit_rules(classes, names)[:3], lambda one: 1.0 - one.accuracy, seen)
        if found and found[0].exact:
            break
    return Found(found[0] if found else None, tuple(found[1:]), tuple(tried))
