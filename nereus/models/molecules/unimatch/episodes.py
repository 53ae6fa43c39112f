"""Episodes of meta-learning: a few tasks, each with a support and queries, and the loss over their queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nereus.errors import InputError
from nereus.models.molecules.graphs.packed import PackedGraphs
from nereus.models.molecules.unimatch.config import UniMatchConfig
from nereus.models.molecules.unimatch.network import CLASSES, UniMatchNetwork, task_embedding
from nereus.models.training.batches import made
from nereus.models.training.loop import Batches


@dataclass(frozen=True)
class Episode:
    """Rows of one task: labelled support, labelled queries; disjoint."""

    task: int
    support: np.ndarray
    queries: np.ndarray


def usable_tasks(labels: np.ndarray, shots: int) -> list[int]:
    """Tasks with enough known molecules of each class for a support and a query.

    Parameters
    ----------
    labels
        (molecules, tasks); 1, 0, NaN where unknown.
    shots
        Molecules of each class in a support.
    """
    actives, inactives = (labels == 1).sum(0), (labels == 0).sum(0)
    return [int(task) for task in np.flatnonzero((actives > shots) & (inactives > shots))]


def draw(labels: np.ndarray, task: int, shots: int, queries: int, rng: np.random.Generator) -> Episode:
    """A support of `shots` molecules of each class, and `queries` others, balanced where there are enough."""
    support, rest = [], []
    for label in (1, 0):
        rows = rng.permutation(np.flatnonzero(labels[:, task] == label))
        support.append(rows[:shots])
        rest.append(rows[shots : shots + (queries + 1) // 2])
    return Episode(task, np.concatenate(support), np.concatenate(rest)[:queries])


class MetaLearning:
    """Inner loop on each task's support, outer loop on its queries. An `Objective` of the training loop.

    Parameters
    ----------
    network
        What is trained.
    graphs
        All molecules.
    labels
        (molecules, tasks); 1, 0, NaN where unknown.
    config
        Sizes of episodes.
    """

    def __init__(
        self, network: UniMatchNetwork, graphs: PackedGraphs, labels: np.ndarray, config: UniMatchConfig
    ) -> None:
        self.network, self.graphs, self.labels, self.config = network, graphs, labels, config
        self.tasks = usable_tasks(labels, config.shots)
        if len(self.tasks) < 2:
            raise InputError(
                f"{len(self.tasks)} of {labels.shape[1]} related assays have more than {config.shots} molecules of each class",
                where="meta-training",
                mend="give at least two such assays, or lower shots",
            )
        self.device = next(network.parameters()).device

    def batches(self, rng: np.random.Generator) -> Batches[list[Episode]]:
        """See `Objective`."""
        number = min(self.config.tasks, len(self.tasks))
        items = [
            [
                draw(self.labels, int(task), self.config.shots, self.config.queries, rng)
                for task in rng.choice(self.tasks, number, replace=False)
            ]
            for _ in range(self.config.episodes)
        ]
        return made(items, list)

    def losses(self, batch: list[Episode]) -> Mapping[str, Tensor]:
        """See `Objective`: mean cross-entropy of the queries of all tasks."""
        rows = np.concatenate([np.concatenate([one.support, one.queries]) for one in batch])
        vectors = self.network.encode(self.graphs.batch(rows, self.device))
        lengths = [size for one in batch for size in (len(one.support), len(one.queries))]
        parts = torch.split(vectors, lengths, dim=1)
        found, right = [], []
        for number, episode in enumerate(batch):
            support, queries = parts[2 * number], parts[2 * number + 1]
            labels = one_hot(self.labels[episode.support, episode.task], self.device)
            truth = torch.as_tensor(self.labels[episode.queries, episode.task], device=self.device).long()
            w = self.network.adapt(support, labels, own=episode.task)
            logits = self.network.answer(w, queries, support, labels)
            found.append(nn.functional.cross_entropy(logits, truth))
            right.append((logits.argmax(1) == truth).float().mean())
            if self.network.relation is not None:
                self.network.relation.remember(episode.task, task_embedding(support, labels))
        return {"total": torch.stack(found).mean(), "accuracy": torch.stack(right).mean()}

    def validate(self) -> float | None:
        """See `Objective`: there is none, since tasks are what is held out, by the user."""
        return None


def one_hot(labels: np.ndarray, device: torch.device) -> Tensor:
    """(n,) of 0 and 1 to (n, classes)."""
    return nn.functional.one_hot(torch.as_tensor(labels, device=device).long(), CLASSES).float()
