"""The durable queue, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from nereus.errors import NotFound
from nereus.memory import jobs as jobs_module
from nereus.memory.database import Database
from nereus.memory.jobs import ATTEMPTS, Jobs
from nereus.memory.records import RunHeader
from nereus.memory.runs import RunRepository


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


def expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every lease run out."""
    later = time.time() + jobs_module.LEASE_S + 1
    monkeypatch.setattr(jobs_module.time, "time", lambda: later)


def test_a_job_is_taken_worked_on_and_ended(jobs: Jobs) -> None:
    job = jobs.add("ada", "tool", {"name": "scale"})
    assert jobs.waiting() == 1
    taken = jobs.lease("w1")
    assert taken is not None
    assert (taken.id, taken.status, taken.attempts, taken.worker) == (job.id, "running", 1, "w1")
    assert taken.request == {"name": "scale"}
    assert jobs.lease("w2") is None, "a leased job is nobody else's"
    assert jobs.renew("w1", [job.id]) == {job.id: False}
    assert jobs.end(taken, "finished", {"n": 3})
    ended = jobs.get(job.id)
    assert (ended.status, ended.result) == ("finished", {"n": 3})
    assert ended.ended_at
    assert jobs.lease("w2") is None


def test_another_s_job_is_not_found(jobs: Jobs) -> None:
    job = jobs.add("ada", "tool")
    assert jobs.get(job.id, "ada").id == job.id
    with pytest.raises(NotFound, match="there is no job"):
        jobs.get(job.id, "eve")


def test_the_job_of_a_dead_worker_is_taken_by_another_who_alone_may_end_it(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.add("ada", "discover")
    first = jobs.lease("w1")
    assert first is not None
    expire(monkeypatch)
    second = jobs.lease("w2")
    assert second is not None
    assert (second.id, second.attempts) == (job.id, 2)
    assert jobs.renew("w1", [job.id]) == {}, "it is no longer the first one's"
    assert not jobs.end(first, "failed")
    assert jobs.get(job.id).status == "running"
    assert jobs.end(second, "finished")


def test_what_kills_every_worker_fails_and_says_so(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs.add("ada", "discover")
    moment = time.time()
    for attempt in range(ATTEMPTS):
        monkeypatch.setattr(jobs_module.time, "time", lambda at=moment + attempt * 100: at)
        assert jobs.lease(f"w{attempt}") is not None
    monkeypatch.setattr(jobs_module.time, "time", lambda: moment + 1000)
    assert jobs.lease("w9") is None
    assert jobs.get(job.id).status == "running", (
        "to lease ends nothing: what is ended must be told to its run"
    )
    (given_up,) = jobs.give_up()
    ended = jobs.get(job.id)
    assert given_up == ended.model_copy(update={"ended_at": given_up.ended_at})
    assert ended.status == "failed"
    assert jobs.give_up() == []
    assert "died" in ended.result["error"]["what"]
    assert ended.result["error"]["mend"]


def test_a_job_that_is_given_back_loses_no_attempt(jobs: Jobs) -> None:
    jobs.add("ada", "discover")
    taken = jobs.lease("w1")
    assert taken is not None
    jobs.give_back(taken)
    again = jobs.lease("w2")
    assert again is not None
    assert again.attempts == 1


def test_a_waiting_job_is_cancelled_at_once_and_one_at_work_by_its_worker(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, working = jobs.add("ada", "tool"), jobs.add("ada", "tool")
    taken = jobs.lease("w1")
    assert taken is not None
    other = working if taken.id == waiting.id else waiting
    assert jobs.ask_to_cancel(other.id).status == "cancelled"
    asked = jobs.ask_to_cancel(taken.id)
    assert (asked.status, asked.cancel) == ("running", True)
    assert jobs.to_cancel("w1") == [taken.id]
    assert jobs.to_cancel("w2") == []
    assert jobs.renew("w1", [taken.id]) == {taken.id: True}
    expire(monkeypatch)
    assert jobs.lease("w2") is None, "what nobody wants is not begun again"
    assert [one.id for one in jobs.give_up()] == [taken.id]
    assert jobs.get(taken.id).status == "cancelled"


def test_an_idle_worker_writes_nothing(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*given: object) -> None:
        raise AssertionError("an empty queue was written to")

    monkeypatch.setattr(jobs._database, "write", write)
    assert jobs.lease("w1") is None


def test_one_who_queues_many_does_not_keep_others_waiting(jobs: Jobs) -> None:
    for _ in range(6):
        jobs.add("many", "tool")
    jobs.add("one", "tool")
    order = [taken.owner for taken in (jobs.lease("w1") for _ in range(4)) if taken]
    assert order == ["many", "one", "many", "many"]


def test_many_workers_take_every_job_once(jobs: Jobs) -> None:
    wanted = [jobs.add(f"owner{number % 3}", "tool").id for number in range(40)]
    taken: list[str] = []

    def work(name: str) -> None:
        while (job := jobs.lease(name)) is not None:
            taken.append(job.id)
            jobs.end(job, "finished")

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(taken) == Counter(wanted)


def test_work_on_a_run_is_queued_once_however_many_ask(jobs: Jobs, database: Database) -> None:
    header = RunHeader(id="", status="waiting", out_dir="", fingerprint="cd" * 32)
    run = RunRepository(database).create_run(header, "ada").id
    barrier = threading.Barrier(6)

    def ask() -> None:
        barrier.wait()
        jobs.add_to_run("ada", run)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs.of_run(run)) == 1
