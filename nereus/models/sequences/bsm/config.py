"""BSM's configuration. Defaults are for a laptop; `PAPER_110M` and `PAPER_270M` have the paper's shapes and rounds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from nereus.explained import Explained
from nereus.models.config import Config, TrainingOptions


class Mix(Explained):
    """Shares of the tokens by kind of data; need not sum to one. Kinds that the data lack leave theirs to the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    single: float = Field(default=0.0, ge=0)
    """Sequences alone."""
    pairs: float = Field(default=0.0, ge=0)
    """DNA, RNA and protein of one gene, in any order."""
    related: float = Field(default=0.0, ge=0)
    """Sequences of genes that are linked with each other (one symbol in several records)."""
    web: float = Field(default=0.0, ge=0)
    """Sequences of one document: of a text, or of neighbouring genes."""

    @model_validator(mode="after")
    def _something(self) -> Mix:
        if not self.single + self.pairs + self.related + self.web:
            raise ValueError("a mix needs a share above zero")
        return self


class Round(Explained):
    """One round of training: which data, how many of the tokens, how fast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mix: tuple[Mix, ...] = Field(min_length=1)
    """What is trained on. Of several, a short annealing from the round before chooses."""
    share: float = Field(gt=0)
    """Share of all tokens; shares need not sum to one."""
    rate: float = Field(default=1.0, gt=0)
    """Step size at its start, in parts of ``training.learning_rate``."""
    end_rate: float = Field(default=1.0, ge=0)
    """Step size at its end, in parts of ``training.learning_rate``; not above `rate`."""

    @model_validator(mode="after")
    def _falls(self) -> Round:
        if self.end_rate > self.rate:
            raise ValueError("the step size of a round does not rise: end_rate is above rate")
        return self


LAPTOP_ROUNDS = (
    Round(mix=(Mix(single=1),), share=0.1, rate=1.0, end_rate=1.0),
    Round(mix=(Mix(single=1, pairs=8, related=1),), share=0.75, rate=1.0, end_rate=0.2),
    Round(mix=(Mix(single=1, pairs=4, related=1, web=2), Mix(single=1, pairs=1, related=1, web=8)), share=0.15,
          rate=0.2, end_rate=0.0),
)  # fmt: skip
"""Three rounds as in the paper, in other shares: what belongs together is learned from few tokens, so it comes first."""
PAPER_ROUNDS = (
    Round(mix=(Mix(single=1),), share=100, rate=1.0, end_rate=0.5),
    Round(mix=(Mix(single=10, pairs=2, related=1),), share=156, rate=0.5, end_rate=0.005),
    Round(mix=(Mix(single=1, related=1, web=10),), share=16, rate=0.05, end_rate=0.0),
)
"""The paper's rounds, shares in billions of tokens, with a step size of 2e-5. Of the last, 1:1:10, the second part is taken to be
the gene-related sequences."""


class BSMConfig(Config):
    """What BSM is made of, what it learns from and in which order."""

    layers: int = Field(default=2, ge=1, le=64)
    """Layers of the decoder; 12 (110M) and 20 (270M) in the paper."""
    width: int = Field(default=128, ge=8)
    """Width of a token's vector; 768 and 896 in the paper."""
    heads: int = Field(default=4, ge=1)
    """Attention heads, a divisor of `width` that leaves an even number; 12 and 16 in the paper."""
    widening: int = Field(default=4, ge=1)
    """Width of the gated layer inside a block, in parts of `width`."""
    context: int = Field(default=256, ge=16, le=8192)
    """Tokens that the model sees at once; 1,024 in the paper."""
    rope_base: float = Field(default=100_000.0, gt=1)
    """Base of the rotary embedding of positions."""
    codons: tuple[int, int] = (8, 40)
    """Fewest and most codons of a window of gene and protein in training; both are cut at the same codons."""
    reverse_strand: bool = True
    """Whether DNA that stands alone is read from either strand in training; that of genes keeps its coding strand."""
    modality: Literal["auto", "dna", "rna", "protein"] = "auto"
    """What sequences are where no column says so; ``auto`` tells it from the letters."""
    too_long: Literal["error", "truncate", "window"] = "window"
    """What is done with a sequence that the context does not hold: refuse, cut, or read in overlapping windows. (Of a pair,
    whose parts are then cut in proportion, ``window`` cuts as well.)"""
    tokens: int = Field(default=1_000_000, ge=100)
    """Tokens of all rounds together, whatever they are made of; 272 billion in the paper."""
    rounds: tuple[Round, ...] = Field(default=LAPTOP_ROUNDS, min_length=1)
    """Rounds of training; each has ``training.epochs`` parts, after which progress is told and the state is kept."""
    annealing_batches: int = Field(default=20, ge=1)
    """Batches for each candidate, where a round has several mixes; 1,000 and 500 in the paper."""
    validation: float = Field(default=0.05, ge=0, lt=0.5)
    """Share of families of genes that are kept out of training and judge mixes; 0 learns from all."""
    training: TrainingOptions = TrainingOptions(
        epochs=4, batch_size=8, learning_rate=2e-3, weight_decay=0.01, warmup=0.02, clip_norm=1.0
    )
    """How it learns; a batch has `batch_size` rows of `context` tokens. Schedules are those of the rounds."""
    head: Literal["auto", "classes", "value"] = "auto"
    """What a target is: classes, or a value; ``auto`` takes words and two numbers 0 and 1 for classes."""
    finetuning: TrainingOptions = TrainingOptions(epochs=5, batch_size=16, learning_rate=5e-4, clip_norm=1.0)
    """How it learns a target, all weights together with a linear head on the last token; 1e-6 in the paper."""
    pretrained: str | None = None
    """Folder or file of a saved BSM of equal shape: with a target it is fine-tuned, without one its training goes on."""

    @property
    def modality_or_none(self) -> str | None:
        """What sequences are where nothing says so; None where it is told from the letters."""
        return None if self.modality == "auto" else self.modality

    @model_validator(mode="after")
    def _fits(self) -> BSMConfig:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError("width must be a multiple of heads that leaves an even number for each")
        if not 1 <= self.codons[0] <= self.codons[1]:
            raise ValueError("codons are the fewest and the most, from one")
        if 4 * self.codons[0] + 6 > self.context:
            raise ValueError(
                "the context does not hold the fewest codons with their residues: lower codons[0]"
            )
        return self


PAPER_110M: dict[str, Any] = {
    "layers": 12, "width": 768, "heads": 12, "context": 1024, "rounds": PAPER_ROUNDS, "codons": (60, 253),
    "training__learning_rate": 2e-5, "training__batch_size": 4096, "finetuning__learning_rate": 1e-6,
}  # fmt: skip
"""Settings of the smaller model, as ``BSM(**PAPER_110M, tokens=...)``: 113 million weights. How many tokens is left to you: the
default is less than one of its batches, the paper's are 272 billion."""
PAPER_270M: dict[str, Any] = {
    **PAPER_110M, "layers": 20, "width": 896, "heads": 16, "training__batch_size": 1024,
}  # fmt: skip
"""Settings of the larger model: 257 million weights."""
