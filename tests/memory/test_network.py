"""Asking a graph that was made by hand, so that every answer is known."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from nereus.agents.reporter.graph_files import SUFFIXES, write_graph
from nereus.errors import InputError
from nereus.memory.graph import edge_id, make_node
from nereus.memory.network import EvidenceGraph
from nereus.memory.records import GraphEdge, GraphNode
from nereus.spreadsheets import guarded

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
    columns = ["n_datasets", "n_tests", "n_positive", "n_negative", "n_refuted", "agree"]
    assert table.loc["MAPT", columns].tolist() == [2, 3, 1, 1, 1, False], (
        "a part of a data set is none of its own"
    )
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


def groups(*levels: tuple[str, str]) -> list[GraphNode]:
    return [
        make_node("treatment" if "treat" in f else "sample_group", f"{f}={level}", level)
        for f, level in levels
    ]


def two_runs(first: list[GraphNode], second: list[GraphNode], sign: int = -1) -> EvidenceGraph:
    """GFAP is higher in every group of the first run; of the second, of other data, as `sign` says."""
    gene = make_node("protein", "P1", "GFAP")
    kind = "up_in" if sign > 0 else "down_in"
    return EvidenceGraph(
        {
            "r1": ([gene, *first], [edge(gene, "up_in", one) for one in first]),
            "r2": ([gene, *second], [edge(gene, kind, one, sign=sign, dataset="d2") for one in second]),
        }
    )


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ([("diagnosis", "AD")], [("group", "AD")], True),
        ([("smoker", "yes")], [("Smoker", "yes")], True),
        ([("smoker", "yes")], [("relapse", "yes")], False),
        ([("treatment", "yes")], [("treatment", "yes")], False),  # of what, only each study knows
        ([("group", "Control")], [("group", "control")], False),
        ([("mutation", "Control")], [("group", "control")], False),
        ([("stage", "2")], [("stage", "2")], True),
        ([("stage", "2")], [("grade", "2")], False),
        ([("tissue", "tumour"), ("site", "tumour")], [("tissue", "tumour")], True),
        ([("tissue", "tumour"), ("site", "tumour")], [("site", "tumour"), ("tissue", "tumour")], True),
    ],
)
def test_groups_are_one_where_their_names_mean_the_same(
    first: list[tuple[str, str]], second: list[tuple[str, str]], joined: bool
) -> None:
    graph = two_runs(groups(*first), groups(*second))
    told = [one for one in graph.agreement("GFAP").to_dict("records") if one["n_datasets"] == 2]
    assert bool(told) == joined
    assert {one["agree"] for one in told} <= {False}
    names = [node.name for node in graph.nodes.values()]
    assert len(set(names)) == len(names), "what is not one is told apart by name"
    assert graph.find(first[0][1])


def test_what_a_run_made_itself_is_not_that_of_another() -> None:
    module, everyone = make_node("module", "M1"), make_node("sample_group", "all samples")
    age = make_node("variable", "age")
    said = [edge(module, "up_in", everyone), edge(everyone, "varies_with", age)]
    graph = EvidenceGraph(
        {
            "r1": ([module, everyone, age], said),
            "r2": ([module, everyone, age], said),
            "r3": ([module, everyone, age], [one.model_copy(update={"dataset": "d3"}) for one in said]),
        }
    )
    assert len(graph.find("M1")) == 3
    assert len(graph.find("all samples")) == 2, "the same samples are the same"
    assert len(graph.find("age")) == 1


def test_other_comparisons_within_a_data_set_do_not_contradict_each_other() -> None:
    """Higher than in controls and lower than in the other disease is one protein, in one study."""
    gene, ill = make_node("protein", "P1", "GFAP"), make_node("sample_group", "diagnosis=AD", "AD")
    up = edge(gene, "up_in", ill, about="AD vs healthy")
    down = edge(gene, "down_in", ill, about="AD vs FTD", sign=-1)
    (row,) = EvidenceGraph({"r1": ([gene, ill], [up, down])}).agreement().to_dict("records")
    assert (row["n_datasets"], row["agree"]) == (1, None)
    aside = edge(gene, "up_in", ill, about="AD vs FTD", split="validation")
    (row,) = EvidenceGraph({"r1": ([gene, ill], [up, down, aside])}).agreement().to_dict("records")
    assert (row["n_datasets"], row["n_tests"], row["agree"]) == (1, 2, False)


def test_every_end_of_a_document_is_among_its_nodes() -> None:
    first, second = make_node("protein", "P1;P1-2", "GFAP"), make_node("protein", "P1", "gfap")
    ill = make_node("sample_group", "diagnosis=AD", "AD")
    graph = EvidenceGraph(
        {
            "r1": ([first, ill], [edge(first, "up_in", ill)]),
            "r2": ([second, ill], [edge(second, "up_in", ill)]),
        }
    )
    document = graph.document()
    known = {one["id"] for one in document["nodes"]}
    assert {end for one in document["edges"] for end in (one["source"], one["target"])} <= known


def crossed(n_proteins: int, n_levels: int) -> EvidenceGraph:
    """Every protein differs in every group, the first ones most surely."""
    proteins = [make_node("protein", f"P{n}") for n in range(n_proteins)]
    levels = [make_node("sample_group", f"g=level {n}", f"level {n}") for n in range(n_levels)]
    said = [
        edge(one, "up_in", level, q=0.001 * (1 + n + m))
        for n, one in enumerate(proteins)
        for m, level in enumerate(levels)
    ]
    return EvidenceGraph({"r1": ([*proteins, *levels], said)})


def test_the_surest_ways_are_those_of_all_ways() -> None:
    graph = crossed(5, 3)
    all_of = sorted(
        (max(0.001 * (1 + int(p[1:]) + int(m[-1:])) for p, m in ((a, x), (b, x), (b, y))), (a, x, b, y))
        for a, b in permutations([f"P{n}" for n in range(5)], 2)
        for x, y in permutations([f"level {n}" for n in range(3)], 2)
    )
    for most in (1, 7, 1000):
        found = graph.match("protein>group>protein>group", most=most)
        assert [tuple(node.name for node in way.nodes) for way in found] == [names for _, names in all_of][
            :most
        ]
        assert [way.weakest for way in found] == pytest.approx([doubt for doubt, _ in all_of][:most])


def test_a_question_with_millions_of_ways_is_answered_with_the_surest() -> None:
    graph = crossed(120, 6)
    found = graph.match("protein>group>protein>group>protein>group", most=3)
    assert found[0].weakest == pytest.approx(0.003)
    ways = graph.paths("P0", "P119", most=200)
    assert [len(way.edges) for way in ways] == [2] * 6 + [4] * 194
    assert [way.weakest for way in ways[:6]] == pytest.approx([0.12 + 0.001 * n for n in range(6)])
    assert ways == graph.paths("P0", "P119", most=200)


ODD = 'O\'Neil "β"/<b>&\n=x; y|z, \N{GREEK SMALL LETTER ALPHA}-syn\u0301'


def test_odd_names_are_found_and_come_through_every_file(tmp_path: Path) -> None:
    gene, level = make_node("protein", ODD, ODD), make_node("sample_group", f"gr=oup={ODD}", ODD)
    said = edge(gene, "up_in", level, about=ODD)
    for runs in (("r1",), ("r1", "r2")):
        graph = EvidenceGraph({run: ([gene, level], [said]) for run in runs})
        assert gene.entity in {one.entity for one in graph.find(f"protein:{ODD}")}
        assert len(graph.neighbourhood(ODD)) == len(runs)
        assert len(graph.paths(f"protein:{ODD}", f"group:{ODD}")) == 1
        for ending in SUFFIXES:
            assert write_graph(graph, tmp_path / f"g{ending}").stat().st_size
        back = pd.read_csv(tmp_path / "g.csv")
        assert list(back["source"]) == [guarded(ODD)] * len(runs)
        ElementTree.parse(tmp_path / "g.graphml")
        ElementTree.parse(tmp_path / "g.svg")
        assert json.loads((tmp_path / "g.json").read_text(encoding="utf-8"))["edges"][0]["about"] == ODD
        assert "<b>" not in (tmp_path / "g.html").read_text(encoding="utf-8")
