"""How the end of work is told: to the job, to the run that it worked on, and to whoever follows the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from nereus.api.workers import child, tasks
from nereus.api.workers.worker import Worker
from nereus.memory.jobs import ATTEMPTS, Job, Jobs
from nereus.memory.records import RunHeader, RunStatus
from nereus.memory.workspace import Workspace, open_workspace
from nereus.settings import load_settings


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(load_settings(home=tmp_path)) as opened:
        yield opened


def made_run(workspace: Workspace, status: RunStatus = "running") -> str:
    return workspace.repository.create_run(
        RunHeader(id="", status=status, out_dir="", fingerprint="ab" * 32), "ada"
    ).id


def leased(workspace: Workspace, run: str, worker: str = "w1") -> Job:
    jobs = Jobs(workspace.database)
    jobs.add("ada", "run", run_id=run)
    job = jobs.lease(worker)
    assert job is not None
    return job


def set_jobs(workspace: Workspace, change: str) -> None:
    with workspace.database.write() as connection:
        connection.execute(text(f"UPDATE jobs SET {change}"))


def types(workspace: Workspace, run: str) -> list[str]:
    return [one.type for one in workspace.events.read(run)]


@pytest.mark.parametrize(
    ("change", "status", "event"),
    [
        (f"attempts = {ATTEMPTS}", "failed", "run_failed"),
        ("cancel = 1", "cancelled", "run_cancelled"),
    ],
)
def test_a_run_is_told_of_the_job_that_dead_workers_left(
    workspace: Workspace, change: str, status: str, event: str
) -> None:
    run = made_run(workspace)
    job = leased(workspace, run)
    set_jobs(workspace, f"lease_until = 0, {change}")
    worker = Worker(workspace, slots=1)
    assert not worker.step()
    assert Jobs(workspace.database).get(job.id).status == status
    assert workspace.repository.header(run).status == status
    assert types(workspace, run) == [event]


def test_a_run_whose_job_is_another_worker_s_by_now_is_left_alone(workspace: Workspace) -> None:
    run = made_run(workspace)
    job = leased(workspace, run)
    set_jobs(workspace, "worker = 'w2'")
    Worker(workspace, slots=1)._end(job, "failed", {"error": {"what": "died", "where": None, "mend": None}})
    assert workspace.repository.header(run).status == "running"
    assert types(workspace, run) == []


def perform_as(monkeypatch: pytest.MonkeyPatch, task: Callable[[Workspace, Job], dict[str, Any]]) -> None:
    monkeypatch.setitem(tasks._TASKS, "run", task)


def test_a_defect_is_told_once_and_not_blamed_on_memory(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(workspace: Workspace, job: Job) -> dict[str, Any]:
        raise KeyError("no such thing")

    run = made_run(workspace)
    job = leased(workspace, run)
    perform_as(monkeypatch, breaks)
    with caplog.at_level(logging.ERROR):
        child.do(workspace.settings, job)
    ended = Jobs(workspace.database).get(job.id)
    assert (ended.status, ended.attempts) == ("failed", 1)
    assert ended.result["error"]["what"] == "a defect of the server"
    name = ended.result["error"]["mend"].split()[-1]
    assert name in caplog.text, "the log has the details under the name that was told"
    assert "no such thing" in caplog.text
    assert "no such thing" not in str(ended.result)
    assert workspace.repository.header(run).status == "failed"
    assert types(workspace, run) == ["run_failed"]


def test_a_question_that_is_answered_before_its_process_has_ended_is_gone_on_with(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(workspace.database)

    def waits(inner: Workspace, job: Job) -> dict[str, Any]:
        assert job.run_id is not None
        inner.repository.request_approval(job.run_id, "gate", "report", {})
        inner.repository.set_status(job.run_id, "waiting")
        inner.repository.answer_approval(job.run_id, "gate", {"approve": True})  # a quick person
        assert jobs.add_to_run("ada", job.run_id) is None, "the job is at work still"
        return {}

    run = made_run(workspace)
    job = leased(workspace, run)
    perform_as(monkeypatch, waits)
    child.do(workspace.settings, job)
    assert jobs.get(job.id).status == "finished"
    assert [one.status for one in jobs.of_run(run, unended=True)] == ["queued"]


def test_the_stream_of_a_run_that_waits_ends_and_says_so(workspace: Workspace, tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    from nereus.api.app import create_app
    from tests.api.test_server import events_of

    run = workspace.repository.create_run(
        RunHeader(id="", status="waiting", out_dir="", fingerprint="ab" * 32), "local"
    ).id
    workspace.events.append(run, "approval_requested", "gate")
    with TestClient(create_app(workspace.settings), base_url="http://127.0.0.1") as client:
        began = time.monotonic()
        seen = events_of(client, run)
    assert time.monotonic() - began < 5
    assert [one["type"] for one in seen] == ["approval_requested", "end"]
    assert seen[-1]["status"] == "waiting"
