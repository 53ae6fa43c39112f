"""The comparison with peers counts alike for all of them, and what is measured of a process is that process's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.peers.arms import score
from benchmarks.process import measured


def expected(feature: str, contrast: str) -> float | None:
    a, _, b = contrast.partition(" vs ")
    if {a, b} != {"x", "y"}:
        return None
    return {"up": 1.0, "down": -2.0}.get(feature, 0.0) * (1 if a == "x" else -1)


def test_a_pair_counts_once_and_in_either_order_of_its_groups() -> None:
    rows = [
        ("up", "x vs y", True),
        ("up", "y vs x", False),  # the same, said the other way round
        ("down", "x vs y", True),  # the wrong direction
        ("still", "x vs y", True),
        ("still", "age", True),
    ]
    counted = score(pd.DataFrame(rows, columns=["feature", "contrast", "up"]), expected, 2)
    assert (counted["true"], counted["false"], counted["not_judged"]) == (1, 2, 1)
    assert counted["recall"] == 0.5
    assert counted["false_share"] == pytest.approx(2 / 3)


def test_a_pair_that_is_said_in_two_ways_at_odds_is_false() -> None:
    rows = [("up", "x vs y", True), ("up", "x vs y", False)]
    counted = score(pd.DataFrame(rows, columns=["feature", "contrast", "up"]), expected, 2)
    assert (counted["true"], counted["false"]) == (0, 1)


def test_memory_and_failure_are_those_of_the_command(tmp_path: Path) -> None:
    small = measured([sys.executable, "-S", "-c", "print('said')"], tmp_path / "small")
    large = measured(
        [sys.executable, "-S", "-c", "b = bytearray(200_000_000); raise SystemExit(3)"], tmp_path / "large"
    )
    assert (small.code, large.code) == (0, 3)
    assert (tmp_path / "small").read_text() == "said\n"
    assert small.peak_mb < 100 < 190 < large.peak_mb
