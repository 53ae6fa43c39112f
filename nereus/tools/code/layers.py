"""What holds the code: the layers that a machine may offer, strongest first, and how strong each is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cache

from nereus.errors import SettingsError


class Grade(StrEnum):
    """How strong a sandbox is; see ``docs/sandbox.md``."""

    ISOLATED = "isolated"
    """What is not in view does not exist: namespaces of files, processes and network, with the filter of calls."""
    CONFINED = "confined"
    """Rules of the kernel on one process: what is not in view cannot be opened, and there is no network."""
    LIMITED = "limited"
    """Limits on memory, time and files only: for code that you would run yourself."""

    @property
    def rank(self) -> int:
        """3, 2 or 1."""
        return {"isolated": 3, "confined": 2, "limited": 1}[self.value]


class Layer(StrEnum):
    """What the worker is started in."""

    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "namespaces"
    LANDLOCK = "landlock"
    SEATBELT = "seatbelt"
    RLIMITS = "rlimits"


STRONGEST_FIRST = tuple(Layer)


@cache
def probed() -> Mapping[Layer, str]:
    """Why each layer cannot be used here; an empty text where it can. Asked once in a process."""
    return {layer: _probe(layer) for layer in STRONGEST_FIRST}


def available() -> list[Layer]:
    """Layers that work here, strongest first."""
    return [layer for layer in STRONGEST_FIRST if not probed()[layer]]


def grade(layer: Layer) -> Grade:
    """How strong a layer is on this machine."""
    if layer is Layer.RLIMITS:
        return Grade.LIMITED
    if layer is Layer.SEATBELT:
        return Grade.CONFINED
    if not filtered():
        return Grade.CONFINED if layer is not Layer.LANDLOCK else Grade.LIMITED
    return Grade.CONFINED if layer is Layer.LANDLOCK else Grade.ISOLATED


def chosen(least: Grade | str = Grade.CONFINED, layer: Layer | str | None = None) -> Layer:
    """The strongest layer that works here, or the named one.

    Raises
    ------
    SettingsError
        None is as strong as `least`, or the named one does not work here.
    """
    least = Grade(least)
    if layer is not None and probed()[Layer(layer)]:
        raise SettingsError(
            f"{Layer(layer).value} does not work here: {probed()[Layer(layer)]}", where="sandbox"
        )
    found = Layer(layer) if layer is not None else available()[0]
    if grade(found).rank < least.rank:
        absent = "; ".join(f"{one.value}: {why}" for one, why in probed().items() if why)
        raise SettingsError(
            f"the strongest sandbox here is graded {grade(found).value!r} ({found.value}), and {least.value!r} is asked for",
            where="sandbox_grade",
            mend=f"install bubblewrap ({absent or 'all others work'}), or set NEREUS_SANDBOX_GRADE={grade(found).value} "
            "for code that you would run yourself",
        )
    return found


def filtered() -> bool:
    """Whether system calls can be filtered here."""
    if sys.platform != "linux":
        return False
    from nereus.tools.code.inside import seccomp

    return seccomp.available()


def _probe(layer: Layer) -> str:
    if os.name != "posix":
        return "there are no limits to set on this system"
    if layer is Layer.RLIMITS:
        return ""
    if layer is Layer.SEATBELT:
        return "" if sys.platform == "darwin" and shutil.which("sandbox-exec") else "only on macOS"
    if sys.platform != "linux":
        return "only on Linux"
    if layer is Layer.LANDLOCK:
        from nereus.tools.code.inside import landlock

        if not landlock.version():
            return "this kernel has no Landlock, or it is switched off"
        return "" if filtered() else "system calls cannot be filtered"
    if layer is Layer.BUBBLEWRAP and shutil.which("bwrap") is None:
        return "the program bwrap is not installed"
    return _trial(layer)


def _trial(layer: Layer) -> str:
    """Start the interpreter in the layer: AppArmor, containers and kernels forbid namespaces in many ways."""
    from nereus.tools.code.folders import Folder
    from nereus.tools.code.launch import command
    from nereus.tools.code.view import View

    with Folder.made() as folder:
        view = View.around(folder.work, folder.inputs)
        program = [sys.executable, "-S", "-E", "-c", "print('here')"]
        try:
            done = subprocess.run(
                command(layer, view, program, folder),
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
                env={},
                cwd=folder.work,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)[:300]
    if done.returncode == 0 and done.stdout.strip() == "here":
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"ended with code {done.returncode}"
