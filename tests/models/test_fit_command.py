"""`nereus methods fit`: what it learns is what the class learns; it tells how far it is, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nereus import models
from nereus.cli import app
from nereus.models.training.session import Session
from nereus.tools import registry
from tests.models.cases import CASES, trained

SMALL = ("width=8", "layers=2", "shots=2", "episodes=2", "tasks=3", "training.epochs=3")


def fitted(folder: Path, name: str, *words: str) -> tuple[int, str]:
    table, columns = CASES["unimatch"].table()
    table.to_csv(folder / "table.csv", index=False)
    told = ["--data", str(folder / "table.csv"), "--smiles", str(columns["smiles"])]
    target = columns["target"] if isinstance(columns["target"], str) else columns["target"][0]
    told += ["--target", target, "--split", "random", "--out", str(folder / name)]
    told += [word for one in SMALL for word in ("--set", one)]
    done = CliRunner().invoke(app, ["methods", "fit", "unimatch", *told, *words])
    return done.exit_code, done.output


def test_a_tool_learns_what_the_class_learns() -> None:
    table, columns = CASES["unimatch"].table()
    params = {**columns, "settings": CASES["unimatch"].settings, "held_out": 0}
    made = registry.get("fit_unimatch").run({"table": table}, params, 0).models["model"]
    own = models.get("unimatch")(**CASES["unimatch"].settings).fit_table(table, columns)
    assert made.content == own.to_bytes()


def test_the_purpose_of_a_training_is_told_and_changes_nothing() -> None:
    X, y = CASES["unimatch"].data()
    stages: list[str] = []
    session = Session(lambda one: stages.append(one.stage)).purpose("judging")
    found = models.get("unimatch")(**CASES["unimatch"].settings).fit(X, y, session=session)
    assert set(stages) == {"judging"}
    assert found.to_bytes() == trained("unimatch").to_bytes()
    stages.clear()
    session.stage("teacher").tell(1, 2, {})
    assert stages == ["judging: teacher"]
    assert session.stage("teacher").name == "teacher"


def test_both_trainings_are_told_where_nobody_looks_at_a_terminal(tmp_path: Path) -> None:
    code, text = fitted(tmp_path, "twice")
    assert code == 0, text
    assert "trained twice" in text
    assert "judging 1/3" in text
    assert "training 3/3" in text
    code, text = fitted(tmp_path, "once", "--held-out", "0", "--threads", "2")
    assert code == 0, text
    assert "trained twice" not in text
    assert "judging" not in text
    code, text = fitted(tmp_path, "quiet", "--quiet")
    assert code == 0, text
    assert "3/3" not in text


def test_a_training_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = fitted(tmp_path, "whole", "--held-out", "0")
    assert code == 0, text
    kept = ("--held-out", "0", "--checkpoints", str(tmp_path / "state"))
    tell = Session.tell

    def stopping(self: Session, epoch: int, epochs: int, losses: dict[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt
        tell(self, epoch, epochs, losses)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "tell", stopping)
        code, text = fitted(tmp_path, "on", *kept)
    assert code == 130
    assert "the same command goes on from the last epoch" in text
    assert not (tmp_path / "on").exists()
    code, text = fitted(tmp_path, "on", *kept)
    assert code == 0, text
    assert "training 1/3" not in text  # it was done before
    whole, on = (np.fromfile(tmp_path / one / "model.safetensors", np.uint8) for one in ("whole", "on"))
    np.testing.assert_array_equal(whole, on)
