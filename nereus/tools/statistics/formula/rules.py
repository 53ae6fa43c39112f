"""Rules for a category, an answer, or a number with few values: a list of conditions, each with what then holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.tree import DecisionTreeClassifier

from nereus.tools.statistics.formula.conditions import Quantity, between, conjunction, quantities
from nereus.tools.statistics.formula.expression import (
    Binary,
    Expression,
    Number,
    Unary,
    Where,
    from_data,
    plain_number,
)
from nereus.tools.statistics.formula.library import whole
from nereus.tools.statistics.formula.separation import features, separate
from nereus.tools.statistics.formula.sheet import LabelArray, Sheet

IntArray = npt.NDArray[np.intp]

_MOST_CLASSES = 8
_LEAST_ROWS = 20
_LEAVES = (2, 3, 4, 6)
_LEAST_PER_CLASS = 4
_MOST_PAIRED = 6


@dataclass(frozen=True)
class RuleList:
    """The first condition that holds decides.

    Attributes
    ----------
    rules
        (condition, label), tried in order.
    default
        Label where none holds.
    accuracy, criterion
        Share of the choosing rows that are right, and a Bayesian information criterion on all rows.
    exact
        Whether every row, also of those that were not fitted, is right.
    """

    rules: tuple[tuple[Expression, str], ...]
    default: str
    accuracy: float = 0.0
    criterion: float = float("inf")
    exact: bool = False

    def labels(self, sheet: Sheet) -> LabelArray:
        """Label of every row; None where a value that is needed is missing."""
        result = np.full(sheet.n_rows, self.default, dtype=object)
        waiting = np.ones(sheet.n_rows, dtype=bool)
        for condition, label in self.rules:
            holds = condition.evaluate(sheet)
            result[waiting & (holds == 1)] = label
            result[waiting & np.isnan(holds)] = None
            waiting &= holds == 0
        return result

    def columns(self) -> tuple[str, ...]:
        """Columns that are read."""
        return tuple(dict.fromkeys(name for condition, _ in self.rules for name in condition.columns()))

    def complexity(self) -> int:
        """Number of nodes and labels; a quantity that is cut several times counts once."""
        seen: set[Expression] = set()
        total = 1 + len(self.rules)
        for condition, _ in self.rules:
            for part in _parts(condition):
                cut = part.left if isinstance(part, Binary) else part
                total += 2 if cut in seen else part.complexity()
                seen.add(cut)
        return total

    def text(self) -> str:
        """The rules for people."""
        parts = [f"{label!r} where {condition.text()}" for condition, label in self.rules]
        return "; otherwise ".join([*parts, repr(self.default)])

    def code(self) -> str:
        """The rules as numpy code over a table ``df``; never run here."""
        conditions = ", ".join(f"({condition.code()}) == 1" for condition, _ in self.rules)
        labels = [label for _, label in self.rules]
        return f"np.select([{conditions}], {labels!r}, default={self.default!r})"

    def to_data(self) -> dict[str, Any]:
        """As plain data that JSON can hold."""
        rules = [[condition.to_data(), label] for condition, label in self.rules]
        return {"node": "rules", "rules": rules, "default": self.default}

    def as_number(self, values: dict[str, float]) -> Expression:
        """As a formula for a number, given the number of each label."""
        node: Expression = Number(values[self.default])
        for condition, label in reversed(self.rules):
            node = Where(condition, Number(values[label]), node)
        return node


def _parts(node: Expression) -> Iterator[Expression]:
    if isinstance(node, Binary) and node.operation in ("and", "or"):
        yield from _parts(node.left)
        yield from _parts(node.right)
    else:
        yield node


def rules_from_data(data: dict[str, Any]) -> RuleList:
    """Rules from what `RuleList.to_data` gave."""
    rules = tuple((from_data(condition), str(label)) for condition, label in data["rules"])
    return RuleList(rules, str(data["default"]))


def number_labels(values: npt.NDArray[np.float64]) -> LabelArray:
    """Numbers as labels; None where one is missing."""
    return np.array([plain_number(v) if np.isfinite(v) else None for v in values], dtype=object)


@dataclass(frozen=True)
class Classes:
    """A sheet, labels, and rows to fit and to choose with."""

    sheet: Sheet
    labels: LabelArray
    fit: IntArray
    choose: IntArray

    def rows(self, names: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Rows to fit and to choose with in which nothing is missing."""
        seen = self.sheet.known(names) & np.array([label is not None for label in self.labels])
        return self.fit[seen[self.fit]], self.choose[seen[self.choose]]


def fit_rules(problem: Classes, names: Sequence[str]) -> list[RuleList]:
    """Lists of rules over some columns, best first; empty where there are too few rows or too many classes.

    A kind of rule is judged by rows that were not used to make it, and then made again with all rows.
    """
    fit, choose = problem.rows(names)
    fit = fit[_frequent(problem.labels[fit])]
    present = sorted(set(problem.labels[fit]))
    if len(fit) < _LEAST_ROWS or not 2 <= len(present) <= _MOST_CLASSES or not len(choose):
        return []
    both = np.concatenate([fit, choose[np.isin(problem.labels[choose], present)]])
    sheet, labels = problem.sheet.rows(fit), problem.labels[fit]
    whole_sheet, all_labels = problem.sheet.rows(both), problem.labels[both]
    found = []
    for recipe in _recipes(names):
        made = recipe(sheet, labels)
        if made is None:
            continue
        scored = judge_rules(problem, made, names)
        again = recipe(whole_sheet, all_labels)
        if again is not None:
            again = replace(
                judge_rules(problem, again, names), accuracy=scored.accuracy, criterion=scored.criterion
            )
            scored = replace(again, exact=again.exact and scored.exact)
        found.append(scored)
        if scored.exact:
            break
    return sorted(found, key=lambda one: one.criterion)


def _frequent(labels: LabelArray) -> npt.NDArray[np.bool_]:
    """Rows whose label is common enough to be learned."""
    counts = {label: int((labels == label).sum()) for label in set(labels)}
    return np.array([counts[label] >= _LEAST_PER_CLASS for label in labels], dtype=bool)


def judge_rules(problem: Classes, made: RuleList, names: Sequence[str]) -> RuleList:
    """The rules with their accuracy and criterion on the choosing rows."""
    _, choose = problem.rows(made.columns())
    right = made.labels(problem.sheet.rows(choose)) == problem.labels[choose]
    wrong, n = int((~right).sum()), max(len(choose), 1)
    error = (wrong + 0.5) / (n + 1)
    options = float(np.log(max(2, len(names))) + np.log(n))
    deviance = -2.0 * (wrong * np.log(error) + (n - wrong) * np.log(1.0 - error))
    accuracy = 1.0 - wrong / n
    value = float(deviance + 0.5 * options * made.complexity())
    return replace(made, accuracy=accuracy, criterion=value, exact=wrong == 0)


Recipe = Callable[[Sheet, LabelArray], "RuleList | None"]


def _recipes(names: Sequence[str]) -> Iterator[Recipe]:
    """Ways to make rules, the simplest first."""

    def peeled(sheet: Sheet, labels: LabelArray, pairs: bool) -> RuleList | None:
        options = quantities(sheet, names, pairs=pairs)
        return _peel(options, labels, np.ones(len(labels), dtype=bool)) if options else None

    yield partial(peeled, pairs=False)
    yield partial(_separated, names=names, turn=0)
    yield partial(peeled, pairs=True)
    for turn in (1, 2, 3, 4):
        yield partial(_separated, names=names, turn=turn)
    for turn in (0, 1):
        yield partial(_separated, names=names, turn=turn, soft=True)
    for leaves in _LEAVES:
        yield partial(_tree, names=names, leaves=leaves)


def _peel(options: Sequence[Quantity], labels: LabelArray, open_: npt.NDArray[np.bool_]) -> RuleList | None:
    """One class after the other, the simplest first, each by conditions that only its rows meet."""
    left = sorted(set(labels[open_]))
    if len(left) == 1:
        return RuleList((), left[0])
    here = [replace(option, values=option.values[open_]) for option in options]
    tried: list[tuple[int, Expression, str]] = []
    for label in left:
        wanted = labels[open_] == label
        if (node := conjunction(here, wanted)) is not None:
            tried.append((node.complexity(), node, label))
        if len(left) > 1 and (node := conjunction(here, ~wanted)) is not None:
            tried.append((node.complexity() + 1, _negated(node), label))
    for _, node, label in sorted(tried, key=lambda one: (one[0], one[2])):
        rest = _peel(options, labels, open_ & (labels != label))
        if rest is not None:
            return RuleList(((node, label), *rest.rules), rest.default)
    return None


def _negated(node: Expression) -> Expression:
    if isinstance(node, Binary) and node.operation == "and":
        return Binary("or", _negated(node.left), _negated(node.right))
    if isinstance(node, Binary) and node.operation in (">", "<="):
        return replace(node, operation="<=" if node.operation == ">" else ">")
    if isinstance(node, Unary) and node.operation == "not":
        return node.of
    return Unary("not", node)


def _separated(
    sheet: Sheet, labels: LabelArray, *, names: Sequence[str], turn: int, soft: bool = False
) -> RuleList | None:
    """Classes in order along a weighted sum."""
    made = next(islice(features(sheet, names), turn, None), None)
    if made is None:
        return None
    present = sorted(set(labels))
    classes = np.array([present.index(label) for label in labels], dtype=np.intp)
    score = separate(made, classes, soft=soft)
    if score is None:
        return None
    pairs = list(zip(score.order[1:], score.cuts, strict=True))[::-1]
    rules = tuple((Binary(">", score.node, Number(cut)), present[c]) for c, cut in pairs)
    return RuleList(rules, present[score.order[0]])


def _tree(sheet: Sheet, labels: LabelArray, *, names: Sequence[str], leaves: int) -> RuleList | None:
    """A small decision tree, for what no exact rule tells apart."""
    options = quantities(sheet, names, pairs=len(names) <= _MOST_PAIRED)
    if not options:
        return None
    X = np.stack([option.values for option in options], axis=1)
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=3, random_state=0)
    return _from_tree(tree.fit(X, labels.astype(str)), options, X)


def _from_tree(
    tree: DecisionTreeClassifier, options: Sequence[Quantity], X: npt.NDArray[np.float64]
) -> RuleList:
    grown = tree.tree_
    rules: list[tuple[Expression, str]] = []

    def walk(at: int, path: list[Expression]) -> None:
        if grown.children_left[at] < 0:
            label = str(tree.classes_[int(np.argmax(grown.value[at][0]))])
            node = path[0] if path else Number(1.0)
            for more in path[1:]:
                node = Binary("and", node, more)
            rules.append((node, label))
            return
        option, values = options[grown.feature[at]], X[:, grown.feature[at]]
        cut = float(grown.threshold[at])
        if option.answer:
            no: Expression = Unary("not", option.node)
            yes = option.node
        else:
            low, high = float(values[values <= cut].max()), float(values[values > cut].min())
            number = Number(between(low, high, whole(values)))
            no, yes = Binary("<=", option.node, number), Binary(">", option.node, number)
        walk(int(grown.children_left[at]), _narrowed(path, no))
        walk(int(grown.children_right[at]), _narrowed(path, yes))

    walk(0, [])
    # the commonest label is what is left over
    labels = [label for _, label in rules]
    default = max(sorted(set(labels)), key=labels.count)
    return RuleList(tuple(rule for rule in rules if rule[1] != default), default)


def _narrowed(path: Sequence[Expression], node: Expression) -> list[Expression]:
    """The path with one more condition, which replaces a wider one of the same kind."""
    if not isinstance(node, Binary):
        return [*path, node]
    kept = [
        one
        for one in path
        if not (isinstance(one, Binary) and (one.operation, one.left) == (node.operation, node.left))
    ]
    return [*kept, node]
