"""The process in which code runs. It confines itself, then runs what it is asked to: nowhere else is code run from text.

Run as ``python worker.py <descriptor of requests> <descriptor of replies> <folder of nereus> <parent, or 0>``. It cannot
be imported, so that no other process comes to run code. Whatever it says is the code's own word, and is read as such.
"""

from __future__ import annotations

import ast
import linecache
import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any

if __name__ != "__main__":
    raise ImportError("code runs in a process of its own: start this file, do not import it")

_IN, _OUT, _PARENT = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[4])
sys.path.insert(0, sys.argv[3])

from nereus.tools.code.inside import columns, confine, copies, drawn, frames, kept, kernel  # noqa: E402

sys.path.pop(0)
FILE = "<code>"
_TEXT = 200_000


class Calls:
    """What the code may ask of who opened the sandbox: `call(name, ...)`, with JSON values only."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self._one = threading.Lock()

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        """Ask for a named function's value."""
        if name not in self.names:
            raise NameError(f"nothing is called {name!r} here; there are {sorted(self.names)}")
        with self._one:  # threads ask one after the other
            frames.write(_OUT, {"kind": "call", "name": name, "arguments": arguments})
            reply = frames.read(_IN)
        if reply is None:
            raise EOFError("the sandbox is closed")
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["value"]


def seeded(seed: int) -> None:
    """Everything random follows from the seed, also a generator that was asked for without one."""
    import random

    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    made = iter(range(2**62))
    plain = getattr(np.random.default_rng, "plain", np.random.default_rng)

    def default_rng(given: Any = None) -> Any:
        return plain([seed, next(made)] if given is None else given)

    default_rng.plain = plain  # type: ignore[attr-defined]
    np.random.default_rng = default_rng  # type: ignore[assignment]


def assigned(tree: ast.Module) -> set[str]:
    """Names that the code binds or writes into: `x = `, `x["a"] = `, `x.a = `."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            root: ast.AST = node
            while isinstance(root, ast.Subscript | ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name):
                found.add(root.id)
        elif isinstance(node, ast.alias):
            found.discard(node.asname or node.name)
    return found


def run_code(text: str, state: dict[str, Any], echo: bool) -> set[str]:
    """Run the code; with `echo`, print the value of a last expression as a notebook does. Names that it binds."""
    tree = ast.parse(text, FILE)
    names = assigned(tree)
    last = tree.body.pop() if echo and tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, FILE, "exec"), state)  # noqa: S102 - what this process is for
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), FILE, "eval"), state)  # noqa: S307 - as above
        if value is not None:
            print(repr(value))  # noqa: T201
    return names


def told(error: BaseException) -> dict[str, Any]:
    """An error as the code's author reads it; one that cannot even be told of is told by its class."""
    try:
        return _told(error)
    except BaseException:  # noqa: BLE001 - what an exception of the code does when it is asked is the code's
        plain = {"kind": type.__getattribute__(type(error), "__name__"), "message": "(it cannot be shown)"}
        return {**plain, "traceback": "", "errno": None, "file": None}


def _told(error: BaseException) -> dict[str, Any]:
    """The same, asking the exception: without this file's own lines."""
    shown = traceback.TracebackException.from_exception(error, limit=-30)
    own = os.path.basename(__file__)
    shown.stack = traceback.StackSummary.from_list(
        [one for one in shown.stack if not (one.filename.endswith(own) and "inside" in one.filename)]
    )
    return {
        "kind": type(error).__name__,
        "message": str(error)[:2000],
        "traceback": "".join(shown.format())[-20_000:],
        "errno": error.errno if isinstance(error, OSError) else None,
        "file": _meant(error),
    }


def _meant(error: BaseException) -> str | None:
    """The path that an error is about, behind its links; of two, the one outside of the work folder."""
    named = [getattr(error, name, None) for name in ("filename", "filename2")]
    paths = [_resolved(one) for one in named if isinstance(one, str)]
    work = os.path.join(os.path.realpath(os.environ.get("HOME", "")), "")
    return next((one for one in paths if not one.startswith(work)), paths[0] if paths else None)


def _resolved(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a link that may not be read
        return os.path.abspath(path)


def answer(request: dict[str, Any], state: dict[str, Any], calls: Calls, room: int) -> dict[str, Any]:
    """Carry out one request; tables and figures share a room of so many bytes."""
    confine.limit_cpu(request["cpu_s"])
    calls.names = frozenset(request["functions"])
    for table in request["tables"]:
        name, frame = columns.decoded(table)
        state[name] = frame
    state.update(request["values"])
    if request["seed"] is not None:
        seeded(request["seed"])
    before = dict(state)
    reply: dict[str, Any] = {
        "kind": "result",
        "error": None,
        "exit": None,
        "tables": [],
        "values": {},
        "figures": [],
        "left_out": [],
    }
    try:
        names = run_code(request["code"], state, request["echo"])
        if request["collect"]:
            reply["figures"] = drawn.figures()
            new = {
                name: value
                for name, value in list(state.items())
                if not name.startswith("_") and (name in names or before.get(name, state) is not value)
            }
            reply |= kept.results(new, room - sum(len(one["svg"]) for one in reply["figures"]))
    except SystemExit as stop:
        code = stop.code
        reply["exit"] = code if isinstance(code, int) else 0 if code is None else 1
        if code is not None and not isinstance(code, int):
            with suppress(Exception):
                print(code, file=sys.stderr)  # noqa: T201
    except BaseException as error:  # noqa: BLE001 - whatever the code raises is its result
        reply["error"] = told(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    return reply


def _too_large(size: int) -> dict[str, Any]:
    error = {
        "kind": "ReplyTooLarge",
        "message": f"{size} bytes",
        "traceback": "",
        "errno": None,
        "file": None,
    }
    return {
        "kind": "result",
        "error": error,
        "exit": None,
        "tables": [],
        "values": {},
        "figures": [],
        "left_out": [],
    }


def main() -> None:
    """Confine this process, then answer requests until there are no more."""
    if _PARENT:
        kernel.die_with(_PARENT) if sys.platform == "linux" else None
    begin = frames.read(_IN)
    if begin is None:
        return
    held = confine.confine(begin)
    copies.without_permissions()
    sys.argv = [FILE]
    calls = Calls()
    state: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__, "call": calls}
    frames.write(_OUT, {"kind": "ready", "id": begin["id"], **held})
    while (request := frames.read(_IN)) is not None:
        lines = request["code"].splitlines(keepends=True)
        linecache.cache[FILE] = (len(request["code"]), None, lines, FILE)
        most = begin["reply_mb"] * 2**20
        reply = frames.packed(answer(request, state, calls, most * 9 // 10) | {"id": request["id"]})
        if len(reply) > most:
            reply = frames.packed(_too_large(len(reply)) | {"id": request["id"]})
        frames.send(_OUT, reply)


main()
