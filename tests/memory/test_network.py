"""Asking a graph that was made by hand, so that every answer is known."""

from __future__ import annotations

from typing import Any

import pytest

from nereus.errors import InputError
from nereus.memory.graph import edge_id, make_node
from nereus.memory.network import EvidenceGraph
from nereus.memory.records import GraphEdge, GraphNode

KINASE = make_node("kinase", "AKT1")
SITE = make_node("site", "P2;P2-2 S9", "GSK3B S9")
ALONE = make_node("protein", "P9", "ALB")
GROUP = make_node("treatment", "drug=yes", "yes")
AGE = make_node("variable", "age")
SET = make_node("set", "WP:insulin", "Insulin signalling")


def edge(source: GraphNode, kind: Any, target: GraphNode, **told: Any) -> GraphEdge:
    told = {"status": "supported", "q": 0.01, "sign": 1, "dataset": "d1", "evidence_ids": ("E1",), **told}
    split = told.get("split", "discovery")
    return GraphEdge(
        id=edge_id(source.id, kind, target.id, "", "O1", split),
        kind=kind,
        source=source.id,
        target=target.id,
        relation=told.pop("relation", "abundance"),
        **told,
    )


NODES = [KINASE, SITE, ALONE, GROUP, AGE, SET]
EDGES = [
    edge(KINASE, "active_in", GROUP, relation="activity"),
    edge(KINASE, "acts_on", SITE, status="known", relation="activity"),
    edge(SITE, "up_in", GROUP, q=0.03),
    edge(SITE, "member_of", SET, status="known"),
    edge(SET, "enriched_in", GROUP, q=0.04, relation="enrichment"),
    edge(ALONE, "up_in", GROUP, status="refuted", q=0.5),
    edge(ALONE, "correlates_with", AGE, sign=-1, relation="association"),
    edge(KINASE, "regulates", SITE, status="inferred", q=None, sign=0, relation="mechanism"),
]


@pytest.fixture
def graph() -> EvidenceGraph:
    return EvidenceGraph({"r1": (NODES, EDGES)})


@pytest.mark.parametrize(
    "name", ["GSK3B S9", "gsk3b s9", "P2-2", "S9", SITE.id, "site:P2", "feature:GSK3B S9"]
)
def test_a_thing_is_found_by_every_name(graph: EvidenceGraph, name: str) -> None:
    assert graph.find(name) == [SITE]


@pytest.mark.parametrize(
    ("name", "near"),
    [("GSK3", "GSK3B S9"), ("AKT2", "AKT1"), ("kinase:ALB", "ALB"), ("insulin", "Insulin signalling")],
)
def test_an_unknown_name_is_answered_with_the_nearest(graph: EvidenceGraph, name: str, near: str) -> None:
    with pytest.raises(InputError, match="there is no") as caught:
        graph.find(name)
    assert near in str(caught.value)
    with pytest.raises(InputError, match="there is no"):
        graph.find("")


def test_ids_of_collections_hold_colons(graph: EvidenceGraph) -> None:
    assert graph.find("WP:insulin") == [SET]
    assert graph.find("set:WP:insulin") == [SET]


def test_a_neighbourhood_grows_with_its_depth(graph: EvidenceGraph) -> None:
    assert {one.edge.kind for one in graph.neighbourhood("age").edges} == {"correlates_with"}
    two = graph.neighbourhood("age", 2)
    assert {one.edge.status for one in two.edges} == {"supported", "refuted"}
    assert set(two.nodes) == {AGE.id, ALONE.id, GROUP.id}
    assert len(graph.neighbourhood("age", 9)) == len(EDGES)
    with pytest.raises(InputError):
        graph.neighbourhood("age", 0)


def test_paths_go_along_what_holds_only(graph: EvidenceGraph) -> None:
    assert graph.paths("ALB", "AKT1") == []
    told = graph.paths("ALB", "AKT1", refuted=True)
    assert [node.name for node in told[0].nodes] == ["ALB", "yes", "AKT1"]
    ways = graph.paths("AKT1", "Insulin signalling")
    assert [[n.name for n in way.nodes] for way in ways] == [
        ["AKT1", "GSK3B S9", "Insulin signalling"],
        ["AKT1", "yes", "Insulin signalling"],
        ["AKT1", "yes", "GSK3B S9", "Insulin signalling"],
        ["AKT1", "GSK3B S9", "yes", "Insulin signalling"],
    ]
    assert ways[0].edges[0].edge.kind == "acts_on", "what is known goes before what was inferred"
    assert not ways[0].inferred
    assert graph.paths("AKT1", "Insulin signalling", longest=2, most=1) == ways[:1]


def test_patterns_are_typed(graph: EvidenceGraph) -> None:
    found = graph.match("kinase>acts_on>site>up_in>group")
    assert [[n.name for n in way.nodes] for way in found] == [["AKT1", "GSK3B S9", "yes"]]
    assert found[0].weakest == 0.03
    loose = graph.match("kinase>site>group")
    assert [way.inferred for way in loose] == [False, True]
    assert graph.match("site>pathway>treatment")[0].nodes == (SITE, SET, GROUP)
    assert graph.match("protein>group") == [], "a refuted edge fills nothing"
    assert graph.match("feature:GSK3B S9>any") == graph.match("site>*")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("protein", "two or more"),
        ("", "no kind of node"),
        ("protein>", "no kind of node"),
        ("up_in>protein", "no kind of node"),
        ("protein>up_in", "two or more"),
        ("protien>group", "did you mean protein"),
        ("kinase:AKT9>site", "there is no 'kinase:AKT9'"),
    ],
)
def test_patterns_that_say_nothing_are_refused(graph: EvidenceGraph, pattern: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        graph.match(pattern)


def test_kinds_and_statuses_are_selected(graph: EvidenceGraph) -> None:
    assert {one.edge.kind for one in graph.select(["up_in"]).edges} == {"up_in"}
    assert [one.edge.kind for one in graph.select((), ["inferred"]).edges] == ["regulates"]
    with pytest.raises(InputError, match="did you mean up_in"):
        graph.select(["up_inn"])
    with pytest.raises(InputError, match="no status"):
        graph.select((), ["maybe"])


def test_several_data_sets_are_joined_by_name_and_signs_compared() -> None:
    """Protein groups are cut differently in each data set; genes and group names are not."""
    first = make_node("protein", "P1;P1-2", "GFAP")
    second = make_node("protein", "P1", "Gfap")
    other = make_node("protein", "P5", "MAPT")
    again = make_node("protein", "P5-3", "MAPT")
    a, b = make_node("sample_group", "diagnosis=AD", "AD"), make_node("sample_group", "group=AD", "ad")
    graph = EvidenceGraph(
        {
            "r1": ([first, other, a], [edge(first, "up_in", a), edge(other, "up_in", a)]),
            "r2": (
                [second, again, b],
                [
                    edge(second, "up_in", b, dataset="d2"),
                    edge(again, "down_in", b, sign=-1, dataset="d2"),
                    edge(again, "up_in", b, sign=1, dataset="d2", split="validation", status="refuted"),
                ],
            ),
        }
    )
    assert len(graph.nodes) == 3
    table = graph.agreement().set_index("entity")
    assert table.loc["GFAP", ["n_datasets", "n_positive", "n_negative", "agree"]].tolist() == [2, 2, 0, True]
    assert table.loc["MAPT", ["n_datasets", "n_positive", "n_negative", "n_refuted", "agree"]].tolist() == [
        3, 1, 1, 1, False,
    ]  # fmt: skip
    assert list(graph.agreement("gfap")["entity"]) == ["GFAP"]
    assert len(graph.neighbourhood("P1-2")) == 2
    rows = graph.table()
    assert rows["edge"].is_unique
    assert sorted(set(rows["run"])) == ["r1", "r2"]


def test_it_is_a_multigraph_for_others(graph: EvidenceGraph) -> None:
    import networkx as nx

    made = graph.to_networkx()
    assert (made.number_of_nodes(), made.number_of_edges()) == (len(NODES), len(EDGES))
    back = nx.parse_graphml("\n".join(nx.generate_graphml(made)), force_multigraph=True)
    assert back.nodes[SITE.id]["name"] == "GSK3B S9"
    assert back.number_of_edges(KINASE.id, SITE.id) == 2


def test_an_empty_graph_answers() -> None:
    graph = EvidenceGraph({"r1": ([], [])})
    assert (len(graph), graph.match("protein>group"), len(graph.agreement()), len(graph.table())) == (
        0,
        [],
        0,
        0,
    )
    with pytest.raises(InputError, match="there is no"):
        graph.find("X")
