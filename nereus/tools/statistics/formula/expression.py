"""Formulas as trees: evaluated with numpy, written for people and for pandas, kept as plain data. No text is ever run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from nereus.errors import InputError
from nereus.tools.statistics.formula.sheet import FloatArray, LabelArray, Sheet


@dataclass(frozen=True)
class Expression:
    """A node. Truth is 1, falsehood 0, and NaN what cannot be said because a value is missing."""

    tag: ClassVar[str]

    def evaluate(self, sheet: Sheet) -> FloatArray:
        """Values, float64 of shape (rows,)."""
        raise NotImplementedError

    def text(self) -> str:
        """The formula for people."""
        raise NotImplementedError

    def code(self) -> str:
        """The formula as numpy code over a table ``df``, to be pasted; it is never run here."""
        raise NotImplementedError

    def children(self) -> tuple[Expression, ...]:
        """Nodes below."""
        return ()

    def columns(self) -> tuple[str, ...]:
        """Columns that are read, in order of appearance, each once."""
        return tuple(dict.fromkeys(name for child in self.children() for name in child.columns()))

    def complexity(self) -> int:
        """Number of nodes."""
        return 1 + sum(child.complexity() for child in self.children())

    def to_data(self) -> dict[str, Any]:
        """As plain data that JSON can hold."""
        data: dict[str, Any] = {"node": self.tag}
        for one in fields(self):
            value = getattr(self, one.name)
            data[one.name] = _as_data(value)
        return data


def _as_data(value: Any) -> Any:
    if isinstance(value, Expression):
        return value.to_data()
    if isinstance(value, tuple):
        return [_as_data(one) for one in value]
    return value


def plain_number(value: float) -> str:
    """A number as short as it can be written without becoming another one."""
    short = f"{value:.6g}"
    return (
        short if float(short) == value or abs(float(short) - value) <= 1e-9 * abs(value) else f"{value:.10g}"
    )


def shown_name(name: str) -> str:
    """A column's name in a formula: in backquotes where it is more than letters, digits and underscores."""
    return name if name.isidentifier() else f"`{name}`"


@dataclass(frozen=True)
class Number(Expression):
    """A constant."""

    value: float
    tag: ClassVar[str] = "number"

    def evaluate(self, sheet: Sheet) -> FloatArray:
        """See `Expression.evaluate`."""
        return np.full(sheet.n_rows, self.value)

    def text(self) -> str:
        """See `Expression.text`."""
        return plain_number(self.value)

    def code(self) -> str:
        """See `Expression.code`."""
        return repr(float(self.value))


@dataclass(frozen=True)
class Column(Expression):
    """A number, or a Boolean as 0 and 1."""

    name: str
    tag: ClassVar[str] = "column"

    def evaluate(self, sheet: Sheet) -> FloatArray:
        """See `Expression.evaluate`."""
        if self.name not in sheet.numbers:
            raise InputError(
                f"there is no column {self.name!r} of numbers or of true and false",
                where="formula",
                mend="give a table with the columns that the formula was made from",
            )
        return sheet.numbers[self.name]

    def text(self) -> str:
        """See `Expression.text`."""
        return shown_name(self.name)

    def code(self) -> str:
        """See `Expression.code`."""
        return f"df[{self.name!r}].astype(float)"

    def columns(self) -> tuple[str, ...]:
        """See `Expression.columns`."""
        return (self.name,)


@dataclass(frozen=True)
class Level(Expression):
    """Whether a category is one of some values."""

    name: str
    levels: tuple[str, ...]
    tag: ClassVar[str] = "level"

    def evaluate(self, sheet: Sheet) -> FloatArray:
        """See `Expression.evaluate`."""
        if self.name not in sheet.labels:
            raise InputError(
                f"there is no column {self.name!r} of categories",
                where="formula",
                mend="give a table with the columns that the formula was made from",
            )
        return level_values(sheet.labels[self.name], self.levels)

    def text(self) -> str:
        """See `Expression.text`."""
        if len(self.levels) == 1:
            return f"[{shown_name(self.name)} is {self.levels[0]!r}]"
        return f"[{shown_name(self.name)} is one of {', '.join(repr(level) for level in self.levels)}]"

    def code(self) -> str:
        """See `Expression.code`."""
        return f"df[{self.name!r}].isin({list(self.levels)!r}).astype(float)"

    def columns(self) -> tuple[str, ...]:
        """See `Expression.columns`."""
        return (self.name,)


def level_values(labels: LabelArray, levels: Sequence[str]) -> FloatArray:
    """1 where a label is one of the levels, 0 where it is another one, NaN where it is missing."""
    chosen = frozenset(levels)
    return np.array([np.nan if label is None else float(label in chosen) for label in labels])


UNARY: dict[str, tuple[str, str]] = {
    "square": ("{}^2", "({})**2"),
    "cube": ("{}^3", "({})**3"),
    "sqrt": ("sqrt({})", "np.sqrt({})"),
    "log": ("log({})", "np.log({})"),
    "exp": ("exp({})", "np.exp({})"),
    "reciprocal": ("1 / {}", "1.0 / ({})"),
    "abs": ("|{}|", "np.abs({})"),
    "not": ("not {}", "1.0 - ({})"),
    "truncate": ("trunc({})", "np.trunc({})"),
    "round": ("round({})", "np.round({})"),
    **{f"round to {d}": (f"round({{}}, {d})", f"np.round({{}}, {d})") for d in range(1, 8)},
}
"""Operations on one value, as people and as numpy write them."""


@dataclass(frozen=True)
class Unary(Expression):
    """An operation on one value."""

    operation: str
    of: Expression
    tag: ClassVar[str] = "unary"

    def evaluate(self, sheet: Sheet) -> FloatArray:
        """See `Expression.evaluate`."""
        return apply_unary(self.operation, self.of.evaluate(sheet))

    def text(self) -> str:
        """See `Expression.text`."""
        simple = isinstance(self.of, Column | Number | Level)
        inner = self.of.text()
        bare = simple or UNARY[self.operation][0].endswith(")") or self.operation == "abs"
        return UNARY[self.operation][0].format(inner if bare else f"({inner})")

    def code(self) -> str:
        """See `Expression.code`."""
        return UNARY[self.operation][1].format(self.of.code())

    def children(self) -> tuple[Expression, ...]:
        """See `Expression.children`."""
        return (self.of,)


def apply_unary(operation: str, x: FloatArray) -> FloatArray:
    """An operation of `UNARY` on values; NaN where it is not defined."""
    with np.errstate(all="ignore"):
        if operation == "square":
            return x * x
        if operation == "cube":
            return x * x * x
        if operation == "sqrt":
            return np.sqrt(x)
        if operation == "log":
            return np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), np.nan)
        if operation == "exp":
            return np.exp(x)
        if operation == "reciprocal":
            return 1.0 / x
        if operation == "abs":
            return np.abs(x)
        if operation == "not":
            return 1.0 - x
        if operation == "truncate":
            # What floating-point error left just below a whole number is that number.
            return np.trunc(x + np.copysign(1e-9 * np.maximum(np.abs(x), 1.0), x))
        if operation == "round":
            return np.round(x)
        if operation.startswith("round to ") and operation in UNARY:
            return np.round(x, int(operation.removeprefix("round to ")))
    raise InputError(f"there is no operation {operation!r}", where="formula", mend=f"one of {sorted(UNARY)}")


BINARY = ("+", "-", "*", "/", "%", "<", "<=", ">", ">=", "and", "or")


@dataclass(frozen=True)
class Binary(Expression):
    """An operation on two values."""

    operation: str
    left: Expression
    right: Expression
    tag: ClassVar[str] = "binary"

    def evaluate(self, sheet: Sheet) -> FloatArray:
        """See `Expression.evaluate`."""
        return apply_binary(self.operation, self.left.evaluate(sheet), self.right.evaluate(sheet))

    def text(self) -> str:
        """See `Expression.text`."""

        def side(node: Expression, loose: tuple[str, ...]) -> str:
            text = node.text()
            return f"({text})" if isinstance(node, Binary) and node.operation in loose else text

        if self.operation in ("<", "<=", ">", ">="):
            return f"[{self.left.text()} {self.operation} {self.right.text()}]"
        if self.operation in ("*", "/", "%"):
            loose = ("+", "-", "%", "and", "or") if self.operation == "*" else BINARY
            return (
                f"{side(self.left, ('+', '-', '%', 'and', 'or'))} {self.operation} {side(self.right, loose)}"
            )
        if self.operation == "-":
            return f"{self.left.text()} - {side(self.right, ('+', '-'))}"
        if self.operation == "+":
            return f"{self.left.text()} + {self.right.text()}"
        other = "or" if self.operation == "and" else "and"
        return f"{side(self.left, (other,))} {self.operation} {side(self.right, (other,))}"

    def code(self) -> str:
        """See `Expression.code`."""
        left, right = self.left.code(), self.right.code()
        if self.operation in ("<", "<=", ">", ">="):
            return f"(({left}) {self.operation} ({right})).astype(float)"
        if self.operation == "and":
            return f"np.minimum({left}, {right})"
        if self.operation == "or":
            return f"np.maximum({left}, {right})"
        return f"(({left}) {self.operation} ({right}))"

    def children(self) -> tuple[Expression, ...]:
        """See `Expression.children`."""
        return (self.left, self.right)


def apply_binary(operation: str, a: FloatArray, b: FloatArray) -> FloatArray:
    """An operation of `BINARY`; NaN where it is not defined. ``and`` and ``or`` follow Kleene's logic of the unknown."""
    with np.errstate(all="ignore"):
        if operation == "+":
            return a + b
        if operation == "-":
            return a - b
        if operation == "*":
            return a * b
        if operation == "/":
            return a / b  # infinite where only the divisor is nothing: bounds may hold it
        if operation == "%":
            return np.where(b != 0, np.mod(a, np.where(b != 0, b, 1.0)), np.nan)
        if operation == "and":
            return np.where((a == 0) | (b == 0), 0.0, a * b)
        if operation == "or":
            return np.where((a == 1) | (b == 1), 1.0, np.maximum(a, b))
        if operation in ("<", "<=", ">", ">="):
            compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[operation]
            return np.where(np.isnan(a) | np.isnan(b), np.nan, compare(a, b).astype(np.float64))
    raise InputError(f"there is no operation {operation!r}", where="formula", mend=f"one of {list(BINARY)}")


@dataclass(frozen=True)
class Clip(Expression):
    """Values held between two bounds; None is no bound."""

    of: Expression
    low: float | None
    high: float | None
    tag: ClassVar[str] = "clip"

    def evaluate(self, sheet: Sheet) -> FloatArray:
        """See `Expression.evaluate`."""
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return np.clip(self.of.evaluate(sheet), low, high)

    def text(self) -> str:
        """See `Expression.text`."""
        bounds = []
        if self.low is not None:
            bounds.append(f"at least {plain_number(self.low)}")
        if self.high is not None:
            bounds.append(f"at most {plain_number(self.high)}")
        return f"{self.of.text()}, {' and '.join(bounds)}"

    def code(self) -> str:
        """See `Expression.code`."""
        return f"np.clip({self.of.code()}, {self.low!r}, {self.high!r})"

    def children(self) -> tuple[Expression, ...]:
        """See `Expression.children`."""
        return (self.of,)


@dataclass(frozen=True)
class Where(Expression):
    """One value where a condition holds, another one where it does not."""

    condition: Expression
    then: Expression
    otherwise: Expression
    tag: ClassVar[str] = "where"

    def evaluate(self, sheet: Sheet) -> FloatArray:
        """See `Expression.evaluate`."""
        condition = self.condition.evaluate(sheet)
        chosen = np.where(condition == 1, self.then.evaluate(sheet), self.otherwise.evaluate(sheet))
        return np.where(np.isnan(condition), np.nan, chosen)

    def text(self) -> str:
        """See `Expression.text`."""
        return f"where({self.condition.text()}: {self.then.text()}; otherwise {self.otherwise.text()})"

    def code(self) -> str:
        """See `Expression.code`."""
        return f"np.where(({self.condition.code()}) == 1, {self.then.code()}, {self.otherwise.code()})"

    def children(self) -> tuple[Expression, ...]:
        """See `Expression.children`."""
        return (self.condition, self.then, self.otherwise)


NODES: dict[str, type[Expression]] = {
    node.tag: node for node in (Number, Column, Level, Unary, Binary, Clip, Where)
}


def from_data(data: Mapping[str, Any]) -> Expression:
    """A formula from what `Expression.to_data` gave.

    Raises
    ------
    InputError
        The data describe no formula.
    """
    node = NODES.get(str(data.get("node")))
    if node is None:
        raise InputError(
            f"there is no node {data.get('node')!r}", where="formula", mend=f"one of {sorted(NODES)}"
        )
    arguments: dict[str, Any] = {}
    for one in fields(node):
        if one.name not in data:
            raise InputError(f"node {node.tag!r} lacks {one.name!r}", where="formula", mend="give it")
        value = data[one.name]
        if isinstance(value, Mapping):
            value = from_data(value)
        elif isinstance(value, list):
            value = tuple(str(level) for level in value)
        arguments[one.name] = value
    made = node(**arguments)
    operations = {"unary": tuple(UNARY), "binary": BINARY}.get(node.tag)
    if operations is not None and arguments["operation"] not in operations:
        raise InputError(
            f"there is no operation {arguments['operation']!r}", where="formula", mend=f"one of {operations}"
        )
    return made


def product(parts: Sequence[Expression]) -> Expression:
    """Product of one or more nodes."""
    result = parts[0]
    for part in parts[1:]:
        result = Binary("*", result, part)
    return result


def weighted_sum(constant: float, terms: Sequence[tuple[float, Expression]]) -> Expression:
    """``constant + w1 * term1 + ...`` without what is nothing."""
    result: Expression | None = None
    for weight, term in terms:
        if weight == 0:
            continue
        size = abs(weight) if result is not None else weight
        one = term if size == 1 else Binary("*", Number(size), term)
        result = one if result is None else Binary("-" if weight < 0 else "+", result, one)
    if result is None:
        return Number(constant)
    if constant == 0:
        return result
    return Binary("-" if constant < 0 else "+", result, Number(abs(constant)))
