"""The house rules that a machine can hold: what imports what, what stays light, and what is never done."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nereus"
MODULES = sorted(PACKAGE.rglob("*.py"))

HEAVY = (
    "alembic", "anndata", "chromadb", "gseapy", "langchain_core", "langgraph", "matplotlib", "nbformat", "numpy", "pandas",
    "pydantic_settings", "scanpy", "scipy", "sklearn", "sqlalchemy", "statsmodels", "torch", "transformers",
)  # fmt: skip

# Who may import whom; `memory`, `errors` and `settings` are open to all, and import none of these.
ALLOWED = {
    "api": {"api", "agents", "tools", "models", "memory"},
    "agents": {"agents", "tools", "models", "memory"},
    "tools": {"tools", "models", "memory"},
    "models": {"models", "memory"},
    "memory": {"memory"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def loaded_by(code: str) -> set[str]:
    """Top-level modules in `sys.modules` after running some code in a fresh process."""
    script = (
        f"import sys, json\n{code}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HELP = """
from nereus.cli import app
try:
    app(["--help"], standalone_mode=False)
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    "code", ["import nereus", "import nereus.tools.registry", HELP], ids=["import", "registry", "help"]
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded_by(code).isdisjoint(HEAVY)


def test_imports_point_one_way() -> None:
    wrong = []
    for path in MODULES:
        part = path.relative_to(PACKAGE).parts[0]
        if part in ALLOWED:
            targets = {name.split(".")[1] for name in imports(path) if name.startswith("nereus.")}
            wrong += [
                f"{path.relative_to(ROOT)} imports {one}" for one in targets & (set(ALLOWED) - ALLOWED[part])
            ]
    assert not wrong


@pytest.mark.parametrize("name", ["errors.py", "settings.py"])
def test_settings_and_errors_import_nothing_of_ours(name: str) -> None:
    assert {one for one in imports(PACKAGE / name) if one.startswith("nereus")} <= {"nereus.errors"}


def test_no_code_is_run_from_text_and_nothing_is_pickled() -> None:
    forbidden = {"exec", "eval", "compile", "__import__"}
    # The sandbox's own process: it refuses to be imported (tests/tools/code/test_no_code_in_process.py).
    worker = PACKAGE / "tools" / "code" / "inside" / "worker.py"
    assert worker in MODULES
    wrong = []
    for path in MODULES:
        if path == worker:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.func.id}")
        wrong += [
            f"{path.relative_to(ROOT)} imports {one}"
            for one in imports(path)
            if one in ("pickle", "shelve", "marshal", "dill", "joblib")
        ]
    assert not wrong


def test_nobody_is_told_to_install_this_package_by_its_name() -> None:
    """The package registry has another project of that name."""
    by_name = "pip install ['\"]?nereus"
    files = subprocess.run(
        ["git", "grep", "-lE", by_name, "--", "*.md", "*.py", "*.toml", "*.html", "*.tsx", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert [one for one in files if one != "tests/test_house.py"] == []


def test_the_command_line_lists_every_tool_and_shows_one() -> None:
    from nereus.tools import registry

    listed = subprocess.run(
        [sys.executable, "-m", "nereus.cli", "tools"], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[0] for line in listed.splitlines()] == registry.names()
    shown = subprocess.run(
        [sys.executable, "-m", "nereus.cli", "tools", "show", "normalise"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "param   method" in shown
    wrong = subprocess.run(
        [sys.executable, "-m", "nereus.cli", "tools", "show", "normalize"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 1
    assert "normalise" in wrong.stderr
    assert "Traceback" not in wrong.stderr
