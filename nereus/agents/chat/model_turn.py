"""A language model that chooses actions and answers; what it gets wrong is left to the grammar, with a notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage

from nereus.agents.chat.turn import Turn


@dataclass(frozen=True)
class Said:
    """What a model decided; without a message, why there is none."""

    message: AIMessage | None
    why: str = ""


class ModelTurn:
    """Asks one chat model."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    def next(self, turn: Turn, messages: list[Any], steps: int, most: int) -> Said:
        """The next calls, or the answer."""
        return Said(None, "it is not asked yet")
