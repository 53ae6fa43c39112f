"""Conversations of one owner are nobody else's, enforced where rows are read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def test_signs_of_life_keep_a_thread_from_being_taken_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(database)
    one = threads.create("ada")
    monkeypatch.setattr("nereus.memory.threads.BUSY_S", -1.0)
    threads.take(one.id, "ada")
    assert threads.lapsed(one.id, "ada")
    assert not threads.lapsed(one.id, "bob")
    monkeypatch.setattr("nereus.memory.threads.BUSY_S", 60.0)
    threads.renew([one.id])
    assert not threads.lapsed(one.id, "ada")
    with pytest.raises(ResumeRefused, match="being worked on"):
        threads.take(one.id, "ada")
    threads.release(one.id)
    threads.renew([one.id])
    assert threads.get(one.id, "ada").status == "idle"


def test_a_turn_whose_server_died_is_ended_once_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nereus.api.chat_turns import ChatTurns
    from nereus.memory.workspace import open_workspace
    from nereus.settings import load_settings

    with open_workspace(load_settings(home=tmp_path)) as workspace:
        state: Any = SimpleNamespace(workspace=workspace, settings=workspace.settings)
        turns = ChatTurns(state)
        one = turns.threads.create("ada")
        monkeypatch.setattr("nereus.memory.threads.BUSY_S", -1.0)
        turns.threads.take(one.id, "ada")
        monkeypatch.setattr("nereus.memory.threads.BUSY_S", 60.0)
        for _ in range(3):
            assert turns.mended(turns.threads.get(one.id, "ada")).status == "idle"
        events = turns.threads.events(one.id, "ada")
        assert [event.type for event in events] == ["error", "end"]
        assert "stopped in the middle" in events[0].payload["what"]
        turns.close()
