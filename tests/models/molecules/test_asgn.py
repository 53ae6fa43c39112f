"""ASGN's own: transport against a linear program, k-centre against its definition, pairs, what labels reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from torch import nn

from nereus.models.molecules.asgn import ASGN
from nereus.models.molecules.asgn.network import ASGNNetwork, Backbone, Interaction
from nereus.models.molecules.asgn.pairs import BOND_LENGTH, complete_pairs, pairs_of
from nereus.models.molecules.asgn.scaling import Scale
from nereus.models.molecules.asgn.selection import covering_radius, k_centres, nearest
from nereus.models.molecules.asgn.structures import read_structures
from nereus.models.molecules.asgn.teaching import TeacherState, Teaching
from nereus.models.molecules.asgn.transport import balanced_labels, balanced_plan, evenly, usage_entropy
from nereus.models.molecules.graphs.conformers import in_space
from tests.models.cases.asgn import CASE, FEW, LENGTH, config, rounds_of
from tests.models.cases.molecules import SMILES

TINY = CASE.settings
DRUGS = ["CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "C", "OC1CC1", "CS(=O)(=O)N"]


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


def by_definition(plan: np.ndarray) -> np.ndarray:
    """Entry by entry from the largest: ``n // m`` seats in each cluster, then one more."""
    n, m = plan.shape
    found = np.full(n, -1)
    for seats in (n // m, n // m + 1):
        for row, cluster in zip(*np.unravel_index(np.argsort(-plan, axis=None), plan.shape), strict=True):
            if found[row] < 0 and (found == cluster).sum() < seats:
                found[row] = cluster
    return found


@pytest.mark.parametrize(("n", "m"), [(60, 6), (61, 6), (23, 8), (3, 5), (8, 1)])
@pytest.mark.parametrize("spread", [0.01, 1.0, 8.0])
def test_even_rounding_takes_the_largest_entries_that_there_is_room_for(
    n: int, m: int, spread: float
) -> None:
    log_q = torch.log_softmax(spread * torch.randn(n, m, generator=torch.Generator().manual_seed(n)), 1)
    plan = balanced_plan(log_q, 5.0)
    found = evenly(plan)
    np.testing.assert_array_equal(found, by_definition(plan.numpy()))
    sizes = np.bincount(found, minlength=m)
    assert sizes.max() - sizes.min() <= 1
    if n % m == 0:
        seats = np.repeat(plan.numpy(), n // m, axis=1)
        best = seats[linear_sum_assignment(seats, maximize=True)].sum()
        assert plan[torch.arange(n), found].sum() >= best / 2


def test_a_flat_plan_is_uneven_by_largest_entries_and_even_when_rounded() -> None:
    draw = torch.Generator().manual_seed(1)  # guesses of few dimensions, as those of a linear layer are
    log_q = torch.log_softmax(
        0.02 * torch.randn(500, 4, generator=draw) @ torch.randn(4, 50, generator=draw), 1
    )
    assert usage_entropy(balanced_labels(log_q, 25.0, "argmax"), 50) < 0.9
    assert usage_entropy(balanced_labels(log_q, 25.0), 50) == pytest.approx(1.0)
    alike = torch.full((10, 4), 1 / 40, dtype=torch.float64)
    assert evenly(alike).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0, 1]


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


@pytest.mark.parametrize("geometry", ["space", "bonds"])
def test_layers_are_those_of_torch_geometric_with_filters_made_once_for_both_directions(
    geometry: str,
) -> None:
    structures = read_structures([*DRUGS, "[He]"], config(geometry=geometry))
    graph = structures.graphs.batch([5, 0, 3, 5, 2])
    backbone = Backbone(config(geometry=geometry), 1)
    pairs = pairs_of(graph, 5.0)
    half = len(pairs.distance) // 2
    assert torch.equal(pairs.index[:, :half], pairs.index[:, half:].flip(0))
    assert torch.equal(pairs.distance[:half], pairs.distance[half:])
    basis, z = backbone.basis(pairs.distance), backbone.elements(graph.x[:, 0])
    for layer in backbone.interactions:
        assert isinstance(layer, Interaction)
        z = z + layer.linear(layer.act(layer.convolution(z, pairs.index, pairs.distance, basis)))
    torch.testing.assert_close(backbone(graph)[0], z)


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
    weights = {"reconstruction_weight": 1.0, "cluster_weight": 1.0}  # the paper's
    found = config(labelled_share=0.5, training={"epochs": 1, "batch_size": 8}, **weights)
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
