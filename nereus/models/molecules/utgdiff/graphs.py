"""Molecules as the diffusion sees them: one token an atom (element and charge), one class a pair, and back to SMILES.

Hydrogens are implicit and stereo is not kept. A nitrogen that bears a hydrogen in an aromatic ring is therefore drawn like one
that does not; `build` tries where the hydrogen goes, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from rdkit import Chem, rdBase

LEAST_CHARGE, MOST_CHARGE, ELEMENTS = -5, 8, 118
"""Bounds of the table of atoms: 118 elements with 14 charges."""
NO_BOND, MASKED_BOND, BOND_CLASSES = 0, 5, 6
_BONDS = {
    Chem.BondType.SINGLE: 1,
    Chem.BondType.DOUBLE: 2,
    Chem.BondType.TRIPLE: 3,
    Chem.BondType.AROMATIC: 4,
}
_KINDS = {number: kind for kind, number in _BONDS.items()}
END, EMPTY, MASK = "<gend>", "<pad>", "<mask>"


@dataclass(frozen=True)
class AtomVocabulary:
    """The atoms that can be drawn, and the classes of a slot: these, the end of the graph, emptiness after it, and the mask.

    Attributes
    ----------
    atoms
        Atomic number and formal charge of each, sorted.
    """

    atoms: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> AtomVocabulary:
        """The atoms of graphs."""
        return cls(tuple(sorted({atom for graph in graphs for atom in graph.atoms})))

    def __len__(self) -> int:
        """Number of classes."""
        return len(self.atoms) + 3

    @property
    def end(self) -> int:
        """Class of ``<gend>``, which follows the last atom."""
        return len(self.atoms)

    @property
    def empty(self) -> int:
        """Class of a slot after the end."""
        return len(self.atoms) + 1

    @property
    def mask(self) -> int:
        """Class of a slot that noise has hidden; the last."""
        return len(self.atoms) + 2

    def classes(self) -> dict[tuple[int, int], int]:
        """Atom to class."""
        return {atom: number for number, atom in enumerate(self.atoms)}

    def token(self, number: int) -> str:
        """A class as text: ``<C>``, ``<N+>``, ``<Fe+2>``, ``<gend>``."""
        if number >= len(self.atoms):
            return (END, EMPTY, MASK)[number - len(self.atoms)]
        element, charge = self.atoms[number]
        told = "" if not charge else f"{charge:+d}" if abs(charge) > 1 else "+" if charge > 0 else "-"
        return f"<{Chem.GetPeriodicTable().GetElementSymbol(element)}{told}>"


@dataclass(frozen=True)
class Graph:
    """A molecule.

    Attributes
    ----------
    atoms
        Atomic number and formal charge of each.
    bonds
        Begin, end and class of each, once.
    """

    atoms: tuple[tuple[int, int], ...]
    bonds: tuple[tuple[int, int, int], ...]


def graph_of(molecule: Chem.Mol) -> Graph | str:
    """The graph of a molecule, or why there is none."""
    atoms = tuple((atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in molecule.GetAtoms())
    for element, charge in atoms:
        if not 1 <= element <= ELEMENTS:
            return "an atom of no element"
        if not LEAST_CHARGE <= charge <= MOST_CHARGE:
            return f"an atom of charge {charge:+d}"
    kinds = [_BONDS.get(bond.GetBondType()) for bond in molecule.GetBonds()]
    bonds = []
    for bond, kind in zip(molecule.GetBonds(), kinds, strict=True):
        if kind is None:
            return f"a bond that is {bond.GetBondType().name.lower()}"
        bonds.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), kind))
    return Graph(atoms, tuple(bonds))


@dataclass(frozen=True)
class Generated:
    """What became of one generated graph.

    Attributes
    ----------
    smiles
        The molecule; None where the graph is none.
    reason
        Why it is none.
    note
        What was done unasked: a hydrogen set, parts left out, an instruction cut.
    mended
        Whether it is a molecule only since a hydrogen was set.
    graph
        The raw graph: tokens of the atoms, and the bonds as ``begin-end:class``.
    parts
        Parts of the drawn graph, of which `smiles` is the largest; 0 where it is none.
    """

    smiles: str | None
    reason: str = ""
    note: str = ""
    mended: bool = False
    graph: str = ""
    parts: int = 0


def build(slots: np.ndarray, edges: np.ndarray, vocabulary: AtomVocabulary, repairs: int = 5) -> Generated:
    """The molecule of a generated graph.

    Parameters
    ----------
    slots
        Classes of the slots, (S,); atoms are read up to the first that is none.
    edges
        Classes of the pairs, symmetric, (S, S).
    vocabulary
        The atoms.
    repairs
        Attempts to mend aromatic rings by a hydrogen on nitrogen.

    Returns
    -------
    Generated
        Of several parts the largest.
    """
    others = np.flatnonzero(slots >= len(vocabulary.atoms))
    size = int(others[0]) if len(others) else len(slots)
    pairs = [
        (int(i), int(j), int(edges[i, j]))
        for i, j in zip(*np.nonzero(np.triu(edges[:size, :size], 1)), strict=True)
    ]
    told = " ".join(vocabulary.token(int(one)) for one in slots[: size + 1])
    raw = "; ".join(filter(None, (told, " ".join(f"{i}-{j}:{kind}" for i, j, kind in pairs))))
    if size == len(slots) or slots[size] != vocabulary.end:
        return Generated(None, f"there is no {END} after the atoms", graph=raw)
    if size == 0:
        return Generated(None, "there is no atom", graph=raw)
    molecule = _drawn([vocabulary.atoms[one] for one in slots[:size]], pairs)
    with rdBase.BlockLogs():
        whole, problem = _sanitised(molecule)
        mended = False
        if whole is None:
            for nitrogens in _attempts(molecule, repairs):
                whole, _ = _sanitised(molecule, nitrogens)
                if whole is not None:
                    mended = True
                    break
        if whole is None:
            return Generated(None, problem, graph=raw)
        parts = Chem.GetMolFrags(whole, asMols=True)
        texts = [Chem.MolToSmiles(part) for part in parts]
    smiles = min(zip(parts, texts, strict=True), key=lambda one: (-one[0].GetNumAtoms(), one[1]))[1]
    notes = ["a hydrogen was set on an aromatic nitrogen"] if mended else []
    notes += [f"the largest of {len(parts)} parts"] if len(parts) > 1 else []
    return Generated(smiles, note="; ".join(notes), mended=mended, graph=raw, parts=len(parts))


def _drawn(atoms: Sequence[tuple[int, int]], bonds: Sequence[tuple[int, int, int]]) -> Chem.RWMol:
    molecule = Chem.RWMol()
    for element, charge in atoms:
        atom = Chem.Atom(element)
        atom.SetFormalCharge(charge)
        molecule.AddAtom(atom)
    for i, j, kind in bonds:
        molecule.AddBond(i, j, _KINDS[kind])
        if kind == _BONDS[Chem.BondType.AROMATIC]:
            molecule.GetBondBetweenAtoms(i, j).SetIsAromatic(True)
            molecule.GetAtomWithIdx(i).SetIsAromatic(True)
            molecule.GetAtomWithIdx(j).SetIsAromatic(True)
    return molecule


def _sanitised(molecule: Chem.RWMol, hydrogens: Sequence[int] = ()) -> tuple[Chem.Mol | None, str]:
    """The molecule as RDKit accepts it and reads it back from its SMILES, or why it does not."""
    copy = Chem.RWMol(molecule)
    for number in hydrogens:
        copy.GetAtomWithIdx(number).SetNumExplicitHs(1)
    try:
        Chem.SanitizeMol(copy)
    except (Chem.MolSanitizeException, ValueError) as error:
        return None, str(error).strip()
    again: Chem.Mol | None = Chem.MolFromSmiles(Chem.MolToSmiles(copy))
    return again, "" if again is not None else "its SMILES cannot be read back"


def _attempts(molecule: Chem.RWMol, most: int) -> Iterator[tuple[int, ...]]:
    """Sets of aromatic nitrogens with room for a hydrogen, single ones first."""
    room = [
        atom.GetIdx()
        for atom in molecule.GetAtoms()
        if atom.GetAtomicNum() == 7
        and atom.GetIsAromatic()
        and not atom.GetFormalCharge()
        and atom.GetDegree() == 2
    ]
    sets = (chosen for size in range(1, len(room) + 1) for chosen in combinations(room, size))
    return islice(sets, most)
