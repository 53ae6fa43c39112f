"""Who may do what at the same time: one process works on a run, and nobody prunes what another may be about to use.

Beside a SQLite database locks are files, which the operating system frees when their process dies. In PostgreSQL they are
locks of the server, since processes of several machines may share it; it frees those of a lost connection.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from nereus.errors import StoreError
from nereus.memory.database import Database

STORE = "store"
"""Shared by whoever works with runs; held alone by who removes what no run needs."""
_LOOK_S = 0.05


@contextmanager
def held(
    database: Database, folder: Path, name: str, shared: bool = False, wait_s: float = 0.0
) -> Iterator[bool]:
    """Hold a lock while inside; gives False where another process has it.

    Parameters
    ----------
    database
        What the lock is about.
    folder
        Where lock files are, beside a SQLite database.
    name
        Name of the lock: the id of a run, or `STORE`.
    shared
        Others may hold it, too, if they share it as well.
    wait_s
        How long it is tried.
    """
    with (
        _in_a_file(folder / f"{name}.lock", shared)
        if database.is_sqlite
        else _in_the_server(database, name, shared)
    ) as attempt:
        ends = time.monotonic() + wait_s
        while not (mine := attempt()) and time.monotonic() < ends:
            time.sleep(_LOOK_S)
        yield mine


@contextmanager
def _in_a_file(file: Path, shared: bool) -> Iterator[Callable[[], bool]]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(
            f"the lock cannot be made: {error.strerror or error}",
            where=str(file),
            mend="set NEREUS_HOME to a folder where you may write",
        ) from error

    def attempt() -> bool:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield attempt
    finally:
        os.close(handle)


@contextmanager
def _in_the_server(database: Database, name: str, shared: bool) -> Iterator[Callable[[], bool]]:
    number = int.from_bytes(hashlib.sha256(f"nereus {name}".encode()).digest()[:8], "big", signed=True)
    kind = "_shared" if shared else ""
    with database.engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        mine = False

        def attempt() -> bool:
            nonlocal mine
            query = text(f"SELECT pg_try_advisory_lock{kind}(:number)")
            mine = bool(connection.execute(query, {"number": number}).scalar_one())
            return mine

        try:
            yield attempt
        finally:
            if mine and not connection.invalidated:
                connection.execute(text(f"SELECT pg_advisory_unlock{kind}(:number)"), {"number": number})
