"""The run database: a SQLite file by default, PostgreSQL by URL. What differs between them is in this file.

SQLite discipline
    Write-ahead log, so that readers never wait for a writer. ``synchronous=NORMAL``: a killed process loses
    nothing that was committed and no crash can corrupt the file; only a power cut may lose the last
    transactions, which are then computed again, since every step is a pure function of its key. A commit
    costs
    0.04 ms instead of an fsync (0.3 to 20 ms by disk).
    One writer at a time: threads of a process queue at a lock, processes at ``BEGIN IMMEDIATE`` with a busy
    timeout of 60 s. A transaction that will write takes the write lock first, so it never fails half-way.

PostgreSQL
    The same calls. Rows that must be written in turn (a run's event counter) are locked by
    ``SELECT ... FOR NO KEY UPDATE``. Threads of a process queue at a lock here, too: two workers of a run write the same
    rows in an order of their own, and would wait for each other.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from nereus.errors import NereusError, StoreError
from nereus.memory.database import (  # noqa: F401  (so that `Base` knows all tables)
    action_tables,
    chat_tables,
    langgraph_tables,
    reasoner_tables,
    server_tables,
)
from nereus.memory.database.models import Base
from nereus.memory.database.unit import Unit, Write

SCHEMA = "0010"
"""Revision of the newest migration: what this version of Nereus reads and writes."""

BUSY_S = 60.0
"""How long a writer waits for another process's transaction (ours take about a millisecond)."""

_WRITERS: dict[str, threading.RLock] = {}
_WRITERS_LOCK = threading.Lock()


def now() -> str:
    """Tell the time as rows keep it: UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Database:
    """An open run database.

    Parameters
    ----------
    url
        ``sqlite:///path`` or ``postgresql://...``. The schema is made or brought up to date on first use.

    Raises
    ------
    StoreError
        The database cannot be opened, or was written by a newer version of Nereus.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.shown_url = parsed.render_as_string(hide_password=True)
        self.file = Path(parsed.database or "").expanduser().absolute() if self.is_sqlite else None
        self._additions: dict[str, Any] = {}  # statements by table: building one costs more than running it
        self._replacements: dict[str, Any] = {}
        self._thread = threading.local()
        self._process = os.getpid()
        if self.file is not None:
            if not parsed.database or parsed.database == ":memory:":
                raise StoreError(
                    "a database in memory cannot be shared", where=url, mend="name a file: sqlite:///path"
                )
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._broken(error) from error
            parsed = parsed.set(database=str(self.file))
            self.engine = self._sqlite_engine(parsed)
        else:
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            try:
                self.engine = create_engine(parsed, pool_pre_ping=True)
            except ModuleNotFoundError as error:
                raise StoreError(
                    f"the driver {error.name!r} is not installed",
                    where=self.shown_url,
                    mend="pip install -e '.[postgres]'",
                ) from error
        self._writers = str(self.file or parsed)
        with _WRITERS_LOCK:
            self._writer = _WRITERS.setdefault(self._writers, threading.RLock())
        self._bring_up_to_date()

    # ------------------------------------------------------------------ transactions

    @contextmanager
    def read(self, settled: bool = True) -> Iterator[Connection]:
        """Open one consistent view. The same thread reads what it has written, in `write` and in a `unit`.

        Parameters
        ----------
        settled
            False where nothing that a `unit` gathers can be among the rows; what waits then goes on waiting.
        """
        current = self._current()
        if current is not None:
            yield current
            return
        if settled:
            self.settle()
        try:
            with self.engine.connect() as connection:
                yield connection
        except (DBAPIError, sqlite3.Error) as error:
            raise self._broken(error) from error

    @contextmanager
    def write(self, references: bool = True) -> Iterator[Connection]:
        """Open a transaction that may write: all of it is kept, or nothing.

        Calls nest: the outermost one commits, so that several records can be written as one. What waits in the
        thread's `unit` is written first, by the same transaction.

        Parameters
        ----------
        references
            False leaves it to the caller to see that rows refer to rows that exist (SQLite only), as a migration must.
        """
        current = self._current()
        if current is not None:
            yield current
            return
        self._writer.acquire()
        pending: list[Callable[[], None]] = []
        try:
            with self.engine.connect() as plain:
                connection = plain.execution_options(nereus_writes=True, nereus_references=references)
                with connection.begin():
                    self._thread.connection, self._thread.pending = connection, pending
                    try:
                        if waiting := self._unit():
                            waiting.write(connection)
                        yield connection
                    finally:
                        self._thread.connection = self._thread.pending = None
        except IntegrityError as error:
            raise StoreError(
                f"the rows contradict what is stored: {error.orig}",
                where=self.shown_url,
                mend="store what they refer to first",
            ) from error
        except (DBAPIError, sqlite3.Error) as error:
            raise self._broken(error) from error
        finally:
            self._writer.release()
        for call in pending:
            call()

    @contextmanager
    def unit(self) -> Iterator[None]:
        """Keep what this thread `saves <save>` inside in one transaction, at the end or when it is read before.

        When the inside fails, what it saved before is kept as well. Units nest: the outermost one keeps.
        """
        if self._unit() is not None or self._current() is not None:
            yield
            return
        self._thread.unit = Unit()
        try:
            yield
        finally:
            try:
                self.settle()
            finally:
                self._thread.unit = None

    def save(self, name: Hashable, items: Iterable[Any], write: Write) -> None:
        """Write `items` now, or with the others of the same name when this thread is in a `unit`.

        Parameters
        ----------
        name
            What is written at once: a table, or the stream of a run.
        items
            What `write` is given; in a unit together with everything that was saved under the name.
        write
            Writes them; within a unit, that of the first call under the name.
        """
        unit = self._unit()
        if unit is not None and self._current() is None:
            unit.gather(name, items, write)
            return
        with self.write() as connection:
            write(connection, list(items))

    def settle(self) -> None:
        """Write what waits in this thread's `unit` now."""
        if self._unit():
            with self.write():
                pass

    def after_commit(self, call: Callable[[], None]) -> None:
        """Do something once the running transaction of this thread is kept; at once when there is none."""
        pending: list[Callable[[], None]] | None = getattr(self._thread, "pending", None)
        if pending is None:
            call()
        else:
            pending.append(call)

    # ------------------------------------------------------------------ statements that differ by database

    def insert(self, table: Table) -> Any:
        """Make an INSERT that knows ``on_conflict_do_nothing`` and ``..._do_update`` on both databases."""
        return sqlite_dialect.insert(table) if self.is_sqlite else postgresql.insert(table)

    def add(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert the rows that are new by primary key; return how many they were, where the driver tells."""
        if not rows:
            return 0
        statement = self._additions.get(table.name)
        if statement is None:
            statement = self.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
            self._additions[table.name] = statement
        # One row goes alone: of several at once, not every driver tells how many were new.
        return connection.execute(statement, rows[0] if len(rows) == 1 else list(rows)).rowcount

    def put(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, or replace those with the same primary key but for the time of their first writing."""
        if not rows:
            return
        statement = self._replacements.get(table.name)
        if statement is None:
            fresh = self.insert(table)
            keys = [column.name for column in table.primary_key]
            kept = {*keys, "created_at"}
            changed = {
                column.name: fresh.excluded[column.name] for column in table.c if column.name not in kept
            }
            statement = fresh.on_conflict_do_update(index_elements=keys, set_=changed)
            self._replacements[table.name] = statement
        connection.execute(statement, list(rows))

    # ------------------------------------------------------------------ opening, closing, checking

    def close(self) -> None:
        """Close all connections; the object opens new ones when it is used again."""
        self.engine.dispose()

    @property
    def identity(self) -> str:
        """Name this database among others, wherever it is reached from: a file on this machine, or a server's."""
        if self.file is not None:
            return f"{platform.node()}:{self.file}"
        url = self.engine.url
        return f"{url.host}:{url.port or 5432}/{url.database}"

    def revision(self) -> str | None:
        """Read the revision of the schema in the database; None when it is empty."""
        with self.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()

    def problems(self) -> list[str]:
        """Run a quick integrity check and list what it finds; empty when all is well."""
        with self.read() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT 1"))
                return []
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check")]
            return [line for line in found if line != "ok"] + _dangling(connection)

    def size(self) -> int | None:
        """Measure the bytes on disk with the write-ahead log; None for a server."""
        if self.file is None:
            return None
        parts = (self.file, self.file.with_name(self.file.name + "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def vacuum(self) -> None:
        """Give the space of removed rows back: to the file system, or to the server for rows to come."""
        try:
            with self.engine.connect() as connection:
                if not self.is_sqlite:
                    own = ", ".join(sorted(Base.metadata.tables))
                    connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                        f"VACUUM {own}"
                    )
                    return
                driver: Any = connection.connection.driver_connection
                driver.execute("VACUUM")
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (DBAPIError, sqlite3.Error) as error:
            raise self._broken(error) from error

    def _bring_up_to_date(self) -> None:
        """Make or migrate the schema. Safe when several processes start at once: they queue at a lock."""
        try:
            if self._is_current():
                return
            with self._schema_lock():
                if self.is_sqlite:
                    self._write_ahead()
                if not self._is_current():
                    self._upgrade()
        except (DBAPIError, sqlite3.Error, OSError) as error:  # the lock's timeout is an OSError
            raise self._broken(error) from error

    def _upgrade(self) -> None:
        """Run the missing migrations in one transaction: a killed or failed one leaves the old schema."""
        from nereus.memory.database.migrations.upgrade import upgrade

        try:
            # SQLite alters a table by copying it and dropping the old one, which would take the rows of other tables
            # that refer to it along. So references are looked at once, at the end.
            with self.write(references=False) as connection:
                upgrade(connection)
                if self.is_sqlite and (dangling := _dangling(connection)):
                    raise StoreError(
                        f"its schema cannot be brought up to date: {dangling[0]}",
                        where=self.shown_url,
                        mend="go on with the Nereus that wrote it, or name another file with NEREUS_DATABASE_URL",
                    )
        finally:
            self.engine.dispose()  # connections that do not look at references are not used again

    def _is_current(self) -> bool:
        found = self.revision()
        if found is None or found == SCHEMA:
            return found == SCHEMA
        from nereus.memory.database.migrations.upgrade import revisions

        if found not in revisions():
            raise StoreError(
                f"its schema {found!r} is newer than this Nereus knows (it knows {SCHEMA!r})",
                where=self.shown_url,
                mend="install the newer Nereus that wrote it, or name another file with NEREUS_DATABASE_URL",
            )
        return False

    @contextmanager
    def _schema_lock(self) -> Iterator[None]:
        if self.file is not None:
            with FileLock(f"{self.file}.lock", timeout=BUSY_S):
                yield
            return
        with self.engine.connect() as connection:  # held by the session, so a killed process frees it
            connection.execute(text("SELECT pg_advisory_lock(7305)"))
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(7305)"))

    def _write_ahead(self) -> None:
        with self.engine.connect() as connection:
            driver = connection.connection.driver_connection
            mode = None if driver is None else driver.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                "the file system cannot keep a write-ahead log",
                where=self.shown_url,
                mend="set NEREUS_HOME to a folder on a local disk, or use PostgreSQL",
            )

    def _sqlite_engine(self, url: Any) -> Engine:
        engine = create_engine(
            url, connect_args={"timeout": BUSY_S, "check_same_thread": False}, pool_size=8, max_overflow=64
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, record: Any) -> None:
            del record
            connection.isolation_level = None  # transactions are begun below, not by the driver
            for pragma in (
                f"busy_timeout={int(BUSY_S * 1000)}",
                "synchronous=NORMAL",
                "foreign_keys=ON",
                "secure_delete=OFF",  # some builds overwrite with zeros what is replaced
            ):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            options = connection.get_execution_options()
            writes = options.get("nereus_writes", False)
            driver: Any = connection.connection.driver_connection  # a tenth of the way through SQLAlchemy
            if not options.get("nereus_references", True):
                driver.execute("PRAGMA foreign_keys=OFF")  # has no effect inside a transaction
            driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def _current(self) -> Connection | None:
        """Find the transaction that this thread is in."""
        self._after_fork()
        found: Connection | None = getattr(self._thread, "connection", None)
        return found

    def _unit(self) -> Unit | None:
        """Find the unit of work that this thread is in."""
        self._after_fork()
        found: Unit | None = getattr(self._thread, "unit", None)
        return found

    def _after_fork(self) -> None:
        """Forget, in a forked child, the parent's connections and a lock that only it could release."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._thread = threading.local()
            self.engine.dispose(close=False)
            with _WRITERS_LOCK:
                self._writer = _WRITERS[self._writers] = threading.RLock()

    def _broken(self, error: Exception) -> NereusError:
        reason = str(getattr(error, "orig", None) or error)
        mend = (
            "check that the server runs and the URL is right"
            if self.file is None
            else "check the folder, or run `nereus doctor`"
        )
        if "malformed" in reason or "not a database" in reason:
            mend = "move the file away; `nereus doctor` checks the new one"
        return StoreError(f"the database cannot be used: {reason}", where=self.shown_url, mend=mend)


def _dangling(connection: Connection) -> list[str]:
    """Name the tables of a SQLite file with rows that refer to nothing."""
    found = connection.exec_driver_sql("PRAGMA foreign_key_check")
    return [f"a row of {row[0]} refers to nothing" for row in found]
