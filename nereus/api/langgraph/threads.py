"""Threads: made, found, copied and forgotten."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, Field

from nereus.api.access import Reader, Writer
from nereus.api.langgraph.answers import JSON, NOTHING, answer, selected, thread_document
from nereus.api.langgraph.requests import Body, Document, Limit, Name, Offset, checked
from nereus.api.langgraph.service import Graphs, GraphService
from nereus.api.langgraph.snapshots import snapshot
from nereus.errors import InputError, NotFound, ResumeRefused
from nereus.memory.langgraph.threads import SortBy, Thread, ThreadStatus

router = APIRouter(prefix="/threads", tags=["langgraph"])

ThreadId = Annotated[str, Path(min_length=1, max_length=64), AfterValidator(checked)]
_MINUTE_S = 60.0


class Lifetime(Body):
    """After how many minutes a thread is forgotten."""

    ttl: Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)]
    strategy: Literal["delete"] = "delete"


class Update(Body):
    """What a node is taken to have said."""

    values: Any = None
    command: Document | None = None
    as_node: Annotated[str, Field(max_length=200)] | None = None


class Superstep(Body):
    """Updates at once."""

    updates: Annotated[list[Update], Field(max_length=200)]


class NewThread(Body):
    """A thread that is to be made."""

    thread_id: Name | None = None
    metadata: Document | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: Annotated[list[Superstep], Field(max_length=1000)] | None = None
    """A history that it is to have, step by step."""
    ttl: Lifetime | Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)] | None = None


class ThreadChanges(Body):
    """What is added to the metadata of a thread."""

    metadata: Document = Field(default_factory=dict)
    ttl: Lifetime | Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)] | None = None


class Wanted(Body):
    """Which threads are looked for."""

    metadata: Document | None = None
    values: Document | None = None
    status: ThreadStatus | None = None


class Search(Wanted):
    """Which threads are listed, and how."""

    ids: Annotated[list[Annotated[str, AfterValidator(checked)]], Field(max_length=500)] | None = None
    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[str] | None = None
    extract: dict[str, str] | None = None
    """Name to path, as ``values.messages[-1].content``."""


class Prune(Body):
    """Threads that are forgotten, or lose their history."""

    thread_ids: Annotated[list[Annotated[str, AfterValidator(checked)]], Field(max_length=1000)]
    strategy: Literal["delete", "keep_latest"] = "delete"


@router.post("", name="create_graph_thread", **JSON)
async def create_thread(given: NewThread, graphs: Graphs, caller: Writer) -> Response:
    """Make a thread."""
    made = await run_in_threadpool(
        graphs.kept.threads.create,
        caller.owner,
        given.thread_id,
        given.metadata,
        given.if_exists,
        _seconds(given.ttl),
    )
    if given.supersteps:
        try:
            made = await _with_history(graphs, made, caller.owner, given.supersteps)
        except BaseException:
            await run_in_threadpool(graphs.forget_thread, made.thread_id, caller.owner)
            raise
    return answer(thread_document(made))


@router.post("/search", **JSON)
def search_threads(given: Search, graphs: Graphs, caller: Reader) -> Response:
    """Your threads, the one last changed first."""
    found = graphs.kept.threads.search(
        caller.owner,
        given.metadata,
        given.values,
        given.ids,
        given.status,
        given.sort_by or "updated_at",
        given.sort_order != "asc",
        given.limit,
        given.offset,
    )
    documents = []
    for thread in found:
        document = thread_document(thread)
        told = dict(selected(document, given.select))
        if given.extract:
            told["extracted"] = {name: _at(document, path) for name, path in given.extract.items()}
        documents.append(told)
    headers = {}
    if len(found) == given.limit:
        headers["x-pagination-next"] = str(given.offset + given.limit)
    return answer(documents, headers)


@router.post("/count", **JSON)
def count_threads(given: Wanted, graphs: Graphs, caller: Reader) -> Response:
    """How many there are."""
    return answer(graphs.kept.threads.count(caller.owner, given.metadata, given.values, given.status))


@router.post("/prune", **JSON)
def prune_threads(given: Prune, graphs: Graphs, caller: Writer) -> Response:
    """Forget threads, or all of their states but the newest; the answer says how many there were."""
    pruned = 0
    for thread_id in dict.fromkeys(given.thread_ids):
        try:
            thread = graphs.kept.threads.get(thread_id, caller.owner)
        except NotFound:
            continue
        if given.strategy == "delete":
            graphs.forget_thread(thread_id, caller.owner)
        else:
            if graphs.kept.runs.unended(caller.owner, thread_id):
                raise ResumeRefused(
                    "a run is at work in the thread", where=f"thread {thread_id}", mend="wait for it"
                )
            graphs.shelf.saver.prune([thread.key], strategy="keep_latest")
        pruned += 1
    return answer({"pruned_count": pruned})


@router.get("/{thread_id}", name="get_graph_thread", **JSON)
def get_thread(
    thread_id: ThreadId,
    graphs: Graphs,
    caller: Reader,
    include: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """One thread."""
    del include
    return answer(thread_document(graphs.kept.threads.get(thread_id, caller.owner)))


@router.patch("/{thread_id}", **JSON)
def update_thread(
    thread_id: ThreadId,
    given: ThreadChanges,
    graphs: Graphs,
    caller: Writer,
    prefer: Annotated[str | None, Header()] = None,
) -> Response:
    """Add to the metadata of a thread."""
    changed = graphs.kept.threads.update(thread_id, caller.owner, given.metadata, _seconds(given.ttl))
    if prefer == "return=minimal":
        return Response(status_code=204)
    return answer(thread_document(changed))


@router.delete("/{thread_id}", name="delete_graph_thread", **NOTHING)
def delete_thread(thread_id: ThreadId, graphs: Graphs, caller: Writer) -> None:
    """Forget a thread with its runs and states."""
    graphs.forget_thread(thread_id, caller.owner)


@router.post("/{thread_id}/copy", **JSON)
def copy_thread(thread_id: ThreadId, graphs: Graphs, caller: Writer) -> Response:
    """A thread with the same history."""
    return answer(thread_document(graphs.copy_thread(thread_id, caller.owner)))


async def _with_history(graphs: GraphService, thread: Thread, owner: str, steps: list[Superstep]) -> Thread:
    from langgraph.errors import InvalidUpdateError
    from langgraph.types import StateUpdate

    graph = await graphs.graph_of(thread, owner)
    try:
        await graph.abulk_update_state(
            {"configurable": {"thread_id": thread.key}},
            [[StateUpdate(_said(one), one.as_node) for one in step.updates] for step in steps],
        )
    except (InvalidUpdateError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"the history does not fit the graph: {error}", where="supersteps") from error
    now_is = await snapshot(graph, thread)
    await run_in_threadpool(graphs.kept.threads.settle, thread.thread_id, owner, now_is)
    return await run_in_threadpool(graphs.kept.threads.get, thread.thread_id, owner)


def _said(update: Update) -> Any:
    from nereus.api.langgraph.requests import given_to_graph

    return update.values if update.command is None else given_to_graph({"command": update.command})


def _seconds(given: Lifetime | float | None) -> float | None:
    if given is None:
        return None
    return (given.ttl if isinstance(given, Lifetime) else given) * _MINUTE_S


def _at(document: Any, path: str) -> Any:
    """What is at a path; None where there is nothing."""
    for part in path.replace("[", ".[").split("."):
        if part.startswith("[") and part.endswith("]"):
            try:
                document = document[int(part[1:-1])] if isinstance(document, list) else None
            except (ValueError, IndexError):
                return None
        elif part:
            document = document.get(part) if isinstance(document, dict) else None
    return document
