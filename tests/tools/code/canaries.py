"""What the attempts are after: a file, sockets, a process, a variable; and whether anybody came near them."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any


class Canaries:
    """Canaries in a folder outside of every sandbox. `values` are what an attempt knows of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.token = secrets.token_hex(12)
        self.folder = folder / "outside"
        self.folder.mkdir()
        self.shared = Path("/tmp") / f"canary-{self.token}"
        self.shared.mkdir(mode=0o777)
        stack.callback(_remove, self.shared)
        self.secret = self.folder / "secret.txt"
        self.secret.write_text(self.token)
        (self.folder / "canary_module.py").write_text(f"token = {self.token!r}\n")
        self.descriptor = os.open(self.secret, os.O_RDONLY)  # one that a careless opener would pass on
        os.set_inheritable(self.descriptor, True)
        stack.callback(os.close, self.descriptor)
        self.sockets = {
            "tcp": _listening(stack, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": _listening(stack, socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": _listening(stack, socket.AF_UNIX, socket.SOCK_STREAM, str(self.shared / "socket")),
            "abstract": _listening(stack, socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.token}"),
        }
        self.victim = victim()
        stack.callback(self.victim.wait)
        stack.callback(self.victim.kill)
        self.before = self.seen()

    @property
    def values(self) -> dict[str, Any]:
        """What an attempt is told."""
        return {
            "token": self.token,
            "outside": str(self.folder),
            "secret": str(self.secret),
            "shared": str(self.shared),
            "home": os.path.expanduser("~"),
            "tcp": self.sockets["tcp"].getsockname()[1],
            "udp": self.sockets["udp"].getsockname()[1],
            "unix": str(self.shared / "socket"),
            "abstract": self.token,
            "victim": self.victim.pid,
            "opener": os.getpid(),
            "bomb": 64,
        }

    def seen(self) -> Mapping[str, Any]:
        """What is to be seen of the canaries from here."""
        dead = self.victim.poll()
        if dead is not None or not self.secret.exists():
            return {"victim": dead, "secret": self.secret.exists()}
        state = self.secret.stat()
        return {
            "files": sorted(os.listdir(self.folder)),
            "shared": sorted(os.listdir(self.shared)),
            "content": self.secret.read_text(),
            "mode": (state.st_mode, state.st_uid, state.st_nlink, state.st_mtime_ns),
            "victim": None,
            "priority": os.getpriority(os.PRIO_PROCESS, self.victim.pid),
            "processors": os.sched_getaffinity(self.victim.pid),
            "called": {name: _called(one) for name, one in self.sockets.items()},
        }


@contextmanager
def canaries(folder: Path) -> Iterator[Canaries]:
    """Canaries for the time of a block; the variable is in this process's environment."""
    with ExitStack() as stack:
        found = Canaries(folder, stack)
        os.environ["NEREUS_CANARY"] = f"canary:{found.token}"
        stack.callback(os.environ.pop, "NEREUS_CANARY", None)
        yield found


def victim() -> subprocess.Popen[bytes]:
    """A process that waits."""
    return subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", "import time; time.sleep(300)"],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )


def _listening(stack: ExitStack, family: int, kind: int, address: Any) -> socket.socket:
    made = stack.enter_context(socket.socket(family, kind))
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen()
    made.setblocking(False)
    return made


def _called(listening: socket.socket) -> bool:
    try:
        if listening.type == socket.SOCK_DGRAM:
            listening.recv(1)
        else:
            listening.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _remove(folder: Path) -> None:
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()
