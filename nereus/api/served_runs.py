"""Records of runs that the server was asked for: where their reports are, and how one is ended from outside."""

from __future__ import annotations

import shutil
from pathlib import Path

from nereus.memory.jobs import Job, Jobs
from nereus.memory.records import UNFINISHED, RunHeader, RunStatus
from nereus.memory.workspace import Workspace

CANCELLED = "run_cancelled"
"""Event that tells that a run was ended by whoever asked for it."""
FAILED = "run_failed"
"""Event that tells that a run was ended by what was not its fault or by a defect, with the reason."""
_SERVED = "served"


def reports(workspace: Workspace) -> Path:
    """Folder of the home with the reports of runs that the server was asked for."""
    return workspace.settings.home / _SERVED


def cancelled(workspace: Workspace, run_id: str) -> None:
    """Record that a run was ended by whoever asked for it; what it has found so far stays, and it can be resumed."""
    _ended(workspace, run_id, "cancelled", "cancelled by its owner", CANCELLED)


def failed(workspace: Workspace, run_id: str, reason: str) -> None:
    """Record that a run cannot be gone on with, unless it has ended."""
    _ended(workspace, run_id, "failed", reason, FAILED)


def tell_run(workspace: Workspace, job: Job) -> None:
    """Tell the run of a job how the job was ended from outside, by the error or the lack of one in its result."""
    if job.run_id is None:
        return
    if job.status == "cancelled":
        cancelled(workspace, job.run_id)
    elif job.status == "failed":
        failed(workspace, job.run_id, str(job.result["error"]["what"]))


def goes_on(workspace: Workspace, job: Job) -> None:
    """Queue the next part of a run whose questions were answered before the job that asked them had ended."""
    if job.run_id is None or workspace.repository.header(job.run_id).status != "waiting":
        return
    if not workspace.repository.approvals(job.run_id, pending_only=True):
        Jobs(workspace.database).add_to_run(job.owner, job.run_id)


def forget_report(workspace: Workspace, header: RunHeader) -> None:
    """Remove the report of a run that was asked for here; one that lies elsewhere stays."""
    folder = Path(header.out_dir)
    if folder.parent == reports(workspace):
        shutil.rmtree(folder, ignore_errors=True)


def _ended(workspace: Workspace, run_id: str, status: RunStatus, reason: str, event: str) -> None:
    with workspace.database.write():
        if workspace.repository.header(run_id).status in UNFINISHED:
            workspace.repository.set_status(run_id, status, reason)
            payload = {} if status == "cancelled" else {"reason": reason}
            workspace.events.append(run_id, event, run_id, payload)
