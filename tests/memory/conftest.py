"""A database and records to put into it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nereus.memory.database import Database
from nereus.memory.events import EventStream
from nereus.memory.records import RunHeader
from nereus.memory.runs import RunRepository
from tests.memory.factories import header


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'nereus.sqlite'}"
    return str(request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, to copy."""
    file = tmp_path_factory.mktemp("migrated") / "nereus.sqlite"
    Database(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def database(url: str, migrated: Path) -> Iterator[Database]:
    if url.startswith("sqlite"):
        shutil.copyfile(migrated, url.removeprefix("sqlite:///"))
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def runs(database: Database) -> RunRepository:
    return RunRepository(database)


@pytest.fixture
def events(database: Database) -> EventStream:
    return EventStream(database)


@pytest.fixture
def run(runs: RunRepository) -> RunHeader:
    return runs.create_run(header())
