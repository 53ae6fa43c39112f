"""Workers: what becomes of work when processes are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from nereus.api.workers import child
from nereus.api.workers.worker import Worker, kill
from nereus.memory.database import Database
from nereus.memory.jobs import Job, Jobs
from nereus.memory.workspace import open_workspace
from nereus.settings import Settings, load_settings
from tests.api.conftest import HEALTHY_S, Server, start
from tests.api.test_server import DONE, SMALL, ended, events_of


def _busy(pids: Path) -> None:
    """Sleeping and CPU-bound grandchildren, one of which has left the group."""
    os.setsid()
    loop = "while True: pass"
    children = [
        subprocess.Popen([sys.executable, "-c", loop]),
        subprocess.Popen([sys.executable, "-c", loop], start_new_session=True),
        subprocess.Popen(["sleep", "600"]),
    ]
    pids.write_text(" ".join(str(one.pid) for one in children))
    while True:
        pass


def test_a_process_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    process = multiprocessing.get_context("forkserver").Process(target=_busy, args=(pids,))
    process.start()
    ends = time.monotonic() + 30
    while not (pids.exists() and len(pids.read_text().split()) == 3):
        assert time.monotonic() < ends
        time.sleep(0.05)
    began = time.monotonic()
    kill(process)
    assert time.monotonic() - began < 2
    assert not process.is_alive()
    for pid in map(int, pids.read_text().split()):
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _endless(settings: Settings, job: Job) -> None:
    """A job that computes, sleeps, or lets others do so who have left its group and lost their parents."""
    os.setsid()
    pids = Path(job.request["pids"])
    compute, sleep = [sys.executable, "-c", "while True: pass"], ["sleep", "600"]
    if job.request["work"] == "forks":
        children = [
            subprocess.Popen(one, start_new_session=new) for one in (compute, sleep) for new in (0, 1)
        ]
        nested = "import subprocess, sys; subprocess.Popen(['sleep', '600']); subprocess.Popen(['sleep', '600']).wait()"
        children.append(subprocess.Popen([sys.executable, "-c", nested]))
        time.sleep(0.5)
        family = psutil.Process().children(recursive=True)
        assert len(family) > len(children)
        pids.write_text(" ".join(str(one.pid) for one in (*family, psutil.Process())))
    else:
        pids.write_text(str(os.getpid()))
    while job.request["work"] != "sleeps":
        pass
    time.sleep(600)


@pytest.mark.parametrize("work", ["computes", "sleeps", "forks"])
def test_cancelling_ends_whatever_a_job_does_within_two_seconds(
    work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "work", _endless)
    pids = tmp_path / "pids"
    with open_workspace(load_settings(home=tmp_path / "home")) as workspace:
        jobs = Jobs(workspace.database)
        job = jobs.add("ada", "tool", {"work": work, "pids": str(pids)})
        worker = Worker(workspace, slots=1)
        working = threading.Thread(target=worker.run)
        working.start()
        try:
            ends = time.monotonic() + 60
            while not (pids.exists() and pids.read_text()):
                assert time.monotonic() < ends
                time.sleep(0.05)
            family = [int(one) for one in pids.read_text().split()]
            assert all(map(psutil.pid_exists, family))
            began = time.monotonic()
            jobs.ask_to_cancel(job.id)
            while jobs.get(job.id).status != "cancelled" or any(map(_lives, family)):
                assert time.monotonic() - began < 2, "it was not ended in time"
                time.sleep(0.01)
        finally:
            worker.stop()
            working.join()


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_worker_beside_a_server_that_was_killed_stops(tmp_path: Path) -> None:
    server = start(tmp_path, workers=1)
    (worker,) = (
        one for one in psutil.Process(server.process.pid).children() if "nereus.api.workers" in one.cmdline()
    )
    server.process.kill()
    server.process.wait(timeout=HEALTHY_S)
    ends = time.monotonic() + 30
    while _lives(worker.pid):
        assert time.monotonic() < ends, "it works on without its server"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_run_survives_the_death_of_everything(tmp_path: Path, table: bytes) -> None:
    """Worker, task and server are killed in the middle; a new server goes on, and computes no finished step again."""
    first = start(tmp_path, workers=1)
    with first.client() as client:
        data = client.post("/api/datasets", files={"file": ("table.csv", table)}).json()["id"]
        run = str(client.post("/api/runs", json={"data": data, **SMALL}).json()["id"])
        seen = events_of(client, run, at_most=12)
    _kill_all(first)
    jobs = Jobs(Database(f"sqlite:///{tmp_path / 'nereus.sqlite'}"))
    _let_leases_end(jobs)
    second = start(tmp_path, workers=1)
    with second.client() as client:
        assert ended(client, run)["status"] in DONE
        whole = events_of(client, run)
    _kill_all(second)
    assert whole[: len(seen)] == seen
    finished = [
        one["payload"].get("key") or one["subject"] for one in whole if one["type"] == "step_finished"
    ]
    assert len(finished) == len(set(finished)), "no step is told as finished twice"
    assert [one["seq"] for one in whole[:-1]] == list(range(1, len(whole)))


def _kill_all(server: Server) -> None:
    family = [
        psutil.Process(server.process.pid),
        *psutil.Process(server.process.pid).children(recursive=True),
    ]
    for one in family:
        one.send_signal(signal.SIGKILL)
    server.process.wait(timeout=HEALTHY_S)


def _let_leases_end(jobs: Jobs) -> None:
    """In place of waiting: the leases of the dead worker run out."""
    from sqlalchemy import text

    with jobs._database.write() as connection:
        connection.execute(text("UPDATE jobs SET lease_until = 0 WHERE status = 'running'"))
