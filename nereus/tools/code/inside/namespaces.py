"""Start a program in namespaces of its own, with nothing but the paths that it is given: bubblewrap's part, by ctypes.

Run as ``python namespaces.py <specification as JSON> <program> <arguments...>``. What is not in the specification does
not exist within: the root is an empty file system into which the given paths are bound, `/proc` shows the sandbox's own
processes, and there is a loopback interface that is down.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
_READ_ONLY, _NO_SUID, _NO_DEV = 1, 2, 4  # the same for mount_setattr, which counts otherwise
_MOUNT_SETATTR, _PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41}
_RECURSIVE = 0x8000
_DETACH = 2
_PDEATHSIG = 1


def _checked(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if one is None else os.fsencode(one) for one in (source, target, kind, data)]
    result = _LIBC.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _checked(result, f"mount {target}")


def _die_with(parent: int) -> None:
    _LIBC.prctl(_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.getppid() not in (parent, 0):  # 0: the parent is outside of the process namespace
        os._exit(3)


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user"))


def _fix(target: str, attributes: int) -> None:
    wanted = _Attributes(attributes, 0, 0, 0)
    result = _LIBC.syscall(
        ctypes.c_long(_MOUNT_SETATTR),
        ctypes.c_int(-100),
        os.fsencode(target),
        ctypes.c_uint(_RECURSIVE),
        ctypes.byref(wanted),
        ctypes.c_size_t(ctypes.sizeof(wanted)),
    )
    _checked(result, f"mount_setattr {target}")


def _bind(source: str, root: str, attributes: int) -> None:
    target = root + source
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "x"):
            pass
    _mount(source, target, None, _BIND | _REC)
    _fix(target, attributes)


def _new_user() -> None:
    user, group = os.getuid(), os.getgid()
    _checked(_LIBC.unshare(ctypes.c_int(_NEW)), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _new_root(view: dict[str, Any]) -> None:
    """Leave the file system for one that holds only the view. Runs as the first process of the namespace."""
    root = view["root"]
    _mount("none", "/", None, _REC | _PRIVATE)
    _mount("none", root, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    for link, to in view["links"].items():
        os.symlink(to, root + link)
    for path in view["readable"]:
        if os.path.exists(path):
            _bind(path, root, _READ_ONLY | _NO_SUID | _NO_DEV)
    for path in view["devices"]:
        if os.path.exists(path):
            _bind(path, root, _NO_SUID)
    for path in view["writable"]:
        _bind(path, root, _NO_SUID | _NO_DEV)
    os.makedirs(root + "/proc")
    # A container that hides parts of /proc lets nobody mount it anew: then there is none.
    with suppress(PermissionError):
        _mount("proc", root + "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
        _fix(
            root + "/proc", _READ_ONLY | _NO_SUID | _NO_DEV
        )  # a user 0 may write settings of the kernel there
    os.chdir(root)
    number = _PIVOT_ROOT[os.uname().machine]
    _checked(_LIBC.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    _checked(_LIBC.umount2(b".", ctypes.c_int(_DETACH)), "umount")
    os.chdir("/")
    _mount("none", "/", None, 32 | _BIND | _READ_ONLY | _NOSUID | _NODEV)  # 32: remount


def _ended(child: int) -> int:
    """Wait for a process, and for every other that ends up here; its exit status as a shell tells it."""
    os.closerange(3, 4096)  # the channel is the program's alone: that it closes is seen at the other end
    while True:
        found, status = os.wait()
        if found == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main() -> None:
    """Open the namespaces, and stay as their keeper until the program has ended."""
    view = json.loads(sys.argv[1])
    _die_with(view["parent"])
    _new_user()
    keeper = os.getpid()
    first = os.fork()
    if first:
        os._exit(_ended(first))
    _die_with(keeper)
    _new_root(view)
    program = os.fork()
    if program:
        os._exit(_ended(program))
    os.chdir(view["folder"])
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
