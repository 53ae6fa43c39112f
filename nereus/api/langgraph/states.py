"""States of threads: the newest, earlier ones, and changes by hand."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, Field

from nereus.api.access import Reader, Writer
from nereus.api.langgraph.answers import JSON, answer, selected, thread_document
from nereus.api.langgraph.requests import (
    Anything,
    Body,
    CheckpointBody,
    Document,
    Limit,
    checked,
    found_checkpoint,
    listed,
)
from nereus.api.langgraph.service import Graphs, GraphService
from nereus.api.langgraph.snapshots import checkpoint_of, empty_state, snapshot, state_document
from nereus.api.langgraph.threads import ThreadId
from nereus.errors import InputError, NotFound, ResumeRefused
from nereus.memory.langgraph.threads import Thread

router = APIRouter(prefix="/threads/{thread_id}", tags=["langgraph"])

CheckpointId = Annotated[str, Path(min_length=1, max_length=200), AfterValidator(checked)]
Selected = Annotated[list[str] | None, Query()]


class At(Body):
    """Which state is looked for."""

    checkpoint: CheckpointBody
    subgraphs: bool = False
    select: list[str] | None = None


class StateUpdate(Body):
    """What is to be different in the next state."""

    values: Anything = None
    as_node: Annotated[str, Field(max_length=200), AfterValidator(checked)] | None = None
    checkpoint: CheckpointBody | None = None
    checkpoint_id: Annotated[str, Field(max_length=200), AfterValidator(checked)] | None = None


class StateMetadata(Body):
    """What is added to the metadata of the thread."""

    metadata: Document


class History(Body):
    """Which states are listed, newest first."""

    limit: Limit = 10
    before: str | CheckpointBody | Document | None = None
    metadata: Document | None = None
    checkpoint: CheckpointBody | None = None
    select: list[str] | None = None


@router.get("/state", **JSON)
async def get_state(
    thread_id: ThreadId, graphs: Graphs, caller: Reader, subgraphs: bool = False, select: Selected = None
) -> Response:
    """The newest state."""
    return await _state(graphs, thread_id, caller.owner, None, None, subgraphs, listed(select))


@router.get("/state/{checkpoint_id}", **JSON)
async def get_state_at(
    thread_id: ThreadId,
    checkpoint_id: CheckpointId,
    graphs: Graphs,
    caller: Reader,
    subgraphs: bool = False,
    select: Selected = None,
) -> Response:
    """An earlier state."""
    return await _state(graphs, thread_id, caller.owner, None, checkpoint_id, subgraphs, listed(select))


@router.post("/state/checkpoint", **JSON)
async def get_state_at_checkpoint(thread_id: ThreadId, given: At, graphs: Graphs, caller: Reader) -> Response:
    """An earlier state, or that of a subgraph."""
    return await _state(
        graphs, thread_id, caller.owner, given.checkpoint, None, given.subgraphs, given.select
    )


@router.post("/state", **JSON)
async def update_state(thread_id: ThreadId, given: StateUpdate, graphs: Graphs, caller: Writer) -> Response:
    """Add a state to the history, as if a node had said so."""
    from langgraph.errors import EmptyInputError, InvalidUpdateError

    thread = await _thread(graphs, thread_id, caller.owner)
    if await run_in_threadpool(graphs.kept.runs.unended, caller.owner, thread_id):
        raise ResumeRefused(
            "a run is at work in the thread", where=f"thread {thread_id}", mend="wait for it, or cancel it"
        )
    graph = await graphs.graph_of(thread, caller.owner)
    config = found_checkpoint(given.checkpoint, given.checkpoint_id, thread)
    try:
        after = await graph.aupdate_state(config, given.values, as_node=given.as_node)
    except (InvalidUpdateError, EmptyInputError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the graph does not take it: {error}", where="values") from error
    now_is = await snapshot(graph, thread)
    await run_in_threadpool(graphs.kept.threads.settle, thread_id, caller.owner, now_is)
    at = checkpoint_of(after, thread)
    return answer({"checkpoint": at, "configurable": at, "checkpoint_id": at["checkpoint_id"]})


@router.patch("/state", **JSON)
def update_state_metadata(
    thread_id: ThreadId, given: StateMetadata, graphs: Graphs, caller: Writer
) -> Response:
    """Add to the metadata of the thread."""
    return answer(thread_document(graphs.kept.threads.update(thread_id, caller.owner, given.metadata)))


@router.get("/history", **JSON)
async def get_history(
    thread_id: ThreadId,
    graphs: Graphs,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    before: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """States, newest first."""
    return await _history(graphs, thread_id, caller.owner, History(limit=limit, before=before))


@router.post("/history", **JSON)
async def search_history(thread_id: ThreadId, given: History, graphs: Graphs, caller: Reader) -> Response:
    """States, newest first, with what their metadata must contain."""
    return await _history(graphs, thread_id, caller.owner, given)


async def _thread(graphs: GraphService, thread_id: str, owner: str) -> Thread:
    return await run_in_threadpool(graphs.kept.threads.get, thread_id, owner)


async def _state(
    graphs: GraphService,
    thread_id: str,
    owner: str,
    checkpoint: CheckpointBody | None,
    checkpoint_id: str | None,
    subgraphs: bool,
    select: list[str] | None,
) -> Response:
    thread = await _thread(graphs, thread_id, owner)
    if thread.graph_id is None:
        return answer(selected(empty_state(thread), select))
    graph = await graphs.graph_of(thread, owner)
    config = found_checkpoint(checkpoint, checkpoint_id, thread)
    try:
        state = await graph.aget_state(config, subgraphs=subgraphs)
    except ValueError as error:  # a namespace that the graph does not have
        raise NotFound(f"there is no such state: {error}", where=f"thread {thread_id}") from error
    if state.created_at is None and "checkpoint_id" in config["configurable"]:
        raise NotFound(
            f"there is no checkpoint {config['configurable']['checkpoint_id']!r}",
            where=f"thread {thread_id}",
            mend="the history lists those there are",
        )
    return answer(selected(state_document(state, thread), select))


async def _history(graphs: GraphService, thread_id: str, owner: str, given: History) -> Response:
    thread = await _thread(graphs, thread_id, owner)
    if thread.graph_id is None:
        return answer([])
    graph = await graphs.graph_of(thread, owner)
    before = None
    if given.before is not None:
        named = _checkpoint_id(given.before)
        if named is None:
            raise InputError("it names no checkpoint", where="before", mend="give the id of a checkpoint")
        before = {"configurable": {"thread_id": thread.key, "checkpoint_id": named}}
    config: Any = found_checkpoint(given.checkpoint, None, thread)
    found = []
    try:
        async for state in graph.aget_state_history(
            config, filter=given.metadata or None, before=before, limit=given.limit
        ):
            found.append(selected(state_document(state, thread), given.select))
    except ValueError as error:
        raise InputError(f"the history cannot be searched so: {error}") from error
    return answer(found)


def _checkpoint_id(before: Any) -> str | None:
    if isinstance(before, CheckpointBody):
        return before.checkpoint_id
    if isinstance(before, dict):
        found = before.get("checkpoint_id") or (before.get("configurable") or {}).get("checkpoint_id")
        return found if isinstance(found, str) else None
    return str(before)
