"""Bodies that nobody would write: each is refused, or answered, in the form of its interface; none finds a defect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nereus.api.app import create_app
from nereus.settings import load_settings

BYTES = {"content": b"\xffA\xff\x1c", "headers": {"content-type": "application/json"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    home: Path = tmp_path_factory.mktemp("odd")
    app = create_app(load_settings(home=home))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as opened:
        opened.post("/threads", json={}).raise_for_status()
        item = {"namespace": ["a", "b"], "key": "k", "value": {"v": 1}}
        opened.put("/store/items", json=item).raise_for_status()
        yield opened


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/embeddings", BYTES, 400),
        ("/v1/chat/completions", BYTES, 400),
        ("/v1/responses", BYTES, 400),
        ("/threads", BYTES, 400),
        ("/api/runs", BYTES, 400),
        ("/store/namespaces", {"json": {"suffix": ["", ""]}}, 422),
        ("/store/namespaces", {"json": {"prefix": [""]}}, 422),
        ("/threads/search", {"json": {"extract": {"whole": ""}}}, 200),
    ],
)
def test_odd_bodies(client: TestClient, path: str, body: dict[str, Any], status: int) -> None:
    answer = client.post(path, **body)
    assert answer.status_code == status
    told = answer.json()
    if path.startswith("/v1"):
        assert told["error"]["type"] == "invalid_request_error"
    elif status != 200:
        assert told["status"] == status


def test_the_whole_of_a_thread_may_be_extracted(client: TestClient) -> None:
    (found,) = client.post("/threads/search", json={"extract": {"whole": ""}}).json()
    assert found["extracted"]["whole"]["thread_id"] == found["thread_id"]
    assert "extracted" not in found["extracted"]["whole"]


@pytest.mark.parametrize("namespace", ["a.", ".a", "a..b", "."])
def test_a_namespace_with_an_empty_label_is_refused(client: TestClient, namespace: str) -> None:
    answer = client.get("/store/items", params={"namespace": namespace, "key": "k"})
    assert answer.status_code == 422
    assert "label" in answer.json()["detail"]
