"""The denoiser: RoBERTa over words and atoms in one sequence, with bonds as biases of attention that every layer renews.

Sequence of a row: ``<s> words </s>``, one start mark for each graph, the atoms of the molecule that is edited (never noised), the
slots of the molecule that is made. Positions restart in each graph, and those of the atoms are shuffled, so order tells
nothing of them. There is no closing mark, for the number of slots is fixed, and source and target differ by a vector of their
kind; both are choices of ours where the paper is silent.

References
----------
Liu et al.: RoBERTa. arXiv:1907.11692 (the transformer, of which the layers of `transformers.RobertaModel` are used).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers import RobertaConfig, RobertaModel

from nereus.models.molecules.utgdiff.config import UTGDiffConfig
from nereus.models.molecules.utgdiff.graphs import BOND_CLASSES
from nereus.models.molecules.utgdiff.packed import Batch

_KEPT = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings", "type_vocab_size",
    "layer_norm_eps", "pad_token_id", "initializer_range",
)  # fmt: skip
_TARGET, _SOURCE = 0, 1
_INITIAL, _FULL_WIDTH = 0.02, 768
"""Standard deviation of RoBERTa's weights at the start, and its width. Narrower ones start from larger weights, or attention,
from which bonds are told, would start from nothing."""


def shape_of(config: RobertaConfig) -> dict[str, Any]:
    """The sizes of a transformer, as JSON values."""
    return {name: getattr(config, name) for name in _KEPT}


def own_shape(config: UTGDiffConfig, words: int, pad: int, slots: int) -> dict[str, Any]:
    """The sizes of a transformer that starts from nothing."""
    return {
        "vocab_size": words,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "max_position_embeddings": max(config.text_tokens, slots) + pad + 2,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pad_token_id": pad,
        "initializer_range": _INITIAL * math.sqrt(_FULL_WIDTH / config.width),
    }


class Denoiser(nn.Module):
    """Tells the clean atoms and bonds of a noised graph from an instruction.

    Parameters
    ----------
    shape
        Sizes of the transformer.
    classes
        Classes of a slot, the mask last.
    told_level
        Whether it is told the level of noise, which absorbing noise shows by itself.
    """

    def __init__(self, shape: Mapping[str, Any], classes: int, told_level: bool = False) -> None:
        super().__init__()
        config = RobertaConfig(**shape)
        self.transformer = RobertaModel(config, add_pooling_layer=False)
        width, heads = config.hidden_size, config.num_attention_heads
        self.pad, self.classes = int(shape["pad_token_id"]), classes
        self.slots = nn.Embedding(classes, width)
        self.starts = nn.Embedding(2, width)
        self.kinds = nn.Embedding(2, width)
        self.level = nn.Linear(width, width) if told_level else None
        self.bonds = nn.Embedding(BOND_CLASSES, heads)
        self.bonds_norm = nn.LayerNorm(heads)
        layers = config.num_hidden_layers
        self.renewals = nn.ModuleList(Narrow(heads, heads, width / heads) for _ in range(layers))
        self.renewal_norms = nn.ModuleList(nn.LayerNorm(heads) for _ in range(layers))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.atom_dense = nn.Linear(width, width)
        self.atom_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.atom_bias = nn.Parameter(torch.zeros(classes - 1))
        self.bond_head = Narrow(heads, BOND_CLASSES - 1, width / heads)
        for embedding in (self.slots, self.starts, self.kinds):
            nn.init.normal_(embedding.weight, std=config.initializer_range)

    def forward(
        self, batch: Batch, atoms: Tensor, edges: Tensor, positions: Tensor, level: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores of the clean classes.

        Parameters
        ----------
        batch
            Instructions, and molecules to edit.
        atoms, edges
            Noised slots (B, S) and pairs (B, S, S).
        positions
            Of the slots, from zero, (B, S).
        level
            Level of noise, zero to one, (B,), where the network is told it.

        Returns
        -------
        atoms : Tensor
            (B, S, K - 1).
        edges : Tensor
            (B, S, S, 5), symmetric in the pair.
        """
        x, seen, head = self._sequence(batch, atoms, positions, level)
        bias, related = self._biases(batch, edges)
        hidden = torch.zeros_like(seen, dtype=x.dtype).masked_fill(~seen, torch.finfo(x.dtype).min)
        for layer, renew, norm in zip(
            self.transformer.encoder.layer, self.renewals, self.renewal_norms, strict=True
        ):
            x, bias = self._layer(layer, renew, norm, x, bias, related, hidden[:, None, None, :], head)
        first = x.shape[1] - atoms.shape[1]
        told = self.atom_norm(gelu(self.atom_dense(x[:, first:])))
        source = batch.source.shape[1]
        return (
            told @ self.slots.weight[: self.classes - 1].T + self.atom_bias,
            self.bond_head(bias[:, source:, source:]),
        )

    def _sequence(
        self, batch: Batch, atoms: Tensor, positions: Tensor, level: Tensor | None
    ) -> tuple[Tensor, Tensor, int]:
        """Vectors (B, N, width), which of them are there (B, N), and how many come before the atoms."""
        parts = self.transformer.embeddings
        first = self.pad + 1
        device = atoms.device
        rows, length = batch.text.shape
        source = batch.source.shape[1]
        words = parts.word_embeddings(batch.text) + parts.token_type_embeddings.weight[0]
        at = [torch.arange(length, device=device).expand(rows, -1)]
        vectors, seen = [words], [batch.said]
        edited = batch.source != self.classes - 2  # of the slots that fill up there is nothing to see
        if source:
            vectors.append(self.starts.weight[_SOURCE].expand(rows, 1, -1))
            at.append(at[0].new_zeros(rows, 1))
            seen.append(edited.any(1, keepdim=True))
        target = self.starts.weight[_TARGET].expand(rows, 1, -1)
        vectors.append(target if level is None else target + self._told(level)[:, None])
        at.append(at[0].new_zeros(rows, 1))
        seen.append(seen[0].new_ones(rows, 1))
        head = sum(one.shape[1] for one in vectors)
        if source:
            vectors.append(self.slots(batch.source) + self.kinds.weight[_SOURCE])
            places = shuffled(edited.sum(1), source) if self.training else torch.arange(source, device=device)
            at.append(1 + places.expand(rows, -1))
            seen.append(edited)
        slots = self.slots(atoms) + self.kinds.weight[_TARGET]
        vectors.append(slots if level is None else slots + self._told(level)[:, None])
        at.append(1 + positions)
        seen.append(seen[0].new_ones(atoms.shape))
        x = torch.cat(vectors, 1) + parts.position_embeddings(first + torch.cat(at, 1))
        return parts.dropout(parts.LayerNorm(x)), torch.cat(seen, 1), head

    def _biases(self, batch: Batch, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of the pairs (B, G, G, heads), zero between the two graphs, and which pairs are of one graph (G, G)."""
        source, size = batch.source.shape[1], batch.source.shape[1] + edges.shape[1]
        pairs = edges.new_zeros(len(edges), size, size)
        pairs[:, :source, :source] = batch.source_edges
        pairs[:, source:, source:] = edges
        edited = torch.arange(size, device=edges.device) < source
        related = (edited[:, None] == edited[None, :])[None, :, :, None]
        return self.bonds_norm(self.bonds(pairs)) * related, related

    def _layer(
        self, layer: Any, renew: nn.Module, norm: nn.Module, x: Tensor, bias: Tensor, related: Tensor, hidden: Tensor, head: int,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """One layer of RoBERTa with biases, and the biases of the next."""
        attention = layer.attention.self
        heads, size = attention.num_attention_heads, attention.attention_head_size
        query, key, value = (
            part(x).unflatten(-1, (heads, size)).transpose(1, 2)
            for part in (attention.query, attention.key, attention.value)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(size)  # (B, heads, N, N)
        block = scores[:, :, head:, head:] + bias.permute(0, 3, 1, 2)
        scores = torch.cat([scores[:, :, :head], torch.cat([scores[:, :, head:, :head], block], -1)], -2)
        weights = attention.dropout((scores + hidden).softmax(-1))
        context = (weights @ value).transpose(1, 2).flatten(2)
        x = layer.feed_forward_chunk(layer.attention.output(context, x))
        renewed = norm(bias + self.dropout(renew(block.permute(0, 2, 3, 1))))
        return x, (renewed + renewed.transpose(1, 2)) / 2 * related

    def _told(self, level: Tensor) -> Tensor:
        """Vectors of noise levels, (B, width)."""
        assert self.level is not None
        width = self.level.in_features
        rates = torch.exp(
            torch.arange(width // 2, device=level.device) * (-math.log(10_000.0) / (width // 2))
        )
        angles = 1000 * level[:, None].float() * rates
        told: Tensor = self.level(
            torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width % 2))
        )
        return told


class Narrow(nn.Module):
    """A linear layer of few inputs, which learns as fast as one of many.

    Adam moves every weight alike, so what a layer says moves with the number of its inputs: bonds, told from a handful of
    values, would be learned far later than atoms. The layer is the same at the start, and any that it could be; its steps
    are `gain` times as long. A choice of ours.
    """

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.inner = nn.Linear(inputs, outputs)
        with torch.no_grad():
            for parameter in self.inner.parameters():
                parameter.div_(gain)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        told: Tensor = self.gain * self.inner(x)
        return told


def shuffled(sizes: Tensor, slots: int) -> Tensor:
    """Positions of slots: those of the first `sizes` are shuffled among each other, the others stay in order; (B, slots)."""
    place = torch.arange(slots, device=sizes.device).expand(len(sizes), -1)
    keys = torch.where(place < sizes[:, None], torch.rand(place.shape, device=sizes.device), 1.0 + place)
    return keys.argsort(1)
