"""UniMatch's configuration. Defaults are for a laptop; the paper's scale is ``layers=5, width=300`` and 2,000 episodes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nereus.models.config import Config, TrainingOptions


class UniMatchConfig(Config):
    """What UniMatch is made of, and how it meta-learns."""

    layers: int = Field(default=3, ge=1, le=12)
    """Layers of the graph network; matching is done after each."""
    width: int = Field(default=64, ge=4)
    """Width of an atom's vector."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of entries that are dropped after each layer while training."""
    levels: Literal["all", "last"] = "all"
    """Match after every layer, or after the last only (the control that the paper leaves out)."""
    task_matching: Literal["maml", "relation", "none"] = "maml"
    """How a task finds its own parameters: gradient steps on its support, these from a start that related tasks of the
    training set shape, or not at all."""
    inner_steps: int = Field(default=1, ge=1)
    """Gradient steps on a task's support."""
    inner_rate: float = Field(default=0.1, gt=0)
    """Step size of these steps."""
    second_order: bool = True
    """Whether meta-learning differentiates through these steps."""
    shots: int = Field(default=10, ge=1)
    """Molecules of each class in a support set while meta-training."""
    queries: int = Field(default=16, ge=1)
    """Query molecules of each task of a meta-batch."""
    tasks: int = Field(default=3, ge=1)
    """Tasks of a meta-batch."""
    episodes: int = Field(default=30, ge=1)
    """Meta-batches of an epoch."""
    offset_rank: int = Field(default=4, ge=1)
    """Rank of the learned offsets of training tasks (``task_matching="relation"``)."""
    relation_temperature: float = Field(default=0.1, gt=0)
    """Sharpness of the softmax over related tasks."""
    pretrained: str | None = None
    """Folder or file of a saved MGSSL of equal width and layers, whose encoder meta-training starts from."""
    encoder: Literal["learns", "frozen"] = "learns"
    """Whether meta-training changes the graph network, or only how its vectors are compared: the control that tells what
    meta-learning gave beside random features, and a choice where `pretrained` is good and tasks are few."""
    training: TrainingOptions = TrainingOptions(
        epochs=30, batch_size=1, learning_rate=1e-3, weight_decay=5e-5, clip_norm=1.0, average=0.98
    )
    """How the network is trained; `batch_size` is the number of meta-batches a step and is one."""
