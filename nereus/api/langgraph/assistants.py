"""Assistants: a graph with a configuration; what the graph is like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, Field, TypeAdapter

from nereus.api.access import Reader, Writer
from nereus.api.langgraph.answers import JSON, NOTHING, answer, selected
from nereus.api.langgraph.requests import Anything, Body, Document, Limit, Name, Offset, checked
from nereus.api.langgraph.service import Graphs
from nereus.memory.langgraph.assistants import Assistant, SortBy

router = APIRouter(prefix="/assistants", tags=["langgraph"])

AssistantId = Annotated[str, Path(min_length=1, max_length=64), AfterValidator(checked)]
Label = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(checked)]


class NewAssistant(Body):
    """An assistant that is to be made."""

    graph_id: Label
    assistant_id: Name | None = None
    name: Label | None = None
    description: Annotated[str, Field(max_length=5000), AfterValidator(checked)] | None = None
    config: Document = Field(default_factory=dict)
    context: Document = Field(default_factory=dict)
    metadata: Document = Field(default_factory=dict)
    if_exists: Literal["raise", "do_nothing"] = "raise"


class Changes(Body):
    """What is to be different in a new version."""

    graph_id: Label | None = None
    name: Label | None = None
    description: Annotated[str, Field(max_length=5000), AfterValidator(checked)] | None = None
    config: Document | None = None
    context: Document | None = None
    metadata: Document | None = None


class Wanted(Body):
    """Which assistants are looked for."""

    metadata: Document | None = None
    graph_id: Label | None = None
    name: Label | None = None


class Search(Wanted):
    """Which assistants are listed, and how."""

    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[str] | None = None


class Versions(Body):
    """Which versions are listed."""

    metadata: Anything = None
    limit: Limit = 10
    offset: Offset = 0


class Latest(Body):
    """The version that is to hold."""

    version: Annotated[int, Field(ge=1, lt=2**31)]


@router.post("", **JSON)
def create_assistant(given: NewAssistant, graphs: Graphs, caller: Writer) -> Response:
    """Make an assistant of a graph."""
    content = given.model_dump(
        include={"name", "description", "config", "context", "metadata"}, exclude_none=True
    )
    made = graphs.kept.assistants.create(
        caller.owner, given.graph_id, given.assistant_id, given.if_exists, **content
    )
    return answer(made.model_dump())


@router.post("/search", **JSON)
def search_assistants(given: Search, graphs: Graphs, caller: Reader) -> Response:
    """Assistants that you may use; the header X-Pagination-Next is the next offset, where there are more."""
    found = _wanted(given, graphs, caller.owner, given.sort_by, given.sort_order)
    page = found[given.offset : given.offset + given.limit]
    headers = {"x-pagination-total": str(len(found))}
    if given.offset + given.limit < len(found):
        headers["x-pagination-next"] = str(given.offset + given.limit)
    return answer([selected(one.model_dump(), given.select) for one in page], headers)


@router.post("/count", **JSON)
def count_assistants(given: Wanted, graphs: Graphs, caller: Reader) -> Response:
    """How many there are."""
    return answer(len(_wanted(given, graphs, caller.owner)))


@router.get("/{assistant_id}", **JSON)
def get_assistant(assistant_id: AssistantId, graphs: Graphs, caller: Reader) -> Response:
    """One assistant."""
    return answer(graphs.kept.assistants.get(assistant_id, caller.owner).model_dump())


@router.patch("/{assistant_id}", **JSON)
def update_assistant(assistant_id: AssistantId, given: Changes, graphs: Graphs, caller: Writer) -> Response:
    """Give an assistant a new version."""
    changes = given.model_dump(exclude={"graph_id"}, exclude_none=True)
    return answer(
        graphs.kept.assistants.update(assistant_id, caller.owner, given.graph_id, **changes).model_dump()
    )


@router.delete("/{assistant_id}", **NOTHING)
def delete_assistant(
    assistant_id: AssistantId, graphs: Graphs, caller: Writer, delete_threads: bool = False
) -> None:
    """Forget an assistant, and the threads in which it ran last, where that is asked for."""
    graphs.kept.assistants.delete(assistant_id, caller.owner)
    while delete_threads and (
        found := graphs.kept.threads.search(caller.owner, {"assistant_id": assistant_id}, limit=100)
    ):
        for thread in found:
            graphs.forget_thread(thread.thread_id, caller.owner)


@router.post("/{assistant_id}/versions", **JSON)
def assistant_versions(
    assistant_id: AssistantId, given: Versions, graphs: Graphs, caller: Reader
) -> Response:
    """All that an assistant has been, newest first."""
    found = graphs.kept.assistants.versions(assistant_id, caller.owner)
    return answer([one.model_dump() for one in found[given.offset : given.offset + given.limit]])


@router.post("/{assistant_id}/latest", **JSON)
def set_latest_version(assistant_id: AssistantId, given: Latest, graphs: Graphs, caller: Writer) -> Response:
    """Go back to a version, or on."""
    return answer(graphs.kept.assistants.set_latest(assistant_id, caller.owner, given.version).model_dump())


@router.get("/{assistant_id}/graph", **JSON)
async def assistant_graph(
    assistant_id: AssistantId,
    graphs: Graphs,
    caller: Reader,
    xray: Annotated[str, Query(pattern="^(true|false|True|False|[0-9]{1,2})$")] = "false",
) -> Response:
    """Nodes and edges; with ``xray`` those of subgraphs, too."""
    graph = await _graph(graphs, assistant_id, caller.owner)
    deep = int(xray) if xray.isdigit() else xray.lower() == "true"
    drawn = await graph.aget_graph(xray=deep)
    return answer(drawn.to_json())


@router.get("/{assistant_id}/schemas", **JSON)
async def assistant_schemas(assistant_id: AssistantId, graphs: Graphs, caller: Reader) -> Response:
    """What the graph takes, holds and gives."""
    assistant = await run_in_threadpool(graphs.kept.assistants.get, assistant_id, caller.owner)
    graph = await _graph(graphs, assistant_id, caller.owner)
    return answer({"graph_id": assistant.graph_id, **await run_in_threadpool(_schemas, graph)})


@router.get("/{assistant_id}/subgraphs", name="assistant_subgraphs", **JSON)
@router.get("/{assistant_id}/subgraphs/{namespace:path}", name="assistant_subgraph", **JSON)
async def assistant_subgraphs(
    assistant_id: AssistantId,
    graphs: Graphs,
    caller: Reader,
    namespace: str | None = None,
    recurse: bool = False,
) -> Response:
    """Graphs within the graph, by namespace."""
    graph = await _graph(graphs, assistant_id, caller.owner)
    found: dict[str, Any] = {}
    async for name, inner in graph.aget_subgraphs(namespace=namespace, recurse=recurse):
        found[name] = {"graph_id": name, **await run_in_threadpool(_schemas, inner)}
    return answer(found)


def _wanted(
    given: Wanted,
    graphs: Graphs,
    owner: str,
    by: SortBy | None = None,
    order: Literal["asc", "desc"] | None = None,
) -> list[Assistant]:
    return graphs.kept.assistants.all(
        owner, given.metadata, given.graph_id, given.name, by or "created_at", order != "asc"
    )


async def _graph(graphs: Graphs, assistant_id: str, owner: str) -> Any:
    assistant = await run_in_threadpool(graphs.kept.assistants.get, assistant_id, owner)
    return await run_in_threadpool(graphs.shelf.get, assistant.graph_id, owner)


def _schemas(graph: Any) -> dict[str, Any]:
    """Schemas of a graph; null where one cannot be told."""
    told: dict[str, Any] = {}
    for name, make in (
        ("input_schema", graph.get_input_jsonschema),
        ("output_schema", graph.get_output_jsonschema),
        ("state_schema", lambda: TypeAdapter(graph.builder.state_schema).json_schema()),
        ("config_schema", graph.get_config_jsonschema),
        ("context_schema", graph.get_context_jsonschema),
    ):
        try:
            told[name] = make()
        except Exception:  # noqa: BLE001  (a state may hold types that have no schema)
            told[name] = None
    return told
