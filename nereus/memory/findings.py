"""What a run decides and finds: decisions, evidence, hypotheses with their atoms."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import cast

from sqlalchemy import Connection, Table, delete, select

from nereus.memory.database.engine import now
from nereus.memory.database.models import (
    AtomRow,
    DecisionRow,
    EvidenceRow,
    HypothesisEvidenceRow,
    HypothesisRow,
)
from nereus.memory.records import Decision, Evidence, Hypothesis
from nereus.memory.rows import Rows, in_parts, row_of

_ATOMS = cast(Table, AtomRow.__table__)
_DECISIONS = cast(Table, DecisionRow.__table__)
_EVIDENCE = cast(Table, EvidenceRow.__table__)
_HYPOTHESES = cast(Table, HypothesisRow.__table__)
_HYPOTHESIS_EVIDENCE = cast(Table, HypothesisEvidenceRow.__table__)


class Findings(Rows):
    """Keeps what all runs decided and found."""

    def save_evidence(self, run_id: str, evidence: Iterable[Evidence]) -> None:
        """Add evidence; `StoreError` when a call that it points at was not recorded."""
        rows = [
            row_of(
                run_id,
                one,
                step_id=one.step_id,
                call_key=one.call_key,
                quantity=one.quantity,
                artifact_id=one.artifact,
                table_row=one.row,
                table_column=one.column,
            )
            for one in evidence
        ]
        self.put(_EVIDENCE, rows)

    def save_hypotheses(self, run_id: str, hypotheses: Iterable[Hypothesis]) -> None:
        """Add or replace hypotheses with their atoms; `StoreError` when they name unknown evidence."""
        self.database.save(("hypotheses", run_id), [*hypotheses], partial(self._write_hypotheses, run_id))

    def _write_hypotheses(self, run_id: str, connection: Connection, gathered: list[Hypothesis]) -> None:
        stamp = now()
        rows, links, atoms = [], [], []
        for one in {one.id: one for one in gathered}.values():
            rows.append(
                row_of(
                    run_id,
                    one,
                    rank=one.rank,
                    status=one.status,
                    claim_key=one.key,
                    confidence=one.confidence,
                )
            )
            named = {*one.evidence_ids, *(identity for atom in one.atoms for identity in atom.evidence_ids)}
            links += [
                {"run_id": run_id, "hypothesis_id": one.id, "evidence_id": identity, "created_at": stamp}
                for identity in sorted(named)
            ]
            atoms += [
                row_of(run_id, atom, hypothesis_id=one.id, kind=atom.kind, verdict=atom.verdict)
                for atom in one.atoms
            ]
        self.database.put(connection, _HYPOTHESES, rows)
        for table in (_HYPOTHESIS_EVIDENCE, _ATOMS):  # what a newer version no longer names must go
            for part in in_parts([row["id"] for row in rows]):
                connection.execute(
                    delete(table).where(table.c.run_id == run_id, table.c.hypothesis_id.in_(part))
                )
        self.database.put(connection, _ATOMS, atoms)
        self.database.add(connection, _HYPOTHESIS_EVIDENCE, links)

    def save_decisions(self, run_id: str, decisions: Iterable[Decision]) -> None:
        """Add or replace decisions."""
        rows = [
            row_of(
                run_id,
                one,
                kind=one.kind,
                subject=one.subject,
                policy=one.policy,
                fallback=one.fallback,
                tokens=one.tokens,
                ms=one.ms,
            )
            for one in decisions
        ]
        self.put(_DECISIONS, rows)

    def decision(self, run_id: str, decision_id: str) -> Decision | None:
        """Look up a recorded decision; None when it was not made yet."""
        query = select(_DECISIONS.c.document).where(
            _DECISIONS.c.run_id == run_id, _DECISIONS.c.id == decision_id
        )
        with self.database.read() as connection:
            document = connection.execute(query).scalar_one_or_none()
        return None if document is None else Decision.model_validate_json(document)

    def decisions(self, run_id: str) -> list[Decision]:
        """List all decisions of a run, in the order of their ids."""
        with self.database.read() as connection:
            return self.all_of(connection, _DECISIONS, run_id, Decision)

    def evidence(self, run_id: str) -> list[Evidence]:
        """List all evidence of a run, in the order of its ids."""
        with self.database.read() as connection:
            return self.all_of(connection, _EVIDENCE, run_id, Evidence)

    def hypotheses(self, run_id: str) -> list[Hypothesis]:
        """List all hypotheses of a run, in the order of their ids."""
        with self.database.read() as connection:
            return self.all_of(connection, _HYPOTHESES, run_id, Hypothesis)
