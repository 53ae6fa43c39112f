"""How a program is started in each layer: the command, and nothing done yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from nereus.tools.code import seatbelt
from nereus.tools.code.inside import __file__ as _inside
from nereus.tools.code.layers import Layer
from nereus.tools.code.view import DEVICES, View, apart

if TYPE_CHECKING:
    from nereus.tools.code.folders import Folder

INSIDE = os.path.dirname(_inside)
# Layers in which the worker itself is the process that was started, and so must see to it that it goes with us.
DIRECT = frozenset({Layer.LANDLOCK, Layer.RLIMITS, Layer.SEATBELT})


def command(layer: Layer, view: View, program: list[str], folder: Folder) -> list[str]:
    """The program's command within a layer."""
    if layer is Layer.BUBBLEWRAP:
        return [*_bubblewrap(view), *program]
    if layer is Layer.NAMESPACES:
        return [*_namespaces(view, folder), *program]
    if layer is Layer.SEATBELT:
        return ["sandbox-exec", "-p", seatbelt.profile(view, sys.executable), *program]
    return program


def environment(folder: Folder) -> dict[str, str]:
    """All of the environment: nothing of ours comes in."""
    work = str(folder.work)
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")}
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": work,
        "TMPDIR": f"{work}/.tmp",
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "LANG": "C.UTF-8",
        "JOBLIB_MULTIPROCESSING": "0",
        "PYTHONPATH": os.pathsep.join(apart()),
        "PYTHONHASHSEED": "0",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": f"{work}/.matplotlib",
        "SOURCE_DATE_EPOCH": "0",
        **single,
    }


def _bubblewrap(view: View) -> list[str]:
    arguments = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for link, to in view.links:
        arguments += ["--symlink", to, link]
    for path in view.readable:
        arguments += ["--ro-bind-try", path, path]
    arguments += ["--proc", "/proc", "--dir", "/dev"]
    for path in DEVICES:
        arguments += ["--dev-bind-try", path, path]
    kept = ("--bind", view.work, view.work, "--remount-ro", "/proc", "--remount-ro", "/")
    return [*arguments, *kept, "--chdir", view.work, "--"]


def _namespaces(view: View, folder: Folder) -> list[str]:
    specification = {
        "parent": os.getpid(),
        "root": str(folder.root),
        "readable": view.readable,
        "links": dict(view.links),
        "devices": DEVICES,
        "writable": [view.work],
        "folder": view.work,
    }
    script = os.path.join(INSIDE, "namespaces.py")
    return [sys.executable, "-S", "-E", "-P", "-B", script, json.dumps(specification)]


def worker(requests: int, replies: int, layer: Layer) -> list[str]:
    """The worker's own command, with the descriptors of its channel."""
    package = os.path.abspath(os.path.join(INSIDE, "..", "..", "..", ".."))
    parent = os.getpid() if layer in DIRECT else 0
    script = os.path.join(INSIDE, "worker.py")
    return [sys.executable, "-s", "-P", "-B", script, str(requests), str(replies), package, str(parent)]


class Starter:
    """One thread that starts every sandbox, and lives as long as this process.

    The kernel ends a sandbox with the *thread* that started it (the parent-death signal), and a session must outlive the
    thread of a server or a graph that opened it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._executor: ThreadPoolExecutor | None = None

    def start(self, arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process from that thread; options are those of `subprocess.Popen`."""
        with self._lock:
            if (
                self._executor is None or self._pid != os.getpid()
            ):  # a forked process has no threads of its parent
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="sandbox-starter")
                self._pid = os.getpid()
            executor = self._executor

        def started() -> subprocess.Popen[bytes]:
            return subprocess.Popen(arguments, **options)

        return executor.submit(started).result()


STARTER = Starter()
