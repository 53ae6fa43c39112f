"""LearnAct: repeated success becomes callable actions, which are validated, approved, counted and retired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nereus.agents.learner.action_learner import ActionLearner, ActionLibrary
    from nereus.agents.learner.chat_agent import ChatAgent
    from nereus.agents.learner.chat_author import ChatAuthor
    from nereus.agents.learner.learn_graph import build_learn_graph
    from nereus.agents.learner.mining_author import MiningAuthor
    from nereus.agents.learner.search_agent import SearchAgent

_PLACES = {
    "ActionLearner": "action_learner",
    "ActionLibrary": "action_learner",
    "ChatAgent": "chat_agent",
    "ChatAuthor": "chat_author",
    "MiningAuthor": "mining_author",
    "SearchAgent": "search_agent",
    "build_learn_graph": "learn_graph",
}
__all__ = [
    "ActionLearner",
    "ActionLibrary",
    "ChatAgent",
    "ChatAuthor",
    "MiningAuthor",
    "SearchAgent",
    "build_learn_graph",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
