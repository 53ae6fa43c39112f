"""Records of runs that the server was asked for: where their reports are, and how one is ended from outside."""

from __future__ import annotations

import shutil
from pathlib import Path

from nereus.memory.records import RunHeader
from nereus.memory.workspace import Workspace

CANCELLED = "run_cancelled"
"""Event that tells that a run was ended by whoever asked for it."""
_SERVED = "served"


def reports(workspace: Workspace) -> Path:
    """Folder of the home with the reports of runs that the server was asked for."""
    return workspace.settings.home / _SERVED


def cancelled(workspace: Workspace, run_id: str) -> None:
    """Record that a run was ended by whoever asked for it; what it has found so far stays, and it can be resumed."""
    with workspace.database.write():
        header = workspace.repository.header(run_id)
        if header.status in ("queued", "running", "waiting"):
            workspace.repository.set_status(run_id, "cancelled", "cancelled by its owner")
            workspace.events.append(run_id, CANCELLED, run_id)


def forget_report(workspace: Workspace, header: RunHeader) -> None:
    """Remove the report of a run that was asked for here; one that lies elsewhere stays."""
    folder = Path(header.out_dir)
    if folder.parent == reports(workspace):
        shutil.rmtree(folder, ignore_errors=True)
