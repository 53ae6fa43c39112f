"""A small policy and value over the symbols and features of a step: trained from scratch within a minute."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from nereus.models.language.cpl.choices import Array, Choices, Described

CHUNK = 16_384
"""Rows that are scored at once when asked for numbers."""


class StepNetwork(nn.Module):
    """One number a row: symbols are embedded by slot, joined with the features, and read by a residual MLP.

    Parameters
    ----------
    features
        Number of features of a row.
    slots
        Number of symbols of a row.
    vocabulary
        Number of different symbols.
    width
        Hidden width.
    layers
        Hidden layers.
    embedding
        Width of a symbol.
    bounded
        tanh at the end, for values in (-1, 1).
    """

    def __init__(
        self,
        features: int,
        slots: int = 0,
        vocabulary: int = 0,
        width: int = 192,
        layers: int = 3,
        embedding: int = 32,
        bounded: bool = False,
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.symbols = nn.Embedding(max(vocabulary, 1), embedding)
        self.inward = nn.Linear(features + slots * embedding, width)
        self.hidden = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
            )
            for _ in range(layers)
        )
        self.outward = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def standardise(self, features: Array) -> None:
        """Learn mean and scale of the features of the training rows."""
        scale = features.std(axis=0)
        self.mean = torch.tensor(features.mean(axis=0), dtype=torch.float32)
        self.scale = torch.tensor(np.where(scale > 0, scale, 1.0), dtype=torch.float32)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Features (rows, features) and symbols (rows, slots) to numbers (rows,)."""
        x = torch.cat([(features - self.mean) / self.scale, self.symbols(tokens).flatten(1)], dim=1)
        x = self.inward(x)
        for block in self.hidden:
            x = x + block(x)
        made: Tensor = self.outward(x).squeeze(1)
        return made.tanh() if self.bounded else made


class NetworkPolicy:
    """Softmax over the numbers that a network gives the steps that are possible.

    Attributes
    ----------
    network
        Gives a score a step.
    """

    def __init__(self, network: StepNetwork) -> None:
        self.network = network

    def scores(self, rows: Described) -> Array:
        """Score of each step, (rows,)."""
        return _numbers(self.network, rows)

    def log_probabilities(self, choices: Choices) -> Array:
        """log-probability of each step within its decision, (rows,)."""
        return choices.log_softmax(self.scores(choices.rows))

    def copy(self) -> NetworkPolicy:
        """An independent copy, as a frozen reference must be."""
        twin = copy.deepcopy(self.network)
        for parameter in twin.parameters():
            parameter.requires_grad_(False)
        return NetworkPolicy(twin)


class NetworkValue:
    """Values of prefixes by a network whose end is a tanh."""

    def __init__(self, network: StepNetwork) -> None:
        self.network = network

    def values(self, rows: Described) -> Array:
        """Values in (-1, 1), (rows,)."""
        return _numbers(self.network, rows)


def tensors(rows: Described) -> tuple[Tensor, Tensor]:
    """Features and symbols as the network reads them."""
    return torch.tensor(rows.features, dtype=torch.float32), torch.tensor(rows.tokens, dtype=torch.long)


def segment_log_softmax(scores: Tensor, owner: Tensor, count: int) -> Tensor:
    """log-probability of each row within the rows of the same owner, (rows,); differentiable."""
    top = torch.full((count,), -torch.inf).scatter_reduce(0, owner, scores.detach(), "amax")
    shifted = scores - top[owner]
    total = torch.zeros(count).index_add(0, owner, shifted.exp())
    return shifted - total.log()[owner]


def _numbers(network: StepNetwork, rows: Described) -> Array:
    network.eval()
    features, tokens = tensors(rows)
    with torch.no_grad():
        parts = [
            network(features[i : i + CHUNK], tokens[i : i + CHUNK]).numpy().astype(float)
            for i in range(0, len(rows), CHUNK)
        ]
    return np.concatenate(parts) if parts else np.zeros(0)
