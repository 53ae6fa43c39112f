"""A research run as a graph with one thread: ask, follow, and what was found as the state.

The run itself is worked on elsewhere (another process, or a worker of the server) and has its own checkpoints and events;
this graph starts it, hands its events on, and ends with its hypotheses. A thread that is gone on with after a crash follows
the run that it had started.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from nereus.agents.chat.desk import Desk
from nereus.errors import InputError
from nereus.memory.records import Event

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore

_TOLD = 20
"""Hypotheses in the state; all of them are in the run's report."""


class Asked(TypedDict, total=False):
    """What a research run is asked for."""

    data: str
    """Id of a data set."""
    question: str
    """What you want to know, in your words."""
    budget: list[str]
    """Limits, as ``steps=40``."""


class Research(Asked, total=False):
    """The state: what was asked, and what became of it."""

    run_id: str
    status: str
    stop_reason: str
    hypotheses: list[dict[str, Any]]
    """Best first: ``id``, ``statement``, ``status``, ``evidence_ids``."""


def research_graph(
    desk: Desk,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph: ``ask -> follow -> tell``.

    Parameters
    ----------
    desk
        Starts and follows runs of one owner.
    checkpointer, store
        As of LangGraph.
    """

    def ask(state: Research) -> Research:
        if not isinstance(state.get("data"), str) or not state["data"]:
            raise InputError(
                "no data set is named", where="input 'data'", mend="upload one, and give its id as data"
            )
        dataset = desk.dataset(state["data"])
        run_id = desk.start_run(dataset, state.get("question"), tuple(state.get("budget") or ()))
        return {"run_id": run_id, "status": "queued"}

    async def follow(state: Research) -> Research:
        write = get_stream_writer()
        async for event in _events(desk, state["run_id"]):
            write({"type": "run_event", "run_id": state["run_id"], "event": event.model_dump(mode="json")})
        return {"status": (await asyncio.to_thread(desk.header, state["run_id"])).status}

    def tell(state: Research) -> Research:
        record = desk.record(state["run_id"])
        return {
            "status": record.header.status,
            "stop_reason": record.header.stop_reason,
            "hypotheses": [
                {
                    "id": one.id,
                    "statement": one.statement,
                    "status": str(one.status),
                    "evidence_ids": list(one.evidence_ids),
                }
                for one in record.hypotheses[:_TOLD]
            ],
        }

    graph: Any = StateGraph(Research, input_schema=Asked, output_schema=Research)
    for name, node in (("ask", ask), ("follow", follow), ("tell", tell)):
        graph.add_node(name, node)
    for first, then in ((START, "ask"), ("ask", "follow"), ("follow", "tell"), ("tell", END)):
        graph.add_edge(first, then)
    made: CompiledStateGraph[Any, Any, Any, Any] = graph.compile(
        checkpointer=checkpointer, store=store, name="research"
    )
    return made


async def _events(desk: Desk, run_id: str) -> Any:
    """Events of a run as they come; the thread that looks for them ends with the reader."""
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
    stop = threading.Event()

    def look() -> None:
        last: Exception | None = None
        try:
            for event in desk.follow(run_id, stop=stop.is_set):
                loop.call_soon_threadsafe(found.put_nowait, event)
        except Exception as error:  # noqa: BLE001  (raised again where it is awaited)
            last = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(found.put_nowait, last)

    looking = threading.Thread(target=look, name=f"follows {run_id}", daemon=True)
    looking.start()
    try:
        while (event := await found.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event
    finally:
        stop.set()
