"""Formulas: planted ones are found to the last digit, noise gives none, and real clinical rules come out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.base import Result
from nereus.tools.statistics.formula.expression import Binary, Column, Number, Unary, from_data
from nereus.tools.statistics.formula.mention import mentions
from nereus.tools.statistics.formula.pursuit import beam_pursuit
from nereus.tools.statistics.formula.rules import rules_from_data
from nereus.tools.statistics.formula.separation import separate
from nereus.tools.statistics.formula.sheet import Kind, read_sheet
from nereus.tools.statistics.formula.simple_number import simplest_between

SAMPLES = Path(__file__).parents[3] / "examples" / "alzheimer_csf" / "samples.csv"
discover = registry.get("discover_formula")


def grounds(n: int = 300, seed: int = 5) -> pd.DataFrame:
    """Numbers, whole numbers, an answer and a category, and columns that have nothing to do with any target."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "mass": rng.uniform(1, 9, n).round(3),
            "length": rng.uniform(0.5, 4, n).round(3),
            "count": rng.integers(0, 30, n),
            "treated": rng.random(n) < 0.4,
            "tissue": rng.choice(["liver", "brain", "heart"], n),
            "noise": rng.normal(size=n),
            "other": rng.integers(0, 5, n),
        }
    )


def judged(result: Result, fresh: pd.DataFrame, expected: np.ndarray) -> float:
    """Largest relative deviation of the formula from the truth on rows that were made afresh."""
    found = from_data(json.loads(str(result.values["formula_data"]))).evaluate(read_sheet(fresh))
    return float(np.abs(found - expected).max() / np.abs(expected).max())


PLANTED = {
    "polynomial": (lambda t: 3 * t["mass"] ** 2 - 0.5 * t["length"] * t["mass"] + 12, {"mass", "length"}),
    "ratio": (lambda t: 2.5 * t["mass"] / t["length"], {"mass", "length"}),
    "root and logarithm": (lambda t: 4 * np.sqrt(t["mass"]) - 1.5 * np.log(t["length"]), {"mass", "length"}),
    "remainder": (lambda t: t["mass"] + 0.2 * (t["count"] % 2), {"mass", "count"}),
    "answer": (lambda t: 1.5 * t["count"] + 20 * t["treated"], {"count", "treated"}),
    "gated": (lambda t: t["mass"] * np.where(t["treated"], 1.3, 1.0), {"mass", "treated"}),
    "category": (
        lambda t: t["mass"] * np.where(t["tissue"].isin(["liver", "brain"]), 1.5, 1.0),
        {"mass", "tissue"},
    ),
    "difference": (
        lambda t: 2 * np.abs(t["mass"] - t["length"]) + t["count"],
        {"mass", "length", "count"},
    ),
    "ratio of sums": (lambda t: 40 * t["count"] / (t["mass"] + t["length"]), {"count", "mass", "length"}),
    "root of a sum": (lambda t: np.sqrt(3 * t["mass"] + 2 * t["length"] + 1), {"mass", "length"}),
    "exponential": (lambda t: np.exp(0.5 * t["mass"] - 0.25 * t["length"]), {"mass", "length"}),
    "reciprocal": (lambda t: 1 / (2 * t["mass"] + t["length"] + 0.5), {"mass", "length"}),
    "threshold": (lambda t: t["mass"] * np.where(t["count"] > 20, 2.0, 1.0) + 1, {"mass", "count"}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_formula_is_recovered_exactly(name: str) -> None:
    make, columns = PLANTED[name]
    table = grounds()
    result = discover(table.assign(y=make(table)), target="y")
    assert result.values["exact"] is True
    assert result.complete
    relevance = result.tables["relevance"]
    assert set(relevance.loc[relevance["in_formula"], "column"]) == columns
    fresh = grounds(2000, seed=77)
    assert judged(result, fresh, make(fresh).to_numpy(float)) < 1e-6


def test_bounds_are_told_from_values() -> None:
    table = grounds()
    make = lambda t: np.clip(3 * t["mass"] + 2 * t["length"], 8, 30)  # noqa: E731
    result = discover(table.assign(y=make(table)), target="y")
    assert result.values["exact"] is True
    assert result.values["formula"] == "3 * mass + 2 * length, at least 8 and at most 30"
    assert any("bound" in text for text in result.warnings)


def test_bounds_are_told_from_values_with_noise_on_them() -> None:
    table = grounds(400)
    rng = np.random.default_rng(9)
    held = np.minimum(3 * table["mass"] + 4 * table["length"], 30)
    y = np.minimum(held + rng.normal(0, 0.15, len(table)), 30)
    result = discover(table.assign(y=y), target="y", question="How do mass and length make y?")
    terms = result.tables["terms"].set_index("text")["coefficient"]
    assert terms["mass"] == pytest.approx(3, abs=0.1)
    assert terms["length"] == pytest.approx(4, abs=0.1)
    assert terms["at most"] == 30


def test_rounded_values_are_told_from_their_formula() -> None:
    table = grounds(400)
    y = (0.001 * table["mass"] * table["length"]).round(3)
    result = discover(table.assign(y=y), target="y")
    assert result.values["exact"] is True
    assert result.values["formula"] == "round(0.001 * length * mass, 3)"
    assert result.values["r2"] == pytest.approx(1.0)


def test_whole_numbers_may_be_cut_ones() -> None:
    table = grounds()
    y = np.trunc(3 * table["mass"] + 2 * table["length"])
    result = discover(table.assign(y=y), target="y")
    assert result.values["matched"] >= 0.95
    assert str(result.values["formula"]).startswith("trunc(")


def test_formula_of_most_rows_survives_wrong_ones() -> None:
    table = grounds(400)
    rng = np.random.default_rng(1)
    y = 2.5 * table["mass"] + 4 * table["length"]
    wrong = rng.random(len(y)) < 0.15
    y[wrong] += rng.uniform(1, 8, int(wrong.sum()))
    result = discover(table.assign(y=y), target="y")
    assert result.values["formula"] == "2.5 * mass + 4 * length"
    assert 0.7 <= result.values["matched"] <= 0.97
    assert any("met exactly" in text for text in result.warnings)


def test_noise_leaves_an_approximation_with_the_right_columns() -> None:
    table = grounds(400)
    rng = np.random.default_rng(2)
    y = 3 * table["mass"] + 10 * table["treated"] + rng.normal(0, 1.0, len(table))
    result = discover(table.assign(y=y), target="y")
    assert result.values["found"] is True
    assert result.values["exact"] is False
    relevance = result.tables["relevance"]
    assert set(relevance.loc[relevance["in_formula"], "column"]) == {"mass", "treated"}
    assert any("approximation" in text for text in result.warnings)


@pytest.mark.parametrize("seed", range(8))
def test_noise_gives_no_formula(seed: int) -> None:
    table = grounds(200, seed=seed)
    rng = np.random.default_rng(100 + seed)
    heavy = rng.standard_cauchy(len(table)) if seed % 2 else rng.normal(size=len(table))
    result = discover(table.assign(y=heavy), target="y", max_terms=1000)
    assert result.values["found"] is False
    assert result.values["formula"] is None
    assert not result.complete
    assert any("chance" in text for text in result.warnings)


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_classes_give_no_rules(seed: int) -> None:
    table = grounds(200, seed=seed)
    label = np.random.default_rng(seed).choice(["case", "control"], len(table))
    result = discover(table.assign(y=label), target="y")
    assert result.values["formula"] is None


def test_constant_target_teaches_nothing() -> None:
    result = discover(grounds().assign(y=4.0), target="y", question="What does the mass do?")
    assert result.values["constant_target"] is True
    assert result.values["formula"] is None
    relevance = result.tables["relevance"].set_index("column")
    assert relevance["relevant"].to_dict()["mass"]
    assert relevance["relevant"].sum() == 1


RULES = {
    "two conditions": (lambda t: (t["count"] > 10) & t["treated"], {"count", "treated"}),
    "product": (lambda t: t["mass"] * t["length"] <= 8, {"mass", "length"}),
    "category": (lambda t: (t["tissue"] == "liver") & (t["mass"] > 5), {"tissue", "mass"}),
}


@pytest.mark.parametrize("name", RULES)
def test_planted_rule_is_recovered(name: str) -> None:
    make, columns = RULES[name]
    table = grounds(400)
    result = discover(table.assign(y=make(table)), target="y")
    assert result.values["exact"] is True
    relevance = result.tables["relevance"]
    assert set(relevance.loc[relevance["in_formula"], "column"]) == columns
    fresh = grounds(2000, seed=78)
    rules = rules_from_data(json.loads(str(result.values["formula_data"])))
    told = rules.labels(read_sheet(fresh))
    assert (told == make(fresh).map({True: "true", False: "false"}).to_numpy()).mean() >= 0.995


def test_classes_along_a_weighted_sum() -> None:
    table = grounds(400)
    level = 2 * table["mass"] + table["count"]
    y = np.select([level > 30, level > 15], ["high", "medium"], "low")
    result = discover(table.assign(y=y), target="y")
    assert result.values["accuracy"] >= 0.97
    relevance = result.tables["relevance"]
    assert set(relevance.loc[relevance["in_formula"], "column"]) == {"mass", "count"}


def test_classes_along_a_sum_of_numbers_and_levels() -> None:
    table = grounds(400)
    score = table["count"] + 12 * (table["tissue"] == "liver") + 6 * (table["tissue"] == "brain")
    result = discover(table.assign(y=np.where(score > 22, "high", "low")), target="y")
    assert result.values["accuracy"] >= 0.97
    relevance = result.tables["relevance"]
    assert set(relevance.loc[relevance["in_formula"], "column"]) == {"count", "tissue"}


def test_rare_answer_is_told_though_some_rows_are_wrong() -> None:
    table = grounds(400)
    answer = (table["mass"] * table["length"] > 22).to_numpy()
    answer[np.random.default_rng(3).choice(400, 4, replace=False)] ^= True
    result = discover(table.assign(y=answer), target="y", question="Do mass and length decide y?")
    assert result.values["found"] is True
    assert result.values["p_chance"] < 1e-3
    assert result.values["accuracy"] > result.values["baseline_accuracy"]


def test_threshold_is_simple_where_other_conditions_leave_room() -> None:
    table = pd.DataFrame({"mass": np.linspace(1, 9, 400).round(3)})
    table["site"] = np.random.default_rng(2).choice(["north", "south"], 400)
    table["y"] = (table["site"] == "north") & (table["mass"] > 5)
    result = discover(table, target="y")
    assert result.values["formula"] == "'true' where [site is 'north'] and [mass > 5]; otherwise 'false'"


def test_question_decides_between_columns_that_say_the_same() -> None:
    table = grounds().assign(weight=lambda t: 2 * t["mass"])
    table["y"] = 6 * table["mass"] + 1
    for column in ("weight", "mass"):
        result = discover(table, target="y", question=f"How does y depend on the {column}?")
        relevance = result.tables["relevance"]
        assert list(relevance.loc[relevance["in_formula"], "column"]) == [column]


def test_clinical_definitions_come_out_of_the_sample_sheet() -> None:
    sheet = pd.read_csv(SAMPLES)
    ratio = discover(sheet, target="_Abeta-42/Abeta-40 ratio")
    assert ratio.values["formula"] == "`_Abeta-42 [ng/L]` / `_Abeta-40 [ng/L]`"
    assert ratio.values["exact"] is True
    # the study's biochemical definition rests on total tau and amyloid beta 42
    diagnosis = discover(sheet, target="_primary biochemical AD classification")
    used = diagnosis.tables["relevance"].query("in_formula")["column"]
    assert set(used) == {"_t-tau [ng/L]", "_Abeta-42 [ng/L]"}
    assert diagnosis.values["accuracy"] > 0.9
    assert "> 400]" in str(diagnosis.values["formula"])


def test_bad_input_is_named() -> None:
    table = grounds(60)
    with pytest.raises(InputError, match="no column 'missing'"):
        discover(table, target="missing")
    with pytest.raises(InputError, match="no column 'nowhere'"):
        discover(table, target="mass", columns=("nowhere",))
    with pytest.raises(InputError, match="rows have a value"):
        discover(table.head(12), target="mass")
    words = table.assign(text=[f"note {i}" for i in range(len(table))])
    with pytest.raises(InputError, match="free text"):
        discover(words, target="text")
    doubled = table.copy()
    doubled.columns = ["mass", "mass", *table.columns[2:]]
    with pytest.raises(InputError, match="same name"):
        discover(doubled, target="mass")


def test_missing_and_infinite_values_do_no_harm() -> None:
    table = grounds(400)
    table["y"] = 2 * table["mass"] - table["length"]
    rng = np.random.default_rng(3)
    table.loc[rng.random(400) < 0.15, "mass"] = np.nan
    table.loc[rng.random(400) < 0.05, "noise"] = np.inf
    table.loc[rng.random(400) < 0.1, "y"] = np.nan
    result = discover(table, target="y")
    assert result.values["exact"] is True
    assert result.values["seen_share"] < 1
    assert any("cannot be evaluated" in text for text in result.warnings)


# ------------------------------------------------------------------------------------------------- the parts


def test_trees_survive_plain_data_and_say_what_they_are() -> None:
    node = Binary("+", Binary("*", Number(3.0), Unary("square", Column("mass"))), Number(2.0))
    again = from_data(json.loads(json.dumps(node.to_data())))
    assert again == node
    assert again.text() == "3 * mass^2 + 2"
    table = grounds(10)
    code = eval(again.code(), {"df": table, "np": np})  # our own text, to show that it is right
    np.testing.assert_allclose(code, again.evaluate(read_sheet(table)))
    with pytest.raises(InputError, match="no operation"):
        from_data({"node": "unary", "operation": "__import__", "of": {"node": "number", "value": 1.0}})
    with pytest.raises(InputError, match="no node"):
        from_data({"node": "call"})
    with pytest.raises(InputError, match="no column"):
        Column("absent").evaluate(read_sheet(table))


def test_unknown_values_follow_three_valued_logic() -> None:
    sheet = read_sheet(pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": ["yes", "no", None]}))
    assert sheet.kinds == {"a": Kind.NUMBER, "b": Kind.BOOLEAN}
    above = Binary(">", Column("a"), Number(2.0))
    np.testing.assert_array_equal(above.evaluate(sheet), [0.0, np.nan, 1.0])
    np.testing.assert_array_equal(Binary("and", above, Column("b")).evaluate(sheet), [0.0, 0.0, np.nan])
    np.testing.assert_array_equal(Binary("or", above, Column("b")).evaluate(sheet), [1.0, np.nan, 1.0])


@pytest.mark.parametrize(
    ("low", "high", "simple"),
    [
        (0.98, 1.03, 1.0),
        (48.2, 51.7, 50.0),
        (0.33331, 0.33335, 1 / 3),
        (-2.6, -2.4, -2.5),
        (-1, 1, 0.0),
        (0.1234, 0.1236, 0.1235),
    ],
)
def test_simplest_number(low: float, high: float, simple: float) -> None:
    assert simplest_between(low, high) == pytest.approx(simple, abs=1e-12)
    assert low <= simplest_between(low, high) <= high


def test_pursuit_finds_the_support_and_agrees_with_least_squares() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(120, 60))
    target = 2 * values[:, 7] - values[:, 31] + 0.5 * values[:, 50] + rng.normal(0, 0.01, 120)
    found = beam_pursuit(values, target, np.ones(60), width=4, depth=3, branches=3, enough=0.0)
    best = min((one for one in found if len(one.terms) == 3), key=lambda one: one.left)
    assert set(best.terms) == {7, 31, 50}
    design = np.column_stack([np.ones(120), values[:, list(best.terms)]])
    rest = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    assert best.left == pytest.approx(
        float(rest @ rest) / float(((target - target.mean()) ** 2).sum()), rel=1e-6
    )


def test_classes_that_overlap_are_not_parted() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=80)
    classes = (x + rng.normal(size=80) > 0).astype(np.intp)
    assert separate([(Column("x"), x)], classes) is None
    soft = separate([(Column("x"), x)], classes, soft=True)
    assert soft is not None
    assert len(soft.cuts) == 1


def test_longer_names_take_their_words_from_shorter_ones() -> None:
    columns = ["age", "age_group", "proximity_to_water", "proximity_to_water_source", "score"]
    said = mentions("How do age group and proximity to water source drive the score?", columns, "score")
    assert said["age_group"] == said["proximity_to_water_source"] == 1.0
    assert said["age"] <= 0.5
    assert said["proximity_to_water"] <= 0.5
    assert set(mentions("", columns).values()) == {0.0}
