"""Learning without labels: grow motifs, tell hidden atoms and bonds, and weigh the three in every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nereus.models.molecules.graphs.packed import GraphBatch, PackedGraphs
from nereus.models.molecules.mgssl.config import MGSSLConfig
from nereus.models.molecules.mgssl.generation import generation_loss, right
from nereus.models.molecules.mgssl.network import MGSSLNetwork
from nereus.models.molecules.mgssl.trees import PackedTrees, TreeBatch
from nereus.models.molecules.mgssl.weighting import gradient_weights
from nereus.models.training.batches import made, shuffled_rows
from nereus.models.training.loop import Batches

_Batch = tuple[GraphBatch, TreeBatch]


@dataclass(frozen=True)
class _Rows:
    """Molecules of a batch, and what decides the order of siblings where that is random."""

    rows: np.ndarray
    seed: int


class Pretraining:
    """An `Objective` of the training loop over molecules without labels.

    Parameters
    ----------
    network
        What is trained.
    graphs, trees
        All molecules.
    config
        Which tasks, and their weighting.
    """

    def __init__(
        self, network: MGSSLNetwork, graphs: PackedGraphs, trees: PackedTrees, config: MGSSLConfig
    ) -> None:
        self.network, self.graphs, self.trees, self.config = network, graphs, trees, config
        self.shared = list(network.encoder.parameters())
        self.device = self.shared[0].device

    def batches(self, rng: np.random.Generator) -> Batches[_Batch]:
        """See `Objective`."""
        items = [
            _Rows(rows, int(rng.integers(2**32)))
            for rows in shuffled_rows(len(self.graphs), self.config.training.batch_size, rng)
        ]
        return made(items, self._batch, self.config.training.workers)

    def _batch(self, item: _Rows) -> _Batch:
        rng = np.random.default_rng(item.seed) if self.config.siblings == "random" else None
        return self.graphs.batch(item.rows), self.trees.batch(item.rows, rng)

    def losses(self, batch: _Batch) -> Mapping[str, Tensor]:
        """See `Objective`: ``motif``, ``atom``, ``bond``, and the weight of each."""
        graph, tree = batch[0].to(self.device), batch[1].to(self.device)
        losses: dict[str, Tensor] = {}
        told: dict[str, Tensor] = {}
        if self.config.tasks in ("all", "motifs") and len(tree.children):
            grown = self.network.grow(graph, tree)
            losses["motif"] = generation_loss(grown, tree.trees)
            named, shaped = right(grown, self.network.generator.classes)
            told = {"motif_accuracy": named.float().mean(), "topology_accuracy": shaped.float().mean()}
        if self.config.tasks in ("all", "atoms"):
            losses |= self.network.hidden_losses(graph, self.config.mask_share)
        if not losses:  # single motifs only: nothing to learn, and nothing changes
            return {"total": sum((one.sum() * 0 for one in self.shared), torch.zeros((), device=self.device))}
        weights = self._weights(list(losses.values()))
        total = (torch.stack(list(losses.values())) * weights).sum()
        names = list(losses)
        told |= {f"{name}_weight": weights[number] for number, name in enumerate(names)}
        return {"total": total, **{name: one.detach() for name, one in losses.items()}, **told}

    def _weights(self, losses: list[Tensor]) -> Tensor:
        if self.config.weighting == "equal" or len(losses) == 1:
            return torch.full((len(losses),), 1 / len(losses), device=self.device)
        unit = self.config.weighting == "unit-frank-wolfe"
        return gradient_weights(losses, self.shared, self.config.weighting_steps, unit)

    def validate(self) -> float | None:
        """See `Objective`: pre-training is judged by what it is good for."""
        return None
