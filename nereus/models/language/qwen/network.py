"""The decoder of the Qwen family: rotary positions in float32, biases on queries, keys and values only, RMSNorm before, SwiGLU.

Names of the weights are those of transformers' ``Qwen2ForCausalLM``, so that either reads the other's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from nereus.models.language.qwen.config import QwenConfig
from nereus.models.language.qwen.long_context import LongContext

_SPREAD = 0.02


@dataclass
class Cache:
    """Keys (before rotation) and values of the tokens that were read, (rows, kv heads, length, head width) a layer."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    read: Tensor | None = None
    """Which of them are tokens, (rows, length); the others are padding on the left."""


@dataclass
class _Places:
    """Where tokens stand: what all layers of one pass share."""

    table: tuple[Tensor, Tensor]
    """Cosines and sines for all tokens so far, (rows, 1, length, head width)."""
    scale: Tensor | None
    """Factor of the new queries, (rows, 1, new, 1)."""
    allowed: Tensor | None
    """Who sees whom, (rows, 1, new, length); None where each sees all before it."""
    distance: Tensor
    """Position of the query minus that of the key, (rows, 1, new, length), or of shape (0,) where no window asks."""


class RMSNorm(nn.Module):
    """Division by the root of the mean square, in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class Attention(nn.Module):
    """Causal attention with rotary positions; keys and values may be shared by several queries."""

    def __init__(self, config: QwenConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.layers = layer, config.layers
        self.heads, self.groups, self.head = config.heads, config.groups, config.width // config.heads
        self.q_proj = nn.Linear(config.width, self.heads * self.head, bias=True)
        self.k_proj = nn.Linear(config.width, self.groups * self.head, bias=True)
        self.v_proj = nn.Linear(config.width, self.groups * self.head, bias=True)
        self.o_proj = nn.Linear(self.heads * self.head, config.width, bias=False)

    def forward(self, x: Tensor, places: _Places, cache: Cache | None, long: LongContext) -> Tensor:
        """(rows, new, width) to the same shape."""
        rows, new, _ = x.shape
        queries = self.q_proj(x).view(rows, new, self.heads, self.head).transpose(1, 2)
        keys = self.k_proj(x).view(rows, new, self.groups, self.head).transpose(1, 2)
        values = self.v_proj(x).view(rows, new, self.groups, self.head).transpose(1, 2)
        if cache is not None:
            if len(cache.keys) > self.layer:
                keys = torch.cat([cache.keys[self.layer], keys], dim=2)
                values = torch.cat([cache.values[self.layer], values], dim=2)
                cache.keys[self.layer], cache.values[self.layer] = keys, values
            else:
                cache.keys.append(keys)
                cache.values.append(values)
        cosine, sine = places.table
        queries = rotated(queries, cosine[:, :, -new:], sine[:, :, -new:])
        keys = rotated(keys, cosine, sine)
        if places.scale is not None:
            queries = (queries.float() * places.scale).to(queries.dtype)
        if self.groups != self.heads:
            keys = keys.repeat_interleave(self.heads // self.groups, dim=1)
            values = values.repeat_interleave(self.heads // self.groups, dim=1)
        allowed = places.allowed
        window = long.window(self.layer, self.layers)
        if window is not None and keys.shape[2] > window:
            near = places.distance < window
            allowed = near & (places.distance >= 0) if allowed is None else allowed & near
        mixed = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=allowed, is_causal=allowed is None and new > 1
        )
        found: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(rows, new, -1))
        return found


class GatedLayer(nn.Module):
    """SwiGLU."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        found: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return found


class Block(nn.Module):
    """Attention and gated layer, each after a norm and added to what came in."""

    def __init__(self, config: QwenConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = GatedLayer(config.width, config.inner)
        self.input_layernorm = RMSNorm(config.width, config.norm_eps)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_eps)

    def forward(self, x: Tensor, places: _Places, cache: Cache | None, long: LongContext) -> Tensor:
        """(rows, new, width) to the same shape."""
        x = x + self.self_attn(self.input_layernorm(x), places, cache, long)
        found: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return found


class Decoder(nn.Module):
    """Tokens to vectors."""

    def __init__(self, config: QwenConfig, vocabulary: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, config.width)
        self.layers = nn.ModuleList([Block(config, layer) for layer in range(config.layers)])
        self.norm = RMSNorm(config.width, config.norm_eps)


class QwenNetwork(nn.Module):
    """Tokens to the next token.

    Parameters
    ----------
    config
        Shape.
    vocabulary
        Number of tokens; that of the configuration where texts gave as many.
    """

    def __init__(self, config: QwenConfig, vocabulary: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary or config.vocabulary
        self.model = Decoder(config, self.vocabulary)
        self.lm_head = nn.Linear(config.width, self.vocabulary, bias=False)
        for one in self.modules():
            if isinstance(one, nn.Linear | nn.Embedding):
                nn.init.normal_(one.weight, std=_SPREAD)
            if isinstance(one, nn.Linear) and one.bias is not None:
                nn.init.zeros_(one.bias)

    def vectors(
        self,
        tokens: Tensor,
        read: Tensor | None = None,
        cache: Cache | None = None,
        long: LongContext | None = None,
    ) -> Tensor:
        """Vectors of the last layer, (rows, new, width).

        Parameters
        ----------
        tokens
            Numbers of the new tokens, (rows, new).
        read
            Which of them are tokens and not padding on the left, (rows, new); None for all.
        cache
            What was read before; is added to.
        long
            What is done beyond the trained length.
        """
        long = long or LongContext(self.config.context)
        places = self._places(tokens, read, cache, long)
        x = self.model.embed_tokens(tokens)
        for block in self.model.layers:
            x = block(x, places, cache, long)
        found: Tensor = self.model.norm(x)
        return found

    def forward(
        self,
        tokens: Tensor,
        read: Tensor | None = None,
        cache: Cache | None = None,
        long: LongContext | None = None,
    ) -> Tensor:
        """Logits of the next token, (rows, new, vocabulary); see `vectors`."""
        found: Tensor = self.lm_head(self.vectors(tokens, read, cache, long))
        return found

    def _places(self, tokens: Tensor, read: Tensor | None, cache: Cache | None, long: LongContext) -> _Places:
        new = tokens.shape[1]
        padded = read is not None and not bool(read.all())
        now = torch.ones_like(tokens, dtype=torch.bool) if read is None else read.bool()
        before = cache.read if cache is not None else None
        if before is not None:
            padded = padded or not bool(before.all())
            now = torch.cat([before, now], dim=1)
        if cache is not None:
            cache.read = now
        length = now.shape[1]
        positions = (now.long().cumsum(1) - 1).clamp(min=0)
        base = long.base(length, self.config.rope_base, self.config.width // self.config.heads)
        queries = positions[:, -new:]
        scale = long.query_scale(queries)
        windows = any(
            (size := long.window(layer, self.config.layers)) is not None and length > size
            for layer in range(self.config.layers)
        )
        order = torch.arange(length, device=tokens.device)
        distance = order[-new:, None] - order[None]
        allowed = None
        if padded or windows or (new > 1 and length > new):
            seen = (distance >= 0)[None] & (now[:, None, :] | (distance == 0)[None])
            allowed = seen[:, None]
        return _Places(
            self.table(positions, base),
            None if scale is None else scale[:, None, :, None],
            allowed,
            distance[None, None],
        )

    def table(self, positions: Tensor, base: float) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions (rows, length), in float32: (rows, 1, length, head width) each."""
        head = self.config.width // self.config.heads
        exponents = torch.arange(0, head, 2, device=positions.device, dtype=torch.float32) / head
        angles = positions[..., None].float() * (1.0 / base**exponents)
        angles = torch.cat([angles, angles], dim=-1)[:, None]
        return angles.cos(), angles.sin()


def rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Vectors turned by their positions; halves of a vector are the two parts of each plane.

    Angles are in float32, the turn itself in the precision of the vectors, as the family was trained.
    """
    first, second = x.chunk(2, dim=-1)
    return x * cosine.to(x.dtype) + torch.cat([-second, first], dim=-1) * sine.to(x.dtype)
