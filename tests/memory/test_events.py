"""The event stream: numbered without gaps, whoever writes, whatever happens."""

from __future__ import annotations

import threading

import pytest

from nereus.errors import StoreError
from nereus.memory.events import EventStream
from nereus.memory.records import Event, RunHeader
from nereus.memory.runs import RunRepository
from tests.memory.factories import header


def test_events_are_numbered_and_replayable(events: EventStream, run: RunHeader, runs: RunRepository) -> None:
    other = runs.create_run(header(1))
    first = events.append(run.id, "run_started", payload={"q": "why?", "n": 0.1})
    events.append(other.id, "run_started")
    second = events.append(run.id, "step_started", "O1.W1.S1")
    assert (first.seq, second.seq) == (1, 2)
    assert events.read(run.id) == [first, second], "what is read is what append returned"
    assert events.read(run.id, after=1) == [second]
    assert events.read(run.id, after=0, limit=1) == [first]
    assert events.last(run.id) == 2
    assert [event.seq for event in events.read(other.id)] == [1]
    assert first.payload == {"q": "why?", "n": 0.1}


def test_a_repeated_key_adds_nothing(events: EventStream, run: RunHeader) -> None:
    heard: list[Event] = []
    events.subscribe(heard.append)
    first = events.append(run.id, "step_finished", "S1", {"n": 1}, key="S1 done")
    again = events.append(run.id, "step_finished", "S1", {"n": 1}, key="S1 done")
    after = events.append(run.id, "step_finished", "S2", key="S2 done")
    assert again == first
    assert after.seq == 2
    assert heard == [first, after]


def test_an_unknown_run_and_a_payload_that_is_no_json_are_refused(
    events: EventStream, run: RunHeader
) -> None:
    with pytest.raises(StoreError, match="no run 'r0'"):
        events.append("r0", "run_started")
    with pytest.raises(ValueError, match="JSON"):
        events.append(run.id, "x", payload={"n": float("nan")})
    with pytest.raises(TypeError):
        events.append(run.id, "x", payload={"n": object()})
    assert events.append(run.id, "y").seq == 1, "a refused event leaves no gap"


def test_a_reader_follows_until_the_run_ends(
    events: EventStream, run: RunHeader, runs: RunRepository
) -> None:
    events.append(run.id, "run_started")

    def write() -> None:
        for number in range(20):
            events.append(run.id, "step_finished", str(number))
        events.append(run.id, "run_finished")
        runs.set_status(run.id, "finished")

    writer = threading.Thread(target=write)
    writer.start()
    seen = [event.seq for event in events.follow(run.id, poll_s=0.005)]
    writer.join()
    assert seen == list(range(1, 23))
    assert [event.seq for event in events.follow(run.id, after=20)] == [21, 22], "reconnecting misses nothing"


def test_following_can_be_stopped(events: EventStream, run: RunHeader) -> None:
    events.append(run.id, "run_started")
    assert len(list(events.follow(run.id, poll_s=0.001, stop=lambda: True))) == 1
    assert list(events.follow("r0")) == []


def test_listeners_come_and_go(events: EventStream, run: RunHeader) -> None:
    heard: list[int] = []
    end = events.subscribe(lambda event: heard.append(event.seq))
    events.append(run.id, "a")
    end()
    end()
    events.append(run.id, "b")
    assert heard == [1]
