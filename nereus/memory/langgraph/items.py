"""Items kept across threads, by owner: what the protocol calls the store, and a LangGraph `BaseStore` for graphs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from sqlalchemy import Connection, delete, update

from nereus.memory.database.containment import contains
from nereus.memory.database.engine import Database, now
from nereus.memory.embedding import Embedder, HashedEmbedder
from nereus.memory.langgraph.item_vectors import (
    ITEMS,
    alive,
    changed,
    item_vectors,
    joined,
    labels,
    nearest_rows,
)

_MINUTE_S = 60.0
_COMPARED = {
    "$eq": lambda a, b: a == b,
    "$ne": lambda a, b: a != b,
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}


class ItemStore(BaseStore):
    """The items of one owner, in the run database.

    Search by words compares all items under a namespace by similarity of their text (`nereus.memory.embedding`),
    with vectors that the process keeps (`nereus.memory.langgraph.item_vectors`).

    Parameters
    ----------
    database
        The open database.
    owner
        Whose items they are: no other's are seen.
    embedder
        What tells how much alike texts are.
    """

    supports_ttl = True

    def __init__(self, database: Database, owner: str, embedder: Embedder | None = None) -> None:
        self._database = database
        self._owner = owner
        self._embedder = embedder or HashedEmbedder()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several operations in their order; what is written is one transaction."""
        asked = list(ops)
        seen: list[Any] = []
        if any(isinstance(op, PutOp) for op in asked):
            with self._database.write() as connection:
                connection.execute(delete(ITEMS).where(ITEMS.c.expires_at < time.time()))
                results = [self._do(connection, op, seen) for op in asked]
                written = {joined(op.namespace) for op in asked if isinstance(op, PutOp)}
                changed(connection, self._database, self._owner, written)
        else:
            with self._database.read() as connection:
                results = [self._do(connection, op, seen) for op in asked]
        self._refresh([row for row in seen if row.lifetime_s is not None])
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The same in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _do(self, connection: Connection, op: Op, seen: list[Any]) -> Result:
        """Do one operation; rows whose time begins anew are added to `seen`."""
        if isinstance(op, PutOp):
            self._put(connection, op)
            return None
        if isinstance(op, GetOp):
            return self._get(connection, op, seen)
        if isinstance(op, SearchOp):
            return self._search(connection, op, seen)
        if isinstance(op, ListNamespacesOp):
            return self._namespaces(connection, op)
        raise ValueError(f"{type(op).__name__} is no operation of a store")

    def _put(self, connection: Connection, op: PutOp) -> None:
        mine = (
            ITEMS.c.owner == self._owner,
            ITEMS.c.namespace == joined(op.namespace),
            ITEMS.c.key == op.key,
        )
        if op.value is None:
            connection.execute(delete(ITEMS).where(*mine))
            return
        lifetime = None if op.ttl is None else op.ttl * _MINUTE_S
        moment = now()
        self._database.put(
            connection,
            ITEMS,
            [
                {
                    "owner": self._owner,
                    "namespace": joined(op.namespace),
                    "key": op.key,
                    "value": json.dumps(op.value, allow_nan=False),
                    "lifetime_s": lifetime,
                    "expires_at": None if lifetime is None else time.time() + lifetime,
                    "created_at": moment,
                    "updated_at": moment,
                }
            ],
        )

    def _get(self, connection: Connection, op: GetOp, seen: list[Any]) -> Item | None:
        query = alive(self._owner, ()).where(ITEMS.c.namespace == joined(op.namespace), ITEMS.c.key == op.key)
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if op.refresh_ttl:
            seen.append(row)
        return Item(**_content(row))

    def _search(self, connection: Connection, op: SearchOp, seen: list[Any]) -> list[SearchItem]:
        page = slice(op.offset, op.offset + op.limit)
        if op.query:
            found = self._alike(connection, op, op.query)[page]
        else:
            query = alive(self._owner, op.namespace_prefix).order_by(
                ITEMS.c.updated_at.desc(), ITEMS.c.namespace, ITEMS.c.key
            )
            if op.filter:
                fitting = (
                    row for row in connection.execute(query) if _fits(json.loads(row.value), op.filter)
                )
                found = [(row, None) for row in islice(fitting, page.start, page.stop)]
            else:
                rows = connection.execute(query.limit(op.limit).offset(op.offset))
                found = [(row, None) for row in rows]
        if op.refresh_ttl:
            seen.extend(row for row, _ in found)
        return [SearchItem(**_content(row), score=score) for row, score in found]

    def _alike(self, connection: Connection, op: SearchOp, words: str) -> list[tuple[Any, float | None]]:
        """Items that are wanted by likeness of their words, as many as are asked for."""
        vectors = item_vectors(
            self._database,
            self._owner,
            op.namespace_prefix,
            self._embedder.id,
            lambda rows: self._embedder.embed([_text(row) for row in rows]),
        )
        asked = self._embedder.embed([words])[0]
        wanted = op.filter or {}
        found = nearest_rows(
            connection,
            self._owner,
            vectors.nearest(connection, asked),
            op.offset + op.limit,
            lambda value: _fits(value, wanted),
        )
        return list(found)

    def _namespaces(self, connection: Connection, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        query = alive(self._owner, (), ITEMS.c.namespace).distinct()
        found = [labels(row.namespace) for row in connection.execute(query)]
        fitting = {
            space[: op.max_depth]
            for space in found
            if all(_matches(space, one) for one in op.match_conditions or ())
        }
        return sorted(fitting)[op.offset : op.offset + op.limit]

    def _refresh(self, rows: Sequence[Any]) -> None:
        """Let the time of items begin anew."""
        if not rows:
            return
        with self._database.write() as connection:
            for row in rows:
                one = update(ITEMS).where(
                    ITEMS.c.owner == self._owner,
                    ITEMS.c.namespace == row.namespace,
                    ITEMS.c.key == row.key,
                )
                connection.execute(one.values(expires_at=time.time() + row.lifetime_s))


def _content(row: Any) -> dict[str, Any]:
    return {
        "namespace": labels(row.namespace),
        "key": row.key,
        "value": json.loads(row.value),
        "created_at": datetime.fromisoformat(row.created_at),
        "updated_at": datetime.fromisoformat(row.updated_at),
    }


def _text(row: Any) -> str:
    """The words of an item: its texts, wherever they are."""

    def texts(value: Any) -> Iterable[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for one in value.values():
                yield from texts(one)
        elif isinstance(value, list):
            for one in value:
                yield from texts(one)

    return " ".join(texts(json.loads(row.value)))


def _fits(value: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether an item has what is wanted: equal values, or comparisons such as ``{"$gt": 3}``."""
    for key, condition in wanted.items():
        if isinstance(condition, dict) and condition and all(name in _COMPARED for name in condition):
            try:
                if not all(_COMPARED[name](value.get(key), than) for name, than in condition.items()):
                    return False
            except TypeError:  # of kinds that have no order
                return False
        elif key not in value or not contains(value[key], condition):
            return False
    return True


def _matches(space: tuple[str, ...], condition: MatchCondition) -> bool:
    path = tuple(condition.path)
    if len(path) > len(space):
        return False
    part = space[: len(path)] if condition.match_type == "prefix" else space[-len(path) :] if path else ()
    return all(wanted in ("*", found) for found, wanted in zip(part, path, strict=True))
