"""Trained methods under names: versions, what each learned from, and how well it did.

Layout: ``<root>/<name>/<version>/{model.safetensors, config.json, entry.json}``; versions count from one and are never
given again. A version is its folder, which is made before anything is written (so that of several processes each has its own), is
listed once its entry is there, and stays, empty, when it is deleted.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from nereus.errors import InputError
from nereus.explained import Explained
from nereus.models import registry
from nereus.models.base import Method

_ENTRY = "entry.json"
_LAST = "last_version"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Entry(Explained):
    """One trained method of the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What its owner calls it."""
    version: int
    """Counts from one."""
    method: str
    """Name in the registry of methods."""
    created: str
    """When it was kept, UTC, ISO 8601."""
    data_hash: str
    """SHA-256 of the table that it learned from."""
    data_name: str = ""
    """File or artifact that the table came from."""
    columns: dict[str, list[str]] = Field(default_factory=dict)
    """Role to columns."""
    metrics: dict[str, float | None] = Field(default_factory=dict)
    """Of rows that were held out; the baseline's under ``baseline_...``."""


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a model."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a model", where="model store", mend="letters, digits, . _ -"
        )


class ModelStore:
    """A folder of trained methods.

    Parameters
    ----------
    root
        The folder; made when it is missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, name: str, method: Method[Any], **facts: Any) -> Entry:
        """Keep a trained method as the next version of a name; `facts` are fields of `Entry`."""
        require_name(name)
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        version = self._claimed(folder)
        entry = Entry(
            name=name,
            version=version,
            method=method.card.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            **facts,
        )
        place = folder / str(version)
        try:
            method.save(place)
            fresh = place / f".{_ENTRY}.new"
            fresh.write_text(entry.model_dump_json(indent=2) + "\n", encoding="utf-8")
            fresh.replace(place / _ENTRY)
        except BaseException:
            _empty(place)
            raise
        return entry

    def entries(self, name: str | None = None) -> list[Entry]:
        """What is kept, by name and version; without what is `damaged`."""
        found = (_read(file) for file in self._files(name))
        return sorted((one for one in found if one is not None), key=lambda one: (one.name, one.version))

    def damaged(self, name: str | None = None) -> list[Path]:
        """Folders of versions whose entry cannot be read. They can be deleted, nothing else."""
        return sorted(file.parent for file in self._files(name) if _read(file) is None and file.exists())

    def find(self, name: str, version: int | None = None) -> tuple[Entry, Path]:
        """A version of a name, by default the newest, and its folder."""
        known = {one.version: one for one in self.entries(name)} if _NAME.fullmatch(name) else {}
        for one in self.damaged(name) if _NAME.fullmatch(name) else ():
            if one.name == str(version) or not known:
                raise InputError(
                    "the entry is damaged", where=str(one / _ENTRY), mend=f"delete version {one.name} of it"
                )
        if not known:
            names = sorted({one.name for one in self.entries()})
            raise InputError(f"no model is called {name!r}", where=str(self.root), mend=f"there are {names}")
        if version is not None and version not in known:
            raise InputError(f"model {name!r} has no version {version}", mend=f"versions are {sorted(known)}")
        entry = known[max(known) if version is None else version]
        return entry, self.root / name / str(entry.version)

    def load(self, name: str, version: int | None = None) -> Method[Any]:
        """A trained method by name."""
        return registry.load(self.find(name, version)[1])

    def delete(self, name: str, version: int | None = None) -> list[int]:
        """Remove a version, or all of a name; gives the numbers of what was removed."""
        kept: set[int] = set()
        if _NAME.fullmatch(name):
            kept |= {one.version for one in self.entries(name)}
            kept |= {int(one.name) for one in self.damaged(name)}
        if not kept or version not in {None, *kept}:
            self.find(name, version)  # says what there is
        gone = sorted(kept) if version is None else [version]
        for one in gone:
            _empty(self.root / name / str(one))
        return gone

    def _files(self, name: str | None) -> list[Path]:
        """Entries of versions that are there: hidden folders, and what is being written, are none."""
        names = (
            [self.root / name] if name else [one for one in _inside(self.root) if _NAME.fullmatch(one.name)]
        )
        versions = (one for folder in names for one in _inside(folder) if one.name.isdigit())
        return [file for one in versions if (file := one / _ENTRY).exists()]

    def _claimed(self, folder: Path) -> int:
        """The next version, its folder made: a number is not used again after its model was deleted."""
        noted = folder / _LAST  # stores of before removed the folders of what they deleted
        least = int(noted.read_text(encoding="utf-8")) if noted.exists() else 0
        while True:
            version = max([least, *(int(one.name) for one in _inside(folder) if one.name.isdigit())]) + 1
            try:
                (folder / str(version)).mkdir()
            except FileExistsError:
                least = version
            else:
                return version


def parted(told: str) -> tuple[str, int | None]:
    """Name and version of ``name@version``; a name alone is that of its newest version.

    Examples
    --------
    >>> parted("solubility@2"), parted("solubility")
    (('solubility', 2), ('solubility', None))
    """
    name, sign, version = told.rpartition("@")
    return (name, int(version)) if sign and version.isdecimal() else (told, None)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _read(file: Path) -> Entry | None:
    """An entry; None where it cannot be read, or is another's."""
    try:
        entry = Entry.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, OSError, UnicodeDecodeError):
        return None
    return entry if (entry.name, str(entry.version)) == (file.parent.parent.name, file.parent.name) else None


def _empty(place: Path) -> None:
    """Remove what is in a version's folder, its entry first, so that nobody finds a part of a model."""
    for one in sorted(_inside(place), key=lambda file: file.name != _ENTRY):
        one.unlink(missing_ok=True)
