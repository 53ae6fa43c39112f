"""Conversations over REST, against a real server with a worker."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server

BUDGET = {"budget": ["objectives=1", "hypotheses=4", "steps=14"]}


def say(client: httpx.Client, thread: str, text: str, **options: Any) -> list[dict[str, Any]]:
    answer = client.post(
        f"/api/threads/{thread}/messages", json={"text": text, **options}, params={"patience": 120}
    )
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def last(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer: the last message of the agent."""
    return dict(
        [one["payload"] for one in events if one["type"] == "message" and one["payload"]["role"] == "ai"][-1]
    )


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def thread(client: httpx.Client, dataset: str) -> str:
    made = client.post("/api/threads", json={"datasets": [dataset]})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


@pytest.fixture(scope="module")
def run_id(client: httpx.Client, thread: str) -> str:
    """A run that was asked for in words, approved with an edit, and worked on by the worker."""
    events = say(client, thread, "analyse this file")
    requests = next(one for one in events if one["type"] == "approval")["payload"]["requests"]
    assert requests[0]["action_request"]["action"] == "start_run"
    assert client.get(f"/api/threads/{thread}").json()["status"] == "interrupted"
    assert client.get(f"/api/threads/{thread}/approvals").json() == requests
    again = client.post(f"/api/threads/{thread}/messages", json={"text": "hello"})
    assert again.status_code == 409
    assert again.headers["content-type"].startswith("application/problem+json")
    wrong = client.post(f"/api/threads/{thread}/approvals", json={"answers": []})
    assert wrong.status_code == 422
    odd = client.post(
        f"/api/threads/{thread}/approvals",
        json={"answers": [{"type": "edit", "args": {"args": {"nonsense": 1}}}]},
    )
    assert odd.status_code == 422
    answer = client.post(
        f"/api/threads/{thread}/approvals",
        json={"answers": [{"type": "edit", "args": {"action": "start_run", "args": BUDGET}}]},
        params={"patience": 300},
        timeout=400,
    )
    assert answer.status_code == 200, answer.text
    told = last(answer.json())
    assert any(one["type"] == "run_event" for one in answer.json())
    found = str(told["nereus"]["run_id"])
    header = client.get(f"/api/runs/{found}").json()
    assert header["status"] in ("finished", "stopped")
    asked = [one for one in client.get(f"/api/runs/{found}/steps").json() if one["status"] == "done"]
    assert len([one for one in asked if one["kind"] not in ("data", "quality", "synthesis")]) <= 1
    return found


def test_a_run_is_asked_for_approved_with_an_edit_and_answered_from_evidence(
    client: httpx.Client, thread: str, run_id: str
) -> None:
    told = last(say(client, thread, "what did you find?"))
    cited = told["nereus"]["evidence"]
    assert cited
    for one in cited:
        if re.fullmatch(r"E\d+", one["id"]):
            found = client.get(f"/api/runs/{one['run_id']}/evidence/{one['id']}").json()
            assert found["evidence"]["value"] == one["value"]


def test_a_question_is_computed_again_by_the_worker_with_new_evidence(
    client: httpx.Client, thread: str, run_id: str
) -> None:
    told = last(say(client, thread, "try without normalisation"))
    fresh = told["nereus"]["run_id"]
    assert fresh != run_id
    assert client.get(f"/api/runs/{fresh}").json()["status"] == "finished"
    assert {one["run_id"] for one in told["nereus"]["evidence"]} >= {fresh}


def test_a_figure_is_drawn_and_served_to_its_owner(client: httpx.Client, thread: str, run_id: str) -> None:
    told = last(say(client, thread, "volcano plot"))
    shown = told["nereus"]["artifacts"][0]
    drawn = client.get(f"/api/threads/{thread}/artifacts/{shown['id']}")
    assert drawn.status_code == 200
    assert b"<svg" in drawn.content
    assert client.get(f"/api/threads/{thread}/artifacts/{'0' * 64}").status_code == 404


def test_a_stream_is_numbered_and_goes_on_where_it_was_left(
    client: httpx.Client, thread: str, run_id: str
) -> None:
    numbers: list[int] = []
    types: list[str] = []
    with client.stream(
        "POST",
        f"/api/threads/{thread}/messages",
        json={"text": "help"},
        headers={"accept": "text/event-stream"},
    ) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("id:"):
                numbers.append(int(line[3:]))
            if line.startswith("event:"):
                types.append(line[6:].strip())
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert types[0] == "message"
    assert types[-1] == "end"
    with client.stream(
        "GET",
        f"/api/threads/{thread}/messages",
        headers={"accept": "text/event-stream", "last-event-id": str(numbers[1])},
    ) as stream:
        again = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
    assert [one["seq"] for one in again] == numbers[2:]
    listed = client.get(f"/api/threads/{thread}/messages", params={"after": numbers[0]}).json()
    assert [one["seq"] for one in listed] == numbers[1:]


def test_rejecting_an_approval_starts_nothing(client: httpx.Client, dataset: str) -> None:
    thread = client.post("/api/threads", json={"datasets": [dataset]}).json()["id"]
    before = len(client.get("/api/runs").json())
    say(client, thread, "analyse it")
    answer = client.post(f"/api/threads/{thread}/approvals", json={"answers": [{"type": "ignore"}]})
    assert "not done" in last(answer.json())["content"]
    assert len(client.get("/api/runs").json()) == before
    none = client.post(f"/api/threads/{thread}/approvals", json={"answers": [{"type": "accept"}]})
    assert none.status_code == 409
    assert client.delete(f"/api/threads/{thread}").status_code == 204
    assert client.get(f"/api/threads/{thread}").status_code == 404


@pytest.mark.parametrize("path", ["", "/messages", "/approvals", f"/artifacts/{'0' * 64}"])
def test_what_is_not_there_is_told_as_a_problem(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/api/threads/t0123456789abcdef{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_data_set_that_is_not_there_is_refused(client: httpx.Client) -> None:
    thread = client.post("/api/threads", json={}).json()["id"]
    answer = client.post(
        f"/api/threads/{thread}/messages", json={"text": "hi", "datasets": ["d0123456789abcdef"]}
    )
    assert answer.status_code == 404
    assert client.post("/api/threads", json={"datasets": ["d0123456789abcdef"]}).status_code == 404
