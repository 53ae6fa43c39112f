"""Proteins without a structure: their letters as classes, and short names for them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nereus.models.molecules.mbp.complexes import Complex, Protein
from nereus.models.molecules.mbp.features import LETTER
from nereus.models.molecules.mbp.network import SEQUENCE_PAD

LONGEST_SEQUENCE = 1200
"""Letters of a sequence that are read: what is behind them is cut off and told."""


def letters_of(proteins: Sequence[Protein]) -> Tensor:
    """Sequences by classes of letters, (1 + proteins, length): the first, and names, are padding alone."""
    texts = ["", *(text[:LONGEST_SEQUENCE] if kind == "sequence" else "" for kind, text in proteins)]
    found = torch.full((len(texts), max(1, *map(len, texts))), SEQUENCE_PAD)
    for row, text in enumerate(texts):
        found[row, : len(text)] = torch.tensor([LETTER.get(one, 0) for one in text], dtype=torch.int64)
    return found


def short_names(complexes: Sequence[Complex]) -> list[str]:
    """A short name of each one's protein: its own, or ``protein 1`` and so on."""
    number = {one: i for i, one in enumerate(dict.fromkeys(one.target for one in complexes), start=1)}
    return [one.protein or f"protein {number[one.target]}" for one in complexes]
