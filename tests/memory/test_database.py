"""Engine and migrations: one file, many writers, no loss."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from nereus.errors import StoreError
from nereus.memory.checkpoints import open_checkpoints
from nereus.memory.database import Database, DatabaseLedger
from nereus.memory.database import engine as engine_module
from nereus.memory.database.engine import SCHEMA
from nereus.memory.database.migrations.upgrade import revisions
from nereus.memory.database.models import Base
from nereus.memory.events import EventStream
from nereus.memory.runs import RunRepository
from tests.memory.factories import call, decision, header, objective
from tests.memory.test_checkpoints import config, graph

FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["tests.memory.test_database"])


def test_migrations_make_exactly_the_models(url: str) -> None:
    database = Database(url)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert set(Base.metadata.tables) <= set(inspect(connection).get_table_names())
    assert database.revision() == SCHEMA == revisions()[0]
    assert database.problems() == []


def test_sqlite_keeps_a_write_ahead_log_and_waits_for_other_writers(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a' / 'b.sqlite'}")
    with database.read() as connection:
        read = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "busy_timeout", "synchronous", "foreign_keys")
        }
    assert read == {"journal_mode": "wal", "busy_timeout": 60000, "synchronous": 1, "foreign_keys": 1}
    assert (database.size() or 0) > 0


def test_a_newer_database_is_refused(url: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreError, match="'9999' is newer") as caught:
        Database(url)
    assert "install the newer Nereus" in (caught.value.mend or "")


def test_a_killed_migration_leaves_nothing_and_the_next_start_mends_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nereus.memory.database.migrations import upgrade as upgrade_module

    whole = upgrade_module.upgrade

    def stop_halfway(connection: object) -> None:
        whole(connection)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(upgrade_module, "upgrade", stop_halfway)
    with pytest.raises(KeyboardInterrupt):
        Database(url)
    monkeypatch.undo()
    database = Database(url)
    assert database.revision() == SCHEMA
    assert database.problems() == []


@pytest.mark.parametrize(
    "content", [b"not a database at all, but a text" * 200, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "nereus.sqlite"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"nereus\.sqlite"):
        Database(f"sqlite:///{file}")
    assert file.read_bytes() == content, "what the user has there is not touched"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="database cannot be used"):
        Database(f"sqlite:///{tmp_path / 'file' / 'nereus.sqlite'}")


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")

    monkeypatch.setattr(engine_module, "create_engine", missing)
    with pytest.raises(StoreError, match="'psycopg' is not installed") as caught:
        Database("postgresql://nereus:secret@127.0.0.1/nereus")
    assert ".[postgres]" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_is_written_together_is_kept_together(database: Database) -> None:
    runs, events, seen = RunRepository(database), EventStream(database), []
    run = runs.create_run(header())
    events.subscribe(seen.append)

    def fail_late() -> None:
        with database.write():
            DatabaseLedger(database, run.id).record_call(call())
            events.append(run.id, "step_finished")
            runs.add_notice(run.id, "lost")
            assert events.read(run.id)[0].type == "step_finished", "a thread reads what it has just written"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    assert DatabaseLedger(database).find_call(call().key) is None
    assert events.read(run.id) == []
    assert seen == [], "listeners hear only of what is kept"
    assert runs.load(run.id).notices == ()
    with database.write():
        events.append(run.id, "step_finished")
        assert seen == []
    assert [event.seq for event in seen] == [1]


def _write(url: str, run_id: str, process: int, threads: int, rounds: int) -> None:
    """Body of one process of the writers' test: `threads` threads, each with its own calls and events."""
    database = Database(url)
    ledger, events, runs = DatabaseLedger(database, run_id), EventStream(database), RunRepository(database)

    def work(thread: int) -> None:
        for number in range(rounds):
            identity = (process * 100 + thread) * 1000 + number
            ledger.record_call(call(identity))
            ledger.record_call(call(number))  # the same key from every writer
            events.append(
                run_id, "step_finished", f"{process}.{thread}.{number}", key=f"{process}.{thread}.{number}"
            )
            events.append(run_id, "step_finished", "shared", {"n": number}, key=f"shared {number}")
            runs.list_runs()

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, thread) for thread in range(threads)]:
            done.result()


def test_twenty_writers_in_processes_and_threads(url: str) -> None:
    processes, threads, rounds = 4, 5, 10
    database = Database(url)
    run = RunRepository(database).create_run(header())
    workers = [
        FRESH.Process(target=_write, args=(url, run.id, n, threads, rounds)) for n in range(1, processes + 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * processes, "no writer met a locked database"
    events = EventStream(database).read(run.id)
    assert [event.seq for event in events] == list(range(1, processes * threads * rounds + rounds + 1))
    own = {event.subject for event in events} - {"shared"}
    assert len(own) == processes * threads * rounds
    assert sorted(event.payload["n"] for event in events if event.subject == "shared") == list(range(rounds))
    with database.read() as connection:
        counted = {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in ("tool_calls", "call_outputs", "artifacts")
        }
    n_calls = processes * threads * rounds + rounds
    assert counted == {"tool_calls": n_calls, "call_outputs": 2 * n_calls, "artifacts": n_calls + 1}
    assert database.problems() == []


def _write_units(
    url: str, checkpoints: str, run_id: str, process: int, rounds: int, barrier: Barrier
) -> None:
    """Body of one process of the test below: what nodes of a run write, all of it in units, and a graph's checkpoints."""
    database = Database(url)
    ledger, events, runs = DatabaseLedger(database, run_id), EventStream(database), RunRepository(database)
    barrier.wait(120)
    for number in range(rounds):
        with database.unit():
            made = decision(process * 1000 + number)
            runs.save_decisions(run_id, [made])
            runs.save_objectives(run_id, [objective(process), objective(0)])
            events.post(run_id, "step_finished", f"{process}", {"n": number}, key=f"{process}.{number}")
        ledger.record_call(call(number))
        runs.add_notice(run_id, f"{number}")
    with open_checkpoints(checkpoints) as saver:
        graph().compile(checkpointer=saver).invoke({"log": []}, config(f"p{process}"), durability="sync")
    database.close()


def test_twenty_processes_write_at_once(url: str, tmp_path: Path) -> None:
    """Twenty runs of one user, or of one group: nobody meets a locked database, nothing is lost, nobody waits for ever."""
    processes, rounds = 20, 8
    database = Database(url)
    checkpoints = f"sqlite:///{tmp_path / 'checkpoints.sqlite'}" if database.is_sqlite else url
    run = RunRepository(database).create_run(header())
    barrier = FRESH.Barrier(processes)
    workers = [
        FRESH.Process(target=_write_units, args=(url, checkpoints, run.id, n, rounds, barrier))
        for n in range(1, processes + 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0] * processes, "a writer met a locked database"
    events = EventStream(database).read(run.id)
    assert [event.seq for event in events] == list(range(1, processes * rounds + 1))
    assert {(event.subject, event.payload["n"]) for event in events} == {
        (f"{process}", number) for process in range(1, processes + 1) for number in range(rounds)
    }
    record = RunRepository(database).load(run.id)
    assert len(record.decisions) == processes * rounds
    assert len(record.objectives) == processes + 1
    assert sorted(record.notices) == sorted(f"{number}" for number in range(rounds))
    with open_checkpoints(checkpoints) as saver:
        for process in range(1, processes + 1):
            assert graph().compile(checkpointer=saver).get_state(config(f"p{process}")).next == ("gate",)
    assert database.problems() == []


def _open(url: str, barrier: threading.Barrier) -> None:
    barrier.wait(60)
    Database(url).close()


def test_processes_that_start_at_once_make_one_schema(url: str) -> None:
    barrier = FRESH.Barrier(3)
    workers = [FRESH.Process(target=_open, args=(url, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert Database(url).problems() == []


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(tmp_path: Path) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this platform does not fork")
    database = Database(f"sqlite:///{tmp_path / 'nereus.sqlite'}")
    runs, events = RunRepository(database), EventStream(database)
    run = runs.create_run(header())
    events.append(run.id, "run_started")
    child = multiprocessing.get_context("fork").Process(target=_append_in_child, args=(database, run.id))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert [event.type for event in events.read(run.id)] == ["run_started", "step_started"]


def _append_in_child(database: Database, run_id: str) -> None:
    EventStream(database).append(run_id, "step_started")


def test_no_statement_of_one_database_outside_the_engine() -> None:
    """PostgreSQL is a URL away only while nobody writes SQLite's dialect elsewhere."""
    memory = Path(engine_module.__file__).parent.parent
    dialect = ("PRAGMA", "BEGIN IMMEDIATE", "sqlalchemy.dialects", "INSERT OR ", "rowid", "sqlite_master")
    allowed = {"engine.py", "checkpoints.py", "containment.py"}  # which ask each database in its own words
    found = [
        (file.name, word)
        for file in memory.rglob("*.py")
        for word in dialect
        if file.name not in allowed and word in file.read_text(encoding="utf-8")
    ]
    assert found == []


def test_sqlite_is_new_enough() -> None:
    assert sqlite3.sqlite_version_info >= (3, 24), "upserts need SQLite 3.24"
