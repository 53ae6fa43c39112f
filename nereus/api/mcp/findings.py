"""What a run found, as documents: hypotheses with their numbers filled in from evidence, and evidence with its call."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python

from nereus.api.mcp.asked import Asked
from nereus.api.routes import runs
from nereus.errors import NotFound, UnresolvedNumber


def hypotheses_of(asked: Asked, run_id: str) -> list[dict[str, Any]]:
    """Hypotheses of a caller's run, best first; statements hold the numbers that their references point at."""
    from nereus.agents.reporter.hypotheses import hypotheses_document
    from nereus.agents.reporter.sources import Sources

    runs.owned(asked.state, asked.caller, run_id)
    record = asked.state.workspace.repository.load(run_id)
    try:
        document = hypotheses_document(Sources(record, asked.state.workspace.artifacts.table))
    except (
        UnresolvedNumber
    ):  # a run that is being worked on: what is not composed yet is shown with its references
        return [one.model_dump(mode="json") for one in record.hypotheses]
    found: list[dict[str, Any]] = document["hypotheses"]
    return found


def hypothesis_of(asked: Asked, run_id: str, hypothesis_id: str) -> dict[str, Any]:
    """One hypothesis."""
    for one in hypotheses_of(asked, run_id):
        if one["id"] == hypothesis_id:
            return one
    raise NotFound(f"run {run_id!r} has no hypothesis {hypothesis_id!r}", mend="run_hypotheses lists them")


def evidence_document(asked: Asked, run_id: str, evidence_id: str) -> dict[str, Any]:
    """One piece of evidence, and the call that recomputes it."""
    found: dict[str, Any] = to_jsonable_python(runs.evidence(run_id, evidence_id, asked.state, asked.caller))
    return found
