"""A model is trained from a conversation, after a yes, and predicts; what is missing is said."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("rdkit")

from nereus.agents.chat.actions.training import judged, no_better
from nereus.agents.chat.local_desk import LocalDesk
from nereus.errors import ToolError
from tests.agents.chat.conftest import Conversation, told

MOLECULES = Path(__file__).parents[3] / "examples" / "solubility" / "molecules.csv"
TINY = {
    "small": False,
    "settings": {
        "geometry": "bonds", "width": 8, "layers": 1, "reach": 4.0, "gap": 1.0, "rounds": 1, "clusters": 2,
        "training": {"epochs": 1}, "student": {"epochs": 1},
    },
}  # fmt: skip


@pytest.fixture
def table(empty_desk: LocalDesk, tmp_path: Path) -> str:
    file = tmp_path / "molecules.csv"
    pd.read_csv(MOLECULES).dropna().head(24).to_csv(file, index=False)
    return empty_desk.add_file(file).id


def test_training_and_predicting(empty_desk: LocalDesk, table: str) -> None:
    conversation = Conversation(empty_desk)
    before = conversation.say("draw CCO and predict its solubility", datasets=[table])
    assert told(before)["artifacts"][0]["kind"] == "figure"
    assert "train a model of log_solubility" in str(before.content)
    conversation.say("train a model of log_solubility")
    asked = conversation.requests()[0]
    assert (asked["action_request"]["args"]["method"], asked["action_request"]["args"]["dataset"]) == (
        "asgn",
        table,
    )
    assert "Train asgn" in asked["description"]
    assert not empty_desk.models()
    trained = conversation.answer({"type": "edit", "args": {"args": TINY}})
    assert "kept it as `log_solubility`" in str(trained.content), trained.content
    assert "number without evidence" not in str(trained.content)
    answer = conversation.say("what is the solubility of CCCCO?")
    assert "log_solubility" in str(answer.content)
    cited = {one["label"]: one["value"] for one in told(answer)["evidence"]}
    assert f"{cited['prediction by log_solubility']:.2f}" in str(answer.content)
    assert {"held out rmse", "baseline rmse"} <= set(cited)
    assert "no trained model" in str(conversation.say("predict the toxicity of CCO").content).lower()
    assert "predicts for `CCCO`" in str(conversation.say("predict it for CCCO").content)


def test_what_is_missing_for_training_is_said(empty_desk: LocalDesk, table: str, tmp_path: Path) -> None:
    conversation = Conversation(empty_desk)
    few = tmp_path / "few.csv"
    few.write_text("smiles,toxicity\nCCO,1\nCCC,0\n")
    for text, why in (
        ("train a model of boiling_point", "no column 'boiling_point'"),
        ("fit nonsense to predict log_solubility", ""),
        ("fit utgdiff to predict log_solubility", "predicts nothing"),
    ):
        answer = str(conversation.say(text, datasets=[table]).content)
        assert why in answer
        if not why:
            conversation.answer({"type": "ignore"})
    assert "too few numbers" in str(
        conversation.say("train a toxicity model", datasets=[empty_desk.add_file(few).id]).content
    )
    assert not empty_desk.models()


def test_training_ends_when_nobody_waits(empty_desk: LocalDesk) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    table = empty_desk.keep_table(pd.read_csv(MOLECULES), "molecules")
    with pytest.raises(ToolError, match="stopped"):
        empty_desk.call_tool(
            "fit_asgn",
            {"table": table},
            {"smiles": "smiles", "target": ["log_solubility"]},
            stop=stop.is_set,
        )


def test_a_model_that_is_no_better_than_its_baseline_is_told() -> None:
    assert no_better({"held_out_rmse": 2.0, "baseline_rmse": 1.0, "baseline": "ridge"})
    assert no_better({"held_out_auroc": 0.5, "baseline_auroc": 0.5})
    assert not no_better({"held_out_rmse": 1.0, "baseline_rmse": 2.0})
    assert judged({"held_out_rmse": 1.0, "baseline_rmse": 2.0}, lambda name, value: f"<{name}>") == [
        "root mean squared error <held_out_rmse> (baseline <baseline_rmse>)"
    ]
