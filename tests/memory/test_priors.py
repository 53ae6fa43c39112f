"""What of a home's history teaches: ended runs of their own; what cannot be read holds up nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from nereus.memory.database import Database
from nereus.memory.priors import facts
from nereus.memory.runs import RunRepository
from tests.memory.factories import header, objective


@pytest.fixture
def ended(runs: RunRepository) -> list[str]:
    """Runs of every end, and a fork of the first."""
    made = []
    for number, status in enumerate(("finished", "finished", "failed", "running", "finished")):
        one = runs.create_run(header(number))
        runs.save_objectives(one.id, [objective(1)])
        runs.set_status(one.id, status)
        made.append(one.id)
    runs.update_header(made[4], forked_from=made[0])
    return made


def taught(database: Database) -> list[str]:
    return sorted(one.header.id for one in facts(database))


def test_only_ended_runs_of_their_own_teach(database: Database, ended: list[str]) -> None:
    assert taught(database) == sorted(ended[:2])


@pytest.mark.parametrize(
    ("table", "column", "damage"),
    [
        ("objectives", "document", '{"id": "O1", "kind": "a question of a later version", "statement": ""}'),
        ("objectives", "document", "{"),
        ("runs", "document", "null"),
        ("runs", "outputs", "[1"),
    ],
)
def test_a_run_that_cannot_be_read_teaches_nothing_and_holds_up_no_other(
    database: Database, ended: list[str], table: str, column: str, damage: str
) -> None:
    key = "id" if table == "runs" else "run_id"
    with database.write() as connection:
        connection.execute(
            text(f"UPDATE {table} SET {column} = :damage WHERE {key} = :run"),
            {"damage": damage, "run": ended[0]},
        )
    assert taught(database) == [ended[1]]
