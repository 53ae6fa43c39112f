"""What could fool formula discovery: units, order, repeats, copies of the target, useless columns, size."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from nereus.tools import registry
from nereus.tools.base import Result

discover = registry.get("discover_formula")


def grounds(n: int = 240, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"mass": rng.uniform(1, 9, n).round(3), "length": rng.uniform(1, 4, n).round(3)})
    table["site"] = rng.choice(["north", "south"], n)
    table["noise"] = rng.normal(size=n)
    return table


def used(result: Result) -> set[str]:
    relevance = result.tables["relevance"]
    return set(relevance.loc[relevance["in_formula"], "column"])


@pytest.mark.parametrize("unit", [1e-100, 1e-12, 1e-3, 1e9, 1e100])
def test_units_do_not_matter(unit: float) -> None:
    table = grounds()
    table["mass"] *= unit
    table["y"] = 2.5 * table["mass"] / table["length"]
    result = discover(table, target="y")
    assert result.values["exact"] is True
    assert used(result) == {"mass", "length"}
    assert float(result.tables["terms"]["coefficient"][0]) == pytest.approx(2.5)


@pytest.mark.parametrize("unit", [1e-12, 1e9])
def test_noise_stays_noise_in_any_unit(unit: float) -> None:
    table = grounds()
    table["y"] = unit * (2.5 * table["mass"] + np.random.default_rng(1).normal(size=len(table)))
    result = discover(table, target="y")
    assert result.values["found"] is True
    assert result.values["exact"] is False
    assert float(str(result.values["matched"])) < 0.1


def test_extreme_and_infinite_values_are_survived() -> None:
    table = grounds()
    table["huge"] = np.where(np.arange(len(table)) % 7 == 0, 1e308, table["mass"])
    table["endless"] = np.where(np.arange(len(table)) % 5 == 0, np.inf, 1.0)
    table["y"] = 3 * table["mass"] + 1
    table.loc[3, "y"] = -np.inf
    result = discover(table, target="y")
    assert result.values["formula"] == "3 * mass + 1"
    assert result.values["n_rows"] == len(table) - 1


def test_order_of_columns_does_not_matter() -> None:
    table = grounds()
    table["y"] = 2 * table["mass"] - 3 * table["length"] + np.random.default_rng(5).normal(0, 0.2, len(table))
    results = [discover(table[order], target="y") for order in (list(table), list(table)[::-1])]
    assert results[0].values["r2"] == pytest.approx(float(str(results[1].values["r2"])), abs=1e-12)
    first, second = (one.tables["relevance"].set_index("column").sort_index() for one in results)
    pd.testing.assert_frame_equal(first, second)


def test_equal_seeds_give_equal_bytes() -> None:
    table = grounds()
    table["y"] = np.where(table["site"] == "north", 1.5, 1.0) * table["mass"]
    before = table.copy()
    first, second = discover(table, target="y", seed=4), discover(table.copy(), target="y", seed=4)
    pd.testing.assert_frame_equal(table, before)
    assert dict(first.values) == dict(second.values)
    for name in first.tables:
        pd.testing.assert_frame_equal(first.tables[name], second.tables[name])


def test_repeated_rows_stay_on_one_side_of_the_split() -> None:
    table = pd.concat([grounds(80)] * 3, ignore_index=True)
    table["y"] = np.tile(np.random.default_rng(8).normal(size=80), 3)
    result = discover(table, target="y")
    assert result.values["found"] is False
    assert result.values["n_repeated_rows"] == 160
    assert any("repeated" in text for text in result.warnings)
    table["y"] = 2 * table["mass"]
    told = discover(table, target="y").tables["predictions"]
    sides = told.assign(twin=np.arange(len(told)) % 80).groupby("twin")["held_out"].nunique()
    assert (sides == 1).all()


def test_what_is_said_of_held_out_rows_was_made_without_them() -> None:
    table = grounds()
    table["y"] = 2 * table["mass"] + np.random.default_rng(2).normal(0, 1.5, len(table))
    result = discover(table, target="y")
    told = result.tables["predictions"]
    held = told[told["held_out"]]
    assert len(held) == result.values["n_held_out"]
    off = ((held["observed"] - held["predicted"]) ** 2).sum()
    r2 = 1 - off / ((held["observed"] - held["observed"].mean()) ** 2).sum()
    assert result.values["r2"] == pytest.approx(r2, abs=1e-12)
    # whatever the held-out targets are, the rest of the table says the same of them
    changed = table.copy()
    rows = [int(row.removeprefix("row ")) - 1 for row in held["row"]]
    changed.loc[rows, "y"] = changed.loc[rows, "y"] * 1.02 + 0.1
    again = discover(changed, target="y").tables["predictions"]
    np.testing.assert_allclose(again["predicted"], told["predicted"])


@pytest.mark.parametrize("twin", ["other units", "other words"])
def test_copy_of_the_target_is_named(twin: str) -> None:
    table = grounds()
    if twin == "other units":
        table["y"] = 2 * table["mass"] / table["length"]
        table["twin"] = 1000 * table["y"] - 7
    else:
        table["y"] = np.where(table["mass"] > 5, "heavy", "light")
        table["twin"] = np.where(table["mass"] > 5, "H", "L")
    result = discover(table, target="y")
    assert result.values["n_copies_of_target"] == 1
    assert any("'twin'" in text and "determine each other" in text for text in result.warnings)
    without = discover(table, target="y", columns=("mass", "length", "site", "noise"))
    assert without.values["n_copies_of_target"] == 0
    assert "twin" not in used(without)
    assert without.values["exact"] is True


def test_useless_columns_do_no_harm_and_are_named() -> None:
    table = grounds()
    table["y"] = 4 * table["length"] + 1
    table["constant"] = 7
    table["empty"] = np.nan
    table["when"] = pd.date_range("2020-01-01", periods=len(table))
    table["note"] = [f"patient {i}" for i in range(len(table))]
    result = discover(table, target="y")
    assert result.values["formula"] == "4 * length + 1"
    assert result.values["n_columns_left_out"] == 2
    assert any("'when', 'note'" in text for text in result.warnings)


def test_only_columns_that_cannot_be_used() -> None:
    table = pd.DataFrame(
        {"note": [f"p{i}" for i in range(60)], "y": np.random.default_rng(0).normal(size=60)}
    )
    result = discover(table, target="y")
    assert result.values["found"] is False
    assert result.tables["relevance"].empty


RANDOM = {
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "counts": lambda rng, n: rng.poisson(2, n),
    "answer": lambda rng, n: rng.random(n) < 0.5,
    "rare answer": lambda rng, n: rng.random(n) < 0.08,
    "three words": lambda rng, n: rng.choice(["a", "b", "c"], n, p=[0.7, 0.2, 0.1]),
    "bounded": lambda rng, n: np.clip(rng.normal(size=n), -0.5, 0.5),
}


@pytest.mark.parametrize("kind", RANDOM)
def test_random_targets_give_none(kind: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng(40 + seed)
        table = grounds(150, seed=seed).assign(more=rng.uniform(size=150))
        table["y"] = RANDOM[kind](rng, 150)
        result = discover(table, target="y", question="How do mass and noise drive y?", max_terms=300)
        assert result.values["found"] is False
        assert result.values["formula"] is None


def test_time_is_bounded_in_rows_and_columns() -> None:
    rng = np.random.default_rng(0)
    n = 200_000
    tall = pd.DataFrame({"a": rng.uniform(1, 9, n).round(3), "b": rng.uniform(1, 9, n).round(3)})
    tall["y"] = 3 * tall["a"] - 2 * tall["b"] + rng.normal(0, 0.1, n)
    start = time.process_time()
    result = discover(tall, target="y", max_terms=500)
    assert result.values["n_rows"] == n
    assert result.values["n_searched"] == 5000
    assert result.values["n_held_out"] == n // 5
    assert used(result) == {"a", "b"}
    wide = pd.DataFrame(rng.uniform(1, 9, (200, 400)), columns=[f"c{i}" for i in range(400)])
    wide["y"] = 2 * wide["c17"] + wide["c230"] ** 2
    result = discover(wide, target="y", max_terms=1000)
    assert used(result) == {"c17", "c230"}
    assert time.process_time() - start < 60


def test_few_different_rows_are_no_copies() -> None:
    rng = np.random.default_rng(6)
    table = pd.DataFrame({name: rng.random(200) < 0.5 for name in ("a", "b", "c")})
    table["y"] = table["a"] & ~table["b"]
    result = discover(table, target="y")
    assert result.values["exact"] is True
    assert used(result) == {"a", "b"}
    assert any("also seen" in text for text in result.warnings)
    same = pd.DataFrame({"a": np.ones(50), "y": np.tile([1.0, 2.0], 25)})
    assert discover(same, target="y").values["found"] is False
