"""Artifacts as answers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nereus.api.artifact_files import content, rows
from nereus.errors import InputError
from nereus.memory.artifacts import ArtifactStore
from nereus.spreadsheets import harmless

FORMULAS = ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"]


def test_no_text_of_a_csv_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    table = pd.DataFrame({"=key": [*FORMULAS, "plain"], "effect": np.linspace(-3, 3, 7)})
    answer = content(store, store.put_table(table, "made"), "csv")
    read = list(csv.reader(io.StringIO(bytes(answer.body).decode())))
    assert read[0] == ["'=key", "effect"]
    assert [row[0] for row in read[1:]] == [*(f"'{one}" for one in FORMULAS[:-1]), "'\n'=1", "plain"]
    assert [float(row[1]) for row in read[1:]] == list(table["effect"])
    assert list(table["=key"]) == [*FORMULAS, "plain"], "the table itself is as it was"


def test_texts_are_made_harmless_in_columns_of_the_same_name() -> None:
    table = pd.DataFrame([["=a", "=b", None]], columns=["x", "x", "y"])
    assert harmless(table).to_numpy().tolist() == [["'=a", "'=b", None]]


def test_a_table_is_json_without_numbers_that_json_lacks() -> None:
    table = pd.DataFrame({"key": ["a", "b"], "value": [np.inf, np.nan], "n": [1, 2], "yes": [True, False]})
    made = json.loads(json.dumps(rows(table), allow_nan=False))
    assert made == {
        "columns": ["key", "value", "n", "yes"],
        "rows": [["a", None, 1, True], ["b", None, 2, False]],
        "n_total": 2,
    }


def test_what_is_no_table_has_no_form_of_one(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    drawn = store.put_figure(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawn")
    with pytest.raises(InputError, match="'drawn' is a figure, no table"):
        content(store, drawn, "csv")
    answer = content(store, drawn)
    assert answer.media_type == "image/svg+xml"
    assert "sandbox" in answer.headers["content-security-policy"]
