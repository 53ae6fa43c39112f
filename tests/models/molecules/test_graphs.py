"""Molecules as graphs: what is read, and batches against graphs that are put together one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

from nereus.errors import InputError
from nereus.models.molecules.graphs import ATTRIBUTED, TYPED, featurise, read_smiles
from nereus.models.molecules.graphs.encoder import GraphEncoder, mean_pool, sum_pool
from nereus.models.molecules.graphs.read import pack, problems
from tests.models.cases.molecules import SMILES

DRUGS = ["CC(=O)Oc1ccccc1C(=O)O", "C[N+](C)(C)CC([O-])=O", "F/C=C/F", "N[C@@H](C)C(=O)O", "[Na+].[Cl-]", "C"]


@pytest.mark.parametrize("features", [TYPED, ATTRIBUTED], ids=lambda one: one.name)
def test_graph_holds_what_rdkit_tells(features) -> None:
    graphs, rows, rejected = featurise(DRUGS, features)
    assert rows == list(range(len(DRUGS)))
    assert not rejected
    for row, smiles in enumerate(DRUGS):
        molecule = Chem.MolFromSmiles(smiles)
        one = graphs.batch([row])
        assert one.x[:, 0].tolist() == [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        bonds = {(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.GetBonds()}
        found = {tuple(pair) for pair in one.edge_index.T.tolist()}
        assert found == bonds | {(b, a) for a, b in bonds}
        assert (one.x < torch.tensor(features.atom_classes)).all()
        assert (one.x >= 0).all()
        assert (one.edge_attr < torch.tensor(features.bond_classes)).all()


def test_batch_is_the_graphs_side_by_side_in_any_order() -> None:
    graphs, _, _ = featurise(DRUGS)
    chosen = [4, 0, 0, 2]
    batch = graphs.batch(chosen)
    start, edge = 0, 0
    for number, row in enumerate(chosen):
        one = graphs.batch([row])
        n, m = len(one.x), one.edge_index.shape[1]
        assert torch.equal(batch.x[start : start + n], one.x)
        assert torch.equal(batch.edge_index[:, edge : edge + m], one.edge_index + start)
        assert torch.equal(batch.edge_attr[edge : edge + m], one.edge_attr)
        assert (batch.batch[start : start + n] == number).all()
        start, edge = start + n, edge + m
    assert (start, edge) == (len(batch.x), batch.edge_index.shape[1])
    taken = graphs.take(chosen)
    assert torch.equal(taken.batch(range(4)).edge_index, batch.edge_index)


def test_reading_in_several_processes_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nereus.models.molecules.graphs.read._CHUNK", 5)
    one, _, _ = featurise(SMILES)
    two, rows, _ = featurise(SMILES, workers=2)
    assert rows == list(range(len(SMILES)))
    assert torch.equal(one.x, two.x)
    assert torch.equal(one.edge_index, two.edge_index)


def test_rows_that_are_no_molecules_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    bad = ["CCO", "C1CC", "", None, 5, "CCN"]
    with pytest.raises(
        InputError, match=r"4 of 6 molecules cannot be read: row 1: 'C1CC' .*; row 2: '' is empty"
    ):
        featurise(bad)
    graphs, rows, rejected = featurise(bad, on_error="skip")
    assert rows == [0, 5]
    assert len(graphs) == 2
    assert [one.row for one in rejected] == [1, 2, 3, 4]
    assert sorted(problems(bad)) == [1, 2, 3, 4]
    with pytest.raises(InputError, match="4 of 4"):
        read_smiles(bad[1:5], on_error="skip")
    assert capfd.readouterr().err == "", "RDKit's own complaints name no row"


def test_coordinates_are_those_of_the_conformer() -> None:
    molecule = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    graphs = pack([molecule, molecule], positions=True)
    batch = graphs.batch([1])
    assert batch.positions is not None
    np.testing.assert_allclose(batch.positions.numpy(), molecule.GetConformer().GetPositions(), rtol=1e-6)


def test_encoder_does_not_depend_on_the_order_of_atoms_or_on_other_graphs() -> None:
    torch.manual_seed(0)
    encoder = GraphEncoder(TYPED, 16, 3).eval()
    aspirin = Chem.MolFromSmiles(DRUGS[0])
    order = np.random.default_rng(0).permutation(aspirin.GetNumAtoms()).tolist()
    both = pack([aspirin, Chem.RenumberAtoms(aspirin, order), Chem.MolFromSmiles("CCN")])
    with torch.no_grad():
        together = both.batch([0, 1, 2])
        alone = both.batch([0])
        a, b, _ = mean_pool(encoder(together)[-1], together)
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(a, mean_pool(encoder(alone)[-1], alone)[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            sum_pool(encoder(alone)[-1], alone)[0], encoder(alone)[-1].sum(0), rtol=1e-5, atol=1e-6
        )


def test_one_layer_is_the_formula() -> None:
    """h_v <- MLP(h_v + own bond + sum over neighbours of (h_u + e_uv))."""
    torch.manual_seed(0)
    from nereus.models.molecules.graphs.encoder import BondConvolution, bond_counts

    graph = featurise(["C/C=C/c1ccccc1", "CC=O"])[0].batch([0, 1])
    layer = BondConvolution(4, TYPED.bond_classes)
    h = torch.randn(len(graph.x), 4)
    expected = []
    for v in range(len(h)):
        total = h[v] + sum(table.weight[-1] for table in layer.bonds)
        for (u, w), bond in zip(graph.edge_index.T.tolist(), graph.edge_attr, strict=True):
            if w == v:
                total = total + h[u] + sum(t.weight[c] for t, c in zip(layer.bonds, bond, strict=True))
        expected.append(layer.perceptron(total))
    torch.testing.assert_close(layer(h, graph, bond_counts(graph, TYPED.bond_classes)), torch.stack(expected))
