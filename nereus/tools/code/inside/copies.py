"""Copies of files without their permissions and times, which cannot be set here: `shutil.copy` then copies the content."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from contextlib import suppress


def without_permissions() -> None:
    """Let `shutil` pass over what is refused after a copy is made: `copy`, `copy2`, `copytree` and `move` then work."""
    shutil.copymode = _passing(shutil.copymode)
    shutil.copystat = _passing(shutil.copystat)


def _passing(carry: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(carry)
    def passing(*arguments: object, **options: object) -> None:
        with suppress(PermissionError):
            carry(*arguments, **options)

    return passing
