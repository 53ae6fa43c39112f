"""The server as a user of the interface has it: a file in, a run followed, results out."""

from __future__ import annotations

import json
import random
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from nereus.api.routes.run_events import END
from tests.api.conftest import Server

SMALL = {"budget": ["objectives=1", "steps=14", "hypotheses=6"]}
RUN_S = 180
DONE = ("finished", "stopped")
"""The small budget may end it before every question is answered."""


def events_of(
    client: httpx.Client, run: str, after: int = 0, at_most: int | None = None
) -> list[dict[str, Any]]:
    """Events of a stream, up to a number of them: then the connection is dropped."""
    found: list[dict[str, Any]] = []
    headers = {"accept": "text/event-stream", "last-event-id": str(after)}
    with client.stream("GET", f"/api/runs/{run}/events", headers=headers, timeout=RUN_S) as stream:
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event:"):
                name = line.partition(":")[2].strip()
            elif line.startswith("data:"):
                data = json.loads(line.partition(":")[2])
                found.append({"type": END, **data} if name == END else data)
                if len(found) == at_most:
                    break
    return found


def question(run: str, name: str) -> str:
    return f"/api/runs/{run}/approvals/{quote(name, safe='')}"  # names hold signs that end a path


def ended(client: httpx.Client, run: str) -> dict[str, Any]:
    ends = time.monotonic() + RUN_S
    while time.monotonic() < ends:
        seen: dict[str, Any] = client.get(f"/api/runs/{run}").json()
        if seen["status"] not in ("queued", "running"):
            return seen
        time.sleep(0.2)
    raise AssertionError("the run does not end")


@pytest.fixture(scope="module")
def finished(server: Server, dataset: str) -> str:
    """A run that was followed to its end."""
    with server.client() as client:
        made = client.post(
            "/api/runs", json={"data": dataset, "question": "what does treatment change?", **SMALL}
        )
        assert made.status_code == 202, made.text
        run = str(made.json()["id"])
        assert made.headers["location"] == f"/api/runs/{run}"
        seen = events_of(client, run)
    assert seen[0]["type"] == "run_queued"
    assert seen[-1]["type"] == END
    assert seen[-1]["status"] in DONE
    assert [one["seq"] for one in seen[:-1]] == list(range(1, len(seen)))
    return run


def test_a_file_is_understood_before_anything_is_asked(server: Server, dataset: str) -> None:
    with server.client() as client:
        made = client.post(f"/api/datasets/{dataset}/profile?wait=60", json={})
        assert made.status_code == 202
        job = made.json()
        assert job["status"] == "finished", job
        assert job["result"]["values"]["n_samples"] == 8
        assert "treated vs control" in job["result"]["summary"]
        contrasts = client.get(f"/api/jobs/{job['id']}/outputs/contrasts?form=json").json()
        assert contrasts["n_total"] == len(contrasts["rows"]) == 1
        again = client.post(f"/api/datasets/{dataset}/profile?wait=60", json={}).json()
        assert again["result"] == job["result"]


def test_what_was_planted_is_found_and_every_number_leads_to_its_call(server: Server, finished: str) -> None:
    with server.client() as client:
        hypotheses = client.get(f"/api/runs/{finished}/hypotheses").json()
        assert hypotheses
        artifacts = client.get(f"/api/runs/{finished}/artifacts").json()
        table = next(
            one for one in artifacts if one["tool"] == "differential_abundance" and one["kind"] == "table"
        )
        rows = client.get(f"/api/runs/{finished}/artifacts/{table['step']}/{table['name']}?form=json").json()
        q = rows["columns"].index("q")
        significant = {row[0] for row in rows["rows"] if row[q] is not None and row[q] < 0.05}
        assert significant >= {f"P{10000 + row}" for row in range(12)}
        evidence = hypotheses[0]["evidence_ids"][0]
        found = client.get(f"/api/runs/{finished}/evidence/{evidence}").json()
        assert found["call"]["key"] == found["evidence"]["call_key"]
        plan = client.get(f"/api/runs/{finished}/steps").json()
        assert any(workflow["steps"] for objective in plan for workflow in objective["workflows"])


def test_the_report_is_served_and_nothing_else_of_the_disk(server: Server, finished: str) -> None:
    with server.client() as client:
        page = client.get(f"/api/runs/{finished}/report")
        assert page.status_code == 200
        assert "sandbox" in page.headers["content-security-policy"]
        assert client.get(f"/api/runs/{finished}/report/claims.csv").status_code == 200
        for file in (
            "../nereus.sqlite",
            "..%2f..%2fnereus.sqlite",
            "/etc/passwd",
            "%2fetc%2fpasswd",
            "a%00b",
        ):
            answer = client.get(f"/api/runs/{finished}/report/{file}")
            assert answer.status_code == 404, file


def test_a_reader_that_drops_at_any_point_gets_every_event_once_and_in_order(
    server: Server, dataset: str
) -> None:
    choice = random.Random(3)
    with server.client() as client:
        made = client.post("/api/runs", json={"data": dataset, "seed": 1, **SMALL})
        run = str(made.json()["id"])
        seen: list[dict[str, Any]] = []
        drops = 0
        while not seen or seen[-1]["type"] != END:
            after = seen[-1]["seq"] if seen else 0
            seen += events_of(client, run, after, at_most=choice.randint(1, 4))
            drops += 1
        whole = client.get(f"/api/runs/{run}/events", headers={"accept": "application/json"}).json()
    assert drops > 10
    assert seen[:-1] == whole
    assert [one["seq"] for one in whole] == list(range(1, len(whole) + 1))


def test_questions_are_answered_over_the_interface_and_the_run_goes_on(server: Server, dataset: str) -> None:
    with server.client() as client:
        made = client.post("/api/runs", json={"data": dataset, "seed": 2, "approval": "always", **SMALL})
        run = str(made.json()["id"])
        answered = 0
        while (seen := ended(client, run))["status"] == "waiting":
            asked = client.get(f"/api/runs/{run}/approvals?pending=true").json()
            assert asked, "a run that waits asks something"
            wrong = client.post(question(run, asked[0]["id"]), json={"aprove": True})
            assert wrong.status_code == 422, wrong.text
            for one in asked:
                given = client.post(question(run, one["id"]), json={"approve": True})
                assert given.status_code == 200, given.text
                assert given.json()["answered_by"] == "local"
                answered += 1
            twice = client.post(question(run, asked[0]["id"]), json={"approve": False})
            assert twice.status_code == 409
        assert seen["status"] in DONE, seen
        assert answered >= 2


def test_a_run_is_cancelled_within_seconds_and_gone_on_with(server: Server, dataset: str) -> None:
    with server.client() as client:
        run = str(client.post("/api/runs", json={"data": dataset, "seed": 3, **SMALL}).json()["id"])
        events_of(client, run, at_most=6)  # it is being worked on
        began = time.monotonic()
        client.post(f"/api/runs/{run}/cancel")
        seen = ended(client, run)
        assert seen["status"] == "cancelled"
        assert time.monotonic() - began < 5
        stream = events_of(client, run)
        assert stream[-2]["type"] == "run_cancelled"
        assert stream[-1]["status"] == "cancelled"
        assert client.post(f"/api/runs/{run}/resume").status_code == 202
        assert ended(client, run)["status"] in DONE
        later = events_of(client, run)
        assert later[: len(stream) - 1] == stream[:-1], "nothing of the stream is rewritten"


def test_data_that_cannot_be_analysed_end_the_run_with_the_reason(server: Server) -> None:
    with server.client() as client:
        bad = client.post("/api/datasets", files={"file": ("poem.txt", b"no table\nat all\n")}).json()["id"]
        run = str(client.post("/api/runs", json={"data": bad}).json()["id"])
        seen = ended(client, run)
        assert seen["status"] == "refused"
        assert seen["stop_reason"]
        assert events_of(client, run)[-1] == {"type": END, "status": "refused"}
        assert client.post(f"/api/runs/{run}/resume").status_code == 409


def test_a_tool_is_called_on_a_data_set_and_on_what_another_call_made(server: Server, dataset: str) -> None:
    with server.client() as client:
        loaded = client.post(
            "/api/tools/load_dataset/calls?wait=60", json={"inputs": {"data": dataset}}
        ).json()
        assert loaded["status"] == "finished", loaded
        scored = client.post(
            "/api/tools/quality_control/calls?wait=60",
            json={"inputs": {"dataset": f"{loaded['id']}/dataset"}},
        ).json()
        assert scored["status"] == "finished", scored
        assert scored["result"]["outputs"]
        missing = client.post("/api/tools/quality_control/calls", json={})
        assert missing.status_code == 422
        assert "input 'dataset' is missing" in missing.json()["detail"]
        wrong = client.post(
            "/api/tools/quality_control/calls",
            json={"inputs": {"dataset": dataset}, "params": {"no_such": 1}},
        )
        assert wrong.status_code == 422
        assert client.post("/api/tools/run_code/calls", json={}).status_code in (403, 404)
        near = client.get("/api/tools/quality_contrl")
        assert near.status_code == 404
        assert "quality_control" in near.json()["mend"]


def test_a_run_is_deleted_with_its_report(server: Server, dataset: str) -> None:
    with server.client() as client:
        run = str(client.post("/api/runs", json={"data": dataset, "seed": 4, **SMALL}).json()["id"])
        client.post(f"/api/runs/{run}/cancel")
        ended(client, run)
        deadline = time.monotonic() + 10
        while (
            answer := client.delete(f"/api/runs/{run}")
        ).status_code == 409 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert answer.status_code == 204, answer.text
        assert client.get(f"/api/runs/{run}").status_code == 404
        assert not (server.home / "served" / run).exists()


def test_what_was_used_is_told(server: Server, finished: str) -> None:
    with server.client() as client:
        usage = client.get("/api/usage").json()
        assert usage["runs"] >= 1
        assert usage["used"]["steps"] > 0
        done = [one["action"] for one in client.get("/api/audit").json()]
        assert {"upload data set", "create run"} <= set(done)
