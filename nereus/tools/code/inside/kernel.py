"""System calls by number, through ctypes: the C library has no functions for the newer ones."""

from __future__ import annotations

import ctypes
import os
import platform

_LIBC = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
# Being root gives no capability, by exec or by a change of user, and that cannot be undone.
_NO_ROOT = 0b1111
_CAPABILITY_VERSION = 0x20080522


def syscall(number: int, *arguments: object) -> int:
    """Call the kernel.

    Raises
    ------
    OSError
        The kernel refused.
    """
    found = _LIBC.syscall(ctypes.c_long(number), *[_word(one) for one in arguments])
    if found < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(found)


def _word(value: object) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else value


def machine() -> int | None:
    """Column of this machine in `syscalls.NUMBERS`; None where the filter knows no numbers."""
    return {"x86_64": 0, "aarch64": 1, "arm64": 1}.get(platform.machine())


def prctl(option: int, *values: int) -> None:
    """Set a property of this process."""
    full = [ctypes.c_ulong(one) for one in (*values, 0, 0, 0, 0)[:4]]
    if _LIBC.prctl(ctypes.c_int(option), *full) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def die_with(parent: int) -> None:
    """Be killed when the parent goes, also when it was killed; `parent` is who it was when this was started."""
    prctl(PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(3)


def drop_capabilities() -> None:
    """Give up every capability for good: for a root without them, and for a namespace's own root."""
    with_right = True
    try:
        prctl(PR_SET_SECUREBITS, _NO_ROOT)
    except PermissionError:  # without the right to, there is nothing to give up
        with_right = False
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _LIBC.capset(header, nothing) != 0 and with_right:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
