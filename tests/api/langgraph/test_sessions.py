"""One session a client, from the list of assistants to the store: LangGraph's own, asynchronous and not, unmodified."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import APIStatusError, ConflictError, NotFoundError

from nereus.api.langgraph.asking import KEPT_S
from tests.api.conftest import Server
from tests.api.langgraph.conftest import Start, say, texts
from tests.api.langgraph.toy_server import REQUESTS

ACCEPT = {"resume": [{"type": "accept", "args": None}]}


def test_a_session_of_the_synchronous_client(client: SyncLangGraphClient) -> None:
    _session(client)


def test_the_same_session_on_postgresql(start: Start, postgres: str) -> None:
    server = start(NEREUS_DATABASE_URL=postgres)
    with get_sync_client(url=server.url, api_key=None) as client:
        _session(client)


def _session(client: SyncLangGraphClient) -> None:
    # assistants
    assert {"chat", "research", "toy"} <= {one["assistant_id"] for one in client.assistants.search(limit=100)}
    own = client.assistants.get("toy")
    assert (own["graph_id"], own["version"], own["metadata"]) == ("toy", 1, {"created_by": "system"})
    assert {one["id"] for one in client.assistants.get_graph("toy")["nodes"]} >= {"answer", "gate"}
    assert client.assistants.get_schemas("toy")["input_schema"]["properties"].keys() == {"messages"}
    assert client.assistants.get_subgraphs("toy") == {}
    mine = client.assistants.create("toy", {"recursion_limit": 9}, name="mine", metadata={"lab": "a", "n": 1})
    assert client.assistants.count(metadata={"lab": "a"}) >= 1
    client.assistants.update(mine["assistant_id"], name="renamed", metadata={"n": 2})
    assert [one["version"] for one in client.assistants.get_versions(mine["assistant_id"])] == [2, 1]
    assert client.assistants.get(mine["assistant_id"])["metadata"] == {"lab": "a", "n": 2}
    assert client.assistants.set_latest(mine["assistant_id"], 1)["name"] == "mine"
    found = client.assistants.search(metadata={"lab": "a"}, graph_id="toy", response_format="object")
    assert mine["assistant_id"] in {one["assistant_id"] for one in found["assistants"]}

    # a thread and its runs
    thread = client.threads.create(metadata={"topic": "x"}, graph_id="toy")["thread_id"]
    assert client.threads.get_state(thread)["values"] in ({}, {"messages": []})
    created: list[Any] = []
    parts = list(
        client.runs.stream(
            thread,
            mine["assistant_id"],
            input=say("hello"),
            stream_mode=["values", "messages-tuple", "updates", "custom"],
            metadata={"why": "test"},
            on_run_created=created.append,
        )
    )
    assert [int(one.id or 0) for one in parts[:-1]] == list(range(1, len(parts)))
    assert (parts[0].event, parts[-1].event) == ("metadata", "end")
    assert parts[0].data["run_id"] == created[0]["run_id"]
    assert created[0]["thread_id"] == thread
    spoken = "".join(one.data[0]["content"] for one in parts if one.event == "messages")
    assert spoken == "you said hello"
    assert [one.data for one in parts if one.event == "custom"] == [{"type": "progress", "text": "thinking"}]
    assert [next(iter(one.data)) for one in parts if one.event == "updates"] == ["answer", "gate"]
    assert texts([one.data for one in parts if one.event == "values"][-1]) == ["hello", "you said hello"]
    run = client.runs.get(thread, created[0]["run_id"])
    assert (run["status"], run["metadata"]["why"], run["assistant_id"]) == (
        "success",
        "test",
        mine["assistant_id"],
    )
    known = client.threads.get(thread)
    assert known["metadata"] == {"topic": "x", "graph_id": "toy", "assistant_id": mine["assistant_id"]}
    assert texts(known["values"]) == ["hello", "you said hello"]

    # states
    state = client.threads.get_state(thread)
    assert (state["next"], state["checkpoint"]["thread_id"]) == ([], thread)
    assert state["metadata"]["run_id"] == run["run_id"]
    history = client.threads.get_history(thread, limit=50)
    assert [one["metadata"]["step"] for one in history] == [2, 1, 0, -1]
    earlier = client.threads.get_state(thread, checkpoint=history[2]["checkpoint"])
    assert earlier["next"] == ["answer"]
    assert client.threads.get_state(thread, checkpoint_id=history[2]["checkpoint_id"]) == earlier
    assert [
        one["checkpoint_id"]
        for one in client.threads.get_history(thread, before=history[0]["checkpoint"], limit=1)
    ] == [history[1]["checkpoint_id"]]
    client.threads.update_state(
        thread, {"messages": [{"role": "user", "content": "by hand"}]}, as_node="answer"
    )
    assert texts(client.threads.get(thread)["values"])[-1] == "by hand"
    assert client.threads.get(thread)["status"] == "interrupted"
    again = client.runs.wait(thread, "toy", input=None, checkpoint=history[2]["checkpoint"])
    assert texts(again) == ["hello", "you said hello"], "a fork goes on from an earlier state"

    # an interrupt
    asked = client.runs.wait(thread, "toy", input=say("ask me"))
    assert asked["__interrupt__"][0]["value"] == REQUESTS
    waiting = client.threads.get(thread)
    assert waiting["status"] == "interrupted"
    assert next(iter(waiting["interrupts"].values()))[0]["value"] == REQUESTS
    state = client.threads.get_state(thread)
    assert state["next"] == ["gate"]
    assert state["tasks"][0]["interrupts"][0]["value"] == REQUESTS
    assert client.threads.search(status="interrupted", metadata={"topic": "x"})[0]["thread_id"] == thread
    resumed = client.runs.wait(thread, "toy", command=ACCEPT)
    assert texts(resumed)[-1] == "answered accept"
    assert client.threads.get(thread)["status"] == "idle"

    # runs that are joined, several at once, without a thread
    later = client.runs.create(thread, "toy", input=say("slow please"))
    assert client.runs.get(thread, later["run_id"])["status"] in ("pending", "running")
    assert texts(client.runs.join(thread, later["run_id"]))[-1] == "you said slow please"
    known = client.threads.count()
    batch = client.runs.create_batch([{"assistant_id": "toy", "input": say(f"no {n}")} for n in range(3)])
    for one in batch:
        assert texts(client.runs.join(one["thread_id"], one["run_id"]))[1].startswith("you said no")
    assert texts(client.runs.wait(None, "toy", input=say("alone")))[1] == "you said alone"
    assert next(one.event for one in client.runs.stream(None, "toy", input=say("alone"))) == "metadata"
    assert client.threads.count() == known, "none was left behind"
    assert KEPT_S > 60
    listed = client.runs.list(thread, limit=100)
    assert [one["created_at"] for one in listed] == sorted(
        (one["created_at"] for one in listed), reverse=True
    )
    client.runs.delete(thread, later["run_id"])
    with pytest.raises(NotFoundError):
        client.runs.get(thread, later["run_id"])

    # failures
    failed = client.runs.wait(thread, "toy", input=say("boom"), raise_error=False)
    assert failed == {"__error__": {"error": "ValueError", "message": "boom"}}
    assert client.threads.get(thread)["status"] == "error"
    with pytest.raises(Exception, match="boom"):
        client.runs.wait(thread, "toy", input=say("boom"))

    # threads: copied, changed, counted, pruned, forgotten
    copy = client.threads.copy(thread)
    assert copy["thread_id"] != thread
    assert texts(copy["values"]) == texts(client.threads.get(thread)["values"])
    assert len(client.threads.get_history(copy["thread_id"], limit=100)) == len(
        client.threads.get_history(thread, limit=100)
    )
    client.threads.update(copy["thread_id"], metadata={"topic": "y", "deep": {"list": [1, {"a": "b"}]}})
    assert client.threads.count(metadata={"deep": {"list": [{"a": "b"}]}}) == 1
    assert client.threads.count(metadata={"deep": {"list": [2]}}) == 0
    assert client.threads.prune([copy["thread_id"]], strategy="keep_latest") == {"pruned_count": 1}
    assert len(client.threads.get_history(copy["thread_id"], limit=100)) == 1
    assert client.threads.prune([copy["thread_id"], "none"]) == {"pruned_count": 1}
    with pytest.raises(NotFoundError):
        client.threads.get(copy["thread_id"])
    assert client.threads.get_history(thread, limit=1), "the other thread stays"
    named = str(uuid.uuid4())
    client.threads.create(thread_id=named, if_exists="do_nothing")
    assert client.threads.create(thread_id=named, if_exists="do_nothing")["thread_id"] == named
    with pytest.raises(ConflictError):
        client.threads.create(thread_id=named)
    written = client.threads.create(
        graph_id="toy",
        supersteps=[{"updates": [{"values": say("before"), "as_node": "answer"}]}],
    )
    assert texts(written["values"]) == ["before"]
    told = client.threads.search(ids=[written["thread_id"]], extract={"first": "values.messages[0].content"})
    assert told[0]["extracted"] == {"first": "before"}
    assert client.threads.search(ids=[named], select=["status"]) == [{"status": "idle"}]
    client.threads.delete(thread)
    with pytest.raises(NotFoundError):
        client.runs.list(thread)
    client.assistants.delete(mine["assistant_id"])
    with pytest.raises(NotFoundError):
        client.assistants.get(mine["assistant_id"])
    with pytest.raises(APIStatusError, match="graph's own"):
        client.assistants.delete("toy")
    _store(client)


def _store(client: SyncLangGraphClient) -> None:
    store = client.store
    for number, text in enumerate(("liver proteins of mice", "batch effects", "proteins of the liver")):
        store.put_item(("lab", "notes"), f"n{number}", {"text": text, "n": number})
    store.put_item(("lab",), "top", {"text": "above"})
    store.put_item(("labs",), "n", {"text": "elsewhere"})
    item = store.get_item(("lab", "notes"), "n1")
    assert (item["value"], item["namespace"], item["key"]) == (
        {"text": "batch effects", "n": 1},
        ["lab", "notes"],
        "n1",
    )
    assert store.get_item(("lab",), "none") is None
    found = store.search_items(("lab",), query="liver protein")["items"]
    assert {one["key"] for one in found[:2]} == {"n0", "n2"}
    assert found[0]["score"] >= found[1]["score"] > found[2]["score"]
    assert {one["key"] for one in store.search_items(("lab",))["items"]} == {"n0", "n1", "n2", "top"}
    assert [one["key"] for one in store.search_items(("lab",), filter={"n": {"$gte": 2}})["items"]] == ["n2"]
    assert [one["key"] for one in store.search_items(("lab",), filter={"text": "above"})["items"]] == ["top"]
    assert len(store.search_items(("lab",), limit=2, offset=3)["items"]) == 1
    assert store.list_namespaces(prefix=["lab"])["namespaces"] == [["lab"], ["lab", "notes"]]
    assert store.list_namespaces(suffix=["notes"])["namespaces"] == [["lab", "notes"]]
    tops = store.list_namespaces(max_depth=1, limit=1000)[
        "namespaces"
    ]  # other tests keep things on this server
    assert [one for one in tops if one[0].startswith("lab")] == [["lab"], ["labs"]]
    assert {len(one) for one in tops} == {1}
    created = item["created_at"]
    store.put_item(("lab", "notes"), "n1", {"text": "changed"})
    again = store.get_item(("lab", "notes"), "n1")
    assert (again["value"], again["created_at"]) == ({"text": "changed"}, created)
    assert again["updated_at"] > created
    store.delete_item(("lab", "notes"), "n1")
    assert store.get_item(("lab", "notes"), "n1") is None
    with pytest.raises(APIStatusError):
        store.put_item(("langgraph",), "k", {})


def test_a_session_of_the_asynchronous_client(toy: Server) -> None:
    async def session() -> None:
        async with get_client(url=toy.url, api_key=None) as client:
            await _asynchronous_session(client)

    asyncio.run(session())


async def _asynchronous_session(aclient: LangGraphClient) -> None:
    assistants = await aclient.assistants.search(graph_id="chat")
    assert ["chat" in one["assistant_id"] for one in assistants] == [True]
    thread = (await aclient.threads.create())["thread_id"]
    parts = [
        one
        async for one in aclient.runs.stream(
            thread, "toy", input=say("hi"), stream_mode=["messages", "values"], version="v2"
        )
    ]
    kinds = [one["type"] for one in parts]
    assert kinds.count("messages/metadata") == 1
    partial = [one["data"][0]["content"] for one in parts if one["type"] == "messages/partial"]
    assert partial[-1] == "you said hi"
    assert all(after.startswith(before) for before, after in itertools.pairwise(partial))
    asked = await aclient.runs.wait(thread, "toy", input=say("ask"))
    identity = asked["__interrupt__"][0]["id"]
    answered = await aclient.runs.wait(thread, "toy", command={"resume": {identity: [{"type": "ignore"}]}})
    assert texts(answered)[-1] == "answered ignore"
    run = await aclient.runs.create(thread, "toy", input=say("slow"), multitask_strategy="enqueue")
    await aclient.runs.cancel(thread, run["run_id"], wait=True)
    assert (await aclient.runs.get(thread, run["run_id"]))["status"] == "interrupted"
    joined = [one.event async for one in aclient.runs.join_stream(thread, run["run_id"])]
    assert (joined[0], joined[-1]) == ("metadata", "end")
    await aclient.store.put_item(("a", "b"), "k", {"v": 1})
    assert (await aclient.store.get_item(("a", "b"), "k"))["value"] == {"v": 1}
    waits = [aclient.runs.wait(None, "toy", input=say(f"number {n}")) for n in range(30)]
    said = [texts(one)[-1] for one in await asyncio.gather(*waits)]
    assert said == [f"you said number {n}" for n in range(30)]
    events = [
        one.event
        async for one in aclient.runs.stream(None, "toy", input=say("x"), stream_mode=["events", "tasks"])
    ]
    assert events.count("tasks") == 4
    assert "events" in events
    schemas = await aclient.assistants.get_schemas("research")
    assert {"data", "question"} <= set(schemas["input_schema"]["properties"])
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        await aclient.runs.wait(None, "none", input=say("x"))
