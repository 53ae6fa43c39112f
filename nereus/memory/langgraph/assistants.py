"""Assistants: graphs with a configuration and a name. Each graph has one of its own, which belongs to everybody."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from typing import Any, Literal, cast

from pydantic import Field
from sqlalchemy import Connection, Table, delete, func, select, update

from nereus.errors import InputError, NotFound, ResumeRefused
from nereus.memory.database.containment import contains
from nereus.memory.database.engine import Database, now
from nereus.memory.database.langgraph_tables import AssistantRow, AssistantVersionRow
from nereus.memory.records import Record

_NOW = cast(Table, AssistantRow.__table__)
_VERSIONS = cast(Table, AssistantVersionRow.__table__)
_SINCE = "2026-01-01T00:00:00.000000+00:00"
"""When the graphs' own assistants came to be: they come with the package and have no date of their own."""
MOST = 1000
"""Assistants that one owner may have."""

SortBy = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]


class Assistant(Record):
    """A graph with a configuration, in the words of the protocol."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    version: int = 1
    created_at: str = _SINCE
    updated_at: str = _SINCE


class Assistants:
    """Keeps and finds assistants.

    Parameters
    ----------
    database
        The open database.
    graphs
        Names of the graphs there are; each is also the id of its own assistant.
    """

    def __init__(self, database: Database, graphs: Collection[str]) -> None:
        self._database = database
        self._own = {
            name: Assistant(assistant_id=name, graph_id=name, name=name, metadata={"created_by": "system"})
            for name in graphs
        }

    def get(self, assistant_id: str, owner: str) -> Assistant:
        """A graph's own assistant, or one of the owner's; `NotFound` where there is none."""
        if assistant_id in self._own:
            return self._own[assistant_id]
        with self._database.read() as connection:
            found = _read(connection, owner, assistant_id)
        if not found:
            raise NotFound(
                f"there is no assistant {assistant_id!r}", mend=f"the graphs' own are {sorted(self._own)}"
            )
        return found[0]

    def all(
        self,
        owner: str,
        metadata: dict[str, Any] | None = None,
        graph_id: str | None = None,
        name: str | None = None,
        by: SortBy = "created_at",
        descending: bool = True,
    ) -> list[Assistant]:
        """Assistants that an owner may use, with what their metadata must contain; the graphs' own first."""
        with self._database.read() as connection:
            found = _read(connection, owner)
        fitting = [
            one
            for one in (*self._own.values(), *found)
            if contains(one.metadata, metadata or {})
            and graph_id in (None, one.graph_id)
            and (name is None or name.casefold() in one.name.casefold())
        ]
        fitting.sort(key=lambda one: (str(getattr(one, by)), one.assistant_id), reverse=descending)
        return sorted(fitting, key=lambda one: one.assistant_id not in self._own)

    def create(
        self,
        owner: str,
        graph_id: str,
        assistant_id: str | None = None,
        if_exists: Literal["raise", "do_nothing"] = "raise",
        **content: Any,
    ) -> Assistant:
        """Make an assistant; `ResumeRefused` where its id is taken, unless that is to be left as it is."""
        self._check(graph_id)
        made = assistant_id or str(uuid.uuid4())
        with self._database.write() as connection:
            known = [self._own[made]] if made in self._own else _read(connection, owner, made)
            if known:
                if if_exists == "do_nothing":
                    return known[0]
                raise ResumeRefused(
                    f"there is an assistant {made!r} already", mend="ask for another id, or update it"
                )
            if (
                connection.execute(
                    select(func.count()).select_from(_NOW).where(_NOW.c.owner == owner)
                ).scalar_one()
                >= MOST
            ):
                raise InputError(f"you have {MOST} assistants", mend="delete one first")
            moment = now()
            assistant = Assistant(
                assistant_id=made,
                graph_id=graph_id,
                **{"name": graph_id, **content},
                created_at=moment,
                updated_at=moment,
            )
            connection.execute(
                _NOW.insert().values(owner=owner, id=made, version=1, created_at=moment, updated_at=moment)
            )
            connection.execute(_VERSIONS.insert().values(_version(owner, assistant, moment)))
        return assistant

    def update(self, assistant_id: str, owner: str, graph_id: str | None, **changes: Any) -> Assistant:
        """Give an assistant a new version; metadata are merged, the rest is replaced."""
        if graph_id is not None:
            self._check(graph_id)
            changes["graph_id"] = graph_id
        with self._database.write() as connection:
            before = self._mine(connection, owner, assistant_id)
            if "metadata" in changes:
                changes["metadata"] = {**before.metadata, **changes["metadata"]}
            last = connection.execute(
                select(func.max(_VERSIONS.c.version)).where(
                    _VERSIONS.c.owner == owner, _VERSIONS.c.id == assistant_id
                )
            ).scalar_one()
            moment = now()
            after = before.model_copy(update={**changes, "version": int(last) + 1, "updated_at": moment})
            connection.execute(_VERSIONS.insert().values(_version(owner, after, moment)))
            self._point(connection, owner, assistant_id, after.version, moment)
        return after

    def versions(self, assistant_id: str, owner: str) -> list[Assistant]:
        """All that an assistant has been, newest first."""
        current = self.get(assistant_id, owner)
        if assistant_id in self._own:
            return [current]
        query = select(_VERSIONS).where(_VERSIONS.c.owner == owner, _VERSIONS.c.id == assistant_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_VERSIONS.c.version.desc())).all()
        return [Assistant.model_validate_json(row.document) for row in rows]

    def set_latest(self, assistant_id: str, owner: str, version: int) -> Assistant:
        """Go back (or on) to a version; `NotFound` where there is none of this number."""
        if assistant_id in self._own and version == 1:
            return self._own[assistant_id]
        with self._database.write() as connection:
            self._mine(connection, owner, assistant_id)
            known = connection.execute(
                select(_VERSIONS.c.version).where(
                    _VERSIONS.c.owner == owner,
                    _VERSIONS.c.id == assistant_id,
                    _VERSIONS.c.version == version,
                )
            ).one_or_none()
            if known is None:
                raise NotFound(f"assistant {assistant_id!r} has no version {version}")
            self._point(connection, owner, assistant_id, version, now())
        return self.get(assistant_id, owner)

    def delete(self, assistant_id: str, owner: str) -> None:
        """Forget an assistant with its versions."""
        with self._database.write() as connection:
            self._mine(connection, owner, assistant_id)
            for table in (_NOW, _VERSIONS):
                connection.execute(delete(table).where(table.c.owner == owner, table.c.id == assistant_id))

    def _mine(self, connection: Connection, owner: str, assistant_id: str) -> Assistant:
        if assistant_id in self._own:
            raise ResumeRefused(
                f"assistant {assistant_id!r} is the graph's own", mend="make one of yours for the graph"
            )
        found = _read(connection, owner, assistant_id)
        if not found:
            raise NotFound(f"there is no assistant {assistant_id!r}")
        return found[0]

    def _check(self, graph_id: str) -> None:
        if graph_id not in self._own:
            raise NotFound(f"there is no graph {graph_id!r}", mend=f"there are {sorted(self._own)}")

    @staticmethod
    def _point(connection: Connection, owner: str, assistant_id: str, version: int, moment: str) -> None:
        chosen = update(_NOW).where(_NOW.c.owner == owner, _NOW.c.id == assistant_id)
        connection.execute(chosen.values(version=version, updated_at=moment))


def _read(connection: Connection, owner: str, assistant_id: str | None = None) -> list[Assistant]:
    query = (
        select(_VERSIONS.c.document, _NOW.c.created_at, _NOW.c.updated_at)
        .join(
            _VERSIONS,
            (_VERSIONS.c.owner == _NOW.c.owner)
            & (_VERSIONS.c.id == _NOW.c.id)
            & (_VERSIONS.c.version == _NOW.c.version),
        )
        .where(_NOW.c.owner == owner)
    )
    if assistant_id is not None:
        query = query.where(_NOW.c.id == assistant_id)
    return [
        Assistant.model_validate_json(row.document).model_copy(
            update={"created_at": row.created_at, "updated_at": row.updated_at}
        )
        for row in connection.execute(query)
    ]


def _version(owner: str, assistant: Assistant, moment: str) -> dict[str, Any]:
    return {
        "owner": owner,
        "id": assistant.assistant_id,
        "version": assistant.version,
        "graph_id": assistant.graph_id,
        "document": json.dumps(assistant.model_dump(), allow_nan=False),
        "created_at": moment,
    }
