"""The durable queue: work that outlives the process which was asked for it.

A worker leases a job for some seconds and renews the lease while it works; when the lease of a killed worker has run
out, another takes the job. Work is a run or tool calls, whose finished steps are never computed again, so a job may be
taken up several times; after `ATTEMPTS` it fails and says so. The next job is that of the owner who has the fewest at
work, and of that owner the oldest: one who queues a hundred does not keep others waiting.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import Field
from sqlalchemy import ColumnElement, Table, func, select, update

from nereus.errors import NotFound
from nereus.memory.database.engine import Database, now
from nereus.memory.database.server_tables import JobRow
from nereus.memory.records import Record

JobStatus = Literal["queued", "running", "finished", "failed", "cancelled"]
ENDED: tuple[JobStatus, ...] = ("finished", "failed", "cancelled")
ATTEMPTS = 3
LEASE_S = 20.0
DIED = {
    "what": "the process that worked on it died, every time it was tried",
    "where": None,
    "mend": "memory may have run out: try a smaller table, or a machine with more",
}
"""Error of a job that several processes died of."""

_JOBS = cast(Table, JobRow.__table__)


class Job(Record):
    """A piece of work, and what became of it."""

    id: str
    owner: str
    kind: str
    """``discover``, ``resume``, ``tool`` ...: what a worker does with it."""
    run_id: str | None = None
    status: JobStatus = "queued"
    attempts: int = 0
    """How often a worker took it."""
    cancel: bool = False
    """Whether somebody asked to end it."""
    worker: str | None = None
    created_at: str = ""
    ended_at: str | None = None
    request: dict[str, Any] = Field(default_factory=dict)
    result: dict[str, Any] = Field(default_factory=dict)
    """What came out; of a failed one ``error`` with ``what``, ``where`` and ``mend``."""


class Jobs:
    """Queues, leases and ends jobs.

    Parameters
    ----------
    database
        The open database; several processes may share it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------------ those who ask

    def add(
        self, owner: str, kind: str, request: Mapping[str, Any] | None = None, run_id: str | None = None
    ) -> Job:
        """Queue a job."""
        job = Job(
            id=f"j{secrets.token_hex(8)}",
            owner=owner,
            kind=kind,
            run_id=run_id,
            created_at=now(),
            request=dict(request or {}),
        )
        row = job.model_dump(exclude={"request", "result"}) | {
            "lease_until": None,
            "request": json.dumps(job.request, allow_nan=False),
            "result": "{}",
        }
        with self._database.write() as connection:
            connection.execute(_JOBS.insert().values(row))
        return job

    def add_to_run(self, owner: str, run_id: str) -> Job | None:
        """Queue work on a run; None where some waits or is at work already.

        Whoever ends the other job at this moment is waited for (see `goes_on`): of two answers to questions of a run, and
        the end of the process that asked them, the last one queues what comes next.
        """
        at_work = select(_JOBS.c.id).where(_JOBS.c.run_id == run_id, _JOBS.c.status.not_in(ENDED))
        with self._database.write() as connection:
            if connection.execute(at_work.with_for_update()).first() is not None:
                return None
            return self.add(owner, "run", run_id=run_id)

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """Look a job up; `NotFound` where there is none, or it is not the owner's."""
        query = select(_JOBS).where(_JOBS.c.id == job_id)
        if owner is not None:
            query = query.where(_JOBS.c.owner == owner)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"there is no job {job_id!r}", mend="a job is named in the answer that queued it")
        return _job(row._mapping)

    def of_run(self, run_id: str, unended: bool = False) -> list[Job]:
        """Jobs of a run, oldest first; with `unended` those that wait or are at work."""
        query = select(_JOBS).where(_JOBS.c.run_id == run_id).order_by(_JOBS.c.created_at, _JOBS.c.id)
        if unended:
            query = query.where(_JOBS.c.status.not_in(ENDED))
        with self._database.read() as connection:
            return [_job(row._mapping) for row in connection.execute(query)]

    def unended_runs(self, owner: str) -> dict[str, JobStatus]:
        """Runs of an owner that wait for a worker or are worked on, and which of the two."""
        query = select(_JOBS.c.run_id, _JOBS.c.status).where(
            _JOBS.c.owner == owner, _JOBS.c.run_id.is_not(None), _JOBS.c.status.not_in(ENDED)
        )
        with self._database.read() as connection:
            return {row.run_id: row.status for row in connection.execute(query)}

    def ask_to_cancel(self, job_id: str) -> Job:
        """End a job: at once where it waits, by its worker where it is at work. An ended one stays as it is."""
        with self._database.write() as connection:
            waiting = update(_JOBS).where(_JOBS.c.id == job_id, _JOBS.c.status == "queued")
            connection.execute(waiting.values(cancel=True, status="cancelled", ended_at=now()))
            working = update(_JOBS).where(_JOBS.c.id == job_id, _JOBS.c.status == "running")
            connection.execute(working.values(cancel=True))
        return self.get(job_id)

    def of_owner(self, owner: str, kind: str | None = None, limit: int = 100) -> list[Job]:
        """Jobs of an owner, newest first; with `kind` those of one kind."""
        query = select(_JOBS).where(_JOBS.c.owner == owner)
        if kind is not None:
            query = query.where(_JOBS.c.kind == kind)
        query = query.order_by(_JOBS.c.created_at.desc(), _JOBS.c.id).limit(limit)
        with self._database.read() as connection:
            return [_job(row._mapping) for row in connection.execute(query)]

    def waiting(self) -> int:
        """How many jobs wait."""
        with self._database.read() as connection:
            query = select(func.count()).select_from(_JOBS).where(_JOBS.c.status == "queued")
            return int(connection.execute(query).scalar_one())

    # ------------------------------------------------------------------ workers

    def lease(self, worker: str, kinds: Sequence[str] | None = None) -> Job | None:
        """Take the next job, or None where nothing waits. A job of a worker that died counts as waiting."""
        takeable = self._takeable(kinds)
        with self._database.read() as connection:  # asked often: nobody else's writing waits for a look
            if connection.execute(select(_JOBS.c.id).where(takeable).limit(1)).first() is None:
                return None
        with self._database.write() as connection:
            moment = time.time()
            at_work = (
                select(_JOBS.c.owner, func.count().label("n"))
                .where(_JOBS.c.status == "running", _JOBS.c.lease_until >= moment)
                .group_by(_JOBS.c.owner)
                .subquery()
            )
            query = (
                select(_JOBS)
                .join(at_work, at_work.c.owner == _JOBS.c.owner, isouter=True)
                .where(takeable)
                .order_by(func.coalesce(at_work.c.n, 0), _JOBS.c.created_at, _JOBS.c.id)
                .limit(1)
                .with_for_update(of=_JOBS, skip_locked=True)
            )
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            job = _job(row._mapping)
            changes = {
                "status": "running",
                "worker": worker,
                "attempts": job.attempts + 1,
                "lease_until": moment + LEASE_S,
            }
            connection.execute(update(_JOBS).where(_JOBS.c.id == job.id).values(changes))
        return job.model_copy(update={"status": "running", "worker": worker, "attempts": job.attempts + 1})

    def renew(self, worker: str, job_ids: Sequence[str]) -> dict[str, bool]:
        """Go on with jobs: those that are still this worker's, and whether each is to be ended.

        A job that is missing from the answer was taken by another worker: what was begun must be dropped.
        """
        if not job_ids:
            return {}
        mine = (_JOBS.c.id.in_(job_ids), _JOBS.c.worker == worker, _JOBS.c.status == "running")
        with self._database.write() as connection:
            connection.execute(update(_JOBS).where(*mine).values(lease_until=time.time() + LEASE_S))
            rows = connection.execute(select(_JOBS.c.id, _JOBS.c.cancel).where(*mine)).all()
        return {row.id: row.cancel for row in rows}

    def to_cancel(self, worker: str) -> list[str]:
        """Jobs of this worker that somebody asked to end. Writes nothing: cheap enough to ask often."""
        query = select(_JOBS.c.id).where(
            _JOBS.c.worker == worker, _JOBS.c.status == "running", _JOBS.c.cancel.is_(True)
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def end(self, job: Job, status: JobStatus, result: Mapping[str, Any] | None = None) -> bool:
        """Say how a job ended; False where it is no longer this worker's, and nothing is changed."""
        query = update(_JOBS).where(
            _JOBS.c.id == job.id, _JOBS.c.worker == job.worker, _JOBS.c.status == "running"
        )
        changes = {
            "status": status,
            "ended_at": now(),
            "lease_until": None,
            "result": json.dumps(dict(result or {}), allow_nan=False),
        }
        with self._database.write() as connection:
            return connection.execute(query.values(changes)).rowcount == 1

    def put_back(self, job: Job) -> None:
        """Let a job whose process died be tried again."""
        self._back(job, job.attempts)

    def give_back(self, job: Job) -> None:
        """Put a job back where it waits, as a worker that is told to stop does; the attempt does not count."""
        self._back(job, job.attempts - 1)

    def _back(self, job: Job, attempts: int) -> None:
        query = update(_JOBS).where(
            _JOBS.c.id == job.id, _JOBS.c.worker == job.worker, _JOBS.c.status == "running"
        )
        with self._database.write() as connection:
            connection.execute(
                query.values(status="queued", worker=None, lease_until=None, attempts=attempts)
            )

    def give_up(self) -> list[Job]:
        """Fail what several workers died of, and end what nobody wants any more; those that were ended.

        A run that such a job worked on is not told of it here.
        """
        moment = time.time()
        dead = (_JOBS.c.status == "running", _JOBS.c.lease_until < moment)
        over = _JOBS.c.cancel.is_(True) | (_JOBS.c.attempts >= ATTEMPTS)
        ended = []
        with self._database.write() as connection:
            found = connection.execute(
                select(_JOBS).where(*dead, over).with_for_update(skip_locked=True)
            ).all()
            for row in found:
                status: JobStatus = "cancelled" if row.cancel else "failed"
                result = {} if row.cancel else {"error": DIED}
                changes = {"status": status, "ended_at": now(), "lease_until": None}
                connection.execute(
                    update(_JOBS).where(_JOBS.c.id == row.id).values(**changes, result=json.dumps(result))
                )
                ended.append(_job(row._mapping).model_copy(update={"status": status, "result": result}))
        return ended

    @staticmethod
    def _takeable(kinds: Sequence[str] | None) -> ColumnElement[bool]:
        """What waits, and what a worker that died has left; not what is to be given up."""
        left = (
            (_JOBS.c.status == "running")
            & (_JOBS.c.lease_until < time.time())
            & (_JOBS.c.attempts < ATTEMPTS)
            & _JOBS.c.cancel.is_(False)
        )
        takeable = (_JOBS.c.status == "queued") | left
        return takeable if kinds is None else takeable & _JOBS.c.kind.in_(kinds)


def _job(row: Any) -> Job:
    kept = {name: value for name, value in dict(row).items() if name != "lease_until"}
    return Job.model_validate(
        kept | {"request": json.loads(kept["request"]), "result": json.loads(kept["result"])}
    )
