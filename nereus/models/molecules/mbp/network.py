"""MBP's network: ligand and protein by themselves, their contacts, and a head for each type of affinity.

Everything is read from distances, so that turning or shifting a complex changes nothing; points that move (``egnn``) move along
differences of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, GINEConv
from torch_geometric.nn.models.attentive_fp import GATEConv
from torch_geometric.utils import scatter

from nereus.models.molecules.graphs.packed import GraphBatch
from nereus.models.molecules.mbp.complexes import ComplexBatch, Variant
from nereus.models.molecules.mbp.config import MBPConfig
from nereus.models.molecules.mbp.features import (
    AMINO_ACIDS,
    BOUND,
    GAUSSIANS,
    LETTERS,
    gaussians,
)
from nereus.models.molecules.mbp.measurements import head_names

SEQUENCE_PAD = len(LETTERS) + 1
"""Class of what is behind a sequence's end."""


def distances(positions: Tensor, pairs: Tensor, others: Tensor | None = None) -> Tensor:
    """Distance of each pair, (pairs,); its second ends among `others` where these are given."""
    difference = positions[pairs[0]] - (positions if others is None else others)[pairs[1]]
    return difference.square().sum(1).clamp(min=1e-8).sqrt()


def together(*letters: Tensor) -> list[Tensor]:
    """Sequences as classes of letters, padded to one length."""
    longest = max(one.shape[1] for one in letters)
    return [nn.functional.pad(one, (0, longest - one.shape[1]), value=SEQUENCE_PAD) for one in letters]


class EquivariantConvolution(nn.Module):
    """A layer that also moves points, along the differences to their neighbours.

    Parameters
    ----------
    width
        Width of nodes.
    edge_width
        Width of edges.

    References
    ----------
    Satorras, Hoogeboom & Welling, ICML 2021, arXiv:2102.09844 (equations 3 to 6).
    """

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.message = nn.Sequential(
            nn.Linear(2 * width + edge_width + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.move = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1), nn.Tanh())
        self.update = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, h: Tensor, positions: Tensor, edges: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes (n, width) and positions (n, 3) after the layer."""
        sender, receiver = edges
        difference = positions.index_select(0, receiver) - positions.index_select(0, sender)
        square = difference.square().sum(1, keepdim=True)
        message = self.message(
            torch.cat([h.index_select(0, receiver), h.index_select(0, sender), square / 100.0, told], dim=1)
        )
        step = difference / (square.clamp(min=1e-8).sqrt() + 1) * self.move(message)
        moved = positions + scatter(step, receiver, dim=0, dim_size=len(h), reduce="mean")
        heard = scatter(message, receiver, dim=0, dim_size=len(h), reduce="sum")
        return h + self.update(torch.cat([h, heard], dim=1)), moved


class GraphNetwork(nn.Module):
    """Layers over one graph; the outputs of all are summed.

    ``attentivefp``: a context layer (attention told of edges, then a GRU), then layers of attention and GRU with batch norm
    (Xiong et al., J. Med. Chem. 2020, 63, 8749). The others are layers of their names with residual batch norm.

    Parameters
    ----------
    kind
        See `MBPConfig.encoder`.
    width, edge_width
        Widths of nodes and edges.
    layers
        Number of layers.
    """

    def __init__(self, kind: str, width: int, edge_width: int, layers: int) -> None:
        super().__init__()
        self.kind = kind
        self.layers = nn.ModuleList(self._layer(number, width, edge_width) for number in range(layers))
        recurrent = layers if kind == "attentivefp" else 0
        self.memories = nn.ModuleList(nn.GRUCell(width, width) for _ in range(recurrent))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(layers))

    def _layer(self, number: int, width: int, edge_width: int) -> nn.Module:
        if self.kind == "attentivefp":
            layer = (
                GATEConv(width, width, edge_width)
                if number == 0
                else GATConv(width, width, add_self_loops=False, negative_slope=0.01)
            )
        elif self.kind == "gat":
            layer = GATConv(width, width, edge_dim=edge_width)
        elif self.kind == "gcn":
            layer = GCNConv(width, width)
        elif self.kind == "gin":
            perceptron = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            layer = GINEConv(perceptron, edge_dim=edge_width)
        else:
            layer = EquivariantConvolution(width, edge_width)
        return cast(nn.Module, layer)

    def forward(self, h: Tensor, edges: Tensor, told: Tensor, positions: Tensor | None) -> Tensor:
        """(nodes, width) of nodes and (edges, edge_width) of edges to (nodes, width)."""
        total = torch.zeros_like(h)
        place = torch.zeros(len(h), 3, device=h.device) if positions is None else positions
        for number, layer in enumerate(self.layers):
            if self.kind == "egnn":
                h, place = layer(h, place, edges, told)
            elif self.kind == "attentivefp":
                heard = nn.functional.elu(layer(h, edges, told) if number == 0 else layer(h, edges))
                h = torch.relu(self.memories[number](heard, h))
                h = self.norms[number](h) if number else h
            else:
                heard = layer(h, edges) if self.kind == "gcn" else layer(h, edges, told)
                h = h + torch.relu(self.norms[number](heard))
            total = total + h
        return total


class ProteinWithoutStructure(nn.Module):
    """One vector a protein: of its sequence by dilated convolutions, or of its name, learned.

    Parameters
    ----------
    width
        Width of the vector.
    names
        Number of names; name 0 is any other.
    """

    def __init__(self, width: int, names: int) -> None:
        super().__init__()
        self.names = nn.Embedding(names, width)
        self.letter = nn.Embedding(SEQUENCE_PAD + 1, width, padding_idx=SEQUENCE_PAD)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation) for dilation in (1, 2, 4)
        )
        self.out = nn.Linear(width, width)

    def sequences(self, letters: Tensor) -> Tensor:
        """(proteins, length) of classes of letters to (proteins, width)."""
        inside = (letters != SEQUENCE_PAD).unsqueeze(1)
        h = self.letter(letters).transpose(1, 2)
        for convolution in self.convolutions:
            h = (h + torch.relu(convolution(h))) * inside
        return cast(Tensor, self.out(h.masked_fill(~inside, -torch.inf).amax(2)))


class Head(nn.Module):
    """One type of affinity: a readout of contacts, the affinity, and the relation of two ligands.

    Parameters
    ----------
    width
        Width of contacts.
    dropout
        Share of entries that are dropped.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 1)
        self.affinity = nn.Sequential(
            nn.Linear(2 * width, width),
            nn.LeakyReLU(),
            nn.Dropout(dropout),
            nn.BatchNorm1d(width),
            nn.Linear(width, 1),
        )
        # Sums over a thousand contacts are large: without batch norm the first steps of comparing would be wild.
        self.relation = nn.Sequential(
            nn.Linear(4 * width, 2 * width), nn.LeakyReLU(), nn.Dropout(dropout), nn.BatchNorm1d(2 * width),
            nn.Linear(2 * width, width), nn.LeakyReLU(), nn.Dropout(dropout), nn.BatchNorm1d(width),
            nn.Linear(width, 2),
        )  # fmt: skip

    def read(self, contacts: Tensor, owner: Tensor, size: int) -> Tensor:
        """Sum of gated contacts beside their element-wise maximum, (contacts, width) to (complexes, 2 width)."""
        gated = torch.tanh(self.gate(contacts)) * contacts
        parts = [
            scatter(gated, owner, dim=0, dim_size=size, reduce="sum"),
            scatter(contacts, owner, dim=0, dim_size=size, reduce="max"),
        ]
        return torch.cat(parts, dim=1)

    def value(self, z: Tensor) -> Tensor:
        """Affinities, centred, (complexes,)."""
        return cast(Tensor, self.affinity(z)).squeeze(1)

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits of "the first binds better" and "it does not", (pairs, 2)."""
        return cast(Tensor, self.relation(torch.cat([first, second], dim=1)))


class MBPNetwork(nn.Module):
    """Encoder of contacts that all types share, and their heads.

    Parameters
    ----------
    config
        Sizes.
    variant
        With or without poses.
    proteins
        Classes of letters of the known sequences, (proteins, length): of a protein without one, padding alone. The first stands
        for any other. Read without poses.
    """

    letters: Tensor

    def __init__(self, config: MBPConfig, variant: Variant, proteins: Tensor) -> None:
        super().__init__()
        width = config.width
        self.config, self.variant = config, variant
        self.atoms = nn.ModuleList(nn.Embedding(classes, width) for classes in BOUND.atom_classes)
        self.bonds = nn.Embedding(BOUND.bond_classes[0], GAUSSIANS)
        posed = variant == "structure"
        self.ligand = GraphNetwork(config.encoder, width, GAUSSIANS * (2 if posed else 1), config.layers)
        if posed:
            self.residues = nn.Embedding(1 + len(AMINO_ACIDS), width)
            self.protein = GraphNetwork(config.encoder, width, GAUSSIANS, config.layers)
        else:
            self.target = ProteinWithoutStructure(width, len(proteins))
        self.register_buffer("letters", proteins)
        self.contact = nn.Sequential(
            nn.Linear(2 * width + (GAUSSIANS if posed else 0), width), nn.LeakyReLU(),
            nn.Linear(width, width), nn.LeakyReLU(),
            nn.Linear(width, width), nn.LeakyReLU(),
            nn.Dropout(config.dropout), nn.BatchNorm1d(width),
        )  # fmt: skip
        self.heads = nn.ModuleDict({name: Head(width, config.dropout) for name in head_names(config.heads)})

    def hot(self) -> list[nn.Module]:
        """What `torch.compile` is worth for: the networks within ligand and protein, and that of contacts."""
        return [self.ligand, *([self.protein] if self.variant == "structure" else []), self.contact]

    @torch.no_grad()
    def let_stand_for_others(self, named: Sequence[int]) -> None:
        """Set the vector of any other protein to the mean of those that were learned.

        Parameters
        ----------
        named
            Numbers of the proteins that are known by name, from one. Without any, or with poses, nothing changes.
        """
        if self.variant == "pose-free" and len(named):
            table = self.target.names.weight
            table[0] = table[torch.as_tensor(list(named), device=table.device)].mean(0)

    def contacts(self, batch: ComplexBatch, extra: Tensor | None = None) -> Tensor:
        """Vectors of all contacts, (contacts, width).

        Parameters
        ----------
        batch
            Complexes.
        extra
            Classes of letters of proteins that the network does not keep, (proteins, length): ``targets`` beyond those it keeps.
        """
        # `index_select` throughout: the gradient of indexing by a tensor is summed in any order.
        atom, other = batch.contacts
        atoms = self._atoms(batch.ligand).index_select(0, atom)
        if batch.protein is None:
            return cast(
                Tensor,
                self.contact(torch.cat([atoms, self._targets(batch, extra).index_select(0, other)], 1)),
            )
        protein = batch.protein
        assert protein.positions is not None
        assert batch.ligand.positions is not None
        told = gaussians(distances(protein.positions, protein.edge_index))
        residues = self.protein(self.residues(protein.x[:, 0]), protein.edge_index, told, protein.positions)
        apart = gaussians(distances(batch.ligand.positions, batch.contacts, protein.positions))
        return cast(Tensor, self.contact(torch.cat([apart, atoms, residues.index_select(0, other)], dim=1)))

    def _atoms(self, ligand: GraphBatch) -> Tensor:
        h = torch.stack([table(x) for table, x in zip(self.atoms, ligand.x.T, strict=True)]).sum(0)
        told = self.bonds(ligand.edge_attr[:, 0])
        if ligand.positions is not None:
            told = torch.cat([told, gaussians(distances(ligand.positions, ligand.edge_index))], dim=1)
        return cast(Tensor, self.ligand(h, ligand.edge_index, told, ligand.positions))

    def _targets(self, batch: ComplexBatch, extra: Tensor | None) -> Tensor:
        """A vector of each complex's protein: each distinct one is read once."""
        distinct, place = torch.unique(batch.targets, return_inverse=True)
        letters = self.letters if extra is None else torch.cat(together(self.letters, extra))
        chosen = letters[distinct]
        written = (chosen != SEQUENCE_PAD).any(1)
        named = torch.where(distinct < len(self.letters), distinct, 0)
        vectors = self.target.names(named)
        if bool(written.any()):
            vectors = vectors.clone()
            vectors[written] = self.target.sequences(chosen[written]).to(vectors.dtype)
        return cast(Tensor, vectors.index_select(0, place))

    def readouts(self, batch: ComplexBatch, extra: Tensor | None = None) -> dict[str, Tensor]:
        """What each head reads of the complexes, (complexes, 2 width) by name."""
        contacts = self.contacts(batch, extra)
        return {
            name: cast(Head, head).read(contacts, batch.owner, batch.size)
            for name, head in self.heads.items()
        }
