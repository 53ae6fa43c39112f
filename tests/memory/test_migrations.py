"""A database that the first release wrote is brought up to date, and nothing in it is lost."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from typer.testing import CliRunner

from nereus.cli import app
from nereus.errors import StoreError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.database import Database
from nereus.memory.database.engine import SCHEMA
from nereus.memory.database.migrations import upgrade as upgrade_module
from nereus.memory.database.migrations.upgrade import config, revisions
from nereus.memory.database.models import Base
from nereus.memory.events import EventStream
from nereus.memory.records import ArtifactKind, ArtifactRef
from nereus.memory.runs import RunRepository
from nereus.memory.vectors import VectorIndex
from tests.conftest import TEST_DATA

FIRST = TEST_DATA / "first_release"
ROWS = json.loads((FIRST / "rows.json").read_text(encoding="utf-8"))
RUNS = [row["id"] for row in sorted(ROWS["runs"], key=lambda row: str(row["status"]))]
"""The finished one, then the one that waits for an answer."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The first release's file in a home folder."""
    file = tmp_path / "home" / "nereus.sqlite"
    file.parent.mkdir()
    file.write_bytes(gzip.decompress((FIRST / "nereus.sqlite.gz").read_bytes()))
    for table in sorted((FIRST / "artifacts").iterdir()):
        place = file.parent / "artifacts" / "objects" / table.name[:2] / table.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(table.read_bytes())
    return file


def content(file: Path) -> dict[str, list[dict[str, object]]]:
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in ROWS
        }


def test_the_file_is_of_the_first_schema_and_fresh_enough_to_test_with(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    assert content(old) == {table: rows for table, rows in ROWS.items() if rows}
    store = ArtifactStore(old.parent / "artifacts")
    for row in ROWS["artifacts"]:  # the first release named an artifact by the hash of its content, too
        ref = ArtifactRef(id=row["id"], kind=ArtifactKind.TABLE, name="table", size=row["size"])
        assert store.whole(ref)
        assert store.path(ref).stat().st_size == row["size"]
    assert revisions()[-1] == "0001"
    assert len(revisions()) > 1, "there is something to bring up to date"


def test_the_first_release_s_file_is_upgraded_and_its_runs_are_shown(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEREUS_HOME", str(old.parent))
    monkeypatch.chdir(old.parent)
    listed = CliRunner().invoke(app, ["runs"])
    assert listed.exit_code == 0, listed.output
    assert all(run in listed.output for run in RUNS)
    shown = CliRunner().invoke(app, ["show", RUNS[0]])
    assert shown.exit_code == 0, shown.output
    told = shown.output.replace("│", " ").split()
    assert "1. [supported, confidence 0.90] Protein 1 is higher in case by 1.33 log2 units" in " ".join(told)
    events = CliRunner().invoke(app, ["show", RUNS[0], "--events"])
    assert len(events.output.splitlines()) == sum(row["run_id"] == RUNS[0] for row in ROWS["events"])

    database = Database(f"sqlite:///{old}")
    assert database.revision() == SCHEMA
    assert database.problems() == []
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    added = {"runs": {"owner": "local"}}
    expected = {table: [{**row, **added.get(table, {})} for row in rows] for table, rows in ROWS.items()}
    assert content(old) == expected, "every row of every table"
    runs = RunRepository(database)
    record = runs.load(RUNS[0])
    assert [one.id for one in record.hypotheses] == ["H1", "H2"]
    assert [one.version for one in runs.workflow_versions(RUNS[0], "O1.W1")] == [1, 2]
    assert set(record.evidence) == {"E1", "E2"}
    assert EventStream(database).append(RUNS[1], "run_resumed").seq == 2
    with VectorIndex(runs, old.parent / "vectors") as index:
        assert index.recall("objectives", "which proteins differ by factor 1?", 1)[0].run_id == RUNS[0]
    runs.delete_run(RUNS[0])
    assert database.problems() == [], "what belongs to a run still goes with it"
    with database.read() as connection:
        left = {
            table: connection.execute(
                text(f"SELECT count(*) FROM {table} WHERE run_id = '{RUNS[0]}'")
            ).scalar_one()
            for table in ("events", "evidence", "steps", "atoms", "memories", "decisions")
        }
    assert set(left.values()) == {0}


def test_every_migration_can_be_taken_back_and_made_again(old: Path) -> None:
    database = Database(f"sqlite:///{old}")
    made = config()
    for target in [*revisions()[1:], "base"]:
        with database.write(references=False) as connection:
            made.attributes["connection"] = connection
            command.downgrade(made, target)
        database.close()
        if target == "0001":
            assert content(old) == ROWS
    with database.read() as connection:
        assert set(
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
        ) == {"alembic_version"}
    database.close()
    assert Database(f"sqlite:///{old}").revision() == SCHEMA


def test_every_migration_can_be_taken_back_on_postgresql(postgres: str) -> None:
    database = Database(postgres)
    made = config()
    for target in [*revisions()[1:], "base"]:
        with database.write() as connection:
            made.attributes["connection"] = connection
            command.downgrade(made, target)
    database.close()
    database = Database(postgres)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_an_upgrade_that_would_lose_references_leaves_the_old_file(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = upgrade_module.upgrade

    def careless(connection: object) -> None:
        whole(connection)  # type: ignore[arg-type]
        connection.exec_driver_sql("DELETE FROM runs")  # type: ignore[attr-defined]

    monkeypatch.setattr(upgrade_module, "upgrade", careless)
    with pytest.raises(StoreError, match="cannot be brought up to date"):
        Database(f"sqlite:///{old}")
    assert content(old) == ROWS
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
