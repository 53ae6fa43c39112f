"""Turns of conversations on the server: each in a thread of its own, told to the database event by event.

Whoever asked may go away: the turn goes on, and what it says is read from the database from any number on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from langchain_core.messages import HumanMessage
from langgraph.types import Command

from nereus.agents.chat import chat_graph
from nereus.agents.chat.approving import checked_answers
from nereus.agents.chat.spoken import ANSWER_PART
from nereus.agents.chat.told import event_document, message_document
from nereus.api.chat_desk import ServerDesk
from nereus.api.state import ServerState
from nereus.errors import NereusError, NotFound, ResumeRefused
from nereus.memory.checkpoints import open_checkpoints, prune
from nereus.memory.threads import BUSY_S, Thread, Threads, ThreadStatus
from nereus.models.llm import chat_model

log = logging.getLogger("nereus.api")

MOST_AT_ONCE = 4
"""Turns of one owner at a time."""
_WORKERS = 16
_DEFECT = "The server has a defect; whoever runs it finds the details in its log."


class Draft(NamedTuple):
    """What is shown of an answer that is being written. It is in no database: the whole answer is."""

    id: str
    text: str


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
        self._closed = threading.Event()
        self._drafts: dict[str, Draft] = {}
        threading.Thread(target=self._live, daemon=True, name="chat-life").start()

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
        taken = self._taken(self.mended(thread), ("idle",))
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
        thread = self.mended(thread)
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

    def mended(self, thread: Thread) -> Thread:
        """The thread; where the process that answered in it died, its turn is ended first, and said so."""
        if thread.status != "busy" or not self.threads.lapsed(thread.id, thread.owner):
            return thread
        try:
            self.threads.take(thread.id, thread.owner)  # by one of those who see it
        except ResumeRefused:
            return self.threads.get(thread.id, thread.owner)
        waits = bool(self.requests(thread))
        self._told(
            thread.id,
            "error",
            {
                "what": "the server was stopped in the middle of this answer",
                "where": None,
                "mend": "answer the open requests again"
                if waits
                else "ask again; a run that it began goes on",
            },
        )
        status: ThreadStatus = "interrupted" if waits else "idle"
        self._told(thread.id, "end", {"status": status})
        self.threads.release(thread.id, status)
        return self.threads.get(thread.id, thread.owner)

    def draft(self, thread_id: str) -> Draft | None:
        """What is shown of the answer at work here, before it is complete."""
        return self._drafts.get(thread_id)

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
        self._closed.set()
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

    def _live(self) -> None:
        """Give signs of life for the threads at work here, so that nobody takes them over."""
        while not self._closed.wait(BUSY_S / 4):
            with self._lock:
                mine = list(self._stops)
            try:
                self.threads.renew(mine)
            except Exception:
                log.exception("signs of life of %d conversations were not kept", len(mine))

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
                self._drafts.pop(thread.id, None)
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
                if mode == "custom" and part.get("type") == ANSWER_PART:
                    old = self._drafts.get(thread.id)
                    before = old.text[: part["start"]] if old is not None and old.id == part["id"] else ""
                    self._drafts[thread.id] = Draft(part["id"], before + part["text"])
                    continue
                if mode == "custom":
                    self._told(thread.id, str(part.get("type", "progress")), event_document(part))
                    continue
                if "__interrupt__" in part:
                    requests = [request for one in part["__interrupt__"] for request in one.value]
                    self._told(thread.id, "approval", {"requests": requests})
                    return "interrupted"
                for update in part.values():
                    for message in (update or {}).get("messages", ()):
                        self._told(thread.id, "message", message_document(message))
            prune(saver, thread.id)  # of a conversation only the newest state is gone on with
        return "idle"

    def _told(self, thread_id: str, type_: str, payload: Mapping[str, Any]) -> None:
        try:
            self.threads.append(thread_id, type_, payload)
        except NotFound:  # deleted meanwhile
            return
