"""Texts as one row of tokens, cut into windows: what a batch is, and what is minimised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nereus.errors import InputError
from nereus.models.language.qwen.config import QwenConfig
from nereus.models.language.qwen.network import QwenNetwork
from nereus.models.training.loop import Batches

_JUDGED = 64
"""Windows of the kept texts that judge an epoch."""


def joined(texts: Sequence[Sequence[int]], end: int) -> np.ndarray:
    """One row of tokens, with the end of a text before each and after the last."""
    return np.array([end, *(token for one in texts for token in (*one, end))], dtype=np.int64)


class _Windows:
    def __init__(
        self, row: np.ndarray, starts: np.ndarray, size: int, batch: int, device: torch.device
    ) -> None:
        self._row, self._starts, self._size, self._batch, self._device = row, starts, size, batch, device

    def __len__(self) -> int:
        return -(-len(self._starts) // self._batch)

    def __iter__(self) -> Iterator[Tensor]:
        for first in range(0, len(self._starts), self._batch):
            places = self._starts[first : first + self._batch, None] + np.arange(self._size + 1)
            yield torch.from_numpy(self._row[places]).to(self._device)


class NextToken:
    """The objective: the next token, over windows drawn at random."""

    def __init__(
        self,
        network: QwenNetwork,
        config: QwenConfig,
        row: np.ndarray,
        kept: np.ndarray,
        device: torch.device,
    ) -> None:
        if len(row) <= config.context + 1:
            raise InputError(
                f"the texts have {len(row)} tokens, a window has {config.context + 1}",
                where="qwen",
                mend="give more text, or lower context",
            )
        self.network, self.config, self.row, self.kept, self.device = network, config, row, kept, device

    def batches(self, rng: np.random.Generator) -> Batches[Tensor]:
        """See `Objective.batches`."""
        options = self.config.training
        rows = max(1, self.config.tokens // (options.epochs * self.config.context))
        starts = rng.integers(0, len(self.row) - self.config.context, rows)
        return _Windows(self.row, starts, self.config.context, options.batch_size, self.device)

    def losses(self, batch: Tensor) -> Mapping[str, Tensor]:
        """See `Objective.losses`: nats a token."""
        logits = self.network(batch[:, :-1])
        return {"total": functional.cross_entropy(logits.float().transpose(1, 2), batch[:, 1:])}

    def validate(self) -> float | None:
        """Nats a token on windows of the texts that were kept out."""
        size = min(self.config.context, len(self.kept) - 1)
        if size < 2:
            return None
        starts = np.linspace(0, len(self.kept) - size - 1, _JUDGED).astype(int)
        starts = np.unique(starts)
        windows = _Windows(self.kept, starts, size, self.config.training.batch_size, self.device)
        losses = [(float(self.losses(one)["total"]), len(one)) for one in windows]
        return sum(loss * n for loss, n in losses) / sum(n for _, n in losses)
