"""The graphs that are served under LangGraph's protocol, by name. Nothing is imported before a graph is asked for.

The server builds them with its own desk, checkpoints and store (`GRAPHS`); LangGraph's own command line takes `chat` and
`research` as ``langgraph.json`` names them, on this machine's home, and brings checkpoints and store itself.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore

    from nereus.agents.chat.desk import Desk

    Graph = CompiledStateGraph[Any, Any, Any, Any]
    Saver = BaseCheckpointSaver[Any] | None
    Factory = Callable[[Desk, Saver, BaseStore | None], Graph]


def _chat(desk: Desk, checkpointer: Saver = None, store: BaseStore | None = None) -> Graph:
    from nereus.agents.chat import chat_graph
    from nereus.models.llm import chat_model

    return chat_graph(desk, model=chat_model(desk.settings), checkpointer=checkpointer, store=store)


def _research(desk: Desk, checkpointer: Saver = None, store: BaseStore | None = None) -> Graph:
    from nereus.agents.research_thread import research_graph

    return research_graph(desk, checkpointer, store)


def _cancel_research(desk: Desk, values: Mapping[str, Any]) -> None:
    run_id = values.get("run_id")
    if isinstance(run_id, str):
        desk.cancel(run_id)


GRAPHS: dict[str, Factory] = {"chat": _chat, "research": _research}
"""Name to what builds it; the name is also the id of the graph's own assistant."""

CANCELLED: dict[str, Callable[[Desk, Mapping[str, Any]], None]] = {"research": _cancel_research}
"""What is to be done when a run of a graph is cancelled, given the values of its state."""


async def chat() -> Graph:
    """The chat graph on this machine's home."""
    return await asyncio.to_thread(lambda: _chat(_local_desk()))


async def research() -> Graph:
    """The research graph on this machine's home."""
    return await asyncio.to_thread(lambda: _research(_local_desk()))


def _local_desk() -> Desk:
    """A desk on this machine's home, open until the process ends."""
    with _LOCK:
        if not _OPENED:
            from nereus.agents.chat import open_local_desk
            from nereus.settings import load_settings

            stack = ExitStack()
            atexit.register(stack.close)
            _OPENED.append(stack.enter_context(open_local_desk(load_settings())))
        return _OPENED[0]


_LOCK = threading.Lock()
_OPENED: list[Desk] = []
"""The one desk of `chat` and `research`."""
