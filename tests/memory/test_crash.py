"""Kill -9 in the middle of writing: what was committed stays, nothing is half, and going on ends the same."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nereus.memory.database import Database, DatabaseLedger
from nereus.memory.events import EventStream
from nereus.memory.records import RunRecord
from nereus.memory.runs import RunRepository
from tests.memory.factories import call, evidence, header, workflow

N_STEPS = 150
WRITER = f"""
import sys
from tests.memory.test_crash import write
write(sys.argv[1], sys.argv[2], {N_STEPS})
"""


def write(url: str, run_id: str, n_steps: int) -> None:
    """What a run writes; everything in it may be done twice."""
    database = Database(url)
    ledger, events, runs = DatabaseLedger(database, run_id), EventStream(database), RunRepository(database)
    plan = workflow(n_steps=n_steps)
    if not runs.workflow_versions(run_id, plan.id):
        runs.save_workflow(run_id, plan)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number, step in enumerate(plan.steps, start=1):
        if ledger.find_call(call(number).key) is None:
            ledger.record_call(call(number))
        with database.write():  # evidence, step and its event are kept together
            runs.save_evidence(run_id, [evidence(number, number)])
            runs.save_step(
                run_id, plan, step.model_copy(update={"status": "done", "call_key": call(number).key})
            )
            events.append(run_id, "step_finished", step.id, {"n": number}, key=f"{step.id} done")


def content(url: str, run_id: str) -> tuple[RunRecord, list[tuple[int, str, str]]]:
    database = Database(url)
    record = RunRepository(database).load(run_id)
    stream = [(one.seq, one.type, one.subject) for one in EventStream(database).read(run_id)]
    database.close()
    return record, stream


def test_a_killed_writer_leaves_a_whole_database(tmp_path: Path, migrated: Path) -> None:
    shutil.copyfile(migrated, tmp_path / "nereus.sqlite")
    url = f"sqlite:///{tmp_path / 'nereus.sqlite'}"
    database = Database(url)
    run = RunRepository(database).create_run(header(started="2000-01-01"))
    chance, progress = random.Random(7), []
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, url, run.id], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.01, 0.08))
        writer.kill()
        assert writer.wait() in (-signal.SIGKILL, 0)
        assert database.problems() == []
        record, stream = content(url, run.id)
        done = [step.id for step in record.workflows[0].steps if step.status == "done"]
        assert [number for number, _, _ in stream] == list(range(1, len(stream) + 1))
        assert (
            [subject for _, _, subject in stream] == done == [f"O1.W1.S{n}" for n in range(1, len(done) + 1)]
        )
        assert len(record.evidence) == len(done)
        assert all(one.call_key in record.calls for one in record.evidence.values())
        progress.append(len(done))
    assert progress == sorted(progress), "nothing committed was lost"
    assert progress[0] < N_STEPS, "the writer was killed before its end"
    write(url, run.id, N_STEPS)

    shutil.copyfile(migrated, tmp_path / "other.sqlite")
    other = f"sqlite:///{tmp_path / 'other.sqlite'}"
    untouched = RunRepository(Database(other)).create_run(header(started="2000-01-01"))
    write(other, untouched.id, N_STEPS)
    assert content(url, run.id) == content(other, untouched.id), "the same as if it had never been killed"


@pytest.mark.parametrize("seed", range(12))
def test_a_log_cut_by_a_power_failure_opens_with_a_prefix_of_the_run(
    tmp_path: Path, migrated: Path, seed: int
) -> None:
    """Cut the write-ahead log anywhere: the database opens, and holds the first n events and their steps."""
    live, cut = tmp_path / "live.sqlite", tmp_path / "cut.sqlite"
    shutil.copyfile(migrated, live)
    url = f"sqlite:///{live}"
    database = Database(url)
    run = RunRepository(database).create_run(header())
    database.engine.dispose()
    keep = sqlite3.connect(live)  # an open reader keeps the log from being written back
    keep.execute("PRAGMA wal_autocheckpoint=0")
    keep.execute("SELECT count(*) FROM runs").fetchone()
    keep.execute("BEGIN")
    keep.execute("SELECT count(*) FROM runs").fetchone()
    write(url, run.id, 30)
    log = live.with_name("live.sqlite-wal").read_bytes()
    assert len(log) > 100_000
    shutil.copyfile(live, cut)
    cut.with_name("cut.sqlite-wal").write_bytes(log[: random.Random(seed).randrange(len(log))])
    keep.close()

    database = Database(f"sqlite:///{cut}")
    assert database.problems() == []
    record, stream = content(f"sqlite:///{cut}", run.id)
    done = [step.id for one in record.workflows for step in one.steps if step.status == "done"]
    assert [subject for _, _, subject in stream] == done == [f"O1.W1.S{n}" for n in range(1, len(done) + 1)]
    write(f"sqlite:///{cut}", run.id, 30)
    assert len(content(f"sqlite:///{cut}", run.id)[1]) == 30
