"""The graph of a run under construction: nodes and edges, each edge with the evidence that recomputes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nereus.agents.planner.evidence import EvidenceBook
from nereus.agents.planner.grouping import missing
from nereus.memory.graph import edge_id, make_node, ordered
from nereus.memory.records import (
    EdgeKind,
    EdgeStatus,
    EntityKind,
    GraphEdge,
    GraphNode,
    Objective,
    RelationName,
    Split,
)

CLAIMS_A_QUESTION = 100
"""Supported edges of one question; the strongest by confidence and p."""
REFUTED_A_QUESTION = 25
_COUNTS = ("n", "n_a+n_b", "n_a")


@dataclass
class Weaver:
    """A graph under construction."""

    book: EvidenceBook
    dataset: str
    cohort: str = ""
    nodes: dict[str, GraphNode] = field(default_factory=dict)
    edges: dict[str, GraphEdge] = field(default_factory=dict)
    shortened: list[str] = field(default_factory=list)
    """What is asked by the questions of which only the strongest claims are kept."""
    features: dict[str, GraphNode] = field(default_factory=dict)
    """Gene in upper case -> the feature that stands for it."""

    def node(self, kind: EntityKind, entity: str, name: str = "") -> GraphNode:
        """A node of this graph, made once."""
        one = make_node(kind, entity, name)
        return self.nodes.setdefault(one.id, one)

    def add(
        self,
        source: GraphNode,
        kind: EdgeKind,
        target: GraphNode,
        *,
        relation: RelationName,
        objective: Objective,
        status: EdgeStatus,
        step: str,
        table: str = "",
        row: str = "",
        cite: str,
        values: Mapping[str, Any],
        columns: Mapping[str, str],
        split: Split = "discovery",
    ) -> None:
        """Add an edge that a cell of a table, or a named value of a step, recomputes.

        Parameters
        ----------
        source, kind, target
            What is joined, and how.
        relation, objective, status, split
            What it says, who asked, and what became of it.
        step, table, row, cite
            Where the evidence lies; without a table `cite` is a named value of the step.
        values
            The row, or the named values.
        columns
            Number of the edge -> column; those that the row lacks are left out.
        """
        found, read = _numbers(values, columns)
        cited = self.book.cell(step, table, row, cite) if table else self.book.value(step, cite)
        effect = found.get("effect")
        for node in (source, target):
            self.nodes.setdefault(node.id, node)
        identity = edge_id(source.id, kind, target.id, objective.about, objective.id, split)
        self.edges.setdefault(
            identity,
            GraphEdge(
                id=identity,
                kind=kind,
                source=source.id,
                target=target.id,
                relation=relation,
                sign=0 if not effect else 1 if effect > 0 else -1,
                about=objective.about,
                objective_id=objective.id,
                status=status,
                split=split,
                dataset=self.cohort if split == "second cohort" else self.dataset,
                columns=read,
                evidence_ids=(cited.id,),
                **found,
            ),
        )

    def done(self) -> tuple[list[GraphNode], list[GraphEdge]]:
        """Nodes and edges in the order of files and pages."""
        return ordered(self.nodes.values(), self.edges.values())


def _numbers(values: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The numbers of an edge, and the column of each."""
    found: dict[str, Any] = {}
    read: dict[str, str] = {}
    for role, told in columns.items():
        for column in _COUNTS if told == "n" else (told,):
            parts = [
                float(value)
                for one in column.split("+")
                if isinstance(value := values.get(one), int | float) and not missing(value)
            ]
            if len(parts) == column.count("+") + 1:
                found[role] = sum(parts)
                read[role] = column
                break
    return found, read


def text_of(value: Any) -> str:
    """A cell as text; empty where it holds nothing."""
    return "" if missing(value) or str(value) == "nan" else str(value)
