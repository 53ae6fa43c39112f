"""Graphs as they are run for one owner, built on first use, with the checkpoints that all share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from nereus.errors import NotFound

if TYPE_CHECKING:
    from nereus.agents.chat.desk import Desk
    from nereus.api.state import ServerState

_KEPT = 64
"""Graphs that are kept built; building one takes milliseconds."""


class GraphShelf:
    """Builds graphs and keeps the newest.

    Parameters
    ----------
    state
        Open stores of the server.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._lock = threading.RLock()
        self._open = ExitStack()
        self._saver: Any = None
        self._built: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def names(self) -> list[str]:
        """Graphs there are."""
        from nereus.agents.graphs import GRAPHS

        return list(GRAPHS)

    @property
    def saver(self) -> Any:
        """The checkpoints of all threads, opened on first use."""
        with self._lock:
            if self._saver is None:
                from nereus.memory.checkpoints import open_checkpoints

                self._saver = self._open.enter_context(open_checkpoints(self._state.settings.checkpoint_url))
            return self._saver

    def get(self, graph_id: str, owner: str) -> Any:
        """A graph for an owner; `NotFound` where there is none of this name."""
        from nereus.agents.graphs import GRAPHS
        from nereus.memory.langgraph.items import ItemStore

        if graph_id not in GRAPHS:
            raise NotFound(f"there is no graph {graph_id!r}", mend=f"there are {sorted(GRAPHS)}")
        with self._lock:
            found = self._built.pop((graph_id, owner), None)
            if found is None:
                store = ItemStore(self._state.workspace.database, owner)
                found = GRAPHS[graph_id](self.desk(owner), self.saver, store)
            self._built[graph_id, owner] = found
            while len(self._built) > _KEPT:
                self._built.popitem(last=False)
            return found

    def desk(self, owner: str) -> Desk:
        """What graphs may do for an owner."""
        from nereus.api.chat_desk import ServerDesk

        return ServerDesk(self._state, owner)

    def close(self) -> None:
        """Close the checkpoints."""
        with self._lock:
            self._built.clear()
            self._saver = None
            self._open.close()
