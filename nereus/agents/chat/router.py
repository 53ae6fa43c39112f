"""The grammar: what a question asks for, as calls of actions, without a language model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from nereus.agents.chat.turn import Outcome, Turn


@dataclass(frozen=True)
class Routed:
    """What a question asks for."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    said: Outcome = field(default_factory=lambda: Outcome(text=""))
    """What is answered where there is nothing to call."""
    notices: tuple[str, ...] = ()


def route(turn: Turn, text: str) -> Routed:
    """What a question asks for."""
    asked = text.strip().lower()
    if re.search(r"\b(analy[sz]e|start|run it|go)\b", asked):
        return Routed([("start_run", {})])
    if re.search(r"\b(what|which).*(in|file|data)|profile|describe\b", asked):
        return Routed([("profile", {})])
    if re.search(r"\blist|show (all )?(runs|tools)\b", asked):
        for what in ("datasets", "runs", "tools", "methods", "models", "actions", "notes"):
            if what in asked:
                return Routed([("list", {"what": what})])
    if re.search(r"\bfound|find|findings|results\b", asked):
        return Routed([("findings", {})])
    return Routed([("help", {})])
