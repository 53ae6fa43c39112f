"""The record of runs: what was asked, planned, computed, decided and found.

Every `save` is an idempotent upsert under ids that the caller gives: a graph node that is executed again
after a crash writes the same rows once more, and nothing is doubled or lost.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, delete, func, literal, select, tuple_, update

from nereus.errors import NotFound, StoreError
from nereus.memory.approvals import Approvals
from nereus.memory.database.engine import now
from nereus.memory.database.models import (
    LOCAL,
    DatasetRow,
    DecisionRow,
    EvidenceRow,
    HypothesisRow,
    ObjectiveRow,
    RunRow,
    StepRow,
    ToolCallRow,
)
from nereus.memory.findings import Findings
from nereus.memory.graph import Graphs
from nereus.memory.plans import Plans
from nereus.memory.progress import Mark
from nereus.memory.records import (
    RUN_ENDED,
    Decision,
    Evidence,
    Hypothesis,
    Objective,
    RunHeader,
    RunRecord,
    RunStatus,
    ToolCall,
)
from nereus.memory.rows import in_parts, natural_order

_RUNS = cast(Table, RunRow.__table__)
_DATASETS = cast(Table, DatasetRow.__table__)
_OBJECTIVES = cast(Table, ObjectiveRow.__table__)
_STEPS = cast(Table, StepRow.__table__)
_CALLS = cast(Table, ToolCallRow.__table__)
_EVIDENCE = cast(Table, EvidenceRow.__table__)
_HYPOTHESES = cast(Table, HypothesisRow.__table__)
_DECISIONS = cast(Table, DecisionRow.__table__)

RESUMABLE: tuple[RunStatus, ...] = ("running", "waiting", "stopped", "cancelled")
"""A run with one of these may be taken up again (a killed process leaves ``running``)."""


class RunRepository(Plans, Findings, Graphs, Approvals):
    """Keeps and finds runs, with all that is kept about them.

    Parameters
    ----------
    database
        The open database. Several saves become one transaction inside ``with database.write():``, and inside
        ``with database.unit():`` when it ends.
    """

    # ------------------------------------------------------------------ the run itself

    def create_run(self, header: RunHeader, owner: str = LOCAL) -> RunHeader:
        """Store a new run and return it with its id.

        An empty ``header.id`` becomes ``r`` + first 10 digits of the fingerprint + ``-`` + a counter, so
        the id does not depend on the time. A given id that exists already is left as it is. Owners count for themselves:
        nobody sees from a number that another has asked the same of the same data.
        """
        header = header if header.started else header.model_copy(update={"started": now()})
        stem = f"r{header.fingerprint[:10]}"
        if owner != LOCAL:
            stem = f"r{hashlib.sha256(f'{owner} {header.fingerprint}'.encode()).hexdigest()[:10]}"
        with self.database.write() as connection:
            number = 1
            while True:
                made = header if header.id else header.model_copy(update={"id": f"{stem}-{number}"})
                if self.database.add(connection, _RUNS, [{**_run_row(made), "owner": owner}]):
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

    def owned(self, run_id: str, owner: str) -> RunHeader:
        """Look up a run of one owner; `StoreError` when there is none, also where it is another's."""
        query = select(_RUNS.c.document).where(_RUNS.c.id == run_id, _RUNS.c.owner == owner)
        with self.database.read() as connection:
            document = connection.execute(query).scalar_one_or_none()
        if document is None:
            raise NotFound(f"there is no run {run_id!r}", mend="list the runs to see which there are")
        return RunHeader.model_validate_json(document)

    def status(self, run_id: str, owner: str) -> RunStatus | None:
        """Status of an owner's run; None where there is none, or it is another's."""
        query = select(_RUNS.c.status).where(_RUNS.c.id == run_id, _RUNS.c.owner == owner)
        with self.database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

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
        if status in RUN_ENDED:
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

    # ------------------------------------------------------------------ evidence, hypotheses, decisions

    # ------------------------------------------------------------------ approvals

    # ------------------------------------------------------------------ finding

    def list_runs(
        self,
        limit: int | None = None,
        data_id: str | None = None,
        owner: str | None = None,
        before: str | None = None,
    ) -> list[RunHeader]:
        """Headers of the runs, newest first.

        Parameters
        ----------
        limit
            At most so many.
        data_id
            Only those on this data file.
        owner
            Only those of this owner.
        before
            Only those older than this run.
        """
        query = select(_RUNS.c.document).order_by(_RUNS.c.created_at.desc(), _RUNS.c.id.desc()).limit(limit)
        if data_id is not None:
            query = query.where(_RUNS.c.data_id == data_id)
        if owner is not None:
            query = query.where(_RUNS.c.owner == owner)
        if before is not None:
            made = select(_RUNS.c.created_at).where(_RUNS.c.id == before)
            if owner is not None:  # another's run tells nothing, not even when it was made
                made = made.where(_RUNS.c.owner == owner)
            earlier = tuple_(_RUNS.c.created_at, _RUNS.c.id)
            query = query.where(earlier < tuple_(made.scalar_subquery(), literal(before)))
        with self.database.read() as connection:
            return [RunHeader.model_validate_json(row.document) for row in connection.execute(query)]

    def used(self, owner: str) -> tuple[int, float, dict[str, float]]:
        """How many runs an owner has, the seconds that they took, and what they used of their budgets."""
        count, wall_s, used = 0, 0.0, dict[str, float]()
        query = select(_RUNS.c.document).where(_RUNS.c.owner == owner)
        with self.database.read() as connection:
            for (document,) in connection.execute(query):
                header = json.loads(document)
                count, wall_s = count + 1, wall_s + header["wall_s"]
                for name, amount in header["used"].items():
                    used[name] = used.get(name, 0.0) + amount
        return count, wall_s, used

    def last_run(self, resumable: bool = False) -> RunHeader | None:
        """Find the newest run; with `resumable` the newest that may be taken up again."""
        query = select(_RUNS.c.document).order_by(_RUNS.c.created_at.desc(), _RUNS.c.id.desc()).limit(1)
        if resumable:
            query = query.where(_RUNS.c.status.in_(RESUMABLE))
        with self.database.read() as connection:
            document = connection.execute(query).scalar_one_or_none()
        return None if document is None else RunHeader.model_validate_json(document)

    def mark(self, run_id: str) -> Mark:
        """Tell how much of a run is recorded."""
        last = select(_RUNS.c.last_seq).where(_RUNS.c.id == run_id)
        decided = select(func.count()).select_from(_DECISIONS).where(_DECISIONS.c.run_id == run_id)
        with self.database.read() as connection:
            return Mark(
                run_id,
                connection.execute(last).scalar_one_or_none() or 0,
                int(connection.execute(decided).scalar_one()),
            )

    def load(self, run_id: str) -> RunRecord:
        """Read all about one run: newest workflow versions, and every call that steps or evidence name."""
        with self.database.read() as connection:
            header = self._header(connection, run_id)
            workflows = self.workflows_of(connection, run_id)
            evidence = self.all_of(connection, _EVIDENCE, run_id, Evidence)
            hypotheses = self.all_of(connection, _HYPOTHESES, run_id, Hypothesis)
            nodes, edges = self._graph(connection, run_id)
            keys = (
                select(_STEPS.c.call_key)
                .where(_STEPS.c.run_id == run_id, _STEPS.c.call_key.is_not(None))
                .distinct()
            )
            wanted = {*connection.execute(keys).scalars(), *(one.call_key for one in evidence)}
            return RunRecord(
                header=header,
                objectives=tuple(self.all_of(connection, _OBJECTIVES, run_id, Objective)),
                workflows=tuple({one.id: one for one in workflows}.values()),
                calls=self._calls(connection, wanted),
                evidence={one.id: one for one in evidence},
                hypotheses=tuple(sorted(hypotheses, key=lambda one: (one.rank, natural_order(one.id)))),
                decisions=tuple(self.all_of(connection, _DECISIONS, run_id, Decision)),
                notices=tuple(self._json(connection, run_id, "notices")),
                outputs=self._json(connection, run_id, "outputs"),
                nodes=tuple(nodes),
                edges=tuple(edges),
            )

    def delete_run(self, run_id: str) -> None:
        """Forget a run and its rows. Tool calls and artifacts stay: other runs may share them."""
        with self.database.write() as connection:
            self._header(connection, run_id, lock=True)
            connection.execute(delete(_RUNS).where(_RUNS.c.id == run_id))

    # ------------------------------------------------------------------ rows

    def _header(self, connection: Connection, run_id: str, lock: bool = False) -> RunHeader:
        query = select(_RUNS.c.document).where(_RUNS.c.id == run_id)
        document = connection.execute(
            query.with_for_update(key_share=True) if lock else query
        ).scalar_one_or_none()
        if document is None:
            near = difflib.get_close_matches(
                run_id, connection.execute(select(_RUNS.c.id)).scalars().all(), n=3
            )
            mend = f"did you mean {', '.join(near)}?" if near else "`nereus runs` lists them"
            raise StoreError(f"there is no run {run_id!r}", where=self.database.shown_url, mend=mend)
        return RunHeader.model_validate_json(document)

    def _json(self, connection: Connection, run_id: str, column: str) -> Any:
        query = select(_RUNS.c[column]).where(_RUNS.c.id == run_id).with_for_update(key_share=True)
        text = connection.execute(query).scalar_one_or_none()
        if text is None:
            self._header(connection, run_id)
        return json.loads(text or "null")

    def _set(self, connection: Connection, run_id: str, **values: str) -> None:
        connection.execute(update(_RUNS).where(_RUNS.c.id == run_id).values(values))

    def calls(self, keys: Iterable[str]) -> dict[str, ToolCall]:
        """Recorded tool calls by key."""
        with self.database.read() as connection:
            return self._calls(connection, keys)

    def _calls(self, connection: Connection, keys: Iterable[str]) -> dict[str, ToolCall]:
        calls: dict[str, ToolCall] = {}
        for part in in_parts(sorted(keys)):
            for row in connection.execute(select(_CALLS.c.document).where(_CALLS.c.cache_key.in_(part))):
                call = ToolCall.model_validate_json(row.document)
                calls[call.key] = call
        return dict(sorted(calls.items()))


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
