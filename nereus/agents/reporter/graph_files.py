"""``graph.json`` and ``edges.csv``: the evidence graph of a run as files, and drawings of any graph.

Every number of an edge is read again from the row that its evidence points at, here and by `nereus verify`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus.agents.reporter.graph_drawing import choose, draw
from nereus.agents.reporter.sources import Sources
from nereus.errors import InputError, UnresolvedNumber
from nereus.memory.network import COLUMNS, FORMAT, EvidenceGraph
from nereus.memory.records import GraphEdge
from nereus.spreadsheets import harmless

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".json", ".csv", ".graphml", ".svg", ".html")


def recomputed(edge: GraphEdge, sources: Sources) -> GraphEdge:
    """An edge with its numbers read again from where its evidence points.

    Raises
    ------
    UnresolvedNumber
        Nothing lies there.
    """
    evidence = sources.evidence(edge.evidence_ids[0])
    call = sources.call_behind(evidence)
    found: dict[str, float] = {}
    for role, column in edge.columns.items():
        parts: list[float] = []
        for one in column.split("+"):
            if evidence.table is None or evidence.row is None:
                value = call.values.get(one)
            else:
                value = sources.cell(call, evidence.table, evidence.row, one)
            if not isinstance(value, int | float):
                raise UnresolvedNumber(
                    f"{role} of an edge {edge.kind} of {edge.about!r} has no number in {one!r}",
                    where=f"evidence {evidence.id}",
                )
            parts.append(float(value))
        found[role] = sum(parts)
    return edge.model_copy(update=found)


def graph_document(sources: Sources) -> dict[str, Any]:
    """The graph of a run as JSON, its numbers read from the run's results."""
    return {
        "format": FORMAT,
        "nodes": [one.model_dump(mode="json") for one in sources.record.nodes],
        "edges": [recomputed(one, sources).model_dump(mode="json") for one in sources.record.edges],
    }


def check_edges(sources: Sources) -> None:
    """Raise `UnresolvedNumber` when an edge does not say what its evidence says."""
    for edge in sources.record.edges:
        if recomputed(edge, sources) != edge:
            raise UnresolvedNumber(
                f"an edge {edge.kind} of {edge.about!r} holds other numbers than its evidence",
                where=f"evidence {edge.evidence_ids[0]}",
            )


def edges_csv(sources: Sources) -> str:
    """Every edge of a run as a row; names instead of ids of nodes."""
    edges = [recomputed(one, sources) for one in sources.record.edges]
    table = EvidenceGraph({"": (sources.record.nodes, edges)}).table()
    return _csv(table[[one for one in COLUMNS if one != "run"]])


def _csv(table: pd.DataFrame) -> str:
    text: str = harmless(table).to_csv(index=False, lineterminator="\n")
    return text


def write_graph(graph: EvidenceGraph, path: str | Path) -> Path:
    """Write a graph, or a part of one, in the format that the file's ending names.

    Parameters
    ----------
    graph
        What to write.
    path
        ``.json``, ``.csv`` (edges), ``.graphml`` (for Cytoscape, Gephi, networkx), ``.svg`` or ``.html`` (drawings of its
        surest part).

    Raises
    ------
    InputError
        Another ending, or a place where nothing can be written.
    """
    target = Path(path).expanduser()
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{target.name!r} ends in none of {', '.join(SUFFIXES)}",
            where=str(target),
            mend="name one of them",
        )
    if suffix == ".json":
        text = json.dumps(graph.document(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    elif suffix == ".csv":
        text = _csv(graph.table())
    elif suffix == ".graphml":
        import networkx as nx

        text = "\n".join(nx.generate_graphml(graph.to_networkx())) + "\n"
    else:
        moved = [
            said.edge.model_copy(update={"source": graph.source(said).id, "target": graph.target(said).id})
            for said in graph.edges
        ]
        drawn = draw(choose(graph.nodes.values(), moved))
        if not drawn:
            raise InputError(
                "nothing of it can be drawn: it has no supported edge",
                where=str(target),
                mend="write .csv or .json, which hold refuted edges, too",
            )
        text = drawn + "\n" if suffix == ".svg" else _page(drawn)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}", where=str(target), mend="name another place"
        ) from None
    return target


def _page(drawn: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Evidence graph · Nereus</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<style>body{margin:24px;background:#fff}</style></head>\n"
        f"<body>{drawn}</body></html>\n"
    )
