"""How a run writes its evidence graph: tables and evidence -> nodes and edges.

What holds at the error level of the run becomes a supported edge, what was tested and does not hold a refuted one, what
could not be tested an untested one; what a collection of knowledge says (a member of a set, a site of a kinase) is
known. Every edge cites a cell of the table that recomputes its numbers. Of a question with very many claims the
strongest are kept, and a notice says so: ``claims.csv`` has them all.
"""

from __future__ import annotations

from collections.abc import Mapping

from nereus.agents.planner.companions import COHORT
from nereus.agents.planner.evidence import EvidenceBook
from nereus.agents.planner.graph.belonging import modules, sets, targets_of_kinases
from nereus.agents.planner.graph.claimed import tested_again, tested_edges, whole_comparison
from nereus.agents.planner.graph.loom import Weaver
from nereus.agents.planner.graph.wholes import wholes
from nereus.agents.planner.harvest import Source
from nereus.memory.records import Objective


def weave(
    book: EvidenceBook,
    found: list[Source],
    objectives: Mapping[str, Objective],
    outputs: Mapping[str, str],
    inputs: Mapping[str, str],
) -> Weaver:
    """Write down what the run knows so far.

    Parameters
    ----------
    book
        Cites.
    found
        Every tested objective and where its tables are.
    objectives, outputs
        Of the run.
    inputs
        Role -> artifact id of the files.
    """
    graph = Weaver(book, inputs.get("data", ""), inputs.get(COHORT, ""))
    for source in found:
        tested_edges(graph, source)
        whole_comparison(graph, source)
        tested_again(graph, source)
    for source in found:
        modules(graph, source, outputs)
        targets_of_kinases(graph, source, outputs)
    sets(graph, found, objectives, outputs)
    wholes(graph, objectives, outputs)
    book.flush()
    return graph


__all__ = ["Weaver", "weave"]
