"""Options of a question: they are the method's own, and others are refused with a list."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from nereus.cli import app
from nereus.errors import InputError
from nereus.models.card import Verb
from nereus.models.molecules.asgn import ASGN
from nereus.models.tables import answer, options_of
from tests.models.cases.asgn import CASE, FEW
from tests.models.cases.molecules import SMILES


@pytest.fixture(scope="module")
def model() -> ASGN:
    return ASGN(**{**CASE.settings, "geometry": "bonds"}).fit(SMILES, FEW)


def test_options_are_those_of_the_verb(model: ASGN) -> None:
    assert options_of(model, Verb.SELECT) == {"n": 100}
    assert options_of(model, Verb.PREDICT) == {}
    table = pd.DataFrame({"smiles": SMILES})
    columns = {"smiles": "smiles"}
    with pytest.raises(InputError, match=r"select has no option 'number'[\s\S]*n=100"):
        answer(model, Verb.SELECT, table, columns, {"number": 3})
    with pytest.raises(InputError, match=r"predict has no option 'n'[\s\S]*it has no options"):
        answer(model, Verb.PREDICT, table, columns, {"n": 3})


@pytest.mark.parametrize("flag", ["--option", "--set"])
def test_a_command_passes_options(model: ASGN, tmp_path: Path, flag: str) -> None:
    model.save(tmp_path / "model")
    pd.DataFrame({"smiles": SMILES}).to_csv(tmp_path / "library.csv", index=False)

    def said(option: str) -> tuple[int, str]:
        found = CliRunner().invoke(
            app,
            ["methods", "select", str(tmp_path / "model"), "--data", str(tmp_path / "library.csv"),
             "--out", str(tmp_path / "next.csv"), flag, option],
        )  # fmt: skip
        return found.exit_code, found.output

    assert said("n=3")[0] == 0
    assert pd.read_csv(tmp_path / "next.csv")["order"].tolist() == [1, 2, 3]
    code, text = said("number=3")
    assert code == 1
    assert "no option 'number'" in text
    code, text = said("n")
    assert code == 1
    assert "--option" in text
