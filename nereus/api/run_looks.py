"""A look at a run for those who follow it: how it is, and what is new, as texts that are sent as they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from sqlalchemy import BindParameter, Table, bindparam, select

from nereus.api.views import shown_status
from nereus.memory.database.engine import Database
from nereus.memory.database.models import EventRow, RunRow
from nereus.memory.database.server_tables import JobRow
from nereus.memory.jobs import ENDED

PAGE = 1000
"""Most events of one look."""
_RUNS = cast(Table, RunRow.__table__)
_JOBS = cast(Table, JobRow.__table__)
_EVENTS = cast(Table, EventRow.__table__)
_RUN: BindParameter[str] = bindparam("run")
_OWNER: BindParameter[str] = bindparam("whose")
_SEQ: BindParameter[int] = bindparam("after")
# Built once: a statement costs more to build than to run. Job and status are of one moment: a job ends after its run.
_WORK = (
    select(_JOBS.c.status)
    .where(_JOBS.c.run_id == _RUNS.c.id, _JOBS.c.status.not_in(ENDED))
    .order_by(_JOBS.c.created_at.desc())
    .limit(1)
    .scalar_subquery()
)
_STATUS = select(_RUNS.c.status, _WORK.label("work")).where(_RUNS.c.id == _RUN, _RUNS.c.owner == _OWNER)
_NEW = (
    select(_EVENTS.c.seq, _EVENTS.c.type, _EVENTS.c.subject, _EVENTS.c.payload, _EVENTS.c.created_at)
    .where(_EVENTS.c.run_id == _RUN, _EVENTS.c.seq > _SEQ)
    .order_by(_EVENTS.c.seq)
    .limit(PAGE)
)


@dataclass(frozen=True)
class Told:
    """An event as it is told."""

    seq: int
    type: str
    data: str
    """The event as JSON on one line."""


@dataclass(frozen=True)
class Look:
    """What one look at a run found: its status as it is shown, and what is new."""

    status: str
    events: list[Told]


def look(database: Database, owner: str, run_id: str, after: int) -> Look | None:
    """Look at a run of an owner; None where there is none, or it was deleted meanwhile.

    The status is read first: what is written between is found, and an end is told by a look that finds nothing new.
    """
    with database.read() as connection:
        run = connection.execute(_STATUS, {"run": run_id, "whose": owner}).one_or_none()
        if run is None:
            return None
        rows = connection.execute(_NEW, {"run": run_id, "after": after}).all()
    named = json.dumps(run_id)
    return Look(
        shown_status(run.status, run.work),
        [
            Told(
                row.seq,
                row.type,
                f'{{"run_id":{named},"seq":{row.seq},"type":{json.dumps(row.type)},'
                f'"subject":{json.dumps(row.subject)},"payload":{row.payload},"ts":"{row.created_at}"}}',
            )
            for row in rows
        ],
    )
