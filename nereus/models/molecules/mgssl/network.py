"""MGSSL's network: one encoder, what is asked of it without labels, and the classifier of fine-tuning."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from nereus.models.molecules.graphs.encoder import GraphEncoder, mean_pool
from nereus.models.molecules.graphs.features import TYPED
from nereus.models.molecules.graphs.packed import GraphBatch
from nereus.models.molecules.mgssl.config import MGSSLConfig
from nereus.models.molecules.mgssl.generation import Grown, MotifGenerator
from nereus.models.molecules.mgssl.trees import TreeBatch

HIDDEN = 0
"""Class of hidden atoms and bonds: that of "anything else", so that the encoder's shapes are those of every other method."""


class MGSSLNetwork(nn.Module):
    """Encoder, generator of motifs, heads for hidden atoms and bonds, and a classifier once there are labels.

    Parameters
    ----------
    config
        Sizes.
    classes
        Motifs of the vocabulary, with the unknown one.
    tasks
        Targets of the classifier; 0 for none.
    """

    def __init__(self, config: MGSSLConfig, classes: int, tasks: int = 0) -> None:
        super().__init__()
        self.encoder = GraphEncoder(TYPED, config.width, config.layers, config.dropout)
        self.generator = MotifGenerator(config.width, classes, config.order)
        self.atom = nn.Linear(config.width, TYPED.atom_classes[0])
        self.bond = nn.Linear(config.width, TYPED.bond_classes[0])
        self.classifier = nn.Linear(config.width, tasks) if tasks else None

    def hot(self) -> list[nn.Module]:
        """What `torch.compile` is worth for: the encoder; trees are walked level by level."""
        return [self.encoder]

    def grow(self, graph: GraphBatch, tree: TreeBatch) -> Grown:
        """What the generator answers; a motif's vector is the sum of its atoms' vectors."""
        atoms = self.encoder(graph)[-1]
        motifs = atoms.new_zeros(len(tree.labels), atoms.shape[1]).index_add(0, tree.motif, atoms)
        return cast(Grown, self.generator(motifs, tree))

    def hidden_losses(self, graph: GraphBatch, share: float) -> dict[str, Tensor]:
        """Hide atoms and bonds, and ask for elements and bond orders; mean cross-entropies ``atom`` and ``bond``.

        A bond is hidden in both directions and told from the sum of its ends. Molecules without bonds give no ``bond``.
        """
        hidden, atoms, bonds = hide(graph, share)
        h = self.encoder(hidden)[-1]
        losses = {"atom": nn.functional.cross_entropy(self.atom(h[atoms]), graph.x[atoms, 0])}
        if len(bonds):
            ends = h[graph.edge_index[0, 2 * bonds]] + h[graph.edge_index[1, 2 * bonds]]
            losses["bond"] = nn.functional.cross_entropy(self.bond(ends), graph.edge_attr[2 * bonds, 0])
        return losses

    def vectors(self, graph: GraphBatch) -> Tensor:
        """Mean of the atoms' vectors of each molecule, (molecules, width)."""
        return mean_pool(self.encoder(graph)[-1], graph)

    def logits(self, graph: GraphBatch) -> Tensor:
        """Logits of being 1, (molecules, tasks)."""
        assert self.classifier is not None
        return cast(Tensor, self.classifier(self.vectors(graph)))


def hide(graph: GraphBatch, share: float) -> tuple[GraphBatch, Tensor, Tensor]:
    """A batch with a share of its atoms and bonds hidden, at least one of each, and the numbers of these atoms and bonds.

    Bond ``b`` is the directed bonds ``2 b`` and ``2 b + 1``.
    """
    device = graph.x.device
    n, m = len(graph.x), graph.edge_attr.shape[0] // 2
    atoms = torch.randperm(n, device=device)[: max(1, round(share * n))]
    bonds = torch.randperm(m, device=device)[: max(1, round(share * m))]
    x = graph.x.index_fill(0, atoms, HIDDEN)
    edge_attr = graph.edge_attr.index_fill(0, torch.cat([2 * bonds, 2 * bonds + 1]), HIDDEN)
    return (
        GraphBatch(x, graph.edge_index, edge_attr, graph.batch, graph.graphs, graph.positions),
        atoms,
        bonds,
    )
