"""Poses and pockets from the content of files: what cannot be used is named, what is changed is told."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from nereus.errors import InputError
from nereus.models.molecules.mbp.features import PROTONATED, RESIDUE, UNKNOWN_RESIDUE

_FLAT = 1e-6
"""Heights below this are those of a drawing, not of a pose; Angstrom."""
_MOL2 = "@<TRIPOS>MOLECULE"
"""What each record of a MOL2 file begins with."""


@dataclass(frozen=True)
class Pocket:
    """Residues of a protein by their alpha carbons.

    Attributes
    ----------
    residues : ndarray
        Class of each, (residues,), int64; 0 is none of the twenty amino acids.
    positions : ndarray
        Coordinates of the alpha carbons, (residues, 3), Angstrom, float64.
    notes : tuple of str
        What was left out or not known.
    """

    residues: np.ndarray
    positions: np.ndarray
    notes: tuple[str, ...] = ()


def read_poses(text: str) -> list[Chem.Mol]:
    """Poses of one molecule from the content of an SDF, MOL or MOL2 file, heavy atoms only.

    Raises
    ------
    InputError
        Nothing can be read, there are no 3D coordinates, or the records are different molecules.
    """
    with rdBase.BlockLogs():
        if _MOL2 in text:
            found = [Chem.MolFromMol2Block(_MOL2 + one, removeHs=True) for one in text.split(_MOL2)[1:]]
        else:
            supplier = Chem.SDMolSupplier()
            supplier.SetData(text, removeHs=True)
            found = list(supplier)
    poses = [one for one in found if one is not None and one.GetNumAtoms()]
    if not poses or len(poses) < len(found):
        raise InputError("is no pose that RDKit can read", mend="give an SDF, MOL or MOL2 record")
    for pose in poses:
        heights = pose.GetConformer().GetPositions()[:, 2] if pose.GetNumConformers() else np.zeros(2)
        if len(heights) > 1 and np.abs(heights).max() < _FLAT:
            raise InputError("has no 3D coordinates (all z are 0)", mend="give the bound or a docked pose")
    if len({Chem.MolToSmiles(one, isomericSmiles=False) for one in poses}) > 1:
        raise InputError(
            f"holds {len(poses)} different molecules",
            mend="name one record of an SDF, as file.sdf#name or file.sdf#0, or give one molecule a file",
        )
    return poses


@lru_cache(maxsize=4096)
def read_pocket(text: str) -> Pocket:
    """Residues of a PDB or mmCIF file's content (its first model).

    Raises
    ------
    InputError
        There is no residue with an alpha carbon, or its coordinates are no numbers.
    """
    from Bio.PDB.MMCIFParser import MMCIFParser
    from Bio.PDB.PDBExceptions import PDBConstructionException
    from Bio.PDB.PDBParser import PDBParser

    kind: Any = MMCIFParser if text.lstrip().startswith("data_") else PDBParser
    parser = kind(QUIET=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = next(iter(parser.get_structure("protein", StringIO(text))))
    except (StopIteration, ValueError, KeyError, IndexError, PDBConstructionException) as error:
        raise InputError(f"is no protein structure: {error}", mend="give a PDB or mmCIF file") from None
    classes, positions, without, strange = [], [], [], []
    for residue in model.get_residues():
        name = PROTONATED.get(residue.get_resname().strip(), residue.get_resname().strip())
        told = f"{name}{residue.id[1]}{residue.id[2].strip()}"
        atom = residue["CA"] if residue.has_id("CA") else None
        if atom is None or atom.element != "C":
            if name in RESIDUE:
                without.append(told)
            continue  # water, ions, caps, ligands
        if name not in RESIDUE:
            strange.append(told)
        classes.append(RESIDUE.get(name, UNKNOWN_RESIDUE))
        positions.append(atom.coord.astype(np.float64))
    if not classes:
        raise InputError(
            "has no residue with an alpha carbon", mend="give the protein or its pocket as PDB or mmCIF"
        )
    if not np.isfinite(positions).all():
        raise InputError("has coordinates that are no numbers", mend="correct the structure's file")
    notes = []
    if without:
        notes.append(f"{len(without)} residues without alpha carbon are left out, first {without[0]}")
    if strange:
        notes.append(f"{len(strange)} residues are no standard amino acid, first {strange[0]}")
    return Pocket(np.array(classes, dtype=np.int64), np.stack(positions), tuple(notes))
