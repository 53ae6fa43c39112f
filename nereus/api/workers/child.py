"""The process that works on one job: made ready by a fork server that has imported what runs need, ended by a kill."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys

from nereus.api.workers.tasks import error_document, perform
from nereus.errors import NereusError
from nereus.memory.jobs import Job, Jobs
from nereus.memory.workspace import open_workspace
from nereus.settings import Settings

log = logging.getLogger("nereus.worker")

PRELOADED = ("nereus.api.workers.child", "nereus.agents.planner.queued", "nereus.tools.registry")
"""What the fork server imports once, so that a job begins at once."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def work(settings: Settings, job: Job) -> None:
    """Do a job and record how it ended. Runs in a process group of its own, which dies with the worker."""
    os.setsid()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides what an interrupt means
    with open_workspace(settings) as workspace:
        jobs = Jobs(workspace.database)
        try:
            result = perform(workspace, job)
        except NereusError as error:
            jobs.end(job, "failed", error_document(error))
        else:
            jobs.end(job, "finished", result)
