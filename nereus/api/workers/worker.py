"""A worker: takes jobs from the queue, gives each a process of its own, and ends those that nobody wants any more.

Any number of workers may run, on one machine or on several that share a PostgreSQL and a folder of artifacts. A worker
that is told to stop (SIGTERM, SIGINT) gives back what it has not finished; one that is killed loses its leases, and
others go on from the last finished step.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from typing import Any

import psutil

from nereus.api.served_runs import tell_run
from nereus.api.telemetry.logs import write_logs
from nereus.api.workers import child
from nereus.api.workers.tasks import KINDS
from nereus.errors import NereusError
from nereus.memory.jobs import ATTEMPTS, DIED, LEASE_S, Job, Jobs, JobStatus
from nereus.memory.workspace import Workspace, open_workspace
from nereus.settings import Settings

log = logging.getLogger("nereus.worker")

LOOK_S = 0.05
_RENEW_S = LEASE_S / 4
_TROUBLED_S = 2.0


@dataclass
class _AtWork:
    """A job and the process that works on it."""

    job: Job
    process: ForkServerProcess


class Worker:
    """Works on jobs until it is told to stop.

    Parameters
    ----------
    workspace
        Open stores.
    slots
        Jobs side by side.
    parent
        Process that it stands beside: when that is gone, it stops.
    """

    def __init__(self, workspace: Workspace, slots: int, parent: int | None = None) -> None:
        self._parent = parent
        self.name = f"{platform.node()}-{os.getpid()}"[:64]
        self._workspace = workspace
        self._jobs = Jobs(workspace.database)
        self._slots = slots
        self._at_work: dict[str, _AtWork] = {}
        self._stop = threading.Event()
        self._renewed = 0.0
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(child.PRELOADED))

    def stop(self) -> None:
        """Ask it to stop; `run` gives back what is unfinished, and returns."""
        self._stop.set()

    def run(self) -> None:
        """Work until `stop` is called."""
        try:
            while not self._stop.is_set() and self._parent in (None, os.getppid()):
                try:
                    busy = self.step()
                except NereusError as error:  # the database is away: what is at work goes on until leases end
                    log.error("the queue cannot be used: %s", error)
                    self._stop.wait(_TROUBLED_S)
                    continue
                self._stop.wait(0.0 if busy else LOOK_S)
        finally:
            self._give_back()

    def step(self) -> bool:
        """Look once: end, renew, take. True where a job was taken."""
        self._reap()
        self._end_unwanted()
        if time.monotonic() - self._renewed > _RENEW_S:
            self._renew()
            self._give_up()
        if len(self._at_work) >= self._slots:
            return False
        job = self._jobs.lease(self.name, KINDS)
        if job is None:
            return False
        process = self._context.Process(target=child.work, args=(self._workspace.settings, job), daemon=False)
        process.start()
        self._at_work[job.id] = _AtWork(job, process)
        return True

    def _reap(self) -> None:
        """Look after processes that have ended, and jobs that they have not."""
        for job_id, one in list(self._at_work.items()):
            if one.process.is_alive():
                continue
            one.process.join()
            del self._at_work[job_id]
            if self._jobs.get(job_id).status != "running":
                continue
            log.error("the process of job %s ended with code %s", job_id, one.process.exitcode)
            if one.job.attempts < ATTEMPTS:
                self._jobs.put_back(one.job)
                continue
            self._end(one.job, "failed", {"error": DIED})

    def _end_unwanted(self) -> None:
        if not self._at_work:
            return
        for job_id in self._jobs.to_cancel(self.name):
            one = self._at_work.pop(job_id, None)
            if one is None:
                continue
            kill(one.process)
            self._end(one.job, "cancelled", {})

    def _renew(self) -> None:
        self._renewed = time.monotonic()
        mine = self._jobs.renew(self.name, sorted(self._at_work))
        for job_id in sorted(set(self._at_work) - set(mine)):
            one = self._at_work[job_id]
            if one.process.is_alive() and self._jobs.get(job_id).worker != self.name:  # taken by another
                kill(one.process)
                del self._at_work[job_id]

    def _give_back(self) -> None:
        for one in self._at_work.values():
            kill(one.process)
            try:
                if self._jobs.get(one.job.id).status == "running":
                    self._jobs.give_back(one.job)
            except NereusError as error:  # its lease will run out
                log.error("job %s cannot be given back: %s", one.job.id, error)
        self._at_work.clear()

    def _give_up(self) -> None:
        """End what workers left behind that is not to be tried again, with its runs."""
        with self._workspace.database.write():
            for job in self._jobs.give_up():
                tell_run(self._workspace, job)

    def _end(self, job: Job, status: JobStatus, result: dict[str, Any]) -> None:
        """End a job, and tell its run, where the job is still this worker's."""
        with self._workspace.database.write():
            if self._jobs.end(job, status, result):
                tell_run(self._workspace, job.model_copy(update={"status": status, "result": result}))


def kill(process: ForkServerProcess) -> None:
    """End a process with all that it started, also what has left its group."""
    if process.pid is None:
        return
    try:
        descendants = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        descendants = []
    # The group first: nothing of it can start another meanwhile.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # before it has a group of its own
        process.kill()
    for one in descendants:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.join(timeout=5)


def main(settings: Settings, slots: int | None = None, parent: int | None = None) -> None:
    """Work on the queue of a home until SIGTERM or SIGINT, or until a process that it stands beside has gone."""
    write_logs(settings)
    with open_workspace(settings) as workspace:
        worker = Worker(workspace, slots or settings.serve_slots, parent)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        worker.run()
