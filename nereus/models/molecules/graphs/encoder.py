"""The graph isomorphism network over atoms and bonds that several methods share.

Layer: ``h_v <- MLP(h_v + sum over neighbours u of (h_u + e_uv))``, with every atom its own neighbour over a bond type of its own.

References
----------
Xu et al., ICLR 2019 (GIN); Hu et al., ICLR 2020 (bonds and self-loops, the form that pre-training papers use).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from nereus.models.molecules.graphs.features import FeatureSet
from nereus.models.molecules.graphs.packed import GraphBatch


class BondConvolution(nn.Module):
    """One layer: sums neighbours and bonds, then a two-layer perceptron ``width -> 2 width -> width``.

    Bonds are summed as counts of their classes times the table of vectors, which is the same sum without a vector for every
    bond: half of the time of a layer. (torch-geometric's layers hold one.)

    Parameters
    ----------
    width
        Width of atoms.
    bond_classes
        Number of classes of each bond feature.
    """

    def __init__(self, width: int, bond_classes: tuple[int, ...]) -> None:
        super().__init__()
        # One row more: the bond of an atom with itself.
        self.bonds = nn.ModuleList(nn.Embedding(classes + 1, width) for classes in bond_classes)
        self.perceptron = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        for table in self.bonds:
            nn.init.xavier_uniform_(cast(nn.Embedding, table).weight)

    def forward(self, h: Tensor, graph: GraphBatch, bonds: Tensor) -> Tensor:
        """(atoms, width) to (atoms, width); `bonds` as `bond_counts` gives them."""
        sends, receives = graph.edge_index
        tables = torch.cat([cast(nn.Embedding, table).weight for table in self.bonds])
        summed = torch.addmm(h, bonds.to(h.dtype), tables.to(h.dtype))
        # Under autocast the product is in half the precision of its terms.
        heard = h[sends].to(summed.dtype)
        return cast(Tensor, self.perceptron(summed.index_add(0, receives, heard)))


def bond_counts(graph: GraphBatch, bond_classes: tuple[int, ...]) -> Tensor:
    """How many bonds of each class every atom has, feature after feature, (atoms, sum of classes + 1 each), float32.

    The last class of every feature is the atom's bond with itself, which it has once.
    """
    atoms, parts = len(graph.x), []
    for feature, classes in enumerate(bond_classes):
        place = graph.edge_index[1] * classes + graph.edge_attr[:, feature]
        parts.append(torch.bincount(place, minlength=atoms * classes).view(atoms, classes).float())
        parts.append(torch.ones(atoms, 1, device=place.device))
    return torch.cat(parts, dim=1)


class GraphEncoder(nn.Module):
    """Several layers, with the atoms' vectors after each.

    Parameters
    ----------
    features
        What is told of atoms and bonds.
    width
        Width of atoms.
    layers
        Number of layers.
    dropout
        Share of entries that are dropped after each layer.
    """

    def __init__(self, features: FeatureSet, width: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width, self.bond_classes = width, features.bond_classes
        self.atoms = nn.ModuleList(nn.Embedding(classes, width) for classes in features.atom_classes)
        self.convolutions = nn.ModuleList(
            BondConvolution(width, features.bond_classes) for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        for table in self.atoms:
            nn.init.xavier_uniform_(cast(nn.Embedding, table).weight)

    def forward(self, graph: GraphBatch) -> list[Tensor]:
        """Vectors of atoms after every layer, each (atoms, width)."""
        h = torch.stack([table(column) for table, column in zip(self.atoms, graph.x.T, strict=True)]).sum(0)
        bonds, found = bond_counts(graph, self.bond_classes), []
        for number, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True), start=1
        ):
            h = norm(convolution(h, graph, bonds))
            h = self.dropout(h if number == len(self.norms) else torch.relu(h))
            found.append(h)
        return found


def mean_pool(h: Tensor, graph: GraphBatch) -> Tensor:
    """Mean over the atoms of each graph, (atoms, width) to (graphs, width)."""
    return sum_pool(h, graph) / graph.sizes().clamp(min=1).unsqueeze(1)


def sum_pool(h: Tensor, graph: GraphBatch) -> Tensor:
    """Sum over the atoms of each graph, (atoms, width) to (graphs, width)."""
    return torch.zeros(graph.graphs, h.shape[1], dtype=h.dtype, device=h.device).index_add(0, graph.batch, h)
