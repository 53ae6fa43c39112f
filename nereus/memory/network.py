"""The evidence graph of one run or of many, as something to ask: entities, neighbourhoods, paths, patterns, agreement.

Within a run a node is a thing of its data (two isoforms of a gene are two nodes); over several runs things of one kind
and one name are one, since protein groups are cut differently in each data set, unless the name says nothing outside its
column or its data (`identity`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from nereus.errors import InputError
from nereus.memory.agreement import compared
from nereus.memory.graph import name_key
from nereus.memory.identity import across, apart, thing_id
from nereus.memory.records import EdgeKind, EntityKind, GraphEdge, GraphNode
from nereus.memory.ways import surest

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

EDGE_KINDS: tuple[str, ...] = get_args(EdgeKind)
NODE_KINDS: tuple[str, ...] = get_args(EntityKind)
ALIASES: Mapping[str, tuple[str, ...]] = {
    "feature": ("protein", "gene", "peptide", "site"),
    "pathway": ("set",),
    "group": ("sample_group", "treatment"),
    "outcome": ("variable",),
    "clinical": ("variable",),
    "any": NODE_KINDS,
    "*": NODE_KINDS,
}
"""Words of a pattern that stand for kinds of node."""
FORMAT = "nereus-graph/1"
COLUMNS = (
    "edge", "run", "kind", "source_kind", "source", "target_kind", "target", "sign", "status", "split", "about",
    "effect", "p", "q", "n", "confidence", "objective", "dataset", "evidence", "hypotheses", "note",
)  # fmt: skip
_LONGEST = 4
_MOST = 20
_PART = re.compile(r"[;,\s]+")
_GROUPED = ("protein", "gene", "peptide", "site")
"""Kinds whose ids hold several accessions."""


@dataclass(frozen=True)
class Said:
    """An edge, and the run that says it."""

    run: str
    edge: GraphEdge


@dataclass(frozen=True)
class Way:
    """A path: things and, between each two, the edge that joins them (the surest, where there are several)."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[Said, ...]

    @property
    def weakest(self) -> float:
        """Largest q (or p) along the way; 1 where an edge has none and is not known either."""
        return max((_doubt(one.edge) for one in self.edges), default=1.0)

    @property
    def inferred(self) -> bool:
        """Whether an edge of it was inferred and not tested."""
        return any(one.edge.status == "inferred" for one in self.edges)


class EvidenceGraph:
    """Nodes and edges of one or more runs.

    Parameters
    ----------
    graphs
        Run id -> nodes and edges.
    """

    def __init__(self, graphs: Mapping[str, tuple[Sequence[GraphNode], Sequence[GraphEdge]]]) -> None:
        self.runs = tuple(graphs)
        self._one = len(graphs) <= 1
        self.nodes: dict[str, GraphNode] = {}
        """By what identifies a thing: its id in one run, its kind and name over several."""
        self._key: dict[tuple[str, str], str] = {}
        """Run and id of a node -> key of the thing."""
        self.edges: list[Said] = []
        self._members: dict[str, set[str]] = {}
        ambiguous = frozenset().union(*(apart(nodes) for nodes, _ in graphs.values()))
        for run, (nodes, edges) in graphs.items():
            dataset = next((one.dataset for one in edges if one.split == "discovery" and one.dataset), run)
            for one in nodes:
                key, thing = one.id, one
                if not self._one:
                    key, name = across(one, run, dataset, ambiguous)
                    thing = one.model_copy(update={"id": thing_id(key), "name": name})
                self._key[run, one.id] = key
                self.nodes.setdefault(key, thing)
                self._members.setdefault(key, set()).update(_names(one), _names(thing))
            self.edges += [Said(run, one) for one in edges]

    def __len__(self) -> int:
        return len(self.edges)

    def __repr__(self) -> str:
        return f"<EvidenceGraph: {len(self.nodes)} nodes, {len(self.edges)} edges of {len(self.runs)} runs>"

    def source(self, said: Said) -> GraphNode:
        """Where an edge begins."""
        return self.nodes[self._key[said.run, said.edge.source]]

    def target(self, said: Said) -> GraphNode:
        """Where it ends."""
        return self.nodes[self._key[said.run, said.edge.target]]

    def _ends(self, said: Said) -> tuple[str, str]:
        """Keys of both ends of an edge."""
        return self._key[said.run, said.edge.source], self._key[said.run, said.edge.target]

    # ------------------------------------------------------------------------------------------------ asking

    def find(self, name: str) -> list[GraphNode]:
        """The things of a name, an id, an accession within a protein group, or ``kind:name``.

        Raises
        ------
        InputError
            There is none; the message names the nearest.
        """
        return [self.nodes[key] for key in self._keys(name)]

    def _keys(self, name: str) -> list[str]:
        kind, colon, rest = name.partition(":")
        kinds = ALIASES.get(kind, (kind,) if kind in NODE_KINDS else ()) if colon else ()
        wanted = name_key(rest if kinds else name)
        found = [
            key
            for key, node in self.nodes.items()
            if wanted in self._members[key] and (not kinds or node.kind in kinds)
        ]
        if found:
            return sorted(found)
        if kinds:  # an id of a collection has a colon, too
            plain = [key for key in self.nodes if name_key(name) in self._members[key]]
            if plain:
                return sorted(plain)
        known = sorted({node.name for node in self.nodes.values()})
        lower = {name_key(one): one for one in known}
        near = [lower[one] for one in difflib.get_close_matches(wanted, lower, n=4, cutoff=0.5)]
        near += [one for one in known if wanted and wanted in name_key(one)][:4]
        told = ", ".join(dict.fromkeys(near))
        where = f"run {self.runs[0]}" if self._one and self.runs else f"{len(self.runs)} runs"
        raise InputError(
            f"there is no {name!r} in the evidence graph",
            where=where,
            mend=f"did you mean {told}?"
            if told
            else "`nereus graph` lists what it holds; claims.csv has every claim",
        )

    def select(
        self,
        kinds: Collection[str] = (),
        statuses: Collection[str] = (),
    ) -> EvidenceGraph:
        """The graph with edges of these kinds and statuses only.

        Raises
        ------
        InputError
            There is no such kind or status.
        """
        _refuse_unknown(kinds, EDGE_KINDS, "kind of edge")
        _refuse_unknown(statuses, ("supported", "refuted", "untested", "known", "inferred"), "status")
        return self._with(
            [
                one
                for one in self.edges
                if (not kinds or one.edge.kind in kinds) and (not statuses or one.edge.status in statuses)
            ]
        )

    def part(self, ways: Sequence[Way]) -> EvidenceGraph:
        """The graph that these ways go along."""
        along = {(one.run, one.edge.id) for way in ways for one in way.edges}
        return self._with([one for one in self.edges if (one.run, one.edge.id) in along])

    def neighbourhood(self, name: str, depth: int = 1) -> EvidenceGraph:
        """Everything within this many edges of a thing."""
        if depth < 1:
            raise InputError(f"depth is {depth}", where="neighbourhood", mend="give 1 or more")
        inside = set(self._keys(name))
        chosen: dict[int, Said] = {}
        for _ in range(depth):
            fresh: set[str] = set()
            for place, one in enumerate(self.edges):
                ends = {*self._ends(one)}
                if ends & inside:
                    chosen[place] = one
                    fresh |= ends
            inside |= fresh
        return self._with([chosen[place] for place in sorted(chosen)])

    def paths(
        self, start: str, end: str, longest: int = _LONGEST, most: int = _MOST, refuted: bool = False
    ) -> list[Way]:
        """Ways from one thing to another, shortest first and among these the surest.

        Parameters
        ----------
        start, end
            Names or ids.
        longest
            Edges on the way.
        most
            Ways.
        refuted
            Whether edges that were refuted may be gone along.
        """
        starts, ends = self._keys(start), self._keys(end)
        around = _around(self._best(refuted))
        found: list[Way] = []
        for length in range(1, longest + 1):
            slots = [starts, *[self.nodes] * (length - 1), ends]
            found += self._ways(around, slots, [None] * length, most - len(found))
            if len(found) >= most:
                break
        return found

    def match(self, pattern: str, most: int = _MOST) -> list[Way]:
        """Ways that a typed pattern describes, the surest first.

        Parameters
        ----------
        pattern
            Kinds of node joined by ``>``: ``protein>pathway>group``; a name fixes one (``protein:GFAP>group``), and a
            kind of edge between two kinds of node chooses how they are joined (``kinase>acts_on>site``).
        most
            Ways.

        Raises
        ------
        InputError
            The pattern names no kind of node or edge, or an entity that is not there.
        """
        slots, joints = self._pattern(pattern)
        return self._ways(_around(self._best(refuted=False, by_kind=True)), slots, joints, most)

    def _ways(
        self,
        around: Mapping[str, Sequence[tuple[str, Said]]],
        slots: Sequence[Collection[str]],
        joints: Sequence[str | None],
        most: int,
    ) -> list[Way]:
        def fits(kind: str | None) -> Callable[[Said], bool]:
            return lambda one: kind is None or one.edge.kind == kind

        found = surest(
            around,
            slots,
            [fits(kind) for kind in joints],
            lambda one: _doubt(one.edge),
            lambda key, one: (self.nodes[key].name, "" if one is None else one.edge.id),
            most,
        )
        return [Way(tuple(self.nodes[key] for key in keys), edges) for keys, edges in found]

    def _pattern(self, pattern: str) -> tuple[list[set[str]], list[str | None]]:
        words = [word.strip() for word in pattern.split(">")]
        slots: list[set[str]] = []
        joints: list[str | None] = []
        pending: str | None = None
        for word in words:
            if word in EDGE_KINDS and slots and pending is None:
                pending = word
                continue
            kind, colon, name = word.partition(":")
            kinds = ALIASES.get(kind, (kind,) if kind in NODE_KINDS else ())
            if not kinds:
                known = sorted({*ALIASES, *NODE_KINDS})
                near = difflib.get_close_matches(kind, [*known, *EDGE_KINDS], n=3)
                raise InputError(
                    f"{word!r} is no kind of node",
                    where=f"pattern {pattern!r}",
                    mend=f"did you mean {', '.join(near)}?" if near else f"kinds are {', '.join(known)}",
                )
            if slots:
                joints.append(pending)
            pending = None
            chosen = self._keys(f"{kind}:{name}") if colon else self.nodes
            slots.append({key for key in chosen if self.nodes[key].kind in kinds})
        if len(slots) < 2 or pending is not None:
            raise InputError(
                "a pattern joins two or more kinds of node",
                where=f"pattern {pattern!r}",
                mend="write for example 'protein>pathway>group'",
            )
        return slots, joints

    def agreement(self, name: str | None = None) -> pd.DataFrame:
        """The same thing in several data sets: how many support each statement, and whether their signs agree.

        Returns
        -------
        pandas.DataFrame
            statement (key), kind, entity, relation, target; n_datasets; n_tests (data sets, and parts of them that were
            tested by themselves), of these n_positive, n_negative, n_refuted; agree (all supported signs equal; empty
            where fewer than two tests support it, or where other groups were compared within one data set), datasets,
            comparisons.
        """
        wanted = None if name is None else set(self._keys(name))
        rows: dict[tuple[str, str, str], list[GraphEdge]] = {}
        for one in self.edges:
            if one.edge.status not in ("supported", "refuted") or one.edge.sign == 0:
                continue
            first, last = self._ends(one)
            if wanted is None or {first, last} & wanted:
                rows.setdefault((first, one.edge.relation, last), []).append(one.edge)
        return compared(
            (f"{first}|{relation}|{last}", self.nodes[first], relation, self.nodes[last], found)
            for (first, relation, last), found in sorted(rows.items())
        )

    # ------------------------------------------------------------------------------------------- giving it away

    def table(self) -> pd.DataFrame:
        """Every edge as a row, `COLUMNS`."""
        import pandas as pd

        return pd.DataFrame([self.row(one) for one in self.edges], columns=list(COLUMNS))

    def row(self, said: Said) -> dict[str, Any]:
        """An edge as a row of `table`."""
        edge, source, target = said.edge, self.source(said), self.target(said)
        return {
            "edge": edge.id if self._one else f"{said.run}/{edge.id}",
            "run": said.run,
            "kind": edge.kind,
            "source_kind": source.kind,
            "source": source.name,
            "target_kind": target.kind,
            "target": target.name,
            "sign": edge.sign,
            "status": edge.status,
            "split": edge.split,
            "about": edge.about,
            "effect": edge.effect,
            "p": edge.p,
            "q": edge.q,
            "n": edge.n,
            "confidence": edge.confidence,
            "objective": edge.objective_id,
            "dataset": edge.dataset,
            "evidence": ";".join(edge.evidence_ids),
            "hypotheses": ";".join(edge.hypotheses),
            "note": edge.note,
        }

    def document(self) -> dict[str, Any]:
        """The graph as JSON: nodes, and edges with the run that says each."""
        return {
            "format": FORMAT,
            "runs": list(self.runs),
            "nodes": [{"key": key, **node.model_dump(mode="json")} for key, node in self.nodes.items()],
            "edges": [
                {
                    "run": one.run,
                    **one.edge.model_dump(mode="json"),
                    "source": self.source(one).id,
                    "target": self.target(one).id,
                }
                for one in self.edges
            ],
        }

    def to_networkx(self) -> nx.MultiDiGraph:
        """A multigraph with plain attributes, as GraphML takes them; a missing number is left out."""
        import networkx as nx

        graph = nx.MultiDiGraph()
        for key, node in self.nodes.items():
            graph.add_node(key, kind=node.kind, entity=node.entity, name=node.name)
        for one in self.edges:
            told = {
                name: value
                for name, value in self.row(one).items()
                if value is not None and name not in ("source", "target", "source_kind", "target_kind")
            }
            graph.add_edge(
                *self._ends(one),
                key=f"{one.run}/{one.edge.id}",
                **told,
            )
        return graph

    # -------------------------------------------------------------------------------------------------- inside

    def _with(self, edges: list[Said]) -> EvidenceGraph:
        """The same things, as far as these edges touch them."""
        made = EvidenceGraph({})
        made.runs, made._one, made._key, made.edges = self.runs, self._one, self._key, edges
        touched = {key for one in edges for key in self._ends(one)}
        made.nodes = {key: node for key, node in self.nodes.items() if key in touched}
        made._members = {key: self._members[key] for key in made.nodes}
        return made

    def _best(self, refuted: bool, by_kind: bool = False) -> dict[tuple[str, str, str], Said]:
        """The surest edge between each two things (of each kind)."""
        found: dict[tuple[str, str, str], Said] = {}
        for one in self.edges:
            if one.edge.status in ("refuted", "untested") and not refuted:
                continue
            ends = tuple(sorted(self._ends(one)))
            if ends[0] == ends[1]:
                continue
            key = (ends[0], ends[1], one.edge.kind if by_kind else "")
            known = found.get(key)
            if known is None or (_doubt(one.edge), one.run, one.edge.id) < (
                _doubt(known.edge),
                known.run,
                known.edge.id,
            ):
                found[key] = one
        return dict(sorted(found.items()))


def _around(best: Mapping[tuple[str, str, str], Said]) -> dict[str, list[tuple[str, Said]]]:
    """Thing -> what is beside it."""
    found: dict[str, list[tuple[str, Said]]] = {}
    for (first, last, _), one in best.items():
        found.setdefault(first, []).append((last, one))
        found.setdefault(last, []).append((first, one))
    return found


def _doubt(edge: GraphEdge) -> float:
    """How little an edge can be trusted: its q, else its p; known ones are sure, inferred ones come last."""
    if edge.status == "known":
        return 0.0
    if edge.status == "inferred":
        return 2.0
    if edge.status == "refuted":
        return 1.5
    return next((value for value in (edge.q, edge.p) if value is not None), 1.0)


def _names(node: GraphNode) -> set[str]:
    """What a node is found by: name, id within its kind, its accessions, and the first word of a site's name."""
    parts = {name_key(part) for part in _PART.split(node.entity) if part} if node.kind in _GROUPED else set()
    return {name_key(node.name), name_key(node.entity), node.id, *parts}


def _refuse_unknown(asked: Collection[str], known: Sequence[str], what: str) -> None:
    for one in asked:
        if one not in known:
            near = difflib.get_close_matches(one, known, n=3)
            raise InputError(
                f"there is no {what} {one!r}",
                where="evidence graph",
                mend=f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known)}",
            )
