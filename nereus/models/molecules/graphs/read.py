"""From SMILES to graphs: what cannot be read is named by row, never dropped in silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Literal

import numpy as np
import pandas as pd
from rdkit import Chem, rdBase

from nereus.errors import InputError
from nereus.models.molecules.graphs.features import FEATURE_SETS, TYPED, FeatureSet
from nereus.models.molecules.graphs.packed import PackedGraphs

_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
_CHUNK = 2000
"""Molecules of a process's task: large enough that sending them costs nothing beside reading them."""


@dataclass(frozen=True)
class Rejected:
    """A row that is no molecule."""

    row: int
    text: str
    why: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.text!r} {self.why}"


def read_smiles(
    smiles: Iterable[object], on_error: Literal["raise", "skip"] = "raise"
) -> tuple[list[Chem.Mol], list[int], list[Rejected]]:
    """Read SMILES.

    Parameters
    ----------
    smiles
        One text a molecule.
    on_error
        Whether rows that are no molecules are an error, or are left out and told.

    Returns
    -------
    molecules : list of Mol
        What could be read.
    rows : list of int
        Their rows.
    rejected : list of Rejected
        The others.

    Raises
    ------
    InputError
        A row cannot be read and `on_error` is ``raise``, or none can.
    """
    molecules, rows, rejected = _read(smiles, 0)
    _refuse(rejected, len(molecules), on_error)
    return molecules, rows, rejected


def problems(smiles: Iterable[object]) -> dict[int, str]:
    """Rows that are no molecule, with the reason."""
    return {one.row: one.why for one in _read(smiles, 0)[2]}


def featurise(
    smiles: Sequence[object],
    features: FeatureSet = TYPED,
    on_error: Literal["raise", "skip"] = "raise",
    workers: int = 1,
) -> tuple[PackedGraphs, list[int], list[Rejected]]:
    """Read SMILES into graphs.

    Parameters
    ----------
    smiles
        One text a molecule.
    features
        What is told of atoms and bonds.
    on_error
        See `read_smiles`.
    workers
        Processes to read with; worth it from several ten thousand molecules on, since each takes seconds to start.

    Returns
    -------
    graphs : PackedGraphs
        One graph a molecule that could be read. Hydrogens are implicit.
    rows : list of int
        Their rows.
    rejected : list of Rejected
        The others.
    """
    texts = list(smiles)
    chunks = [(start, texts[start : start + _CHUNK], features.name) for start in range(0, len(texts), _CHUNK)]
    if workers > 1 and len(chunks) > 1:
        with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(_featurise_chunk, chunks))
    else:
        parts = [_featurise_chunk(chunk) for chunk in chunks]
    rows = [row for part in parts for row in part[1]]
    rejected = [one for part in parts for one in part[2]]
    _refuse(rejected, len(rows), on_error)
    x, edge_index, edge_attr, atoms, edges = (
        np.concatenate([part[0][i] for part in parts], axis=1 if i == 1 else 0) for i in range(5)
    )
    return PackedGraphs(x, edge_index, edge_attr, atoms, edges), rows, rejected


def pack(
    molecules: Sequence[Chem.Mol], features: FeatureSet = TYPED, positions: bool = False
) -> PackedGraphs:
    """Graphs of molecules that were read already; with `positions` the coordinates of their first conformer."""
    arrays = _arrays(molecules, features)
    if not positions:
        return PackedGraphs(*arrays)
    return PackedGraphs(
        *arrays, positions=np.concatenate([m.GetConformer().GetPositions() for m in molecules])
    )


def largest_fragment(molecule: Chem.Mol) -> Chem.Mol:
    """The connected part with most atoms (of equal ones the first by canonical SMILES); the molecule itself where it is whole."""
    parts = Chem.GetMolFrags(molecule, asMols=True)
    if len(parts) < 2:
        return molecule
    largest: Chem.Mol = min(parts, key=lambda part: (-part.GetNumAtoms(), Chem.MolToSmiles(part)))
    return largest


def _featurise_chunk(
    chunk: tuple[int, list[object], str],
) -> tuple[_Arrays, list[int], list[Rejected]]:
    start, texts, feature_set = chunk
    molecules, rows, rejected = _read(texts, start)
    return _arrays(molecules, FEATURE_SETS[feature_set]), rows, rejected


def _read(texts: Iterable[object], start: int) -> tuple[list[Chem.Mol], list[int], list[Rejected]]:
    molecules, rows, rejected = [], [], []
    with rdBase.BlockLogs():  # RDKit writes its complaints to stderr; ours name the row
        for row, text in enumerate(texts, start=start):
            molecule, why = _molecule(text)
            if molecule is None:
                rejected.append(Rejected(row, str(text), why))
            else:
                molecules.append(molecule)
                rows.append(row)
    return molecules, rows, rejected


def _molecule(text: object) -> tuple[Chem.Mol | None, str]:
    if not isinstance(text, str):
        missing = text is None or text is pd.NA or (isinstance(text, float) and text != text)
        return None, "is empty" if missing else "is no text"
    if not text.strip():
        return None, "is empty"
    molecule: Chem.Mol | None = Chem.MolFromSmiles(text.strip())
    if molecule is None:
        return None, "is no SMILES that RDKit can read"
    if molecule.GetNumAtoms() == 0:
        return None, "has no atom"
    return molecule, ""


def _refuse(rejected: list[Rejected], kept: int, on_error: str) -> None:
    if rejected and (on_error == "raise" or not kept):
        shown = "; ".join(map(str, rejected[:3])) + (" ..." if len(rejected) > 3 else "")
        raise InputError(
            f"{len(rejected)} of {len(rejected) + kept} molecules cannot be read: {shown}",
            where="SMILES",
            mend="correct or remove these rows",
        )
    if not kept:
        raise InputError("there is no molecule", where="SMILES", mend="give at least one row")


def _arrays(molecules: Sequence[Chem.Mol], features: FeatureSet) -> _Arrays:
    """Atoms, bonds both ways, their features, and the sizes."""
    atoms: list[tuple[int, ...]] = []
    begin: list[int] = []
    end: list[int] = []
    bonds: list[tuple[int, ...]] = []
    sizes, edges = [], []
    of_atom, of_bond = features.atom, features.bond
    for molecule in molecules:
        atoms.extend(map(of_atom, molecule.GetAtoms()))
        for bond in molecule.GetBonds():
            a, b, told = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), of_bond(bond)
            begin += (a, b)
            end += (b, a)
            bonds += (told, told)
        sizes.append(molecule.GetNumAtoms())
        edges.append(2 * molecule.GetNumBonds())
    return (
        np.array(atoms, dtype=np.int16).reshape(-1, len(features.atom_classes)),
        np.array([begin, end], dtype=np.int32).reshape(2, -1),
        np.array(bonds, dtype=np.int8).reshape(-1, len(features.bond_classes)),
        np.array(sizes, dtype=np.int64),
        np.array(edges, dtype=np.int64),
    )
