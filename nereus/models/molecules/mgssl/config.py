"""MGSSL's configuration. Defaults are for a laptop; the paper's scale is ``layers=5, width=300`` and 100 epochs of each stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nereus.models.config import Config, TrainingOptions


class MGSSLConfig(Config):
    """What MGSSL is made of, how it learns from molecules without labels, and how from labels."""

    layers: int = Field(default=3, ge=1, le=12)
    """Layers of the graph network; 5 in the paper."""
    width: int = Field(default=64, ge=4)
    """Width of the vectors of atoms, motifs and messages; 300 in the paper."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of entries that are dropped after each layer while pre-training."""
    tasks: Literal["all", "motifs", "atoms", "none"] = "all"
    """What is learned without labels: motifs with atoms and bonds, either alone, or nothing (the controls)."""
    rules: Literal["both", "brics"] = "both"
    """Where molecules are cut: at BRICS bonds and by both further rules, or at BRICS bonds alone."""
    order: Literal["dfs", "bfs"] = "dfs"
    """How the tree of motifs is grown: depth first with backtracking, or level by level."""
    siblings: Literal["canonical", "random"] = "canonical"
    """Order in which a motif's children come: by canonical rank, or anew in each batch, drawn from `random_state`."""
    least_count: int = Field(default=1, ge=1)
    """Motifs that occur less often in the training molecules share the class of unknown ones."""
    mask_share: float = Field(default=0.15, gt=0, lt=1)
    """Share of atoms, and of bonds, that are hidden and have to be told."""
    weighting: Literal["frank-wolfe", "unit-frank-wolfe", "equal"] = "frank-wolfe"
    """Weights of the three losses: those of the shortest convex combination of their gradients in every step (which favours
    the smallest gradient), the same after each was brought to length one, or a third each (the control)."""
    weighting_steps: int = Field(default=250, ge=1)
    """Most iterations of Frank-Wolfe in a step of training."""
    pretrained: str | None = None
    """Folder or file of a saved MGSSL of equal width and layers: it is fine-tuned, and nothing is pre-trained."""
    training: TrainingOptions = TrainingOptions(epochs=10, batch_size=32, learning_rate=1e-3)
    """How it learns without labels."""
    finetuning: TrainingOptions = TrainingOptions(epochs=30, batch_size=32, learning_rate=1e-3)
    """How it learns from labels."""
    finetuning_dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of entries that are dropped after each layer while fine-tuning."""
    validation: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of the labelled molecules, of other scaffolds than the rest, whose loss is told and with ``finetuning.patience``
    decides the epoch that is kept; 0 learns from all."""
