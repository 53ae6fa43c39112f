"""Give up everything that the code must not have: what a worker does to itself before it reads a line of code."""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Mapping
from typing import Any

from nereus.tools.code.inside import landlock, seccomp
from nereus.tools.code.inside.kernel import PR_SET_NO_NEW_PRIVS, drop_capabilities, prctl

MIB = 2**20


def set_limits(limits: Mapping[str, Any]) -> None:
    """Set the kernel's limits, soft and hard alike: none can be raised again.

    Parameters
    ----------
    limits
        ``memory_mb``, ``file_mb``, ``open_files``, ``session_cpu_s``, and ``tasks``: how many processes and threads
        the user may have, or None.
    """
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: int(limits["file_mb"]) * MIB,
        resource.RLIMIT_NOFILE: int(limits["open_files"]),
        resource.RLIMIT_CPU: int(limits["session_cpu_s"]),
        resource.RLIMIT_AS: int(limits["memory_mb"]) * MIB,
    }
    if sys.platform == "linux":
        wanted[resource.RLIMIT_MEMLOCK] = 0
        wanted[resource.RLIMIT_MSGQUEUE] = 0
        wanted[resource.RLIMIT_NICE] = 0
        wanted[resource.RLIMIT_RTPRIO] = 0
    if limits.get("tasks") is not None:
        wanted[resource.RLIMIT_NPROC] = int(limits["tasks"])
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        top = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (top, top))
        except (OSError, ValueError):
            if sys.platform == "linux":
                raise  # macOS does not enforce the address space, and says so


def limit_cpu(seconds: float) -> None:
    """Allow this many further seconds of processor time, within what the session may take in all."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def confine(request: Mapping[str, Any]) -> dict[str, Any]:
    """Give up everything that the request does not grant; from here on, nothing of it comes back.

    Parameters
    ----------
    request
        ``limits`` (see `set_limits`), ``landlock`` and ``seccomp`` (whether to use them), ``readable``, ``writable``
        and ``devices`` (paths).

    Returns
    -------
    dict
        What holds: ``landlock`` (its version, or 0) and ``seccomp``.
    """
    set_limits(request["limits"])
    held: dict[str, Any] = {"landlock": 0, "seccomp": False}
    if sys.platform != "linux":
        return held
    if request["bare"]:
        return held
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if request["landlock"]:
        held["landlock"] = landlock.restrict(request["readable"], request["writable"], request["devices"])
    drop_capabilities()
    if request["seccomp"]:
        # Landlock before its third version does not see that a file is cut.
        seccomp.install(truncate=held["landlock"] == 0 or held["landlock"] >= 3)
        held["seccomp"] = True
    os.umask(0o077)
    return held
