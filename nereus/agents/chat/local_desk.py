"""The desk of one person at this machine: runs are worked on by a process beside the conversation.

A process of its own, so that a run that is no longer wanted can be ended at once, and the conversation stays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from nereus.agents.chat.desk import Dataset
from nereus.agents.chat.recorded_desk import ENDED, RecordedDesk, refuse_other
from nereus.errors import InputError, PlanError
from nereus.memory.database import DatabaseLedger
from nereus.memory.database.models import LOCAL
from nereus.memory.records import ArtifactRef, CallStatus, ToolCall
from nereus.memory.workspace import Workspace, open_workspace
from nereus.settings import Settings
from nereus.tools import registry
from nereus.tools.steps import StepRunner

_KILLED_S = 5.0


class LocalDesk(RecordedDesk):
    """Works in one home, for the machine's own user.

    Parameters
    ----------
    workspace
        Open stores.
    reports
        Folder in which reports get folders of their own; default ``chat`` in the home.
    """

    def __init__(self, workspace: Workspace, reports: Path | None = None, owner: str = LOCAL) -> None:
        super().__init__(workspace, owner, reports or workspace.settings.home / "chat")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def for_owner(self, owner: str) -> LocalDesk:
        """See `Desk`."""
        refuse_other(self.owner, owner)
        return self

    def add_file(self, path: Path) -> Dataset:
        """Keep a file, so that it can be analysed."""
        found = path.expanduser()
        if not found.exists():
            raise InputError(f"there is no file {str(path)!r}", mend="check the path")
        with self.workspace.artifacts.together():
            ref = self.workspace.artifacts.put_file(found)
        upload = self._uploads.add(self.owner, ref)
        return self.dataset(upload.id)

    def call_tool(
        self,
        name: str,
        inputs: Mapping[str, ArtifactRef | Mapping[str, ArtifactRef]],
        params: Mapping[str, Any],
        seed: int = 0,
    ) -> ToolCall:
        """See `Desk`."""
        runner = StepRunner(self.workspace.artifacts, DatabaseLedger(self.workspace.database), seed)
        call = runner.run(registry.get(name), params, inputs)
        if call.status is CallStatus.FAILED:
            raise PlanError(call.error or call.summary, where=f"tool {name!r}")
        return call

    def cancel(self, run_id: str) -> None:
        """See `Desk`."""
        header = self.header(run_id)
        process = self._processes.pop(run_id, None)
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(timeout=_KILLED_S)
        if header.status in ("queued", "running", "waiting"):
            with self.workspace.database.write():
                self.workspace.repository.set_status(run_id, "cancelled", "cancelled by its owner")
                self.workspace.events.append(run_id, "run_cancelled", run_id)

    def close(self) -> None:
        """End what is at work: a run goes on with `nereus resume`."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(timeout=_KILLED_S)
        self._processes.clear()

    def _begin(self, run_id: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "nereus.agents.chat.at_work", run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt at the terminal is for the conversation
            env=os.environ.copy(),
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(_plain(self.settings)).encode())
        process.stdin.close()
        self._processes[run_id] = process

    def _at_work(self, run_id: str) -> bool:
        process = self._processes.get(run_id)
        if process is not None:
            return process.poll() is None
        status = self.workspace.repository.status(run_id, self.owner)
        return status is not None and status not in (*ENDED, "waiting", "running", "queued")


@contextmanager
def open_local_desk(
    settings: Settings, reports: Path | None = None, files: Callable[[LocalDesk], None] | None = None
) -> Iterator[LocalDesk]:
    """A desk over the home of these settings, for as long as the conversation lasts."""
    with open_workspace(settings) as workspace:
        desk = LocalDesk(workspace, reports)
        if files is not None:
            files(desk)
        try:
            yield desk
        finally:
            desk.close()


def _plain(settings: Settings) -> dict[str, Any]:
    """Settings that were set, as JSON; goes through a pipe and is written nowhere."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {
        name: one.get_secret_value()
        if isinstance(one, SecretStr)
        else str(one)
        if isinstance(one, Path)
        else one
        for name, one in given.items()
    } | {"home": str(settings.home)}
