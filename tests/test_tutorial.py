"""The tutorial does what it says: its commands and its Python run, in their order, on the data that ships."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from nereus.cli import app

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[list[str]]:
    """The words of every command of a shell block."""
    return [
        shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines() if line.strip()
    ]


def test_tutorial_of_molecules_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples" / "solubility", tmp_path / "examples" / "solubility")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEREUS_HOME", str(tmp_path / "home"))
    blocks = BLOCK.findall((ROOT / "docs" / "tutorial_molecules.md").read_text(encoding="utf-8"))
    assert {language for language, _ in blocks} == {"bash", "python"}
    names: dict[str, Any] = {}
    said: list[str] = []
    for language, block in blocks:
        if language == "python":
            exec(compile(block, "tutorial", "exec"), names)
            continue
        for name, *words in commands(block):
            assert name == "nereus"
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, f"{words}: {done.output}"
            said.append(done.output)
    fitted = next(one for one in said if "learned from" in one)
    assert re.search(
        r"learned from 300 rows\. On (4|5)\d held-out rows rmse .*ridge regression on Morgan", fitted
    )
    assert {"model.safetensors", "result.json", "held_out.csv", "learning_curve.svg", "performance.svg"} <= {
        one.name for one in (tmp_path / "model").iterdir()
    }
    for drawn in ("later.svg", "drawn/molecules.svg"):
        assert "<svg" in (tmp_path / drawn).read_text(encoding="utf-8")
    # What it tells the reader: the error is well below the spread, and the choice is of molecules without a value.
    assert names["error"] < 0.8 * names["spread"]
    assert names["rank"] > 0.6
    chosen = pd.read_csv(tmp_path / "next.csv")
    assert len(chosen) == 8
    assert set(chosen["name"]) <= set(names["later"].index)
    ethanol, _, decane = names["model"].predict(["CCO", "c1ccccc1", "CCCCCCCCCC"])
    assert ethanol > decane
