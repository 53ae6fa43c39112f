"""The scorer of DiscoveryBench: gold expressions are read as data, and the archive is read whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.discoverybench import agreement, context_match, variable_f1
from benchmarks.discoverybench_gold import UnreadableError, conditions, evaluate
from benchmarks.discoverybench_tasks import ARCHIVE, Gold, Task, tasks
from nereus.tools.statistics.formula.expression import Binary, Column, Number

TABLE = pd.DataFrame(
    {
        "a": [1.0, 4.0, 9.0, np.nan],
        "b": [2, 0, 5, 7],
        "on": [True, False, True, True],
        "kind": ["low", "high", "low", "mid"],
    }
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("df['a'] ** 0.5 + 2 * df['b']", [5.0, 2.0, 13.0, np.nan]),
        ("np.where(df['on'] & (df['b'] > 2), 15, 5)", [5, 5, 15, 15]),
        ("df['kind'].map({'low': 1, 'mid': 2, 'high': 3}) % 2", [1, 1, 1, 0]),
        ("df['kind'].apply(lambda x: {'low': 1, 'mid': 2, 'high': 3}[x])", [1, 3, 1, 2]),
        ("df['on'].apply(lambda x: 2 if x else 0) - df.get('b', 0)", [0, 0, -3, -5]),
        ("(df['kind'].isin(['low', 'mid'])).astype(int)", [1, 0, 1, 1]),
        ("np.select([df['b'] > 6, df['b'] > 1], [10, 20], default=0)", [20, 0, 20, 10]),
        ("0 if df['on'].all() else 20", [20, 20, 20, 20]),
    ],
)
def test_gold_is_evaluated(expression: str, expected: list[float]) -> None:
    np.testing.assert_allclose(evaluate(expression, TABLE).astype(float), expected)


@pytest.mark.parametrize(
    "expression",
    [
        "(df['a'] + 1",
        "__import__('os').getcwd()",
        "df.to_csv('x')",
        "df['absent']",
        "open('x')",
        "np.load('x')",
    ],
)
def test_what_is_no_formula_is_refused(expression: str) -> None:
    with pytest.raises(UnreadableError):
        evaluate(expression, TABLE)


def test_conditions_and_context() -> None:
    gold = "np.where((df['b'] > 2) & df['on'], 1, 0)"
    assert sorted(mask.tolist() for mask in conditions(gold, TABLE)) == [
        [False, False, True, True],
        [True, False, True, True],
    ]
    task = Task("t", "f", TABLE, "a", "", 1, Gold(frozenset(), gold))
    same = Binary("*", Binary(">", Column("b"), Number(2.0)), Column("on"))
    assert context_match(same, task) == 1.0
    assert context_match(Column("on"), task) == pytest.approx((1.0 + 2 / 3) / 2)
    assert context_match(None, task) == 0.0


def test_agreement_counts_what_cannot_be_evaluated() -> None:
    observed = np.array([1.0, 2.0, 3.0, 4.0])
    plain, strict, share = agreement(np.array([1.0, 2.0, 3.0, np.nan]), observed, numeric=True)
    assert (plain, share) == (1.0, 0.75)
    assert strict is not None
    assert strict < 1.0
    labels = np.array(["x", "y", None], dtype=object)
    assert agreement(np.array(["x", None, "y"], dtype=object), labels, numeric=False) == (1.0, 0.5, 0.5)
    assert agreement(np.ones(3), np.ones(3), numeric=True)[0] is None


def test_variable_f1() -> None:
    assert variable_f1({"a", "b"}, frozenset({"b", "c"})) == 0.5
    assert variable_f1(set(), frozenset({"c"})) == 0.0


def test_the_archive_is_read_whole() -> None:
    folder = Path(os.environ.get("NEREUS_DATA", ""))
    if not (folder / ARCHIVE).is_file():
        pytest.skip("NEREUS_DATA does not hold DiscoveryBench")
    found = list(tasks(folder))
    assert len(found) == 153
    assert len({task.name.split("/")[0] for task in found}) == 69
    halves = {task.family: task.half for task in found}
    assert sorted(halves.values()).count("tuned") == 4
    seen, hidden = found[0].parts(7)
    assert (len(seen), len(hidden)) == (400, 100)
