"""What the endpoints of the protocol share, for as long as the server lives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from nereus.api.langgraph.engine import Engine
from nereus.api.langgraph.graph_shelf import GraphShelf
from nereus.api.langgraph.kept import Kept
from nereus.api.langgraph.serialise import dumped
from nereus.api.langgraph.tails import Tails
from nereus.api.state import ServerState
from nereus.memory.langgraph.runs import Asked, CancelAction, Run
from nereus.memory.langgraph.threads import Snapshot, Thread


@dataclass(frozen=True)
class GraphService:
    """Assistants, threads and runs, and what works on them."""

    kept: Kept
    shelf: GraphShelf
    tails: Tails
    engine: Engine

    def ask(self, owner: str, thread_id: str, asked: Asked) -> Run:
        """Queue a run, or begin it at once; runs that must make room for it are ended."""
        reserved = self.engine.reserve(owner)
        begins = False
        try:
            worker = self.engine.worker if reserved else None
            run, make_room = self.kept.runs.create(owner, thread_id, asked, worker)
            for one in make_room:
                self._ended(one, cast(CancelAction, asked.strategy))
            begins = run.status == "running"
            if begins:
                self.engine.begin(run)
            elif not make_room:
                self.engine.look()
            return run
        finally:
            if reserved and not begins:
                self.engine.release(owner)

    def cancel(self, run: Run, action: CancelAction) -> None:
        """End a run."""
        self.kept.runs.ask_to_cancel(run, action)
        self._ended(run, action)

    def cancel_by_id(self, run_id: str, owner: str) -> None:
        """End a run whose client has gone."""
        self.cancel(self.kept.runs.get(run_id, owner), "interrupt")

    def copy_thread(self, thread_id: str, owner: str) -> Thread:
        """A thread of its own with the same history."""
        source = self.kept.threads.get(thread_id, owner)
        made = self.kept.threads.create(owner, metadata=source.metadata)
        self.shelf.saver.copy_thread(source.key, made.key)
        now_is = Snapshot(
            status="interrupted" if source.interrupts else "idle",
            values=dumped(source.values),
            interrupts=dumped(source.interrupts),
        )
        self.kept.threads.settle(made.thread_id, owner, now_is)
        return self.kept.threads.get(made.thread_id, owner)

    def _ended(self, run: Run, action: CancelAction) -> None:
        if run.status == "pending" and action == "rollback":
            self.kept.runs.delete(run.run_id, run.owner)
        self.engine.cancel(run.run_id, action)
        self.tails.ring(run.run_id)
        self.engine.look()

    def forget_thread(self, thread_id: str, owner: str) -> None:
        """Forget a thread with its runs and states; what is at work in it is ended."""
        for run in self.kept.runs.unended(owner, thread_id):
            self.cancel(run, "interrupt")
        gone = self.kept.threads.delete(thread_id, owner)
        self.shelf.saver.delete_thread(gone.key)

    async def graph_of(self, thread: Thread, owner: str) -> Any:
        """The graph whose states a thread holds."""
        from nereus.api.langgraph.requests import own_graph

        return await run_in_threadpool(self.shelf.get, own_graph(thread), owner)


@contextmanager
def open_graphs(state: ServerState) -> Iterator[GraphService]:
    """Work on runs for as long as the server lives; what a killed server had begun is gone on with."""
    shelf = GraphShelf(state)
    kept = Kept.of(state.workspace.database, shelf.names())
    tails = Tails()
    engine = Engine(kept, shelf, tails)
    try:
        yield GraphService(kept, shelf, tails, engine)
    finally:
        engine.close()
        shelf.close()


async def graphs_of(request: Request) -> GraphService:
    """The service of the server. A coroutine, so that no thread is asked for it."""
    return cast(GraphService, request.app.state.graphs)


Graphs = Annotated[GraphService, Depends(graphs_of)]
