"""A filter of system calls (seccomp), written as the kernel's packet-filter code without a library.

Refused are sockets of every kind, other processes and programs, kernel interfaces, mounts, changes of identity and of
files' metadata, and a look at what happens to files elsewhere (neither of which Landlock covers), and shared memory that
would outlive the process. Threads are allowed,
processes are not, so that one process is all there ever is to limit and to kill. Calls that are newer than this list do
not exist as far as the code can tell.
"""

from __future__ import annotations

import ctypes
import os
import struct

from nereus.tools.code.inside.kernel import machine, syscall
from nereus.tools.code.inside.syscalls import NUMBERS

_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_NUMBER, _MACHINE = 0, 4
_MACHINES = (0xC000003E, 0xC00000B7)
_NEWEST = 450
_X32 = 0x40000000
_SECCOMP = (317, 277)
_ALL_THREADS = 1

# clone: memory, folder, open files, signal handlers, process. A thread with a table of open files of its own would hold
# files that are not counted.
CLONE_THREAD = 0x00000100 | 0x00000200 | 0x00000400 | 0x00000800 | 0x00010000
_UNSHARE = 2  # close_range: the same by another way
_TRUNCATE = 0o1000
_CREATE = 0o100 | 0o20000000
_SET_ID = 0o6000
_ACCESS = 3
# fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX make the kernel send signals for one; a lease (F_SETLEASE) stops who writes.
_SIGNAL_TO_OTHERS = (8, 10, 15, 1024)
_TERMINAL = (0x5412, 0x541C, 0x8901, 0x8902)  # ioctl: TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP
# prctl: parent-death signal, whether the opener may look, filters, memory map, reaper, who may trace.
_OWN_FATE = (1, 4, 22, 35, 36, 0x59616D61)
_QUERY = 0xFFFFFFFF

# Calls that are looked into; every other one of the list is refused as it is.
_LOOKED_INTO = frozenset(
    {"clone", "clone3", "kill", "tgkill", "fcntl", "ioctl", "prctl", "prlimit64", "personality", "truncate"}
    | {"open", "openat", "openat2", "creat", "close_range"}
)

_Instruction = tuple[int, int, int, int]


def program(pid: int, column: int, truncate: bool = True) -> list[_Instruction]:
    """The filter for a process.

    Parameters
    ----------
    pid
        The process: it may signal and limit itself, and no other.
    column
        Machine, as in `syscalls.NUMBERS`.
    truncate
        Whether files may be cut by name: not where Landlock is too old to see it.
    """
    refuse = _REFUSE | _EPERM
    absent = _REFUSE | _ENOSYS
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, _MACHINES[column]),
        (_RETURN, 0, 0, _KILL),  # calls of another machine's kind have other numbers
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _NEWEST + 1),
        (_RETURN, 0, 0, absent),  # also every call of the x32 kind, whose numbers begin at 2^30
    ]
    assert _X32 > _NEWEST

    def number(name: str) -> int | None:
        return NUMBERS[name][column]

    def when(name: str, body: list[_Instruction]) -> None:
        if (known := number(name)) is not None:
            code.append((_EQUAL, 0, len(body), known))
            code.extend(body)

    when("clone3", [(_RETURN, 0, 0, absent)])  # its flags are behind a pointer; the C library then uses clone
    when(
        "clone",
        [
            (_LOAD, 0, 0, _argument(0)),
            (_AND, 0, 0, CLONE_THREAD),
            (_EQUAL, 1, 0, CLONE_THREAD),
            (_RETURN, 0, 0, refuse),
            (_RETURN, 0, 0, _ALLOW),
        ],
    )
    for name, allowed in (
        ("kill", (pid,)),
        ("tgkill", (pid,)),
        ("prlimit64", (0, pid)),
        ("personality", (0, _QUERY)),
    ):
        when(name, _only(0, allowed, refuse))
    for name, position, forbidden in (
        ("fcntl", 1, _SIGNAL_TO_OTHERS),
        ("ioctl", 1, _TERMINAL),
        ("prctl", 0, _OWN_FATE),
    ):
        when(name, _none_of(position, forbidden, refuse))
    unshares = [(_LOAD, 0, 0, _argument(2)), (_ANY_BIT, 0, 1, _UNSHARE), (_RETURN, 0, 0, refuse)]
    when("close_range", [*unshares, (_RETURN, 0, 0, _ALLOW)])
    when("openat2", [(_RETURN, 0, 0, absent)])  # as of clone3; nobody but tests uses it
    when("creat", _without(1, _SET_ID, refuse))
    if not truncate:
        when("truncate", [(_RETURN, 0, 0, refuse)])
    for name, position in (("open", 1), ("openat", 2)):
        flags = (_LOAD, 0, 0, _argument(position))
        # A file that is opened to read may be cut by that.
        cut = [(_AND, 0, 0, _TRUNCATE | _ACCESS), (_EQUAL, 0, 1, _TRUNCATE), (_RETURN, 0, 0, refuse), flags]
        made = [(_ANY_BIT, 1, 0, _CREATE), (_RETURN, 0, 0, _ALLOW)]
        when(name, [flags, *([] if truncate else cut), *made, *_without(position + 1, _SET_ID, refuse)])
    for name in NUMBERS:
        if name not in _LOOKED_INTO:
            when(name, [(_RETURN, 0, 0, refuse)])
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _argument(position: int) -> int:
    return 16 + 8 * position  # the lower half, on little-endian machines, which both are


def _without(position: int, bits: int, refuse: int) -> list[_Instruction]:
    """Refused with any of the bits: a new file that would run as its owner is refused like a change of permissions."""
    checks = [(_LOAD, 0, 0, _argument(position)), (_ANY_BIT, 0, 1, bits), (_RETURN, 0, 0, refuse)]
    return [*checks, (_RETURN, 0, 0, _ALLOW)]


def _only(position: int, allowed: tuple[int, ...], refuse: int) -> list[_Instruction]:
    checks = [(_EQUAL, len(allowed) - i, 0, one) for i, one in enumerate(allowed)]
    return [(_LOAD, 0, 0, _argument(position)), *checks, (_RETURN, 0, 0, refuse), (_RETURN, 0, 0, _ALLOW)]


def _none_of(position: int, forbidden: tuple[int, ...], refuse: int) -> list[_Instruction]:
    checks = [(_EQUAL, len(forbidden) - i, 0, one) for i, one in enumerate(forbidden)]
    return [(_LOAD, 0, 0, _argument(position)), *checks, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, refuse)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("code", ctypes.c_char_p))


def install(truncate: bool = True) -> None:
    """Put the filter on every thread of this process, for good. The caller has set no_new_privs."""
    column = machine()
    if column is None:
        raise OSError("the filter knows no system calls of this machine")
    code = program(os.getpid(), column, truncate)
    packed = b"".join(struct.pack("=HBBI", *one) for one in code)
    whole = _Program(len(code), packed)
    syscall(_SECCOMP[column], 1, _ALL_THREADS, ctypes.byref(whole))


def available() -> bool:
    """Whether this kernel takes filters, and the numbers of its calls are known. Nothing is installed."""
    column = machine()
    if column is None or os.name != "posix":
        return False
    try:
        action = ctypes.c_uint32(_KILL)
        syscall(_SECCOMP[column], 2, 0, ctypes.byref(action))
    except OSError:
        return False
    return True
