"""Gold expressions of DiscoveryBench read as data: a small interpreter of numpy and pandas expressions. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd


class UnreadableError(Exception):
    """The expression is no expression, or uses something that the interpreter does not know."""


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Mod: lambda a, b: a % b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Pow: lambda a, b: a**b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitXor: lambda a, b: a ^ b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
_NUMPY = {
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "abs",
    "exp",
    "power",
    "floor",
    "ceil",
    "round",
    "maximum",
    "minimum",
}
_TYPES = {"int": int, "float": float, "bool": bool, "str": str}


def evaluate(expression: str, table: pd.DataFrame) -> np.ndarray:
    """Values of a gold expression on a table.

    Raises
    ------
    UnreadableError
        It cannot be read, or fails on these data.
    """
    try:
        value = _Reader(table).value(ast.parse(expression.strip(), mode="eval").body)
    except UnreadableError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever fails, the gold cannot be read on these data
        raise UnreadableError(f"{type(error).__name__}: {error}") from None
    return np.broadcast_to(np.asarray(value), (len(table),))


def conditions(expression: str, table: pd.DataFrame) -> list[np.ndarray]:
    """Rows that each comparison, membership or Boolean column of the expression selects."""
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        raise UnreadableError(str(error)) from None
    reader = _Reader(table)
    found: dict[str, np.ndarray] = {}
    for node in _leaves(tree, table):
        try:
            mask = np.broadcast_to(np.asarray(reader.value(node)), (len(table),))
        except Exception:  # noqa: BLE001 - a part that cannot be read selects nothing that could be compared
            continue
        found[ast.dump(node)] = np.array([bool(v) if v == v and v is not None else False for v in mask])
    return list(found.values())


def _leaves(tree: ast.AST, table: pd.DataFrame) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        compares = isinstance(node, ast.Compare)
        member = (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "isin"
        )
        if compares or member:
            assert isinstance(node, ast.expr)
            yield node
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            name = node.slice.value
            if name in table.columns and set(table[name].dropna().unique()) <= {True, False}:
                yield node


class _Reader:
    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.names: dict[str, Any] = {}

    def value(self, node: ast.AST) -> Any:
        reader = getattr(self, f"_{type(node).__name__.lower()}", None)
        if reader is None:
            raise UnreadableError(type(node).__name__)
        return reader(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        if node.id in _TYPES:
            return _TYPES[node.id]
        raise UnreadableError(f"name {node.id}")

    def _list(self, node: ast.List) -> Any:
        return [self.value(one) for one in node.elts]

    _tuple = _list

    def _dict(self, node: ast.Dict) -> Any:
        return {
            self.value(k): self.value(v) for k, v in zip(node.keys, node.values, strict=True) if k is not None
        }

    def _binop(self, node: ast.BinOp) -> Any:
        return _BINARY[type(node.op)](self.value(node.left), self.value(node.right))

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.USub):
            return -value
        if isinstance(node.op, ast.Invert):
            return ~value
        if isinstance(node.op, ast.Not):
            return not value
        return value

    def _compare(self, node: ast.Compare) -> Any:
        if len(node.ops) != 1 or type(node.ops[0]) not in _BINARY:
            raise UnreadableError("comparison")
        return _BINARY[type(node.ops[0])](self.value(node.left), self.value(node.comparators[0]))

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.value(node.body) if self.value(node.test) else self.value(node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == "df":
            return self.table[self.value(node.slice)]
        return self.value(node.value)[self.value(node.slice)]

    def _call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id in ("abs", "round"):
            return (
                np.abs(self.value(node.args[0]))
                if node.func.id == "abs"
                else np.round(self.value(node.args[0]))
            )
        if not isinstance(node.func, ast.Attribute):
            raise UnreadableError("call")
        name = node.func.attr
        if isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "df"):
            return self._of_library(node.func.value.id, name, node)
        owner = self.value(node.func.value)
        if not isinstance(owner, pd.Series):
            owner = pd.Series(owner, index=self.table.index)
        if name == "apply":
            return owner.map(self._function(node.args[0]))
        arguments = [self.value(one) for one in node.args]
        if name in (
            "astype",
            "map",
            "isin",
            "fillna",
            "abs",
            "round",
            "between",
            "clip",
            "notnull",
            "isnull",
        ):
            return getattr(owner, name)(*arguments)
        if name in ("all", "any", "max", "min", "mean", "sum", "median", "std"):
            return getattr(owner, name)()
        raise UnreadableError(f"method {name}")

    def _of_library(self, library: str, name: str, node: ast.Call) -> Any:
        arguments = [self.value(one) for one in node.args]
        named = {one.arg: self.value(one.value) for one in node.keywords if one.arg}
        if library == "df":
            if name == "get" and arguments[0] in self.table.columns:
                return self.table[arguments[0]]
            raise UnreadableError(f"df.{name}")
        if name == "where":
            test = np.array([bool(v) for v in np.broadcast_to(np.asarray(arguments[0]), (len(self.table),))])
            return pd.Series(np.where(test, *arguments[1:]), index=self.table.index)
        if name == "select":
            chosen = [np.asarray(one, dtype=bool) for one in arguments[0]]
            default = named.get("default", arguments[2] if len(arguments) > 2 else 0)
            options = [np.asarray(one, dtype=object) for one in arguments[1]]
            return pd.Series(np.select(chosen, options, default), index=self.table.index)
        if name in _NUMPY:
            return getattr(np, name)(*arguments)
        raise UnreadableError(f"np.{name}")

    def _function(self, node: ast.AST) -> Callable[[Any], Any]:
        if not isinstance(node, ast.Lambda) or len(node.args.args) != 1:
            raise UnreadableError("function")
        name = node.args.args[0].arg

        def run(value: Any) -> Any:
            inner = _Reader(self.table)
            inner.names = {**self.names, name: value}
            try:
                return inner.value(node.body)
            except KeyError:
                return np.nan

        return run
