"""What is to be seen of the files: the interpreter, its packages and the system's libraries, and one work folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nereus
from nereus.errors import SettingsError

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/etc/alternatives")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class View:
    """Paths that the code may see; nothing else exists for it, or can be opened."""

    readable: tuple[str, ...]
    """To read only: none is below another."""
    links: tuple[tuple[str, str], ...]
    """Symbolic links at the root, such as ``/lib`` to ``usr/lib``."""
    work: str
    """The one folder to write in."""

    @classmethod
    def around(cls, work: Path, inputs: Path, files: Iterable[Path] = ()) -> View:
        """The view of this interpreter, with a work folder, a folder of inputs, and files that it points to."""
        links = tuple((one, os.readlink(one)) for one in _SYSTEM if os.path.islink(one))
        roots = [one for one in _SYSTEM if os.path.isdir(one) and not os.path.islink(one)]
        roots += [one for one in _SYSTEM_FILES if os.path.exists(one)]
        roots += [*interpreter(), str(Path(nereus.__file__).parent), str(inputs), *map(str, files)]
        for one in roots:
            if _holds(one, str(Path.home())) or _holds(one, str(work)):
                raise SettingsError(
                    f"{one!r} would be shown to the code, and holds your home folder or the work folder",
                    where="sandbox",
                    mend="install Python and its packages in folders of their own",
                )
        return cls(_outermost(roots), links, str(work))


def interpreter() -> list[str]:
    """Folders of the interpreter and of the packages that it finds."""
    packages = [one for one in sys.path if os.path.basename(one) in ("site-packages", "dist-packages")]
    prefixes = [
        sys.base_prefix,
        sys.prefix,
        sys.base_exec_prefix,
        os.path.dirname(os.path.dirname(sys.executable)),
    ]
    return [one for one in dict.fromkeys([*prefixes, *packages]) if os.path.isdir(one)]


def apart() -> list[str]:
    """Folders of packages that the interpreter does not find by itself, such as those that a user installed for one."""
    own = [os.path.join(os.path.realpath(one), "") for one in (sys.base_prefix, sys.prefix)]
    return [
        one
        for one in interpreter()
        if os.path.basename(one) in ("site-packages", "dist-packages")
        and not any(os.path.realpath(one).startswith(prefix) for prefix in own)
    ]


def _holds(folder: str, path: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(folder) or os.path.realpath(path).startswith(
        os.path.realpath(folder).rstrip("/") + "/"
    )


def _outermost(paths: list[str]) -> tuple[str, ...]:
    """Paths without those that lie below another."""
    unique = list(dict.fromkeys(os.path.abspath(one) for one in paths))
    return tuple(
        one
        for one in unique
        if not any(one != other and one.startswith(other.rstrip("/") + "/") for other in unique)
    )
