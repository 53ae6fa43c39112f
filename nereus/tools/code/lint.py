"""Remarks on a piece of code before it runs: lint for its author, and no boundary. What holds code is the sandbox."""

from __future__ import annotations

import ast

_NO_USE = {
    "socket": "there is no network in the sandbox",
    "urllib": "there is no network in the sandbox",
    "requests": "there is no network in the sandbox",
    "http": "there is no network in the sandbox",
    "ftplib": "there is no network in the sandbox",
    "subprocess": "no other program can be started in the sandbox",
    "multiprocessing": "no other process can be started in the sandbox",
    "ctypes": "calls of the C library are filtered in the sandbox",
    "pickle": "a pickle can run code when it is read: use JSON, CSV or Parquet",
}
_CALLS = {
    "eval": "code from text is hard to check",
    "exec": "code from text is hard to check",
    "input": "nobody answers in the sandbox",
}


def remarks(code: str) -> list[str]:
    """What looks doubtful or cannot work, each with its line. Code that cannot be read has one remark.

    Parameters
    ----------
    code
        Python. It is read, and not run.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        return [f"line {line or 1}: it cannot be read as Python ({getattr(error, 'msg', error)})"]
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, _imported(alias.name)) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.lineno, _imported(node.module)))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            found.append((node.lineno, f"{node.func.id}: {_CALLS[node.func.id]}"))
        elif isinstance(node, ast.While) and _never_ends(node):
            found.append((node.lineno, "a loop that never ends"))
    return [f"line {line}: {text}" for line, text in sorted(set(found)) if text]


def _never_ends(loop: ast.While) -> bool:
    always = isinstance(loop.test, ast.Constant) and bool(loop.test.value)
    return always and not any(isinstance(one, ast.Break | ast.Return | ast.Raise) for one in ast.walk(loop))


def _imported(module: str) -> str:
    root = module.partition(".")[0]
    return f"{root}: {_NO_USE[root]}" if root in _NO_USE else ""
