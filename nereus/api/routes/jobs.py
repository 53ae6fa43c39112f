"""Work that takes long: every answer that queues some names a job, which can be waited for and cancelled."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.concurrency import run_in_threadpool

from nereus.api.access import Caller, Reader, State, Writer
from nereus.api.artifact_files import content
from nereus.api.problems import documented
from nereus.api.state import ServerState
from nereus.api.views import JobView
from nereus.errors import NotFound
from nereus.memory.jobs import ENDED, Job
from nereus.memory.records import ArtifactRef

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

JobId = Annotated[str, Path(pattern="^j[0-9a-f]{16}$")]
Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the end before answering.")]
_FAULTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_LOOK_S = 0.03


async def waited(state: ServerState, caller: Caller, job: Job, wait: float) -> JobView:
    """A job as it is, or as it ended within some seconds. Holds no thread while it waits."""
    ends = time.monotonic() + wait
    while job.status not in ENDED and time.monotonic() < ends:
        await asyncio.sleep(_LOOK_S)
        job = await run_in_threadpool(state.jobs.get, job.id, caller.owner)
    return JobView.of(job)


@router.get("", responses=documented(*_FAULTS[:2], HTTPStatus.UNPROCESSABLE_ENTITY))
def list_jobs(
    state: State,
    caller: Reader,
    kind: Annotated[
        str | None, Query(pattern="^[a-z_]{1,32}$", description="``profile``, ``tool`` or ``run``.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[JobView]:
    """Your jobs, newest first."""
    return [JobView.of(one) for one in state.jobs.of_owner(caller.owner, kind, limit)]


@router.get("/{job_id}", responses=documented(*_FAULTS))
async def get_job(job_id: JobId, state: State, caller: Reader, wait: Wait = 0) -> JobView:
    """How a job is, or what came out."""
    return await waited(state, caller, await run_in_threadpool(state.jobs.get, job_id, caller.owner), wait)


@router.post("/{job_id}/cancel", responses=documented(*_FAULTS))
def cancel_job(job_id: JobId, state: State, caller: Writer) -> JobView:
    """End a job, with every process that it started. An ended one stays as it is."""
    state.jobs.get(job_id, caller.owner)
    state.audit.add(caller.owner, "cancel job", job_id, "done", caller.address)
    return JobView.of(state.jobs.ask_to_cancel(job_id))


@router.get("/{job_id}/outputs/{name}", response_class=Response, responses=documented(*_FAULTS))
def get_output(
    job_id: JobId,
    name: str,
    state: State,
    caller: Reader,
    form: Annotated[str, Query(pattern="^(json|csv|file)$")] = "file",
) -> Response:
    """A table, figure or file that a job made: as it is kept, or a table as CSV or JSON rows."""
    made = state.jobs.get(job_id, caller.owner).result.get("outputs", {})
    if name not in made:
        raise NotFound(f"job {job_id!r} made no {name!r}", mend=f"it made {sorted(made)}")
    return content(state.workspace.artifacts, ArtifactRef.model_validate(made[name]), form)
