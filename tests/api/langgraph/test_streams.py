"""Streams that are dropped and gone on with, threads that are followed, runs that meet in a thread or are ended."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import APIStatusError, ConflictError, NotFoundError

from tests.api.conftest import Server
from tests.api.langgraph.conftest import say, texts

DROPS = 100
MODES = ["values", "messages-tuple", "updates", "custom"]


def thread_of(client: SyncLangGraphClient) -> str:
    return str(client.threads.create()["thread_id"])


def read(server: Server, path: str, last: str | None, at_most: int | None) -> list[tuple[str, str, Any]]:
    """Events of a stream as they are on the wire, up to a number of them: then the connection is dropped."""
    found: list[tuple[str, str, Any]] = []
    identity, name = "", ""
    headers = {} if last is None else {"Last-Event-ID": last}
    with httpx.stream("GET", f"{server.url}{path}", headers=headers, timeout=60) as stream:
        for line in stream.iter_lines():
            if line.startswith("id:"):
                identity = line[3:].strip()
            elif line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                found.append((identity if name != "end" else "", name, json.loads(line[5:])))
                if len(found) == at_most:
                    break
    return found


def test_a_client_that_drops_again_and_again_gets_every_event_once_and_in_order(
    toy: Server, client: SyncLangGraphClient
) -> None:
    thread = thread_of(client)
    run = client.runs.create(thread, "toy", input=say("slow and many"), stream_mode=MODES)["run_id"]
    path = f"/threads/{thread}/runs/{run}/stream"
    rng = random.Random(5)
    seen: list[tuple[str, str, Any]] = []
    drops = 0
    while not seen or seen[-1][1] != "end":
        part = read(toy, path, seen[-1][0] if seen else None, rng.choice([1, 1, 2, 3]))
        drops += 1
        assert part, "a stream ends with its end, or was dropped by us"
        seen += part
    whole = read(toy, path, None, None)
    assert seen == whole
    assert [int(one[0]) for one in whole[:-1]] == list(range(1, len(whole)))
    assert len(whole) > DROPS
    assert drops > DROPS / 3
    spoken = "".join(one[2][0]["content"] for one in whole if one[1] == "messages")
    assert spoken == "many words " * 40 + "you said slow and many"
    assert read(toy, path, "-1", None) == whole, "what agent-chat-ui sends for the beginning"
    custom = read(toy, f"{path}?stream_mode=custom", None, None)
    assert [one[1] for one in custom] == ["metadata", "custom", "end"]
    as_json = read(toy, f'{path}?stream_mode=["custom"]', None, None)
    assert as_json == custom, "as LangGraph's JavaScript client asks"


def test_the_client_s_own_reconnect_goes_on(toy: Server, client: SyncLangGraphClient) -> None:
    thread = thread_of(client)
    run = client.runs.create(thread, "toy", input=say("many"), stream_mode=MODES)["run_id"]
    whole = list(client.runs.join_stream(thread, run))
    rest = list(client.runs.join_stream(thread, run, last_event_id=whole[4].id))
    assert rest == whole[5:]


def test_many_clients_at_once_each_get_their_own(client: SyncLangGraphClient) -> None:
    def talk(number: int) -> list[str]:
        thread = thread_of(client)
        parts = list(client.runs.stream(thread, "toy", input=say(f"many {number}"), stream_mode=MODES))
        assert [int(one.id or 0) for one in parts[:-1]] == list(range(1, len(parts)))
        return texts(next(one.data for one in reversed(parts) if one.event == "values"))

    with ThreadPoolExecutor(20) as pool:
        for number, said in enumerate(pool.map(talk, range(20))):
            assert said[0] == f"many {number}"
            assert said[1].endswith(f"you said many {number}")


def test_a_thread_is_followed_over_its_runs(toy: Server, client: SyncLangGraphClient) -> None:
    thread = thread_of(client)
    names: list[tuple[str, str]] = []

    def follow() -> None:
        for part in client.threads.join_stream(thread, stream_mode="run_modes"):
            names.append((part.event, str(part.id)))
            if [one for one, _ in names].count("run_done") == 2:
                return

    reader = threading.Thread(target=follow)
    reader.start()
    time.sleep(0.5)
    for text in ("one", "two"):
        client.runs.wait(thread, "toy", input=say(text))
    reader.join(timeout=30)
    assert not reader.is_alive()
    kinds = [one for one, _ in names]
    assert kinds == ["metadata", "values", "values", "run_done"] * 2
    identities = [one for _, one in names]
    assert len(set(identities)) == len(identities)
    missed = read(toy, f"/threads/{thread}/stream", identities[1], 6)
    assert [(name, identity) for identity, name, _ in missed] == names[2:8]


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_a_run_is_ended(client: SyncLangGraphClient, action: Any) -> None:
    thread = thread_of(client)
    client.runs.wait(thread, "toy", input=say("first"))
    before = client.threads.get_state(thread)
    run = client.runs.create(thread, "toy", input=say("slow"))["run_id"]
    time.sleep(0.5)
    began = time.monotonic()
    client.runs.cancel(thread, run, wait=True, action=action)
    assert time.monotonic() - began < 2
    after = client.threads.get_state(thread)
    if action == "rollback":
        with pytest.raises(NotFoundError):
            client.runs.get(thread, run)
        assert after["checkpoint"] == before["checkpoint"]
        assert texts(after["values"]) == ["first", "you said first"]
        assert client.threads.get(thread)["status"] == "idle"
    else:
        assert client.runs.get(thread, run)["status"] == "interrupted"
        assert texts(after["values"])[-1] == "slow"
        with pytest.raises(APIStatusError):  # told as a conflict: it has ended
            client.runs.cancel(thread, run)
    assert texts(client.runs.wait(thread, "toy", input=say("again")))[-1] == "you said again"


def test_runs_that_meet_in_a_thread(client: SyncLangGraphClient) -> None:
    thread = thread_of(client)
    slow = client.runs.create(thread, "toy", input=say("slow one"))["run_id"]
    with pytest.raises(ConflictError):
        client.runs.create(thread, "toy", input=say("x"), multitask_strategy="reject")
    waiting = client.runs.create(thread, "toy", input=say("two"), multitask_strategy="enqueue")["run_id"]
    assert client.runs.get(thread, waiting)["status"] == "pending"
    with pytest.raises(ConflictError):
        client.threads.update_state(thread, say("by hand"), as_node="answer")
    assert client.threads.get(thread)["status"] == "busy"
    assert texts(client.runs.join(thread, waiting)) == [
        "slow one",
        "you said slow one",
        "two",
        "you said two",
    ]

    thread = thread_of(client)
    first = client.runs.create(thread, "toy", input=say("slow"))["run_id"]
    queued = client.runs.create(thread, "toy", input=say("queued"))["run_id"]
    time.sleep(0.5)
    said = texts(client.runs.wait(thread, "toy", input=say("now"), multitask_strategy="interrupt"))
    assert said == ["slow", "now", "you said now"]
    assert {client.runs.get(thread, one)["status"] for one in (first, queued)} == {"interrupted"}

    first = client.runs.create(thread, "toy", input=say("slow again"))["run_id"]
    time.sleep(0.5)
    said = texts(client.runs.wait(thread, "toy", input=say("instead"), multitask_strategy="rollback"))
    assert said == ["slow", "now", "you said now", "instead", "you said instead"]
    with pytest.raises(NotFoundError):
        client.runs.get(thread, first)
    assert slow


def test_many_runs_are_ended_at_once(client: SyncLangGraphClient) -> None:
    thread = thread_of(client)
    runs = [client.runs.create(thread, "toy", input=say(f"slow {n}"))["run_id"] for n in range(3)]
    client.runs.cancel_many(thread_id=thread, run_ids=runs[1:2])
    assert client.runs.get(thread, runs[1])["status"] == "interrupted"
    client.runs.cancel_many(thread_id=thread, status="all")
    for run in runs:
        client.runs.join(thread, run)
        assert client.runs.get(thread, run)["status"] == "interrupted"
    with pytest.raises(APIStatusError, match="not said"):
        client.runs.cancel_many()


def test_a_client_that_goes_takes_its_run_along_where_it_said_so(
    toy: Server, client: SyncLangGraphClient
) -> None:
    for mode, expected in (("cancel", "interrupted"), ("continue", "success")):
        thread = thread_of(client)
        body = {"assistant_id": "toy", "input": say("slow"), "on_disconnect": mode}
        with httpx.stream("POST", f"{toy.url}/threads/{thread}/runs/stream", json=body, timeout=30) as stream:
            next(stream.iter_lines())
        run = client.runs.list(thread)[0]["run_id"]
        client.runs.join(thread, run)
        assert client.runs.get(thread, run)["status"] == expected


def test_a_run_may_begin_later(client: SyncLangGraphClient) -> None:
    thread = thread_of(client)
    began = time.monotonic()
    run = client.runs.create(thread, "toy", input=say("later"), after_seconds=2)
    assert run["status"] == "pending"
    assert texts(client.runs.join(thread, run["run_id"]))[-1] == "you said later"
    assert time.monotonic() - began >= 2


def test_a_graph_that_holds_up_its_loop_does_not_hold_up_the_server(
    toy: Server, client: SyncLangGraphClient
) -> None:
    thread = thread_of(client)
    run = client.runs.create(thread, "toy", input=say("block"))["run_id"]
    longest = 0.0
    ends = time.monotonic() + 1.5
    with httpx.Client(base_url=toy.url) as plain:
        while time.monotonic() < ends:
            began = time.monotonic()
            assert plain.get("/ok").status_code == 200
            assert plain.get(f"/threads/{thread}").status_code == 200
            longest = max(longest, time.monotonic() - began)
    assert longest < 1.0
    assert texts(client.runs.join(thread, run))[-1] == "you said block"


def test_interrupts_before_a_node_that_is_named(client: SyncLangGraphClient) -> None:
    thread = thread_of(client)
    client.runs.wait(thread, "toy", input=say("x"), interrupt_before=["gate"])
    assert client.threads.get_state(thread)["next"] == ["gate"]
    assert client.threads.get(thread)["status"] == "interrupted"
    client.runs.wait(thread, "toy", input=None)
    assert client.threads.get(thread)["status"] == "idle"
