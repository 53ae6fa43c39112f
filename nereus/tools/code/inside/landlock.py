"""Landlock: the kernel's own allow-list of paths for one process, without privileges or packages.

See the kernel's documentation, userspace-api/landlock. What a newer kernel can also forbid is forbidden where it can:
TCP (version 4), devices (5), signals and abstract sockets to the outside (6).
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

from nereus.tools.code.inside.kernel import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_PATH_BENEATH = 1

_EXECUTE, _WRITE, _READ, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
# Rights that a rule on a file, not a folder, may hold: others make the whole rule invalid.
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL
# Device nodes are never made, not even in the work folder.
_MAKE_DEVICES = (1 << 6) | (1 << 11)


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Version of Landlock in this kernel; 0 where there is none, or it is switched off."""
    try:
        return syscall(_CREATE, None, 0, 1)
    except OSError:
        return 0


def _handled(level: int) -> int:
    return (1 << (16 if level >= 5 else 15 if level >= 3 else 14 if level >= 2 else 13)) - 1


def restrict(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str]) -> int:
    """Allow this process these paths and nothing else, for good. The caller has set no_new_privs.

    Parameters
    ----------
    readable
        Files and folders to read; ones that do not exist are passed over.
    writable
        Folders in which everything may be done but making devices.
    devices
        Device files to read and write.

    Returns
    -------
    int
        The version of Landlock that holds it.
    """
    level = version()
    if level < 1:
        raise OSError("this kernel has no Landlock")
    handled = _handled(level)
    rules = _Ruleset(handled, 3 if level >= 4 else 0, 3 if level >= 6 else 0)
    size = 24 if level >= 6 else 16 if level >= 4 else 8
    ruleset = syscall(_CREATE, ctypes.byref(rules), size, 0)
    try:
        for path in readable:
            _allow(ruleset, path, handled & (_READ | _READ_DIR))
        for path in writable:
            _allow(ruleset, path, handled & ~(_EXECUTE | _IOCTL | _MAKE_DEVICES))
        for path in devices:
            _allow(ruleset, path, handled & (_READ | _WRITE))
        syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return level


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        rule = _Beneath(rights, opened)
        syscall(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)
