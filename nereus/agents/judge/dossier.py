"""What a judge is shown of a hypothesis: its words, its evidence, its tests. Never its author, rank or confidence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nereus.agents.planner.run import Run
from nereus.agents.reporter.render import render_text
from nereus.agents.reporter.sources import Sources
from nereus.memory.records import Hypothesis

_HIDDEN_QUANTITIES = ("calibrated confidence",)
"""What would tell how sure the author is; limits of confidence intervals are evidence like any other."""


@dataclass(frozen=True)
class Dossier:
    """One hypothesis for a judge."""

    run_id: str
    hypothesis: Hypothesis
    statement: str
    """With its numbers filled in."""
    evidence: tuple[tuple[str, str, str], ...]
    """(evidence id, quantity, value)."""
    tests: tuple[str, ...]
    """Each atom with its verdict."""
    alternatives: tuple[str, ...]
    experiment: str
    caveats: tuple[str, ...]


def dossiers(run: Run) -> list[Dossier]:
    """Every hypothesis of a run that was not merged into another one, in the order of their ids."""
    sources = Sources(run.record, run.artifacts.table)
    found = [_dossier(run, one, sources) for one in run.hypotheses if one.status != "merged"]
    return sorted(found, key=lambda one: int(re.sub(r"\D", "", one.hypothesis.id) or 0))


def _dossier(run: Run, one: Hypothesis, sources: Sources) -> Dossier:
    evidence = []
    for identity in one.evidence_ids:
        item = run.record.evidence.get(identity)
        if item is not None and item.value is not None and not _hidden(item.quantity):
            value = f"{item.value:.4g}" if isinstance(item.value, float) else str(item.value)
            evidence.append((identity, item.quantity, f"{value} {item.unit}".strip()))
    return Dossier(
        run_id=run.id,
        hypothesis=one,
        statement=render_text(one.statement, sources),
        evidence=tuple(evidence),
        tests=tuple(f"{render_text(atom.statement, sources)}: {atom.verdict}" for atom in one.atoms),
        alternatives=tuple(render_text(text, sources) for text in one.alternatives),
        experiment=render_text(one.experiment, sources),
        caveats=tuple(render_text(text, sources) for text in one.caveats),
    )


def _hidden(quantity: str) -> bool:
    return any(word in quantity.lower() for word in _HIDDEN_QUANTITIES)
