"""Disks that are full, databases that are locked or damaged, artifacts and checkpoints that are lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.truth.fault_cases.scene import Scene, case
from benchmarks.truth.fault_cases.tools import broken, changed


def _disk_full(what: str, full: Callable[[], bool] = lambda: True) -> Callable[[], None]:
    """Nothing can be written while `full` says so; gives what makes room again."""
    import errno

    from nereus.memory.artifacts import ArtifactStore

    real = getattr(ArtifactStore, what)

    def put(self: Any, *arguments: Any, **options: Any) -> Any:
        with self.together():
            if full():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(self, *arguments, **options)

    setattr(ArtifactStore, what, put)
    return lambda: setattr(ArtifactStore, what, real)


@case("store", r"No space left")
def disk_full_while_keeping_an_artifact(scene: Scene) -> Any:
    """The run stops with what to do, and goes on from there when there is room."""
    broken("detection_test", changed(lambda result: result))  # something new to keep
    begun: list[str] = []

    def watch(event: Any) -> None:
        if event.subject.startswith("O2.W1") and event.type == "step_started":
            begun.append(event.subject)

    room = _disk_full("put_table", lambda: bool(begun))
    scene.first_fails(lambda: scene.start(on_event=watch))
    room()
    return scene.resume()


@case("store", r"No space left")
def disk_full_while_reading_the_data(scene: Scene) -> Any:
    _disk_full("put_file")
    return scene.start()


@case("store", r"No space left")
def disk_full_while_writing_the_report(scene: Scene) -> Any:
    import errno

    from nereus.agents.planner import driving

    real = driving.write_bundle

    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    driving.write_bundle = full
    scene.first_fails(scene.start)
    driving.write_bundle = real
    import nereus

    runs = nereus.load_run(home=scene.home)
    return nereus.resume(runs.id, home=scene.home)


@case("store", r"locked")
def database_is_locked(scene: Scene) -> Any:
    from nereus.memory.database import engine

    engine.BUSY_S = 1.0
    with closing(sqlite3.connect(scene.home / "nereus.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        scene.first_fails(scene.start)
        other.execute("ROLLBACK")
    return scene.start()


@case("store", r"not a database|malformed")
def database_is_no_database(scene: Scene) -> Any:
    for name in ("nereus.sqlite-wal", "nereus.sqlite-shm"):
        (scene.home / name).unlink(missing_ok=True)
    (scene.home / "nereus.sqlite").write_bytes(b"this is no database" * 500)
    return scene.start()


@case("store", r"vector index (was damaged|cannot be used)")
def chroma_folder_is_corrupted(scene: Scene) -> Any:
    found = [path for path in (scene.home / "vectors").rglob("*") if path.is_file()]
    if not found:
        raise RuntimeError("there is no vector index to corrupt")
    for path in found:
        path.write_bytes(b"\x00garbage" * max(1, path.stat().st_size // 8))
    return scene.start(question="what differs in Alzheimer?")


@case("store", r"finished in")
def chroma_folder_is_owned_by_another(scene: Scene) -> Any:
    """What is recalled is the same from SQL, so there is nothing to tell but that the run finished."""
    script = f"""
import sys
from nereus.memory.workspace import open_workspace
from nereus.memory.vectors import open_vectors
from nereus.settings import load_settings
settings = load_settings(home={str(scene.home)!r})
with open_workspace(settings) as workspace, open_vectors(settings, workspace.repository) as index:
    index.recall("objectives", "what differs?")
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdin is not None
        if owner.stdout.readline().strip() != "held":
            raise RuntimeError("the owner did not start")
        run = scene.start(question="what differs in Alzheimer?")
        owner.stdin.close()
    return run


def _kept_by(scene: Scene, tool: str) -> Path:
    """The file of the first output of a tool's call in the clean run, which the killed run shares."""
    import nereus
    from nereus.memory.workspace import open_workspace
    from nereus.settings import load_settings

    with open_workspace(load_settings(home=scene.home)) as workspace:
        clean = next(one.id for one in workspace.repository.list_runs() if one.status == "finished")
    run = nereus.load_run(clean, home=scene.home)
    call = next(one for one in run.record.calls.values() if one.spec.tool == tool and one.outputs)
    return run.artifacts.path(next(iter(call.outputs.values())))


def _prepared(scene: Scene) -> Path:
    """The file of the prepared data set, which steps and drawings still read."""
    import nereus
    from nereus.memory.workspace import open_workspace
    from nereus.settings import load_settings

    with open_workspace(load_settings(home=scene.home)) as workspace:
        clean = next(one.id for one in workspace.repository.list_runs() if one.status == "finished")
    run = nereus.load_run(clean, home=scene.home)
    step, _, output = run.record.outputs["prepared"].partition("/")
    key = next(one.call_key for one in run.record.steps() if one.id == step)
    return run.artifacts.path(run.record.calls[str(key)].outputs[output])


def _damage(path: Path) -> None:
    """Change one byte in the middle; the size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@case("store", r"artifact[^.]{0,80}was damaged and was made again")
def artifact_corrupted_before_a_resume(scene: Scene) -> Any:
    scene.killed("step_started O2.W1.S3")
    _damage(_kept_by(scene, "differential_abundance"))
    return scene.resume()


@case("store", r"artifact[^.]{0,80}was missing and was made again")
def artifact_lost_before_a_resume(scene: Scene) -> Any:
    scene.killed("step_started O1.W1.S4")
    _prepared(scene).unlink()
    return scene.resume()


@case("store", r"artifact[^.]{0,80}was damaged and was made again")
def artifact_cut_short_before_a_resume(scene: Scene) -> Any:
    scene.killed("step_started O1.W1.S4")
    path = _prepared(scene)
    path.write_bytes(path.read_bytes()[:100])
    return scene.resume()


@case("store", r"values.csv[^.]{0,80}damaged")
def kept_data_file_damaged_before_a_resume(scene: Scene) -> Any:
    """No step can make the user's file again: the run says so, and goes on when it is given again."""
    import nereus

    scene.killed("step_started O1.W1.S3")
    run = nereus.load_run(home=scene.home)
    _damage(run.artifacts.path(run.record.header.inputs["data"]))
    scene.first_fails(scene.resume)
    return scene.resume(data=scene.values, run_id=run.id)


@case("store", r"finished in")
def checkpoints_missing(scene: Scene) -> Any:
    scene.killed("step_started O2.W1.S3")
    for path in scene.home.glob("checkpoints.sqlite*"):
        path.unlink()
    return scene.resume()


@case("store", r"not a database|malformed|finished in")
def checkpoints_corrupted(scene: Scene) -> Any:
    scene.killed("step_started O2.W1.S3")
    for path in scene.home.glob("checkpoints.sqlite-*"):
        path.unlink()
    (scene.home / "checkpoints.sqlite").write_bytes(b"garbage" * 4000)
    return scene.resume()
