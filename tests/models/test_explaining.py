"""What a prediction rests on: parts whose removal changes it, of molecules, poses and sequences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from nereus.cli import app
from nereus.errors import InputError
from nereus.models.base import NotFitted
from nereus.models.card import Verb
from nereus.models.explaining import explained
from nereus.models.molecules.unimatch import UniMatch
from nereus.models.sequences.bsm import BSM
from nereus.models.tables import PROBLEM, answer
from tests.models.cases import CASES, trained
from tests.models.cases.bsm import PROTEINS
from tests.models.cases.mbp import contents


class Counting:
    """Predicts the number of oxygens of a molecule, or of tryptophans of a sequence."""

    card = UniMatch.card

    def predict_table(self, table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
        letter = "O" if "smiles" in columns else "W"
        texts = table[columns.get("smiles") or columns["sequence"]]
        return pd.DataFrame({"prediction": texts.str.upper().str.count(letter).astype(float)})


def test_effects_are_what_the_parts_add() -> None:
    table = pd.DataFrame({"s": ["OCCc1ccccc1", "c1ccccc1", "COC(=O)c1ccncc1"]}, index=["a", "b", "c"])
    found = explained(Counting(), table, {"smiles": "s"}, 10)  # type: ignore[arg-type]
    first = found[found["object_row"] == "a"]
    assert set(first["effect"]) == {1.0}, "every part of the chain holds the oxygen"
    assert found.loc["b/0", "part"] == ""
    assert np.isnan(found.loc["b/0", "effect"])
    assert found.loc["c/0", "effect"] == 2.0
    assert found.loc["c/0", "without"] == "c1ccncc1"
    assert found.loc["c/0", "prediction"] - found.loc["c/0", "prediction_without"] == 2.0
    assert found.index.is_unique
    assert found[found["object_row"] == "c"]["effect"].abs().is_monotonic_decreasing
    few = explained(Counting(), table, {"smiles": "s"}, 1)  # type: ignore[arg-type]
    assert list(few.index) == ["a/0", "b/0", "c/0"]


def test_stretches_of_a_sequence_are_made_unknown_and_stay_what_they_are() -> None:
    table = pd.DataFrame({"s": ["MWWKAAAC", "ACGTACGTAA"]})
    found = explained(Counting(), table, {"sequence": "s"}, 4)  # type: ignore[arg-type]
    protein = found[found["object_row"] == "0"]
    assert dict(zip(protein["part"], protein["without"], strict=True)) == {
        "1-2 MW": "XXWKAAAC", "3-4 WK": "MWXXAAAC", "5-6 AA": "MWWKXXAC", "7-8 AC": "MWWKAAXX",
    }  # fmt: skip
    assert protein["effect"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert found[found["object_row"] == "1"]["without"].str.contains("N").all()


@pytest.mark.parametrize("name", ["unimatch", "mgssl", "asgn", "mbp", "bsm"])
def test_predictions_without_a_part_are_those_of_what_is_left(name: str) -> None:
    method = trained(name)
    if name == "mbp":
        table, columns = contents().head(2), {"ligand": "pose", "pocket": "structure"}
    elif name == "bsm":
        table, columns = (
            pd.DataFrame({"s": PROTEINS[:2], "kind": "protein"}),
            {"sequence": "s", "modality": "kind"},
        )
    else:
        table, columns = pd.DataFrame({"s": ["OCCOC", "CC(C)CN"]}), {"smiles": "s"}
    kept = table.copy()
    found = method.explain_table(table, columns, parts=3)
    pd.testing.assert_frame_equal(table, kept)
    whole = method.predict_table(table, columns)["prediction"].to_numpy()
    assert found.groupby("object_row", sort=False)["prediction"].first().to_numpy() == pytest.approx(
        whole, abs=1e-6
    )
    assert (found.groupby("object_row").size() <= 3).all()
    if name == "mbp":
        return  # what is left of a pose has coordinates that its formula does not tell
    role = next(iter(columns.values()))
    rest = pd.DataFrame({role: found["without"], "kind": "protein"})
    again = method.predict_table(rest, columns)["prediction"].to_numpy()
    assert found["prediction_without"].to_numpy() == pytest.approx(again, abs=1e-5)


def test_what_cannot_be_explained_is_told() -> None:
    table = pd.DataFrame({"s": ["OCCOC", "C1CC", "CCN"]})
    found = answer(trained("unimatch"), Verb.EXPLAIN, table, {"smiles": "s"}, {"parts": 2})
    assert found.iloc[-1][PROBLEM].startswith("is no SMILES")
    assert len(found) == 5
    with pytest.raises(InputError, match="0 parts are asked for"):
        trained("unimatch").explain_table(table, {"smiles": "s"}, parts=0)
    with pytest.raises(NotFitted):
        UniMatch().explain_table(table, {"smiles": "s"})
    words = BSM(**CASES["bsm"].settings).fit(PROTEINS, [*"abcabcab"])
    with pytest.raises(InputError, match="names of classes"):
        words.explain_table(pd.DataFrame({"s": PROTEINS}), {"sequence": "s"})


def test_a_command_explains(tmp_path: Path) -> None:
    trained("unimatch").save(tmp_path / "model")
    pd.DataFrame({"smiles": ["OCCOC", "CCN"]}).to_csv(tmp_path / "library.csv", index=False)
    done = CliRunner().invoke(
        app,
        ["methods", "explain", str(tmp_path / "model"), "--data", str(tmp_path / "library.csv"),
         "--out", str(tmp_path / "why.csv"), "--option", "parts=2"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "why.csv")
    assert list(found.columns) == [
        "explained", "object_row", "part", "without", "prediction", "prediction_without", "effect",
    ]  # fmt: skip
    assert found["object_row"].tolist() == [0, 0, 1, 1]
