"""The page as it is served, how a browser signs in, and what of the REST interface was made for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from nereus.api.access import COOKIE
from nereus.api.app import create_app
from nereus.api.run_records import record_of
from nereus.api.table_pages import page_of
from nereus.errors import InputError
from nereus.memory.actions import Actions, LearnedAction
from nereus.memory.records import RunHeader
from nereus.memory.tokens import Tokens
from nereus.settings import load_settings

BASE = "http://127.0.0.1"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.chdir(tmp_path)
    with TestClient(create_app(load_settings(home=tmp_path / "home")), base_url=BASE) as opened:
        yield opened


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(home=tmp_path / "home", serve_tokens="always")
    with TestClient(create_app(settings), base_url=BASE) as opened:
        yield opened


def test_the_page_and_its_files_carry_what_keeps_browsers_safe(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-cache"
    script = page.text.split('src="./')[1].split('"')[0]
    asset = client.get(f"/{script}")
    assert asset.headers["content-type"].startswith("text/javascript")
    assert "immutable" in asset.headers["cache-control"]
    assert client.get("/favicon.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "name", ["no.js", "..%2findex.html", "..%2f..%2f..%2fpage.py", "%00", "%2e%2e%2fbuild.json"]
)
def test_nothing_but_the_built_files_is_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/assets/{name}")
    assert answer.status_code == 404
    assert "def " not in answer.text


def test_a_browser_signs_in_and_out(guarded: TestClient) -> None:
    state = guarded.app.state.nereus  # type: ignore[attr-defined]
    secret = Tokens(state.workspace.database).create("ada", ["read"])[0]
    assert guarded.get("/").status_code == 200
    assert guarded.get("/api/session").status_code == 401
    assert guarded.post("/api/session", headers={"Authorization": "Bearer nrs_wrong"}).status_code == 401
    opened = guarded.post("/api/session", headers={"Authorization": f"Bearer {secret}"})
    assert opened.json()["owner"] == "ada"
    cookie = opened.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= {one.strip() for one in cookie.split(";")}
    assert guarded.get("/api/session").json()["signed_in"] is True
    assert guarded.get("/api/runs").status_code == 200
    assert guarded.post("/api/examples/alzheimer_csf").status_code == 403  # the token may read alone
    assert guarded.delete("/api/session").status_code == 204
    assert COOKIE not in guarded.cookies
    assert guarded.get("/api/runs").status_code == 401


def test_a_page_elsewhere_cannot_use_the_cookie(guarded: TestClient) -> None:
    state = guarded.app.state.nereus  # type: ignore[attr-defined]
    guarded.cookies.set(COOKIE, Tokens(state.workspace.database).create("ada")[0])
    assert guarded.get("/api/runs").status_code == 200
    refused = guarded.post("/api/examples/alzheimer_csf", headers={"Origin": "http://evil.example"})
    assert refused.status_code == 403


def test_an_example_is_taken_among_ones_data_sets(client: TestClient) -> None:
    (example,) = client.get("/api/examples").json()
    taken = client.post(f"/api/examples/{example['name']}").json()
    names = {one["id"]: one["name"] for one in client.get("/api/datasets").json()}
    assert names[taken["data"]["id"]] == "proteome.csv.gz"
    assert names[taken["samples"]["id"]] == "samples.csv"
    assert taken["question"] == example["question"]
    assert client.post("/api/examples/other").status_code == 404


def test_jobs_are_listed_for_their_owner(client: TestClient) -> None:
    jobs = client.app.state.nereus.jobs  # type: ignore[attr-defined]
    mine = jobs.add("local", "tool", {"tool": "normalise"})
    jobs.add("local", "profile")
    jobs.add("eve", "tool", {"tool": "normalise"})
    listed = client.get("/api/jobs?kind=tool").json()
    assert [(one["id"], one["tool"]) for one in listed] == [(mine.id, "normalise")]
    assert len(client.get("/api/jobs").json()) == 2


def test_learned_actions_are_listed_with_how_they_fared(client: TestClient) -> None:
    assert client.get("/api/actions").json() == []
    actions = Actions(client.app.state.nereus.workspace.database)  # type: ignore[attr-defined]
    actions.add(
        LearnedAction(
            name="double",
            domain="omics",
            source="def double(x):\n    return 2 * x\n",
            parameters=(("x", "int"),),
            description="doubles a number",
        )
    )
    (listed,) = client.get("/api/actions").json()
    assert listed["signature"] == "double(x: int)"
    assert listed["standing"]["uses"] == 0


def test_the_record_of_an_ended_run_is_read_again_when_something_happens_to_it(client: TestClient) -> None:
    workspace = client.app.state.nereus.workspace  # type: ignore[attr-defined]
    header = RunHeader(id="", status="finished", out_dir="/nowhere", fingerprint="f" * 64)
    run = workspace.repository.create_run(header, "local").id
    first = record_of(workspace, run)
    assert record_of(workspace, run) is first
    workspace.events.append(run, "run_reopened", run)
    second = record_of(workspace, run)
    assert second is not first
    workspace.repository.set_status(run, "running", "goes on")
    assert record_of(workspace, run).header.status == "running"
    assert record_of(workspace, run) is not record_of(workspace, run)  # one at work is never kept


TABLE = pd.DataFrame(
    {
        "feature": list("abcde"),
        "gene": ["X", "Y", None, "xx", "Z"],
        "q": [0.5, None, 0.1, 0.3, 0.2],
        "hit": [True] * 5,
    }
)


def test_part_of_a_table_is_sorted_searched_and_found() -> None:
    page = page_of(TABLE, limit=2, sort="q")
    assert [row[0] for row in page.rows] == ["c", "e"]
    assert page.kinds == ["text", "text", "number", "truth"]
    assert (page.n_found, page.n_total) == (5, 5)
    assert [row[0] for row in page_of(TABLE, sort="q", descending=True).rows] == ["a", "d", "e", "c", "b"]
    assert [row[0] for row in page_of(TABLE, search="x").rows] == ["a", "d"]
    around = page_of(TABLE, limit=3, row="d", columns=["feature", "q", "no"])
    assert around.columns == ["feature", "q"]
    assert around.at is not None
    assert around.rows[around.at][0] == "d"
    assert page_of(TABLE, row="nothing").at is None
    assert page_of(TABLE, offset=99).rows == []
    assert page_of(TABLE.iloc[:1], sort="q").rows == [["a", "X", 0.5, True]]
    with pytest.raises(InputError, match="no column 'z'"):
        page_of(TABLE, sort="z")


def test_a_table_is_not_changed_by_looking_at_it() -> None:
    before = TABLE.copy()
    page_of(TABLE, sort="gene", search="x", row="a", columns=["gene"])
    pd.testing.assert_frame_equal(TABLE, before)
