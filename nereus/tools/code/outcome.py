"""What became of a piece of code: what it printed and made, or which limit or boundary stopped it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from nereus.tools.code.layers import Grade, Layer

if TYPE_CHECKING:
    import pandas as pd

    from nereus.memory.records import Scalar
    from nereus.tools.base import Figure

SHOWN = 20_000


class Stop(StrEnum):
    """What ended or refused a piece of code."""

    WALL = "wall time"
    CPU = "processor time"
    MEMORY = "memory"
    THREADS = "threads and processes"
    OUTPUT = "output"
    DISK = "disk"
    FILE_SIZE = "file size"
    OPEN_FILES = "open files"
    REPLY = "size of tables and figures"
    FILES = "files"
    CALLS = "system calls"
    CHANNEL = "channel"
    DIED = "died"


_LIMITS = {
    Stop.WALL: "wall_s",
    Stop.CPU: "cpu_s",
    Stop.MEMORY: "memory_mb",
    Stop.THREADS: "threads",
    Stop.OUTPUT: "output_kb",
    Stop.DISK: "disk_mb",
    Stop.FILE_SIZE: "file_mb",
    Stop.OPEN_FILES: "open_files",
    Stop.REPLY: "reply_mb",
}


def said(stop: Stop, limits: Any) -> str:
    """A stop in a sentence."""
    if stop in _LIMITS:
        name = _LIMITS[stop]
        return f"stopped by the limit on {stop.value} ({name}={getattr(limits, name):g})"
    return {
        Stop.FILES: "stopped by the boundary of files: the code sees its work folder, its inputs and the interpreter",
        Stop.CALLS: "stopped by the boundary of system calls: no network, no other process or program, no kernel "
        "interface, no change of permissions",
        Stop.CHANNEL: "stopped: what came from the sandbox was no reply",
        Stop.DIED: "the process died",
    }[stop]


@dataclass(frozen=True)
class CodeError:
    """An exception that the code raised, in its own words: they may say anything."""

    kind: str
    message: str
    traceback: str
    errno: int | None = None
    file: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a piece of code."""

    layer: Layer
    grade: Grade
    printed: str = ""
    """All that went to stdout, up to the limit on output."""
    errors: str = ""
    """All that went to stderr."""
    error: CodeError | None = None
    stop: Stop | None = None
    """What stopped it, as seen from outside, or as the code's own error tells it where it is `claimed`."""
    claimed: bool = False
    why: str = ""
    """The stop in a sentence."""
    exit: int | None = None
    """Status that the code gave to ``sys.exit``."""
    values: Mapping[str, Scalar] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict, repr=False)
    left_out: tuple[str, ...] = ()
    """Tables and values that did not come back, each with the reason."""
    lost: bool = False
    """Whether the process is gone, and the variables with it."""
    wall_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it ran to its end."""
        return self.error is None and self.stop is None and not self.exit

    @property
    def status(self) -> int:
        """An exit status: that of the code, 1 for an exception, 124 for time, 137 where it was stopped."""
        if self.stop in (Stop.WALL, Stop.CPU):
            return 124
        if self.stop is not None and (self.error is None or self.lost):
            return 137
        return 1 if self.error is not None else self.exit or 0

    def shown(self, most: int = SHOWN) -> str:
        """What it printed, cut in the middle with a note of how much is left out; `printed` holds all."""
        return cut(self.printed, most)


def cut(text: str, most: int) -> str:
    """A text, cut in the middle where it is longer, with a line that says so."""
    if len(text) <= most:
        return text
    head = most * 2 // 3
    tail = most - head
    left_out = len(text) - most
    return (
        f"{text[:head]}\n[... {left_out} of {len(text)} characters are left out here; the full output is kept ...]\n"
        f"{text[-tail:]}"
    )


_BY_NUMBER = {
    errno.ENOMEM: Stop.MEMORY,
    errno.EFBIG: Stop.FILE_SIZE,
    errno.ENOSPC: Stop.DISK,
    errno.EDQUOT: Stop.DISK,
    errno.EMFILE: Stop.OPEN_FILES,
    errno.ENFILE: Stop.OPEN_FILES,
    errno.EAGAIN: Stop.THREADS,
    errno.ENOSYS: Stop.CALLS,
    errno.EROFS: Stop.FILES,
}


def claim(error: CodeError, work: str) -> Stop | None:
    """Which limit or boundary an exception of the code speaks of; None where it is the code's own.

    Parameters
    ----------
    error
        The exception.
    work
        The work folder: a file that is missing there is the code's own affair.
    """
    outside = error.file is not None and not f"{error.file}/".startswith(f"{work}/")
    if error.kind == "MemoryError" or error.kind.endswith("MemoryError"):
        return Stop.MEMORY
    if error.kind == "RuntimeError" and "start new thread" in error.message:
        return Stop.THREADS
    if error.kind == "ReplyTooLarge":
        return Stop.REPLY
    if error.errno is None:
        return None
    if error.errno in (errno.EPERM, errno.EACCES):
        return Stop.FILES if error.file is not None and error.errno == errno.EACCES else Stop.CALLS
    if error.errno in (errno.ENOENT, errno.EXDEV, errno.ENOTDIR) and outside:
        return Stop.FILES
    return _BY_NUMBER.get(error.errno)
