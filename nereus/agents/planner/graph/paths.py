"""Paths of the evidence graph that hold all tested edges of a direction: hypotheses with one inferred edge.

Such a hypothesis says what was found, edge by edge and each number by reference, and what would follow; the edge that
follows is marked as inferred and not tested, with the experiment that would test it. It carries no confidence and is
never more than tentative, and a run states few of them: of each direction, target and source one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nereus.agents.planner.graph.directions import DIRECTIONS, LEG, SLOTS, Direction
from nereus.agents.planner.graph.loom import Weaver
from nereus.agents.planner.graph.signatures import GROUP
from nereus.agents.policies.base import EvidenceGroup
from nereus.memory.graph import edge_id
from nereus.memory.records import Claim, EdgeKind, Entity, GraphEdge, GraphNode, Scalar

PATHS_A_RUN = 3
_MOST_MATCHES = 20_000

_SAID: dict[EdgeKind, tuple[str, str]] = {
    "up_in": ("{source} is higher in {target}", "{source} is higher in {target}"),
    "down_in": ("{source} is lower in {target}", "{source} is lower in {target}"),
    "active_in": ("{source} is more active in {target}", "{source} is more active in {target}"),
    "inactive_in": ("{source} is less active in {target}", "{source} is less active in {target}"),
    "correlates_with": ("{source} rises with {target}", "{source} falls with {target}"),
    "prognostic_for": (
        "{source} goes with a higher hazard ({target})",
        "{source} goes with a lower hazard ({target})",
    ),
    "member_of": ("{source} is a member of “{target}”", "{source} is a member of “{target}”"),
    "acts_on": (
        "{target} is among the sites of {source}, by what is known or by its sequence motif",
        "{target} is held down by {source}, by what is known or by its sequence motif",
    ),
    "enriched_in": (
        "“{source}” as a whole is higher in {target}",
        "“{source}” as a whole is lower in {target}",
    ),
    "coexpressed_with": (
        "{source} moves with the module {target}",
        "{source} moves against the module {target}",
    ),
    "binds": ("{source} binds {target}", "{source} loses {target}"),
    "agrees_with": ("{source} follows the layer {target}", "{source} runs against the layer {target}"),
}
"""What an edge says, for either sign."""


@dataclass(frozen=True)
class Match:
    """A direction whose slots are filled."""

    direction: Direction
    nodes: dict[str, GraphNode]
    legs: tuple[GraphEdge, ...]

    @property
    def source(self) -> GraphNode:
        """Where the inferred edge begins."""
        return self.nodes[self.direction.inferred.source]

    @property
    def target(self) -> GraphNode:
        """Where it ends."""
        return self.nodes[self.direction.inferred.target]

    @property
    def about(self) -> str:
        """The comparison behind it."""
        group = next((one for one in self.legs if one.kind in ("up_in", "down_in")), self.legs[0])
        return group.about

    @property
    def id(self) -> str:
        """Id of its evidence group."""
        kind = self.direction.inferred.kinds[0]
        return f"path|{kind}|{self.source.id}|{self.target.id}|{self.about}"

    @property
    def order(self) -> tuple[int, float, float, str, str, tuple[str, ...]]:
        """Sort key: more questions behind it, a surer weakest leg, a smaller largest p; then names."""
        tested = [one for one in self.legs if one.status == "supported"]
        sure = min((_sure(one) for one in tested), default=0.0)
        p = max((1.0 if one.p is None else one.p for one in tested), default=1.0)
        questions = len({one.objective_id for one in tested})
        legs = tuple(one.id for one in self.legs)
        return -questions, -round(sure, 2), p, self.source.name, self.target.name, legs


def _sure(edge: GraphEdge) -> float:
    if edge.confidence is not None:
        return edge.confidence
    return 1.0 - (edge.q if edge.q is not None else 0.5)


def matches(graph: Weaver, direction: Direction) -> Iterator[Match]:
    """Every way in which supported and known edges fill a direction."""
    by_kind: dict[str, list[GraphEdge]] = {}
    usable = [
        one
        for one in graph.edges.values()
        if one.split == "discovery" and one.status in ("supported", "known")
    ]
    for one in sorted(usable, key=lambda edge: edge.id):
        by_kind.setdefault(one.kind, []).append(one)
    nodes = graph.nodes
    baits = frozenset(one.name.casefold() for one in nodes.values() if one.kind == "bait")

    def fits(slot: str, identity: str, filled: dict[str, str]) -> bool:
        return filled.get(slot, identity) == identity and nodes[identity].kind in SLOTS[slot]

    def grow(place: int, filled: dict[str, str], legs: tuple[GraphEdge, ...]) -> Iterator[Match]:
        if place == len(direction.legs):
            product = 1
            for one in legs:
                product *= one.sign or 1
            if (not direction.consistent or product > 0) and _holds_together(filled, legs, nodes, baits):
                yield Match(direction, {slot: nodes[one] for slot, one in filled.items()}, legs)
            return
        leg = direction.legs[place]
        for one in (edge for kind in leg.kinds for edge in joined(kind, leg.source, leg.target, filled)):
            if fits(leg.source, one.source, filled) and fits(leg.target, one.target, filled):
                more = {**filled, leg.source: one.source, leg.target: one.target}
                yield from grow(place + 1, more, (*legs, one))

    index: dict[tuple[str, str, str], list[GraphEdge]] = {}
    for kind, edges in by_kind.items():
        for one in edges:
            index.setdefault((kind, "from", one.source), []).append(one)
            index.setdefault((kind, "to", one.target), []).append(one)

    def joined(kind: str, source: str, target: str, filled: dict[str, str]) -> list[GraphEdge]:
        if source in filled:
            return index.get((kind, "from", filled[source]), [])
        if target in filled:
            return index.get((kind, "to", filled[target]), [])
        return by_kind.get(kind, [])

    for number, found in enumerate(grow(0, {}, ())):
        if number >= _MOST_MATCHES:
            return
        yield found


def _holds_together(
    filled: Mapping[str, str],
    legs: Sequence[GraphEdge],
    nodes: Mapping[str, GraphNode],
    baits: frozenset[str],
) -> bool:
    """Whether filled slots say something: legs about a group are of one comparison, and no two slots are one thing.

    A site that rises against controls and a kinase that is more active than in another disease share a group, but no
    comparison. Groups that are pulldowns of baits hold what is bound, not what changes, and a bait tops its own.
    """
    names = {slot: nodes[one].name.casefold() for slot, one in filled.items()}
    if len(set(names.values())) < len(names) or ("bait" in names and names.get("group") in baits):
        return False
    return len({one.about for one in legs if one.target == filled.get("group")}) <= 1


def best_paths(graph: Weaver, most: int = PATHS_A_RUN) -> list[Match]:
    """The paths that a run states: strongest first, each direction in turn, no two with an end in common."""
    ranked = [sorted(matches(graph, direction), key=lambda one: one.order) for direction in DIRECTIONS]
    chosen: list[Match] = []
    ends: set[str] = set()
    for _ in range(most):  # each time one of every direction
        for found in ranked:
            fresh = next((one for one in found if ends.isdisjoint((one.source.id, one.target.id))), None)
            if fresh is not None and len(chosen) < most:
                chosen.append(fresh)
                ends |= {fresh.source.id, fresh.target.id}
    return chosen


def path_groups(graph: Weaver, most: int = PATHS_A_RUN) -> list[EvidenceGroup]:
    """The best paths as evidence groups, each leg with its text and evidence."""
    return [_group(one, graph) for one in best_paths(graph, most)]


def _group(found: Match, graph: Weaver) -> EvidenceGroup:
    evidence: dict[str, str] = {}
    values: dict[str, Scalar] = {"claimed": True, "confidence": None}
    for number, leg in enumerate(found.legs, start=1):
        source, target = graph.nodes[leg.source], graph.nodes[leg.target]
        text = _SAID[leg.kind][leg.sign < 0].format(source=source.name, target=target.name)
        if leg.kind == "enriched_in" and target.kind not in GROUP:
            text = f"“{source.name}” as a whole goes with {target.name}"
        evidence[f"{LEG}{number}"] = leg.evidence_ids[0]
        values[f"{LEG}{number}"] = text
        values[f"{LEG}{number}:status"] = leg.status
        if leg.status == "supported":
            values[f"{LEG}{number}:group"] = _group_id(leg, graph)
    named = {slot: node.name for slot, node in found.nodes.items()} | {"about": found.about}
    values["inferred"] = found.direction.said.format(**named)
    values["experiment"] = found.direction.experiment.format(**named)
    values["direction"] = found.direction.name
    nodes = dict.fromkeys([found.source.id, found.target.id, *(one.id for one in found.nodes.values())])
    return EvidenceGroup(
        id=found.id,
        grain="path",
        claim=Claim(
            relation="mechanism",
            entities=tuple(
                Entity(kind=graph.nodes[one].kind, id=graph.nodes[one].entity, name=graph.nodes[one].name)
                for one in nodes
            ),
            contrast=found.about,
            context="",
        ),
        objective_ids=tuple(dict.fromkeys(one.objective_id for one in found.legs)),
        evidence=evidence,
        values=values,
    )


def _group_id(edge: GraphEdge, graph: Weaver) -> str:
    """Id of the evidence group that says the same as an edge, where it became a hypothesis."""
    entity = graph.nodes[edge.source].entity
    told = "set" if edge.relation == "enrichment" else edge.relation
    return f"{edge.objective_id}|{entity}|{told}"


def inferred_edge(found: Match, hypothesis: str, experiment: str) -> GraphEdge:
    """The edge that follows from a path; it has no number, and points at what it follows from."""
    kind = found.direction.inferred.kinds[0]
    first = found.legs[0]
    evidence = tuple(dict.fromkeys(one for leg in found.legs for one in leg.evidence_ids))
    return GraphEdge(
        id=edge_id(found.source.id, kind, found.target.id, found.about, "", "discovery"),
        kind=kind,
        source=found.source.id,
        target=found.target.id,
        relation="mechanism",
        about=found.about,
        objective_id=first.objective_id,
        status="inferred",
        dataset=first.dataset,
        evidence_ids=evidence,
        hypotheses=(hypothesis,),
        note=experiment,
    )
