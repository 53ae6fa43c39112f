"""UniMatch's network: one answer per level of a graph network, and their fusion."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nereus.models.molecules.graphs.encoder import GraphEncoder, mean_pool
from nereus.models.molecules.graphs.features import TYPED
from nereus.models.molecules.graphs.packed import GraphBatch
from nereus.models.molecules.unimatch.config import UniMatchConfig

CLASSES = 2


class Matching(nn.Module):
    """Answers for queries from the labels of a support, at every level, and their fusion.

    At a level with vectors ``z``: ``y_q = softmax((z_q W_q)(z_S W_k)^T / sqrt(d)) y_S``. There is no projection of values: the
    value of a support molecule is its label. The levels' answers side by side go through one linear layer.

    Parameters
    ----------
    levels
        Number of levels.
    width
        Width ``d`` of the vectors.
    """

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        # Near the identity at first, so that matching starts as plain similarity.
        start = torch.eye(width).repeat(levels, 1, 1) + 0.02 * torch.randn(levels, width, width)
        self.query = nn.Parameter(start.clone())
        self.key = nn.Parameter(start.clone())
        self.fusion = nn.Linear(levels * CLASSES, CLASSES)
        with torch.no_grad():  # at first the mean of the levels' answers, as logits
            self.fusion.weight.copy_(4.0 / levels * torch.eye(CLASSES).repeat(1, levels))
            self.fusion.bias.zero_()

    def forward(self, queries: Tensor, support: Tensor, labels: Tensor, leave_out: bool = False) -> Tensor:
        """Logits of queries.

        Parameters
        ----------
        queries
            (levels, queries, width).
        support
            (levels, support, width).
        labels
            One-hot labels of the support, (support, classes).
        leave_out
            The queries are the support: each is answered from the others, or it would copy its own label.
        """
        scores = (queries @ self.query) @ (support @ self.key).transpose(1, 2) / math.sqrt(support.shape[-1])
        if leave_out:
            scores = scores.masked_fill(
                torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device), -math.inf
            )
        answers = scores.softmax(-1) @ labels  # (levels, queries, classes)
        fused: Tensor = self.fusion(answers.transpose(0, 1).flatten(1))
        return fused


class TaskRelation(nn.Module):
    """Where a task's inner loop starts: at the common parameters, moved by the offsets of the training tasks it is like.

    ``w_t = w + sum_j softmax_j(cos(u_t, u_j) / tau) dw_j``, with ``u`` the embedding of a task and ``dw_j`` a learned offset
    of low rank. The paper names the relation matrix and leaves its function open; this is our form.

    Parameters
    ----------
    tasks
        Number of training tasks.
    embedding
        Width of a task's embedding.
    parameters
        Number of parameters that are moved.
    rank
        Rank of the offsets.
    temperature
        ``tau``.
    """

    memory: Tensor
    seen: Tensor

    def __init__(self, tasks: int, embedding: int, parameters: int, rank: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.mix = nn.Parameter(0.1 * torch.randn(tasks, rank))
        self.basis = nn.Parameter(torch.zeros(rank, parameters))
        self.register_buffer("memory", torch.zeros(tasks, embedding))
        self.register_buffer("seen", torch.zeros(tasks, dtype=torch.bool))

    def forward(self, embedding: Tensor, own: int | None = None) -> Tensor:
        """The offset of a task, (parameters,). `own` is the number of a training task, which does not relate to itself."""
        open_ = self.seen.clone()
        if own is not None:
            open_[own] = False
        if not bool(open_.any()):
            return torch.zeros_like(self.basis[0])
        likeness = (
            nn.functional.cosine_similarity(embedding.unsqueeze(0), self.memory, dim=1) / self.temperature
        )
        weights = likeness.masked_fill(~open_, -math.inf).softmax(0)
        return weights @ self.mix @ self.basis

    @torch.no_grad()
    def remember(self, task: int, embedding: Tensor) -> None:
        """Keep a running mean of a training task's embedding."""
        known = bool(self.seen[task])
        self.memory[task] = self.memory[task].lerp(embedding.detach(), 0.1) if known else embedding.detach()
        self.seen[task] = True


class UniMatchNetwork(nn.Module):
    """Encoder (meta-parameters), matching (parameters that a task adapts), and the relation of tasks.

    Parameters
    ----------
    config
        Sizes.
    tasks
        Number of training tasks.
    """

    def __init__(self, config: UniMatchConfig, tasks: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = GraphEncoder(TYPED, config.width, config.layers, config.dropout)
        self.levels = config.layers if config.levels == "all" else 1
        self.matching = Matching(self.levels, config.width)
        count = sum(one.numel() for one in self.matching.parameters())
        self.relation = (
            TaskRelation(tasks, 2 * config.width, count, config.offset_rank, config.relation_temperature)
            if config.task_matching == "relation"
            else None
        )

    def hot(self) -> list[nn.Module]:
        """What `torch.compile` is worth for: the encoder. Matching is differentiated twice, which it cannot."""
        return [self.encoder]

    def encode(self, graph: GraphBatch) -> Tensor:
        """Vectors of molecules at every level, (levels, molecules, width)."""
        levels = self.encoder(graph)[-self.levels :]
        return torch.stack([mean_pool(h, graph) for h in levels])

    def start(self, support: Tensor, labels: Tensor, own: int | None = None) -> dict[str, Tensor]:
        """Parameters with which a task's inner loop starts."""
        common: dict[str, Tensor] = dict(self.matching.named_parameters())
        if self.relation is None:
            return common
        offset = self.relation(task_embedding(support, labels), own)
        pieces = offset.split([one.numel() for one in common.values()])
        return {
            name: one + piece.view_as(one) for (name, one), piece in zip(common.items(), pieces, strict=True)
        }

    def adapt(self, support: Tensor, labels: Tensor, own: int | None = None) -> dict[str, Tensor]:
        """The task's own parameters: gradient steps on its support, each molecule answered from the others.

        Differentiable with respect to the common parameters, also through the steps where `second_order` is set.
        """
        w = self.start(support, labels, own)
        if self.config.task_matching == "none":
            return w
        truth = labels.argmax(1)
        through = self.config.second_order and torch.is_grad_enabled()
        with torch.enable_grad():
            for _ in range(self.config.inner_steps):
                w = {name: one if one.requires_grad else one.requires_grad_() for name, one in w.items()}
                logits = functional_call(self.matching, w, (support, support, labels, True))
                loss = nn.functional.cross_entropy(logits, truth)
                gradients = torch.autograd.grad(loss, list(w.values()), create_graph=through)
                w = {
                    name: one - self.config.inner_rate * gradient
                    for (name, one), gradient in zip(w.items(), gradients, strict=True)
                }
        return w

    def answer(self, w: Mapping[str, Tensor], queries: Tensor, support: Tensor, labels: Tensor) -> Tensor:
        """Logits of queries under a task's parameters, (queries, classes)."""
        logits: Tensor = functional_call(self.matching, dict(w), (queries, support, labels))
        return logits


def task_embedding(support: Tensor, labels: Tensor) -> Tensor:
    """A task by its support: the mean molecule, and how actives differ from inactives, over all levels; (2 width,)."""
    mean = support.mean(0)
    active = labels[:, 1:] / labels[:, 1].sum().clamp(min=1)
    inactive = labels[:, :1] / labels[:, 0].sum().clamp(min=1)
    return torch.cat([mean.mean(0), ((active - inactive) * mean).sum(0)])
