"""One process at a time owns the folder of the embedded vector index.

Whoever owns it holds a lock that the operating system frees when the process dies; a file beside it says who that is.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from nereus.errors import StoreError
from nereus.memory.database.engine import now
from nereus.memory.records import Record


class Owner(Record):
    """The process that owns the folder of the embedded index."""

    pid: int
    host: str
    started: str


class Ownership:
    """The right of this process to a folder.

    Parameters
    ----------
    path
        The folder; lock and owner stand beside it.
    note
        Told where the lock cannot be taken for a reason other than an owner.
    """

    def __init__(self, path: Path, note: Callable[[str], None]) -> None:
        self._path, self._note = path, note
        self._process = os.getpid()
        self._lock: FileLock | None = None

    def take(self) -> bool:
        """Own the folder, if nobody else does."""
        if self._lock is None:
            self._lock = self._try_lock()
            if self._lock is not None:
                me = Owner(pid=os.getpid(), host=platform.node(), started=now())
                partial = self._file.with_suffix(f".{os.getpid()}")
                partial.write_text(me.model_dump_json())
                partial.replace(self._file)
        return self._lock is not None

    def release(self) -> None:
        """Let another process own the folder."""
        lock, self._lock = self._lock, None
        if lock is not None and os.getpid() == self._process:
            self._file.unlink(missing_ok=True)
            lock.release()

    def owner(self) -> Owner | None:
        """Who owns the folder now; None when nobody does."""
        if self._lock is None and (free := self._try_lock()) is not None:
            self._file.unlink(missing_ok=True)
            free.release()
            return None
        return self._written()

    def refusal(self) -> StoreError:
        """The error of one who needs the folder while another owns it."""
        owner = self._written()
        who = (
            "another process"
            if owner is None
            else f"process {owner.pid} on {owner.host} since {owner.started}"
        )
        return StoreError(
            f"the vector index is in use by {who}",
            where=str(self._path),
            mend="wait until it has ended, or end it",
        )

    def _try_lock(self) -> FileLock | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path.with_name(f"{self._path.name}.lock"), thread_local=False)
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except OSError as error:
            self._note(f"the vector index cannot be locked ({error.strerror}); the database is searched")
            return None
        return lock

    @property
    def _file(self) -> Path:
        return self._path.with_name(f"{self._path.name}.owner.json")

    def _written(self) -> Owner | None:
        try:
            return Owner.model_validate_json(self._file.read_text())
        except (OSError, ValueError):
            return None
