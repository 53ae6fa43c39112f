"""The processes of a sandbox as seen from outside: how many, how large, and the end of them all."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

# Stands in the environment of every process of a sandbox; children inherit it.
MARK = "NEREUS_SANDBOX"
# Beside the worker there may be the program that opened its namespaces, in two processes.
KEEPERS = 3
_WAIT_S = 5.0


def of_this_user() -> int:
    """Processes and threads of this user on this machine: what the kernel's limit on them counts, with some room."""
    if sys.platform != "linux":
        return 512
    user, total = os.getuid(), 0
    for pid in _pids():
        try:
            if os.stat(f"/proc/{pid}").st_uid == user:
                total += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return total + 256


def usage(pid: int) -> tuple[int, int]:
    """Threads of a process and all that it started, and their resident memory in bytes."""
    tasks = resident = 0
    page = resource.getpagesize()
    for one in (pid, *_below(pid)):
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{one}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            tasks += int(fields[17])
            resident += int(fields[21]) * page
    return tasks, resident


def _below(pid: int) -> Iterator[int]:
    """Children and their children."""
    waiting, seen = [pid], {pid}
    while waiting:
        one = waiting.pop()
        try:
            tasks = os.listdir(f"/proc/{one}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{one}/task/{task}/children") as file:
                    children = [int(child) for child in file.read().split()]
            except OSError:
                continue
            for child in children:
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
                    yield child


def kill_all(process: subprocess.Popen[bytes], token: str) -> None:
    """Kill a sandbox: its group, everything below it, and whatever left both but bears its mark."""
    for _ in range(20):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pid in [*_below(process.pid), *_marked(token)]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_WAIT_S)
        if not _marked(token):
            return


def _marked(token: str) -> list[int]:
    if sys.platform != "linux" or not token:
        return []
    wanted = f"{MARK}={token}".encode()
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                held = file.read(1 << 16)
            with open(f"/proc/{pid}/stat", "rb") as file:
                ended = file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
        except OSError:
            continue
        if wanted in held.split(b"\0") and not ended:
            found.append(int(pid))
    return found


def _pids() -> Iterator[str]:
    with suppress(FileNotFoundError):
        yield from (one for one in os.listdir("/proc") if one.isdigit())
