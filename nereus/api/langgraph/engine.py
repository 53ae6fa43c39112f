"""Works on runs: in an event loop of its own, so that no graph holds up the server.

A run's events are kept before they are told, in groups: whatever came while the last group was written is the next one.
The end of a run is kept with its last events and the new state of its thread, as one transaction.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nereus.api.langgraph.graph_shelf import GraphShelf
from nereus.api.langgraph.keeper import Keeper
from nereus.api.langgraph.parts import Parts, parts_of
from nereus.api.langgraph.requests import configured, given_to_graph
from nereus.api.langgraph.serialise import dumped
from nereus.api.langgraph.snapshots import snapshot
from nereus.api.langgraph.tails import Tails
from nereus.errors import NereusError, NotFound, StoreError
from nereus.memory.langgraph.runs import LEASE_S, ProtocolRuns, Run, RunStatus
from nereus.memory.langgraph.streamed import RunEvent
from nereus.memory.langgraph.threads import ProtocolThreads, Snapshot, Thread

if TYPE_CHECKING:
    from nereus.api.langgraph.kept import Kept

log = logging.getLogger("nereus.api")

SIDE_BY_SIDE = 64
"""Runs that one server works on at once; they wait for models and workers most of the time."""
OF_ONE_OWNER = 48
"""Of these, those of one owner: there is always room for another's."""
LOOK_S = 1.0
"""How often others' runs and delayed ones are looked for; own ones begin at once."""
_RENEW_S = LEASE_S / 4
_TROUBLED_S = 1.0
_TAIL_S = 5.0
_THREADS = 2 * SIDE_BY_SIDE
_STOP_S = 5.0


@dataclass
class _AtWork:
    """A run that is worked on here."""

    run: Run
    task: asyncio.Task[None]
    cancel: str | None = None
    """How it is to be ended, if it is."""
    stage: Literal["waits", "works", "ends"] = "waits"
    """Only what works can be interrupted: what waits ends when it begins, and nothing disturbs an end that is being kept."""
    seq: int = 0


class Engine:
    """Works on runs until it is closed.

    Parameters
    ----------
    kept
        Threads and runs.
    shelf
        Graphs.
    tails
        Where what is streamed is told.
    """

    def __init__(self, kept: Kept, shelf: GraphShelf, tails: Tails) -> None:
        self.worker = f"graphs-{uuid.uuid4().hex[:12]}"
        self._runs: ProtocolRuns = kept.runs
        self._leases = kept.leases
        self._streamed = kept.streamed
        self._threads: ProtocolThreads = kept.threads
        self._shelf = shelf
        self._tails = tails
        self._at_work: dict[str, _AtWork] = {}
        self._reserved: list[str] = []
        self._room = threading.Lock()
        self._look = asyncio.Event()
        self._closing = False
        self._writer = ThreadPoolExecutor(1, "graph events")
        self._loop = asyncio.new_event_loop()
        self._keeper = Keeper(kept.streamed, tails, self._in_writer, self._lost)
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, "graphs"))
        self._thread = threading.Thread(target=self._serve, name="graphs", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------ from other threads

    def reserve(self, owner: str) -> bool:
        """Keep room for another run of an owner, for `begin` or `release`; False where there is none."""
        with self._room:
            at_work = [*(one.run.owner for one in list(self._at_work.values())), *self._reserved]
            if self._closing or len(at_work) >= SIDE_BY_SIDE or at_work.count(owner) >= OF_ONE_OWNER:
                return False
            self._reserved.append(owner)
            return True

    def release(self, owner: str) -> None:
        """Need the room no longer."""
        with self._room:
            self._reserved.remove(owner)

    def begin(self, run: Run) -> None:
        """Work on a run that was leased to this engine, in the room that was kept for it."""
        self._loop.call_soon_threadsafe(self._begin_reserved, run)

    def look(self) -> None:
        """Look for runs that may begin."""
        self._loop.call_soon_threadsafe(self._look.set)

    def cancel(self, run_id: str, action: str) -> None:
        """End a run, where it is worked on here."""
        self._loop.call_soon_threadsafe(self._cancel, run_id, action)

    def aside(self, call: Callable[..., Any], *given: Any) -> None:
        """Do something in a thread of the engine; nobody waits for it."""

        def done() -> None:
            try:
                call(*given)
            except NereusError as error:
                log.warning("what was asked aside was not done: %s", error)

        self._loop.call_soon_threadsafe(self._loop.run_in_executor, None, done)

    def close(self) -> None:
        """Stop; what is unfinished goes back to where it waits."""
        if self._closing:
            return
        self._closing = True
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(2 * _STOP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_S)
        self._writer.shutdown(wait=False)

    # ------------------------------------------------------------------ in its own thread

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._tasks = [
            self._loop.create_task(self._go_on(one))
            for one in (self._keeper.write, self._dispatch, self._renew)
        ]
        self._loop.run_forever()

    async def _go_on(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do a task for ever; when the database is away, again after a moment."""
        while True:
            try:
                await task()
            except NereusError as error:
                log.error("runs of graphs cannot be kept: %s", error)
            except Exception:
                log.exception("a defect while runs of graphs were looked after")
            await asyncio.sleep(_TROUBLED_S)

    async def _stop(self) -> None:
        for task in self._tasks[1:]:
            task.cancel()
        at_work = [one.task for one in self._at_work.values()]
        for one in at_work:
            one.cancel()
        if at_work:
            await asyncio.wait(at_work, timeout=_STOP_S)
        await self._in_writer(self._leases.put_back, self.worker)
        self._tasks[0].cancel()

    async def _dispatch(self) -> None:
        """Begin what may begin."""
        while True:
            self._look.clear()
            free = SIDE_BY_SIDE - len(self._at_work) - len(self._reserved)
            for run in await self._in_writer(self._leases.claim, self.worker, free, OF_ONE_OWNER):
                self._begin(run)
            for owner, thread_id in await self._in_writer(self._threads.expired):
                await self._forget(owner, thread_id)
            try:
                await asyncio.wait_for(self._look.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def _forget(self, owner: str, thread_id: str) -> None:
        try:
            gone = await self._in_writer(self._threads.delete, thread_id, owner)
        except NotFound:  # another server was first
            return
        saver = await asyncio.to_thread(lambda: self._shelf.saver)
        await saver.adelete_thread(gone.key)

    async def _renew(self) -> None:
        """Keep the leases, and end what is no longer wanted or no longer ours."""
        while True:
            await asyncio.sleep(_RENEW_S)
            if not self._at_work:
                continue
            before = set(self._at_work)
            mine = await self._in_writer(self._leases.renew, self.worker, before)
            for run_id, action in mine.items():
                if action is not None:
                    self._cancel(run_id, action)
            for run_id in before - set(mine):
                self._cancel(run_id, "lost")

    def _begin_reserved(self, run: Run) -> None:
        self._begin(run)
        self.release(run.owner)

    def _begin(self, run: Run) -> None:
        if run.run_id in self._at_work:
            return
        task = self._loop.create_task(self._work(run))
        self._at_work[run.run_id] = _AtWork(run, task)
        task.add_done_callback(lambda _: self._drop(run.run_id))

    def _cancel(self, run_id: str, action: str) -> None:
        found = self._at_work.get(run_id)
        if found is None or found.cancel is not None or found.stage == "ends":
            return
        found.cancel = action
        if found.stage == "works":
            found.task.cancel()

    async def _work(self, run: Run) -> None:
        """One run, from its first event to its end."""
        mine = self._at_work[run.run_id]
        status: RunStatus = "success"
        error: Exception | None = None
        thread: Thread | None = None
        graph: Any = None
        mine.stage = "works"
        try:
            if mine.cancel is not None:
                raise asyncio.CancelledError
            mine.seq = await self._in_writer(self._streamed.last, run.run_id) if run.resumed else 0
            self._tails.begin(run.run_id, mine.seq)
            self._tell(mine, "metadata", dumped({"run_id": run.run_id, "attempt": run.attempts}))
            thread = await asyncio.to_thread(self._threads.get, run.thread_id, run.owner)
            graph = await asyncio.to_thread(self._shelf.get, run.graph_id, run.owner)
            await self._stream(mine, graph, thread)
        except asyncio.CancelledError:
            if mine.cancel in (None, "lost"):  # the server stops, or another has taken the run
                return
            status = "interrupted"
            mine.task.uncancel()
        except StoreError as problem:  # not the run's fault: it is taken up again from its last checkpoint
            log.error("run %s is left until what it is kept in can be reached: %s", run.run_id, problem)
            return
        except Exception as problem:
            status, error = "error", problem
            if not isinstance(problem, NereusError):
                log.info("run %s of graph %s failed", run.run_id, run.graph_id, exc_info=problem)
        mine.stage = "ends"
        try:
            await self._end(mine, status, error, graph, thread)
        except NereusError as problem:  # its lease runs out
            log.error("the end of run %s is not kept: %s", run.run_id, problem)

    async def _stream(self, mine: _AtWork, graph: Any, thread: Thread) -> None:
        run = mine.run
        asked = run.kwargs
        given = given_to_graph(asked)
        if run.resumed and await self._was_begun(run, thread.key):
            given = None
        modes = asked["stream_mode"]
        options: dict[str, Any] = {
            "subgraphs": bool(asked.get("stream_subgraphs")),
            "interrupt_before": asked.get("interrupt_before"),
            "interrupt_after": asked.get("interrupt_after"),
            "durability": asked.get("durability") or "async",
        }
        if asked.get("context"):
            options["context"] = asked["context"]
        parts = Parts(modes, thread.thread_id, thread.key)
        config = configured(asked, run, thread)
        async for space, mode, payload in parts_of(graph, given, config, modes, options):
            for name, data in parts.of(space, mode, payload):
                self._tell(mine, name, data)

    async def _was_begun(self, run: Run, key: str) -> bool:
        """Whether a run that is taken up again has a checkpoint of its own to go on from."""
        saver = await asyncio.to_thread(lambda: self._shelf.saver)
        found = await saver.aget_tuple({"configurable": {"thread_id": key, "checkpoint_ns": ""}})
        return found is not None and found.metadata.get("run_id") == run.run_id

    async def _end(
        self, mine: _AtWork, status: RunStatus, error: Exception | None, graph: Any, thread: Thread | None
    ) -> None:
        run = mine.run
        told = None
        if error is not None:
            told = {"error": type(error).__name__, "message": str(error)}
            self._tell(mine, "error", dumped(told))
        now_is: Snapshot | None = None
        try:
            if graph is not None and thread is not None:
                if mine.cancel is not None:
                    await self._undo(mine, graph, thread)
                now_is = await snapshot(graph, thread, failed=error is not None)
        except Exception:
            log.exception("the state of thread %s cannot be read", run.thread_id)
        if now_is is None:
            now_is = Snapshot(status="error" if error else "idle", values="null", interrupts="{}")
        text = None if told is None else dumped(told)
        await self._keeper.end(self._leases.ended(run, self.worker, status, now_is, text))
        try:
            if mine.cancel == "rollback":
                await self._in_writer(self._runs.delete, run.run_id, run.owner)
            if mine.cancel is not None and thread is not None:
                await self._forget_states_of_none(thread, run.owner)
        finally:  # the end is kept: whatever goes wrong with the rest, those who follow hear of it
            self._at_work.pop(run.run_id, None)
            self._tails.end(run.run_id)
            self._loop.call_later(_TAIL_S, self._tails.drop, run.run_id)
            self._look.set()

    async def _forget_states_of_none(self, thread: Thread, owner: str) -> None:
        """Forget what a run wrote while its thread was being forgotten."""
        try:
            await asyncio.to_thread(self._threads.get, thread.thread_id, owner)
        except NotFound:
            await self._shelf.saver.adelete_thread(thread.key)

    async def _undo(self, mine: _AtWork, graph: Any, thread: Thread) -> None:
        """Tell a cancelled graph, and take back what a run left where that was asked for."""
        from nereus.agents.graphs import CANCELLED

        run = mine.run
        hook = CANCELLED.get(run.graph_id)
        if hook is not None:
            state = await graph.aget_state({"configurable": {"thread_id": thread.key}})
            desk = await asyncio.to_thread(self._shelf.desk, run.owner)
            try:
                await asyncio.to_thread(hook, desk, dict(state.values))
            except NereusError as error:
                log.warning("what run %s had begun elsewhere goes on: %s", run.run_id, error)
        if mine.cancel == "rollback":
            await self._shelf.saver.adelete_for_runs([run.run_id])

    # ------------------------------------------------------------------ telling

    def _tell(self, mine: _AtWork, name: str, data: str) -> None:
        mine.seq += 1
        self._keeper.add(mine.run.run_id, RunEvent(seq=mine.seq, name=name, data=data))

    def _lost(self, run_id: str) -> None:
        self._cancel(run_id, "lost")

    def _drop(self, run_id: str) -> None:
        """Nobody works on a run here any more, however that came: who follows one that has not ended asks the database."""
        if self._at_work.pop(run_id, None) is not None:
            self._tails.drop(run_id)

    async def _in_writer(self, call: Callable[..., Any], *given: Any) -> Any:
        return await self._loop.run_in_executor(self._writer, call, *given)
