"""Molecules in space: coordinates that were given are checked, those that are missing are made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

SAME_PLACE = 0.1
"""Angstrom; no two atoms of a molecule are nearer (a bond of hydrogen with itself has 0.74)."""
_SEED = 20200704
"""Of every conformer: what a molecule looks like depends on nothing else."""


def with_hydrogens(molecules: Sequence[Chem.Mol]) -> list[Chem.Mol]:
    """Molecules with all their hydrogens as atoms; those that were missing get coordinates where the others have some."""
    return [Chem.AddHs(one, addCoords=_in_space(one)) for one in molecules]


def in_space(
    molecules: Sequence[Chem.Mol], relax: bool = False
) -> tuple[list[Chem.Mol | None], dict[int, str], int]:
    """Molecules with hydrogens and one conformer each.

    Parameters
    ----------
    molecules
        With or without conformers; drawings in the plane count as none.
    relax
        Whether conformers that are made are relaxed in MMFF94, where it knows all atoms.

    Returns
    -------
    placed : list of Mol or None
        One each; None where there is a problem.
    problems : dict
        Row to why it cannot be used: coordinates that are missing, not numbers, all zero, or the same for two atoms; no conformer
        could be made.
    made : int
        How many conformers were made.

    References
    ----------
    Riniker & Landrum, J. Chem. Inf. Model. 2015, 55, 2562 (ETKDG).
    """
    whole = with_hydrogens(molecules)
    flat = [row for row, one in enumerate(molecules) if not _in_space(one)]
    bare = [Chem.Mol(whole[row]) for row in flat]
    for one in bare:
        one.RemoveAllConformers()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool, rdBase.BlockLogs():
        found = list(pool.map(lambda one: _conformer(one.ToBinary(), relax), bare))
    placed: list[Chem.Mol | None] = list(whole)
    problems: dict[int, str] = {}
    for row, positions in zip(flat, found, strict=True):
        if positions is None:
            placed[row], problems[row] = None, "no conformer could be made"
        else:
            placed[row] = _put(whole[row], positions)
    given = set(range(len(whole))) - set(flat)
    for row in sorted(given):
        if why := _wrong(whole[row].GetConformer().GetPositions()):
            placed[row], problems[row] = None, why
    return placed, problems, len(flat) - sum(placed[row] is None for row in flat)


@lru_cache(maxsize=20_000)  # a library is read more than once: to judge, to train, to choose from
def _conformer(molecule: bytes, relax: bool) -> np.ndarray | None:
    """Coordinates, (atoms, 3), Angstrom; None where none can be found."""
    one = Chem.Mol(molecule)  # type: ignore[call-overload]
    options = rdDistGeom.ETKDGv3()
    options.randomSeed = _SEED  # type: ignore[assignment]  # the stubs are wrong
    if rdDistGeom.EmbedMolecule(one, options) != 0:
        options.useRandomCoords = True  # type: ignore[assignment]
        if rdDistGeom.EmbedMolecule(one, options) != 0:
            return None
    if relax and rdForceFieldHelpers.MMFFHasAllMoleculeParams(one):
        rdForceFieldHelpers.MMFFOptimizeMolecule(one)
    positions = np.asarray(one.GetConformer().GetPositions())
    return None if _wrong(positions) else positions


def _put(molecule: Chem.Mol, positions: np.ndarray) -> Chem.Mol:
    placed = Chem.Mol(molecule)
    placed.RemoveAllConformers()
    conformer = Chem.Conformer(placed.GetNumAtoms())
    conformer.SetPositions(np.ascontiguousarray(positions))
    placed.AddConformer(conformer)
    return placed


def _in_space(molecule: Chem.Mol) -> bool:
    """Whether there is a conformer that is no drawing. Coordinates that are no numbers were meant as one."""
    if not molecule.GetNumConformers():
        return False
    conformer = molecule.GetConformer()
    return bool(conformer.Is3D() or not np.isfinite(conformer.GetPositions()).all())


def _wrong(positions: np.ndarray) -> str:
    """Why coordinates cannot be used; empty where they can."""
    if not np.isfinite(positions).all():
        return "has coordinates that are no numbers"
    if len(positions) < 2:
        return ""
    if not positions.any():
        return "has coordinates that are all zero"
    between = np.linalg.norm(positions[:, None] - positions[None], axis=-1)[
        np.triu_indices(len(positions), 1)
    ]
    return "has two atoms at the same place" if between.min() < SAME_PLACE else ""
