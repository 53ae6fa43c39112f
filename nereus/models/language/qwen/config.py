"""Qwen's configuration. Defaults are for a laptop; `PAPER` has the shapes of the report's models."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from nereus.models.config import Config, TrainingOptions


class QwenConfig(Config):
    """What the decoder is made of, and what it learns from."""

    layers: int = Field(default=4, ge=1, le=128)
    """Layers of the decoder."""
    width: int = Field(default=128, ge=8)
    """Width of a token's vector."""
    heads: int = Field(default=4, ge=1)
    """Attention heads, a divisor of `width` that leaves an even number."""
    kv_heads: int | None = Field(default=None, ge=1)
    """Heads of keys and values, a divisor of `heads`; None has as many as queries, as in the report."""
    feed_forward: int | None = Field(default=None, ge=8)
    """Width within a block's gated layer; None is 8/3 of `width`, as in the report, up to a multiple of 8."""
    vocabulary: int = Field(default=1024, ge=260)
    """Tokens that are learned from the texts, bytes and control tokens among them; 151,851 in the report."""
    context: int = Field(default=128, ge=8, le=32_768)
    """Tokens that it is trained to read at once; 2,048 in the report. Longer texts: `score`, option ``long_context``."""
    rope_base: float = Field(default=10_000.0, gt=1)
    """Base of the rotary embedding of positions."""
    norm_eps: float = Field(default=1e-6, gt=0)
    """What is added to the mean square before its root."""
    tokens: int = Field(default=1_000_000, ge=100)
    """Tokens that training reads, counting those that it reads again."""
    validation: float = Field(default=0.1, ge=0, lt=0.9)
    """Share of the texts, the last ones, that are kept out of training and judge it."""
    training: TrainingOptions = TrainingOptions(
        epochs=4, batch_size=16, learning_rate=2e-3, weight_decay=0.1, schedule="cosine", end_rate=0.05, warmup=0.03,
        clip_norm=1.0,
    )  # fmt: skip
    """How it learns; a batch has `batch_size` rows of `context` tokens. In the report: 3e-4, cosine to a tenth, 4 million tokens
    a batch."""

    @property
    def inner(self) -> int:
        """Width within a block's gated layer."""
        return self.feed_forward or -(-8 * self.width // 3 // 8) * 8

    @property
    def groups(self) -> int:
        """Heads of keys and values."""
        return self.kv_heads or self.heads

    @model_validator(mode="after")
    def _fits(self) -> QwenConfig:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError("width must be a multiple of heads that leaves an even number for each")
        if self.width // self.heads < 4:
            raise ValueError("a head needs a width of four or more")
        if self.heads % self.groups:
            raise ValueError("heads must be a multiple of kv_heads")
        return self


PAPER: dict[str, dict[str, Any]] = {
    "1.8B": {"layers": 24, "width": 2048, "heads": 16, "context": 2048, "vocabulary": 151_851},
    "7B": {"layers": 32, "width": 4096, "heads": 32, "context": 2048, "vocabulary": 151_851},
    "14B": {"layers": 40, "width": 5120, "heads": 40, "context": 2048, "vocabulary": 151_851},
}
"""Shapes of the report's models, as ``Qwen(**PAPER["1.8B"])``."""
