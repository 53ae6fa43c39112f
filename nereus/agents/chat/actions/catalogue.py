"""Every action, one line a file of them."""

from __future__ import annotations

from nereus.agents.chat.actions.again import AGAIN
from nereus.agents.chat.actions.base import Action
from nereus.agents.chat.actions.comparing import COMPARING
from nereus.agents.chat.actions.entities import ENTITIES
from nereus.agents.chat.actions.figures import FIGURES
from nereus.agents.chat.actions.learned import LEARNED
from nereus.agents.chat.actions.molecules import MOLECULES
from nereus.agents.chat.actions.runs import RUNS
from nereus.agents.chat.actions.things import THINGS
from nereus.agents.chat.actions.tools import TOOLS
from nereus.agents.chat.actions.training import TRAINING

ACTIONS: dict[str, Action] = {
    one.name: one
    for one in (
        *THINGS,
        *RUNS,
        *ENTITIES,
        *AGAIN,
        *LEARNED,
        *FIGURES,
        *COMPARING,
        *MOLECULES,
        *TRAINING,
        *TOOLS,
    )
}
"""Name to action."""
