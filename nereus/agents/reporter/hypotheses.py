"""``hypotheses.json``: what the run found, each number with the reference that it was filled in from."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from nereus.agents.reporter import leads
from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.render import Number, known_names, pieces, render_strict, render_text
from nereus.agents.reporter.sources import Sources
from nereus.memory.records import Hypothesis

FORMAT = "nereus-hypotheses/1"


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of ``hypotheses.json`` (draft 2020-12)."""
    text = files("nereus.agents.reporter").joinpath("hypotheses_schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def hypotheses_document(sources: Sources) -> dict[str, Any]:
    """Every hypothesis of the run, refuted and merged ones included, in rank order; then what ranks first below the level.

    Raises
    ------
    UnresolvedNumber
        When a statement holds a number without a reference.
    """
    ordered = sorted(sources.record.hypotheses, key=lambda h: (h.rank, h.id))
    return {
        "format": FORMAT,
        "question": sources.record.header.question,
        "seed": sources.record.header.seed,
        "policy": sources.record.header.policy,
        "hypotheses": [_hypothesis(one, sources) for one in ordered],
        "leads": leads.document(sources),
    }


def _hypothesis(one: Hypothesis, sources: Sources) -> dict[str, Any]:
    statement = render_strict(one.statement, sources, known_names(sources.record, one))
    return {
        "id": one.id,
        "rank": one.rank,
        "status": one.status,
        "grain": one.grain,
        "key": one.key,
        "statement": statement,
        "template": one.statement,
        "claim": one.claim.model_dump(mode="json"),
        "confidence": one.confidence,
        "confidence_word": one.confidence_word,
        "scores": one.scores.model_dump(mode="json"),
        "rank_score": one.rank_score,
        "evidence": [evidence_entry(identity, sources) for identity in one.evidence_ids],
        "numbers": [entry for where, text in _texts(one) for entry in _numbers(where, text, sources)],
        "atoms": [
            {
                "id": atom.id,
                "kind": atom.kind,
                "statement": render_text(atom.statement, sources),
                "template": atom.statement,
                "necessary": atom.necessary,
                "verdict": atom.verdict,
                "evidence": list(atom.evidence_ids),
            }
            for atom in one.atoms
        ],
        "alternatives": [_text(text, sources) for text in one.alternatives],
        "caveats": [_text(text, sources) for text in one.caveats],
        "experiment": _text(one.experiment, sources),
        "merged_into": one.merged_into,
        "author": one.author,
    }


def evidence_entry(identity: str, sources: Sources) -> dict[str, Any]:
    """One piece of evidence: where it lies and what its value is."""
    evidence = sources.evidence(identity)
    call = sources.call_behind(evidence)
    return {
        "id": evidence.id,
        "step": evidence.step_id,
        "call": evidence.call_key,
        "tool": call.spec.tool,
        "version": call.spec.version,
        "quantity": evidence.quantity,
        "unit": evidence.unit,
        "name": evidence.name,
        "artifact": evidence.artifact,
        "table": evidence.table,
        "row": evidence.row,
        "column": evidence.column,
        "value": sources.evidence_value(evidence),
    }


def _texts(one: Hypothesis) -> list[tuple[str, str]]:
    """Every text of a hypothesis that may hold references, with the place it stands at."""
    return [
        ("statement", one.statement),
        *((f"atoms/{atom.id}", atom.statement) for atom in one.atoms),
        *((f"alternatives/{index}", text) for index, text in enumerate(one.alternatives)),
        *((f"caveats/{index}", text) for index, text in enumerate(one.caveats)),
        ("experiment", one.experiment),
    ]


def _numbers(where: str, template: str, sources: Sources) -> list[dict[str, Any]]:
    return [
        {
            "in": where,
            "reference": piece.source,
            "format": piece.format,
            "value": piece.value,
            "text": format_value(piece.value, piece.format),
        }
        for piece in pieces(template, sources)
        if isinstance(piece, Number)
    ]


def _text(template: str, sources: Sources) -> dict[str, str]:
    return {"text": render_text(template, sources), "template": template}
