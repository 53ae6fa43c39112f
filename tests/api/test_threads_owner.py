"""Conversations of one owner are nobody else's, enforced where rows are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from nereus.errors import NotFound, ResumeRefused
from nereus.memory.database import Database
from nereus.memory.threads import Notes, Threads


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'one.sqlite'}")


def test_another_owner_finds_no_thread_no_event_and_no_note(database: Database) -> None:
    threads, notes = Threads(database), Notes(database)
    mine = threads.create("ada", "secret")
    threads.append(mine.id, "message", {"content": "secret"})
    note = notes.remember("ada", "the code word is heron")
    for ask in (
        lambda: threads.get(mine.id, "bob"),
        lambda: threads.remove(mine.id, "bob"),
        lambda: threads.take(mine.id, "bob"),
        lambda: notes.forget("bob", note.id),
        lambda: threads.create("bob", thread_id=mine.id),
    ):
        with pytest.raises(NotFound):
            ask()
    assert threads.list("bob") == []
    assert threads.events(mine.id, "bob") == []
    assert notes.recall("bob", "heron code word") == []
    assert notes.recall("ada", "what was the code word?")[0].text == "the code word is heron"
    assert [one.payload["content"] for one in threads.events(mine.id, "ada")] == ["secret"]


def test_one_turn_at_a_time_and_a_dead_one_runs_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(database)
    one = threads.create("ada")
    threads.take(one.id, "ada")
    with pytest.raises(ResumeRefused, match="being worked on"):
        threads.take(one.id, "ada")
    threads.release(one.id, "interrupted", "a question")
    with pytest.raises(ResumeRefused, match="approval"):
        threads.take(one.id, "ada")
    monkeypatch.setattr("nereus.memory.threads.BUSY_S", -1.0)
    threads.take(one.id, "ada", ("interrupted",))
    assert threads.take(one.id, "ada").status == "busy"
    assert threads.get(one.id, "ada").title == "a question"


def test_events_are_numbered_without_gaps_and_read_from_any_number(database: Database) -> None:
    threads = Threads(database)
    one = threads.create("ada")
    for number in range(5):
        threads.append(one.id, "progress", {"n": number})
    assert [event.seq for event in threads.events(one.id, "ada")] == [1, 2, 3, 4, 5]
    assert [event.payload["n"] for event in threads.events(one.id, "ada", after=3)] == [3, 4]
    assert threads.get(one.id, "ada").last_seq == 5
