"""Questions that a run asks before it goes on, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from sqlalchemy import Connection, Table, select

from nereus.errors import StoreError
from nereus.memory.database.engine import now
from nereus.memory.database.models import ApprovalRow
from nereus.memory.records import Record
from nereus.memory.rows import Rows, natural_order, row_of

_APPROVALS = cast(Table, ApprovalRow.__table__)


class Approval(Record):
    """A question that a run asked before it went on, and its answer."""

    run_id: str
    id: str
    kind: str
    """``objectives``, ``workflow``, ``tool``, ``report``."""
    request: dict[str, Any]
    """What is asked: shown to the person."""
    status: Literal["pending", "answered"] = "pending"
    answer: dict[str, Any] | None = None
    answered_by: str = ""
    asked: str = ""
    answered: str | None = None


class Approvals(Rows):
    """Keeps the questions of all runs."""

    def request_approval(
        self, run_id: str, approval_id: str, kind: str, request: Mapping[str, Any]
    ) -> Approval:
        """Ask; asked again under the same id (after a crash), the stored question and answer are returned."""
        asked = Approval(run_id=run_id, id=approval_id, kind=kind, request=dict(request), asked=now())
        with self.database.write() as connection:
            self.database.add(connection, _APPROVALS, [row_of(run_id, asked, status=asked.status)])
            return self._approval(connection, run_id, approval_id)

    def answer_approval(
        self, run_id: str, approval_id: str, answer: Mapping[str, Any], by: str = ""
    ) -> Approval:
        """Answer a question once; `StoreError` when it was answered differently before."""
        with self.database.write() as connection:
            approval = self._approval(connection, run_id, approval_id, lock=True)
            if approval.status == "answered":
                if approval.answer == dict(answer):
                    return approval
                raise StoreError(
                    "it was answered before",
                    where=f"approval {approval_id!r} of run {run_id}",
                    mend="answer the next one",
                )
            given = approval.model_copy(
                update={"status": "answered", "answer": dict(answer), "answered_by": by, "answered": now()}
            )
            self.database.put(connection, _APPROVALS, [row_of(run_id, given, status=given.status)])
        return given

    def approvals(self, run_id: str, pending_only: bool = False) -> list[Approval]:
        """List the questions of a run, in the order of their ids."""
        query = select(_APPROVALS.c.document).where(_APPROVALS.c.run_id == run_id)
        if pending_only:
            query = query.where(_APPROVALS.c.status == "pending")
        with self.database.read() as connection:
            found = [Approval.model_validate_json(row.document) for row in connection.execute(query)]
        return sorted(found, key=lambda one: natural_order(one.id))

    def _approval(
        self, connection: Connection, run_id: str, approval_id: str, lock: bool = False
    ) -> Approval:
        query = select(_APPROVALS.c.document).where(
            _APPROVALS.c.run_id == run_id, _APPROVALS.c.id == approval_id
        )
        document = connection.execute(
            query.with_for_update(key_share=True) if lock else query
        ).scalar_one_or_none()
        if document is None:
            raise StoreError(
                f"there is no approval {approval_id!r}",
                where=f"run {run_id}",
                mend="`nereus show` lists them",
            )
        return Approval.model_validate_json(document)
