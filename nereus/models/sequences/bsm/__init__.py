"""BSM: one decoder for DNA, RNA and proteins, that learns from sequences which belong together."""

from typing import TYPE_CHECKING

from nereus.models.lazy import on_first_use
from nereus.models.sequences.bsm.card import CARD
from nereus.models.sequences.bsm.config import BSMConfig

if TYPE_CHECKING:
    from nereus.models.sequences.bsm.method import BSM

__all__ = ["BSM", "CARD", "BSMConfig"]
__getattr__ = on_first_use(__name__, BSM="method")
