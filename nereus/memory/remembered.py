"""What a run leaves for later ones, as texts: what it asked, did and found."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nereus.memory.records import RunRecord, Scalar

_REFERENCE = re.compile(r"\{\{[^{}]*\}\}")


def memories_of(record: RunRecord) -> Iterator[tuple[str, str, str, dict[str, Scalar]]]:
    """List what a run leaves for later ones: (collection, id, text, columns to show with it)."""
    header = record.header
    common: dict[str, Scalar] = {
        "data": header.inputs["data"].name if "data" in header.inputs else None,
        "data_id": header.inputs["data"].id if "data" in header.inputs else None,
    }
    objectives = {one.id: one for one in record.objectives}
    for objective in record.objectives:
        columns: dict[str, Scalar] = {
            "kind": objective.kind.value,
            "status": objective.status,
            "outcome": _plain(objective.outcome),
            "contrast": objective.contrast.label if objective.contrast else None,
            "variable": objective.variable,
        }
        yield "objectives", objective.id, _plain(objective.statement), {**common, **columns}
    for workflow in record.workflows:
        done = [step.tool for step in workflow.steps if step.status == "done"]
        asked = objectives.get(workflow.objective_id)
        if not done:
            continue
        columns = {
            "objective_id": workflow.objective_id,
            "kind": asked.kind.value if asked else None,
            "template": workflow.template,
            "version": workflow.version,
            "n_steps": len(workflow.steps),
            "n_done": len(done),
            "n_edits": len(workflow.edits),
            "outcome": _plain(asked.outcome) if asked else None,
        }
        statement = _plain(asked.statement) if asked else workflow.objective_id
        yield "workflows", workflow.id, f"{statement}: {', '.join(done)}", {**common, **columns}
    for hypothesis in record.hypotheses:
        columns = {
            "status": hypothesis.status,
            "key": hypothesis.key,
            "rank": hypothesis.rank,
            "confidence": hypothesis.confidence,
            "contrast": hypothesis.claim.contrast,
            "entities": ", ".join(entity.name for entity in hypothesis.claim.entities[:20]),
        }
        yield "hypotheses", hypothesis.id, _plain(hypothesis.statement), {**common, **columns}


def _plain(text: str) -> str:
    """Leave out references to evidence: numbers of one run say nothing to another."""
    return " ".join(_REFERENCE.sub("", text).split())
