"""Molecules as trees of motifs, and the vocabulary of motifs.

Bonds are cut that retrosynthesis would break (BRICS), that join a ring with what is not in a ring (rule 1), and that join a
branching atom outside rings with its neighbours (rule 2). None of them lies in a ring, so what remains is a partition of the
atoms, and the cut bonds make it a tree. A molecule that is cut at one bond or none is decomposed into rings and bonds instead, as
in junction trees; these share atoms, and an atom is counted with the motif nearest to the root, so that motifs always are a
partition.

References
----------
Zhang et al., NeurIPS 2021, arXiv:2110.00987; Degen et al., ChemMedChem 2008, 3, 1503 (BRICS); Jin et al., ICML 2018,
arXiv:1802.04364 (junction trees).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import BRICS
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

Rules = Literal["both", "brics"]
UNKNOWN = 0
"""Class of motifs that the vocabulary does not hold."""
_MERGED_ABOVE = 2
"""Rings that share more atoms than this are one motif (bridged rings)."""


@dataclass(frozen=True)
class MotifTree:
    """A molecule's motifs, the root first, every parent before its children, siblings by canonical rank.

    Attributes
    ----------
    atoms
        Atoms of each motif, ascending; together each atom of the molecule once.
    smiles
        Each motif as canonical SMILES in Kekule form, without stereo marks.
    parents
        Number of each motif's parent; -1 for the root, which holds atom 0.
    """

    atoms: tuple[tuple[int, ...], ...]
    smiles: tuple[str, ...]
    parents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.atoms)


@dataclass(frozen=True)
class Vocabulary:
    """Motifs by class. Class 0 is every motif that is not listed.

    Attributes
    ----------
    motifs
        SMILES of classes 1, 2, ...
    """

    motifs: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.motifs) + 1

    @classmethod
    def of(cls, trees: Iterable[MotifTree], least: int = 1) -> Vocabulary:
        """Motifs that occur at least `least` times, the most frequent first."""
        counts = Counter(one for tree in trees for one in tree.smiles)
        kept = [(-count, one) for one, count in counts.items() if count >= least]
        return cls(tuple(one for _, one in sorted(kept)))

    def classes(self) -> dict[str, int]:
        """Motif to class."""
        return {one: number for number, one in enumerate(self.motifs, start=1)}


def motif_tree(molecule: Chem.Mol, rules: Rules = "both") -> MotifTree:
    """Cut a connected molecule into motifs.

    Parameters
    ----------
    molecule
        Read by RDKit, of one connected part; not changed.
    rules
        Cut at BRICS bonds and by both rules, or at BRICS bonds alone.
    """
    cuts = cut_bonds(molecule, rules)
    if len(cuts) <= 1:
        cliques, links = _rings_and_bonds(molecule)
    else:
        cliques, links = remainders(molecule, cuts)
    return _rooted(molecule, cliques, links)


def cut_bonds(molecule: Chem.Mol, rules: Rules = "both") -> set[tuple[int, int]]:
    """Bonds to cut, as pairs of atoms, the lower number first."""
    found = {(min(a, b), max(a, b)) for (a, b), _ in BRICS.FindBRICSBonds(molecule)}
    if rules == "brics":
        return found
    for bond in molecule.GetBonds():
        a, b = bond.GetBeginAtom(), bond.GetEndAtom()
        # Rule 2's branching atom is cut from all its neighbours, whatever they are.
        branching = any(one.GetDegree() >= 3 and not one.IsInRing() for one in (a, b))
        if a.IsInRing() != b.IsInRing() or branching:
            found.add((min(a.GetIdx(), b.GetIdx()), max(a.GetIdx(), b.GetIdx())))
    return found


_Links = list[tuple[int, int]]


def remainders(molecule: Chem.Mol, cuts: set[tuple[int, int]]) -> tuple[list[tuple[int, ...]], _Links]:
    """Connected parts that remain, and the pairs of them that a cut bond joined."""
    ends = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds())
    bonds = {(min(pair), max(pair)) for pair in ends} - cuts
    neighbours: dict[int, list[int]] = defaultdict(list)
    for a, b in bonds:
        neighbours[a].append(b)
        neighbours[b].append(a)
    part = [-1] * molecule.GetNumAtoms()
    parts: list[tuple[int, ...]] = []
    for first in range(len(part)):
        if part[first] >= 0:
            continue
        part[first], reached, waiting = len(parts), [first], [first]
        while waiting:
            for other in neighbours[waiting.pop()]:
                if part[other] < 0:
                    part[other] = len(parts)
                    reached.append(other)
                    waiting.append(other)
        parts.append(tuple(sorted(reached)))
    return parts, sorted((part[a], part[b]) for a, b in cuts)


def _rings_and_bonds(molecule: Chem.Mol) -> tuple[list[tuple[int, ...]], _Links]:
    """Rings (merged where bridged) and bonds outside rings, and a spanning tree over those that share most atoms."""
    rings: list[set[int]] = []
    for found in map(set, Chem.GetSymmSSSR(molecule)):
        ring = found
        while bridged := [one for one in rings if len(one & ring) > _MERGED_ABOVE]:
            rings = [one for one in rings if one not in bridged]
            ring = ring.union(*bridged)
        rings.append(ring)
    chains = [
        {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()} for bond in molecule.GetBonds() if not bond.IsInRing()
    ]
    cliques = sorted(tuple(sorted(one)) for one in rings + chains) or [(0,)]
    holders: dict[int, list[int]] = defaultdict(list)
    for number, clique in enumerate(cliques):
        for atom in clique:
            holders[atom].append(number)
    shared: Counter[tuple[int, int]] = Counter(
        (one, other) for held in holders.values() for i, one in enumerate(held) for other in held[i + 1 :]
    )
    if not shared:
        return cliques, []
    # The minimum spanning tree of falling weights is the maximum one of shared atoms; zero would be no edge.
    pairs = np.array(list(shared), dtype=np.int64)
    weights = 1.0 / np.array(list(shared.values()), dtype=np.float64)
    n = len(cliques)
    tree = minimum_spanning_tree(csr_matrix((weights, (pairs[:, 0], pairs[:, 1])), shape=(n, n))).tocoo()
    return cliques, sorted(zip(tree.row.tolist(), tree.col.tolist(), strict=True))


def _rooted(molecule: Chem.Mol, cliques: Sequence[tuple[int, ...]], links: _Links) -> MotifTree:
    """The tree from the motif with atom 0, depth first; shared atoms go to the motif nearest to the root."""
    ranks = list(Chem.CanonicalRankAtoms(molecule, breakTies=True))
    neighbours: dict[int, list[int]] = defaultdict(list)
    for a, b in links:
        neighbours[a].append(b)
        neighbours[b].append(a)
    root = next(number for number, clique in enumerate(cliques) if 0 in clique)
    parents, nearest = {root: -1}, [root]
    owner = dict.fromkeys(cliques[root], root)
    for clique in nearest:  # grows while it is read: breadth first
        for other in sorted(neighbours[clique], key=lambda one: sorted(ranks[atom] for atom in cliques[one])):
            if other not in parents:
                parents[other] = clique
                nearest.append(other)
                for atom in cliques[other]:
                    owner.setdefault(atom, other)
    own: dict[int, list[int]] = defaultdict(list)
    for atom, clique in sorted(owner.items()):
        own[clique].append(atom)
    children: dict[int, list[int]] = defaultdict(list)
    for clique in nearest[1:]:
        if clique not in own:  # a face of a cage whose atoms all are others': its children go to its parent
            continue
        above = parents[clique]
        while above not in own:
            above = parents[above]
        children[above].append(clique)
    order, waiting = [], [root]
    while waiting:
        order.append(waiting.pop())
        waiting.extend(reversed(children[order[-1]]))
    number = {clique: at for at, clique in enumerate(order)}
    above_of = {child: number[clique] for clique, below in children.items() for child in below}
    return MotifTree(
        tuple(tuple(own[clique]) for clique in order),
        identities(molecule, [cliques[clique] for clique in order]),
        tuple(above_of.get(clique, -1) for clique in order),
    )


def identities(
    molecule: Chem.Mol, cliques: Sequence[tuple[int, ...]], canonical: bool = True
) -> tuple[str, ...]:
    """Each motif as SMILES in Kekule form.

    The Kekule form of a fused ring depends on the molecule around it: the same ring then has several texts. With `canonical` a
    motif is read again by itself, and has one.
    """
    kekulised = Chem.Mol(molecule)
    Chem.Kekulize(kekulised, clearAromaticFlags=True)
    texts = (Chem.MolFragmentToSmiles(kekulised, clique, isomericSmiles=False) for clique in cliques)
    return tuple(map(_canonical, texts)) if canonical else tuple(texts)


@lru_cache(maxsize=100_000)
def _canonical(text: str) -> str:
    with rdBase.BlockLogs():
        motif: Chem.Mol | None = Chem.MolFromSmiles(text)
    if motif is None:  # a remainder that is no molecule by itself keeps its text
        return text
    ordered = Chem.RenumberAtoms(motif, np.argsort(Chem.CanonicalRankAtoms(motif)).tolist())
    Chem.Kekulize(ordered, clearAromaticFlags=True)
    return str(Chem.MolToSmiles(ordered, kekuleSmiles=True))
