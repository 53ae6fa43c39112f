"""What is wrong with a learned function before it is run: a look at its syntax, and no boundary. The sandbox holds it."""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from nereus.errors import InputError
from nereus.memory.action_records import LONGEST_NAME, LONGEST_SOURCE, unseen

IMPORTS = ("numpy", "pandas", "scipy", "math", "itertools", "collections")
GUARDS = ("require", "ensure", "holds", "step")
"""What every learned function may call beside primitives."""
_OF_THE_INTERPRETER = (
    "eval",
    "exec",
    "compile",
    "globals",
    "locals",
    "vars",
    "dir",
    "breakpoint",
    "exit",
    "quit",
    "help",
)
_OF_OBJECTS = ("getattr", "setattr", "delattr", "type", "object", "super", "classmethod", "memoryview")
FORBIDDEN = frozenset((*_OF_THE_INTERPRETER, *_OF_OBJECTS, "open", "input", "call"))
"""Names that no action needs."""
TAKEN = frozenset(
    (*GUARDS, *FORBIDDEN, *dir(builtins), "NotApplicable", "ActionFailed", "PostconditionFailed")
)
"""Names that learned code finds defined: an action of such a name would stand in for it."""
_LEAST_CALLS = 2


@dataclass(frozen=True)
class Function:
    """A function as its source says it."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    doc: str
    source: str
    calls: tuple[str, ...]
    """Names that it calls, in order."""


def functions(source: str) -> list[Function]:
    """Functions of a source, in order.

    Raises
    ------
    InputError
        It cannot be read as Python.
    """
    tree = parsed(source)
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = tuple(
                (one.arg, ast.unparse(one.annotation) if one.annotation else "") for one in arguments
            )
            calls = tuple(
                one.func.id
                for one in ast.walk(node)
                if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)
            )
            text = ast.get_source_segment(source, node) or ast.unparse(node)
            found.append(Function(node.name, parameters, ast.get_docstring(node) or "", text + "\n", calls))
    return found


def faults(
    source: str,
    primitives: Collection[str],
    objects: Collection[str] = (),
    learned: Collection[str] = (),
) -> list[str]:
    """Everything that is wrong with a source, each with its line.

    Parameters
    ----------
    source
        Functions, and nothing else.
    primitives
        Names of the primitives.
    objects
        Names of objects of the training tasks: a function that names one works in that task only.
    learned
        Names of other learned actions, which it may call.
    """
    try:
        tree = parsed(source)
    except InputError as error:
        return [error.what]
    found = list(_of_nodes(tree, frozenset(objects)))
    own = functions(source)
    if not own:
        found.append((1, "there is no function"))
    lines = {node.name: node.lineno for node in tree.body if isinstance(node, ast.FunctionDef)}
    for one in own:
        line = lines[one.name]
        if one.name in primitives or one.name in GUARDS:
            found.append((line, f"the name {one.name!r} is that of a primitive: choose another"))
        elif one.name in TAKEN or keyword.issoftkeyword(one.name):
            found.append((line, f"the name {one.name!r} is taken: choose another"))
        if one.name.startswith("_"):
            found.append((line, f"the name {one.name!r} begins with an underscore"))
        if not one.name.isascii() or len(one.name) > LONGEST_NAME:
            found.append((line, f"the name {one.name[:LONGEST_NAME]!r} is long or not of ASCII letters"))
        found += [
            (line, f"argument {name!r} of {one.name!r} has no type")
            for name, kind in one.parameters
            if not kind
        ]
        known = {*primitives, *learned, *(other.name for other in own), "step"}
        looped = any(isinstance(node, ast.For) for node in ast.walk(tree))
        used = [name for name in one.calls if name in known]
        if len(used) < _LEAST_CALLS and not (used and looped):
            found.append((line, f"{one.name!r} calls fewer than two actions: it saves nothing"))
    twice = {one.name for one in own if [other.name for other in own].count(one.name) > 1}
    found += [(lines[name], f"two functions are called {name!r}") for name in sorted(twice)]
    return [f"line {line}: {text}" for line, text in sorted(set(found))]


def refuse(
    source: str, primitives: Collection[str], objects: Collection[str] = (), where: str = "learned action"
) -> None:
    """Raise `InputError` with everything that is wrong with a source."""
    wrong = faults(source, primitives, objects)
    if wrong:
        raise InputError(
            "; ".join(wrong),
            where=where,
            mend="learned functions call primitives with their arguments, and nothing else",
        )


def parsed(source: str) -> ast.Module:
    """A source as a tree.

    Raises
    ------
    InputError
        It is too long, holds characters that do not show, or is no Python.
    """
    if len(source) > LONGEST_SOURCE:
        raise InputError(
            f"line 1: it has {len(source)} characters, and {LONGEST_SOURCE} are allowed",
            where="learned action",
        )
    if hidden := unseen(source):
        line = source[: source.index(hidden)].count("\n") + 1
        raise InputError(
            f"line {line}: it holds the character {hidden!r}, which does not show", where="learned action"
        )
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise InputError(
            f"line {line}: it cannot be read as Python ({getattr(error, 'msg', error)})",
            where="learned action",
        ) from None


def _of_nodes(tree: ast.Module, objects: frozenset[str]) -> Iterator[tuple[int, str]]:
    for top in tree.body:
        plain = isinstance(top, ast.FunctionDef | ast.Import | ast.ImportFrom)
        if not plain and not (isinstance(top, ast.Expr) and isinstance(top.value, ast.Constant)):
            yield top.lineno, "only functions and imports may stand outside of functions"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            # Both would run when the function is read, before anybody calls it.
            yield from ((one.lineno, "a decorator is not needed in an action") for one in node.decorator_list)
            if node.args.vararg or node.args.kwarg:
                yield node.lineno, f"{node.name!r} takes any arguments: name each, with its type"
            yield from (
                (one.lineno, "a default must be a plain value")
                for one in (*node.args.defaults, *node.args.kw_defaults)
                if one is not None and not _plain(one)
            )
        if isinstance(node, ast.Import):
            yield from (
                (node.lineno, _import(one.name))
                for one in node.names
                if one.name.split(".")[0] not in IMPORTS
            )
        elif isinstance(node, ast.ImportFrom):
            root = (node.module or "").split(".")[0]
            if root not in (*IMPORTS, "__future__") or node.level:
                yield node.lineno, _import(node.module or ".")
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            yield node.lineno, f"the attribute {node.attr!r} begins with an underscore"
        elif isinstance(node, ast.Name) and (node.id in FORBIDDEN or node.id.startswith("__")):
            yield node.lineno, f"the name {node.id!r} is forbidden"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in objects:
            yield node.lineno, f"{node.value!r} is an object of one task: pass it as an argument"
        elif isinstance(node, ast.AsyncFunctionDef | ast.ClassDef | ast.Global | ast.Nonlocal | ast.Await):
            yield node.lineno, f"{type(node).__name__} is not needed in an action"


def _plain(node: ast.expr) -> bool:
    """A number, a text or their like; a list that is made once would be shared by all calls."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.operand, ast.Constant)
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Tuple) and all(map(_plain, node.elts)))


def _import(module: str) -> str:
    return f"the import of {module!r} is forbidden; allowed are {', '.join(IMPORTS)}"
