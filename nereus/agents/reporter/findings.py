"""What a hypothesis card shows: the effect with its interval, q, stability and confidence, each with its source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nereus.agents.planner.relations import RELATIONS
from nereus.agents.reporter.drawings import Scale, scale_of
from nereus.agents.reporter.sources import Sources, path
from nereus.errors import UnresolvedNumber
from nereus.memory.records import Evidence, Hypothesis

_ROW_COLUMNS = (
    "effect",
    "ci_low",
    "ci_high",
    "q",
    "p",
    "stability",
    "n_a",
    "n_b",
    "n_hits",
    "n_measured",
    "nes",
)


@dataclass(frozen=True)
class Finding:
    """The numbers of a hypothesis by name (`_ROW_COLUMNS` and ``confidence``): source path, and value."""

    hypothesis: Hypothesis
    sources: dict[str, str]
    values: dict[str, float]
    direction: str
    """``up``, ``down`` or ``none``."""

    @property
    def unit(self) -> str:
        """What the effect is measured in; effects of one unit share an axis."""
        relation = self.hypothesis.claim.relation
        if relation in RELATIONS:
            return RELATIONS[relation].axis
        return "normalised enrichment score" if relation == "enrichment" else "effect"


def finding(hypothesis: Hypothesis, sources: Sources) -> Finding:
    """Collect the numbers of a hypothesis from its evidence.

    The first piece of evidence that is an effect names the table row; further columns of that row are taken from
    evidence of their own where there is any, otherwise from the cell.
    """
    cited = [sources.record.evidence[i] for i in hypothesis.evidence_ids if i in sources.record.evidence]
    if hypothesis.grain == "path":  # its edges have numbers of their own, in the statement; the path has none
        cited = []
    found: dict[str, str] = {}
    for evidence in cited:
        column = _column(evidence)
        if column in (*_ROW_COLUMNS, "confidence"):
            found.setdefault(column, evidence.id)
    main = next((e for e in cited if e.id == found.get("effect")), None)
    if main is not None and main.table is not None and main.row is not None:
        columns = sources.table(sources.call_behind(main), main.table).columns
        step_id = sources.step_of_call[main.call_key]
        for column in _ROW_COLUMNS:
            if column in columns:
                found.setdefault(column, path("cell", step_id, main.table, main.row, column))
    if hypothesis.confidence is not None:
        cited_confidence = found.get("confidence")
        if cited_confidence is None or sources.value(cited_confidence) != hypothesis.confidence:
            found["confidence"] = path("field", "hypothesis", hypothesis.id, "confidence")
    values: dict[str, float] = {}
    for name, source in list(found.items()):
        try:
            value = sources.value(source)
        except UnresolvedNumber:
            value = None
        if isinstance(value, int | float) and not isinstance(value, bool):
            values[name] = float(value)
        else:
            del found[name]
    return Finding(hypothesis, found, values, _direction(hypothesis, values.get("effect")))


def _column(evidence: Evidence) -> str:
    name = (evidence.column or evidence.name or "").lower()
    if name in ("effect", "log2fc", "lfc") or evidence.quantity.lower() in ("log2 fold change", "effect"):
        return "effect"
    return name


def _direction(hypothesis: Hypothesis, effect: float | None) -> str:
    for entity in hypothesis.claim.entities:
        if entity.direction in ("up", "present", "positive"):
            return "up"
        if entity.direction in ("down", "absent", "negative"):
            return "down"
    return "none" if not effect else "up" if effect > 0 else "down"


def scales(findings: Iterable[Finding]) -> dict[str, Scale]:
    """One axis for all effects of one unit."""
    by_unit: dict[str, list[Finding]] = {}
    for one in findings:
        if "effect" in one.values:
            by_unit.setdefault(one.unit, []).append(one)
    return {
        unit: scale_of(
            [one.values["effect"] for one in group],
            [one.values[end] for one in group for end in ("ci_low", "ci_high") if end in one.values],
        )
        for unit, group in by_unit.items()
    }
