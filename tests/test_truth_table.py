"""The page of the data sets with known truth says what the stored result says, and of rows that exist."""

from __future__ import annotations

import json

import pytest

from benchmarks.truth.data_sets import ROWS
from benchmarks.truth.results import RESULTS
from benchmarks.truth.truth_table import PAGE, rendered, verdict

STORED = json.loads((RESULTS / "every_data_set.json").read_text())


def test_the_page_is_made_from_the_result() -> None:
    assert PAGE.read_text() == rendered(STORED)


def test_rows_are_known_and_say_the_same_truth() -> None:
    assert set(STORED["rows"]) <= set(ROWS)
    for name, row in STORED["rows"].items():
        assert row["truth"] == ROWS[name].truth
        assert "error" not in row, name


@pytest.mark.parametrize(
    ("found", "of", "false", "claims", "word"),
    [
        (8, 10, 1, 10, "found"),
        (7, 10, 0, 10, "partly"),
        (0, 10, 0, 0, "missed"),
        (10, 10, 2, 12, "found, false"),
        (0, 1, None, None, "missed"),
    ],
)
def test_verdicts(found: int, of: int, false: int | None, claims: int | None, word: str) -> None:
    assert verdict({"found": found, "of": of, "false": false, "claims": claims}) == word


def test_every_row_can_be_scored_or_says_why_tools_are_called() -> None:
    for row in ROWS.values():
        assert (row.score is None) != (row.tools is None), row.name
        assert bool(row.why) == (row.tools is not None), row.name
