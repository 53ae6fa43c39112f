"""The evidence graph of real runs: what each edge stands on, which paths follow, what a question would teach."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import nereus
from nereus.agents.planner.graph.directions import DIRECTIONS, SLOTS, kinds_of, signature_of
from nereus.agents.planner.graph.finish import fallen
from nereus.agents.planner.graph.gain import expected_gain, information
from nereus.agents.planner.graph.loom import Weaver
from nereus.agents.planner.graph.paths import PATHS_A_RUN, best_paths, matches, path_groups
from nereus.agents.planner.graph.signatures import SIGNATURES, group_node, target_of
from nereus.agents.planner.questions import TESTED, WHOLE
from nereus.agents.reporter.graph_drawing import WIDTH, choose, draw
from nereus.agents.reporter.verify import verify_here
from nereus.cli import app
from nereus.errors import InputError
from nereus.memory.graph import edge_id, make_node
from nereus.memory.network import NODE_KINDS
from nereus.memory.records import (
    Contrast,
    EdgeKind,
    GraphEdge,
    GraphNode,
    Objective,
    ObjectiveKind,
)
from nereus.tools import registry
from tests.agents.conftest import CLASS, EXAMPLE

INFERRED = {"regulates", "drives", "mediates"}


# ------------------------------------------------------------------------------------------- types of edges and paths


def test_every_question_that_tests_says_which_edges_it_adds() -> None:
    stated = {(one.objective, one.relation) for one in SIGNATURES}
    for kind, asked in TESTED.items():
        relations = {
            asked.relation,
            *asked.also.values(),
            *([asked.with_groups] if asked.with_groups else ()),
        }
        assert {(kind, one) for one in relations} <= stated, kind
        assert asked.tool in {one.tool for one in SIGNATURES if one.objective is kind}
    assert {(kind, one.relation) for kind, one in WHOLE.items()} <= stated
    for one in SIGNATURES:
        assert one.tool in registry.CATALOGUE
        assert {*one.source, *one.target} <= set(NODE_KINDS)


def test_directions_join_edges_that_tools_can_add() -> None:
    addable = {kind for one in SIGNATURES for kind in one.kinds}
    for direction in DIRECTIONS:
        for leg in direction.legs:
            assert set(leg.kinds) <= addable, "a leg that nothing adds can never be filled"
            assert {leg.source, leg.target} <= set(SLOTS)
        assert set(direction.inferred.kinds) <= INFERRED, "what is inferred is never what a tool tests"
        assert not re.search(r"\d", direction.said + direction.experiment)
        assert signature_of(direction).count("-[") == len(direction.legs) + 1
    assert addable.isdisjoint(INFERRED)
    assert {*addable, *INFERRED, "differs_from", "varies_with"} == set(get_args(EdgeKind))


def test_groups_are_named_by_level_and_treatments_told_apart() -> None:
    assert group_node("Treatment", "yes").kind == "treatment"
    assert (group_node("stage", "2").kind, group_node("stage", "2").name) == ("sample_group", "stage 2")
    inside = Contrast(factor="drug", a="yes", b="no", subset={"sex": "f"})
    assert group_node("drug", "yes", inside).id != group_node("drug", "yes").id
    asked = Objective(
        id="O1", kind=ObjectiveKind.SURVIVAL, statement="", label="days until dead", design={"time": "days"}
    )
    assert target_of(asked, "survival") == make_node("variable", "days until dead")


# ------------------------------------------------------------------------------------------------------------ paths


class Hand(Weaver):
    """A graph made by hand."""

    def __init__(self, *edges: tuple[GraphNode, EdgeKind, GraphNode, dict[str, Any]]) -> None:
        super().__init__(book=None, dataset="d")  # type: ignore[arg-type]
        for number, (source, kind, target, told) in enumerate(edges):
            self.nodes |= {source.id: source, target.id: target}
            given: dict[str, Any] = {
                "status": "supported", "sign": 1, "objective_id": f"O{number}", "about": "AD vs not",
                "evidence_ids": (f"E{number}",), "q": 0.01, **told,
            }  # fmt: skip
            one = GraphEdge(
                id=edge_id(source.id, kind, target.id, "", str(number), ""),
                kind=kind, source=source.id, target=target.id, relation=given.pop("relation", "abundance"), **given,
            )  # fmt: skip
            self.edges[one.id] = one


KINASE, SITE, GROUP = (
    make_node("kinase", "AKT1"),
    make_node("site", "P1_S9", "GSK3B S9"),
    make_node("sample_group", "x=AD", "AD"),
)
AGE = make_node("variable", "age")


def kinase_graph(sign: int = 1, **told: Any) -> Hand:
    return Hand(
        (KINASE, "active_in", GROUP, {"relation": "activity"}),
        (KINASE, "acts_on", SITE, {"status": "known", "relation": "activity"}),
        (SITE, "up_in" if sign > 0 else "down_in", GROUP, {"sign": sign, **told}),
    )


def test_a_kinase_its_site_and_the_group_make_a_path() -> None:
    (group,) = path_groups(kinase_graph())
    assert group.grain == "path"
    assert group.claim.relation == "mechanism"
    assert [one.name for one in group.claim.entities] == ["AKT1", "GSK3B S9", "AD"]
    assert group.values["confidence"] is None
    assert group.values["inferred"] == "AKT1 is behind the change of GSK3B S9 in AD vs not"
    assert list(group.evidence.values()) == ["E0", "E1", "E2"]
    assert fallen(group, {"O2|P1_S9|abundance"})
    assert not fallen(group, {"O1|AKT1|activity"}), "what is known was not tested and cannot be refuted"


@pytest.mark.parametrize(
    "graph",
    [
        kinase_graph(sign=-1),  # the kinase is more active, its site falls: not consistent
        kinase_graph(status="refuted"),
        kinase_graph(split="validation"),
        Hand((KINASE, "active_in", GROUP, {}), (SITE, "up_in", GROUP, {})),  # nothing joins them
    ],
)
def test_what_does_not_hold_together_makes_none(graph: Hand) -> None:
    assert path_groups(graph) == []
    assert all(not list(matches(graph, one)) for one in DIRECTIONS)


def test_legs_about_a_group_are_of_one_comparison() -> None:
    """AD against controls and AD against another disease are two questions that share a group."""
    assert path_groups(kinase_graph(about="AD vs not"))
    assert path_groups(kinase_graph(about="AD vs FTD")) == []


BAIT, PREY = make_node("bait", "Cbs2"), make_node("protein", "P5", "CBP1")


@pytest.mark.parametrize(
    ("prey", "group", "stated"),
    [
        (PREY, GROUP, True),
        (make_node("protein", "P6", "CBS2"), GROUP, False),  # what carries the tag tops its own pulldown
        (PREY, make_node("sample_group", "bait=Cbs2", "Cbs2"), False),  # a pulldown holds what is bound
        (PREY, make_node("sample_group", "bait=Mrp51", "Mrp51"), False),
    ],
)
def test_a_bait_is_not_behind_what_its_own_pulldowns_hold(
    prey: GraphNode, group: GraphNode, stated: bool
) -> None:
    other = make_node("bait", "Mrp51")
    graph = Hand(
        (BAIT, "binds", prey, {"relation": "interactor", "about": "baits of bait"}),
        (
            other,
            "binds",
            make_node("protein", "P7", "X"),
            {"relation": "interactor", "about": "baits of bait"},
        ),
        (prey, "up_in", group, {}),
    )
    assert bool(path_groups(graph)) == stated


PLANTED: dict[str, list[tuple[GraphNode, EdgeKind, GraphNode, dict[str, Any]]]] = {
    "module": [
        (PREY, "up_in", GROUP, {}),
        (PREY, "coexpressed_with", make_node("module", "M1"), {"relation": "module"}),
        (make_node("module", "M1"), "up_in", GROUP, {"relation": "module"}),
    ],
    "layer": [
        (
            PREY,
            "agrees_with",
            make_node("layer", "rna"),
            {"relation": "cross_layer", "about": "protein and rna"},
        ),
        (PREY, "down_in", GROUP, {"sign": -1}),
    ],
    "outcome": [
        (PREY, "up_in", GROUP, {}),
        (
            PREY,
            "prognostic_for",
            make_node("variable", "days until dead"),
            {"relation": "survival", "about": "days until dead"},
        ),
    ],
    "set": [
        (PREY, "down_in", GROUP, {"sign": -1}),
        (PREY, "member_of", make_node("set", "S1", "Glycolysis"), {"status": "known", "sign": 0}),
        (make_node("set", "S1", "Glycolysis"), "enriched_in", GROUP, {"sign": -1, "relation": "enrichment"}),
    ],
}


@pytest.mark.parametrize("kind", PLANTED)
def test_each_direction_is_stated_where_all_its_legs_hold_and_only_there(kind: str) -> None:
    edges = PLANTED[kind]
    (group,) = path_groups(Hand(*edges))
    assert group.claim.relation == "mechanism"
    assert PREY.name in str(group.values["inferred"])
    for number, (source, edge, target, told) in enumerate(edges):
        without = [one for place, one in enumerate(edges) if place != number]
        assert path_groups(Hand(*without)) == []
        if told.get("status") != "known":
            assert path_groups(Hand(*without, (source, edge, target, {**told, "status": "refuted"}))) == []
            assert path_groups(Hand(*without, (source, edge, target, {**told, "split": "validation"}))) == []
    if kind in ("module", "set"):  # signs must fit
        source, edge, target, told = edges[0]
        against = (source, edge, target, {**told, "sign": -told.get("sign", 1)})
        assert path_groups(Hand(against, *edges[1:])) == []


def test_a_run_states_few_paths_and_no_two_with_a_common_end() -> None:
    proteins = [make_node("protein", f"P{n}") for n in range(12)]
    variables = [make_node("variable", f"v{n}") for n in range(12)]
    edges: list[Any] = [(one, "up_in", GROUP, {"confidence": 0.9}) for one in proteins]
    edges += [
        (p, "correlates_with", v, {"q": 0.001 * (n + 1)}) for n, p in enumerate(proteins) for v in variables
    ]
    graph = Hand(*edges)
    found = best_paths(graph)
    assert len(found) == PATHS_A_RUN
    ends = [end for one in found for end in (one.source.id, one.target.id)]
    assert len(set(ends)) == len(ends)
    assert found[0].source == proteins[0], "the surest first"


# ------------------------------------------------------------------------------------------------------------- gain


def test_a_question_that_completes_a_direction_tells_more() -> None:
    parts = {"screen": 0.99, "power": 0.9}
    kinds = ObjectiveKind
    alone = expected_gain(kinds.SURVIVAL, parts, [], [])
    completing = expected_gain(kinds.SURVIVAL, parts, [kinds.DIFFERENTIAL], [kinds.DIFFERENTIAL])
    empty = expected_gain(kinds.SURVIVAL, parts, [kinds.DIFFERENTIAL], [])
    assert completing.bits == pytest.approx(2 * alone.bits, abs=2e-4)
    assert empty == alone, "an answered question that found nothing holds no leg"
    assert completing.direction is not None
    assert completing.direction.name == "protein between a group and an outcome"
    again = expected_gain(kinds.SURVIVAL, parts, [kinds.SURVIVAL], [])
    assert again.bits == pytest.approx(alone.bits / 2, abs=1e-4)
    assert expected_gain(kinds.SUBTYPES, parts, [], []).bits == 0.0


def test_information_grows_with_evidence_and_with_power() -> None:
    grid = np.linspace(0, 1, 21)
    for power in (0.1, 0.5, 1.0):
        told = [information(screen, power) for screen in grid]
        assert told == sorted(told)
    for screen in (0.1, 0.5, 1.0):
        told = [information(screen, power) for power in grid]
        assert told == sorted(told)
    assert all(0 <= information(s, w) <= 1 for s in (-1, 0, 1, 2) for w in (-1, 0, 1, 2))


def test_kinds_of_edges_follow_the_signatures() -> None:
    assert kinds_of(ObjectiveKind.ACTIVITY) == {"active_in", "inactive_in", "acts_on"}
    assert kinds_of(ObjectiveKind.QUALITY) == frozenset()


# --------------------------------------------------------------------------------------------------------- real runs


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> nereus.Run:
    """People of two sites, every third protein, and three questions with what follows from them."""
    folder = tmp_path_factory.mktemp("wide")
    values = pd.read_csv(EXAMPLE / "proteome.csv.gz", index_col=0)
    sheet = pd.read_csv(EXAMPLE / "samples.csv", index_col=0)
    chosen = sheet[sheet[CLASS].notna()]
    values = values.loc[chosen.index]
    values[values.columns[values.notna().mean() > 0.6][::3]].to_csv(folder / "values.csv")
    chosen[["_collection site", "_t-tau [ng/L]", CLASS]].to_csv(folder / "samples.csv")
    return nereus.discover(
        folder / "values.csv",
        folder / "samples.csv",
        out=folder / "report",
        home=folder / "home",
        seed=3,
        budget=["objectives=4", "hypotheses=25"],
    )


def home(run: nereus.Run) -> Path:
    return run.directory.parent / "home"


def test_every_edge_is_recomputed_by_its_evidence(wide: nereus.Run) -> None:
    record = wide.record
    assert len(record.edges) > 50
    for edge in record.edges:
        first = record.evidence[edge.evidence_ids[0]]
        numbers = {role: getattr(edge, role) for role in ("effect", "p", "q", "n", "confidence")}
        assert set(edge.columns) == {role for role, value in numbers.items() if value is not None}
        call = record.calls[first.call_key]
        if first.table is not None and edge.columns:
            table = wide.artifacts.table(call.outputs[first.table])
            row = table[table.iloc[:, 0] == first.row].iloc[0]
            for role, column in edge.columns.items():
                assert numbers[role] == sum(float(row[one]) for one in column.split("+"))
    claims = wide.claims
    held = {edge.id for edge in record.edges if edge.status == "supported" and edge.split == "discovery"}
    significant = [
        e for e in record.edges if e.id in held and e.kind in ("up_in", "down_in", "correlates_with")
    ]
    assert 0 < len(significant) <= len(claims)
    assert all(edge.q is not None and edge.q <= 0.05 for edge in significant)


def test_known_markers_stand_in_it_with_their_sign(wide: nereus.Run) -> None:
    graph = nereus.graph(wide.id, home=home(wide))
    named = {
        (graph.source(e).name, e.edge.kind, e.edge.status)
        for e in graph.edges
        if graph.target(e).name == "biochemical AD"
    }
    assert any(status == "supported" for _, _, status in named)
    ups = [e for e in graph.edges if e.edge.kind == "up_in" and e.edge.split == "discovery"]
    assert ups
    assert all(e.edge.sign == 1 and e.edge.effect > 0 for e in ups)  # type: ignore[operator]
    asked_again = any(
        one.kind is ObjectiveKind.VALIDATION and one.status == "done" for one in wide.record.objectives
    )
    again = [e for e in graph.edges if e.edge.split == "validation"]
    assert bool(again) == asked_again, "what was tested in subjects that were kept aside stands beside"
    assert {e.edge.dataset for e in graph.edges} == {wide.record.header.inputs["data"].id}


def test_paths_are_tentative_marked_and_ranked_behind_what_was_found(wide: nereus.Run) -> None:
    record = wide.record
    paths = [one for one in wide.hypotheses if one.grain == "path"]
    assert 0 < len(paths) <= PATHS_A_RUN
    supported = [one.rank for one in wide.hypotheses if one.status == "supported"]
    for one in paths:
        assert one.confidence is None
        assert one.status in ("tentative", "refuted")
        assert one.rank > max(supported)
        assert one.statement.startswith("Inferred, not tested: ")
        assert one.experiment
        inferred = [atom for atom in one.atoms if atom.statement.startswith("Inferred, not tested")]
        assert [atom.verdict for atom in inferred] == ["assumed"]
        for atom in one.atoms:
            assert set(atom.evidence_ids) <= set(record.evidence)
        assert one.key.count("mechanism") == 1
    edges = [one for one in record.edges if one.status == "inferred"]
    assert {h for one in edges for h in one.hypotheses} == {
        one.id for one in paths if one.status == "tentative"
    }
    assert all(one.kind in INFERRED and not one.columns and one.note for one in edges)
    document = json.loads((wide.directory / "hypotheses.json").read_text())
    told = next(one for one in document["hypotheses"] if one["grain"] == "path")
    assert "{{" not in told["statement"]
    assert told["numbers"], "each number of the path is a reference"


def test_choices_cite_what_they_expect_to_learn(wide: nereus.Run) -> None:
    chosen = [one for one in wide.record.decisions if one.kind == "choose_objectives"]
    told = [one.rationale for one in chosen if "direction" in one.rationale]
    assert told
    bare = re.sub(r"\{\{[^{}]*\}\}|\bO\d+\b", "", told[0])
    assert not re.search(r"\d", bare)
    from nereus.agents.reporter.render import render_text
    from nereus.agents.reporter.sources import Sources

    for text in told:
        assert "{{" not in render_text(text, Sources(wide.record, wide.artifacts.table))


def test_its_files_are_verified_to_the_last_number(wide: nereus.Run, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "report"
    shutil.copytree(wide.directory, copy)
    place = copy / "graph.json"
    document = json.loads(place.read_text())
    number = next(i for i, one in enumerate(document["edges"]) if one["effect"] is not None)
    document["edges"][number]["effect"] += 0.5
    place.write_text(json.dumps(document))
    table = pd.read_csv(copy / "edges.csv")
    table.loc[0, "status"] = "supported" if table.loc[0, "status"] != "supported" else "refuted"
    table.to_csv(copy / "edges.csv", index=False)
    found = verify_here(copy)
    wrong = document["edges"][number]["id"]
    assert any(one.startswith(f"graph.json, edges[{wrong}].effect") for one in found.differences)
    assert any(one.startswith("edges.csv: ") and "status" in one for one in found.differences)
    # The files themselves, these two places, and the page, whose drawing is made of the graph.
    assert {one.split(",")[0].split(":")[0] for one in found.differences} <= {
        "graph.json",
        "edges.csv",
        "report.html",
    }


def test_the_drawing_is_small_readable_and_always_the_same(wide: nereus.Run) -> None:
    record = wide.record
    drawn = draw(choose(record.nodes, record.edges, record.hypotheses))
    again = draw(choose(record.nodes[::-1], record.edges[::-1], record.hypotheses))
    assert drawn == again
    root = ElementTree.fromstring(drawn)
    assert float(root.get("width", "")) <= WIDTH <= 600
    svg = "{http://www.w3.org/2000/svg}"
    words = list(root.iter(f"{svg}text"))
    assert words
    assert min(float(one.get("font-size", "")) for one in words) >= 6.5
    for box in root.iter(f"{svg}rect"):
        assert float(box.get("x", "")) >= 0
        assert float(box.get("x", "")) + float(box.get("width", "")) <= WIDTH
    assert "inferred, not tested" in drawn
    assert draw(choose((), ())) == ""
    assert 'id="graph"' in (wide.directory / "report.html").read_text()


def test_the_command_answers_and_says_what_is_wrong(wide: nereus.Run, tmp_path: Path) -> None:
    env = {"NEREUS_HOME": str(home(wide))}

    def ask(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["graph", *arguments], env=env)

    assert " edges, 1 run" in ask().output
    name = next(one.name for one in wide.record.nodes if one.kind == "protein")
    told = ask("--entity", name)
    assert told.exit_code == 0
    assert name in told.output
    document = json.loads(ask("--pattern", "protein>group", "--json").output)
    assert document["paths"]
    assert document["paths"][0]["edges"]
    for ending in ("graphml", "json", "csv", "svg", "html"):
        place = tmp_path / f"graph.{ending}"
        assert ask(wide.id, "--out", str(place)).exit_code == 0
        assert place.stat().st_size > 500
    for arguments, said in (
        (("--entity", "NOSUCHGENE"), "there is no 'NOSUCHGENE'"),
        (("--from", name), "belong together"),
        (("--entity", name, "--pattern", "protein>group"), "different questions"),
        (("--kind", "upp_in"), "did you mean"),
        (("--out", "graph.png"), "ends in none of"),
        (("--out", str(tmp_path / "no" / "where.csv")), "cannot be written"),
        (("r0000000000-9",), "there is no run"),
        ((wide.id, "--all"), "exclude each other"),
    ):
        refused = ask(*arguments)
        assert refused.exit_code == 1, arguments
        assert said in refused.output + str(refused.stderr), arguments
    nothing = CliRunner().invoke(app, ["graph"], env={"NEREUS_HOME": str(tmp_path / "empty")})
    assert nothing.exit_code == 1
    with pytest.raises(InputError, match="no run has an evidence graph"):
        nereus.graph(home=tmp_path / "empty")


@pytest.mark.slow
def test_exchanged_labels_leave_no_path(tmp_path: Path) -> None:
    """People, sites and proteins as they are; who is called ill is drawn anew, so that nothing is to be found."""
    values = pd.read_csv(EXAMPLE / "proteome.csv.gz", index_col=0)
    sheet = pd.read_csv(EXAMPLE / "samples.csv", index_col=0)
    chosen = sheet[sheet[CLASS].notna() & sheet["_collection site"].isin(["Sweden", "Magdeburg"])]
    values = values.loc[chosen.index]
    values[values.columns[values.notna().mean() > 0.6][::4]].to_csv(tmp_path / "values.csv")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        drawn = chosen[["_collection site", "_t-tau [ng/L]", CLASS]].copy()
        for column in ("_t-tau [ng/L]", CLASS):
            drawn[column] = rng.permutation(drawn[column].to_numpy())
        drawn.to_csv(tmp_path / "samples.csv")
        run = nereus.discover(
            tmp_path / "values.csv",
            tmp_path / "samples.csv",
            out=tmp_path / f"report{seed}",
            home=tmp_path / "home",
            seed=seed,
            budget=["objectives=3", "hypotheses=20"],
        )
        assert not [one for one in run.hypotheses if one.grain == "path" and one.confidence is not None]
        assert not [one for one in run.record.edges if one.status == "inferred"]
        assert [one for one in run.record.edges if one.status == "refuted"], (
            "that nothing differs is a result"
        )
