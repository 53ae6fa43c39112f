"""UTGDiff: molecules from instructions, and edited by them, by discrete diffusion of graphs within one text-graph transformer."""

from typing import TYPE_CHECKING

from nereus.models.lazy import on_first_use
from nereus.models.molecules.utgdiff.card import CARD
from nereus.models.molecules.utgdiff.config import UTGDiffConfig

if TYPE_CHECKING:
    from nereus.models.molecules.utgdiff.instructions import Instruction
    from nereus.models.molecules.utgdiff.method import UTGDiff

__all__ = ["CARD", "Instruction", "UTGDiff", "UTGDiffConfig"]
__getattr__ = on_first_use(__name__, UTGDiff="method", Instruction="instructions")
