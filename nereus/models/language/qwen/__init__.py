"""Qwen: the decoder of the Qwen family, trained on texts of one's own, with its ways of reading beyond the trained length."""

from typing import TYPE_CHECKING

from nereus.models.language.qwen.card import CARD
from nereus.models.language.qwen.config import QwenConfig
from nereus.models.lazy import on_first_use

if TYPE_CHECKING:
    from nereus.models.language.qwen.method import Qwen

__all__ = ["CARD", "Qwen", "QwenConfig"]
__getattr__ = on_first_use(__name__, Qwen="method")
