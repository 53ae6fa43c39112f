"""Keeps the reasoner's trees, the preferences that they gave, and the values that were fitted to them.

The loop of a search is in memory; what changed since the last look is written in one transaction, so that a search that is
killed goes on from there and ends as one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from sqlalchemy import Table, delete, func, select

from nereus.errors import NotFound
from nereus.memory.database.engine import Database, now
from nereus.memory.database.models import RunRow
from nereus.memory.database.reasoner_tables import NodeRow, PreferenceRow, TreeRow, ValueFitRow

_RUNS = cast(Table, RunRow.__table__)
_TREES = cast(Table, TreeRow.__table__)
_NODES = cast(Table, NodeRow.__table__)
_PREFERENCES = cast(Table, PreferenceRow.__table__)
_FITS = cast(Table, ValueFitRow.__table__)


@dataclass(frozen=True)
class KeptTree:
    """A tree without its nodes."""

    id: str
    run_id: str | None
    problem: str
    question: str
    seed: int
    simulations: int
    calls: int
    closed: bool
    document: dict[str, Any]


@dataclass(frozen=True)
class KeptNode:
    """A prefix of a tree; `state` is JSON."""

    id: int
    parent: int | None
    depth: int
    step: str
    prior: float
    tie: float
    visits: int
    total: float
    reward: float | None
    value: float | None
    violation: str
    solution: bool
    expanded: bool
    closed: bool
    state: Any


@dataclass(frozen=True)
class KeptFit:
    """A fitted policy and value."""

    id: str
    problem: str
    prefixes: int
    error: float
    document: dict[str, Any]


class Trees:
    """Keeps and finds trees.

    Parameters
    ----------
    database
        The open run database.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def save(self, tree: KeptTree, nodes: Iterable[KeptNode] = ()) -> None:
        """Write a tree and those of its nodes that changed, as one.

        Nothing is written where more simulations are kept already: another process grew the same tree, and was faster.
        """
        at = now()
        row = {**asdict(tree), "document": json.dumps(tree.document, sort_keys=True), "created_at": at}
        rows = [
            {
                **{name: getattr(n, name) for name in _NODE_COLUMNS},
                "state": json.dumps(n.state),
                "tree_id": tree.id,
                "created_at": at,
            }
            for n in nodes
        ]
        with self.database.write() as connection:
            further = select(_TREES.c.id).where(
                _TREES.c.id == tree.id, _TREES.c.simulations > tree.simulations
            )
            if connection.execute(further).first() is not None:
                return
            self.database.put(connection, _TREES, [row])
            if rows:
                self.database.put(connection, _NODES, rows)

    def tree(self, tree_id: str) -> KeptTree:
        """A tree by name; `NotFound` where there is none."""
        with self.database.read() as connection:
            row = connection.execute(select(_TREES).where(_TREES.c.id == tree_id)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no tree {tree_id!r}", where="reasoner", mend="`Trees.find` lists them")
        return _tree(row)

    def find(self, run_id: str | None = None, owner: str | None = None) -> list[KeptTree]:
        """All trees, or those of a run, or of one owner's runs, in the order of their names."""
        query = select(_TREES).order_by(_TREES.c.id)
        if run_id is not None:
            query = query.where(_TREES.c.run_id == run_id)
        if owner is not None:
            query = query.join(_RUNS, _RUNS.c.id == _TREES.c.run_id).where(_RUNS.c.owner == owner)
        with self.database.read() as connection:
            return [_tree(row) for row in connection.execute(query).mappings()]

    def nodes(self, tree_id: str) -> list[KeptNode]:
        """All nodes of a tree by number."""
        with self.database.read() as connection:
            rows = connection.execute(
                select(_NODES).where(_NODES.c.tree_id == tree_id).order_by(_NODES.c.id)
            ).mappings()
            return [
                KeptNode(**{n: row[n] for n in _NODE_COLUMNS}, state=json.loads(row["state"])) for row in rows
            ]

    def save_preferences(self, tree_id: str, pairs: Sequence[tuple[str, float, float, str]]) -> None:
        """Write the pairs of a tree in place of those it had: (kind, q_chosen, q_rejected, pair as JSON)."""
        at = now()
        rows = [
            {
                "tree_id": tree_id,
                "id": number,
                "kind": kind,
                "q_chosen": chosen,
                "q_rejected": rejected,
                "document": document,
                "created_at": at,
            }
            for number, (kind, chosen, rejected, document) in enumerate(pairs)
        ]
        with self.database.write() as connection:
            connection.execute(delete(_PREFERENCES).where(_PREFERENCES.c.tree_id == tree_id))
            if rows:
                self.database.put(connection, _PREFERENCES, rows)

    def preferences(self, problem: str | None = None, owner: str | None = None) -> list[str]:
        """Pairs as JSON in the order of trees: of one kind of problem, of one owner's runs, or of all."""
        query = (
            select(_PREFERENCES.c.document)
            .join(_TREES, _TREES.c.id == _PREFERENCES.c.tree_id)
            .order_by(_PREFERENCES.c.tree_id, _PREFERENCES.c.id)
        )
        if problem is not None:
            query = query.where(_TREES.c.problem == problem)
        if owner is not None:
            query = query.join(_RUNS, _RUNS.c.id == _TREES.c.run_id).where(_RUNS.c.owner == owner)
        with self.database.read() as connection:
            return [str(one) for one in connection.execute(query).scalars()]

    def save_fit(self, fit: KeptFit) -> None:
        """Write what was fitted."""
        row = {**asdict(fit), "document": json.dumps(fit.document, sort_keys=True), "created_at": now()}
        with self.database.write() as connection:
            self.database.put(connection, _FITS, [row])

    def newest_fit(self, problem: str) -> KeptFit | None:
        """What was fitted last for a kind of problem; None where nothing was."""
        query = (
            select(_FITS)
            .where(_FITS.c.problem == problem)
            .order_by(_FITS.c.created_at.desc(), _FITS.c.id.desc())
        )
        with self.database.read() as connection:
            row = connection.execute(query.limit(1)).mappings().one_or_none()
        if row is None:
            return None
        return KeptFit(
            row["id"], row["problem"], row["prefixes"], row["error"], dict(json.loads(row["document"]))
        )

    def count_fits(self, problem: str) -> int:
        """How often something was fitted for a kind of problem."""
        with self.database.read() as connection:
            return int(
                connection.execute(
                    select(func.count()).select_from(_FITS).where(_FITS.c.problem == problem)
                ).scalar_one()
            )


_NODE_COLUMNS = tuple(name for name in KeptNode.__dataclass_fields__ if name != "state")


def _tree(row: Any) -> KeptTree:
    values = {name: row[name] for name in KeptTree.__dataclass_fields__ if name != "document"}
    return KeptTree(**values, document=dict(json.loads(row["document"])))
