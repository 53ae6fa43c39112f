"""The desk of one person at this machine: runs are worked on by a process beside the conversation.

A process of its own, so that a run that is no longer wanted can be ended at once, and the conversation stays.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from pydantic import SecretStr

from nereus.agents.chat.desk import Dataset
from nereus.agents.chat.recorded_desk import RecordedDesk, refuse_other
from nereus.errors import InputError, PlanError, ToolError
from nereus.memory.database import DatabaseLedger
from nereus.memory.database.models import LOCAL
from nereus.memory.locks import held
from nereus.memory.records import ArtifactRef, CallStatus, ToolCall
from nereus.memory.retention import LOCKS
from nereus.memory.workspace import Workspace, open_workspace
from nereus.settings import Settings
from nereus.tools import registry
from nereus.tools.steps import StepRunner, step_key

_KILLED_S = 5.0
_LOOK_S = 0.1
BESIDE_S = 10.0
"""Estimated seconds from which a tool is called in a process of its own, so that it can be ended."""


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
        if found.is_dir():
            _refuse_odd_folder(found)
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
        stop: Callable[[], bool] | None = None,
    ) -> ToolCall:
        """See `Desk`."""
        tool = registry.get(name)
        ledger = DatabaseLedger(self.workspace.database)
        runner = StepRunner(self.workspace.artifacts, ledger, seed)
        if stop is not None and (tool.seconds >= BESIDE_S or name.startswith("fit_")):
            key = step_key(runner.specify(tool, params, inputs))
            known = ledger.find_call(key)
            if known is None or known.status is CallStatus.FAILED:
                self._called_beside(name, params, inputs, seed, stop)
                known = ledger.find_call(key)
            call = known or runner.run(tool, params, inputs)
        else:
            call = runner.run(tool, params, inputs)
        if call.status is CallStatus.FAILED:
            raise PlanError(call.error or call.summary, where=f"tool {name!r}")
        return call

    def _called_beside(
        self,
        name: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, ArtifactRef | Mapping[str, ArtifactRef]],
        seed: int,
        stop: Callable[[], bool],
    ) -> None:
        """Compute a call in a process that can be ended; what it gave is found by its key."""
        asked = {
            "settings": _plain(self.settings),
            "tool": name,
            "params": dict(params),
            "seed": seed,
            "inputs": {
                slot: one.model_dump(mode="json")
                if isinstance(one, ArtifactRef)
                else {key: part.model_dump(mode="json") for key, part in one.items()}
                for slot, one in inputs.items()
            },
        }
        with TemporaryFile() as told:
            process = _begun("call_at_work", [], asked, told)
            try:
                while process.poll() is None:
                    if stop():
                        raise ToolError(
                            "it was stopped before it ended", where=f"tool {name!r}", mend="ask again"
                        )
                    time.sleep(_LOOK_S)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait(timeout=_KILLED_S)
            told.seek(0)
            lines = told.read().splitlines()
        document = json.loads(lines[-1]) if lines else {}
        if "key" not in document:
            raise ToolError(
                str(document.get("what") or f"its process ended with code {process.returncode}"),
                where=document.get("where") or f"tool {name!r}",
                mend=document.get("mend"),
            )

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
        self._processes[run_id] = _begun("at_work", [run_id], _plain(self.settings), subprocess.DEVNULL)

    def _at_work(self, run_id: str) -> bool:
        process = self._processes.get(run_id)
        if process is not None and process.poll() is None:
            return True
        status = self.workspace.repository.status(run_id, self.owner)
        if status not in ("queued", "running"):
            return False
        with held(self.workspace.database, self.settings.home / LOCKS, run_id) as mine:
            return not mine  # another process of this home may work on it


MOST_FILES, MOST_BYTES = 5000, 4 << 30


def _refuse_odd_folder(folder: Path) -> None:
    """`InputError` for a folder that holds no cells, or far more than a data set: it would be copied as a whole."""
    size = 0
    if not any(one.suffix.lower() == ".fcs" or _CELLS.search(one.name) for one in folder.iterdir()):
        raise InputError(
            "the folder holds no FCS files and no tables", where=str(folder), mend="name one file in it"
        )
    for files, one in enumerate(folder.rglob("*"), start=1):
        size += one.stat().st_size if one.is_file() else 0
        if files > MOST_FILES or size > MOST_BYTES:
            raise InputError(
                "the folder holds more than a data set has",
                where=str(folder),
                mend="name a file in it, or a folder of the FCS files alone",
            )


_CELLS = re.compile(r"\.(csv|tsv|txt)(\.(gz|bz2|xz))?$", re.IGNORECASE)


def _begun(
    module: str, arguments: list[str], asked: Mapping[str, Any], output: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """A process of ours that works beside the conversation; what it is asked goes through a pipe."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"nereus.agents.chat.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt at the terminal is for the conversation
        # A part of the cores is left to whoever talks; threads that wait for one another must not fill them all.
        env={"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) // 2)), **os.environ},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asked).encode())
    process.stdin.close()
    return process


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
