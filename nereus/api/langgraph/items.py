"""The store: items under namespaces, kept across threads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, Field

from nereus.api.access import Reader, State, Writer
from nereus.api.langgraph.answers import JSON, NOTHING, answer
from nereus.api.langgraph.requests import Body, Document, Limit, Offset, checked
from nereus.api.state import ServerState
from nereus.errors import InputError

router = APIRouter(prefix="/store", tags=["langgraph"])

Label = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^.]+$"), AfterValidator(checked)]
Namespace = Annotated[list[Label], Field(min_length=1, max_length=10)]
Prefix = Annotated[list[Label], Field(max_length=10)]
Pattern = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200), AfterValidator(checked)]], Field(max_length=10)
]
Key = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(checked)]
_LONGEST = 1000


class NewItem(Body):
    """An item that is to be kept."""

    namespace: Namespace
    key: Key
    value: Document
    index: Literal[False] | list[str] | None = None
    """Accepted; all texts of an item are searched."""
    ttl: Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)] | None = None
    """Minutes after which it is forgotten."""


class Named(Body):
    """Which item is meant."""

    namespace: Namespace
    key: Key


class Search(Body):
    """Which items are looked for."""

    namespace_prefix: Prefix = Field(default_factory=list)
    filter: Document | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: Annotated[str, Field(max_length=4000), AfterValidator(checked)] | None = None
    refresh_ttl: bool | None = None


class Namespaces(Body):
    """Which namespaces are listed; ``*`` stands for any label."""

    prefix: Pattern | None = None
    suffix: Pattern | None = None
    max_depth: Annotated[int, Field(ge=1, le=10)] | None = None
    limit: Limit = 100
    offset: Offset = 0


@router.put("/items", **NOTHING)
def put_item(given: NewItem, state: State, caller: Writer) -> None:
    """Keep an item, in place of one of this name."""
    space = _space(given.namespace)
    _store(state, caller.owner).put(space, given.key, given.value, ttl=given.ttl)


@router.get("/items", **JSON)
def get_item(
    state: State,
    caller: Reader,
    key: Annotated[str, Query(min_length=1, max_length=500), AfterValidator(checked)],
    namespace: Annotated[
        str,
        Query(min_length=1, max_length=_LONGEST, description="Labels with a period between."),
        AfterValidator(checked),
    ],
    refresh_ttl: bool | None = None,
) -> Response:
    """An item; null where there is none."""
    found = _store(state, caller.owner).get(_labels(namespace), key, refresh_ttl=refresh_ttl)
    return answer(None if found is None else found.dict())


@router.delete("/items", **NOTHING)
def delete_item(given: Named, state: State, caller: Writer) -> None:
    """Forget an item."""
    _store(state, caller.owner).delete(_space(given.namespace), given.key)


@router.post("/items/search", **JSON)
def search_items(given: Search, state: State, caller: Reader) -> Response:
    """Items under a namespace: newest first, or those first that are most like the words of a query."""
    found = _store(state, caller.owner).search(
        tuple(given.namespace_prefix),
        query=given.query,
        filter=given.filter,
        limit=given.limit,
        offset=given.offset,
        refresh_ttl=given.refresh_ttl,
    )
    return answer({"items": [one.dict() for one in found]})


@router.post("/namespaces", **JSON)
def list_namespaces(given: Namespaces, state: State, caller: Reader) -> Response:
    """Namespaces in which there are items."""
    found = _store(state, caller.owner).list_namespaces(
        prefix=tuple(given.prefix) if given.prefix else None,
        suffix=tuple(given.suffix) if given.suffix else None,
        max_depth=given.max_depth,
        limit=given.limit,
        offset=given.offset,
    )
    return answer({"namespaces": [list(one) for one in found]})


def _store(state: ServerState, owner: str) -> Any:
    from nereus.memory.langgraph.items import ItemStore

    return ItemStore(state.workspace.database, owner)


def _labels(namespace: str) -> tuple[str, ...]:
    labels = tuple(namespace.split("."))
    if not all(labels):
        raise InputError("a label is empty", where="namespace", mend="write labels with one period between")
    return labels


def _space(labels: list[str]) -> tuple[str, ...]:
    if labels[0] == "langgraph":
        raise InputError("the label 'langgraph' is LangGraph's own", where="namespace", mend="name another")
    if sum(len(one) + 1 for one in labels) > _LONGEST:
        raise InputError(f"a namespace holds {_LONGEST} characters at most", where="namespace")
    return tuple(labels)
