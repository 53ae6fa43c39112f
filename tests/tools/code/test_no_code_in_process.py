"""Generated code runs in the sandbox's worker and nowhere else: the tree holds no other way to run code from text."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from nereus.tools.code.lint import remarks

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "nereus"
WORKER = PACKAGE / "tools" / "code" / "inside" / "worker.py"
BUILTINS = {"exec", "eval", "compile", "__import__"}
MODULES = {"code", "codeop", "runpy", "pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib", "imp"}


def ways_to_run_text(source: str) -> list[str]:
    """Every way in which a file runs code from text, or could."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in BUILTINS:
            found.append(f"{node.lineno}: {node.id}")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named = (node.value.id, node.attr)
            if (
                named[0] in ("builtins", "__builtins__")
                or named == ("os", "system")
                or named == ("os", "popen")
            ):
                found.append(f"{node.lineno}: {'.'.join(named)}")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            roots = (
                [alias.name.partition(".")[0] for alias in node.names] if isinstance(node, ast.Import) else []
            )
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                roots = [node.module.partition(".")[0]]
            found += [f"{node.lineno}: import {one}" for one in roots if one in MODULES]
        elif (
            isinstance(node, ast.keyword) and node.arg in ("shell", "allow_pickle") and not _false(node.value)
        ):
            found.append(f"{node.value.lineno}: {node.arg}")
    return found


def _false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def test_nothing_runs_code_from_text_but_the_worker() -> None:
    found = {
        str(path.relative_to(ROOT)): ways
        for path in sorted(PACKAGE.rglob("*.py"))
        if (ways := ways_to_run_text(path.read_text(encoding="utf-8")))
    }
    assert list(found) == [str(WORKER.relative_to(ROOT))], found
    assert len(found[str(WORKER.relative_to(ROOT))]) == 4


@pytest.mark.parametrize(
    "source",
    [
        "exec('x')", "f = eval", "import builtins\nbuiltins.exec('x')", "from pickle import loads", "import code",
        "import subprocess\nsubprocess.run('x', shell=True)", "import os\nos.system('x')", "compile('x', 'y', 'exec')",
        "import numpy\nnumpy.load('x', allow_pickle=True)", "import runpy",
    ],
)  # fmt: skip
def test_the_search_finds_each_way(source: str) -> None:
    assert ways_to_run_text(source)


def test_the_worker_is_imported_by_nobody_and_cannot_be() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            assert not any(name.endswith("inside.worker") for name in names), path
    done = subprocess.run(
        [sys.executable, "-c", "import nereus.tools.code.inside.worker"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "a process of its own" in done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import socket", "line 1: socket: there is no network"),
        ("x = 1\nfrom subprocess import run", "line 2: subprocess: no other program"),
        ("while True:\n    pass", "never ends"),
        ("eval('1')", "hard to check"),
        ("def (", "cannot be read as Python"),
        ("x = '\0'", "cannot be read as Python"),
    ],
)
def test_the_lint_remarks(code: str, said: str) -> None:
    assert any(said in one for one in remarks(code)), remarks(code)


def test_the_lint_is_silent_about_plain_code() -> None:
    assert remarks("import numpy as np\nwhile True:\n    break\nprint(np.mean([1, 2]))") == []
