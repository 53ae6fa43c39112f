"""Splits that do not leak, metrics against scikit-learn, evaluation beside a baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from nereus.errors import InputError
from nereus.models import registry
from nereus.models.evaluation import (
    classification,
    group_split,
    random_split,
    ranking,
    regression,
    scaffold_split,
    scaffolds,
)
from nereus.models.evaluation.baselines import fit_baseline
from nereus.models.evaluation.held_out import evaluate
from nereus.models.molecules.unimatch import UniMatch
from tests.models.cases import CASES
from tests.models.cases.molecules import SMILES


def parts(split) -> list[set[int]]:
    return [set(part.tolist()) for part in (split.train, split.valid, split.test)]


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_scaffolds_are_never_cut(seed: int | None) -> None:
    smiles = SMILES + [f"C{'C' * i}c1ccccc1" for i in range(30)]
    split = scaffold_split(smiles, (0.6, 0.2, 0.2), seed=seed)
    train, valid, test = parts(split)
    assert train | valid | test == set(range(len(smiles)))
    assert not train & valid
    assert not (train | valid) & test
    of = scaffolds(smiles)
    assert not {of[i] for i in train} & {of[i] for i in test}


def test_random_split_is_a_partition_and_depends_on_the_seed() -> None:
    one, two = random_split(50, seed=0), random_split(50, seed=1)
    assert sorted(np.concatenate([one.train, one.valid, one.test])) == list(range(50))
    assert not np.array_equal(one.train, two.train)
    with pytest.raises(InputError, match="do not sum to one"):
        random_split(50, (0.5, 0.1, 0.1))


def test_metrics_are_the_textbook_s() -> None:
    y = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    predicted = np.array([1.5, 1.5, 3.5, 4.5, 9.0])
    found = regression(y, predicted).values
    assert found["rmse"] == pytest.approx(0.5)
    assert found["mae"] == pytest.approx(0.5)
    # PDBbind's SD: deviation from the line of y on the prediction, not of the errors.
    slope, intercept = np.polyfit(predicted[:4], y[:4], 1)
    rest = y[:4] - (slope * predicted[:4] + intercept)
    assert found["sd"] == pytest.approx(np.sqrt((rest**2).sum() / 3))
    perfect = classification(np.array([0.0, 0, 1, 1, np.nan]), np.array([0.1, 0.2, 0.8, 0.9, 0.5])).values
    assert perfect["auroc"] == 1.0
    assert perfect["delta_auprc"] == pytest.approx(0.5)


def test_what_is_not_defined_is_none_with_a_reason() -> None:
    found = classification(np.ones(4), np.arange(4.0))
    assert found.values["auroc"] is None
    assert "all 4 known labels are equal" in found.notes["auroc"]
    assert regression(np.full(3, np.nan), np.arange(3.0)).values["rmse"] is None
    flat = regression(np.arange(4.0), np.zeros(4))
    assert flat.values["pearson"] is None
    assert flat.values["rmse"] is not None


def test_ranking_is_within_groups() -> None:
    # Between groups the order is wrong, within each it is right.
    y = np.array([1, 2, 3, 4, 5, 11, 12, 13, 14, 15.0, 1])
    score = np.array([11, 12, 13, 14, 15, 1, 2, 3, 4, 5.0, 1])
    group = np.array(["a"] * 5 + ["b"] * 5 + ["c"])
    found = ranking(y, score, group)
    assert found.values["within_group_spearman"] == pytest.approx(1.0)
    assert found.notes["within_group_spearman"].startswith("1 groups")


def test_baseline_learns_what_fingerprints_tell() -> None:
    ring = np.array([1.0 if "1" in one else 0.0 for one in SMILES])
    predicted = fit_baseline("smiles", SMILES[:16], ring[:16], SMILES[16:], classes=True)
    assert classification(ring[16:], predicted).values["auroc"] == 1.0


def test_evaluation_judges_rows_that_were_not_learned_from() -> None:
    table, columns = CASES["unimatch"].table()
    table.index = [f"m{i}" for i in range(len(table))]
    method = registry.get("unimatch")(**CASES["unimatch"].settings)
    found = evaluate(method, table, columns, split="random", share=0.5, seed=0)
    assert len(found.predictions) + found.trained_on == len(table)
    assert set(found.predictions["row"]) <= set(table.index)
    assert found.classes
    assert found.against == "logistic regression on Morgan fingerprints"
    assert not method.__sklearn_is_fitted__()
    # Labels of held-out rows are not looked at: turning them round turns the judgement, not the predictions.
    turned = table.copy()
    rows = found.predictions["row"]
    turned.loc[rows, "active"] = 1 - turned.loc[rows, "active"]
    again = evaluate(method, turned, columns, split="random", share=0.5, seed=0)
    np.testing.assert_array_equal(again.predictions["predicted"], found.predictions["predicted"])
    assert again.method.values["auroc"] == pytest.approx(1 - found.method.values["auroc"])  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_one_molecule_are_never_on_both_sides(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    other = [Chem.MolToSmiles(Chem.MolFromSmiles(one), canonical=False, doRandom=True) for one in SMILES]
    table = pd.DataFrame({"smiles": [*SMILES, *other], "target": [1, 0] * 24})
    seen: list[list[str]] = []
    monkeypatch.setattr(
        UniMatch,
        "fit_table",
        lambda self, part, columns, session=None: seen.append(part["smiles"].tolist()) or self,
    )
    monkeypatch.setattr(
        UniMatch,
        "predict_table",
        lambda self, part, columns: pd.DataFrame({"prediction": 0.5}, index=part.index),
    )
    found = evaluate(
        UniMatch(), table, {"smiles": "smiles", "target": "target"}, split="random", share=0.3, seed=seed
    )
    judged = {Chem.CanonSmiles(table["smiles"][int(row)]) for row in found.predictions["row"]}
    assert judged
    assert judged.isdisjoint(map(Chem.CanonSmiles, seen[0]))


def test_molecules_that_differ_are_dealt_out_as_rows_are() -> None:
    for seed in range(5):
        own = group_split(SMILES, (0.7, 0.0, 0.3), seed=seed)
        plain = random_split(len(SMILES), (0.7, 0.0, 0.3), seed=seed)
        assert own.test.tolist() == plain.test.tolist()


def test_too_few_rows_to_judge_are_refused() -> None:
    method = registry.get("unimatch")(**CASES["unimatch"].settings)
    table = pd.DataFrame({"smiles": SMILES[:6], "target": [1, 0] * 3})
    columns = {"smiles": "smiles", "target": "target"}
    with pytest.raises(InputError, match="hold out none"):
        evaluate(method, table, columns, split="random", share=0.2, seed=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_are_never_cut(seed: int) -> None:
    groups = np.repeat([f"g{i}" for i in range(12)], np.arange(1, 13))
    train, valid, test = parts(group_split(groups, (0.6, 0.2, 0.2), seed=seed))
    assert train | valid | test == set(range(len(groups)))
    of = [{groups[i] for i in part} for part in (train, valid, test)]
    assert not of[0] & of[1]
    assert not (of[0] | of[1]) & of[2]
    assert len({tuple(group_split(groups, seed=s).test) for s in range(8)}) > 1


@pytest.mark.parametrize("seed", range(6))
def test_one_large_group_does_not_fill_the_part_that_judges(seed: int) -> None:
    groups = [0] * 50 + list(range(1, 51))
    assert len(group_split(groups, (0.8, 0.0, 0.2), seed=seed, even=True).test) == 20
    chains = ["C" * length for length in range(1, 31)]  # none has a ring: one scaffold
    rings = [f"C1{'C' * size}C1" for size in range(1, 31)]
    split = scaffold_split(chains + rings, (0.7, 0.0, 0.3), seed=seed, even=True)
    assert len(split.test) == 18
    assert set(range(30)) <= set(split.train.tolist())
