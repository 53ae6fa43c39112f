"""The evidence graph in the database: whole or not at all, never without evidence, gone with its run."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from nereus.errors import StoreError
from nereus.memory.database import Database, DatabaseLedger
from nereus.memory.database.models import GraphEdgeEvidenceRow, GraphEdgeRow, GraphNodeRow
from nereus.memory.graph import edge_id, make_node
from nereus.memory.records import GraphEdge, RunHeader
from nereus.memory.runs import RunRepository
from tests.memory.factories import call, evidence, header

PROTEIN = make_node("protein", "P1;" + ";".join(f"Q{n:05}" for n in range(200)), "GFAP")
GROUP = make_node("sample_group", "disease=AD", "AD")


def edge(status: str = "supported", cited: tuple[str, ...] = ("E1", "E2")) -> GraphEdge:
    return GraphEdge(
        id=edge_id(PROTEIN.id, "up_in", GROUP.id, "AD vs control", "O2", "discovery"),
        kind="up_in",
        source=PROTEIN.id,
        target=GROUP.id,
        relation="abundance",
        sign=1,
        about="AD vs control",
        objective_id="O2",
        status=status,
        dataset="d" * 64,
        effect=1 / 3,
        q=1e-300,
        columns={"effect": "effect", "q": "q"},
        evidence_ids=cited,
    )


def counts(database: Database, run_id: str) -> list[int]:
    with database.read() as connection:
        return [
            connection.execute(select(func.count()).select_from(row).where(row.run_id == run_id)).scalar_one()
            for row in (GraphNodeRow, GraphEdgeRow, GraphEdgeEvidenceRow)
        ]


@pytest.fixture
def cited(database: Database, runs: RunRepository, run: RunHeader) -> RunHeader:
    """A run with two pieces of evidence."""
    DatabaseLedger(database, run.id).record_call(call(0))
    runs.save_evidence(run.id, [evidence(1), evidence(2)])
    return run


def test_a_graph_comes_back_and_a_newer_one_replaces_it(
    database: Database, runs: RunRepository, cited: RunHeader
) -> None:
    for _ in range(2):  # as a node that runs again after a kill
        runs.save_graph(cited.id, [GROUP, PROTEIN, GROUP], [edge()])
    assert runs.graph(cited.id) == ([PROTEIN, GROUP], [edge()])
    assert counts(database, cited.id) == [2, 1, 2]
    runs.save_graph(cited.id, [PROTEIN, GROUP], [edge("refuted", ("E2",))])
    assert runs.graph(cited.id)[1] == [edge("refuted", ("E2",))]
    assert counts(database, cited.id) == [2, 1, 1]
    assert runs.load(cited.id).edges == (edge("refuted", ("E2",)),)
    assert runs.runs_with_graphs() == [cited.id]


def test_an_edge_without_recorded_evidence_is_not_stored(
    database: Database, runs: RunRepository, cited: RunHeader
) -> None:
    runs.save_graph(cited.id, [PROTEIN, GROUP], [edge()])
    with pytest.raises(StoreError, match="has no evidence"):
        runs.save_graph(cited.id, [PROTEIN, GROUP], [edge(cited=())])
    for nodes, wrong in (([PROTEIN, GROUP], edge(cited=("E77",))), ([PROTEIN], edge())):
        with pytest.raises(StoreError, match="contradict"):
            runs.save_graph(cited.id, nodes, [wrong])
    assert runs.graph(cited.id)[1] == [edge()], "the graph that was there is there"


def test_in_a_unit_it_is_kept_with_the_evidence_that_it_names(
    database: Database, runs: RunRepository, run: RunHeader
) -> None:
    DatabaseLedger(database, run.id).record_call(call(0))
    with database.unit():
        runs.save_evidence(run.id, [evidence(1)])
        runs.save_graph(run.id, [PROTEIN, GROUP], [edge(cited=("E1",))])
        runs.save_graph(run.id, [PROTEIN, GROUP], [edge("refuted", ("E1", "E2"))])
        runs.save_evidence(run.id, [evidence(2)])
    assert runs.graph(run.id)[1] == [edge("refuted", ("E1", "E2"))]


def test_it_goes_with_its_run_and_with_no_other(
    database: Database, runs: RunRepository, cited: RunHeader
) -> None:
    other = runs.create_run(header(2))
    runs.save_evidence(other.id, [evidence(1), evidence(2)])
    for one in (cited, other):
        runs.save_graph(one.id, [PROTEIN, GROUP], [edge()])
    runs.delete_run(cited.id)
    assert counts(database, cited.id) == [0, 0, 0]
    assert counts(database, other.id) == [2, 1, 2]
    assert database.problems() == []


def test_ids_are_of_content() -> None:
    assert make_node("protein", "P1") == make_node("protein", "P1", "P1")
    assert make_node("protein", "P1", "A").id == make_node("protein", "P1", "B").id
    assert len({make_node(kind, "P1").id for kind in ("protein", "gene", "site")}) == 3
    assert edge_id("a", "up_in", "b", "x", "O1", "discovery") != edge_id(
        "a", "up_in", "b", "x", "O1", "validation"
    )
