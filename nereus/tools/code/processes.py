"""The processes of a sandbox as seen from outside: how many, how large, and the end of them all."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Usage:
    """What a process and all that it started take: threads, bytes of memory, seconds, and bytes of nameless files."""

    threads: int = 0
    resident: int = 0
    cpu_s: float = 0.0
    nameless: int = 0


def usage(pid: int) -> Usage:
    """What a process and all that it started take now."""
    tasks = resident = nameless = 0
    cpu = 0.0
    page, tick = resource.getpagesize(), os.sysconf("SC_CLK_TCK")
    for one in (pid, *below(pid)):
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{one}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            tasks += int(fields[17])
            resident += int(fields[21]) * page
            cpu += (int(fields[11]) + int(fields[12])) / tick
        nameless += _nameless(one)
    return Usage(tasks, resident, cpu, nameless)


def _nameless(pid: int) -> int:
    """Bytes of files without a name that a process holds open, or in its memory: they are in no folder."""
    held: dict[tuple[int, int], int] = {}
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                state = os.stat(f"/proc/{pid}/fd/{name}")
                if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                    held[state.st_dev, state.st_ino] = state.st_blocks * 512
    with suppress(OSError, ValueError), open(f"/proc/{pid}/maps") as file:
        for line in file:
            if line.endswith(" (deleted)\n") and "/dev/zero" not in line:
                span, _, _, device, inode, *_ = line.split()
                major, minor = (int(part, 16) for part in device.split(":"))
                first, last = (int(part, 16) for part in span.split("-"))
                held.setdefault((os.makedev(major, minor), int(inode)), last - first)
    return sum(held.values())


def below(pid: int) -> Iterator[int]:
    """Children of a process, and their children."""
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
    started = {pid: at for pid in below(process.pid) if (at := _since(pid))}
    for _ in range(20):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        left = {pid for pid, at in started.items() if _since(pid) == at} | set(_marked(token))
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_WAIT_S)
        if not left:
            return
        time.sleep(0.002)


def pause(pids: Iterable[int], stopped: bool) -> None:
    """Stop processes, or let them go on."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGSTOP if stopped else signal.SIGCONT)


def _since(pid: int) -> bytes:
    """When a process that lives was started; empty for one that has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return b""
    return b"" if fields[0] in (b"Z", b"X") else fields[19]


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
