"""Servers that are killed or told to stop: nothing that ended is lost, what was begun is gone on with."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from langgraph_sdk import get_sync_client

from tests.api.conftest import free_port
from tests.api.langgraph.conftest import Start, say, stop, texts

pytestmark = pytest.mark.long


def test_what_a_killed_server_had_begun_is_gone_on_with(start: Start, tmp_path: Path) -> None:
    port = free_port()
    server = start(port=port)
    with get_sync_client(url=server.url, api_key=None) as client:
        done = client.threads.create(metadata={"kept": True})["thread_id"]
        client.runs.wait(done, "toy", input=say("ask"))
        before = client.threads.get(done)
        client.store.put_item(("a",), "k", {"v": 1})
        mine = client.assistants.create("toy", name="mine")["assistant_id"]
        thread = client.threads.create()["thread_id"]
        run = client.runs.create(thread, "toy", input=say("slow"))["run_id"]
        queued = client.runs.create(thread, "toy", input=say("next"))["run_id"]
        seen = []
        for part in client.runs.join_stream(thread, run):
            seen.append(part)
            if part.event == "values":
                break
    stop(server, signal.SIGKILL)
    server = start(port=port)
    with get_sync_client(url=server.url, api_key=None) as client:
        assert client.threads.get(done) == before
        assert client.store.get_item(("a",), "k")["value"] == {"v": 1}
        assert client.assistants.get(mine)["name"] == "mine"
        rest = list(client.runs.join_stream(thread, run, last_event_id=seen[-1].id))
        numbers = [int(one.id or 0) for one in [*seen, *rest][:-1]]
        assert numbers == list(range(1, len(numbers) + 1))
        again = next(one for one in rest if one.event == "metadata")
        assert again.data == {"run_id": run, "attempt": 2}
        said = texts(client.runs.join(thread, queued))
        assert said == ["slow", "you said slow", "next", "you said next"], "the input is not given twice"
        assert client.runs.get(thread, run)["status"] == "success"
        resumed = client.runs.wait(done, "toy", command={"resume": [{"type": "accept"}]})
        assert texts(resumed)[-1] == "answered accept"


def test_a_server_that_is_told_to_stop_gives_back_what_it_has_not_finished(start: Start) -> None:
    port = free_port()
    server = start(port=port)
    with get_sync_client(url=server.url, api_key=None) as client:
        thread = client.threads.create()["thread_id"]
        run = client.runs.create(thread, "toy", input=say("slow"))["run_id"]
        time.sleep(0.5)
    stop(server)
    server = start(port=port)
    with get_sync_client(url=server.url, api_key=None) as client:
        assert texts(client.runs.join(thread, run)) == ["slow", "you said slow"]
        begun = [
            one.data["attempt"] for one in client.runs.join_stream(thread, run) if one.event == "metadata"
        ]
        assert begun == [1, 1], "it was given back, not given up: no lease had to run out"


def test_two_servers_share_what_there_is_to_do(start: Start, tmp_path: Path) -> None:
    one, other = start(), start()
    with (
        get_sync_client(url=one.url, api_key=None) as here,
        get_sync_client(url=other.url, api_key=None) as there,
    ):
        thread = here.threads.create()["thread_id"]
        run = here.runs.create(thread, "toy", input=say("slow"))["run_id"]
        parts = [part.event for part in there.runs.join_stream(thread, run)]
        assert (parts[0], parts[-1]) == ("metadata", "end")
        long = here.runs.create(thread, "toy", input=say("slow"))["run_id"]
        there.runs.cancel(thread, long, wait=True)
        assert here.runs.get(thread, long)["status"] == "interrupted"
        waits = [one.runs.create(None, "toy", input=say(f"{n}")) for n in range(8) for one in (here, there)]
        for made in waits:
            assert texts(there.runs.join(made["thread_id"], made["run_id"]))[1].startswith("you said")


def test_a_database_that_goes_away_in_the_middle_ends_no_run(start: Start, postgres: str) -> None:
    """Every connection is cut while runs are at work, again and again: checkpoints, events and leases go on."""
    import psycopg

    server = start(NEREUS_DATABASE_URL=postgres)
    with get_sync_client(url=server.url, api_key=None) as client:
        threads = [client.threads.create()["thread_id"] for _ in range(3)]
        runs = [client.runs.create(one, "toy", input=say("slow"))["run_id"] for one in threads]
        for _ in range(8):
            with psycopg.connect(postgres, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            time.sleep(0.5)
        for thread, run in zip(threads, runs, strict=True):
            assert texts(client.runs.join(thread, run)) == ["slow", "you said slow"]
            assert client.runs.get(thread, run)["status"] == "success"
        assert texts(client.runs.wait(threads[0], "toy", input=say("more")))[-1] == "you said more"
