"""Claims, hypotheses and graph of a report, against what the recomputed tables give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nereus.agents.reporter import claims, graph_files, hypotheses
from nereus.agents.reporter.verify.execution import Recomputed
from nereus.agents.reporter.verify.files import stored_text
from nereus.agents.reporter.verify.page import check_page
from nereus.agents.reporter.verify.verification import Verification, attempt, equal_scalars, first_line
from nereus.errors import NereusError

GRAPH = "graph.json"


def check_derived(
    folder: Path, stored_hypotheses: dict[str, Any], recomputed: Recomputed, found: Verification
) -> None:
    """Compare ``claims.csv``, ``hypotheses.json`` and ``report.html`` with what the recomputed results give."""
    sources = recomputed.sources
    text = stored_text(folder, "claims.csv")
    if text is None:
        found.count(False, "claims.csv: the file is missing")
    else:
        try:
            found.count_cells("claims.csv", text, claims.claims_csv(claims.claims_table(sources)))
        except NereusError as error:
            found.count(False, f"claims.csv: {first_line(error)}")
    for evidence in recomputed.record.evidence.values():
        now = attempt(lambda one=evidence: sources.evidence_value(one))  # type: ignore[misc]
        found.count(
            equal_scalars(evidence.value, now),
            f"plan.json, evidence {evidence.id} ({evidence.quantity}): stored {evidence.value!r}, recomputed {now!r}",
        )
    try:
        expected = hypotheses.hypotheses_document(sources)
    except NereusError as error:
        found.count(False, f"hypotheses.json: {first_line(error)}")
    else:
        for place, stored, now in _leaves(stored_hypotheses, expected):
            found.count(
                equal_scalars(stored, now), f"hypotheses.json, {place}: stored {stored!r}, recomputed {now!r}"
            )
    page = stored_text(folder, "report.html")
    if page is None:
        found.count(False, "report.html: the file is missing")
    else:
        check_page(page, recomputed, found)


def check_graph(folder: Path, stored: dict[str, Any], recomputed: Recomputed, found: Verification) -> None:
    """Compare ``graph.json`` and ``edges.csv`` with what the rows give that the edges' evidence points at."""
    try:
        expected = graph_files.graph_document(recomputed.sources)
        rows = graph_files.edges_csv(recomputed.sources)
    except NereusError as error:
        found.count(False, f"{GRAPH}: {first_line(error)}")
        return
    for place, then, now in _leaves(stored, expected):
        found.count(equal_scalars(then, now), f"{GRAPH}, {place}: stored {then!r}, recomputed {now!r}")
    table = stored_text(folder, "edges.csv")
    if table is None:
        found.count(False, "edges.csv: the file is missing")
    else:
        found.count_cells("edges.csv", table, rows)


def _leaves(stored: Any, now: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Pairs of values at equal places of two JSON documents."""
    if isinstance(stored, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*stored, *now)):
            inner = f"{place}.{key}" if place else str(key)
            yield from _leaves(stored.get(key, "nothing"), now.get(key, "nothing"), inner)
    elif isinstance(stored, list) and isinstance(now, list):
        for index in range(max(len(stored), len(now))):
            a, b = (one[index] if index < len(one) else "nothing" for one in (stored, now))
            label = a.get("id", index) if isinstance(a, dict) else index
            yield from _leaves(a, b, f"{place}[{label}]")
    else:
        yield place, stored, now
