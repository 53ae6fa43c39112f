"""What chat can do: one file a kind of action. The grammar router and a language model call the same ones."""

from __future__ import annotations

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.actions.catalogue import ACTIONS

__all__ = ["ACTIONS", "Action", "Args"]
