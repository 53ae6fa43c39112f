"""ASGN's rounds with an oracle, and its estimator over tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from nereus.errors import InputError
from nereus.models.card import Verb
from nereus.models.evaluation.held_out import evaluate
from nereus.models.molecules.asgn import ASGN
from nereus.models.molecules.asgn.answers import Answers
from nereus.models.molecules.asgn.rounds import Rounds
from nereus.models.molecules.asgn.selection import covering_radius, k_centres
from nereus.models.molecules.graphs.conformers import in_space
from nereus.models.tables import answer
from nereus.models.training import Session, TrainingCancelled
from tests.models.cases import trained
from tests.models.cases.asgn import CASE, FEW, LENGTH, placed, rounds_of
from tests.models.cases.molecules import OTHERS, SMILES

TINY = CASE.settings
DRUGS = ["CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "C", "OC1CC1", "CS(=O)(=O)N"]


# ------------------------------------------------------------------ the oracle


def test_oracle_is_asked_for_chosen_molecules_only_and_failures_are_told() -> None:
    asked: list[int] = []

    def oracle(row: int) -> float:
        asked.append(row)
        if row % 6 == 1:
            raise RuntimeError("the plate fell")
        return float("nan") if row % 6 == 3 else LENGTH[row]

    model = ASGN(**TINY).fit_actively(SMILES, oracle, FEW, budget=18, batch=2)
    assert len(asked) == len(set(asked)) == 18 - 12
    assert asked == [row for one in model.rounds_ for row in one["chosen"]]
    assert all(np.isnan(FEW[row]) for row in asked)
    failed = {int(row): why for one in model.rounds_ for row, why in one["failed"].items()}
    assert failed == {
        row: "RuntimeError: the plate fell" if row % 6 == 1 else "gave no number"
        for row in asked
        if row % 6 in (1, 3)
    }
    answered = [row for row in asked if row not in failed]
    known = np.flatnonzero(np.isfinite(model.labels_[:, 0]))
    assert sorted([*np.flatnonzero(np.isfinite(FEW)), *answered]) == known.tolist()
    if failed:
        assert "measurements failed" in model.history_.notes[-1]
    assert [one["number"] for one in model.rounds_] == [1, 2, 3]


def test_choosing_starts_without_any_label() -> None:
    model = ASGN(**TINY).fit(SMILES)
    assert model.targets_ == []
    assert len(set(model.select(SMILES, n=5))) == 5
    active = ASGN(**TINY).fit_actively(SMILES, lambda row: (LENGTH[row], 1.0 * row), budget=8, targets=2)
    assert active.predict(OTHERS).shape == (5, 2)
    assert np.isfinite(active.labels_).all(1).sum() == 8


def test_choice_of_a_round_is_the_k_centre_of_the_teacher_s_space() -> None:
    model = ASGN(**TINY).fit(SMILES, FEW)
    points = model.embed(SMILES).astype(float)
    measured = np.isfinite(FEW)
    expected = k_centres(points, points[measured], np.flatnonzero(~measured), 4).rows
    np.testing.assert_array_equal(model.select(SMILES, n=4), expected)
    more = np.isin(np.arange(24), expected[:2])
    assert not set(model.select(SMILES, n=4, measured=more)) & set(expected[:2].tolist())
    by_chance = ASGN(**{**TINY, "choice": "random"}).fit(SMILES, FEW)
    assert set(by_chance.select(SMILES, n=12)) == set(np.flatnonzero(~measured).tolist())


def test_target_error_ends_the_rounds_and_budget_is_never_passed() -> None:
    calls: list[int] = []

    def oracle(row: int) -> float:
        calls.append(row)
        return float(LENGTH[row])

    start = np.where(np.arange(24) < 16, LENGTH, np.nan)
    settings = {**TINY, "validation": 0.25}
    model = ASGN(**settings).fit_actively(SMILES, oracle, start, budget=24, batch=3, target_error=1e6)
    assert len(calls) == 3
    assert model.rounds_[-1]["error"] is not None
    calls.clear()
    ASGN(**settings).fit_actively(SMILES, oracle, start, budget=21, batch=4, target_error=0.0)
    assert len(calls) == 5


def test_interrupted_rounds_ask_nothing_twice(tmp_path: Path) -> None:
    asked: list[int] = []

    def oracle(row: int) -> float:
        asked.append(row)
        return float(LENGTH[row])

    def run(session: Session | None = None) -> ASGN:
        return ASGN(**TINY).fit_actively(SMILES, oracle, FEW, budget=16, batch=2, session=session)

    whole = run()
    expected = list(asked)
    asked.clear()
    told: list[Any] = []
    with pytest.raises(TrainingCancelled):
        run(Session(told.append, lambda: len(told) >= 5, tmp_path))
    assert 0 < len(asked) < len(expected)
    again = run(Session(checkpoints=tmp_path))
    assert asked == expected
    np.testing.assert_array_equal(again.predict(OTHERS), whole.predict(OTHERS))
    assert len(json.loads((tmp_path / "answers.json").read_text())["answers"]) == 4


@pytest.mark.parametrize("parts", ["all", "student"])
def test_answers_of_other_molecules_are_refused(tmp_path: Path, parts: str) -> None:
    def stop(row: int) -> float:
        if len(asked) == 1:
            raise TrainingCancelled("the laboratory closes")
        asked.append(row)
        return float(LENGTH[row])

    asked: list[int] = []
    model = ASGN(**{**TINY, "parts": parts})
    with pytest.raises(TrainingCancelled, match="closes"):
        model.fit_actively(SMILES, stop, FEW, budget=15, session=Session(checkpoints=tmp_path))
    assert len(json.loads((tmp_path / "answers.json").read_text())["answers"]) == 1
    with pytest.raises(InputError, match=r"other molecules|other options"):
        model.fit_actively(
            [*SMILES[1:], SMILES[0]],
            lambda row: 1.0,
            [*FEW[1:], FEW[0]],
            budget=15,
            session=Session(checkpoints=tmp_path),
        )
    file = tmp_path / "answers.json"
    file.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Answers(lambda row: 1.0, 1, tmp_path, "one")
    file.write_text(json.dumps({"of": "another", "answers": {}}))
    with pytest.raises(InputError, match="other molecules"):
        Answers(lambda row: 1.0, 1, tmp_path, "one")


def test_one_measurement_at_a_time_from_nothing() -> None:
    model = ASGN(**TINY).fit_actively(SMILES, lambda row: float(LENGTH[row]), budget=4, batch=1)
    assert [one["labelled"] for one in model.rounds_] == [1, 2, 3, 4]
    assert np.isfinite(model.predict(OTHERS)).all()
    with pytest.raises(InputError, match="3 labelled molecules have no two different values"):
        ASGN(**TINY).fit_actively(SMILES, lambda row: 2.0, budget=3, batch=1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"batch": -2}, "batch is -2"),
        ({"batch": 1.5}, "batch is 1.5"),
        ({"budget": "20"}, "budget is '20'"),
        ({"y": None, "targets": 0}, "targets is 0"),
    ],
)
def test_numbers_of_the_rounds_are_checked(options: dict[str, Any], told: str) -> None:
    settings = {"y": FEW, "budget": 16, **options}
    with pytest.raises(InputError, match=told):
        ASGN(**TINY).fit_actively(SMILES, lambda row: 1.0, **settings)


def test_molecules_that_were_read_before_keep_their_rows_for_the_oracle() -> None:
    model = ASGN(**TINY)
    read = model.read([placed(np.zeros((2, 3))), *SMILES])
    asked: list[int] = []

    def oracle(row: int) -> float:
        asked.append(row)
        return float(LENGTH[row - 1])

    model.fit_actively(read, oracle, budget=6)
    assert 0 not in asked
    assert model.labels_.shape == (25, 1)
    np.testing.assert_array_equal(model.labels_[asked, 0], LENGTH[np.array(asked) - 1])


def test_units_follow_the_labels_and_what_was_learned_does_not_change_with_them() -> None:
    start = np.where(np.arange(24) < 4, LENGTH, np.nan)
    rounds = rounds_of(start)
    rounds.teach()
    rounds.study()
    before, scale = rounds.said(rounds.structures), rounds.scale
    rounds.ask(rounds.answers(lambda row: float(LENGTH[row])), rounds.choose(10))
    assert rounds.scale is not None
    assert scale is not None
    assert rounds.scale.spread[0] != scale.spread[0]
    known = np.isfinite(rounds.labels[:, 0])
    assert rounds.scale.offset[0] == pytest.approx(LENGTH[known].mean())
    np.testing.assert_allclose(rounds.said(rounds.structures), before, rtol=1e-4)


def test_judges_are_drawn_once_there_are_enough_of_molecules_that_taught_nothing() -> None:
    start = np.where(np.arange(24) < 6, LENGTH, np.nan)
    rounds = rounds_of(start, validation=0.25)
    assert not len(rounds.valid)
    rounds.teach()
    rounds.study()
    assert rounds.error() is None
    rounds.ask(rounds.answers(lambda row: float(LENGTH[row])), rounds.choose(12))
    assert len(rounds.valid) == 4
    assert not set(rounds.valid.tolist()) & set(range(6))
    drawn = rounds.valid.tolist()
    rounds.study()
    assert rounds.error() is not None
    rounds.ask(rounds.answers(lambda row: float(LENGTH[row])), rounds.choose(2))
    assert rounds.valid.tolist() == drawn


def test_teacher_alone_learns_what_was_measured_last(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[int] = []
    teach = Rounds.teach

    def counted(self: Rounds) -> None:
        learned.append(len(self.labelled))
        teach(self)

    monkeypatch.setattr(Rounds, "teach", counted)
    for parts, expected in (("teacher", [12, 14, 16]), ("all", [12, 14])):
        learned.clear()
        ASGN(**{**TINY, "parts": parts}).fit_actively(SMILES, LENGTH.__getitem__, FEW, budget=16, batch=2)
        assert learned == expected


def test_an_error_that_nobody_judges_is_told() -> None:
    model = ASGN(**TINY).fit_actively(SMILES, LENGTH.__getitem__, FEW, budget=14, target_error=9.0)
    assert any("could not end the rounds" in one for one in model.history_.notes)


def test_near_molecules_are_near_in_single_precision() -> None:
    points = (np.random.default_rng(0).normal(size=(5, 8)) + 1000).astype(np.float32)
    assert covering_radius(points, points) < 1e-3


# ------------------------------------------------------------------ the estimator and tables


def test_learns_a_property_of_molecules_that_it_did_not_see() -> None:
    carbons = np.array([float(one.upper().count("C")) for one in SMILES])
    learned = np.arange(24) % 4 != 0
    settings = {"width": 24, "layers": 2, "reach": 5.0, "gap": 0.25, "clusters": 6, "readout": "sum"}
    model = ASGN(
        **settings, rounds=1, training={"epochs": 10}, student={"epochs": 150, "learning_rate": 3e-3}
    ).fit(SMILES, np.where(learned, carbons, np.nan))
    off = np.abs(model.predict(SMILES) - carbons)[~learned].mean()
    assert off < 0.3 * np.abs(carbons[~learned] - carbons[learned].mean()).mean()


def test_table_of_several_targets_with_gaps_and_rows_that_cannot_be_used() -> None:
    table = pd.DataFrame(
        {
            "smiles": [*SMILES, "C[Si](C)(C)C"],
            "length": [*LENGTH, 12.0],
            "row": [*np.arange(24.0), np.nan],
            "same": 2.0,
        }
    )
    columns = {"smiles": "smiles", "target": ["length", "row", "same"]}
    model = ASGN(**TINY).fit_table(table, columns)
    assert "targets that do not vary teach nothing: same" in model.history_.notes
    other = pd.DataFrame({"smiles": ["CCO", "nonsense", "CBr", "CC", "[Na+].CCO"]}, index=list("abcde"))
    found = answer(model, Verb.PREDICT, other, {"smiles": "smiles"})
    assert list(found) == ["prediction", "prediction_length", "prediction_row", "prediction_same", "problem"]
    assert list(found.index) == list("abcde")
    assert found.loc["b", "problem"] == "is no SMILES that RDKit can read"
    assert found.loc["c", "problem"] == "has Br, which training did not see"
    assert found["prediction"].isna().tolist() == [False, True, True, False, False]
    assert found.loc["e", "prediction"] == pytest.approx(found.loc["a", "prediction"], rel=1e-4)
    chosen = answer(model, Verb.SELECT, other, {"smiles": "smiles"}, {"n": 1})
    assert list(chosen.index)[-2:] == ["c", "b"]
    assert chosen["order"].tolist()[:1] == [1]
    assert chosen.index[0] == "d", "ethanol was measured in training, with and without its counter-ion"


def test_selection_of_a_table_leaves_out_measured_rows_and_keeps_its_order() -> None:
    model = ASGN(**TINY).fit(SMILES, FEW)
    table = pd.DataFrame({"smiles": [*OTHERS, *SMILES], "value": [1.0, None, None, None, None, *[None] * 24]})
    columns = {"smiles": "smiles", "target": ["value"]}
    found = model.select_table(table, columns, n=6)
    assert found["order"].tolist() == [1, 2, 3, 4, 5, 6]
    assert not {0, *(np.flatnonzero(np.isfinite(FEW)) + 5)} & set(found.index)
    np.testing.assert_allclose(
        found["prediction"], model.predict(table.loc[found.index, "smiles"].tolist()), rtol=1e-5
    )
    assert (found["distance"].diff().dropna() <= 1e-9).all()
    with pytest.raises(InputError, match="n is 'many'"):
        model.select_table(table, columns, n="many")  # type: ignore[arg-type]


def test_structures_of_a_table_are_used_where_there_are_some() -> None:
    placed = in_space([Chem.MolFromSmiles(one) for one in SMILES], relax=True)[0]
    table = pd.DataFrame({"smiles": SMILES, "block": [Chem.MolToMolBlock(one) for one in placed], "y": FEW})
    table.loc[3, "block"] = None
    columns = {"smiles": "smiles", "target": ["y"], "structure": "block"}
    model = ASGN(**TINY).fit_table(table, columns)
    assert model.history_.notes == ["conformers were made for 1 molecules and not relaxed"]
    with_blocks = model.predict_table(table, {"smiles": "smiles", "structure": "block"})["prediction"]
    without = model.predict_table(table, {"smiles": "smiles"})["prediction"]
    assert (with_blocks - without).abs().max() > 1e-6
    assert with_blocks[3] == pytest.approx(without[3], rel=1e-5)
    table.loc[1, "block"] = "nonsense"
    with pytest.raises(InputError, match="row 1 is no mol block"):
        model.predict_table(table, {"smiles": "smiles", "structure": "block"})


@pytest.mark.parametrize("geometry", ["bonds", "space"])
def test_molecules_whose_pairs_would_fill_the_memory_are_told(geometry: str) -> None:
    table = pd.DataFrame({"smiles": [*SMILES, "C" * 400], "y": [*LENGTH, 1.0]})
    model = ASGN(**{**CASE.settings, "geometry": geometry}).fit_table(
        table, {"smiles": "smiles", "target": "y"}
    )
    assert (
        "1 molecules cannot be used, first row 24: has 1202 atoms with its hydrogens"
        in model.history_.notes[0]
    )
    found = answer(model, Verb.PREDICT, table[-2:], {"smiles": "smiles"})
    assert found["prediction"].isna().tolist() == [False, True]
    with pytest.raises(InputError, match="more than 500"):
        model.predict(["C" * 400])


def test_a_mol_block_that_cannot_be_read_is_a_row_that_is_told() -> None:
    table = pd.DataFrame({"smiles": ["CCO", "CCN", "CCC"], "block": [None, "no block", None]})
    columns = {"smiles": "smiles", "structure": "block"}
    found = answer(trained("asgn"), Verb.PREDICT, table, columns)
    assert found["problem"].tolist() == ["", "is no mol block that RDKit can read", ""]
    assert found["prediction"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("verb", [Verb.PREDICT, Verb.EMBED, Verb.EXPLAIN])
def test_a_table_of_which_no_molecule_can_be_used_says_why(verb: Verb) -> None:
    table = pd.DataFrame({"smiles": ["CBr", "CCI"]})
    with pytest.raises(
        InputError, match="none of 2 molecules can be used; row 0 has Br, which training did not see"
    ):
        answer(trained("asgn"), verb, table, {"smiles": "smiles"})


def test_bonds_need_no_conformer_and_composition_may_be_the_reference() -> None:
    model = ASGN(**{**TINY, "geometry": "bonds", "reference": "composition"}).fit(SMILES, FEW)
    assert model.history_.notes == []
    assert model.scale_ is not None
    assert model.scale_.elements.any()
    assert np.isfinite(model.predict(OTHERS)).all()


def test_every_target_is_judged() -> None:
    table = pd.DataFrame(
        {"smiles": SMILES * 2, "length": [*LENGTH] * 2, "acid": ["=O" in one for one in SMILES * 2]}
    )
    table["acid"] = table["acid"].astype(float)
    table.loc[::5, "acid"] = np.nan
    columns = {"smiles": "smiles", "target": ["length", "acid"]}
    found = evaluate(ASGN(**TINY), table, columns, split="random", share=0.4, seed=0)
    assert not found.classes
    assert list(found.others) == ["acid"]
    other = found.others["acid"]
    assert other.classes
    assert len(other.predictions) < len(found.predictions)
    rows = other.predictions["row"].astype(int)
    np.testing.assert_array_equal(other.predictions["observed"], table.loc[rows, "acid"])
    assert not np.allclose(
        other.predictions["predicted"], found.predictions["predicted"][: len(other.predictions)]
    )


def test_several_targets_without_a_value_are_read_back(tmp_path: Path) -> None:
    model = ASGN(**TINY, geometry="bonds").fit(SMILES, np.full((len(SMILES), 3), np.nan))
    model.save(tmp_path / "kept")
    np.testing.assert_array_equal(ASGN.load(tmp_path / "kept").embed(SMILES), model.embed(SMILES))
