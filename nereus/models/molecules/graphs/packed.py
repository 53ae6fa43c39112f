"""Many graphs in a few arrays. Batches are cut out by index arithmetic, with no Python loop over molecules.

`torch_geometric.data.Batch` joins graphs one by one, which costs more than a small network's forward pass; here a
batch of any size is six gathers. Networks read a batch through the names that torch-geometric's layers take: ``x``,
``edge_index``, ``edge_attr``, ``batch``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class GraphBatch:
    """Graphs as one graph of several components.

    Attributes
    ----------
    x : Tensor
        Classes of atoms, (atoms, atom features), int64.
    edge_index : Tensor
        Bonds in both directions, (2, 2 bonds), int64: row 0 sends, row 1 receives.
    edge_attr : Tensor
        Classes of bonds, (2 bonds, bond features), int64.
    batch : Tensor
        Graph of each atom, (atoms,), ascending.
    graphs : int
        Number of graphs.
    positions : Tensor or None
        Coordinates in Angstrom, (atoms, 3), float32.
    """

    x: Tensor
    edge_index: Tensor
    edge_attr: Tensor
    batch: Tensor
    graphs: int
    positions: Tensor | None = None

    def to(self, device: torch.device | str) -> GraphBatch:
        """The batch on another device."""
        return GraphBatch(
            self.x.to(device, non_blocking=True),
            self.edge_index.to(device, non_blocking=True),
            self.edge_attr.to(device, non_blocking=True),
            self.batch.to(device, non_blocking=True),
            self.graphs,
            None if self.positions is None else self.positions.to(device, non_blocking=True),
        )

    def sizes(self) -> Tensor:
        """Number of atoms of each graph, (graphs,)."""
        return torch.bincount(self.batch, minlength=self.graphs)


class PackedGraphs:
    """Graphs end to end.

    Parameters
    ----------
    x
        Classes of all atoms, (atoms, features), integer.
    edge_index
        Directed bonds by number of the atom within its graph, (2, edges), integer.
    edge_attr
        Classes of all directed bonds, (edges, features), integer.
    atoms, edges
        Number of atoms and of directed bonds of each graph, (graphs,).
    positions
        Coordinates of all atoms, (atoms, 3), Angstrom.
    """

    def __init__(
        self,
        x: np.ndarray,
        edge_index: np.ndarray,
        edge_attr: np.ndarray,
        atoms: np.ndarray,
        edges: np.ndarray,
        positions: np.ndarray | None = None,
    ) -> None:
        self.x = torch.as_tensor(x, dtype=torch.int16)
        self.edge_index = torch.as_tensor(edge_index, dtype=torch.int32)
        self.edge_attr = torch.as_tensor(edge_attr, dtype=torch.int8)
        self.atoms = torch.as_tensor(atoms, dtype=torch.int64)
        self.edges = torch.as_tensor(edges, dtype=torch.int64)
        self.positions = None if positions is None else torch.as_tensor(positions, dtype=torch.float32)
        self._atom_start = torch.cumsum(self.atoms, 0) - self.atoms
        self._edge_start = torch.cumsum(self.edges, 0) - self.edges

    def __len__(self) -> int:
        return len(self.atoms)

    def __getitem__(self, rows: Sequence[int] | np.ndarray | Tensor) -> GraphBatch:
        return self.batch(rows)

    def batch(
        self, rows: Sequence[int] | np.ndarray | Tensor, device: torch.device | str = "cpu"
    ) -> GraphBatch:
        """Some graphs, in the order of `rows`, as one."""
        chosen = torch.as_tensor(rows, dtype=torch.int64)
        atoms, edges = self.atoms[chosen], self.edges[chosen]
        atom_rows, graph = ranges(self._atom_start[chosen], atoms)
        edge_rows, edge_graph = ranges(self._edge_start[chosen], edges)
        first_atom = torch.cumsum(atoms, 0) - atoms
        return GraphBatch(
            x=self.x[atom_rows].long(),
            edge_index=self.edge_index[:, edge_rows].long() + first_atom[edge_graph],
            edge_attr=self.edge_attr[edge_rows].long(),
            batch=graph,
            graphs=len(chosen),
            positions=None if self.positions is None else self.positions[atom_rows],
        ).to(device)

    def take(self, rows: Sequence[int] | np.ndarray | Tensor) -> PackedGraphs:
        """Some graphs, in the order of `rows`."""
        chosen = torch.as_tensor(rows, dtype=torch.int64)
        atom_rows, _ = ranges(self._atom_start[chosen], self.atoms[chosen])
        edge_rows, _ = ranges(self._edge_start[chosen], self.edges[chosen])
        return PackedGraphs(
            self.x[atom_rows].numpy(),
            self.edge_index[:, edge_rows].numpy(),
            self.edge_attr[edge_rows].numpy(),
            self.atoms[chosen].numpy(),
            self.edges[chosen].numpy(),
            None if self.positions is None else self.positions[atom_rows].numpy(),
        )


def ranges(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers ``start .. start + length - 1`` of every range end to end, and the range of each."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    within = torch.arange(len(owner)) - (torch.cumsum(lengths, 0) - lengths)[owner]
    return starts[owner] + within, owner
