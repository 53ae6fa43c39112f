"""Instructions and graphs packed once, and dense batches of them by index arithmetic, with no loop over molecules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from nereus.models.molecules.utgdiff.graphs import AtomVocabulary, Graph


class Ragged:
    """Rows of different lengths.

    Parameters
    ----------
    rows
        Integers, or tuples of equal width.
    width
        Numbers of an entry.
    """

    def __init__(self, rows: Sequence[Sequence[object]] | Sequence[np.ndarray], width: int = 1) -> None:
        parts = [np.asarray(row, dtype=np.int32).reshape(-1, width) for row in rows]
        self.flat = np.concatenate([np.zeros((0, width), dtype=np.int32), *parts])
        self.sizes = np.array([len(part) for part in parts], dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])

    def __len__(self) -> int:
        return len(self.sizes)

    def entries(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Entries of `rows`: the number of the row among `rows`, the place in it, and the content (entries, width)."""
        sizes = self.sizes[rows]
        number = np.repeat(np.arange(len(rows)), sizes)
        place = np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return number, place, self.flat[self._starts[rows][number] + place]


class PackedMolecules:
    """Atoms and bonds of molecules, as classes of a vocabulary."""

    def __init__(self, graphs: Sequence[Graph], vocabulary: AtomVocabulary) -> None:
        classes = vocabulary.classes()
        self.vocabulary = vocabulary
        self.atoms = Ragged([[classes[atom] for atom in graph.atoms] for graph in graphs])
        self.bonds = Ragged([graph.bonds for graph in graphs], width=3)

    def dense(self, rows: np.ndarray, slots: int) -> tuple[np.ndarray, np.ndarray]:
        """Classes of slots (rows, slots), empty after the atoms, and of pairs (rows, slots, slots)."""
        atoms = np.full((len(rows), slots), self.vocabulary.empty, dtype=np.int64)
        number, place, content = self.atoms.entries(rows)
        atoms[number, place] = content[:, 0]
        edges = np.zeros((len(rows), slots, slots), dtype=np.int64)
        number, _, content = self.bonds.entries(rows)
        edges[number, content[:, 0], content[:, 1]] = content[:, 2]
        edges[number, content[:, 1], content[:, 0]] = content[:, 2]
        return atoms, edges


@dataclass
class Batch:
    """Instructions, and the molecules to make of them.

    Attributes
    ----------
    text
        Tokens, padded, (B, L).
    said
        Which of them are tokens, (B, L).
    source, source_edges
        Molecules to edit: slots (B, M) and pairs (B, M, M); M is 0 where none is edited.
    atoms, edges
        Clean slots (B, S) with the end after the atoms, and pairs (B, S, S).
    sizes
        Atoms of each, (B,).
    """

    text: Tensor
    said: Tensor
    source: Tensor
    source_edges: Tensor
    atoms: Tensor
    edges: Tensor
    sizes: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(*(getattr(self, one.name).to(device, non_blocking=True) for one in fields(self)))


class PackedExamples:
    """What is learned from, or asked.

    Parameters
    ----------
    texts
        Tokens of the instructions.
    pad, stop
        Tokens that fill up, and that end a text.
    sources
        Molecules to edit; of no atom where there is none.
    targets
        Molecules to make; of no atom when asked.
    slots
        Slots of a target, at least one more than its atoms.
    """

    def __init__(
        self,
        texts: Sequence[np.ndarray],
        pad: int,
        stop: int,
        sources: PackedMolecules,
        targets: PackedMolecules,
        slots: int,
    ) -> None:
        self.texts, self.pad, self.stop = Ragged(texts), pad, stop
        self.sources, self.targets, self.slots = sources, targets, slots

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of some rows."""
        length = int(self.texts.sizes[rows].max())
        text = np.full((len(rows), length), self.pad, dtype=np.int64)
        said = np.zeros((len(rows), length), dtype=bool)
        number, place, content = self.texts.entries(rows)
        text[number, place], said[number, place] = content[:, 0], True
        sizes = self.targets.atoms.sizes[rows]
        atoms, edges = self.targets.dense(rows, self.slots)
        atoms[np.arange(len(rows)), sizes] = self.targets.vocabulary.end
        source, source_edges = self.sources.dense(rows, int(self.sources.atoms.sizes[rows].max()))
        arrays = (text, said, source, source_edges, atoms, edges, sizes)
        return Batch(*map(torch.from_numpy, arrays))
