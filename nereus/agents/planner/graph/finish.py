"""The last word on a graph: which hypotheses say an edge, which edges they refute, and what was inferred."""

from __future__ import annotations

from collections.abc import Iterable

from nereus.agents.planner.graph.directions import LEG
from nereus.agents.planner.graph.loom import Weaver
from nereus.agents.planner.graph.paths import best_paths, inferred_edge
from nereus.agents.policies.base import EvidenceGroup
from nereus.memory.graph import ordered
from nereus.memory.records import GraphEdge, GraphNode, Hypothesis


def fallen(group: EvidenceGroup, refuted: Iterable[str]) -> bool:
    """Whether a path has lost one of its legs: a hypothesis that says the same as a leg was refuted."""
    lost = set(refuted)
    return any(
        value in lost
        for role, value in group.values.items()
        if role.startswith(LEG) and role.endswith(":group")
    )


def finished(
    graph: Weaver, judged: Iterable[tuple[EvidenceGroup, Hypothesis]]
) -> tuple[list[GraphNode], list[GraphEdge]]:
    """Nodes and edges as they are kept, once every hypothesis has its verdict."""
    pairs = [*judged]
    said: dict[tuple[str, str, str], list[Hypothesis]] = {}
    for group, one in pairs:
        entity = group.claim.entities[0]
        if group.grain == "cross":
            for objective, member in zip(group.objective_ids, group.claim.entities, strict=False):
                said.setdefault((objective, member.id, ""), []).append(one)
        elif group.grain in ("entity", "set") and entity.kind != "sample_group":
            said.setdefault((group.objective_ids[0], entity.id, group.claim.relation), []).append(one)
    edges = []
    for edge in graph.edges.values():
        found: list[Hypothesis] = []
        if edge.split == "discovery" and edge.status != "known":
            for end in (edge.source, edge.target):
                entity_id = graph.nodes[end].entity
                found += said.get((edge.objective_id, entity_id, edge.relation), [])
                if edge.relation != "enrichment":
                    found += said.get((edge.objective_id, entity_id, ""), [])
        told = tuple(dict.fromkeys(one.id for one in found))
        status = edge.status
        own = [one for one in found if one.grain in ("entity", "set")]
        if status == "supported" and any(one.status == "refuted" for one in own):
            status = "refuted"
        edges.append(edge.model_copy(update={"hypotheses": told, "status": status}))
    paths = {group.id: one for group, one in pairs if group.grain == "path"}
    for match in best_paths(graph):
        hypothesis = paths.get(match.id)
        if hypothesis is not None and hypothesis.status != "refuted":
            edges.append(inferred_edge(match, hypothesis.id, hypothesis.experiment))
    return ordered(graph.nodes.values(), edges)
