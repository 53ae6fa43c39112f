"""Every action, one line a file of them."""

from __future__ import annotations

from nereus.agents.chat.actions.base import Action
from nereus.agents.chat.actions.runs import RUNS
from nereus.agents.chat.actions.things import THINGS

ACTIONS: dict[str, Action] = {one.name: one for one in (*THINGS, *RUNS)}
"""Name to action."""
