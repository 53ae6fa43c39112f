"""ASGN's own: transport against a linear program, k-centre against its definition, pairs, what labels reach, the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.optimize import linprog
from scipy.spatial.distance import cdist
from torch import nn

from nereus.errors import InputError
from nereus.models.card import Verb
from nereus.models.evaluation.held_out import evaluate
from nereus.models.molecules.asgn import ASGN, ASGNConfig
from nereus.models.molecules.asgn.answers import Answers
from nereus.models.molecules.asgn.network import ASGNNetwork, Backbone
from nereus.models.molecules.asgn.pairs import BOND_LENGTH, complete_pairs, pairs_of
from nereus.models.molecules.asgn.rounds import Rounds
from nereus.models.molecules.asgn.scaling import Scale
from nereus.models.molecules.asgn.selection import covering_radius, k_centres, nearest
from nereus.models.molecules.asgn.structures import read_structures
from nereus.models.molecules.asgn.teaching import TeacherState, Teaching
from nereus.models.molecules.asgn.transport import balanced_labels, balanced_plan, usage_entropy
from nereus.models.molecules.graphs.conformers import in_space
from nereus.models.tables import answer
from nereus.models.training import Session, TrainingCancelled
from tests.models.cases import trained
from tests.models.cases.asgn import CASE, FEW, LENGTH, placed
from tests.models.cases.molecules import OTHERS, SMILES

TINY = CASE.settings
DRUGS = ["CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "C", "OC1CC1", "CS(=O)(=O)N"]


def config(**settings: Any) -> ASGNConfig:
    return ASGN(**{**TINY, **settings}).config


def rounds_of(labels: np.ndarray, session: Session | None = None, **settings: Any) -> Rounds:
    torch.manual_seed(0)
    found = config(**settings)
    structures = read_structures(SMILES, found)
    return Rounds(
        structures, labels.reshape(len(SMILES), -1), found, torch.device("cpu"), session or Session()
    )


# ------------------------------------------------------------------ balanced clusters


def exact_plan(cost: np.ndarray) -> np.ndarray:
    """Optimal transport with uniform marginals as a linear program."""
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    found = linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.r_[np.full(n, 1 / n), np.full(m, 1 / m)]
    )
    return np.asarray(found.x).reshape(n, m)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_plan_without_entropy_is_that_of_a_linear_program(seed: int) -> None:
    log_q = torch.log_softmax(2 * torch.randn(12, 4, generator=torch.Generator().manual_seed(seed)), 1)
    exact = exact_plan(-log_q.double().numpy())
    plan = balanced_plan(log_q, 200.0, iterations=20_000).numpy()
    np.testing.assert_allclose((plan * -log_q.numpy()).sum(), (exact * -log_q.numpy()).sum(), rtol=2e-3)
    np.testing.assert_array_equal(plan.argmax(1), exact.argmax(1))


def test_plan_is_the_scaling_of_the_kernel_and_keeps_both_marginals() -> None:
    log_q = torch.log_softmax(torch.randn(30, 5, generator=torch.Generator().manual_seed(3)), 1)
    plan = balanced_plan(log_q, 25.0).numpy()
    np.testing.assert_allclose(plan.sum(1), 1 / 30, rtol=1e-5)
    np.testing.assert_allclose(plan.sum(0), 1 / 5, rtol=1e-5)
    kernel = np.exp(log_q.double().numpy() * 2.0)  # mild, so that it can be scaled without logarithms
    u, v = np.ones(30), np.ones(5)
    for _ in range(5000):
        u = 1 / 30 / (kernel @ v)
        v = 1 / 5 / (kernel.T @ u)
    np.testing.assert_allclose(balanced_plan(log_q, 2.0).numpy(), u[:, None] * kernel * v, rtol=1e-4)


def test_clusters_do_not_collapse_where_all_molecules_prefer_one() -> None:
    logits = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    logits[:, 3] += 8
    log_q = torch.log_softmax(logits, 1)
    assert usage_entropy(log_q.argmax(1), 10) < 0.2
    assert usage_entropy(balanced_labels(log_q, 25.0), 10) > 0.95
    assert usage_entropy(torch.arange(20) % 10, 10) == pytest.approx(1.0)


# ------------------------------------------------------------------ what to measure next


def test_each_choice_is_the_farthest_of_what_is_left() -> None:
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(60, 4)), rng.normal(size=(300, 4)) * 0.3
    candidates = np.arange(5, 60)
    found = k_centres(points, centres, candidates, 12)
    known, left = centres, candidates.tolist()
    for row, distance in zip(found.rows, found.distances, strict=True):
        least = cdist(points[left], known).min(1)
        assert left[int(least.argmax())] == row
        assert distance == pytest.approx(least.max())
        left.remove(int(row))
        known = np.vstack([known, points[row]])
    assert found.radius == pytest.approx(cdist(points[candidates], known).min(1).max())
    assert (np.diff(found.distances) <= 1e-12).all()
    np.testing.assert_array_equal(k_centres(points, centres, candidates, 5).rows, found.rows[:5])
    np.testing.assert_allclose(nearest(points, centres), cdist(points, centres).min(1), atol=1e-7)


def test_choice_covers_better_than_chance_and_within_twice_the_best() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(14, 2))
    none = np.zeros((0, 2))
    found = k_centres(points, none, np.arange(14), 3)
    assert np.isinf(found.distances[0])
    from itertools import combinations

    best = min(covering_radius(points, points[list(one)]) for one in combinations(range(14), 3))
    assert best <= found.radius <= 2 * best
    many = rng.normal(size=(400, 3))
    chosen = k_centres(many, many[:10], np.arange(10, 400), 40)
    drawn = [
        covering_radius(many, np.vstack([many[:10], many[rng.choice(np.arange(10, 400), 40, replace=False)]]))
        for _ in range(20)
    ]
    assert chosen.radius < min(drawn)


# ------------------------------------------------------------------ pairs and the network


def test_pairs_are_all_pairs_of_each_molecule() -> None:
    structures = read_structures([*DRUGS, "[He]"], config(reach=50.0))
    graph = structures.graphs.batch([0, 5, 3, 2])
    index = complete_pairs(graph)
    a, b = np.meshgrid(np.arange(len(graph.batch)), np.arange(len(graph.batch)), indexing="ij")
    same = (graph.batch.numpy()[a] == graph.batch.numpy()[b]) & (a != b)
    assert set(zip(*index.tolist(), strict=True)) == set(zip(a[same].tolist(), b[same].tolist(), strict=True))
    pairs = pairs_of(graph, 50.0)
    assert graph.positions is not None
    apart = cdist(graph.positions.numpy(), graph.positions.numpy())
    np.testing.assert_allclose(pairs.distance, apart[pairs.index[0], pairs.index[1]], atol=1e-5)
    near = pairs_of(graph, 2.0)
    assert (near.distance < 2).all()
    assert len(near.distance) == int((pairs.distance < 2).sum())


def test_distances_along_bonds_are_those_of_the_shortest_path() -> None:
    structures = read_structures(DRUGS, config(geometry="bonds"))
    graph = structures.graphs.batch(np.arange(len(DRUGS)))
    pairs = pairs_of(graph, 6.5)
    first = 0
    expected = {}
    for one in DRUGS:
        steps = Chem.GetDistanceMatrix(Chem.AddHs(Chem.MolFromSmiles(one)))
        for i, j in zip(*np.nonzero((steps > 0) & (BOND_LENGTH * steps < 6.5)), strict=True):
            expected[first + i, first + j] = BOND_LENGTH * steps[i, j]
        first += len(steps)
    found = dict(zip(zip(*pairs.index.tolist(), strict=True), pairs.distance.tolist(), strict=True))
    assert found == pytest.approx(expected)


def test_radial_basis_is_in_angstrom_with_the_authors_width() -> None:
    backbone = Backbone(config(reach=10.0, gap=0.1), 1)
    assert backbone.basis.offset.shape == (101,)
    found = backbone.basis(torch.tensor([1.54]))[0]
    assert int(found.argmax()) == 15
    np.testing.assert_allclose(found[15].item(), np.exp(-(0.04**2) / 0.1), rtol=1e-4)


def test_vectors_do_not_depend_on_place_turn_order_of_atoms_or_neighbours_in_the_batch() -> None:
    torch.manual_seed(1)
    backbone = Backbone(config(), 2)
    whole = [one for one in in_space([Chem.MolFromSmiles(one) for one in DRUGS])[0] if one is not None]
    turned = []
    rng = np.random.default_rng(0)
    for one in whole:
        other = Chem.RenumberAtoms(one, rng.permutation(one.GetNumAtoms()).tolist())
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        other.GetConformer().SetPositions(
            other.GetConformer().GetPositions() @ q * 1.0 + rng.normal(size=3) * 5
        )
        turned.append(other)
    graphs, others = (read_structures(one, config()).graphs for one in (whole, turned))
    rows = np.arange(len(DRUGS))
    torch.testing.assert_close(
        backbone.vectors(graphs[rows]), backbone.vectors(others[rows]), atol=2e-5, rtol=1e-4
    )
    alone = torch.cat([backbone.vectors(graphs[[row]]) for row in rows])
    torch.testing.assert_close(backbone.vectors(graphs[rows]), alone, atol=2e-5, rtol=1e-4)
    stretched = [Chem.Mol(one) for one in whole]
    for one in stretched:
        one.GetConformer().SetPositions(one.GetConformer().GetPositions() * 1.1)
    far = read_structures(stretched, config()).graphs
    assert (backbone.vectors(graphs[rows]) - backbone.vectors(far[rows])).abs().max() > 1e-3


def test_single_atoms_have_nothing_to_rebuild_but_themselves() -> None:
    found = config()
    network = ASGNNetwork(found, 1, 4)
    graph = read_structures(["[He]", "[Ar]"], found).graphs[[0, 1]]
    z, pairs = network.teacher.backbone(graph)
    assert set(network.teacher.reconstruction(z, pairs, graph)) == {"atom"}
    model = ASGN(**TINY).fit([*SMILES, "[He]"], [*LENGTH, np.nan])
    assert np.isfinite(model.predict(["[He]", "CCO"])).all()


# ------------------------------------------------------------------ conformers


def test_conformers_are_made_alike_every_time_and_given_ones_are_kept() -> None:
    one, two = (in_space([Chem.MolFromSmiles(smiles)])[0][0] for smiles in ("CCO", "CCO"))
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.GetConformer().GetPositions(), two.GetConformer().GetPositions())
    given = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(given, randomSeed=3)
    kept, problems, made = in_space([given])
    assert (problems, made) == ({}, 0)
    assert kept[0] is not None
    np.testing.assert_array_equal(kept[0].GetConformer().GetPositions(), given.GetConformer().GetPositions())
    drawn = Chem.MolFromSmiles("CCO")
    AllChem.Compute2DCoords(drawn)
    assert in_space([drawn])[2] == 1
    relaxed = in_space([Chem.MolFromSmiles("CCO")], relax=True)[0][0]
    assert relaxed is not None
    assert np.abs(relaxed.GetConformer().GetPositions() - one.GetConformer().GetPositions()).max() > 1e-3


# ------------------------------------------------------------------ what labels reach


def test_units_come_from_labels_alone_and_go_back() -> None:
    rng = np.random.default_rng(0)
    composition = rng.integers(0, 6, size=(40, 119)) * (np.arange(119) < 4)
    energy = composition[:, :4] @ np.array([-0.5, -38.0, -54.0, -75.0]) + 3
    y = np.column_stack([energy, rng.normal(7, 2, 40)])
    y[30:, 1] = np.nan
    scale = Scale.of(y, composition, "composition")
    np.testing.assert_allclose(scale.reference(composition)[:, 0], energy, atol=0.05)
    np.testing.assert_allclose(scale.to_units(scale.to_standard(y, composition), composition), y)
    plain = Scale.of(y, composition, "mean")
    assert plain.offset[1] == pytest.approx(np.nanmean(y[:, 1]))
    assert plain.spread[1] == pytest.approx(np.nanstd(y[:, 1]))
    assert not plain.elements.any()


def test_labels_are_never_overwritten_and_judges_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[np.ndarray] = []
    learn = Teaching.__init__

    def remember(
        self: Teaching, state: Any, graphs: Any, targets: np.ndarray, labelled: Any, config: Any
    ) -> None:
        taught.append(targets.copy())
        learn(self, state, graphs, targets, labelled, config)

    monkeypatch.setattr(Teaching, "__init__", remember)
    labels = np.where(np.arange(24) < 18, LENGTH, np.nan)
    rounds = rounds_of(labels, validation=0.25)
    assert len(rounds.valid) == 4
    for _ in range(2):
        rounds.teach()
        rounds.study()
    assert rounds.scale is not None
    known = rounds.learned_from
    truth = rounds.scale.to_standard(labels[:, None], rounds.composition)
    for targets in taught:
        np.testing.assert_allclose(targets[known], truth[known])
        assert np.isnan(targets[rounds.valid]).all()
    assert np.isnan(taught[0][18:]).all()
    assert np.isfinite(taught[1][18:]).all(), "the student's predictions teach in the second round"
    learned = labels[known]
    assert rounds.scale.offset[0] == pytest.approx(learned.mean())


def test_student_starts_as_the_teacher_and_only_the_student_follows_labels() -> None:
    rounds = rounds_of(FEW, student={"epochs": 1, "learning_rate": 1e-12})
    rounds.teach()
    before = {name: one.clone() for name, one in rounds.network.teacher.state_dict().items()}
    rounds.study()
    for name, one in rounds.network.student.state_dict().items():
        torch.testing.assert_close(one, before[f"backbone.{name}"], atol=1e-8, rtol=0)
    again = rounds_of(FEW)
    again.teach()
    kept = {name: one.clone() for name, one in again.network.teacher.state_dict().items()}
    again.study()
    assert all(torch.equal(one, kept[name]) for name, one in again.network.teacher.state_dict().items())
    assert not torch.equal(
        again.network.student.property[0].weight, again.network.teacher.backbone.property[0].weight
    )
    alone = rounds_of(FEW, parts="student")
    start = alone.network.teacher.state_dict()["backbone.elements.weight"].clone()
    alone.teach()
    alone.study()
    assert torch.equal(alone.network.teacher.backbone.elements.weight, start), "no teacher was trained"


@pytest.mark.parametrize(
    ("weight", "heads"),
    [("property", ["backbone.property"]), ("reconstruction", ["atom", "distance"]), ("cluster", ["cluster"])],
)
def test_a_loss_of_no_weight_teaches_nothing(weight: str, heads: list[str]) -> None:
    found = config(**{f"{weight}_weight": 0.0})
    structures = read_structures(SMILES, found)
    state = TeacherState(ASGNNetwork(found, 1, 4).teacher, len(structures))
    objective = Teaching(state, structures.graphs, FEW[:, None], np.flatnonzero(np.isfinite(FEW)), found)
    batch = next(iter(objective.batches(np.random.default_rng(0))))
    losses = objective.losses(batch)
    losses["total"].backward()
    for name, one in state.teacher.named_parameters():
        moved = one.grad is not None and bool(one.grad.abs().sum() > 0)
        assert moved != any(name.startswith(head) for head in heads), name


def test_losses_are_the_paper_s_sum_and_labelled_molecules_are_drawn_more_often() -> None:
    found = config(labelled_share=0.5, training={"epochs": 1, "batch_size": 8})
    structures = read_structures(SMILES, found)
    labelled = np.array([0, 5])
    targets = np.full((24, 1), np.nan)
    targets[labelled, 0] = (1.0, -2.0)
    torch.manual_seed(0)
    state = TeacherState(ASGNNetwork(found, 1, 4).teacher, 24)
    objective = Teaching(state, structures.graphs, targets, labelled, found)
    parts = [rows.tolist() for rows, _ in objective.batches(np.random.default_rng(0))]
    assert sorted(np.concatenate([part[:8] for part in parts])) == list(range(24))
    assert all(set(part[8:]) <= {0, 5} and len(part) == 16 for part in parts)
    rows = torch.arange(24)
    graph = structures.graphs.batch(rows)
    losses = objective.losses((rows, graph))
    said = state.teacher.backbone.properties(graph)[labelled, 0]
    expected = (said - torch.tensor([1.0, -2.0])).square().mean()
    torch.testing.assert_close(losses["property"], expected.detach())
    logits = state.teacher.cluster(state.teacher.backbone.vectors(graph))
    torch.testing.assert_close(
        losses["cluster"], nn.functional.cross_entropy(logits, state.assigned).detach()
    )
    parts_sum = losses["property"] + losses["atom"] + losses["distance"] + losses["cluster"]
    torch.testing.assert_close(losses["total"].detach(), parts_sum)


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
