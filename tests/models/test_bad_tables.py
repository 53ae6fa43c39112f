"""Tables and settings that a command cannot take: an error says what is wrong, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from nereus.cli import app
from tests.models.cases import trained
from tests.models.cases.molecules import ALCOHOL, SMILES

MOLECULES = ("unimatch", "mgssl", "asgn", "mbp")


def fitted(folder: Path, method: str, *words: str, **columns: Any) -> str:
    """What `nereus methods fit` says when it refuses."""
    pd.DataFrame({"smiles": SMILES, "y": ALCOHOL, **columns}).to_csv(folder / "table.csv", index=False)
    out = folder / "out"
    done = CliRunner().invoke(
        app, ["methods", "fit", method, "--data", str(folder / "table.csv"), "--out", str(out), *words]
    )
    assert done.exit_code == 1, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert not out.exists()
    return " ".join(done.output.split())


@pytest.mark.parametrize("method", MOLECULES)
def test_a_target_that_is_not_there_is_named(tmp_path: Path, method: str) -> None:
    assert "there is no column 'nope'" in fitted(tmp_path, method, "--target", "nope")


@pytest.mark.parametrize("method", MOLECULES)
def test_targets_in_words_are_quoted(tmp_path: Path, method: str) -> None:
    told = fitted(tmp_path, method, "--target", "y", y=["high", "low"] * 12)
    assert "'high'" in told


def test_targets_that_are_all_empty_are_told(tmp_path: Path) -> None:
    told = fitted(tmp_path, "mgssl", "--target", "y", y=np.full(24, np.nan))
    assert "no target is a number: all are empty" in told


def test_numbers_are_no_molecules(tmp_path: Path) -> None:
    assert "is no text" in fitted(tmp_path, "mgssl", "--target", "y", smiles=range(24))


def test_answers_go_to_a_file_and_columns_of_training_are_checked(tmp_path: Path) -> None:
    trained("mgssl").save(tmp_path / "model")
    pd.DataFrame({"smiles": SMILES}).to_csv(tmp_path / "table.csv", index=False)

    def said(out: Path) -> str:
        done = CliRunner().invoke(
            app,
            ["methods", "predict", str(tmp_path / "model"), "--data", str(tmp_path / "table.csv"), "--out", str(out)],
        )  # fmt: skip
        assert done.exit_code == 1
        assert isinstance(done.exception, SystemExit)
        return done.output

    assert "is a folder" in said(tmp_path)
    for text in ("{", "[1]", '{"smiles": 3}'):
        (tmp_path / "model" / "columns.json").write_text(text, encoding="utf-8")
        assert "the columns of training cannot be read" in said(tmp_path / "out.csv")


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    told = fitted(tmp_path, "mgssl", "--target", "y", "--set", "width=8", "--set", "width.x=9")
    assert "'width.x' is a part of 'width', which has a value of its own" in told
