"""The evidence graph of runs: what each run says of which things, kept in the database.

Ids are made of content, so a run that is gone on with after a kill writes the same rows, and one thing has one id in
all runs. A run's graph is written as a whole: what a newer version no longer says is gone. An edge cannot be stored
without evidence that is recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection, Table, delete, select

from nereus.errors import StoreError
from nereus.memory.database.engine import now
from nereus.memory.database.models import GraphEdgeEvidenceRow, GraphEdgeRow, GraphNodeRow
from nereus.memory.records import EntityKind, GraphEdge, GraphNode
from nereus.memory.rows import Rows, row_of

_NODES = cast(Table, GraphNodeRow.__table__)
_EDGES = cast(Table, GraphEdgeRow.__table__)
_EDGE_EVIDENCE = cast(Table, GraphEdgeEvidenceRow.__table__)
_KEY = 255
"""Characters of a name that are looked up."""


def make_node(kind: EntityKind, entity: str, name: str = "") -> GraphNode:
    """A node with the id of its content."""
    return GraphNode(id="n" + _digest(kind, entity), kind=kind, entity=entity, name=name or entity)


def edge_id(source: str, kind: str, target: str, about: str, objective: str, split: str) -> str:
    """Id of an edge, made of what identifies it."""
    return "l" + _digest(source, kind, target, about, objective, split)


def name_key(name: str) -> str:
    """A name as it is looked up."""
    return name.casefold().strip()[:_KEY]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Graphs(Rows):
    """Keeps the evidence graphs of all runs."""

    def save_graph(self, run_id: str, nodes: Iterable[GraphNode], edges: Iterable[GraphEdge]) -> None:
        """Replace the graph of a run.

        Raises
        ------
        StoreError
            An edge has no evidence, names evidence that is not recorded, or ends at no node.
        """
        kept = [*edges]
        bare = next((one for one in kept if not one.evidence_ids), None)
        if bare is not None:
            raise StoreError(f"the edge {bare.kind} of {bare.about!r} has no evidence", where=f"run {run_id}")
        write = partial(self._write_graph, run_id)
        self.database.save(("graph", run_id), [([*nodes], kept)], write)

    def _write_graph(
        self, run_id: str, connection: Connection, gathered: list[tuple[list[GraphNode], list[GraphEdge]]]
    ) -> None:
        nodes, edges = gathered[-1]  # of several in one unit the last one holds
        stamp = now()
        for table in (_EDGE_EVIDENCE, _EDGES, _NODES):
            connection.execute(delete(table).where(table.c.run_id == run_id))
        self._insert(
            connection,
            _NODES,
            [
                row_of(run_id, one, kind=one.kind, name_key=name_key(one.name))
                for one in {one.id: one for one in nodes}.values()
            ],
        )
        self._insert(
            connection,
            _EDGES,
            [
                row_of(
                    run_id,
                    one,
                    source=one.source,
                    target=one.target,
                    kind=one.kind,
                    status=one.status,
                    split=one.split,
                    sign=one.sign,
                    effect=one.effect,
                    p=one.p,
                    q=one.q,
                    n=one.n,
                    dataset_id=one.dataset,
                )
                for one in edges
            ],
        )
        links = [
            {"run_id": run_id, "edge_id": one.id, "evidence_id": identity, "created_at": stamp}
            for one in edges
            for identity in dict.fromkeys(one.evidence_ids)
        ]
        self._insert(connection, _EDGE_EVIDENCE, links)

    def _insert(self, connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            connection.execute(table.insert(), list(rows))

    def graph(self, run_id: str) -> tuple[list[GraphNode], list[GraphEdge]]:
        """Read the graph of one run: nodes by kind and name, edges by their ends."""
        with self.database.read() as connection:
            return self._graph(connection, run_id)

    def _graph(self, connection: Connection, run_id: str) -> tuple[list[GraphNode], list[GraphEdge]]:
        nodes = [
            GraphNode.model_validate_json(text)
            for text in connection.execute(
                select(_NODES.c.document).where(_NODES.c.run_id == run_id)
            ).scalars()
        ]
        edges = [
            GraphEdge.model_validate_json(text)
            for text in connection.execute(
                select(_EDGES.c.document).where(_EDGES.c.run_id == run_id)
            ).scalars()
        ]
        return ordered(nodes, edges)

    def runs_with_graphs(self) -> list[str]:
        """Ids of the runs that have an evidence graph, in order."""
        with self.database.read() as connection:
            return sorted(connection.execute(select(_NODES.c.run_id).distinct()).scalars())


def ordered(
    nodes: Iterable[GraphNode], edges: Iterable[GraphEdge]
) -> tuple[list[GraphNode], list[GraphEdge]]:
    """Nodes by kind and name, edges by kind and ends: the order of every file and page."""
    known = {one.id: one for one in nodes}
    return (
        sorted(known.values(), key=lambda one: (one.kind, one.name.casefold(), one.id)),
        sorted(
            edges,
            key=lambda one: (
                one.kind,
                known[one.source].name.casefold(),
                known[one.target].name.casefold(),
                one.about,
                one.split,
                one.id,
            ),
        ),
    )
