"""Vectors of items, kept by a process: a search compares numbers in memory and reads only the items that it gives.

SQL is the truth. With the items of a namespace the number of their changes is written; before each search it is asked,
and where it is another one, or the time of an item is over, the times of all items are compared and what changed is read.
So all processes find the same, as if they compared all items anew.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import Connection, Table, func, select

from nereus.memory.database.langgraph_tables import ProtocolItemChangesRow, ProtocolItemRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nereus.memory.database.engine import Database

ITEMS = cast(Table, ProtocolItemRow.__table__)
_CHANGES = cast(Table, ProtocolItemChangesRow.__table__)
MOST_BYTES = 512 * 2**20
"""Of vectors that a process keeps for a database; those that were asked for longest ago go first."""
_BETWEEN = "."
_AT_ONCE = 64
_DIGITS = 6  # what agrees to this many decimals is equally alike, on every machine
_READ = 400

Identity = tuple[str, str]
"""Namespace, its labels joined, and key."""
Vectors = Callable[[Sequence[Any]], "NDArray[np.float32]"]
"""Makes vectors, (rows, d), of rows of items."""


def joined(namespace: Sequence[str]) -> str:
    """A namespace as its rows hold it."""
    return _BETWEEN.join(namespace)


def labels(namespace: str) -> tuple[str, ...]:
    """What `joined` made one."""
    return tuple(namespace.split(_BETWEEN))


def alive(owner: str, namespace: Sequence[str], *columns: Any) -> Any:
    """Ask for the items of an owner under a namespace whose time is not over."""
    in_time = ITEMS.c.expires_at.is_(None) | (ITEMS.c.expires_at >= time.time())
    return _under(select(*columns or ITEMS.c).where(in_time), ITEMS, owner, namespace)


def changed(connection: Connection, database: Database, owner: str, namespaces: Iterable[str]) -> None:
    """Tell that items of namespaces were written or forgotten, in the transaction that does it."""
    fresh = database.insert(_CHANGES)
    more = fresh.on_conflict_do_update(
        index_elements=[_CHANGES.c.owner, _CHANGES.c.namespace], set_={"number": _CHANGES.c.number + 1}
    )
    for namespace in sorted(namespaces):
        connection.execute(more, {"owner": owner, "namespace": namespace, "number": 1})


def _under(query: Any, table: Table, owner: str, namespace: Sequence[str]) -> Any:
    query = query.where(table.c.owner == owner)
    if not namespace:
        return query
    name = joined(namespace)
    below = table.c.namespace.startswith(name + _BETWEEN, autoescape=True)
    return query.where((table.c.namespace == name) | below)


def rows_of(connection: Connection, owner: str, wanted: Sequence[Identity]) -> dict[Identity, Any]:
    """Items by identity; those that are gone are left out."""
    by_space: dict[str, list[str]] = {}
    for space, key in wanted:
        by_space.setdefault(space, []).append(key)
    found: dict[Identity, Any] = {}
    for space, keys in by_space.items():
        for start in range(0, len(keys), _READ):
            query = alive(owner, ()).where(
                ITEMS.c.namespace == space, ITEMS.c.key.in_(keys[start : start + _READ])
            )
            found |= {(row.namespace, row.key): row for row in connection.execute(query)}
    return found


class ItemVectors:
    """The vectors of one owner's items under a namespace.

    Parameters
    ----------
    owner, namespace
        Whose, and under what.
    vectors
        Makes vectors of rows.
    """

    def __init__(self, owner: str, namespace: Sequence[str], vectors: Vectors) -> None:
        self._owner = owner
        self._namespace = tuple(namespace)
        self._vectors = vectors
        self._lock = threading.Lock()
        self._number: int | None = None
        """Of the changes that are known."""
        self._over = float("inf")
        """When the first item's time is."""
        self._stamps: dict[Identity, str] = {}
        self._known: list[Identity] = []
        self._ranks = np.empty(0, dtype=np.int64)
        self._matrix: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)

    @property
    def size(self) -> int:
        """Bytes of the vectors."""
        return self._matrix.nbytes

    def nearest(self, connection: Connection, asked: NDArray[np.float32]) -> Iterator[tuple[Identity, float]]:
        """Go through all items by cosine with a vector, the most alike first; equal ones by key.

        Raises
        ------
        ValueError
            The vector has another length than those of the items.
        """
        with self._lock:
            self._bring_in_step(connection)
            known, ranks, matrix = self._known, self._ranks, self._matrix
        if not known:
            return
        if matrix.shape[1] != len(asked):
            raise ValueError(
                f"the items' vectors have {matrix.shape[1]} numbers, the question's {len(asked)}"
            )
        likeness = np.round(matrix @ _unit(asked[None])[0], _DIGITS)
        given, most = 0, _AT_ONCE
        while given < len(known):
            last = max(0, len(known) - most)
            least = np.partition(likeness, last)[last]
            among = np.flatnonzero(likeness >= least)
            order = among[np.lexsort((ranks[among], -likeness[among]))]
            for place in order[given:]:
                yield known[place], float(likeness[place])
            given, most = len(order), 4 * len(order)

    def _bring_in_step(self, connection: Connection) -> None:
        asked = _under(select(func.sum(_CHANGES.c.number)), _CHANGES, self._owner, self._namespace)
        number = connection.execute(asked).scalar_one() or 0
        if number == self._number and time.time() < self._over:
            return
        columns = (ITEMS.c.namespace, ITEMS.c.key, ITEMS.c.updated_at, ITEMS.c.expires_at)
        light = connection.execute(alive(self._owner, self._namespace, *columns)).all()
        stamps = {(row[0], row[1]): row[2] for row in light}
        news = [one for one, stamp in stamps.items() if self._stamps.get(one) != stamp]
        if news or len(stamps) != len(self._stamps):
            self._take(connection, stamps, news)
        self._stamps = stamps
        self._over = min((row[3] for row in light if row[3] is not None), default=float("inf"))
        # What a transaction that writes has not kept yet may be taken back: it is compared again.
        writes = connection.get_execution_options().get("nereus_writes", False)
        self._number = None if writes else number

    def _take(self, connection: Connection, stamps: dict[Identity, str], news: Sequence[Identity]) -> None:
        new = set(news)
        stays = [place for place, one in enumerate(self._known) if one in stamps and one not in new]
        known, parts = [self._known[place] for place in stays], []
        if stays:
            parts.append(self._matrix[stays])
        for start in range(0, len(news), _READ):
            rows = rows_of(connection, self._owner, news[start : start + _READ])
            if rows:
                parts.append(_unit(np.asarray(self._vectors(list(rows.values())), dtype=np.float32)))
                known += rows
        if len({part.shape[1] for part in parts}) > 1:
            raise ValueError("the items' vectors are not equally long: they were made by different models")
        ranks = np.empty(len(known), dtype=np.int64)
        ranks[sorted(range(len(known)), key=lambda at: (known[at][1], known[at][0]))] = np.arange(len(known))
        self._known, self._ranks = known, ranks
        self._matrix = np.concatenate(parts) if parts else np.empty((0, 0), dtype=np.float32)


def nearest_rows(
    connection: Connection,
    owner: str,
    ordered: Iterator[tuple[Identity, float]],
    most: int,
    fits: Callable[[dict[str, Any]], bool],
) -> list[tuple[Any, float]]:
    """Rows of the first items, in their order, whose value fits, with their likeness; `most` of them, where there are."""
    found: list[tuple[Any, float]] = []
    ask = most
    while len(found) < most and (part := list(islice(ordered, ask))):
        rows = rows_of(connection, owner, [identity for identity, _ in part])
        found += [
            (rows[identity], likeness)
            for identity, likeness in part
            if identity in rows and fits(json.loads(rows[identity].value))
        ]
        ask *= 4
    return found[:most]


_KEPT: WeakKeyDictionary[Database, OrderedDict[tuple[str, ...], ItemVectors]] = WeakKeyDictionary()
_LOCK = threading.Lock()


def item_vectors(
    database: Database, owner: str, namespace: Sequence[str], kind: str, vectors: Vectors
) -> ItemVectors:
    """The vectors that this process keeps of a namespace, made where there are none.

    Parameters
    ----------
    database
        The open database.
    owner, namespace
        Whose items, and under what.
    kind
        Names how the vectors are made: an embedder's id.
    vectors
        Makes them.
    """
    with _LOCK:
        kept = _KEPT.setdefault(database, OrderedDict())
        name = (owner, kind, *namespace)
        if name not in kept:
            kept[name] = ItemVectors(owner, namespace, vectors)
        kept.move_to_end(name)
        while len(kept) > 1 and sum(one.size for one in kept.values()) > MOST_BYTES:
            kept.popitem(last=False)
        return kept[name]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays, and what is no number is zero."""
    vectors = np.nan_to_num(vectors, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
