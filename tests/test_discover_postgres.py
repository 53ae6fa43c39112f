"""The main job with database and checkpoints in a real PostgreSQL: the same bytes as with SQLite, killed or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import nereus
from benchmarks.kill_and_resume import outputs, small_data
from nereus.agents.planner.run import load_run
from nereus.memory.checkpoints import before_choices, open_checkpoints
from nereus.memory.database import Database
from nereus.memory.events import EventStream
from nereus.memory.records import Event, ObjectiveKind
from nereus.memory.retention import prune
from nereus.settings import load_settings
from tests.test_discover import _KILLED, SMALL

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def expected(data: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted run with SQLite leaves."""
    home = tmp_path_factory.mktemp("sqlite")
    nereus.discover(*data, out=home / "report", home=home, seed=3, workers=2, budget=SMALL)
    return outputs(home / "report")


def test_a_run_on_postgresql_gives_the_bytes_of_sqlite(
    data: tuple[Path, Path], expected: dict[str, bytes], postgres: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run = nereus.discover(
        *data, out=home / "report", home=home, seed=3, workers=2, budget=SMALL, database_url=postgres
    )
    assert run.status == "finished"
    assert outputs(home / "report") == expected
    assert not list(home.glob("*.sqlite")), "nothing is kept in files that belongs into the server"
    database = Database(postgres)
    events = EventStream(database).read(run.id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    with database.read() as connection:
        query = "SELECT count(*), count(DISTINCT checkpoint_ns) FROM checkpoints"
        kept, graphs = connection.exec_driver_sql(query).one()
        blobs = connection.exec_driver_sql("SELECT count(*) FROM checkpoint_blobs").scalar_one()
    database.close()
    with open_checkpoints(postgres) as saver:
        choices = len(before_choices(saver, run.id))
    assert kept == graphs + choices, (
        "of a finished run the last ones stay, and those at which it can be forked"
    )
    assert graphs > 0 < choices
    assert blobs < 60 * graphs, "the values of the others went with them"
    again = load_run(
        run.id, home=tmp_path / "elsewhere", artifact_root=home / "artifacts", database_url=postgres
    )
    assert again.record == run.record


@pytest.mark.parametrize("kill_at", [11, 45])
def test_a_killed_run_on_postgresql_ends_as_if_it_had_not_been(
    data: tuple[Path, Path], expected: dict[str, bytes], postgres: str, tmp_path: Path, kill_at: int
) -> None:
    log = tmp_path / "computed"
    environment = {**os.environ, "NEREUS_DATABASE_URL": postgres}

    def run(*arguments: str) -> int:
        command = [sys.executable, "-c", _KILLED, str(log), *arguments]
        return subprocess.run(command, env=environment, check=False).returncode

    assert run(str(kill_at), str(tmp_path / "home"), *map(str, data)) == -signal.SIGKILL
    assert run("0", str(tmp_path / "home"), "resume") == 0
    assert outputs(tmp_path / "home" / "report") == expected
    computed = Counter(log.read_text().splitlines())
    assert sum(count - 1 for count in computed.values()) <= 2, "no finished step was computed again"


def test_forks_on_postgresql_are_those_on_sqlite(
    data: tuple[Path, Path], postgres: str, tmp_path: Path
) -> None:
    """A fork with an edit, a fork of that fork, one killed on the way, and what pruning leaves of them."""
    budget = [*SMALL, "hypotheses=6"]
    claims: dict[str, list[bytes]] = {}
    for name, where in (("sqlite", {}), ("postgres", {"database_url": postgres})):
        home = tmp_path / name
        run = nereus.discover(
            *data, out=home / "report", home=home, seed=3, workers=2, budget=budget, **where
        )
        asked = next(one for one in run.record.objectives if one.kind is ObjectiveKind.DIFFERENTIAL)
        edit = {"edit": {asked.id: {"covariates": []}}}
        before = run.record
        fork = nereus.fork(run.id, asked.id, edit=edit, out=home / "fork", home=home, **where)
        again = nereus.fork(fork.id, asked.id, out=home / "again", home=home, **where)
        assert fork.record.header.forked_from == run.id
        assert again.record.header.forked_from == fork.id
        assert load_run(run.id, home=home, **where).record == before, "the origin stays as it was"
        events = EventStream(Database(postgres) if where else Database(f"sqlite:///{home}/nereus.sqlite"))
        numbers = [event.seq for event in events.read(again.id)]
        assert numbers == list(range(1, len(numbers) + 1))
        claims[name] = [(one.directory / "claims.csv").read_bytes() for one in (run, fork, again)]
        assert claims[name][1] == claims[name][2]

        def kill(event: Event) -> None:
            if event.type == "step_assessed":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            nereus.fork(run.id, asked.id, edit=edit, out=home / "killed", home=home, on_event=kill, **where)
        resumed = nereus.resume(home=home, **where)
        assert (resumed.directory / "claims.csv").read_bytes() == claims[name][1]
        settings = load_settings(home=home, **where)
        assert not prune(settings, keep=3).runs, "a kept fork keeps the run that it left"
    assert claims["sqlite"] == claims["postgres"]
