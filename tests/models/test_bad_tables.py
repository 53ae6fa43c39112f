"""Tables and settings that a command cannot take: an error says what is wrong, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from nereus.cli import app
from nereus.models.molecules.labels import binary_labels
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
    assert "'.xlsx' is no ending of a table of text" in said(tmp_path / "out.xlsx")
    before = (tmp_path / "table.csv").read_bytes()
    assert "is the table that is asked about" in said(tmp_path / "model" / ".." / "table.csv")
    assert (tmp_path / "table.csv").read_bytes() == before
    for text in ("{", "[1]", '{"smiles": 3}'):
        (tmp_path / "model" / "columns.json").write_text(text, encoding="utf-8")
        assert "the columns of training cannot be read" in said(tmp_path / "out.csv")


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    told = fitted(tmp_path, "mgssl", "--target", "y", "--set", "width=8", "--set", "width.x=9")
    assert "'width.x' is a part of 'width', which has a value of its own" in told


@pytest.mark.parametrize(("wrong", "near"), [("Y", "perhaps 'y'"), ("score", "columns are ['smiles', 'y']")])
def test_the_nearest_column_is_named(tmp_path: Path, wrong: str, near: str) -> None:
    assert near in fitted(tmp_path, "mgssl", "--target", wrong)


@pytest.mark.parametrize("method", MOLECULES)
@pytest.mark.parametrize("cell", ["<-3", "2.5 uM", "inf"])
def test_a_target_that_is_no_bare_number_is_told_with_its_row(tmp_path: Path, method: str, cell: str) -> None:
    y: list[Any] = ALCOHOL.tolist()
    smiles = [
        "no molecule",
        *SMILES[1:],
    ]  # rows are counted as in the file, also behind one that cannot be read
    y[20] = cell
    told = fitted(tmp_path, method, "--target", "y", "--held-out", "0", smiles=smiles, y=y)
    assert f"row 20: {cell!r} in column 'y' is no number" in told


def test_a_first_row_that_is_no_molecule_is_quoted(tmp_path: Path) -> None:
    told = fitted(tmp_path, "mgssl", "--target", "y", smiles=[f"sample {row}" for row in range(24)])
    assert "row 0: 'sample 0' is no SMILES" in told


def test_truth_values_are_labels(tmp_path: Path) -> None:
    pd.DataFrame({"smiles": SMILES, "y": ALCOHOL.astype(bool)}).to_csv(tmp_path / "table.csv", index=False)
    words = [
        "methods",
        "fit",
        "mgssl",
        "--data",
        str(tmp_path / "table.csv"),
        "--target",
        "y",
        "--smiles",
        "smiles",
    ]
    small = [
        "--set",
        "width=8",
        "--set",
        "layers=2",
        "--set",
        "training.epochs=1",
        "--set",
        "finetuning.epochs=1",
    ]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "model"), *small])
    assert done.exit_code == 0, done.output
    assert "held-out rows auroc" in done.output
    assert binary_labels([True, "false", None], 3)[:, 0].tolist() == pytest.approx(
        [1, 0, np.nan], nan_ok=True
    )


def test_places_that_cannot_be_written_are_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    pd.DataFrame({"smiles": SMILES, "y": ALCOHOL}).to_csv(tmp_path / "table.csv", index=False)
    trained("mgssl").save(tmp_path / "model")
    data, out = ["--data", str(tmp_path / "table.csv")], ["--out", str(tmp_path / "file" / "out")]
    for words in (["fit", "mgssl", "--target", "y"], ["predict", str(tmp_path / "model")]):
        done = CliRunner().invoke(app, ["methods", *words, *data, *out])
        assert (done.exit_code, type(done.exception)) == (1, SystemExit), done.output
        assert "is a file, not a folder" in done.output


def test_answers_are_parted_by_tabs_where_the_name_says_so(tmp_path: Path) -> None:
    trained("mgssl").save(tmp_path / "model")
    pd.DataFrame({"smiles": SMILES[:3]}).to_csv(tmp_path / "table.csv", index=False)
    words = ["methods", "predict", str(tmp_path / "model"), "--data", str(tmp_path / "table.csv"), "--out"]
    for name in ("out.tsv", "out.tsv.gz"):
        done = CliRunner().invoke(app, [*words, str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        assert pd.read_csv(tmp_path / name, sep="\t").columns.tolist() == ["smiles", "prediction"]


def test_related_assays_in_words_are_quoted(tmp_path: Path) -> None:
    words = ["--target", "y", "--column", "related=other", "--column", "related=more"]
    told = fitted(tmp_path, "unimatch", *words, other=["high", "low"] * 12, more=ALCOHOL)
    assert "'high'" in told


def test_predictions_stand_row_by_row_beside_what_is_written(tmp_path: Path) -> None:
    trained("mgssl").save(tmp_path / "model")
    given = "structure,id,cid,prediction,value\nCCO,007,12345678901234567890,old,1e5\n,,,,\nC1CC,1,2,old,NA\n,,,,\n"
    (tmp_path / "table.csv").write_text(given, encoding="utf-8")
    out = tmp_path / "out.csv"
    words = ["methods", "predict", str(tmp_path / "model"), "--data", str(tmp_path / "table.csv")]
    done = CliRunner().invoke(app, [*words, "--smiles", "structure", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "3 rows cannot be read" in done.output
    assert "'prediction' of the table gave way to the answer" in done.output
    found = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert found["id"].tolist() == ["007", "", "1", ""]
    assert found["cid"].tolist() == ["12345678901234567890", "", "2", ""]
    assert found["value"].tolist() == ["1e5", "", "NA", ""]
    assert [bool(one) for one in found["prediction"]] == [True, False, False, False]
    assert found["problem"].tolist() == ["", "is empty", "is no SMILES that RDKit can read", "is empty"]


def test_a_setting_that_is_none_and_a_name_that_cannot_be_kept_are_told_before_training(
    tmp_path: Path,
) -> None:
    told = fitted(tmp_path, "mgssl", "--target", "y", "--set", "widht=8", "--set", "training.epoch=1")
    assert "widht: Extra inputs are not permitted" in told
    assert "mend: perhaps epochs, width; fields are" in told
    assert "is no name for a model" in fitted(tmp_path, "mgssl", "--target", "y", "--keep", "no name")


def test_a_seed_among_the_settings_is_refused(tmp_path: Path) -> None:
    told = fitted(tmp_path, "mgssl", "--target", "y", "--set", "random_state=5")
    assert "random_state is given by --seed mend: --seed 5" in told
