"""What a run says, as pieces of text of which each number names its source; and its findings as cards made of them."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from nereus.agents.reporter.findings import Finding, finding
from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.page_texts import evidence_format
from nereus.agents.reporter.render import pieces
from nereus.agents.reporter.sources import Sources
from nereus.errors import UnresolvedNumber
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import Evidence, Hypothesis, RunRecord, Scalar


class Piece(BaseModel):
    """Part of a text."""

    text: str
    source: str | None = None
    """Of a number: id of the evidence, or a path (``value:<step>/<name>``, ``cell:<step>/<table>/<row>/<column>`` ...)."""
    value: Scalar = None
    """Of a number, with every digit."""


class CardNumber(BaseModel):
    """A number of a finding."""

    name: str
    """``effect``, ``ci_low``, ``ci_high``, ``q``, ``p``, ``stability``, ``confidence`` ..."""
    text: str
    value: float
    source: str


class CardAtom(BaseModel):
    """A test that a finding had to pass."""

    kind: str
    statement: list[Piece]
    verdict: str
    """``holds``, ``fails`` or ``assumed``."""
    necessary: bool
    evidence: list[str]


class CardEvidence(BaseModel):
    """A value that can be computed again, and where it lies."""

    id: str
    quantity: str
    text: str
    value: Scalar
    step: str
    tool: str
    name: str | None
    """Named value of the step; else a cell, which the next three name."""
    table: str | None
    row: str | None
    column: str | None


class CardFigure(BaseModel):
    """A figure that shows a finding."""

    step: str
    name: str
    title: str


class Card(BaseModel):
    """A hypothesis with everything that it stands on."""

    id: str
    rank: int
    status: str
    """``supported``, ``tentative``, ``proposed``, ``refuted`` or ``merged``."""
    grain: str
    title: str
    relation: str
    contrast: str
    context: str
    direction: str
    """``up``, ``down`` or ``none``."""
    statement: list[Piece]
    confidence: float | None
    confidence_word: str
    unit: str
    numbers: list[CardNumber]
    scores: dict[str, float | None]
    scores_are_proxies: bool
    atoms: list[CardAtom]
    alternatives: list[list[Piece]]
    experiment: list[Piece]
    caveats: list[list[Piece]]
    evidence: list[CardEvidence]
    figures: list[CardFigure]
    entities: list[str]
    author: str
    merged_into: str | None


class RunTexts:
    """Writes what a record holds.

    Parameters
    ----------
    record
        The run.
    artifacts
        Where its tables are.
    """

    def __init__(self, record: RunRecord, artifacts: ArtifactStore) -> None:
        self._record = record
        self._sources = Sources(record, artifacts.table)
        self._figures = {
            ref.id: CardFigure(step=step.id, name=name, title=ref.summary or name)
            for step in reversed(record.steps())
            if step.call_key in record.calls
            for name, ref in record.calls[step.call_key].outputs.items()
        }

    def pieces(self, template: str) -> list[Piece]:
        """A text with references as pieces; one whose references cannot be resolved is given as it is written."""
        try:
            return [
                Piece(text=one)
                if isinstance(one, str)
                else Piece(
                    text=format_value(one.value, one.format, typographic=True),
                    source=one.source,
                    value=one.value,
                )
                for one in pieces(template, self._sources)
            ]
        except UnresolvedNumber:
            return [Piece(text=template)]

    def cards(self) -> list[Card]:
        """Findings, best first."""
        ordered = sorted(self._record.hypotheses, key=lambda one: (one.rank, one.id))
        return [self._card(one) for one in ordered]

    def _card(self, one: Hypothesis) -> Card:
        found = finding(one, self._sources)
        names = list(dict.fromkeys(entity.name or entity.id for entity in one.claim.entities))
        return Card(
            id=one.id,
            rank=one.rank,
            status=one.status,
            grain=one.grain,
            title=_title(names),
            relation=one.claim.relation,
            contrast=one.claim.contrast,
            context=one.claim.context,
            direction=found.direction,
            statement=self.pieces(one.statement),
            confidence=one.confidence,
            confidence_word=one.confidence_word,
            unit=found.unit,
            numbers=_numbers(found),
            scores=one.scores.model_dump(exclude={"proxy"}),
            scores_are_proxies=one.scores.proxy,
            atoms=[
                CardAtom(
                    kind=atom.kind,
                    statement=self.pieces(atom.statement),
                    verdict=atom.verdict,
                    necessary=atom.necessary,
                    evidence=list(atom.evidence_ids),
                )
                for atom in one.atoms
            ],
            alternatives=[self.pieces(text) for text in one.alternatives],
            experiment=self.pieces(one.experiment),
            caveats=[self.pieces(text) for text in one.caveats],
            evidence=list(self._evidence(one.evidence_ids)),
            figures=[self._figures[figure] for figure in one.figures if figure in self._figures],
            entities=names,
            author=one.author,
            merged_into=one.merged_into,
        )

    def _evidence(self, ids: Iterable[str]) -> Iterable[CardEvidence]:
        for identity in ids:
            evidence = self._record.evidence.get(identity)
            call = None if evidence is None else self._record.calls.get(evidence.call_key)
            if evidence is None or call is None:
                continue
            yield CardEvidence(
                id=identity,
                quantity=evidence.quantity,
                text=_written(evidence),
                value=evidence.value,
                step=evidence.step_id,
                tool=call.spec.tool,
                name=evidence.name,
                table=evidence.table,
                row=evidence.row,
                column=evidence.column,
            )


def _written(evidence: Evidence) -> str:
    spec = evidence_format(evidence.quantity, evidence.column or evidence.name or "")
    return format_value(evidence.value, spec, typographic=True)


def _numbers(found: Finding) -> list[CardNumber]:
    share = found.hypothesis.claim.relation == "detection"
    specs = {
        "effect": "+.0%" if share else "+.2f",
        "q": "p",
        "p": "p",
        "stability": ".0%",
        "confidence": ".2f",
    }
    specs |= dict.fromkeys(("ci_low", "ci_high"), specs["effect"])
    return [
        CardNumber(
            name=name,
            text=format_value(value, specs.get(name, ""), typographic=True),
            value=value,
            source=found.sources[name],
        )
        for name, value in found.values.items()
    ]


def _title(names: list[str]) -> str:
    shown = ", ".join(one if len(one) <= 40 else f"{one[:39]}…" for one in names[:3])
    return shown if len(names) <= 3 else f"{shown} and others"
