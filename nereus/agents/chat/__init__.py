"""The chat agent: a graph that answers from evidence and starts runs, with a language model or without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nereus.agents.chat.desk import Desk
    from nereus.agents.chat.graph import chat_graph
    from nereus.agents.chat.local_desk import LocalDesk, open_local_desk

__all__ = ["Desk", "LocalDesk", "chat_graph", "open_local_desk"]
_WHERE = {
    "Desk": "desk",
    "chat_graph": "graph",
    "LocalDesk": "local_desk",
    "open_local_desk": "local_desk",
}


def __getattr__(name: str) -> Any:
    """Load on first use: LangGraph is heavy."""
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"nereus.agents.chat.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
