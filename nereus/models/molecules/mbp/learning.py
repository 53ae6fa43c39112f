"""What is minimised: order within assays together with affinities, and in fine-tuning affinities alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from nereus.models.config import TrainingOptions
from nereus.models.molecules.mbp.complexes import PackedComplexes
from nereus.models.molecules.mbp.config import MBPConfig
from nereus.models.molecules.mbp.measurements import Measurements, Partners
from nereus.models.molecules.mbp.network import Head, MBPNetwork
from nereus.models.training.batches import made
from nereus.models.training.loop import Batches

BLOCK = 256
"""Complexes that are read at a time."""


@dataclass(frozen=True)
class Pairs:
    """Measurements of a batch, each with another of its assay and type.

    Attributes
    ----------
    first, second
        Numbers of measurements, (n,); `second` is empty where nothing is compared.
    poses
        Poses that are read, (distinct,), each once.
    places
        Place in `poses` of the first and the second of each pair, (2, n) or (1, n).
    """

    first: np.ndarray
    second: np.ndarray
    poses: np.ndarray
    places: np.ndarray


class AssayLearning:
    """An `Objective` of the training loop: ``sum over heads (a L_rank + b L_reg)``, both over the head's own measurements.

    The squared error is of the first of each pair; the ranking loss is cross-entropy of "the first binds better" against "it does
    not". Both are sums over a head's measurements, divided by the batch's size, so that a head weighs as much as it has
    measurements.

    Parameters
    ----------
    network
        What is trained.
    complexes
        All complexes.
    known
        Measurements of them.
    centres
        Mean affinity of each head, which its output is counted from, (heads,).
    train, valid
        Numbers of the measurements that are learned from, and of those that judge; the latter may be none.
    config
        Weights of the losses.
    options
        Size of a batch, workers.
    compare
        Whether order is learned; fine-tuning learns affinities alone.
    """

    def __init__(
        self,
        network: MBPNetwork,
        complexes: PackedComplexes,
        known: Measurements,
        centres: np.ndarray,
        train: np.ndarray,
        valid: np.ndarray,
        config: MBPConfig,
        options: TrainingOptions,
        compare: bool,
    ) -> None:
        self.network, self.complexes, self.known, self.config = network, complexes, known, config
        self.train, self.valid, self.options = train, valid, options
        self.compare = compare and config.ranking_weight > 0
        self.device = next(network.parameters()).device
        self.partners = Partners(known.groups[train])
        self.heads = torch.as_tensor(known.heads, device=self.device)
        self.y = torch.as_tensor(known.y - centres[known.heads], dtype=torch.float32, device=self.device)

    def batches(self, rng: np.random.Generator) -> Batches[Pairs]:
        """See `Objective`."""
        items = []
        for part in even_batches(len(self.train), self.options.batch_size, rng):
            first = self.train[part]
            drawn = [self.complexes.drawn(self.known.rows[first], rng)]
            second = first[:0]
            if self.compare:
                second = self.train[self.partners.draw(part, rng)]
                drawn.append(self.complexes.drawn(self.known.rows[second], rng))
            poses, places = np.unique(np.concatenate(drawn), return_inverse=True)
            items.append(Pairs(first, second, poses, places.reshape(len(drawn), -1)))
        return made(items, _itself, self.options.workers)

    def losses(self, batch: Pairs) -> Mapping[str, Tensor]:
        """See `Objective`: ``total``, and its parts ``regression`` and ``ranking``."""
        z = self.network.readouts(self.complexes.batch(batch.poses, self.device))
        first, n = torch.as_tensor(batch.first, device=self.device), len(batch.first)
        places = torch.as_tensor(batch.places, device=self.device)
        heads, y = self.heads[first], self.y[first]
        regression, ranking = y.new_zeros(()), y.new_zeros(())
        for number, (name, module) in enumerate(self.network.heads.items()):
            head, own = cast(Head, module), heads == number
            # All complexes go through every head, so that batch norm sees a whole batch; a loss is of the head's own alone.
            values = head.value(z[name])
            regression = regression + ((values.index_select(0, places[0]) - y).square() * own).sum()
            if self.compare:
                better = (y > self.y[torch.as_tensor(batch.second, device=self.device)]).long()
                logits = (
                    head.compare(z[name].index_select(0, places[0]), z[name].index_select(0, places[1]))
                    if self.config.ranking == "relation"
                    else values.index_select(0, places.flatten()).view(2, -1).T
                )
                ranking = (
                    ranking + (nn.functional.cross_entropy(logits, 1 - better, reduction="none") * own).sum()
                )
        regression, ranking = regression / n, ranking / n
        if not self.compare:
            return {"total": regression}
        total = self.config.ranking_weight * ranking + self.config.regression_weight * regression
        return {"total": total, "regression": regression.detach(), "ranking": ranking.detach()}

    def validate(self) -> float | None:
        """See `Objective`: RMSE of the measurements that judge, each by the head of its type."""
        if not len(self.valid):
            return None
        squares = 0.0
        for start in range(0, len(self.valid), BLOCK):
            numbers = self.valid[start : start + BLOCK]
            poses = self.complexes.first[self.known.rows[numbers]]
            z = self.network.readouts(self.complexes.batch(poses, self.device))
            values = torch.stack(
                [cast(Head, one).value(z[name]) for name, one in self.network.heads.items()], dim=1
            )
            chosen = torch.as_tensor(numbers, device=self.device)
            own = values.gather(1, self.heads[chosen].unsqueeze(1)).squeeze(1)
            squares += float((own - self.y[chosen]).square().sum())
        return float(np.sqrt(squares / len(self.valid)))


def even_batches(n: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """All rows in random order, cut into the fewest batches of at most `size` (but of two or more), as even as can be.

    A short last batch would count in the running statistics of batch norm as much as a whole one: of two ligands' sums they
    are far off, and answers are given by them.
    """
    count = max(1, min(-(-n // size), n // 2))
    return [np.asarray(one) for one in np.array_split(rng.permutation(n), count)]


def _itself(one: Pairs) -> Pairs:
    return one
