"""Learning from labels: several tasks at once, of which each molecule may know some."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from nereus.models.config import TrainingOptions
from nereus.models.molecules.graphs.packed import PackedGraphs
from nereus.models.molecules.mgssl.network import MGSSLNetwork
from nereus.models.training.batches import made, shuffled_rows
from nereus.models.training.loop import Batches

_BLOCK = 512
"""Molecules that are judged at a time."""


class Finetuning:
    """An `Objective` of the training loop: binary cross-entropy, averaged over known labels.

    Parameters
    ----------
    network
        What is trained, with a classifier.
    graphs
        All molecules.
    labels
        (molecules, tasks); 1, 0, NaN where unknown.
    train, valid
        Molecules that are learned from, and those that judge; the latter may be none.
    options
        Size of a batch, workers.
    """

    def __init__(
        self,
        network: MGSSLNetwork,
        graphs: PackedGraphs,
        labels: np.ndarray,
        train: np.ndarray,
        valid: np.ndarray,
        options: TrainingOptions,
    ) -> None:
        self.network, self.graphs, self.options = network, graphs, options
        self.train, self.valid = train, valid
        self.device = next(network.parameters()).device
        self.labels = torch.as_tensor(labels, dtype=torch.float32)

    def batches(self, rng: np.random.Generator) -> Batches[np.ndarray]:
        """See `Objective`."""
        parts = shuffled_rows(len(self.train), self.options.batch_size, rng)
        return made([self.train[part] for part in parts], np.asarray, self.options.workers)

    def losses(self, batch: np.ndarray) -> Mapping[str, Tensor]:
        """See `Objective`."""
        return {"total": self._loss(batch)}

    def _loss(self, rows: np.ndarray) -> Tensor:
        logits = self.network.logits(self.graphs.batch(rows, self.device))
        labels = self.labels[rows].to(self.device)
        known = torch.isfinite(labels)
        return nn.functional.binary_cross_entropy_with_logits(logits[known], labels[known])

    def validate(self) -> float | None:
        """See `Objective`: the loss of the molecules that judge, weighted by their known labels."""
        if not len(self.valid):
            return None
        blocks = [self.valid[at : at + _BLOCK] for at in range(0, len(self.valid), _BLOCK)]
        counts = [int(torch.isfinite(self.labels[rows]).sum()) for rows in blocks]
        total = sum(float(self._loss(rows)) * n for rows, n in zip(blocks, counts, strict=True) if n)
        return total / sum(counts)
