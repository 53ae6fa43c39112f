"""The process that works on one job: made ready by a fork server that has imported what runs need, ended by a kill."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import uuid
from typing import TYPE_CHECKING, Any

from nereus.api.served_runs import goes_on, tell_run
from nereus.api.telemetry.logs import write_logs
from nereus.api.workers.tasks import error_document, perform
from nereus.errors import NereusError
from nereus.memory.jobs import Job, Jobs, JobStatus
from nereus.memory.workspace import Workspace, open_workspace
from nereus.settings import Settings

if TYPE_CHECKING:
    from nereus.api.telemetry.signals import Signals

log = logging.getLogger("nereus.worker")

PRELOADED = ("nereus.api.workers.child", "nereus.agents.planner.queued", "nereus.tools.registry")
"""What the fork server imports once, so that a job begins at once."""
BEHIND = 5
"""How far a job stands behind the server, in units of ``nice``: where processors are short, people are answered first."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def work(settings: Settings, job: Job) -> None:
    """Do a job in a process group of its own, which dies with the worker."""
    os.setsid()
    with contextlib.suppress(OSError, AttributeError):
        os.nice(BEHIND)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides what an interrupt means
    write_logs(settings)
    signals = None
    if settings.telemetry is not None:  # without one, nothing of it is imported
        from nereus.api.telemetry.signals import open_signals

        signals = open_signals(settings, "nereus-worker")
    try:
        do(settings, job, signals)
    finally:
        if signals is not None:
            signals.close()


def do(settings: Settings, job: Job, signals: Signals | None = None) -> None:
    """Do a job and record how it ended."""
    with open_workspace(settings) as workspace:
        measured = contextlib.nullcontext() if signals is None else signals.job(workspace, job)
        try:
            with measured:
                result = perform(workspace, job)
        except NereusError as error:
            _end(workspace, job, "failed", error_document(error))
        except MemoryError:  # as if the system had ended the process: another attempt may find more room
            raise
        except Exception:
            name = uuid.uuid4().hex
            log.exception("defect %s in job %s (%s)", name, job.id, job.kind)
            _end(workspace, job, "failed", error_document(_defect(job, name)))
        else:
            _end(workspace, job, "finished", result)


def _end(workspace: Workspace, job: Job, status: JobStatus, result: dict[str, Any]) -> None:
    """End a job, and what its run shows, as one."""
    with workspace.database.write():
        if Jobs(workspace.database).end(job, status, result):
            tell_run(workspace, job.model_copy(update={"status": status, "result": result}))
            goes_on(workspace, job)


def _defect(job: Job, name: str) -> NereusError:
    """An error that is ours: told once, not tried again, with the name under which the log has the details."""
    return NereusError(
        "a defect of the server",
        where=f"job {job.id}",
        mend=f"tell whoever runs the server; its log has the details under {name}",
    )
