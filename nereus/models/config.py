"""What every method's configuration has in common. Configurations are data: validated, immutable, JSON both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nereus.explained import Explained


class TrainingOptions(Explained):
    """How a network is trained. A method's configuration holds one, with the defaults of its paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=30, ge=1)
    """Passes over the training data (episodes of meta-learning: see the method)."""
    batch_size: int = Field(default=64, ge=1)
    """Rows of a batch."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Step size of AdamW, before the schedule."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of AdamW (with 0 it is Adam)."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """How the step size goes from its peak to its end."""
    end_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of the peak step size that a falling schedule ends with."""
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps in which the step size rises linearly."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient."""
    clip_value: float | None = Field(default=None, gt=0)
    """Largest absolute value of an entry of the gradient."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are averaged before a step."""
    average: float | None = Field(default=None, gt=0, lt=1)
    """Decay of the exponential moving average of the weights, which is then what predicts."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better validation loss after which training stops; the best weights are kept."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward pass; weights stay float32."""
    compile: bool = False
    """Compile the network with `torch.compile`: worth its minute on a GPU, not on small data."""
    workers: int = Field(default=0, ge=0)
    """Processes that make batches ahead."""
    checkpoint_every: int = Field(default=1, ge=1)
    """Epochs between two checkpoints, where a session keeps any."""


class Config(Explained):
    """Base of every method's configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    random_state: int = Field(default=0, ge=0, lt=2**31)
    """Seed of everything random: equal seeds give equal results on equal machines."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """Where to compute: ``auto`` takes a GPU where there is one."""
    training: TrainingOptions = TrainingOptions()
    """How the network is trained."""

    @model_validator(mode="before")
    @classmethod
    def _rest_of_a_part_stays(cls, given: Any) -> Any:
        """``{"training": {"epochs": 5}}`` changes the epochs alone; all else of the part is as the method has it."""
        if not isinstance(given, Mapping):
            return given
        return {
            name: {**part_defaults(cls, name), **value} if isinstance(value, Mapping) else value
            for name, value in given.items()
        }


def part_defaults(config: type[Config], field: str) -> dict[str, Any]:
    """Values of a part of a configuration as it is by default; empty where there is no such part."""
    found = config.model_fields.get(field)
    default = None if found is None else found.get_default(call_default_factory=True)
    return default.model_dump() if isinstance(default, BaseModel) else {}
