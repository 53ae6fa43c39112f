"""Who comes in, what is whose, and what every answer carries. The application runs in this process, without workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from nereus.api.access import parsed_rate
from nereus.api.app import create_app
from nereus.api.protection import MAX_BODY
from nereus.errors import SettingsError
from nereus.memory.records import RunHeader
from nereus.memory.runs import RunRepository
from nereus.memory.tokens import Tokens
from nereus.settings import Settings, load_settings

BASE = "http://127.0.0.1"
CSV = b"protein,a_1,a_2\nP1,1,2\n"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(home=tmp_path / "home", serve_tokens="always", serve_rate="1000/minute")


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url=BASE, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def tokens(client: TestClient) -> dict[str, str]:
    """Owner, or owner with a scope, to a token."""
    made = Tokens(client.app.state.nereus.workspace.database)  # type: ignore[attr-defined]
    return {
        "ada": made.create("ada")[0],
        "eve": made.create("eve")[0],
        "ada read": made.create("ada", ["read"])[0],
        "root": made.create("root", ["admin", "read"])[0],
    }


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_health_needs_no_token_and_all_else_does(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        if path in ("/healthz", "/ok", "/info"):  # what clients ask before they have a token
            continue
        filled = path.replace("{run_id}", "r0000000000-1").replace("{dataset_id}", f"d{'0' * 16}")
        filled = filled.replace("{job_id}", f"j{'0' * 16}").replace("{", "").replace("}", "")
        for method in operations:
            answer = client.request(method, filled)
            assert answer.status_code == 401, (method, path)
            if path.startswith("/v1/"):  # errors in the form that its clients read
                assert "nereus token create" in answer.json()["error"]["message"]
                continue
            assert answer.headers["content-type"] == "application/problem+json"
            assert "nereus token create" in answer.json()["mend"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer nrs_wrong"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer "},
        {"X-API-Key": "nrs_wrong"},
    ],
)
def test_what_is_no_token_opens_nothing(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/api/runs", headers=headers).status_code == 401


def test_a_token_works_in_either_header_until_it_is_revoked(
    client: TestClient, tokens: dict[str, str], settings: Settings
) -> None:
    assert client.get("/api/runs", headers=bearer(tokens["ada"])).status_code == 200
    assert client.get("/api/runs", headers={"X-API-Key": tokens["ada"]}).status_code == 200
    kept = Tokens(client.app.state.nereus.workspace.database)  # type: ignore[attr-defined]
    for one in kept.list("ada"):
        kept.revoke(one.id)
    assert client.get("/api/runs", headers=bearer(tokens["ada"])).status_code == 401
    del settings


def test_a_scope_is_needed_and_its_lack_is_noted(client: TestClient, tokens: dict[str, str]) -> None:
    refused = client.post("/api/datasets", files={"file": ("a.csv", CSV)}, headers=bearer(tokens["ada read"]))
    assert refused.status_code == 403
    assert "'write'" in refused.json()["detail"]
    assert client.get("/api/audit", headers=bearer(tokens["ada"])).status_code == 403
    log = client.get("/api/audit", headers=bearer(tokens["root"])).json()
    assert {(one["owner"], one["outcome"]) for one in log} == {("ada", "refused")}
    assert not any(tokens["ada read"] in str(one) for one in log)


def test_everyone_sees_their_own_alone(client: TestClient, tokens: dict[str, str]) -> None:
    ada, eve = bearer(tokens["ada"]), bearer(tokens["eve"])
    made = client.post("/api/datasets", files={"file": ("a.csv", CSV)}, headers=ada).json()["id"]
    job = client.post(f"/api/datasets/{made}/profile", json={}, headers=ada).json()["id"]
    repository: RunRepository = client.app.state.nereus.workspace.repository  # type: ignore[attr-defined]
    run = repository.create_run(
        RunHeader(id="", status="finished", out_dir="x", fingerprint="0123456789abcdef"), owner="ada"
    ).id
    for path in (
        f"/api/datasets/{made}",
        f"/api/jobs/{job}",
        f"/api/runs/{run}",
        f"/api/runs/{run}/hypotheses",
        f"/api/runs/{run}/events?follow=false",
        f"/api/runs/{run}/approvals",
        f"/api/runs/{run}/artifacts",
        f"/api/runs/{run}/steps",
    ):
        assert client.get(path, headers=ada).status_code == 200, path
        hidden = client.get(path, headers=eve)
        assert hidden.status_code == 404, path
        assert run not in str(hidden.json().get("mend")), "names of others' runs are not offered"
    for path in ("/api/datasets", "/api/runs"):
        assert len(client.get(path, headers=ada).json()) == 1
        assert client.get(path, headers=eve).json() == []
    assert client.post(f"/api/jobs/{job}/cancel", headers=eve).status_code == 404
    assert client.post(f"/api/runs/{run}/cancel", headers=eve).status_code == 404
    assert client.delete(f"/api/runs/{run}", headers=eve).status_code == 404
    assert client.delete(f"/api/datasets/{made}", headers=eve).status_code == 404
    assert client.post("/api/runs", json={"data": made}, headers=eve).status_code == 404
    taken = client.post("/api/tools/load_dataset/calls", json={"inputs": {"data": made}}, headers=eve)
    assert taken.status_code == 404
    assert client.get(f"/api/jobs/{job}", headers=ada).json()["status"] == "queued"


def test_a_file_that_two_people_have_is_each_one_s_own(client: TestClient, tokens: dict[str, str]) -> None:
    ada, eve = bearer(tokens["ada"]), bearer(tokens["eve"])
    first = client.post("/api/datasets", files={"file": ("a.csv", CSV)}, headers=ada).json()
    other = client.post("/api/datasets", files={"file": ("b.csv", CSV)}, headers=eve).json()
    assert first["id"] == other["id"]
    assert client.delete(f"/api/datasets/{first['id']}", headers=ada).status_code == 204
    assert client.get(f"/api/datasets/{other['id']}", headers=eve).json()["name"] == "b.csv"


def test_one_who_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", serve_tokens="always", serve_rate="5/minute")
    with TestClient(create_app(settings), base_url=BASE) as client:
        made = Tokens(client.app.state.nereus.workspace.database)  # type: ignore[attr-defined]
        ada, eve = made.create("ada")[0], made.create("eve")[0]
        answers = [client.get("/api/runs", headers=bearer(ada)) for _ in range(7)]
        assert [one.status_code for one in answers] == [200] * 5 + [429] * 2
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60
        assert client.get("/api/runs", headers=bearer(eve)).status_code == 200


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="'often' is no rate"):
        parsed_rate("often")


def test_on_loopback_the_machine_s_own_user_needs_no_token(tmp_path: Path) -> None:
    with TestClient(create_app(load_settings(home=tmp_path / "home")), base_url=BASE) as client:
        assert client.get("/api/runs").status_code == 200
        assert client.get("/api/runs", headers=bearer("nrs_wrong")).status_code == 401


def test_elsewhere_a_token_is_needed(tmp_path: Path) -> None:
    app = create_app(load_settings(home=tmp_path / "home"), host="192.0.2.7")
    with TestClient(app, base_url="http://192.0.2.7") as client:
        assert client.get("/api/runs").status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example"]
)
def test_a_request_for_another_host_is_refused(tmp_path: Path, host: str) -> None:
    with TestClient(create_app(load_settings(home=tmp_path / "home")), base_url=BASE) as client:
        assert client.get("/api/runs", headers={"Host": host}).status_code == 403
        assert client.get("/healthz", headers={"Host": "localhost:8642"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1.evil.example"]
)
def test_a_page_of_another_origin_is_refused(tmp_path: Path, origin: str) -> None:
    settings = load_settings(home=tmp_path / "home", serve_origins=("https://lab.example.org",))
    with TestClient(create_app(settings), base_url=BASE) as client:
        assert client.get("/api/runs", headers={"Origin": origin}).status_code == 403
        assert client.get("/api/runs", headers={"Origin": BASE}).status_code == 200
        assert client.get("/api/runs", headers={"Origin": "https://lab.example.org"}).status_code == 200


def test_every_answer_carries_the_headers_that_keep_browsers_careful(client: TestClient) -> None:
    for path in ("/healthz", "/api/runs", "/nowhere"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "object-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_a_request_that_is_too_large_is_refused_told_or_not(
    client: TestClient, tokens: dict[str, str]
) -> None:
    ada = bearer(tokens["ada"])
    told = client.post("/api/runs", content=b"x" * (MAX_BODY + 1), headers=ada)
    assert told.status_code == 413

    def parts() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 2**16 + 2):
            yield b" " * 2**16

    untold = client.post("/api/runs", content=parts(), headers={**ada, "content-type": "application/json"})
    assert untold.status_code == 413


def test_an_unknown_path_and_method_are_problems_too(client: TestClient, tokens: dict[str, str]) -> None:
    nowhere = client.get("/api/nowhere", headers=bearer(tokens["ada"]))
    assert nowhere.status_code == 404
    assert nowhere.headers["content-type"] == "application/problem+json"
    wrong = client.put("/api/runs", headers=bearer(tokens["ada"]))
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET, POST"


def test_a_defect_tells_nothing_of_itself(
    client: TestClient, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(RunRepository, "list_runs", broken)
    answer = client.get("/api/runs", headers=bearer(tokens["ada"]))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["instance"].startswith("urn:uuid:")


def test_what_is_asked_wrongly_is_told_by_its_place(client: TestClient, tokens: dict[str, str]) -> None:
    ada = bearer(tokens["ada"])
    answer = client.post("/api/runs", json={"data": "d1", "sed": 3}, headers=ada)
    assert answer.status_code == 422
    assert answer.json()["where"] == "body.sed"
    bad = client.post("/api/runs", content=b"{", headers={**ada, "content-type": "application/json"})
    assert bad.status_code == 422
    made = client.post("/api/datasets", files={"file": ("a.csv", CSV)}, headers=ada).json()["id"]
    sheet = client.post("/api/runs", json={"data": made, "samples": made}, headers=ada)
    assert sheet.status_code == 422
    assert "sample sheet is the data table" in sheet.json()["detail"]
    budget = client.post("/api/runs", json={"data": made, "budget": ["stps=3"]}, headers=ada)
    assert budget.status_code == 422
    assert client.get("/api/runs", headers=ada).json() == [], "nothing was recorded"


def test_the_server_starts_without_what_only_runs_need() -> None:
    asked = "import sys, nereus.api.serving; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["torch", "sklearn", "statsmodels", "anndata", "langgraph", "chromadb", "matplotlib", "rdkit"]
    done = subprocess.run([sys.executable, "-c", asked, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
