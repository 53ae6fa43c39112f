"""Turns of conversations on the server: each in a thread of its own, told to the database event by event.

Whoever asked may go away: the turn goes on, and what it says is read from the database from any number on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.types import Command

from nereus.agents.chat import chat_graph
from nereus.agents.chat.approving import checked_answers
from nereus.api.chat_desk import ServerDesk
from nereus.api.state import ServerState
from nereus.errors import NereusError, NotFound, ResumeRefused
from nereus.memory.checkpoints import open_checkpoints
from nereus.memory.threads import Thread, Threads
from nereus.models.llm import chat_model

log = logging.getLogger("nereus.api")

MOST_AT_ONCE = 4
"""Turns of one owner at a time."""
_WORKERS = 16
_DEFECT = "The server has a defect; whoever runs it finds the details in its log."


class ChatTurns:
    """Runs turns of all threads.

    Parameters
    ----------
    state
        The server's open stores.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.threads = Threads(state.workspace.database)
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="chat")
        self._stops: dict[str, threading.Event] = {}
        self._busy: dict[str, int] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------ what is asked for

    def say(
        self, thread: Thread, text: str, datasets: Sequence[str], patience_s: float, run: str | None = None
    ) -> int:
        """Begin to answer a message; returns the number of the last event before it.

        Raises
        ------
        ResumeRefused
            The thread is being worked on or waits for an answer, or the owner has too many turns at work.
        """
        desk = ServerDesk(self._state, thread.owner)
        for one in datasets:
            desk.dataset(one)
        if run is not None:
            desk.header(run)
        taken = self._taken(thread, ("idle",))
        before = taken.last_seq
        self.threads.append(
            thread.id, "message", {"role": "human", "content": text, "datasets": list(datasets)}
        )
        named = {"datasets": list(datasets)} | ({"run": run} if run is not None else {})
        message = HumanMessage(text, additional_kwargs={"nereus": named})
        self._begin(taken, {"messages": [message]}, patience_s, text)
        return before

    def answer(self, thread: Thread, answers: Any, patience_s: float) -> int:
        """Go on with a thread that waits for approvals; returns the number of the last event before.

        Raises
        ------
        InputError
            The answers do not fit the requests.
        ResumeRefused
            Nothing waits for an answer.
        """
        requests = self.requests(thread)
        if not requests:
            raise ResumeRefused(
                "nothing waits for an answer", where=f"thread {thread.id}", mend="say something"
            )
        checked = checked_answers(requests, answers)
        taken = self._taken(thread, ("interrupted",))
        before = taken.last_seq
        self.threads.append(thread.id, "approval_given", {"answers": checked})
        self._begin(taken, Command(resume=checked), patience_s, "")
        return before

    def requests(self, thread: Thread) -> list[dict[str, Any]]:
        """What waits for an answer."""
        with open_checkpoints(self._state.settings.checkpoint_url) as saver:
            graph = chat_graph(ServerDesk(self._state, thread.owner), model=None, checkpointer=saver)
            state = graph.get_state({"configurable": {"thread_id": thread.id}})
        return [request for one in state.interrupts for request in one.value]

    def stop(self, thread: Thread) -> bool:
        """Ask the turn at work to end; False where none is at work in this process."""
        with self._lock:
            bell = self._stops.get(thread.id)
        if bell is None:
            return False
        bell.set()
        return True

    def forget(self, thread: Thread) -> None:
        """Forget a thread with its state.

        Raises
        ------
        ResumeRefused
            It is being worked on.
        """
        if thread.status == "busy" and thread.id in self._stops:
            raise ResumeRefused("it is being worked on", where=f"thread {thread.id}", mend="cancel it first")
        self.threads.remove(thread.id, thread.owner)
        with open_checkpoints(self._state.settings.checkpoint_url) as saver:
            saver.delete_thread(thread.id)

    def close(self) -> None:
        """End all turns."""
        with self._lock:
            for bell in self._stops.values():
                bell.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------ work

    def _taken(self, thread: Thread, wanted: Any) -> Thread:
        with self._lock:
            if self._busy.get(thread.owner, 0) >= MOST_AT_ONCE:
                raise ResumeRefused(
                    "you have as many conversations at work as one may have",
                    where=f"thread {thread.id}",
                    mend="wait for one of them to answer",
                )
            taken = self.threads.take(thread.id, thread.owner, wanted)
            self._busy[thread.owner] = self._busy.get(thread.owner, 0) + 1
            self._stops[thread.id] = threading.Event()
        return taken

    def _begin(self, thread: Thread, given: Any, patience_s: float, title: str) -> None:
        self._pool.submit(self._work, thread, given, patience_s, title)

    def _work(self, thread: Thread, given: Any, patience_s: float, title: str) -> None:
        status = "idle"
        try:
            status = self._turn(thread, given, patience_s)
        except NereusError as error:
            self._told(thread.id, "error", {"what": error.what, "where": error.where, "mend": error.mend})
        except Exception:
            log.exception("defect in thread %s", thread.id)
            self._told(thread.id, "error", {"what": _DEFECT, "where": None, "mend": None})
        finally:
            with self._lock:
                self._busy[thread.owner] -= 1
                self._stops.pop(thread.id, None)
            # The end is told before the thread is free: whoever reads it finds all that belongs to the turn.
            self._told(thread.id, "end", {"status": status})
            self.threads.release(thread.id, status, title)  # type: ignore[arg-type]

    def _turn(self, thread: Thread, given: Any, patience_s: float) -> str:
        settings = self._state.settings
        stop = self._stops[thread.id]
        config: Any = {
            "configurable": {
                "thread_id": thread.id,
                "owner": thread.owner,
                "patience_s": patience_s,
                "stopped": stop.is_set,
            },
            "recursion_limit": 60,
        }
        with open_checkpoints(settings.checkpoint_url) as saver:
            graph = chat_graph(
                ServerDesk(self._state, thread.owner), model=chat_model(settings), checkpointer=saver
            )
            part: Any
            for mode, part in graph.stream(given, config, stream_mode=["updates", "custom"]):
                if mode == "custom":
                    self._told(thread.id, str(part.get("type", "progress")), _short(part))
                    continue
                if "__interrupt__" in part:
                    requests = [request for one in part["__interrupt__"] for request in one.value]
                    self._told(thread.id, "approval", {"requests": requests})
                    return "interrupted"
                for update in part.values():
                    for message in (update or {}).get("messages", ()):
                        self._told(thread.id, "message", message_document(message))
        return "idle"

    def _told(self, thread_id: str, type_: str, payload: Mapping[str, Any]) -> None:
        try:
            self.threads.append(thread_id, type_, payload)
        except NotFound:  # deleted meanwhile
            return


def message_document(message: BaseMessage) -> dict[str, Any]:
    """A message as it is told: without what only the graph needs."""
    told: dict[str, Any] = {
        "role": "ai"
        if isinstance(message, AIMessage)
        else "tool"
        if isinstance(message, ToolMessage)
        else "human",
        "id": message.id,
        "content": message.content if isinstance(message.content, str) else str(message.content),
    }
    nereus = message.additional_kwargs.get("nereus")
    if isinstance(nereus, dict):
        told["nereus"] = {
            name: nereus[name] for name in ("run_id", "evidence", "artifacts", "notices") if name in nereus
        }
    if isinstance(message, AIMessage) and message.tool_calls:
        told["calls"] = [
            {"id": one["id"], "action": one["name"], "args": one["args"]} for one in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        told |= {
            "call": message.tool_call_id,
            "action": message.name,
            "status": message.status,
            "content": "",
        }
    return told


def _short(part: Mapping[str, Any]) -> dict[str, Any]:
    """An event of a run without what its own stream tells in full."""
    event = part.get("event")
    if not isinstance(event, Mapping):
        return {name: one for name, one in part.items() if name != "type"}
    payload = event.get("payload") or {}
    return {
        "run_id": part.get("run_id"),
        "seq": event.get("seq"),
        "event": event.get("type"),
        "subject": event.get("subject"),
        "text": str(payload.get("summary") or payload.get("statement") or payload.get("purpose") or "")[:300],
    }
