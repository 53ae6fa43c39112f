"""UTGDiff's configuration. Defaults are for a laptop; the paper's network is RoBERTa-base."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nereus.models.config import Config, TrainingOptions


class UTGDiffConfig(Config):
    """What UTGDiff is made of, how it adds and takes away noise, and how it learns."""

    layers: int = Field(default=4, ge=1, le=48)
    """Layers of the transformer; 12 in the paper."""
    width: int = Field(default=128, ge=8)
    """Width of the vectors of words and atoms, a multiple of the heads; 768 in the paper."""
    heads: int = Field(default=8, ge=4)
    """Heads of attention, which is also the width of the vectors of bonds (brought to mean 0 and variance 1 in every layer, so
    that fewer than four tell next to nothing); 12 in the paper."""
    feed_forward: int = Field(default=512, ge=8)
    """Width within the feed-forward parts; 3,072 in the paper."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of entries that are dropped while training."""
    pretrained: str | None = None
    """Folder of a RoBERTa with its tokenizer as transformers saves them (``config.json, model.safetensors, tokenizer.json``): the
    transformer starts from it, and its sizes go before those given here."""
    vocabulary: int = Field(default=4000, ge=300)
    """Most tokens of the tokenizer that is made from the instructions, where none is loaded."""
    text_tokens: int = Field(default=128, ge=4, le=512)
    """Tokens of an instruction; longer ones are cut, and told."""
    most_atoms: int = Field(default=125, ge=1, le=500)
    """Larger molecules (without hydrogens) are not learned from, and told."""
    noise: Literal["absorbing", "uniform"] = "absorbing"
    """What noise turns atoms and bonds into: a hidden token, or any other one (the control, which is told the noise level)."""
    steps: int = Field(default=2000, ge=2)
    """Steps T of the noise; after t of them a share of t / T is noise."""
    auxiliary: float = Field(default=3e-4, ge=0)
    """Weight of the cross-entropy of the clean graph beside the divergence of one step."""
    no_text: float = Field(default=0.1, ge=0, le=1)
    """Share of molecules whose instruction is withheld in a batch, so that molecules can also be made without any."""
    jumps: int = Field(default=50, ge=1)
    """Jumps in which the steps of the noise are taken back while generating."""
    temperature: float = Field(default=1.0, gt=0)
    """Divides the scores of atoms and bonds before they are drawn from."""
    top_k: int = Field(default=15, ge=1)
    """Atoms and bonds are drawn from so many of the likeliest."""
    repairs: int = Field(default=5, ge=0)
    """Attempts to mend rings without alternating bonds by a hydrogen on an aromatic nitrogen; 0 mends none."""
    validation: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of the molecules, at random, whose loss is told and with ``training.patience`` decides the epoch that is kept; 0
    learns from all."""
    training: TrainingOptions = TrainingOptions(
        epochs=30, batch_size=64, learning_rate=1e-3, warmup=0.1, schedule="cosine", clip_norm=1.0
    )
    """How it learns; in the paper AdamW at 5e-5 after 10,000 steps of warm-up, gradients clipped by value at 5."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self
