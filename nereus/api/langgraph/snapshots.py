"""States of threads, in the words of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nereus.api.langgraph.serialise import dumped, plain
from nereus.memory.langgraph.threads import Snapshot, Thread

_OURS = ("owner",)


async def snapshot(graph: Any, thread: Thread, failed: bool = False) -> Snapshot:
    """What a thread is like now."""
    state = await graph.aget_state({"configurable": {"thread_id": thread.key}})
    asked = {task.id: [_interrupt(one) for one in task.interrupts] for task in state.tasks if task.interrupts}
    status = "error" if failed else "interrupted" if state.next else "idle"
    return Snapshot(status=status, values=dumped(state.values), interrupts=dumped(asked))


def state_document(state: Any, thread: Thread) -> dict[str, Any]:
    """A state as clients have it.

    Parameters
    ----------
    state
        A `StateSnapshot` of LangGraph.
    thread
        Whose state it is.
    """
    at = checkpoint_of(state.config, thread)
    return {
        "values": plain(state.values),
        "next": list(state.next),
        "tasks": [_task(one, thread) for one in state.tasks],
        "metadata": _metadata(state.metadata, thread),
        "created_at": state.created_at,
        "checkpoint": at,
        "parent_checkpoint": None
        if state.parent_config is None
        else checkpoint_of(state.parent_config, thread),
        "interrupts": [_interrupt(one) for one in state.interrupts],
        "checkpoint_id": None if at is None else at["checkpoint_id"],
        "parent_checkpoint_id": None
        if state.parent_config is None
        else state.parent_config["configurable"].get("checkpoint_id"),
    }


def checkpoint_of(config: Mapping[str, Any], thread: Thread) -> dict[str, Any]:
    """Where a state is in the history, as clients name it."""
    found = config.get("configurable", {})
    return {
        "thread_id": thread.thread_id,
        "checkpoint_ns": found.get("checkpoint_ns", ""),
        "checkpoint_id": found.get("checkpoint_id"),
        "checkpoint_map": found.get("checkpoint_map"),
    }


def empty_state(thread: Thread) -> dict[str, Any]:
    """The state of a thread in which no graph has run."""
    return {
        "values": {},
        "next": [],
        "tasks": [],
        "metadata": {},
        "created_at": None,
        "checkpoint": checkpoint_of({}, thread),
        "parent_checkpoint": None,
        "interrupts": [],
        "checkpoint_id": None,
        "parent_checkpoint_id": None,
    }


def _task(task: Any, thread: Thread) -> dict[str, Any]:
    state = task.state
    inner = None
    at = None
    if isinstance(state, Mapping):  # where the state of a subgraph is to be found
        at = checkpoint_of(state, thread)
    elif state is not None:
        inner = state_document(state, thread)
        at = inner["checkpoint"]
    return {
        "id": task.id,
        "name": task.name,
        "path": plain(task.path),
        "error": None if task.error is None else _error(task.error),
        "interrupts": [_interrupt(one) for one in task.interrupts],
        "checkpoint": at,
        "state": inner,
        "result": plain(task.result),
    }


def _error(error: Any) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)


def _interrupt(one: Any) -> dict[str, Any]:
    return {"value": plain(one.value), "id": one.id}


def _metadata(given: Mapping[str, Any] | None, thread: Thread) -> dict[str, Any]:
    told = {key: value for key, value in (given or {}).items() if key not in _OURS}
    if "thread_id" in told:
        told["thread_id"] = thread.thread_id
    made: dict[str, Any] = plain(told)
    return made
