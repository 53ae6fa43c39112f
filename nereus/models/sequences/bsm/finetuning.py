"""Learning a target: one document of one or two sequences, a linear head on its last token, all weights together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nereus.models.config import TrainingOptions
from nereus.models.sequences.bsm import tokenizer
from nereus.models.sequences.bsm.network import BSMNetwork
from nereus.models.training.batches import made, shuffled_rows
from nereus.models.training.loop import Batches


class Finetuning:
    """An `Objective` of the training loop: cross-entropy of classes, or squared error of a value.

    Parameters
    ----------
    network
        What is trained, with a head.
    documents
        Tokens of each row.
    targets
        Numbers of classes, int64, or values of variance one, float, (n,).
    options
        Size of a batch, workers.
    """

    def __init__(
        self,
        network: BSMNetwork,
        documents: Sequence[np.ndarray],
        targets: np.ndarray,
        options: TrainingOptions,
    ) -> None:
        self.network, self.documents, self.options = network, documents, options
        self.targets = torch.as_tensor(targets)
        self.device = next(network.parameters()).device

    def batches(self, rng: np.random.Generator) -> Batches[np.ndarray]:
        """See `Objective`."""
        parts = shuffled_rows(len(self.documents), self.options.batch_size, rng)
        return made(parts, np.asarray, self.options.workers)

    def losses(self, batch: np.ndarray) -> Mapping[str, Tensor]:
        """See `Objective`."""
        tokens, numbers = padded([self.documents[row] for row in batch], self.device)
        answers = self.network.answers(tokens, numbers)
        targets = self.targets[batch].to(self.device)
        if targets.is_floating_point():
            return {"total": nn.functional.mse_loss(answers[:, 0], targets.float())}
        return {"total": nn.functional.cross_entropy(answers, targets)}

    def validate(self) -> float | None:
        """See `Objective`: rows that are held out are judged outside, beside a baseline."""
        return None


def padded(documents: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, Tensor]:
    """One document a row: tokens, and 1 where there is one, (rows, longest)."""
    tokens = np.full((len(documents), max(map(len, documents))), tokenizer.PAD, dtype=np.int64)
    for row, one in enumerate(documents):
        tokens[row, : len(one)] = one
    given = torch.from_numpy(tokens).to(device)
    return given, (given != tokenizer.PAD).long()
