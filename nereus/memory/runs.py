"""The record of runs: what was asked, planned, computed, decided and found.

Every `save` is an idempotent upsert under ids that the caller gives: a graph node that is executed again
after a crash writes the same rows once more, and nothing is doubled or lost.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

from sqlalchemy import Connection, Table, delete, func, select, update

from nereus.errors import ResumeRefused, StoreError
from nereus.memory.database.engine import Database, now
from nereus.memory.database.models import (
    ApprovalRow,
    AtomRow,
    DatasetRow,
    DecisionRow,
    EvidenceRow,
    HypothesisEvidenceRow,
    HypothesisRow,
    ObjectiveRow,
    RunRow,
    StepRow,
    ToolCallRow,
    WorkflowRow,
)
from nereus.memory.records import (
    Decision,
    Evidence,
    Hypothesis,
    Objective,
    PlannedStep,
    Record,
    RunHeader,
    RunRecord,
    RunStatus,
    ToolCall,
    Workflow,
)

_RUNS = cast(Table, RunRow.__table__)
_DATASETS = cast(Table, DatasetRow.__table__)
_OBJECTIVES = cast(Table, ObjectiveRow.__table__)
_WORKFLOWS = cast(Table, WorkflowRow.__table__)
_STEPS = cast(Table, StepRow.__table__)
_CALLS = cast(Table, ToolCallRow.__table__)
_EVIDENCE = cast(Table, EvidenceRow.__table__)
_HYPOTHESES = cast(Table, HypothesisRow.__table__)
_HYPOTHESIS_EVIDENCE = cast(Table, HypothesisEvidenceRow.__table__)
_ATOMS = cast(Table, AtomRow.__table__)
_DECISIONS = cast(Table, DecisionRow.__table__)
_APPROVALS = cast(Table, ApprovalRow.__table__)

RESUMABLE: tuple[RunStatus, ...] = ("running", "waiting", "stopped")
"""A run with one of these may be taken up again (a killed process leaves ``running``)."""

_IN_ONE_QUERY = 500  # bound values of one IN list, far below every database's limit

R = TypeVar("R", bound=Record)


# ----------------------------------------------------------------------------------------------- fingerprint


def fingerprint_parts(
    graph_version: str, settings: Mapping[str, Any], data: Mapping[str, str]
) -> dict[str, str]:
    """Everything a run's result depends on, one readable line a part.

    Parameters
    ----------
    graph_version
        Version of the research graph.
    settings
        Settings that may change what is found, by name (seed, policy, question, options ...).
    data
        Input name -> hash of its content.
    """
    parts = {"graph version": graph_version}
    parts |= {
        f"setting {name}": json.dumps(value, sort_keys=True) for name, value in sorted(settings.items())
    }
    return parts | {f"input {name}": identity for name, identity in sorted(data.items())}


def fingerprint(parts: Mapping[str, str]) -> str:
    """SHA-256 of the parts, hexadecimal."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_resume(header: RunHeader, parts: Mapping[str, str]) -> None:
    """Refuse to go on with another graph, other settings or other data than a run was started with.

    Parameters
    ----------
    header
        The run as it was started.
    parts
        `fingerprint_parts` of what it would be resumed with.

    Raises
    ------
    ResumeRefused
        Names every part that differs, with both values.
    """
    before = header.fingerprint_parts
    changed = [name for name in sorted({*before, *parts}) if before.get(name) != parts.get(name)]
    if not changed and header.fingerprint == fingerprint(parts):
        return
    told = "; ".join(
        f"{name} was {_short(before.get(name))}, now {_short(parts.get(name))}" for name in changed
    )
    raise ResumeRefused(
        told or "its fingerprint does not belong to its own parts: the record was changed",
        where=f"run {header.id}",
        mend="resume with what it was started with, or start a new run with `nereus discover`",
    )


def _short(value: str | None) -> str:
    return "not set" if value is None else value if len(value) <= 40 else f"{value[:12]}..."


# ------------------------------------------------------------------------------------------------- approvals


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


# -------------------------------------------------------------------------------------------------- the runs


class RunRepository:
    """Keeps and finds runs.

    Parameters
    ----------
    database
        The open database. Several saves become one transaction inside ``with database.write():``.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    # ------------------------------------------------------------------ the run itself

    def create_run(self, header: RunHeader) -> RunHeader:
        """Store a new run and return it with its id.

        An empty ``header.id`` becomes ``r`` + first 10 digits of the fingerprint + ``-`` + a counter, so
        the id does not depend on the time. A given id that exists already is left as it is.
        """
        header = header if header.started else header.model_copy(update={"started": now()})
        stem = f"r{header.fingerprint[:10]}"
        with self.database.write() as connection:
            number = 1
            while True:
                made = header if header.id else header.model_copy(update={"id": f"{stem}-{number}"})
                if self.database.add(connection, _RUNS, [_run_row(made)]):
                    break
                if header.id:
                    return self._header(connection, header.id)
                number += 1
            rows = [
                {
                    "id": ref.id,
                    "run_id": made.id,
                    "created_at": now(),
                    "role": role,
                    "name": ref.name,
                    "size": ref.size,
                    "document": ref.model_dump_json(),
                }
                for role, ref in made.inputs.items()
            ]
            self.database.add(connection, _DATASETS, list({row["id"]: row for row in rows}.values()))
        return made

    def header(self, run_id: str) -> RunHeader:
        """Look up the run's header; `StoreError` when there is no such run."""
        with self.database.read() as connection:
            return self._header(connection, run_id)

    def update_header(self, run_id: str, **changes: Any) -> RunHeader:
        """Change fields of the header: ``used``, ``finished``, ``wall_s``, ``out_dir`` ..."""
        with self.database.write() as connection:
            header = self._header(connection, run_id, lock=True)
            header = RunHeader.model_validate({**header.model_dump(), **changes})
            row = _run_row(header)
            for kept in ("id", "created_at", "last_seq", "notices", "outputs"):
                del row[kept]
            connection.execute(update(_RUNS).where(_RUNS.c.id == run_id).values(row))
        return header

    def set_status(
        self, run_id: str, status: RunStatus, stop_reason: str | None = None, **changes: Any
    ) -> RunHeader:
        """Change the status; an ended run gets its time of ending."""
        if stop_reason is not None:
            changes["stop_reason"] = stop_reason
        if status in ("finished", "stopped", "refused", "failed"):
            changes.setdefault("finished", now())
        return self.update_header(run_id, status=status, **changes)

    def add_notice(self, run_id: str, text: str) -> None:
        """Tell the reader something once; equal notices are kept once, in the order of their first saying."""
        with self.database.write() as connection:
            notices = self._json(connection, run_id, "notices")
            if text not in notices:
                self._set(connection, run_id, notices=json.dumps([*notices, text]))

    def save_notices(self, run_id: str, notices: Sequence[str]) -> None:
        """Replace all notices, in this order."""
        with self.database.write() as connection:
            self._json(connection, run_id, "notices")
            self._set(connection, run_id, notices=json.dumps(list(dict.fromkeys(notices))))

    def save_outputs(self, run_id: str, outputs: Mapping[str, str]) -> None:
        """Name well-known results: name -> ``<step id>/<output name>``. Names given before stay."""
        with self.database.write() as connection:
            known = self._json(connection, run_id, "outputs")
            self._set(connection, run_id, outputs=json.dumps({**known, **outputs}, sort_keys=True))

    # ------------------------------------------------------------------ objective > workflow > step

    def save_objectives(self, run_id: str, objectives: Iterable[Objective]) -> None:
        """Add objectives or replace them by their newer state."""
        rows = [_row(run_id, one, kind=one.kind.value, status=one.status) for one in objectives]
        with self.database.write() as connection:
            self.database.put(connection, _OBJECTIVES, rows)

    def save_workflow(self, run_id: str, workflow: Workflow) -> None:
        """Add or replace one version of a workflow with all its steps. Earlier versions stay."""
        stamp = now()
        row = {
            "run_id": run_id,
            "id": workflow.id,
            "version": workflow.version,
            "created_at": stamp,
            "objective_id": workflow.objective_id,
            "template": workflow.template,
            "document": workflow.model_copy(update={"steps": ()}).model_dump_json(),
        }
        steps = [
            _step_row(run_id, workflow, step, position, stamp) for position, step in enumerate(workflow.steps)
        ]
        kept = [step.id for step in workflow.steps]
        here = (
            _STEPS.c.run_id == run_id,
            _STEPS.c.workflow_id == workflow.id,
            _STEPS.c.version == workflow.version,
        )
        with self.database.write() as connection:
            self.database.put(connection, _WORKFLOWS, [row])
            self.database.put(connection, _STEPS, steps)
            connection.execute(delete(_STEPS).where(*here, _STEPS.c.id.not_in(kept)))

    def save_step(self, run_id: str, workflow: Workflow, step: PlannedStep) -> None:
        """Replace one step of a saved workflow version: the cheap way to note that it was done."""
        position = next((number for number, one in enumerate(workflow.steps) if one.id == step.id), None)
        if position is None:
            raise StoreError(
                f"workflow {workflow.id} has no step {step.id!r}",
                where=f"run {run_id}",
                mend="save the workflow first",
            )
        with self.database.write() as connection:
            self.database.put(connection, _STEPS, [_step_row(run_id, workflow, step, position, now())])

    def workflow_versions(self, run_id: str, workflow_id: str) -> list[Workflow]:
        """Every version of a workflow, oldest first."""
        with self.database.read() as connection:
            return self._workflows(connection, run_id, workflow_id)

    # ------------------------------------------------------------------ evidence, hypotheses, decisions

    def save_evidence(self, run_id: str, evidence: Iterable[Evidence]) -> None:
        """Add evidence; `StoreError` when a call that it points at was not recorded."""
        rows = [
            _row(
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
        with self.database.write() as connection:
            self.database.put(connection, _EVIDENCE, rows)

    def save_hypotheses(self, run_id: str, hypotheses: Iterable[Hypothesis]) -> None:
        """Add or replace hypotheses with their atoms; `StoreError` when they name unknown evidence."""
        stamp = now()
        rows, links, atoms = [], [], []
        for one in hypotheses:
            rows.append(
                _row(
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
                _row(run_id, atom, hypothesis_id=one.id, kind=atom.kind, verdict=atom.verdict)
                for atom in one.atoms
            ]
        ids = [row["id"] for row in rows]
        with self.database.write() as connection:
            self.database.put(connection, _HYPOTHESES, rows)
            for table in (_HYPOTHESIS_EVIDENCE, _ATOMS):  # what a newer version no longer names must go
                for part in _parts(ids):
                    connection.execute(
                        delete(table).where(table.c.run_id == run_id, table.c.hypothesis_id.in_(part))
                    )
            self.database.put(connection, _ATOMS, atoms)
            self.database.add(connection, _HYPOTHESIS_EVIDENCE, links)

    def save_decisions(self, run_id: str, decisions: Iterable[Decision]) -> None:
        """Add or replace decisions."""
        rows = [
            _row(
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
        with self.database.write() as connection:
            self.database.put(connection, _DECISIONS, rows)

    def decision(self, run_id: str, decision_id: str) -> Decision | None:
        """Look up a recorded decision; None when it was not made yet."""
        query = select(_DECISIONS.c.document).where(
            _DECISIONS.c.run_id == run_id, _DECISIONS.c.id == decision_id
        )
        with self.database.read() as connection:
            document = connection.execute(query).scalar_one_or_none()
        return None if document is None else Decision.model_validate_json(document)

    def evidence(self, run_id: str) -> list[Evidence]:
        """List all evidence of a run, in the order of its ids."""
        with self.database.read() as connection:
            return self._all(connection, _EVIDENCE, run_id, Evidence)

    def hypotheses(self, run_id: str) -> list[Hypothesis]:
        """List all hypotheses of a run, in the order of their ids."""
        with self.database.read() as connection:
            return self._all(connection, _HYPOTHESES, run_id, Hypothesis)

    # ------------------------------------------------------------------ approvals

    def request_approval(
        self, run_id: str, approval_id: str, kind: str, request: Mapping[str, Any]
    ) -> Approval:
        """Ask; asked again under the same id (after a crash), the stored question and answer are returned."""
        asked = Approval(run_id=run_id, id=approval_id, kind=kind, request=dict(request), asked=now())
        with self.database.write() as connection:
            self.database.add(connection, _APPROVALS, [_row(run_id, asked, status=asked.status)])
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
            self.database.put(connection, _APPROVALS, [_row(run_id, given, status=given.status)])
        return given

    def approvals(self, run_id: str, pending_only: bool = False) -> list[Approval]:
        """List the questions of a run, in the order of their ids."""
        query = select(_APPROVALS.c.document).where(_APPROVALS.c.run_id == run_id)
        if pending_only:
            query = query.where(_APPROVALS.c.status == "pending")
        with self.database.read() as connection:
            found = [Approval.model_validate_json(row.document) for row in connection.execute(query)]
        return sorted(found, key=lambda one: natural_order(one.id))

    # ------------------------------------------------------------------ finding

    def list_runs(self, limit: int | None = None, data_id: str | None = None) -> list[RunHeader]:
        """Headers of the runs, newest first; only those on one data file where `data_id` is given."""
        query = select(_RUNS.c.document).order_by(_RUNS.c.created_at.desc(), _RUNS.c.id.desc()).limit(limit)
        if data_id is not None:
            query = query.where(_RUNS.c.data_id == data_id)
        with self.database.read() as connection:
            return [RunHeader.model_validate_json(row.document) for row in connection.execute(query)]

    def last_run(self, resumable: bool = False) -> RunHeader | None:
        """Find the newest run; with `resumable` the newest that may be taken up again."""
        query = select(_RUNS.c.document).order_by(_RUNS.c.created_at.desc(), _RUNS.c.id.desc()).limit(1)
        if resumable:
            query = query.where(_RUNS.c.status.in_(RESUMABLE))
        with self.database.read() as connection:
            document = connection.execute(query).scalar_one_or_none()
        return None if document is None else RunHeader.model_validate_json(document)

    def times_done(self, data_id: str, kind: str | None = None) -> int:
        """Count the objectives (of a kind) done on a data file by all runs: the planner's novelty term."""
        query = (
            select(func.count())
            .select_from(_OBJECTIVES.join(_RUNS, _RUNS.c.id == _OBJECTIVES.c.run_id))
            .where(_RUNS.c.data_id == data_id, _OBJECTIVES.c.status == "done")
        )
        if kind is not None:
            query = query.where(_OBJECTIVES.c.kind == kind)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def load(self, run_id: str) -> RunRecord:
        """Read all about one run: newest workflow versions, and every call that steps or evidence name."""
        with self.database.read() as connection:
            header = self._header(connection, run_id)
            workflows = self._workflows(connection, run_id)
            evidence = self._all(connection, _EVIDENCE, run_id, Evidence)
            hypotheses = self._all(connection, _HYPOTHESES, run_id, Hypothesis)
            keys = (
                select(_STEPS.c.call_key)
                .where(_STEPS.c.run_id == run_id, _STEPS.c.call_key.is_not(None))
                .distinct()
            )
            wanted = {*connection.execute(keys).scalars(), *(one.call_key for one in evidence)}
            return RunRecord(
                header=header,
                objectives=tuple(self._all(connection, _OBJECTIVES, run_id, Objective)),
                workflows=tuple({one.id: one for one in workflows}.values()),
                calls=self._calls(connection, wanted),
                evidence={one.id: one for one in evidence},
                hypotheses=tuple(sorted(hypotheses, key=lambda one: (one.rank, natural_order(one.id)))),
                decisions=tuple(self._all(connection, _DECISIONS, run_id, Decision)),
                notices=tuple(self._json(connection, run_id, "notices")),
                outputs=self._json(connection, run_id, "outputs"),
            )

    def delete_run(self, run_id: str) -> None:
        """Forget a run and its rows. Tool calls and artifacts stay: other runs may share them."""
        with self.database.write() as connection:
            self._header(connection, run_id, lock=True)
            connection.execute(delete(_RUNS).where(_RUNS.c.id == run_id))

    # ------------------------------------------------------------------ rows

    def _header(self, connection: Connection, run_id: str, lock: bool = False) -> RunHeader:
        query = select(_RUNS.c.document).where(_RUNS.c.id == run_id)
        document = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
        if document is None:
            near = difflib.get_close_matches(
                run_id, connection.execute(select(_RUNS.c.id)).scalars().all(), n=3
            )
            mend = f"did you mean {', '.join(near)}?" if near else "`nereus runs` lists them"
            raise StoreError(f"there is no run {run_id!r}", where=self.database.shown_url, mend=mend)
        return RunHeader.model_validate_json(document)

    def _json(self, connection: Connection, run_id: str, column: str) -> Any:
        query = select(_RUNS.c[column]).where(_RUNS.c.id == run_id).with_for_update()
        text = connection.execute(query).scalar_one_or_none()
        if text is None:
            self._header(connection, run_id)
        return json.loads(text or "null")

    def _set(self, connection: Connection, run_id: str, **values: str) -> None:
        connection.execute(update(_RUNS).where(_RUNS.c.id == run_id).values(values))

    def _all(self, connection: Connection, table: Table, run_id: str, kind: type[R]) -> list[R]:
        found = connection.execute(select(table.c.id, table.c.document).where(table.c.run_id == run_id)).all()
        return [
            kind.model_validate_json(row.document)
            for row in sorted(found, key=lambda row: natural_order(row.id))
        ]

    def _workflows(
        self, connection: Connection, run_id: str, workflow_id: str | None = None
    ) -> list[Workflow]:
        """All versions, in the order of their ids and then versions."""
        workflows = select(_WORKFLOWS).where(_WORKFLOWS.c.run_id == run_id)
        steps = select(_STEPS).where(_STEPS.c.run_id == run_id).order_by(_STEPS.c.position)
        if workflow_id is not None:
            workflows = workflows.where(_WORKFLOWS.c.id == workflow_id)
            steps = steps.where(_STEPS.c.workflow_id == workflow_id)
        inside: dict[tuple[str, int], list[PlannedStep]] = {}
        for row in connection.execute(steps):
            step = PlannedStep.model_validate_json(row.document)
            inside.setdefault((row.workflow_id, row.version), []).append(step)
        found = sorted(
            connection.execute(workflows).all(), key=lambda row: (natural_order(row.id), row.version)
        )
        return [
            Workflow.model_validate_json(row.document).model_copy(
                update={"steps": tuple(inside.get((row.id, row.version), []))}
            )
            for row in found
        ]

    def _calls(self, connection: Connection, keys: Iterable[str]) -> dict[str, ToolCall]:
        calls: dict[str, ToolCall] = {}
        for part in _parts(sorted(keys)):
            for row in connection.execute(select(_CALLS.c.document).where(_CALLS.c.cache_key.in_(part))):
                call = ToolCall.model_validate_json(row.document)
                calls[call.key] = call
        return dict(sorted(calls.items()))

    def _approval(
        self, connection: Connection, run_id: str, approval_id: str, lock: bool = False
    ) -> Approval:
        query = select(_APPROVALS.c.document).where(
            _APPROVALS.c.run_id == run_id, _APPROVALS.c.id == approval_id
        )
        document = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
        if document is None:
            raise StoreError(
                f"there is no approval {approval_id!r}",
                where=f"run {run_id}",
                mend="`nereus show` lists them",
            )
        return Approval.model_validate_json(document)


def natural_order(identity: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which E2 comes before E10."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", identity)
        if part
    )


def _parts(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[start : start + _IN_ONE_QUERY] for start in range(0, len(items), _IN_ONE_QUERY))


def _row(run_id: str, record: Any, **columns: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "id": record.id,
        "created_at": now(),
        **columns,
        "document": record.model_dump_json(),
    }


def _run_row(header: RunHeader) -> dict[str, Any]:
    return {
        "id": header.id,
        "created_at": now(),
        "status": header.status,
        "fingerprint": header.fingerprint,
        "data_id": header.inputs["data"].id if "data" in header.inputs else "",
        "policy": header.policy,
        "out_dir": header.out_dir,
        "last_seq": 0,
        "notices": "[]",
        "outputs": "{}",
        "document": header.model_dump_json(),
    }


def _step_row(
    run_id: str, workflow: Workflow, step: PlannedStep, position: int, stamp: str
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "workflow_id": workflow.id,
        "version": workflow.version,
        "id": step.id,
        "created_at": stamp,
        "position": position,
        "tool": step.tool,
        "status": step.status,
        "call_key": step.call_key,
        "document": step.model_dump_json(),
    }
