"""Which runs of the LangGraph protocol begin next, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from nereus.memory.database import Database
from nereus.memory.langgraph.leases import ATTEMPTS, GIVEN_UP, Leases
from nereus.memory.langgraph.runs import LEASE_S, Asked, ProtocolRuns, Run
from nereus.memory.langgraph.threads import ProtocolThreads

ASKED = Asked(assistant_id="toy", graph_id="toy", request={}, metadata={})


class Queue:
    """Threads and runs of several people."""

    def __init__(self, database: Database) -> None:
        self.threads = ProtocolThreads(database)
        self.runs = ProtocolRuns(database)
        self.leases = Leases(database)

    def ask(self, owner: str, thread: str | None = None, **asked: Any) -> Run:
        made = self.threads.create(owner, thread, if_exists="do_nothing").thread_id
        given = replace(ASKED, **asked)
        return self.runs.create(owner, made, given)[0]

    def claim(self, free: int, share: int = 48, worker: str = "w") -> list[str]:
        return [one.run_id for one in self.leases.claim(worker, free, share)]


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database)


def test_one_who_queues_a_hundred_does_not_keep_others_waiting(queue: Queue) -> None:
    many = [queue.ask("ada").run_id for _ in range(60)]
    assert queue.claim(20) == many[:20]
    eve = queue.ask("eve").run_id
    assert queue.claim(1) == [eve], "who has the fewest at work comes first, however many are older"
    more = [queue.ask("eve").run_id for _ in range(3)]
    assert set(queue.claim(3)) == set(more)
    assert queue.claim(1) == [many[20]]


def test_one_owner_has_a_share_and_what_is_beyond_it_stays_free(queue: Queue) -> None:
    many = [queue.ask("ada").run_id for _ in range(8)]
    assert queue.claim(8, share=5) == many[:5]
    assert queue.claim(3, share=5) == []
    eve = queue.ask("eve").run_id
    assert queue.claim(3, share=5) == [eve]
    assert queue.claim(3, share=5, worker="another") == many[5:], "another server has room of its own"


def test_in_a_thread_one_works_at_a_time_also_for_servers_that_look_at_once(queue: Queue) -> None:
    first = [queue.ask("ada", f"t{number}").run_id for number in range(12)]
    for number in range(12):
        queue.ask("ada", f"t{number}")
    taken: list[str] = []
    start = threading.Barrier(4)

    def look(worker: str) -> None:
        start.wait()
        for _ in range(6):
            taken.extend(queue.claim(2, worker=worker))

    workers = [threading.Thread(target=look, args=(f"w{number}",)) for number in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert sorted(taken) == sorted(first)


def test_what_was_taken_back_leaves_its_thread_free(queue: Queue) -> None:
    run = queue.ask("ada", "t", after_s=100.0)
    assert queue.threads.get("t", "ada").status == "busy"
    queue.runs.ask_to_cancel(run, "interrupt")
    assert queue.threads.get("t", "ada").status == "idle"


def test_only_what_is_at_work_is_renewed_and_what_is_lost_too_often_is_given_up(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, kept = queue.ask("ada").run_id, queue.ask("ada").run_id
    assert set(queue.claim(2)) == {run, kept}
    for attempt in range(1, ATTEMPTS):
        assert queue.leases.renew("w", [kept]) == {kept: None}
        later = time.time() + LEASE_S - 1
        monkeypatch.setattr(time, "time", lambda later=later: later)
        assert queue.leases.renew("w", [kept]) == {kept: None}
        monkeypatch.setattr(time, "time", lambda later=later: later + 2)
        found = queue.leases.claim("w", 5, 48)
        assert [(one.run_id, one.attempts, one.resumed) for one in found] == [(run, attempt + 1, True)]
    monkeypatch.setattr(time, "time", lambda later=later: later + 100)
    assert [one.run_id for one in queue.leases.claim("w", 5, 48)] == [kept]
    assert queue.runs.get(run, "ada").error == GIVEN_UP
