"""Documents packed into rows of the context, several a row, each seeing itself alone; and what is minimised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from nereus.models.config import TrainingOptions
from nereus.models.sequences.bsm import tokenizer
from nereus.models.sequences.bsm.config import Mix
from nereus.models.sequences.bsm.corpus import Corpus
from nereus.models.sequences.bsm.network import BSMNetwork
from nereus.models.training.batches import made
from nereus.models.training.loop import Batches

_Packed = tuple[Tensor, Tensor]
_BLOCK = 16
"""Rows that are judged at a time."""


def packed(documents: Sequence[np.ndarray], context: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents in rows: first fit, in order.

    Parameters
    ----------
    documents
        Tokens of each, none longer than the context.
    context
        Length of a row.

    Returns
    -------
    tuple of ndarray
        Tokens and numbers of documents within the row (from one; 0 is padding), both (rows, length of the longest row).
    """
    rows: list[list[np.ndarray]] = []
    free: list[int] = []
    for one in documents:
        place = next((i for i, room in enumerate(free) if room >= len(one)), None)
        if place is None:
            rows.append([])
            free.append(context)
            place = len(rows) - 1
        rows[place].append(one)
        free[place] -= len(one)
    length = max(context - room for room in free)
    tokens = np.full((len(rows), length), tokenizer.PAD, dtype=np.int64)
    numbers = np.zeros((len(rows), length), dtype=np.int64)
    for i, row in enumerate(rows):
        whole = np.concatenate(row)
        tokens[i, : len(whole)] = whole
        numbers[i, : len(whole)] = np.repeat(np.arange(1, len(row) + 1), [len(one) for one in row])
    return tokens, numbers


def drawn(corpus: Corpus, mix: Mix, tokens: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Documents of a mix, of at least so many tokens, each kind by its share of them.

    Parameters
    ----------
    corpus
        What there is.
    mix
        Shares by kind.
    tokens
        How many.
    rng
        Decides which: all of a kind come once before any comes again.
    """
    shares = corpus.shares(mix)
    used = dict.fromkeys(shares, 0)
    waiting: dict[str, list[int]] = {kind: [] for kind in shares}
    found: list[np.ndarray] = []
    total = 0
    while total < tokens:
        kind = min(shares, key=lambda one: used[one] / shares[one])  # the one that lags behind its share most
        if not waiting[kind]:
            waiting[kind] = rng.permutation(corpus.count(kind)).tolist()
        one = corpus.draw(kind, waiting[kind].pop(), rng)
        found.append(one)
        used[kind] += len(one)
        total += len(one)
    order = rng.permutation(len(found))
    return [found[i] for i in order]


class NextToken:
    """An `Objective` of the training loop: the next token, over a mix of documents.

    Parameters
    ----------
    network
        What is trained.
    corpus
        What it learns from.
    mix
        Shares by kind.
    tokens
        Tokens of an epoch.
    context
        Tokens of a row.
    options
        Rows of a batch, workers.
    judged
        Documents that judge it, by kind; may be empty.
    """

    def __init__(
        self,
        network: BSMNetwork,
        corpus: Corpus,
        mix: Mix,
        tokens: int,
        context: int,
        options: TrainingOptions,
        judged: Mapping[str, Sequence[np.ndarray]],
    ) -> None:
        self.network, self.corpus, self.mix = network, corpus, mix
        self.tokens, self.context, self.options, self.judged = tokens, context, options, judged
        self.device = next(network.parameters()).device

    def batches(self, rng: np.random.Generator) -> Batches[_Packed]:
        """See `Objective`: as many documents as make the epoch's tokens, in batches of about equal size."""
        documents = drawn(self.corpus, self.mix, self.tokens, rng)
        size = self.options.batch_size * self.context
        items: list[list[np.ndarray]] = [[]]
        room = size
        for one in documents:
            if len(one) > room and items[-1]:
                items.append([])
                room = size
            items[-1].append(one)
            room -= len(one)
        return made(items, self._batch, self.options.workers)

    def _batch(self, documents: list[np.ndarray]) -> _Packed:
        tokens, numbers = packed(documents, self.context)
        return torch.from_numpy(tokens), torch.from_numpy(numbers)

    def losses(self, batch: _Packed) -> Mapping[str, Tensor]:
        """See `Objective`: mean over tokens that have one before them."""
        tokens, numbers = (one.to(self.device) for one in batch)
        losses = self.network.next_token_losses(tokens, numbers)
        return {"total": losses.sum() / _foretold(numbers)}

    def validate(self) -> float | None:
        """See `Objective`: mean over the kinds of documents of the mean over their tokens."""
        if not self.judged:
            return None
        return float(np.mean(list(validation_losses(self.network, self.judged, self.context).values())))


@torch.no_grad()
def validation_losses(
    network: BSMNetwork, judged: Mapping[str, Sequence[np.ndarray]], context: int
) -> dict[str, float]:
    """Mean loss a token of the documents of each kind, in nats."""
    device = next(network.parameters()).device
    found = {}
    for kind, documents in judged.items():
        total, n = 0.0, 0
        tokens, numbers = packed(documents, context)
        for start in range(0, len(tokens), _BLOCK):
            some, of = (torch.from_numpy(one[start : start + _BLOCK]).to(device) for one in (tokens, numbers))
            total += float(network.next_token_losses(some, of).sum())
            n += int(_foretold(of))
        found[kind] = total / n
    return found


def _foretold(numbers: Tensor) -> Tensor:
    """How many tokens have one of their own document before them."""
    return ((numbers[:, 1:] == numbers[:, :-1]) & (numbers[:, 1:] > 0)).sum()
