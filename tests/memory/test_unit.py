"""Units of work: many records, one transaction, in an order in which each finds what it refers to."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import event

from nereus.errors import StoreError
from nereus.memory.database import Database, DatabaseLedger
from nereus.memory.events import EventStream
from nereus.memory.records import Event, RunHeader
from nereus.memory.runs import RunRepository
from tests.memory.factories import call, evidence, hypothesis, objective, workflow


@pytest.fixture
def commits(database: Database) -> list[int]:
    """One entry a commit."""
    counted: list[int] = []
    event.listen(database.engine, "commit", lambda connection: counted.append(1))
    return counted


def test_what_a_unit_saves_is_one_transaction(
    url: str,
    database: Database,
    runs: RunRepository,
    events: EventStream,
    run: RunHeader,
    commits: list[int],
) -> None:
    DatabaseLedger(database, run.id).record_call(call(1))
    heard: list[Event] = []
    events.subscribe(heard.append)
    other = EventStream(Database(url))
    commits.clear()
    with database.unit():
        runs.save_objectives(run.id, [objective(1, "first wording")])
        events.post(run.id, "objective_proposed", "O1", {"n": 1}, key="a")
        runs.save_objectives(run.id, [objective(1, "last wording"), objective(2)])
        runs.save_workflow(run.id, workflow())
        runs.save_evidence(run.id, [evidence(1, 1)])
        runs.save_hypotheses(run.id, [hypothesis(1, evidence_ids=("E1",))])
        with database.unit():
            events.post(run.id, "objective_proposed", "O2", {"n": 2}, key="b")
        events.post(run.id, "objective_proposed", "O1", {"n": 1}, key="a")
        assert commits == []
        assert events.kept(run.id) == 0
        assert other.read(run.id) == heard == []
    assert commits == [1]
    assert events.kept(run.id) == 2
    record = runs.load(run.id)
    assert [one.statement for one in record.objectives] == ["last wording", objective(2).statement]
    assert record.workflows == (workflow(),)
    assert [one.id for one in record.hypotheses] == ["H1"]
    stream = events.read(run.id)
    assert [(one.seq, one.subject, one.payload) for one in stream] == [
        (1, "O1", {"n": 1}),
        (2, "O2", {"n": 2}),
    ]
    assert heard == stream == other.read(run.id)


def test_a_thread_reads_what_its_unit_saved_and_no_other_does(
    database: Database, runs: RunRepository, run: RunHeader, commits: list[int]
) -> None:
    seen: list[int] = []
    with database.unit():
        runs.save_objectives(run.id, [objective(1)])
        reader = threading.Thread(target=lambda: seen.append(len(runs.load(run.id).objectives)))
        reader.start()
        reader.join()
        assert seen == [0]
        with database.read(settled=False):
            pass
        commits.clear()
        assert len(runs.load(run.id).objectives) == 1
        assert commits, "it was written when it was asked for"
        database.settle()


def test_an_explicit_transaction_writes_what_waits_first(
    database: Database, runs: RunRepository, events: EventStream, run: RunHeader, commits: list[int]
) -> None:
    ledger = DatabaseLedger(database, run.id)
    with database.unit():
        events.post(run.id, "step_started", "S1", {})
        ledger.record_call(call(1))
        assert commits == [1], "one transaction for both"
        assert events.append(run.id, "step_finished").seq == 2
        with database.write():
            runs.save_objectives(run.id, [objective(1)])
            assert len(runs.load(run.id).objectives) == 1, "in a transaction nothing waits"
    assert [one.seq for one in events.read(run.id)] == [1, 2]


def test_what_was_saved_before_an_error_is_kept(
    database: Database, runs: RunRepository, events: EventStream, run: RunHeader
) -> None:
    def node() -> None:
        with database.unit():
            events.post(run.id, "step_started", "S1", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        node()
    assert events.last(run.id) == 1
    runs.save_objectives(run.id, [objective(1)])
    assert len(runs.load(run.id).objectives) == 1, "the unit has ended"


def test_a_refused_record_takes_its_unit_with_it_once(
    database: Database, runs: RunRepository, events: EventStream, run: RunHeader
) -> None:
    def node() -> None:
        with database.unit():
            events.post(run.id, "x", "", {})
            runs.save_evidence(run.id, [evidence(1, 1)])  # of a call that nobody recorded

    with pytest.raises(StoreError, match="contradict"):
        node()
    assert events.read(run.id) == [], "all or nothing"
    assert events.append(run.id, "y").seq == 1, "and no gap"


def test_units_of_many_threads_number_events_without_gaps(
    database: Database, events: EventStream, run: RunHeader
) -> None:
    def work(name: int) -> None:
        for number in range(20):
            with database.unit():
                for part in range(3):
                    events.post(
                        run.id, "x", f"{name}.{number}", {"part": part}, key=f"{name}.{number}.{part}"
                    )

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    work(0)  # a node that runs again
    stream = events.read(run.id)
    assert [one.seq for one in stream] == list(range(1, 361))
    for name in range(6):
        mine = [one for one in stream if one.subject.startswith(f"{name}.")]
        assert [(one.subject, one.payload["part"]) for one in mine] == [
            (f"{name}.{number}", part) for number in range(20) for part in range(3)
        ]
