"""Ligands in pockets as three graphs each, packed once and batched by index arithmetic.

Within the ligand atoms are neighbours where they are bonded or near, within the protein residues where they are among the
nearest, and between both an atom and a residue are a contact where they are near. Without a pose the ligand has its bonds alone,
and each of its atoms meets one point that stands for the whole protein.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from rdkit import Chem
from scipy.spatial import cKDTree
from torch import Tensor

from nereus.errors import InputError
from nereus.models.files import content
from nereus.models.molecules.graphs.packed import GraphBatch, PackedGraphs, ranges
from nereus.models.molecules.graphs.read import pack, problems
from nereus.models.molecules.mbp.config import MBPConfig
from nereus.models.molecules.mbp.features import BOUND
from nereus.models.molecules.mbp.structures import Pocket, read_pocket, read_poses
from nereus.models.sequences.alphabets import problems as sequence_problems

Variant = Literal["structure", "pose-free"]
Protein = tuple[str, str]
"""A protein without structure: ``("sequence", letters)`` or ``("name", name)``."""


@dataclass(frozen=True)
class Complex:
    """A ligand and its protein, as a person has them. Either `ligand` and `pocket`, or `smiles`.

    Attributes
    ----------
    smiles
        Structural formula.
    ligand
        Pose, or poses of one molecule: file, record of a file, or content; see `nereus.models.files`.
    pocket
        Protein or pocket in the frame of the pose: PDB or mmCIF file, or content.
    sequence
        Sequence of the protein, in one-letter code.
    protein
        Name of the protein, where neither structure nor sequence is known.
    """

    smiles: str | None = None
    ligand: str | Path | None = None
    pocket: str | Path | None = None
    sequence: str | None = None
    protein: str | None = None

    @property
    def target(self) -> str:
        """What tells proteins apart: the name, else the sequence, else the structure; empty where none is given."""
        letters = "" if self.written is None else self.written[1]
        return self.protein or letters or ("" if self.pocket is None else str(self.pocket))

    @property
    def written(self) -> Protein | None:
        """The protein without its structure: its sequence, else its name."""
        if self.sequence:
            return "sequence", "".join(self.sequence.split()).upper()
        return ("name", self.protein) if self.protein else None


@dataclass(frozen=True)
class Posed:
    """A ligand in its pocket, read: heavy atoms of a pose, and the residues around it."""

    pose: Chem.Mol
    pocket: Pocket

    def moved(self, rotation: np.ndarray, shift: np.ndarray) -> Posed:
        """The same complex elsewhere: positions ``x R^T + t``."""
        pose = Chem.Mol(self.pose)
        pose.GetConformer().SetPositions(self.pose.GetConformer().GetPositions() @ rotation.T + shift)
        return Posed(pose, replace(self.pocket, positions=self.pocket.positions @ rotation.T + shift))


@dataclass(frozen=True)
class ComplexBatch:
    """Several complexes as one.

    Attributes
    ----------
    ligand : GraphBatch
        Atoms; ``edge_attr`` is the order of the bond, 0 where atoms are merely near. With a pose, positions.
    protein : GraphBatch or None
        Residues, with positions; None without a pose.
    contacts : Tensor
        Atom and residue of each contact, (2, contacts). Without a pose atom and complex.
    owner : Tensor
        Complex of each contact, (contacts,), ascending.
    targets : Tensor
        Protein of each complex, by number in the vocabulary, (complexes,); read without a pose.
    """

    ligand: GraphBatch
    protein: GraphBatch | None
    contacts: Tensor
    owner: Tensor
    targets: Tensor

    @property
    def size(self) -> int:
        """Number of complexes."""
        return self.ligand.graphs


class PackedComplexes:
    """Complexes end to end; a row may have several poses.

    Parameters
    ----------
    ligands
        Graphs of all poses.
    poses
        Number of poses of each row, (rows,).
    targets
        Protein of each row, by number, (rows,).
    proteins
        Residue graphs, one a pose; None without poses.
    contacts
        Atom (within its pose) and residue (within its pocket) of all contacts, (2, contacts).
    counts
        Number of contacts of each pose, (poses,).
    """

    def __init__(
        self,
        ligands: PackedGraphs,
        poses: np.ndarray,
        targets: np.ndarray,
        proteins: PackedGraphs | None = None,
        contacts: np.ndarray | None = None,
        counts: np.ndarray | None = None,
    ) -> None:
        self.ligands, self.proteins = ligands, proteins
        self.poses = np.asarray(poses, dtype=np.int64)
        self.first = np.cumsum(self.poses) - self.poses
        self.targets = torch.as_tensor(targets, dtype=torch.int64)
        self._row = np.repeat(np.arange(len(self.poses)), self.poses)
        self._contacts = None if contacts is None else torch.as_tensor(contacts, dtype=torch.int32)
        if counts is not None:
            self._counts = torch.as_tensor(counts, dtype=torch.int64)
            self._starts = torch.cumsum(self._counts, 0) - self._counts

    def __len__(self) -> int:
        return len(self.poses)

    def drawn(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A pose of each row at random, (rows,)."""
        return np.asarray(self.first[rows] + rng.integers(0, self.poses[rows]))

    def identity(self) -> bytes:
        """A hash of all graphs."""
        found = hashlib.sha256(self.poses.tobytes() + self.targets.numpy().tobytes())
        for graphs in (self.ligands, self.proteins):
            if graphs is not None:
                for one in (graphs.x, graphs.edge_index, graphs.edge_attr, graphs.atoms, graphs.positions):
                    found.update(b"" if one is None else one.numpy().tobytes())
        return found.digest()

    def batch(self, poses: np.ndarray, device: torch.device | str = "cpu") -> ComplexBatch:
        """Some poses (by number; the first of a row is ``first[row]``), in their order, as one."""
        targets = self.targets[torch.as_tensor(self._row[poses])].to(device)
        ligand = self.ligands.batch(poses, device)
        if self.proteins is None:
            atoms = torch.arange(len(ligand.x), device=device)
            return ComplexBatch(ligand, None, torch.stack([atoms, ligand.batch]), ligand.batch, targets)
        assert self._contacts is not None
        protein = self.proteins.batch(poses, device)
        chosen = torch.as_tensor(poses, dtype=torch.int64)
        places, owner = ranges(self._starts[chosen], self._counts[chosen])
        atoms, residues = self.ligands.atoms[chosen], self.proteins.atoms[chosen]
        first = torch.stack([torch.cumsum(atoms, 0) - atoms, torch.cumsum(residues, 0) - residues])
        contacts = self._contacts[:, places].long() + first[:, owner]
        return ComplexBatch(ligand, protein, contacts.to(device), owner.to(device), targets)


# ------------------------------------------------------------------ reading


def variant_of(complexes: Sequence[Complex], config: MBPConfig) -> Variant:
    """What a configuration reads of these complexes."""
    posed = [one.ligand is not None for one in complexes]
    if config.variant == "auto":
        if any(posed) and not all(posed):
            raise InputError(
                f"row {posed.index(False)} has no pose, others have",
                where="complexes",
                mend="give a pose in every row, or set variant='pose-free' and give SMILES",
            )
        return "structure" if all(posed) else "pose-free"
    return config.variant


def problem(one: Complex, variant: Variant, config: MBPConfig) -> str:
    """Why a complex cannot be read; empty where it can."""
    if variant == "pose-free":
        wrong = problems([one.smiles])
        if not wrong and one.sequence:
            wrong = sequence_problems([one.sequence], ["protein"])
        return wrong.get(0, "")
    try:
        read(one, config)
    except InputError as error:
        return str(error).splitlines()[0]
    return ""


def read(one: Complex, config: MBPConfig) -> list[Posed]:
    """Poses of a complex in its pocket, the first `config.poses` that its file holds.

    Raises
    ------
    InputError
        A file cannot be used, or nothing of the protein is near the ligand.
    """
    if one.ligand is None or one.pocket is None:
        missing = "pose" if one.ligand is None else "pocket"
        raise InputError(f"has no {missing}", mend="name the columns of ligand and pocket")
    pocket = read_pocket(content(one.pocket))
    return [_near(pose, pocket, config) for pose in read_poses(content(one.ligand))[: config.poses]]


def _near(pose: Chem.Mol, pocket: Pocket, config: MBPConfig) -> Posed:
    atoms = pose.GetConformer().GetPositions()
    distance, _ = cKDTree(atoms).query(pocket.positions)
    if distance.min() > config.contact_cutoff:
        raise InputError(
            f"has no protein-ligand contacts within {config.contact_cutoff:g} A: the nearest residue is "
            f"{distance.min():.0f} A away, wrong frame?",
            mend="give ligand and protein in the same coordinates",
        )
    if config.pocket_radius is None:
        return Posed(pose, pocket)
    kept = distance <= max(config.pocket_radius, config.contact_cutoff)
    return Posed(pose, Pocket(pocket.residues[kept], pocket.positions[kept], pocket.notes))


def read_all(
    complexes: Sequence[Complex], variant: Variant, config: MBPConfig
) -> tuple[list[list[Chem.Mol]] | list[list[Posed]], list[str]]:
    """Poses of every complex (without poses its molecule alone), and what is to be told of them.

    Raises
    ------
    InputError
        A row cannot be read; all such rows are counted and the first are named.
    """
    bad: list[str] = []
    found: list[Any] = []
    notes: list[str] = []
    for row, one in enumerate(complexes):
        if variant == "pose-free":
            if why := problem(one, variant, config):
                bad.append(f"row {row}: {one.smiles!r} {why}")
            else:
                found.append([Chem.MolFromSmiles(str(one.smiles).strip())])
            continue
        try:
            posed = read(one, config)
        except InputError as error:
            bad.append(f"row {row}: {str(error).splitlines()[0]}")
            continue
        found.append(posed)
        notes += [note for note in posed[0].pocket.notes if note not in notes]
    if bad:
        raise InputError(
            f"{len(bad)} of {len(complexes)} complexes cannot be read: {'; '.join(bad[:3])}{' ...' if len(bad) > 3 else ''}",
            where="complexes",
            mend="correct or remove these rows",
        )
    if not found:
        raise InputError("there is no complex", where="complexes", mend="give at least one row")
    return found, notes


# ------------------------------------------------------------------ graphs


def pack_read(
    read: list[list[Chem.Mol]] | list[list[Posed]], targets: np.ndarray, variant: Variant, config: MBPConfig
) -> PackedComplexes:
    """What `read_all` gave, as graphs."""
    if variant == "structure":
        return pack_posed(cast(list[list[Posed]], read), targets, config)
    return pack_free(cast(list[list[Chem.Mol]], read), targets)


def pack_free(molecules: Sequence[Sequence[Chem.Mol]], targets: np.ndarray) -> PackedComplexes:
    """Molecules without poses."""
    return PackedComplexes(
        pack([one for row in molecules for one in row], BOUND),
        np.array([len(row) for row in molecules]),
        targets,
    )


def pack_posed(posed: Sequence[Sequence[Posed]], targets: np.ndarray, config: MBPConfig) -> PackedComplexes:
    """Ligands in their pockets: the three graphs of each."""
    every = [one for row in posed for one in row]
    bonded = pack([one.pose for one in every], BOUND)
    ligand, protein, contact = [], [], []
    residues: dict[bytes, np.ndarray] = {}
    for number, one in enumerate(every):
        atoms, alphas = one.pose.GetConformer().GetPositions(), one.pocket.positions
        graph = bonded.batch([number])
        ligand.append(
            _within(atoms, graph.edge_index.numpy(), graph.edge_attr[:, 0].numpy(), config.ligand_cutoff)
        )
        key = alphas.tobytes()
        if key not in residues:
            residues[key] = _nearest(alphas, config.residue_neighbours, config.residue_cutoff)
        protein.append(residues[key])
        pairs = cKDTree(atoms).query_ball_tree(cKDTree(alphas), config.contact_cutoff)
        contact.append(
            np.array([(a, r) for a, near in enumerate(pairs) for r in sorted(near)], dtype=np.int32).T
        )
    # Around the ligand's middle: single precision then holds distances wherever the complex lies.
    middles = [one.pose.GetConformer().GetPositions().mean(0) for one in every]
    ligands = PackedGraphs(
        bonded.x.numpy(),
        np.concatenate([edges for edges, _ in ligand], axis=1),
        np.concatenate([order for _, order in ligand])[:, None],
        bonded.atoms.numpy(),
        np.array([edges.shape[1] for edges, _ in ligand]),
        np.concatenate(
            [one.pose.GetConformer().GetPositions() - m for one, m in zip(every, middles, strict=True)]
        ),
    )
    proteins = PackedGraphs(
        np.concatenate([one.pocket.residues for one in every])[:, None],
        np.concatenate(protein, axis=1),
        np.zeros((sum(edges.shape[1] for edges in protein), 1)),
        np.array([len(one.pocket.residues) for one in every]),
        np.array([edges.shape[1] for edges in protein]),
        np.concatenate([one.pocket.positions - m for one, m in zip(every, middles, strict=True)]),
    )
    counts = np.array([pairs.shape[1] for pairs in contact])
    rows = np.array([len(row) for row in posed])
    return PackedComplexes(ligands, rows, targets, proteins, np.concatenate(contact, axis=1), counts)


def _within(
    atoms: np.ndarray, bonds: np.ndarray, orders: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Directed pairs of atoms that are near or bonded, (2, pairs), and the order of their bond, 0 where there is none."""
    near = np.linalg.norm(atoms[:, None] - atoms[None], axis=2) <= cutoff
    order = np.zeros(near.shape, dtype=np.int8)
    order[bonds[0], bonds[1]] = orders
    near[bonds[0], bonds[1]] = True
    np.fill_diagonal(near, False)
    pairs = np.stack(np.nonzero(near))
    return pairs, order[pairs[0], pairs[1]]


def _nearest(alphas: np.ndarray, most: int, cutoff: float) -> np.ndarray:
    """Directed pairs: each residue hears its nearest neighbours, (2, pairs); row 0 sends."""
    if len(alphas) < 2:
        return np.zeros((2, 0), dtype=np.int64)
    # One more than asked for: the nearest of a residue is itself.
    distance, sender = cKDTree(alphas).query(alphas, k=min(most + 1, len(alphas)))
    receiver = np.repeat(np.arange(len(alphas)), sender.shape[1]).reshape(sender.shape)
    kept = (distance <= cutoff) & (sender != receiver)
    return np.stack([sender[kept], receiver[kept]])
