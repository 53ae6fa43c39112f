"""Which runs are kept, what they need, and how the rest is removed.

A kept run needs every tool call and artifact that any of its rows names, whatever the column or field (keys and
artifacts have names of 64 hexadecimal digits, so a row is read as text), everything that those calls name in turn, and
the runs that its header names. What is removed goes in an order after which a killed removal leaves nothing half:
checkpoints, then all rows in one transaction, then files; what a killed one left goes with the next.

Reports in their folders are whole by themselves and stay; `nereus verify` needs nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, Table, delete, select

from nereus.errors import InputError, StoreError
from nereus.memory.artifacts import SUFFIX
from nereus.memory.checkpoints import open_checkpoints, size
from nereus.memory.database import Database
from nereus.memory.database.models import ArtifactRow, Base, CallOutputRow, DatasetRow, RunRow, ToolCallRow
from nereus.memory.database.server_tables import JobRow, UploadRow
from nereus.memory.locks import STORE, held
from nereus.memory.records import UNFINISHED, RunHeader
from nereus.memory.rows import in_parts
from nereus.memory.runs import RunRepository

if TYPE_CHECKING:
    from nereus.settings import Settings

LOCKS = "locks"
"""Folder of the home with the locks of runs."""

_ARTIFACTS = cast(Table, ArtifactRow.__table__)
_CALLS = cast(Table, ToolCallRow.__table__)
_DATASETS = cast(Table, DatasetRow.__table__)
_OUTPUTS = cast(Table, CallOutputRow.__table__)
_RUNS = cast(Table, RunRow.__table__)
_UPLOADS = cast(Table, UploadRow.__table__)
_JOBS = cast(Table, JobRow.__table__)
_SHARED = {
    _ARTIFACTS.name,
    _DATASETS.name,
}  # their rows belong to all runs: `run_id` only tells which was the first
_NAME = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[\w-]+")  # the id of a run, among other words
_TEMPORARY_S = 86_400.0  # what is being written has such a name; what is older was left by a killed process


@dataclass
class Pruned:
    """What was removed, or would be."""

    runs: tuple[RunHeader, ...] = ()
    kept: tuple[tuple[RunHeader, str], ...] = ()
    """Runs that were chosen but stay, and why."""
    calls: int = 0
    objects: int = 0
    """Files of artifacts."""
    object_bytes: int = 0
    database_bytes: int | None = None
    """By which the files of rows and checkpoints became smaller; None for a server, and where nothing was removed."""
    notices: list[str] = field(default_factory=list)


def choose(
    headers: Sequence[RunHeader],
    keep: int | None = None,
    older_than_days: float | None = None,
    unfinished: bool = False,
    at: datetime | None = None,
) -> tuple[list[RunHeader], list[tuple[RunHeader, str]]]:
    """Choose the runs that may go; where both limits are given, those beyond both.

    Parameters
    ----------
    headers
        All runs, newest first.
    keep
        How many of the newest stay.
    older_than_days
        Only what ended (or began, where it has not ended) longer ago may go.
    unfinished
        Whether runs may go that could be gone on with (``running`` without a process, ``waiting`` for an answer).
    at
        The time now.

    Returns
    -------
    tuple
        Those that go, and those that the limits chose but that stay, with the reason.
    """
    if (keep is not None and keep < 0) or (older_than_days is not None and older_than_days < 0):
        raise InputError("a limit is negative", where="runs prune", mend="give 0 or more")
    if keep is None and older_than_days is None:
        return [], []
    chosen = list(headers[keep or 0 :])
    if older_than_days is not None:
        before = (at or datetime.now(UTC)) - timedelta(days=older_than_days)
        chosen = [one for one in chosen if _ended(one) < before]
    stay: list[tuple[RunHeader, str]] = []
    if not unfinished:
        stay = [(one, f"it is {one.status}") for one in chosen if one.status in UNFINISHED]
        chosen = [one for one in chosen if one.status not in UNFINISHED]
    known = {one.id: one for one in chosen}
    waiting = [one for one in headers if one.id not in known]
    while waiting:  # a run that a kept one names is kept, and so are those that it names in turn
        one = waiting.pop()
        for name in _WORD.findall(one.model_dump_json()):
            named = known.pop(name, None)
            if named is not None:
                stay.append((named, f"run {one.id} refers to it"))
                waiting.append(named)
    return [one for one in chosen if one.id in known], stay


def _ended(header: RunHeader) -> datetime:
    told = datetime.fromisoformat(header.finished or header.started)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def prune(
    settings: Settings,
    keep: int | None = None,
    older_than_days: float | None = None,
    unfinished: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Remove runs, and what no kept run needs; without limits only the latter.

    Parameters
    ----------
    settings
        Where everything is.
    keep, older_than_days, unfinished
        See `choose`.
    dry_run
        Remove nothing; tell what would be.

    Raises
    ------
    StoreError
        A run is being worked on: what it will need is not known yet.
    """
    with (
        closing(Database(settings.database_url)) as database,
        held(database, settings.home / LOCKS, STORE, shared=dry_run) as mine,
    ):
        if not mine:
            raise StoreError(
                "a run is being worked on, or another process prunes",
                where=str(settings.home),
                mend="wait until it has ended",
            )
        repository = RunRepository(database)
        headers = repository.list_runs()
        gone, stay = choose(headers, keep, older_than_days, unfinished)
        left = {one.id for one in headers} - {one.id for one in gone}
        calls, artifacts = needed(database, left)
        told = Pruned(tuple(gone), tuple(stay))
        with database.read() as connection:
            all_calls = set(connection.execute(select(_CALLS.c.cache_key)).scalars())
        told.calls = len(all_calls - calls)
        others = other_users(settings.artifact_root, database, settings)
        files = [] if others else list(unneeded(settings.artifact_root, artifacts))
        if others:
            told.notices.append(
                f"artifacts stay: {others[0]} keeps its own in {settings.artifact_root}, too;"
                " give each database a NEREUS_HOME or NEREUS_ARTIFACT_ROOT of its own"
            )
        sizes = {file: file.stat().st_size for file in files}
        told.objects, told.object_bytes = len(sizes), sum(sizes.values())
        if dry_run:
            return told
        before = _size(database, settings)
        if gone:
            _forget_checkpoints(settings.checkpoint_url, [one.id for one in gone])
        with database.write() as connection:
            _delete(connection, _RUNS, "id", [one.id for one in gone])
            _delete(connection, _CALLS, "cache_key", sorted(all_calls - calls))
            for table in (_ARTIFACTS, _DATASETS):
                known = set(connection.execute(select(table.c.id)).scalars())
                _delete(connection, table, "id", sorted(known - artifacts))
        for file in files:
            file.unlink(missing_ok=True)
        for one in gone:
            (settings.home / LOCKS / f"{one.id}.lock").unlink(missing_ok=True)
        database.vacuum()
        _vacuum_checkpoints(settings.checkpoint_url)
        after = _size(database, settings)
        if before is not None and after is not None:
            told.database_bytes = max(0, before - after)
        else:
            told.notices.append(
                "the server reuses the space of removed rows; it gives it back with VACUUM FULL"
            )
        return told


def needed(database: Database, runs: Collection[str]) -> tuple[set[str], set[str]]:
    """Find the keys of calls and the ids of artifacts that these runs need, and what the server's users keep."""
    calls: set[str] = set()
    with database.read() as connection:
        known = set(connection.execute(select(_CALLS.c.cache_key)).scalars())
        makers: dict[str, list[str]] = {}
        edges = select(_OUTPUTS.c.cache_key, _OUTPUTS.c.artifact_id).order_by(_OUTPUTS.c.cache_key)
        for call, artifact in connection.execute(edges).all():
            makers.setdefault(artifact, []).append(call)
        found = set(_named(connection, sorted(runs)))
        found.update(connection.execute(select(_UPLOADS.c.artifact_id)).scalars())
        for job in connection.execute(
            select(_JOBS.c.request, _JOBS.c.result).where(_JOBS.c.run_id.is_(None))
        ):
            found.update(_NAME.findall(job.request), _NAME.findall(job.result))
        while True:
            fresh = (found & known) - calls
            if not fresh:
                # An artifact whose maker no run names keeps one: provenance leads back to the user's file.
                fresh = {makers[one][0] for one in found & makers.keys() if calls.isdisjoint(makers[one])}
            if not fresh:
                return calls, found - known
            calls |= fresh
            for part in in_parts(sorted(fresh)):
                for document in connection.execute(
                    select(_CALLS.c.document).where(_CALLS.c.cache_key.in_(part))
                ).scalars():
                    found.update(_NAME.findall(document))


def _named(connection: Connection, runs: Sequence[str]) -> Iterator[str]:
    """List every name of a call or artifact in any row of the runs."""
    for table in Base.metadata.sorted_tables:
        if table.name in _SHARED:
            continue
        owner = table.c.id if table is _RUNS else table.c.get("run_id")
        if owner is None:
            continue
        for part in in_parts(runs):
            for row in connection.execute(select(table).where(owner.in_(part))):
                for value in row:
                    if isinstance(value, str):
                        yield from _NAME.findall(value)


def unneeded(root: Path, artifacts: Collection[str]) -> Iterator[Path]:
    """List the files of a folder of artifacts that nobody needs, and what killed processes left half-written."""
    objects = root / "objects"
    for suffix in SUFFIX.values():
        for file in sorted(objects.glob(f"??/*{suffix}")):
            if _NAME.fullmatch(file.stem) and file.stem not in artifacts:
                yield file
    for file in sorted(objects.glob(".new-*")):
        if time.time() - file.stat().st_mtime > _TEMPORARY_S:
            yield file


# ------------------------------------------------------------------------------------- who uses a folder of artifacts


def sign(root: Path, database: Database) -> None:
    """Note in a folder of artifacts that a database refers to them."""
    file = _note_file(root, database)
    if not file.exists() or _note(file) is None:
        file.parent.mkdir(parents=True, exist_ok=True)
        path = None if database.file is None else str(database.file)
        note = {"identity": database.identity, "host": platform.node(), "file": path, "root": str(root)}
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(note))
        partial.replace(file)


def _note_file(root: Path, database: Database) -> Path:
    return root / "databases" / f"{hashlib.sha256(database.identity.encode()).hexdigest()[:16]}.json"


def _note(file: Path) -> Mapping[str, str | None] | None:
    """Read a note; None where it is damaged."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and {"identity", "host", "file", "root"} <= found.keys()
    return found if whole else None


def other_users(root: Path, database: Database, settings: Settings) -> list[str]:
    """Name the other databases that may refer to the artifacts of a folder."""
    default = settings.home / "nereus.sqlite"  # it may be older than the notes
    found = {f"{platform.node()}:{default}"} if default.exists() else set()
    for file in sorted((root / "databases").glob("*.json")):
        note = _note(file)
        if note is None:  # whose it is cannot be told, unless it is ours
            if file != _note_file(root, database):
                found.add(f"an unknown database ({file.name})")
            continue
        here = note["host"] == platform.node()
        moved = here and note["file"] is not None and not Path(note["file"]).exists()
        copied = here and note["root"] != str(root)
        if not moved and not copied:
            found.add(str(note["identity"]))
    return sorted(found - {database.identity})


# ---------------------------------------------------------------------------------------------------------- removing


def _delete(connection: Connection, table: Table, column: str, values: Sequence[str]) -> None:
    for part in in_parts(values):
        connection.execute(delete(table).where(table.c[column].in_(part)))


def _forget_checkpoints(url: str, runs: Iterable[str]) -> None:
    with open_checkpoints(url) as saver:
        for run_id in runs:
            saver.delete_thread(run_id)


def _vacuum_checkpoints(url: str) -> None:
    with open_checkpoints(url) as saver:
        connection = saver.conn  # type: ignore[attr-defined]
        if isinstance(connection, sqlite3.Connection):
            connection.commit()
            connection.execute("VACUUM")
        else:
            connection.execute("VACUUM checkpoints, checkpoint_blobs, checkpoint_writes")


def _size(database: Database, settings: Settings) -> int | None:
    rows, checkpoints = database.size(), size(settings.checkpoint_url)
    return None if rows is None else rows + (checkpoints or 0)
