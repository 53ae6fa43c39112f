"""What strangers and neighbours try: bytes before a token, guesses, floods, drips, and what may be learned of others."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from nereus.api import protection
from nereus.api.app import create_app
from nereus.api.langgraph.requests import MOST_VALUES
from nereus.memory.records import RunHeader
from nereus.memory.tokens import Tokens
from nereus.settings import load_settings
from tests.api.openai.conftest import Served, serve

BASE = "http://127.0.0.1"
CSV = b"protein,a_1,a_2\nP1,1,2\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("attacked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        yield from serve(load_settings(home=home / "home", serve_tokens="always"))


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(home=tmp_path / "home", serve_tokens="always")
    with TestClient(create_app(settings), base_url=BASE, raise_server_exceptions=False) as opened:
        yield opened


def token(client: TestClient, owner: str, *scopes: str) -> dict[str, str]:
    made = Tokens(client.app.state.nereus.workspace.database)  # type: ignore[attr-defined]
    return {"Authorization": f"Bearer {made.create(owner, scopes or ('read', 'write'))[0]}"}


@pytest.mark.parametrize(("name", "status"), [(None, 401), ("reader", 403)])
def test_who_may_not_upload_is_told_before_a_byte_is_taken(
    served: Served, name: str | None, status: int
) -> None:
    """The answer comes while the client has sent the head of the request alone."""
    host = served.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.putrequest("POST", "/api/datasets")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(500 * 2**20))
    if name:
        connection.putheader("Authorization", f"Bearer {served.tokens[name]}")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == status
    assert json.loads(answer.read())["mend"]
    connection.close()


def test_a_request_that_drips_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "SILENT_S", 0.4)
    place = served.url.removeprefix("http://").split(":")
    head = (
        f"POST /api/datasets HTTP/1.1\r\nHost: {':'.join(place)}\r\nContent-Length: 1000000\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nAuthorization: Bearer {served.tokens['ada']}\r\n\r\n--x\r\n"
    )
    for pause in (0.1, 2.0):  # a byte now and then, and nothing at all
        with socket.create_connection((place[0], int(place[1])), timeout=60) as client:
            client.sendall(head.encode())
            began = time.monotonic()
            found = b""
            client.settimeout(pause)
            while not found and time.monotonic() - began < 30:
                try:
                    found = client.recv(4096)
                except TimeoutError:
                    client.sendall(b"a")
            assert b" 408 " in found.splitlines()[0]


def test_guesses_are_counted_noted_and_then_no_longer_looked_at(client: TestClient) -> None:
    ada = token(client, "ada")
    answers = [
        client.get("/api/runs", headers={"Authorization": f"Bearer nrs_{number}"}) for number in range(40)
    ]
    statuses = [one.status_code for one in answers]
    assert statuses == [401] * 30 + [429] * 10
    assert int(answers[-1].headers["retry-after"]) > 0
    assert client.get("/api/runs", headers=ada).status_code == 200, "who has a token is not kept out"
    log = client.get("/api/audit", headers=token(client, "root", "admin")).json()
    assert sum(one["action"] == "show token" for one in log) == 30, "the log cannot be filled by strangers"


def test_a_token_in_an_address_opens_nothing_and_is_written_nowhere(
    client: TestClient, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = token(client, "ada")["Authorization"].removeprefix("Bearer ")
    for query in (f"token={secret}", f"api_key={secret}", f"access_token={secret}", f"x-api-key={secret}"):
        assert client.get(f"/api/runs?{query}").status_code == 401
        assert client.post(f"/v1/chat/completions?{query}", json={}).status_code == 401
    assert client.get(f"/api/runs/{secret}", headers=token(client, "eve")).status_code == 422
    log = client.get("/api/audit", headers=token(client, "root", "admin")).text
    assert secret not in log
    captured = capfd.readouterr()
    assert secret not in captured.out + captured.err


def test_ids_and_pages_tell_nothing_of_another_s_runs(client: TestClient) -> None:
    repository = client.app.state.nereus.workspace.repository  # type: ignore[attr-defined]
    header = RunHeader(id="", status="finished", out_dir="x", fingerprint="0123456789abcdef")
    theirs = [repository.create_run(header, owner="ada").id for _ in range(3)]
    mine = repository.create_run(header, owner="eve").id
    assert mine.endswith("-1"), "a number does not tell that another asked the same"
    assert mine[:11] not in {one[:11] for one in theirs}
    later = repository.create_run(header, owner="ada").id
    eve = token(client, "eve")
    for before in (later, "r0000000000-1"):
        assert client.get(f"/api/runs?before={before}", headers=eve).json() == [], (
            "whether and when another's run was made is not told"
        )


def test_a_state_of_very_many_values_is_refused(client: TestClient) -> None:
    """It is looked at where everybody's requests are."""
    ada = token(client, "ada")
    body = json.dumps({"metadata": {"a": [0] * 1_200_000}})
    answer = client.post("/threads", content=body, headers={**ada, "content-type": "application/json"})
    assert answer.status_code == 422
    assert f"more than {MOST_VALUES} values" in answer.json()["detail"]
    nested: Any = "x"
    for _ in range(70):
        nested = [nested]
    deep = client.post("/threads", json={"metadata": {"a": nested}}, headers=ada)
    assert "nested deeper" in deep.json()["detail"]


def test_what_is_asked_over_the_other_protocols_is_noted(client: TestClient) -> None:
    ada, root = token(client, "ada"), token(client, "root", "admin")
    thread = client.post("/threads", json={}, headers=ada).json()["thread_id"]
    client.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {"secret": 1}}, headers=ada)
    client.delete(f"/threads/{thread}", headers=ada)
    client.post("/threads/search", json={}, headers=ada)
    client.post("/v1/responses", json={"model": "nothing", "input": "secret words"}, headers=ada)
    log = client.get("/api/audit", headers=root).json()
    acts = [(one["owner"], one["action"], one["subject"]) for one in reversed(log)]
    assert acts == [
        ("ada", "create graph thread", "/threads"),
        ("ada", "put item", "/store/items"),
        ("ada", "delete graph thread", f"/threads/{thread}"),
        ("ada", "create response", "/v1/responses"),
    ]
    assert "secret" not in json.dumps(log)


def test_nobody_keeps_others_from_opening_mcp_sessions(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nereus.api.mcp import endpoint

    monkeypatch.setattr(endpoint, "OF_ONE_OWNER", 3)
    begin = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }

    def opened(name: str) -> httpx.Response:
        headers = {
            "authorization": f"Bearer {served.tokens[name]}",
            "accept": "application/json, text/event-stream",
        }
        return httpx.post(f"{served.url}/mcp", json=begin, headers=headers, timeout=60)

    first = [opened("ada") for _ in range(4)]
    assert [one.status_code for one in first] == [200, 200, 200, 503]
    assert opened("eve").status_code == 200
    session = first[0].headers["mcp-session-id"]
    stolen = httpx.post(
        f"{served.url}/mcp",
        json={"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        headers={
            "authorization": f"Bearer {served.tokens['eve']}",
            "accept": "application/json, text/event-stream",
            "mcp-session-id": session,
        },
    )
    assert stolen.status_code == 404
