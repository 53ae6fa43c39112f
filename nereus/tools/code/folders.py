"""The folder of one sandbox, and how it goes: whatever the code made of it, and also when we were killed."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nereus.errors import InputError, ToolError

_DEEPEST = 40
_OURS = re.compile(r"[0-9a-f]{16}\Z")
# A folder is held by a lock on itself: it lasts until the folder is gone, however far its removal has come.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Folder:
    """``work`` for the code, ``inputs`` that it may read, ``root`` on which a new file system is mounted."""

    path: Path
    _lock: int

    @property
    def work(self) -> Path:
        """The one folder to write in."""
        return self.path / "work"

    @property
    def inputs(self) -> Path:
        """Files to read only."""
        return self.path / "inputs"

    @property
    def root(self) -> Path:
        """An empty folder."""
        return self.path / "root"

    @classmethod
    @contextmanager
    def made(cls, home: Path | None = None) -> Iterator[Folder]:
        """A folder for the time of a block."""
        folder = cls.make(home)
        try:
            yield folder
        finally:
            folder.remove()

    @classmethod
    def make(cls, home: Path | None = None) -> Folder:
        """Make a folder that is ours as long as this process lives; remove those whose owner was killed.

        Parameters
        ----------
        home
            Folder of all sandboxes; None takes one of this user's in the system's folder of temporary files.
        """
        home = _home() if home is None else home
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(home):
            sweep(home)
            path = home / secrets.token_hex(8)
            path.mkdir(mode=0o700)
            lock = os.open(path, _FOLDER)
            fcntl.flock(lock, fcntl.LOCK_EX)
        folder = cls(path, lock)
        for one in (
            folder.work,
            folder.inputs,
            folder.root,
            folder.work / ".tmp",
            folder.work / ".matplotlib",
        ):
            one.mkdir(mode=0o700)
        _lend_fonts(folder.work / ".matplotlib")
        return folder

    def give(self, files: Mapping[str, Path]) -> list[Path]:
        """Let files be found as ``inputs/<name>`` in the work folder; the files themselves, which the view must show.

        Raises
        ------
        InputError
            A name is no plain name of a file, or there is no such file.
        """
        found = []
        for name, file in files.items():
            if not name or name.startswith(".") or set(name) & {"/", "\0"}:
                raise InputError(f"{name!r} is no plain name of a file", where="sandbox inputs")
            if not file.is_file():
                raise InputError("there is no such file", where=str(file), mend="check the path")
            found.append(file.resolve())
            (self.inputs / name).symlink_to(found[-1])
        if found:
            (self.work / "inputs").symlink_to(self.inputs)
        return found

    def remove(self) -> None:
        """Remove all of it."""
        if self._lock >= 0:
            remove_tree(self.path)
            os.close(self._lock)
            self._lock = -1


def _home() -> Path:
    home = Path(tempfile.gettempdir()) / f"nereus-sandboxes-{os.getuid()}"
    home.mkdir(exist_ok=True, mode=0o700)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ToolError(
            "is not a folder that only you can open",
            where=str(home),
            mend="remove it, or set TMPDIR to another folder",
        )
    return home


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """No other process sweeps meanwhile: it would take a folder whose lock is not yet held for an orphan."""
    held = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def sweep(home: Path) -> int:
    """Remove folders whose owner is gone; how many there were."""
    gone = 0
    for path in home.iterdir():
        if not _OURS.match(path.name):
            continue
        try:
            lock = os.open(path, _FOLDER)
        except OSError:  # gone since, or no folder
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(path)
            gone += 1
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
    return gone


def remove_tree(path: Path) -> None:
    """Remove a folder however deep it is, without following a link and without recursion.

    Folders are opened one by one relative to the top, and their own folders moved up to it: neither the length of a path
    nor the depth of a tree that hostile code made matters.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    number = 0
    try:
        while folders := _empty(top):
            for name in folders:
                inner = _opened(top, name)
                try:
                    for below in _empty(inner):
                        _openable(inner, below)
                        os.rename(
                            below, f".{number}.{secrets.token_hex(4)}", src_dir_fd=inner, dst_dir_fd=top
                        )
                        number += 1
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _opened(parent: int, name: str) -> int:
    _openable(parent, name)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def _openable(parent: int, name: str) -> None:
    if os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=parent)


def _empty(folder: int) -> list[str]:
    """Remove what is no folder; names of the folders that are left."""
    with os.scandir(folder) as entries:
        found = [(one.name, one.is_dir(follow_symlinks=False)) for one in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def used(folder: Path, most_files: int) -> tuple[int, int]:
    """Bytes on disk and number of entries; the count stops soon after `most_files`."""
    size = count = 0
    waiting = [(str(folder), 0)]
    while waiting and count <= most_files:
        path, depth = waiting.pop()
        if depth > _DEEPEST:  # a tree so deep takes long to look through, and hides what is in it
            return size, most_files + 1
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    count += 1
                    try:
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((entry.path, depth + 1))
                    except OSError:  # gone since
                        continue
                    if count > most_files:
                        break
        except PermissionError:  # made so that nobody looks into it
            return size, most_files + 1
        except OSError:  # gone since
            continue
    return size, count


def _lend_fonts(config: Path) -> None:
    """Copy matplotlib's list of fonts, where there is one: making it takes seconds."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
    for file in sorted(cache.glob("fontlist-*.json")) if cache.is_dir() else ():
        shutil.copyfile(file, config / file.name)
