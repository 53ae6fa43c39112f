"""The actions of a turn: those that every conversation has, and the tools of external servers that the settings name."""

from __future__ import annotations

from nereus.agents.chat.actions.base import Action
from nereus.agents.chat.actions.catalogue import ACTIONS
from nereus.agents.chat.actions.external import external_actions
from nereus.agents.chat.turn import Turn
from nereus.agents.external.definitions import is_external
from nereus.errors import InputError


def action_of(turn: Turn, name: str) -> Action:
    """The action of a name.

    Raises
    ------
    InputError
        There is none, or the server of an external one cannot be used.
    """
    if name in ACTIONS:
        return ACTIONS[name]
    troubles: list[str] = []
    if is_external(name):
        found, troubles = external_actions(turn)
        if name in found:
            return found[name]
    raise InputError(
        f"there is no action {name!r}", mend="; ".join(troubles) or f"there are {', '.join(ACTIONS)}"
    )
