"""`nereus tools run`: any tool on files, without a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from nereus.assignments import assigned
from nereus.cli import app
from nereus.errors import InputError
from nereus.tool_commands import read_table_file


def said(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["tools", "run", *arguments])
    return done.exit_code, done.output


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    made = pd.DataFrame({"mass": rng.uniform(1, 9, 80).round(3), "length": rng.uniform(1, 4, 80).round(3)})
    made["treated"] = rng.choice(["yes", "no"], 80)
    made["yield"] = 2.5 * made["mass"] / made["length"]
    path = tmp_path / "table.csv"
    made.to_csv(path, index=False)
    return path


def test_formula_of_a_table_in_a_file_and_its_plot(table: Path, tmp_path: Path) -> None:
    out, drawn = tmp_path / "out", tmp_path / "drawn"
    code, text = said("discover_formula", str(table), "--set", "target=yield", "--out", str(out))
    assert code == 0, text
    assert "yield = 2.5 * mass / length" in text
    saved = json.loads((out / "result.json").read_text())
    assert saved["values"]["exact"] is True
    relevance = pd.read_csv(out / "relevance.csv")
    assert set(relevance.loc[relevance["relevant"], "column"]) == {"mass", "length"}
    code, text = said("plot_parity", f"predictions={out / 'predictions.csv'}", "--out", str(drawn))
    assert code == 0, text
    assert (drawn / "parity.svg").read_bytes().lstrip().startswith(b"<")
    assert len(pd.read_csv(drawn / "parity_drawn.csv")) == 80


def test_values_as_json_are_those_of_the_tool(table: Path) -> None:
    code, text = said(
        "discover_formula", str(table), "--set", "target=yield", "--set", "columns=mass,length", "--json"
    )
    assert code == 0, text
    assert json.loads(text)["n_columns"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("discover_formula", "absent.csv", "--set", "target=y"), "no such file"),
        (("discover_formula", "{table}", "--set", "target=yeld"), "no column 'yeld'"),
        (("discover_formula", "{table}", "--set", "tarjet=yield"), "tarjet"),
        (("discover_formula", "{table}", "--set", "target"), "no assignment"),
        (("discover_formula", "{table}", "{table}", "--set", "target=yield"), "one file more"),
        (("discover_formula", "--set", "target=yield"), "missing"),
        (("no_such_tool", "{table}"), "no_such_tool"),
        (("discover_formula", "{table}", "--set", "target=yield", "--out", "{folder}"), "not empty"),
    ],
)
def test_what_is_wrong_is_said(table: Path, arguments: tuple[str, ...], message: str) -> None:
    filled = [one.format(table=table, folder=table.parent) for one in arguments]
    code, text = said(*filled)
    assert code == 1
    assert message in text
    assert "Traceback" not in text


def test_a_file_of_one_column_is_a_table(tmp_path: Path) -> None:
    library = tmp_path / "library.csv"
    library.write_text("structure\nCCO\n\nc1ccccc1\n", encoding="utf-8")
    read = read_table_file(library)
    assert list(read) == ["structure"]
    assert read["structure"].tolist() == ["CCO", None, "c1ccccc1"]
    asked = tmp_path / "asked.csv"
    asked.write_text('text\nan amine\n""\n"a ring, and an alcohol; both"\n', encoding="utf-8")
    assert read_table_file(asked)["text"].tolist() == ["an amine", None, "a ring, and an alcohol; both"]
    other = tmp_path / "other.csv"
    other.write_text("name;mass\na;1.5\nb;2.5\n", encoding="utf-8")
    assert list(read_table_file(other)) == ["name", "mass"]
    prose = tmp_path / "prose.txt"
    prose.write_text("no table at all\nonly words\n", encoding="utf-8")
    with pytest.raises(InputError):
        read_table_file(prose)


def test_parts_of_settings_are_assigned_as_to_methods(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    chains = ["C" * n + "O" * (n % 2) for n in range(1, 13)]
    pd.DataFrame({"smiles": chains, "2024": range(12)}).to_csv(tmp_path / "table.csv", index=False)
    words = [
        str(tmp_path / "table.csv"),
        "--set",
        "smiles=smiles",
        "--set",
        "target=2024",
        "--set",
        "held_out=0",
    ]
    small = ["geometry=bonds", "width=8", "layers=1", "rounds=1", "training.epochs=1", "student.epochs=1"]
    given = [word for one in small for word in ("--set", f"settings.{one}")]
    code, text = said("fit_asgn", *words, *given, "--json")
    assert code == 0, text
    assert json.loads(text)["epochs"] == 2
    code, text = said("fit_asgn", *words, "--set", "settings.training.epoch=1")
    assert code == 1
    assert "settings.training.epoch" in text


def test_values_are_read_as_their_fields_want_them() -> None:
    class Part(BaseModel):
        folder: str | None = None
        epochs: int = 1

    class Whole(BaseModel):
        part: Part = Part()
        names: tuple[str, ...] = ()
        widths: tuple[int, ...] = ()

    given = ["part.folder=2024", "part.epochs=3", "names=5,7", "widths=5,7", "other.deep=[1]"]
    assert assigned(given, model=Whole) == {
        "part": {"folder": "2024", "epochs": 3},
        "names": ["5", "7"],
        "widths": ["5", "7"],
        "other": {"deep": [1]},
    }
    for wrong in (["width"], ["=3"], ["a..b=1"], ["a=1", "a.b=2"], ["a.b=2", "a=1"]):
        with pytest.raises(InputError, match=r"no assignment|has a value of its own"):
            assigned(wrong)
