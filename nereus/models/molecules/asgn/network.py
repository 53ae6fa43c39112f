"""ASGN's network: a continuous-filter network over the distances of atoms, and what is asked of it.

References
----------
Schuett et al., NeurIPS 2017 (SchNet, whose layers are torch-geometric's).
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn.models.schnet import CFConv, GaussianSmearing, ShiftedSoftplus

from nereus.models.molecules.asgn.config import ASGNConfig
from nereus.models.molecules.asgn.pairs import Pairs, pairs_of
from nereus.models.molecules.graphs.encoder import mean_pool, sum_pool
from nereus.models.molecules.graphs.features import ELEMENTS
from nereus.models.molecules.graphs.packed import GraphBatch


class Interaction(nn.Module):
    """What all atoms of a molecule tell each atom: a convolution whose filter is made of distances, then a linear layer.

    Parameters
    ----------
    width
        Width of atoms and filters.
    centres
        Width of the radial basis.
    reach
        Angstrom at which an atom's word fades to nothing.
    """

    def __init__(self, width: int, centres: int, reach: float) -> None:
        super().__init__()
        filters = nn.Sequential(nn.Linear(centres, width), ShiftedSoftplus(), nn.Linear(width, width))
        self.convolution = CFConv(width, width, width, filters, reach)
        self.act = ShiftedSoftplus()
        self.linear = nn.Linear(width, width)

    def forward(self, z: Tensor, pairs: Pairs, basis: Tensor) -> Tensor:
        """(atoms, width) to (atoms, width); `basis` is (pairs / 2, centres), of the first half of the pairs.

        A filter is made once for both directions of a pair: filters cost more than all else.
        """
        convolution = self.convolution
        distance = pairs.distance[: len(basis)]
        fade = 0.5 * (torch.cos(distance * (math.pi / convolution.cutoff)) + 1)
        filters = convolution.nn(basis) * fade[:, None]
        told = convolution.propagate(pairs.index, x=convolution.lin1(z), W=torch.cat([filters, filters]))
        return cast(Tensor, self.linear(self.act(convolution.lin2(told))))


class Backbone(nn.Module):
    """Molecules to vectors, and vectors to properties: teacher and student are one each.

    Parameters
    ----------
    config
        Sizes.
    targets
        Number of properties; at least one column is kept where there is none, so that weights have one shape.
    """

    def __init__(self, config: ASGNConfig, targets: int) -> None:
        super().__init__()
        self.reach, self.readout, self.targets = config.reach, config.readout, max(1, targets)
        centres = max(2, round(config.reach / config.gap) + 1)
        self.elements = nn.Embedding(ELEMENTS, config.width)
        self.basis = GaussianSmearing(0.0, config.reach, centres)
        # exp(-d^2 / gap): wider than torch-geometric's, as the authors have it.
        self.basis.coeff = -1.0 / config.gap
        self.interactions = nn.ModuleList(
            Interaction(config.width, centres, config.reach) for _ in range(config.layers)
        )
        self.property = nn.Sequential(
            nn.Linear(config.width, config.width),
            ShiftedSoftplus(),
            nn.Linear(config.width, self.targets),
        )

    def forward(self, graph: GraphBatch) -> tuple[Tensor, Pairs]:
        """Vectors of atoms, (atoms, width), and the pairs that they were made over."""
        pairs = pairs_of(graph, self.reach)
        basis = self.basis(pairs.distance[: len(pairs.distance) // 2])
        z = self.elements(graph.x[:, 0])
        for interaction in self.interactions:
            z = z + interaction(z, pairs, basis)
        return z, pairs

    def hot(self) -> list[nn.Module]:
        """What `torch.compile` is worth for: the layers. How many pairs there are is told by the batch."""
        return list(self.interactions)

    def pool(self, z: Tensor, graph: GraphBatch) -> Tensor:
        """Vectors of molecules, (molecules, width)."""
        return mean_pool(z, graph) if self.readout == "mean" else sum_pool(z, graph)

    def vectors(self, graph: GraphBatch) -> Tensor:
        """Vectors of molecules, (molecules, width)."""
        return self.pool(self(graph)[0], graph)

    def properties(self, graph: GraphBatch) -> Tensor:
        """Properties in standard units, (molecules, targets)."""
        return cast(Tensor, self.property(self.vectors(graph)))

    @torch.no_grad()
    def change_units(self, factor: np.ndarray, shift: np.ndarray) -> None:
        """Say ``factor * property + shift`` from now on, both (targets,)."""
        last = cast(nn.Linear, self.property[-1])
        times, plus = (torch.as_tensor(one).to(last.bias) for one in (factor, shift))
        last.weight.mul_(times[:, None])
        last.bias.mul_(times).add_(plus)


class Teacher(nn.Module):
    """A backbone with heads for what is asked without labels.

    Parameters
    ----------
    config
        Sizes.
    targets
        Number of properties.
    clusters
        Number of clusters.
    """

    def __init__(self, config: ASGNConfig, targets: int, clusters: int) -> None:
        super().__init__()
        self.backbone = Backbone(config, targets)
        self.atom = nn.Linear(config.width, ELEMENTS)
        self.distance = nn.Sequential(
            nn.Linear(2 * config.width, config.width),
            ShiftedSoftplus(),
            nn.Linear(config.width, config.distance_bins),
        )
        self.cluster = nn.Linear(config.width, clusters)
        self.bins, self.pair_share = config.distance_bins, config.pair_share

    def reconstruction(self, z: Tensor, pairs: Pairs, graph: GraphBatch) -> dict[str, Tensor]:
        """Mean cross-entropies: ``atom``, elements told from atoms; ``distance``, bins of distance told from pairs of atoms.

        A share of the pairs is drawn; where all molecules are single atoms there is no ``distance``.
        """
        losses = {"atom": nn.functional.cross_entropy(self.atom(z), graph.x[:, 0])}
        if n := len(pairs.distance):
            drawn = torch.randperm(n, device=z.device)[: max(1, round(self.pair_share * n))]
            ends = torch.cat([z[pairs.index[0, drawn]], z[pairs.index[1, drawn]]], 1)
            bins = (pairs.distance[drawn] / self.backbone.reach * self.bins).long().clamp(max=self.bins - 1)
            losses["distance"] = nn.functional.cross_entropy(self.distance(ends), bins)
        return losses


class ASGNNetwork(nn.Module):
    """What a trained ASGN is: the teacher, whose vectors say what to measure next, and the student, which predicts."""

    def __init__(self, config: ASGNConfig, targets: int, clusters: int) -> None:
        super().__init__()
        self.teacher = Teacher(config, targets, clusters)
        self.student = Backbone(config, targets)
