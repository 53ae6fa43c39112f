"""What is another's is not found, what is wrong is explained, and nothing that is sent makes the server fail."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nereus.api.langgraph.engine import OF_ONE_OWNER
from nereus.memory.database import Database
from nereus.memory.tokens import Tokens
from tests.api.conftest import Server
from tests.api.langgraph.conftest import launch, say, stop

ORIGIN = "https://chat.example.org"
LONG = "x" * 100_000
DEEP: Any = 0
for _ in range(200):
    DEEP = {"a": DEEP}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server that asks for tokens, and tokens of two people and of one who only reads."""
    home = tmp_path_factory.mktemp("guarded")
    database = Database(f"sqlite:///{home / 'nereus.sqlite'}")
    tokens = Tokens(database)
    secrets = {
        "ada": tokens.create("ada", ["read", "write"])[0],
        "bob": tokens.create("bob", ["read", "write"])[0],
        "eve": tokens.create("ada", ["read"])[0],
    }
    database.close()
    server = launch(home, NEREUS_SERVE_TOKENS="always", NEREUS_SERVE_ORIGINS=f'["{ORIGIN}"]')
    yield server, secrets
    stop(server)


def client_of(guarded: tuple[Server, dict[str, str]], name: str) -> httpx.Client:
    server, secrets = guarded
    return httpx.Client(base_url=server.url, headers={"x-api-key": secrets[name]}, timeout=60)


def test_another_s_things_are_not_found(guarded: tuple[Server, dict[str, str]]) -> None:
    with client_of(guarded, "ada") as ada, client_of(guarded, "bob") as bob, client_of(guarded, "eve") as eve:
        thread = ada.post("/threads", json={"thread_id": "mine", "metadata": {"a": 1}}).json()["thread_id"]
        run = ada.post(f"/threads/{thread}/runs", json={"assistant_id": "toy", "input": say("x")}).json()
        assert ada.get(f"/threads/{thread}/runs/{run['run_id']}/join").status_code == 200
        assistant = ada.post("/assistants", json={"graph_id": "toy"}).json()["assistant_id"]
        ada.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {"secret": 1}})
        state = ada.get(f"/threads/{thread}/state").json()
        at = state["checkpoint"]
        there = f"/threads/{thread}"
        new = {"assistant_id": "toy", "input": say("x")}
        asked: list[tuple[str, str, Any]] = [
            ("GET", there, None),
            ("PATCH", there, {"metadata": {"b": 2}}),
            ("DELETE", there, None),
            ("POST", f"{there}/copy", None),
            ("GET", f"{there}/state", None),
            ("GET", f"{there}/state/{at['checkpoint_id']}", None),
            ("POST", f"{there}/state/checkpoint", {"checkpoint": at}),
            ("POST", f"{there}/state", {"values": say("y"), "as_node": "answer"}),
            ("POST", f"{there}/history", {}),
            ("GET", f"{there}/stream", None),
            ("GET", f"{there}/runs", None),
            ("POST", f"{there}/runs", new),
            ("POST", f"{there}/runs/wait", new),
            ("POST", f"{there}/runs/stream", new),
            ("GET", f"{there}/runs/{run['run_id']}", None),
            ("GET", f"{there}/runs/{run['run_id']}/join", None),
            ("GET", f"{there}/runs/{run['run_id']}/stream", None),
            ("POST", f"{there}/runs/{run['run_id']}/cancel", None),
            ("DELETE", f"{there}/runs/{run['run_id']}", None),
            ("GET", f"/assistants/{assistant}", None),
            ("PATCH", f"/assistants/{assistant}", {"name": "b"}),
            ("DELETE", f"/assistants/{assistant}", None),
            ("POST", "/runs", {"assistant_id": assistant}),
        ]
        for method, path, body in asked:
            got = bob.request(method, path, json=body)
            assert got.status_code == 404, (method, path, got.text)
            assert got.json()["detail"]
        assert bob.post("/threads/search", json={}).json() == []
        assert bob.post("/threads/count", json={}).json() == 0
        assert bob.post("/threads/prune", json={"thread_ids": [thread]}).json() == {"pruned_count": 0}
        assert bob.get("/store/items?namespace=n&key=k").json() is None
        assert bob.post("/store/items/search", json={"namespace_prefix": []}).json() == {"items": []}
        assert bob.post("/store/namespaces", json={}).json() == {"namespaces": []}
        assert assistant not in bob.post("/assistants/search", json={"limit": 1000}).text
        assert bob.post("/runs/cancel", json={"run_ids": [run["run_id"]]}).status_code == 204
        # the same name is another thread, with other states
        assert bob.post("/threads", json={"thread_id": "mine"}).status_code == 200
        assert bob.get(f"{there}/state").json()["values"] == {}
        assert bob.get(f"{there}/state/{at['checkpoint_id']}").status_code in (200, 404)
        forged = {**new, "config": {"configurable": {"thread_id": thread, "owner": "ada"}}}
        bob.post(f"{there}/runs/wait", json=forged)
        assert ada.get(f"{there}/state").json() == state
        # who only reads
        assert eve.get(there).status_code == 200
        assert eve.post(f"{there}/runs", json=new).status_code == 403
        assert eve.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {}}).status_code == 403
        server, _ = guarded
        assert httpx.post(f"{server.url}/threads/search", json={}).status_code == 401


def test_pages_of_named_origins_may_ask_and_others_not(guarded: tuple[Server, dict[str, str]]) -> None:
    server, secrets = guarded
    headers = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key,content-type",
    }
    asked = httpx.options(f"{server.url}/threads/search", headers=headers)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "x-api-key" in asked.headers["access-control-allow-headers"]
    given = {"x-api-key": secrets["ada"]}
    got = httpx.get(f"{server.url}/info", headers={"origin": ORIGIN, **given})
    assert got.headers["access-control-allow-origin"] == ORIGIN
    assert "content-location" in got.headers["access-control-expose-headers"].lower()
    assert "access-control-allow-credentials" not in got.headers
    other = httpx.get(f"{server.url}/info", headers={"origin": "https://evil.example", **given})
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers


WRONG = [
    None,
    3,
    "x",
    [],
    [1],
    {"a": float("nan")},
    {"a": "\x00"},
    {"a": "\ud800"},
    {"a": 10**400},
    DEEP,
    LONG,
]
FIELDS = [
    (
        "POST",
        "/assistants",
        {"graph_id": "toy"},
        ("graph_id", "config", "metadata", "name", "assistant_id", "if_exists"),
    ),
    ("POST", "/assistants/search", {}, ("limit", "offset", "metadata", "sort_by", "select", "graph_id")),
    ("POST", "/threads", {}, ("thread_id", "metadata", "supersteps", "ttl", "if_exists")),
    (
        "POST",
        "/threads/search",
        {},
        ("metadata", "values", "status", "ids", "limit", "offset", "sort_by", "extract"),
    ),
    ("POST", "/threads/prune", {"thread_ids": []}, ("thread_ids", "strategy")),
    ("POST", "/threads/t/state", {}, ("values", "as_node", "checkpoint", "checkpoint_id")),
    ("POST", "/threads/t/history", {}, ("limit", "before", "metadata", "checkpoint")),
    ("POST", "/threads/t/state/checkpoint", {"checkpoint": {}}, ("checkpoint",)),
    (
        "POST",
        "/threads/t/runs",
        {"assistant_id": "toy"},
        (
            "assistant_id",
            "command",
            "config",
            "context",
            "metadata",
            "checkpoint",
            "stream_mode",
            "multitask_strategy",
            "after_seconds",
            "interrupt_before",
            "webhook",
            "durability",
        ),
    ),
    ("POST", "/runs/batch", [], ()),
    ("POST", "/runs/cancel", {}, ("thread_id", "run_ids", "status")),
    (
        "PUT",
        "/store/items",
        {"namespace": ["a"], "key": "k", "value": {}},
        ("namespace", "key", "value", "ttl"),
    ),
    ("POST", "/store/items/search", {}, ("namespace_prefix", "filter", "limit", "query")),
    ("POST", "/store/namespaces", {}, ("prefix", "suffix", "max_depth", "limit")),
]


def test_nothing_that_is_sent_makes_the_server_fail(toy: Server) -> None:
    import json

    with httpx.Client(base_url=toy.url, timeout=60) as client:
        client.post(
            "/threads", json={"thread_id": "t", "if_exists": "do_nothing", "metadata": {"graph_id": "toy"}}
        )
        sent = 0
        for method, path, good, fields in FIELDS:
            bodies: list[Any] = [None, [], 3, "x", good]
            bodies += [{**good, field: wrong} for field, wrong in itertools.product(fields, WRONG)]
            for body in bodies:
                text = json.dumps(body)
                got = client.request(method, path, content=text, headers={"content-type": "application/json"})
                assert got.status_code < 500, (method, path, text[:200], got.text)
                if got.status_code >= 400:
                    assert got.json()["detail"], (method, path, text[:200])
                sent += 1
            broken = client.request(method, path, content=b"{", headers={"content-type": "application/json"})
            assert broken.status_code == 422
        assert sent > 500
        for path in (
            "/assistants/%00",
            "/assistants/toy/graph?xray=99999",
            "/assistants/toy/subgraphs/none",
            "/threads/%ED%A0%80",
            "/threads/..%2f..%2f",
            "/threads/t/state/none",
            "/threads/t/state?subgraphs=perhaps",
            "/threads/t/runs?limit=0",
            "/threads/t/runs/none/stream",
            f"/threads/{LONG[:70]}",
            "/store/items?key=a",
            "/store/items?key=%00&namespace=a",
        ):
            got = client.get(path)
            assert got.status_code in (200, 404, 422), (path, got.status_code)
        assert client.post("/runs/crons", json={"schedule": "* * * * *"}).status_code == 404
        assert "not offered" in client.post("/threads/t/runs/crons", json={}).json()["detail"]
        assert client.post("/runs/crons/search", json={}).json() == []
        assert client.get("/ok").json() == {"ok": True}


def test_a_command_that_does_not_fit_is_the_run_s_failure(toy: Server) -> None:
    with httpx.Client(base_url=toy.url, timeout=60) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        for body in (
            {"command": {"goto": "nowhere"}},
            {"input": {"messages": 3}},
            {"input": say("x"), "interrupt_before": ["nowhere"]},
            {"input": say("x"), "checkpoint_id": "none"},
            {"command": {"update": [["messages"]]}},
        ):
            got = client.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "toy", **body})
            assert got.status_code == 200, got.text
        assert client.get(f"/threads/{thread}/state").status_code == 200


def test_one_who_floods_the_server_leaves_room_for_others(guarded: tuple[Server, dict[str, str]]) -> None:
    with client_of(guarded, "ada") as ada, client_of(guarded, "bob") as bob:
        slow = {"assistant_id": "toy", "input": say("slow")}
        flood = ada.post("/runs/batch", json=[slow] * (OF_ONE_OWNER + 12)).json()
        told = bob.post("/runs/wait", json={"assistant_id": "toy", "input": say("hello")})
        assert told.json()["messages"][-1]["content"] == "you said hello"
        statuses = [
            ada.get(f"/threads/{one['thread_id']}/runs/{one['run_id']}").json()["status"] for one in flood
        ]
        assert statuses.count("running") <= OF_ONE_OWNER, "what is beyond a share waits"
        assert ada.post("/runs/cancel?action=interrupt", json={"status": "all"}).status_code == 204
        for one in flood:
            ada.get(f"/threads/{one['thread_id']}/runs/{one['run_id']}/join")


def test_nothing_stays_of_a_thread_that_is_forgotten_while_a_run_is_at_work(toy: Server) -> None:
    with httpx.Client(base_url=toy.url, timeout=60) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        client.post(f"/threads/{thread}/runs", json={"assistant_id": "toy", "input": say("slow canary-4711")})
        time.sleep(0.3)
        assert client.delete(f"/threads/{thread}").status_code == 204
        time.sleep(1)
        with sqlite3.connect(toy.home / "checkpoints.sqlite") as kept:
            for table, column in (("checkpoints", "checkpoint"), ("writes", "value")):
                rows = kept.execute(f"SELECT {column} FROM {table}").fetchall()
                assert not [one for (one,) in rows if b"canary-4711" in bytes(one)]
