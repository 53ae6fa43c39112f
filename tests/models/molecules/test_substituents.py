"""Parts that can be taken away from a molecule, and what remains."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from nereus.models.molecules.substituents import parts


def told(smiles: str) -> dict[str, str]:
    found = parts(Chem.MolFromSmiles(smiles))
    return {one.smiles: Chem.MolToSmiles(one.rest) for one in found}


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("c1ccccc1OC", {"*C": "Oc1ccccc1", "*OC": "c1ccccc1"}),
        ("CCO", {"*C": "CO", "*O": "CC"}),
        ("C1CCCCC1", {}),
        ("C=C", {}),
        ("[O-]C(=O)c1ccccc1", {"*[O-]": "O=Cc1ccccc1", "*C(=O)[O-]": "c1ccccc1"}),
        ("Cn1cccc1", {"*C": "c1cc[nH]c1"}),
        ("C[C@H](N)c1ccccc1", {"*C": "NCc1ccccc1", "*N": "CCc1ccccc1", "*[C@H](C)N": "c1ccccc1"}),
    ],
)
def test_each_part_leaves_a_molecule(smiles: str, expected: dict[str, str]) -> None:
    found = told(smiles)
    assert {Chem.CanonSmiles(k): v for k, v in found.items()} == {
        Chem.CanonSmiles(k): v for k, v in expected.items()
    }


@pytest.mark.parametrize(
    "smiles",
    ["CC(=O)Oc1ccccc1C(=O)O", "C[N+](C)(C)CC(=O)[O-]", "O=S(=O)(N)c1ccc(Cl)cc1", "[nH]1ccc2c1cccc2CCN"],
)
def test_parts_and_rests_share_out_the_atoms(smiles: str) -> None:
    molecule = Chem.MolFromSmiles(smiles)
    found = parts(molecule)
    assert found
    for one in found:
        assert len(one.atoms) + one.rest.GetNumAtoms() == molecule.GetNumAtoms()
        assert Chem.MolFromSmiles(Chem.MolToSmiles(one.rest)) is not None
        assert one.smiles.count("*") == 1
    assert len({one.atoms for one in found}) == len(found)


def test_what_remains_of_a_pose_stays_in_its_place() -> None:
    pose = Chem.AddHs(Chem.MolFromSmiles("COc1ccccc1"))
    rdDistGeom.EmbedMolecule(pose, randomSeed=1)
    pose = Chem.RemoveHs(pose)
    methyl = parts(pose)[0]
    kept = np.delete(pose.GetConformer().GetPositions(), methyl.atoms, axis=0)
    np.testing.assert_allclose(methyl.rest.GetConformer().GetPositions(), kept)
