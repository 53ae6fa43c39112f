"""Trained methods under names: versions, what each learned from, and how well it did.

Layout: ``<root>/<name>/<version>/{model.safetensors, config.json, entry.json}``; versions count from one and are never
given again.
"""

from __future__ import annotations

import re
import shutil
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
        version = self._last(folder) + 1
        entry = Entry(
            name=name,
            version=version,
            method=method.card.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            **facts,
        )
        fresh = folder / f".{version}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        method.save(fresh)
        (fresh / _ENTRY).write_text(entry.model_dump_json(indent=2) + "\n", encoding="utf-8")
        fresh.rename(folder / str(version))
        (folder / _LAST).write_text(str(version), encoding="utf-8")
        return entry

    def entries(self, name: str | None = None) -> list[Entry]:
        """What is kept, by name and version."""
        found = []
        for file in sorted(self.root.glob(f"{name or '*'}/*/{_ENTRY}")):
            try:
                found.append(Entry.model_validate_json(file.read_text(encoding="utf-8")))
            except (ValidationError, OSError) as error:
                raise InputError("the entry is damaged", where=str(file), mend="remove its folder") from error
        return sorted(found, key=lambda one: (one.name, one.version))

    def find(self, name: str, version: int | None = None) -> tuple[Entry, Path]:
        """A version of a name, by default the newest, and its folder."""
        known = {one.version: one for one in self.entries(name)} if _NAME.fullmatch(name) else {}
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

    def delete(self, name: str, version: int | None = None) -> list[Entry]:
        """Remove a version, or all of a name; gives what was removed."""
        entry, folder = self.find(name, version)
        gone = [entry] if version is not None else self.entries(name)
        for one in gone:
            shutil.rmtree(folder.parent / str(one.version))
        return gone

    def _last(self, folder: Path) -> int:
        """The highest version that was ever given: a number is not used again after its model was deleted."""
        kept = [int(one.name) for one in folder.iterdir() if one.name.isdigit()]
        noted = folder / _LAST
        return max([0, *kept, int(noted.read_text(encoding="utf-8")) if noted.exists() else 0])
