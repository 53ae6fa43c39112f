"""What the teacher learns: labels where there are any, elements and distances, and its own balanced clusters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from nereus.models.molecules.asgn.config import ASGNConfig
from nereus.models.molecules.asgn.network import Teacher
from nereus.models.molecules.asgn.transport import balanced_labels, usage_entropy
from nereus.models.molecules.graphs.packed import GraphBatch, PackedGraphs
from nereus.models.training.batches import made, shuffled_rows
from nereus.models.training.loop import Batches

BLOCK = 128
"""Molecules that are read at a time where nothing is learned."""
_Batch = tuple[Tensor, GraphBatch]


class TeacherState(nn.Module):
    """The teacher, the cluster of each molecule, and how many epochs it has been taught: all that a checkpoint must keep."""

    assigned: Tensor
    age: Tensor

    def __init__(self, teacher: Teacher, molecules: int) -> None:
        super().__init__()
        self.teacher = teacher
        device = next(teacher.parameters()).device
        self.register_buffer("assigned", torch.zeros(molecules, dtype=torch.int64, device=device))
        self.register_buffer("age", torch.zeros((), dtype=torch.int64, device=device))

    def hot(self) -> list[nn.Module]:
        """See `Backbone.hot`."""
        return self.teacher.backbone.hot()


class Teaching:
    """An `Objective` of the training loop over all molecules.

    Parameters
    ----------
    state
        What is trained.
    graphs
        All molecules.
    targets
        (molecules, targets) in standard units: labels, later also what the student says; NaN where there is neither.
    labelled
        Molecules with a label, which are drawn more often.
    config
        Weights of the losses, assignment of clusters.
    """

    def __init__(
        self,
        state: TeacherState,
        graphs: PackedGraphs,
        targets: np.ndarray,
        labelled: np.ndarray,
        config: ASGNConfig,
    ) -> None:
        self.state, self.graphs, self.labelled, self.config = state, graphs, labelled, config
        self.targets = torch.as_tensor(targets, dtype=torch.float32)
        self.device = state.assigned.device

    def batches(self, rng: np.random.Generator) -> Batches[_Batch]:
        """See `Objective`: every molecule once, and labelled ones in addition. Assigns clusters where that is due."""
        if self.config.cluster_weight and int(self.state.age) % self.config.cluster_every == 0:
            self.state.assigned.copy_(self.assignment())
        self.state.age += 1
        size = self.config.training.batch_size
        parts = shuffled_rows(len(self.graphs), size, rng)
        share = self.config.labelled_share
        more = round(size * share / (1 - share)) if len(self.labelled) and self.config.property_weight else 0
        if more:
            turns = -(-len(parts) * more // len(self.labelled))
            drawn = np.concatenate([rng.permutation(self.labelled) for _ in range(turns)])
            parts = [
                np.concatenate([part, drawn[number * more : (number + 1) * more]])
                for number, part in enumerate(parts)
            ]
        return made(parts, self._batch, self.config.training.workers)

    def _batch(self, rows: np.ndarray) -> _Batch:
        return torch.as_tensor(rows), self.graphs.batch(rows)

    @torch.no_grad()
    def assignment(self) -> Tensor:
        """The cluster of each molecule by balanced transport of the teacher's guesses, (molecules,)."""
        teacher = self.state.teacher
        parts = [
            nn.functional.log_softmax(
                teacher.cluster(teacher.backbone.vectors(self.graphs.batch(rows, self.device))), 1
            )
            for rows in np.array_split(np.arange(len(self.graphs)), -(-len(self.graphs) // BLOCK))
        ]
        return balanced_labels(torch.cat(parts), self.config.sharpness, self.config.cluster_rounding)

    def losses(self, batch: _Batch) -> Mapping[str, Tensor]:
        """See `Objective`: ``property``, ``atom``, ``distance``, ``cluster``, and how evenly clusters are used."""
        rows, graph = batch[0], batch[1].to(self.device)
        teacher = self.state.teacher
        z, pairs = teacher.backbone(graph)
        vectors = teacher.backbone.pool(z, graph)
        told: dict[str, Tensor] = {}
        total = vectors.sum() * 0
        if self.config.property_weight:
            targets = self.targets[rows].to(self.device)
            known = torch.isfinite(targets)
            off = teacher.backbone.property(vectors)[:, : targets.shape[1]][known] - targets[known]
            told["property"] = off.square().sum() / max(1, off.numel())
            total = total + self.config.property_weight * told["property"]
        if self.config.reconstruction_weight:
            rebuilt = teacher.reconstruction(z, pairs, graph)
            told |= rebuilt
            total = total + self.config.reconstruction_weight * sum(rebuilt.values(), torch.zeros_like(total))
        if self.config.cluster_weight:
            labels = self.state.assigned[rows.to(self.device)]
            told["cluster"] = nn.functional.cross_entropy(teacher.cluster(vectors), labels)
            entropy = usage_entropy(self.state.assigned, teacher.cluster.out_features)
            total = total + self.config.cluster_weight * told["cluster"]
            told["cluster_usage"] = torch.tensor(entropy, device=self.device)
        return {"total": total, **{name: one.detach() for name, one in told.items()}}

    def validate(self) -> float | None:
        """See `Objective`: the student decides when enough was learned."""
        return None


class Studying:
    """An `Objective` of the training loop over labelled molecules: squared error of labels and nothing else.

    Parameters
    ----------
    student
        What is trained.
    graphs
        All molecules.
    targets
        (molecules, targets) in standard units, NaN where unknown.
    train, valid
        Molecules that are learned from, and those that end the training; the latter may be none.
    config
        Size of a batch.
    """

    def __init__(
        self,
        student: nn.Module,
        graphs: PackedGraphs,
        targets: np.ndarray,
        train: np.ndarray,
        valid: np.ndarray,
        config: ASGNConfig,
    ) -> None:
        self.student, self.graphs, self.options = student, graphs, config.student
        self.train, self.valid = train, valid
        self.targets = torch.as_tensor(targets, dtype=torch.float32)
        self.device = next(student.parameters()).device

    def batches(self, rng: np.random.Generator) -> Batches[_Batch]:
        """See `Objective`."""
        parts = shuffled_rows(len(self.train), self.options.batch_size, rng)
        return made([self.train[part] for part in parts], self._batch, self.options.workers)

    def _batch(self, rows: np.ndarray) -> _Batch:
        return torch.as_tensor(rows), self.graphs.batch(rows)

    def losses(self, batch: _Batch) -> Mapping[str, Tensor]:
        """See `Objective`."""
        squares = self._squares(*batch)
        return {"total": squares.mean()}

    def _squares(self, rows: Tensor, graph: GraphBatch) -> Tensor:
        targets = self.targets[rows].to(self.device)
        known = torch.isfinite(targets)
        said: Tensor = self.student.properties(graph.to(self.device))  # type: ignore[operator]
        return (said[known] - targets[known]).square()

    def validate(self) -> float | None:
        """See `Objective`: mean squared error of the molecules that judge."""
        if not len(self.valid):
            return None
        blocks = np.array_split(self.valid, -(-len(self.valid) // BLOCK))
        return float(torch.cat([self._squares(*self._batch(rows)) for rows in blocks]).mean())
