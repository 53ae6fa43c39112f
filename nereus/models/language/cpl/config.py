"""CPL's configuration. Defaults are for a laptop; what the paper takes is in the comments."""

from __future__ import annotations

from pydantic import Field, model_validator

from nereus.models.config import Config, TrainingOptions


class CPLConfig(Config):
    """What the policy is made of, and how it learns: first to imitate, then to prefer."""

    layers: int = Field(default=4, ge=1, le=64)
    """Layers of the decoder."""
    width: int = Field(default=128, ge=8)
    """Width of a character's vector."""
    heads: int = Field(default=4, ge=1)
    """Attention heads, a divisor of `width`."""
    context: int = Field(default=256, ge=8, le=8192)
    """Longest prefix with its step, in characters; 1,024 tokens in the paper. Longer rows are left out and counted."""
    beta: float = Field(default=0.3, gt=0)
    """Strength of the pull to the policy that imitates."""
    alpha: float = Field(default=1.0, ge=0)
    """Share of the advantage gap that is demanded as margin; 0 is DPO on steps."""
    soft_labels: bool = False
    """Take the better step to win with a probability that follows the gap, instead of always."""
    tau: float = Field(default=1.0, gt=0)
    """Temperature of soft labels."""
    validation: float = Field(default=0.1, ge=0, lt=0.9)
    """Share of the pairs, the last ones, that preferences are stopped by."""
    training: TrainingOptions = TrainingOptions(
        epochs=5, batch_size=16, learning_rate=1e-3, schedule="cosine", warmup=0.1, clip_norm=1.0
    )
    """Imitation of the better steps. In the paper 1e-5 and 5 epochs, from a model of 7 billion weights."""
    preferring: TrainingOptions = TrainingOptions(
        epochs=3, batch_size=8, learning_rate=1e-4, schedule="cosine", warmup=0.1, clip_norm=1.0, patience=2
    )
    """Preferences: a tenth of the step size. In the paper 1e-6 and 3 epochs."""

    @model_validator(mode="after")
    def _fits(self) -> CPLConfig:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError("width must be a multiple of heads that leaves an even number for each")
        return self
