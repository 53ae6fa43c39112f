"""Work that is queued: a job as an answer, waited for with progress, taken back with the request that asked for it."""

from __future__ import annotations

import time
from typing import Any

import anyio
from anyio.to_thread import run_sync
from mcp import types
from pydantic import BaseModel, Field

from nereus.api.mcp.asked import Asked
from nereus.api.mcp.uris import job_output_uri
from nereus.api.mcp.verbs import Answer
from nereus.memory.jobs import ENDED, Job, JobStatus

MAX_WAIT_S = 50.0
"""Clients give a request up after a minute; what takes longer is asked for with `job_result`."""
_LOOK_S = 0.03
_LOOK_LATER_S = 0.25
_TELL_S = 1.0


class Output(BaseModel):
    """One thing that a call made."""

    name: str
    kind: str
    """``table``, ``dataset``, ``figure``, ``model`` or ``file``."""
    summary: str = ""
    uri: str
    """Where it is read; as an input of another tool it is named ``<job>/<name>``."""


class Work(Answer):
    """A job: how it is, and what came out."""

    job: str
    status: JobStatus
    summary: str = ""
    """What was found, in a sentence or two."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Named values."""
    warnings: list[str] = Field(default_factory=list)
    complete: bool | None = None
    """False where something could not be done."""
    outputs: list[Output] = Field(default_factory=list)
    run: str | None = None
    error: str | None = None
    next: str | None = None
    """What to ask next, where it has not ended."""

    def links(self) -> list[types.ResourceLink]:
        """What was made."""
        return [
            types.ResourceLink(type="resource_link", uri=one.uri, name=one.name, description=one.summary)
            for one in self.outputs
        ]


def work_of(job: Job) -> Work:
    """A job as an answer."""
    result = job.result
    error = result.get("error")
    return Work(
        job=job.id,
        status=job.status,
        summary=result.get("summary", ""),
        values=result.get("values", {}),
        warnings=result.get("warnings", []),
        complete=result.get("complete"),
        outputs=[
            Output(
                name=name,
                kind=ref["kind"],
                summary=ref.get("summary", ""),
                uri=job_output_uri(job.id, name),
            )
            for name, ref in result.get("outputs", {}).items()
        ],
        run=job.run_id,
        error=None if error is None else told(error["what"], error.get("where"), error.get("mend")),
        next=None if job.status in ENDED else f"call job_result with job {job.id}",
    )


def told(what: str, where: str | None, mend: str | None) -> str:
    """An error in one line."""
    return what + (f" ({where})" if where else "") + (f"; {mend}" if mend else "")


async def waited(asked: Asked, job: Job, wait_s: float, ends_with_request: bool = True) -> Work:
    """A job as it ended, or as it is after some seconds.

    Parameters
    ----------
    asked
        The request; it is told of progress.
    job
        What is waited for.
    wait_s
        At most so many seconds.
    ends_with_request
        Whether a client that takes the request back ends the job.
    """
    began = time.monotonic()
    told_at, number = began, 0.0
    try:
        while job.status not in ENDED and (spent := time.monotonic() - began) < wait_s:
            if time.monotonic() - told_at >= _TELL_S:
                told_at, number = time.monotonic(), number + 1
                await asked.progress(number, None, f"{job.kind} {job.status} for {spent:.0f} s")
            await anyio.sleep(_LOOK_S if spent < 1 else _LOOK_LATER_S)
            job = await run_sync(asked.state.jobs.get, job.id, asked.caller.owner)
    except anyio.get_cancelled_exc_class():
        if ends_with_request and asked.was_cancelled():
            with anyio.CancelScope(shield=True):
                await run_sync(asked.state.jobs.ask_to_cancel, job.id)
        raise
    work = work_of(job)
    if job.status in ENDED:
        await asked.progress(number + 1, number + 1, f"{job.kind} {job.status}")
    for warning in work.warnings:
        await asked.log("warning", str(job.request.get("tool", job.kind)), warning)
    return work
