"""Many trees of motifs in a few arrays, and batches of them with the order in which messages can be computed.

A message depends on messages of lower nodes or of nodes nearer to the root alone. All messages of one height (upwards) and of one
depth (downwards) are therefore computed at once, for all molecules of a batch: as many steps as the deepest tree has
levels, where walking each tree takes two for every motif.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nereus.models.molecules.mgssl.motifs import UNKNOWN, MotifTree, Vocabulary


@dataclass(frozen=True)
class TreeBatch:
    """Trees as one forest.

    Attributes
    ----------
    labels : Tensor
        Motif of each node, (nodes,).
    parents : Tensor
        Parent of each node, -1 for roots, (nodes,).
    motif : Tensor
        Node of each atom of the batch, (atoms,).
    alone : Tensor
        Whether a node is its whole tree, (nodes,).
    children : Tensor
        All nodes that have a parent, ascending, (children,).
    earlier, later : Tensor
        All pairs of siblings, the one that comes first in `earlier`, (pairs,).
    heights : tuple of Tensor
        Nodes by height above their deepest leaf, leaves first.
    below : tuple of Tensor
        For each height the children of its nodes.
    depths : tuple of Tensor
        Nodes by depth below the root, without roots.
    trees : int
        Number of trees.
    """

    labels: Tensor
    parents: Tensor
    motif: Tensor
    alone: Tensor
    children: Tensor
    earlier: Tensor
    later: Tensor
    heights: tuple[Tensor, ...]
    below: tuple[Tensor, ...]
    depths: tuple[Tensor, ...]
    trees: int

    def to(self, device: torch.device | str) -> TreeBatch:
        """The batch on another device."""
        moved: dict[str, Tensor | tuple[Tensor, ...]] = {}
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                moved[name] = value.to(device, non_blocking=True)
            elif isinstance(value, tuple):
                moved[name] = tuple(one.to(device, non_blocking=True) for one in value)
        return replace(self, **moved)  # type: ignore[arg-type]


class PackedTrees:
    """Trees end to end.

    Parameters
    ----------
    trees
        One a molecule.
    vocabulary
        Classes of motifs; others are of class 0.
    """

    def __init__(self, trees: Sequence[MotifTree], vocabulary: Vocabulary) -> None:
        classes = vocabulary.classes()
        labels: list[int] = []
        parents: list[int] = []
        depths: list[int] = []
        heights: list[int] = []
        motif: list[int] = []
        for tree in trees:
            depth, height = [0] * len(tree), [0] * len(tree)
            for node in range(1, len(tree)):  # every parent comes before its children
                depth[node] = depth[tree.parents[node]] + 1
            for node in range(len(tree) - 1, 0, -1):
                above = tree.parents[node]
                height[above] = max(height[above], height[node] + 1)
            owner = [0] * sum(map(len, tree.atoms))
            for node, atoms in enumerate(tree.atoms):
                for atom in atoms:
                    owner[atom] = node
            labels += [classes.get(one, UNKNOWN) for one in tree.smiles]
            parents += tree.parents
            depths += depth
            heights += height
            motif += owner
        self._nodes = np.array([len(tree) for tree in trees], dtype=np.int64)
        self._atoms = np.array([sum(map(len, tree.atoms)) for tree in trees], dtype=np.int64)
        self._node_start = np.cumsum(self._nodes) - self._nodes
        self._atom_start = np.cumsum(self._atoms) - self._atoms
        self._labels, self._parents = np.array(labels, dtype=np.int64), np.array(parents, dtype=np.int64)
        self._depths, self._heights = np.array(depths), np.array(heights)
        self._motif = np.array(motif, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def sizes(self) -> np.ndarray:
        """Number of motifs of each tree, (trees,)."""
        return self._nodes

    def batch(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> TreeBatch:
        """Some trees, in the order of `rows`; with `rng` siblings come in random order, else in that of the trees."""
        nodes, tree = _ranges(self._node_start[rows], self._nodes[rows])
        atoms, molecule = _ranges(self._atom_start[rows], self._atoms[rows])
        first = np.cumsum(self._nodes[rows]) - self._nodes[rows]
        local = self._parents[nodes]
        parents = np.where(local < 0, -1, local + first[tree])
        depths, heights = self._depths[nodes], self._heights[nodes]
        children = np.flatnonzero(parents >= 0)
        order = children if rng is None else rng.permutation(children)
        earlier, later = _sibling_pairs(order[np.argsort(parents[order], kind="stable")], parents)
        levels = range(int(heights.max(initial=0)) + 1)
        above = heights[parents[children]]
        return TreeBatch(
            labels=torch.as_tensor(self._labels[nodes]),
            parents=torch.as_tensor(parents),
            motif=torch.as_tensor(self._motif[atoms] + first[molecule]),
            alone=torch.as_tensor(self._nodes[rows][tree] == 1),
            children=torch.as_tensor(children),
            earlier=torch.as_tensor(earlier),
            later=torch.as_tensor(later),
            heights=tuple(torch.as_tensor(np.flatnonzero(heights == level)) for level in levels),
            below=tuple(torch.as_tensor(children[above == level]) for level in levels),
            depths=tuple(torch.as_tensor(np.flatnonzero(depths == level)) for level in levels[1:]),
            trees=len(rows),
        )


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers ``start .. start + length - 1`` of every range end to end, and the range of each."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(owner)) - (np.cumsum(lengths) - lengths)[owner]
    return starts[owner] + within, owner


def _sibling_pairs(ordered: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (earlier, later) of the children of one parent, given all children with those of a parent side by side."""
    of = parents[ordered]
    new = np.r_[True, of[1:] != of[:-1]] if len(of) else np.zeros(0, dtype=bool)
    starts = np.flatnonzero(new)
    rank = np.arange(len(of)) - starts[np.cumsum(new) - 1] if len(of) else np.zeros(0, dtype=np.int64)
    before, later = _ranges(np.arange(len(of)) - rank, rank)
    return ordered[before], ordered[later]
