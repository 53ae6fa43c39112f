"""MGSSL's own: what is cut, messages against a walk of each tree, weights against a quadratic program, labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from scipy.optimize import minimize
from torch import Tensor, nn

from nereus.errors import InputError
from nereus.models.card import Verb
from nereus.models.molecules.graphs.read import largest_fragment, pack
from nereus.models.molecules.mgssl import MGSSL, MGSSLConfig
from nereus.models.molecules.mgssl.finetuning import Finetuning
from nereus.models.molecules.mgssl.generation import MotifGenerator, generation_loss
from nereus.models.molecules.mgssl.motifs import (
    MotifTree,
    Vocabulary,
    cut_bonds,
    motif_tree,
)
from nereus.models.molecules.mgssl.network import HIDDEN, MGSSLNetwork, hide
from nereus.models.molecules.mgssl.pretraining import Pretraining
from nereus.models.molecules.mgssl.trees import PackedTrees
from nereus.models.molecules.mgssl.weighting import gradient_weights, min_norm_weights
from nereus.models.molecules.unimatch import UniMatch
from nereus.models.tables import answer
from nereus.models.training import Session
from tests.models.cases.molecules import ALCOHOL, SMILES

TINY = {"width": 8, "layers": 2, "training": {"epochs": 1}, "finetuning": {"epochs": 1}}
DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "CN1CCC23C4C1CC5=C2C(=C(C=C5)O)OC3C(C=C4)O", "C12C3C4C1C5C2C3C45", "C",
    "CCO", "C1CC1", "CC", "c1ccc2ccccc2c1", "C1CCC2(CC1)CCCC2",
    "OC(=O)C(F)(F)F", "CS(=O)(=O)Nc1ccc(cc1)C#N", "O=C(NCCCl)N(N=O)CCCl", "c1cc2ccc3cccc4ccc(c1)c2c34",
]  # fmt: skip


def read(smiles: str) -> Chem.Mol:
    return Chem.MolFromSmiles(smiles)


def trees_of(smiles: list[str]) -> list[MotifTree]:
    return [motif_tree(read(one)) for one in smiles]


# ------------------------------------------------------------------ motifs


@pytest.mark.parametrize("rules", ["both", "brics"])
@pytest.mark.parametrize("smiles", DRUGS)
def test_motifs_are_a_partition_and_a_tree(smiles: str, rules) -> None:
    molecule = read(smiles)
    tree = motif_tree(molecule, rules)
    assert sorted(atom for motif in tree.atoms for atom in motif) == list(range(molecule.GetNumAtoms()))
    assert all(tree.atoms)
    assert 0 in tree.atoms[0]
    # A parent that always comes before its child: as many links as motifs less one, and no cycle.
    assert tree.parents[0] == -1
    assert all(0 <= parent < child for child, parent in enumerate(tree.parents) if child)


def test_bonds_are_cut_by_brics_and_by_both_rules() -> None:
    #            0 1  2   3  4      9   10  11  12
    molecule = read("CC(=O)NCc1ccccc1OCC")
    brics = cut_bonds(molecule, "brics")
    assert brics == {(1, 3), (3, 4), (4, 5), (10, 11), (11, 12)}
    ring = {(4, 5), (10, 11)}  # rule 1: between the ring and what is in none
    branching = {(0, 1), (1, 2), (1, 3)}  # rule 2: all bonds of the carbonyl carbon
    assert cut_bonds(molecule, "both") == brics | ring | branching
    tree = motif_tree(molecule)
    assert dict(zip(tree.atoms, tree.smiles, strict=True)) == {
        (0,): "C", (1,): "C", (2,): "O", (3,): "N", (4,): "C", (5, 6, 7, 8, 9, 10): "C1=CC=CC=C1", (11,): "O", (12, 13): "CC",
    }  # fmt: skip


def test_molecules_with_few_cuts_become_rings_and_bonds() -> None:
    spiro = motif_tree(read("C1CCC2(CC1)CCCC2"))
    assert sorted(spiro.smiles) == ["C1CCCC1", "C1CCCCC1"]
    assert sorted(map(len, spiro.atoms)) == [4, 6]  # the shared atom is with the root
    assert motif_tree(read("CCCC")).smiles == ("CC", "CC", "CC")
    assert len(motif_tree(read("C1CC2CCC1C2"))) == 1  # bridged rings share three atoms: one motif
    assert motif_tree(read("C")).parents == (-1,)


# Rings and bonds depend on the root, as in junction trees: these are molecules with more cuts.
@pytest.mark.parametrize("smiles", [one for one in DRUGS if len(cut_bonds(Chem.MolFromSmiles(one))) > 1])
def test_motifs_do_not_depend_on_the_order_of_atoms(smiles: str) -> None:
    molecule = read(smiles)
    rng = np.random.default_rng(0)
    for _ in range(5):
        order = rng.permutation(molecule.GetNumAtoms()).tolist()
        again = motif_tree(Chem.RenumberAtoms(molecule, order))
        assert sorted(again.smiles) == sorted(motif_tree(molecule).smiles)


def test_a_fused_ring_has_one_name_whatever_is_around_it() -> None:
    names = {
        next(one for one in motif_tree(read(smiles)).smiles if len(one) > 12)
        for smiles in ("CCOc1ccc2ncccc2c1C(=O)N", "NC(=O)c1cnc2ccccc2c1OCC", "OCc1ccnc2cc(OCC)ccc12")
    }
    assert len(names) == 1


def test_vocabulary_counts_motifs_and_knows_unknown_ones() -> None:
    trees = trees_of(["CC(C)(C)O", "CC(C)(C)N"])
    vocabulary = Vocabulary.of(trees, least=2)
    assert vocabulary.motifs == ("C",)
    assert len(vocabulary) == 2
    packed = PackedTrees(trees, vocabulary)
    assert packed.batch(np.array([0])).labels.tolist().count(0) == 1


def test_salts_are_their_largest_part_and_this_is_told() -> None:
    assert Chem.MolToSmiles(largest_fragment(read("[Na+].CC(=O)[O-]"))) == "CC(=O)[O-]"
    model = MGSSL(**TINY).fit(["CCOCC.Cl", "CCNCC"])
    assert model.history_.notes == [
        "1 molecules have several parts, of which the largest is taken; first row 0"
    ]
    np.testing.assert_array_equal(model.embed(["CCOCC.Cl"]), model.embed(["CCOCC"]))


# ------------------------------------------------------------------ the generator


def walked(generator: MotifGenerator, x: Tensor, tree: MotifTree, labels: list[int]) -> Tensor:
    """The loss of one tree, message by message: the definition, with no shortcut."""
    gru, children = generator.gru, {i: [] for i in range(len(tree))}
    for child, parent in enumerate(tree.parents):
        if parent >= 0:
            children[parent].append(child)
    said: dict[tuple[int, int], Tensor] = {}

    def message(i: int, visited: list[int]) -> Tensor:
        heard = [said[k, i] for k in visited]
        total = sum(heard, torch.zeros_like(x[0]))
        z = torch.sigmoid(gru.update(torch.cat([x[i], total])))
        gates = [torch.sigmoid(gru.reset_own(x[i]) + gru.reset_message(one)) for one in heard]
        inner = sum((r * one for r, one in zip(gates, heard, strict=True)), torch.zeros_like(x[0]))
        return (1 - z) * total + z * torch.tanh(gru.candidate(torch.cat([x[i], inner])))

    def named(h: Tensor, truth: int) -> Tensor:
        logits = generator.label(torch.relu(generator.hidden(h)))
        return nn.functional.cross_entropy(logits[None], torch.tensor([truth]))

    def asked(i: int, visited: list[int], truth: float) -> Tensor:
        total = sum((said[k, i] for k in visited), torch.zeros_like(x[0]))
        logit = generator.further(torch.relu(generator.visit(torch.cat([x[i], total]))))
        return nn.functional.binary_cross_entropy_with_logits(logit, torch.tensor([truth]))

    loss = torch.zeros(())
    if len(tree) == 1:
        return loss

    def depth_first(i: int, visited: list[int]) -> None:
        nonlocal loss
        for child in children[i]:
            loss = loss + asked(i, visited, 1.0)
            said[i, child] = message(i, visited)
            loss = loss + named(said[i, child], labels[child])
            depth_first(child, [i])
            said[child, i] = message(child, children[child])
            visited.append(child)
        loss = loss + asked(i, visited, 0.0)

    if generator.order == "dfs":
        depth_first(0, [])
        return loss
    level, heard = [0], {0: []}
    while level:
        following = []
        for i in level:
            for child in children[i]:
                said[i, child] = message(i, heard[i])
                loss = loss + named(said[i, child], labels[child])
                said[child, i] = message(child, [])
                heard[i].append(child)
                following.append(child)
            loss = loss + named(message(i, heard[i]), generator.classes)
        for child in following:
            heard[child] = [tree.parents[child]]
        level = following
    return loss


@pytest.mark.parametrize("order", ["dfs", "bfs"])
def test_messages_of_a_batch_are_those_of_a_walk_through_each_tree(order) -> None:
    torch.manual_seed(0)
    trees = trees_of(DRUGS)
    vocabulary = Vocabulary.of(trees, least=2)
    packed = PackedTrees(trees, vocabulary)
    batch = packed.batch(np.arange(len(trees)))
    generator = MotifGenerator(6, len(vocabulary), order).double()
    x = torch.randn(len(batch.labels), 6, dtype=torch.float64, requires_grad=True)
    loss = generation_loss(generator(x, batch), len(trees))
    start, total = 0, torch.zeros(())
    torch.set_default_dtype(torch.float64)
    try:
        for tree in trees:
            rows = slice(start, start + len(tree))
            total = total + walked(generator, x[rows], tree, batch.labels[rows].tolist())
            start += len(tree)
    finally:
        torch.set_default_dtype(torch.float32)
    assert float(loss.detach()) == pytest.approx(float(total.detach()) / len(trees), abs=1e-10)
    found, expected = (
        torch.autograd.grad(one, x, retain_graph=True)[0] for one in (loss, total / len(trees))
    )
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def test_batch_of_trees_is_the_trees_side_by_side_in_any_order() -> None:
    trees = trees_of(DRUGS)
    packed = PackedTrees(trees, Vocabulary.of(trees))
    chosen = np.array([4, 0, 6, 0])
    batch = packed.batch(chosen)
    start = atom = 0
    for row in chosen:
        one = packed.batch(np.array([row]))
        nodes, atoms = slice(start, start + len(one.labels)), slice(atom, atom + len(one.motif))
        assert torch.equal(batch.labels[nodes], one.labels)
        assert torch.equal(batch.motif[atoms] - start, one.motif)
        assert torch.equal(batch.parents[nodes], torch.where(one.parents < 0, -1, one.parents + start))
        start, atom = nodes.stop, atoms.stop
    assert start == len(batch.labels)


def test_random_siblings_change_the_order_and_nothing_else() -> None:
    trees = trees_of(["CC(F)(Cl)OC(N)(Br)I"])
    packed = PackedTrees(trees, Vocabulary.of(trees))
    rows = np.array([0])
    fixed = packed.batch(rows)
    pairs = {frozenset(pair) for pair in zip(fixed.earlier.tolist(), fixed.later.tolist(), strict=True)}
    orders = set()
    for seed in range(6):
        drawn = packed.batch(rows, np.random.default_rng(seed))
        found = list(zip(drawn.earlier.tolist(), drawn.later.tolist(), strict=True))
        assert {frozenset(pair) for pair in found} == pairs
        assert len(found) == len(pairs)
        assert torch.equal(drawn.labels, fixed.labels)
        orders.add(tuple(sorted(found)))
    assert len(orders) > 1


def test_single_motifs_are_asked_nothing() -> None:
    trees = trees_of(["C", "c1ccccc1"])
    batch = PackedTrees(trees, Vocabulary.of(trees)).batch(np.arange(2))
    for order in ("dfs", "bfs"):
        generator = MotifGenerator(4, 3, order)  # type: ignore[arg-type]
        assert generation_loss(generator(torch.randn(2, 4), batch), 2).item() == 0.0


# ------------------------------------------------------------------ hidden atoms and bonds


def test_hidden_atoms_and_bonds_tell_nothing_of_themselves() -> None:
    graphs = pack([read(one) for one in DRUGS])
    graph = graphs.batch(np.arange(len(DRUGS)))
    before = graph.x.clone(), graph.edge_attr.clone()
    torch.manual_seed(3)
    hidden, atoms, bonds = hide(graph, 0.15)
    assert len(atoms) == round(0.15 * len(graph.x))
    assert len(bonds) == round(0.15 * len(graph.edge_attr) / 2)
    assert (hidden.x[atoms] == HIDDEN).all()
    assert (hidden.edge_attr[2 * bonds] == HIDDEN).all()
    assert (hidden.edge_attr[2 * bonds + 1] == HIDDEN).all()
    # The two directions of a bond lie side by side.
    assert torch.equal(graph.edge_index[0, 2 * bonds], graph.edge_index[1, 2 * bonds + 1])
    kept = torch.ones(len(graph.x), dtype=torch.bool).index_fill(0, atoms, False)
    assert torch.equal(hidden.x[kept], graph.x[kept])
    assert torch.equal(graph.x, before[0])
    assert torch.equal(graph.edge_attr, before[1])
    # Atoms that are hidden do not decide the answer: other elements in their place give the same one.
    network = MGSSLNetwork(MGSSLConfig(width=8, layers=2, dropout=0), 3)
    network.eval()
    other = type(graph)(graph.x.clone(), graph.edge_index, graph.edge_attr, graph.batch, graph.graphs)
    other.x[atoms] = 5
    torch.manual_seed(3)
    again, _, _ = hide(other, 0.15)
    torch.testing.assert_close(network.encoder(again)[-1], network.encoder(hidden)[-1])


# ------------------------------------------------------------------ weights

VECTORS = {
    "all three needed": [[1.0, 0.2, 0.1], [-0.6, 1.0, 0.3], [-0.5, -0.9, 0.8]],
    "two needed": [[1.0, 0.0, 0.5], [-1.0, 0.5, 0.5], [3.0, 4.0, 2.0]],
    "one is the shortest": [[0.1, 0.0, 0.0], [1.0, 1.0, 0.0], [2.0, 0.0, 1.0]],
    "a hundred times apart": [[100.0, 3.0, 0.0], [-1.0, 1.0, 0.5], [0.01, -0.02, 0.01]],
}


@pytest.mark.parametrize("vectors", VECTORS.values(), ids=VECTORS.keys())
def test_weights_are_those_of_a_quadratic_program(vectors) -> None:
    G = np.array(vectors) @ np.array(vectors).T
    found = min_norm_weights(G)
    scale = np.trace(G)
    expected = minimize(
        lambda w: w @ G @ w / scale,
        np.full(3, 1 / 3),
        jac=lambda w: 2 * G @ w / scale,
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(3)},
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert found @ G @ found <= expected.x @ G @ expected.x + 1e-9 * scale
    np.testing.assert_allclose(found, expected.x, atol=1e-3)


def test_weighted_direction_lowers_every_loss() -> None:
    w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    losses = [(w * torch.tensor(one)).sum() for one in VECTORS["all three needed"]]
    weights = gradient_weights(losses, [w])
    step = torch.autograd.grad(sum(a * b for a, b in zip(weights, losses, strict=True)), w)[0]
    for vector in VECTORS["all three needed"]:
        assert float(step @ torch.tensor(vector)) > 0
    assert not weights.requires_grad


def test_weights_are_found_anew_in_every_step() -> None:
    molecules = [read(one) for one in SMILES]
    trees = trees_of(SMILES)
    vocabulary = Vocabulary.of(trees)
    told = {}
    for weighting in ("frank-wolfe", "unit-frank-wolfe", "equal"):
        torch.manual_seed(0)
        config = MGSSLConfig(width=8, layers=2, dropout=0, weighting=weighting)
        network = MGSSLNetwork(config, len(vocabulary))
        objective = Pretraining(network, pack(molecules), PackedTrees(trees, vocabulary), config)
        found = [objective.losses(one) for one in objective.batches(np.random.default_rng(0))]
        found += [objective.losses(one) for one in objective.batches(np.random.default_rng(1))]
        told[weighting] = np.array(
            [[float(one[f"{name}_weight"]) for name in ("motif", "atom", "bond")] for one in found]
        )
        np.testing.assert_allclose(told[weighting].sum(1), 1, atol=1e-6)
    assert np.ptp(told["unit-frank-wolfe"], axis=0).max() > 1e-4
    assert np.ptp(told["frank-wolfe"], axis=0).max() > 1e-4
    np.testing.assert_allclose(told["equal"], 1 / 3, atol=1e-6)


# ------------------------------------------------------------------ the estimator


def test_learns_labels_and_motifs() -> None:
    alike = SMILES * 4
    model = MGSSL(
        width=16,
        layers=2,
        training={"epochs": 60},
        finetuning={"epochs": 40},
        finetuning_dropout=0.0,
        dropout=0.0,
        tasks="motifs",
    ).fit(alike, np.tile(ALCOHOL, 4))
    assert (model.predict(SMILES) == ALCOHOL).mean() > 0.9
    assert "pretraining" in model.history_.losses[0]
    assert "finetuning" in model.history_.losses[-1]
    found = model.fit(alike).motif_accuracy(SMILES)
    assert found["motif"] > found["motif_majority"]
    assert found["topology"] > found["topology_majority"]
    assert found["unknown"] == 0


def test_several_targets_with_gaps() -> None:
    table = pd.DataFrame(
        {"smiles": SMILES, "alcohol": ALCOHOL, "odd": np.arange(24) % 3 == 0, "same": 1.0}
    ).astype({"odd": float})
    table.loc[:4, "odd"] = np.nan
    columns = {"smiles": "smiles", "target": ["alcohol", "odd", "same"]}
    model = MGSSL(**TINY).fit_table(table, columns)
    found = model.predict_table(table, columns)
    assert list(found) == ["prediction", "prediction_alcohol", "prediction_odd", "prediction_same"]
    assert found["prediction"].equals(found["prediction_alcohol"])
    assert model.predict_proba(SMILES).shape == (24, 3)
    assert model.history_.notes == ["targets with one class teach nothing, AUC is undefined: same"]


def test_unknown_labels_do_not_teach() -> None:
    y = np.column_stack([ALCOHOL, 1 - ALCOHOL])
    y[:12, 1] = np.nan
    settings = {**TINY, "tasks": "none", "finetuning_dropout": 0.0}
    model = MGSSL(**settings).fit(SMILES, y)
    network, graphs = model.network_, pack([read(one) for one in SMILES])
    objective = Finetuning(network, graphs, y, np.arange(24), np.arange(0), model.config.finetuning)
    logits = network.logits(graphs.batch(np.arange(24)))
    expected = nn.functional.binary_cross_entropy_with_logits(
        torch.cat([logits[:, 0], logits[12:, 1]]), torch.as_tensor(np.r_[y[:, 0], y[12:, 1]]).float()
    )
    assert float(objective.losses(np.arange(24))["total"]) == pytest.approx(float(expected), abs=1e-6)


def test_motifs_beside_the_vocabulary_are_told_and_read() -> None:
    model = MGSSL(**TINY).fit(["CCOCC", "CCNCC", "CC(C)CO"])
    table = pd.DataFrame({"smiles": ["CC(=O)Nc1ccccc1", "nonsense", "CCO"]}, index=["a", "b", "c"])
    found = answer(model, Verb.FRAGMENT, table, {"smiles": "smiles"})
    assert list(found.index)[-1] == "b"
    assert found.index.is_unique
    assert found.loc["b", "problem"] == "is no SMILES that RDKit can read"
    ring = found[found["motif_smiles"] == "C1=CC=CC=C1"]
    assert ring["known"].tolist() == [False]
    assert ring["atoms"].tolist() == ["4 5 6 7 8 9"]
    assert found.loc["a/0", "parent"] is pd.NA
    assert model.motif_accuracy(["CC(=O)Nc1ccccc1"])["unknown"] > 0


def test_validation_keeps_the_best_epoch_of_other_scaffolds() -> None:
    smiles = SMILES + [f"C{'C' * i}c1ccncc1O" for i in range(12)]
    y = np.r_[ALCOHOL, np.arange(12) % 2]
    settings = {**TINY, "validation": 0.2, "finetuning": {"epochs": 4, "patience": 2}, "tasks": "none"}
    model = MGSSL(**settings).fit(smiles, y)
    assert all("validation" in one for one in model.history_.losses)
    assert model.history_.best_epoch is not None


def test_a_saved_method_is_fine_tuned_without_learning_again(tmp_path: Path) -> None:
    pre = MGSSL(**TINY).fit(SMILES)
    pre.save(tmp_path)
    stages: list[str] = []
    model = MGSSL(**TINY, pretrained=str(tmp_path)).fit(
        SMILES, ALCOHOL, session=Session(lambda one: stages.append(one.stage))
    )
    assert stages == ["fine-tuning"]
    assert model.vocabulary_ == pre.vocabulary_
    # The generator is what it was, the encoder has learned.
    for name, before in pre.network_.generator.state_dict().items():
        assert torch.equal(before, model.network_.generator.state_dict()[name])
    assert not torch.equal(pre.network_.encoder.atoms[0].weight, model.network_.encoder.atoms[0].weight)
    with pytest.raises(InputError, match="has width 8, here is 16"):
        MGSSL(**{**TINY, "width": 16}, pretrained=str(tmp_path)).fit(SMILES, ALCOHOL)


def test_unimatch_starts_from_the_encoder(tmp_path: Path) -> None:
    pre = MGSSL(**TINY).fit(SMILES)
    pre.save(tmp_path)
    settings = {"width": 8, "layers": 2, "shots": 2, "episodes": 1, "tasks": 2, "training__epochs": 1}
    # So small a step that what it started from is still there.
    model = UniMatch(
        **settings, training__learning_rate=1e-9, training__weight_decay=0.0, pretrained=str(tmp_path)
    )
    model.fit(SMILES, ALCOHOL)
    for own, given in zip(
        model.network_.encoder.parameters(), pre.network_.encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(own, given, atol=1e-6, rtol=0)
    with pytest.raises(InputError, match=r"width 8 and 2 layers, here are 16 and 2"):
        UniMatch(**{**settings, "width": 16}, pretrained=str(tmp_path)).fit(SMILES, ALCOHOL)


@pytest.mark.parametrize(("smiles", "labels", "size"), [(["C"], None, 32), (["C", "O", "CC"], [1, 0, 1], 1)])
def test_a_batch_of_one_atom_is_refused(smiles: list[str], labels: list[int] | None, size: int) -> None:
    with pytest.raises(InputError, match="a batch of a single atom teaches nothing"):
        MGSSL(**{**TINY, "tasks": "all", "training": {"epochs": 1}, "finetuning": {"batch_size": size}}).fit(
            smiles, labels
        )
