"""Reading beyond the trained length without training: dynamic NTK, LogN scaling of queries, shorter windows in lower layers.

For n tokens, trained on n0, with heads of width d:

- dynamic NTK: ``alpha = max(1, 2 ** ceil(log2(n / n0) + 1) - 1)``, and the rotary base becomes ``base * alpha ** (d / (d - 2))``;
- LogN: the query at position i (from 1) is multiplied by ``log(i) / log(n0)`` where i > n0;
- windows: the first layer sees n0 tokens back, each following one n0 more, the last all.

None of them changes anything at n0 tokens or fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Mode = Literal["plain", "ntk", "logn", "window"]
MODES: tuple[Mode, ...] = ("plain", "ntk", "logn", "window")
"""Each has what those before it have, in the order of the report's table."""


@dataclass(frozen=True)
class LongContext:
    """What is done beyond the trained length."""

    trained: int
    """n0."""
    mode: Mode = "plain"

    def base(self, length: int, base: float, head_width: int) -> float:
        """The rotary base for a text of so many tokens."""
        if self.mode == "plain":
            return base
        stretched: float = base * alpha(length, self.trained) ** (head_width / (head_width - 2))
        return stretched

    def query_scale(self, positions: Tensor) -> Tensor | None:
        """Factor of each query by its position (from 0), of the positions' shape; None where there is none."""
        if self.mode not in ("logn", "window") or int(positions.max()) < self.trained:
            return None
        scale = torch.log((positions + 1).double()) / math.log(self.trained)
        return scale.clamp(min=1.0).float()

    def window(self, layer: int, layers: int) -> int | None:
        """How many tokens a layer (from 0) sees, itself included; None for all."""
        if self.mode != "window" or layer == layers - 1:
            return None
        return self.trained * (1 + layer)


def alpha(length: int, trained: int) -> float:
    """How much the rotary base is stretched, 1 within the trained length."""
    if length <= trained:
        return 1.0
    return max(1.0, 2.0 ** math.ceil(math.log2(length / trained) + 1) - 1)
