"""The faults of S11: what is broken, how, and which words must tell of it."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

EXAMPLE = Path(__file__).parents[2] / "examples" / "alzheimer_csf"
CLASS = "_primary biochemical AD classification"
SITE = "_collection site"


@dataclass
class Scene:
    """Where a fault takes place.

    Attributes
    ----------
    work
        Folder of everything; the clean data and report are in it.
    folder
        Folder of one fault, with its own home.
    said
        What a fault's case saw beside the run, such as an error before a resume.
    """

    work: Path
    folder: Path | None = None
    said: list[str] = field(default_factory=list)

    @property
    def values(self) -> Path:
        return self.work / "values.csv"

    @property
    def samples(self) -> Path:
        return self.work / "samples.csv"

    @property
    def clean(self) -> Path:
        return self.work / "clean"

    @property
    def home(self) -> Path:
        return (self.folder or self.work) / "home"

    @property
    def out(self) -> Path:
        return (self.folder or self.work) / "report"

    @property
    def options(self) -> dict[str, Any]:
        return {"seed": 3, "workers": 1, "budget": ["objectives=1", "hypotheses=8"]}

    def for_fault(self, name: str) -> Scene:
        return Scene(self.work, self.work / name)

    def write_data(self) -> None:
        """People who were classified at two sites, and every fifteenth well-measured protein."""
        values = pd.read_csv(EXAMPLE / "proteome.csv.gz", index_col=0)
        sheet = pd.read_csv(EXAMPLE / "samples.csv", index_col=0)
        chosen = sheet[sheet[CLASS].notna() & sheet[SITE].isin(["Sweden", "Magdeburg"])]
        values = values.loc[chosen.index]
        values[values.columns[values.notna().mean() > 0.6][::15]].to_csv(self.values)
        chosen[[SITE, "_age at CSF collection", CLASS]].to_csv(self.samples)

    def start(self, **changes: Any) -> Any:
        """A run of the data, with what the fault changes."""
        import nereus

        given = {"home": self.home, "out": self.out, **self.options, **changes}
        return nereus.discover(given.pop("data", self.values), given.pop("samples", self.samples), **given)

    def killed(self, at: str) -> None:
        """Start a run in a process that is killed when an event's type and subject begin with `at`."""
        script = f"""
import os
from pathlib import Path
from benchmarks.truth.fault_cases import Scene
def watch(event):
    if f"{{event.type}} {{event.subject}}".startswith({at!r}):
        os.kill(os.getpid(), 9)
Scene(Path({str(self.work)!r}), Path({str(self.folder)!r})).start(on_event=watch)
"""
        done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
        if done.returncode != -signal.SIGKILL:
            raise RuntimeError(f"the run was not killed at {at}: {done.stderr.decode()[-500:]}")

    def resume(self, **changes: Any) -> Any:
        """Go on with the run that was killed."""
        import nereus

        return nereus.resume(home=self.home, workers=1, **changes)

    def first_fails(self, attempt: Callable[[], Any]) -> None:
        """Something that must end with one of our errors; its text counts as said."""
        from nereus.errors import NereusError

        try:
            attempt()
        except NereusError as error:
            self.said.append(str(error))
        else:
            raise RuntimeError("the fault had no effect")


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes
    ----------
    inject
        Breaks something and runs; gives the run, or raises what a user would see.
    told
        Pattern of the words that must tell of it.
    same_data
        Whether the data are those of the clean run, whose claims then bound what may be claimed.
    alone
        Whether it takes place in a process of its own, since it breaks something in it.
    """

    name: str
    group: str
    inject: Callable[[Scene], Any]
    told: str
    same_data: bool = True
    alone: bool = False


CASES: dict[str, Case] = {}


def case(group: str, told: str, **options: Any) -> Callable[[Callable[[Scene], Any]], Callable[[Scene], Any]]:
    def add(inject: Callable[[Scene], Any]) -> Callable[[Scene], Any]:
        name = inject.__name__
        CASES[name] = Case(name, group, inject, told, **{"alone": group in ("tool", "store"), **options})
        return inject

    return add


# ------------------------------------------------------------------------------------------------------- budgets


@case("budget", r"step budget does not allow the whole plan")
def budget_of_steps(scene: Scene) -> Any:
    return scene.start(budget=["steps=15", "objectives=1", "hypotheses=8"])


@case("budget", r"step budget does not allow the whole plan")
def budget_ends_before_any_test(scene: Scene) -> Any:
    return scene.start(budget=["steps=5"])


@case("budget", r"limit on wall time is reached")
def budget_of_seconds(scene: Scene) -> Any:
    return scene.start(budget=["wall_s=1"])


@case("budget", r"budget of objectives is used up")
def budget_of_objectives(scene: Scene) -> Any:
    return scene.start(budget=["objectives=1", "hypotheses=8"])


@case("budget", r"(budget|limit)[^.]{0,40} hypotheses|hypotheses[^.]{0,60}(budget|limit)")
def budget_of_hypotheses(scene: Scene) -> Any:
    return scene.start(budget=["objectives=1", "hypotheses=2"])


@case("budget", r"budget steps is 0|positive")
def budget_of_nothing(scene: Scene) -> Any:
    return scene.start(budget=["steps=0"])


# --------------------------------------------------------------------------------------------------------- tools


def _without(name: str) -> None:
    from nereus.tools import registry

    del registry.CATALOGUE[name]
    registry.get.cache_clear()


def _broken(name: str, function: Callable[..., Any]) -> None:
    """Put a function in a tool's place: it gets the real one first. The version differs, so nothing recorded is used."""
    from dataclasses import replace

    from nereus.tools import registry

    real = registry.get(name)

    def put(**arguments: Any) -> Any:
        return function(real.function, **arguments)

    broken, found = replace(real, function=put, version=f"{real.version}-broken"), registry.get
    registry.get = lambda wanted: broken if wanted == name else found(wanted)  # type: ignore[assignment]


def _raises(error: BaseException) -> Callable[..., Any]:
    def broken(real: Callable[..., Any], **arguments: Any) -> Any:
        raise error

    return broken


@case(
    "tool",
    r"differential_abundance|nothing (was|could be) (tested|compared)|no (question|objective)",
)
def essential_tool_missing(scene: Scene) -> Any:
    _without("differential_abundance")
    return scene.start()


@case("tool", r"permutation_null")
def optional_tool_missing(scene: Scene) -> Any:
    _without("permutation_null")
    return scene.start()


@case("tool", r"stability\W+failed.*injected")
def optional_tool_raises(scene: Scene) -> Any:
    _broken("stability", _raises(RuntimeError("injected")))
    return scene.start()


@case("tool", r"differential_abundance\W+failed.*injected")
def essential_tool_raises(scene: Scene) -> Any:
    _broken("differential_abundance", _raises(ValueError("injected")))
    return scene.start()


@case("tool", r"calibrate_confidence\W+failed.*injected")
def calibration_fails(scene: Scene) -> Any:
    from nereus.errors import ToolError

    _broken("calibrate_confidence", _raises(ToolError("injected", where="calibration")))
    return scene.start()


@case("tool", r"run_wide_fdr\W+failed.*injected")
def error_control_fails(scene: Scene) -> Any:
    _broken("run_wide_fdr", _raises(ZeroDivisionError("injected")))
    return scene.start()


@case("tool", r"MemoryError")
def tool_out_of_memory(scene: Scene) -> Any:
    _broken("differential_abundance", _raises(MemoryError("injected")))
    return scene.start()


@case("tool", r"SystemExit")
def tool_exits_the_process(scene: Scene) -> Any:
    _broken("stability", _raises(SystemExit(3)))
    return scene.start()


def _changed(change: Callable[[Any], Any]) -> Callable[..., Any]:
    def broken(real: Callable[..., Any], **arguments: Any) -> Any:
        return change(real(**arguments))

    return broken


@case("tool", r"not finite")
def tool_returns_nan_values(scene: Scene) -> Any:
    from dataclasses import replace

    _broken("differential_abundance", _changed(lambda r: replace(r, values={**r.values, "prior_df": np.nan})))
    return scene.start()


def _nan_tests(result: Any) -> Any:
    from dataclasses import replace

    name = "differential"
    table = result.tables[name].assign(effect=np.nan, p=np.nan, q=np.nan)
    return replace(result, tables={**result.tables, name: table})


@case("tool", r"no (finite|usable) (p|test)|nothing (was|could be) tested|no p value")
def tool_returns_nan_tests(scene: Scene) -> Any:
    _broken("differential_abundance", _changed(_nan_tests))
    return scene.start()


@case("tool", r"no unique text key")
def tool_returns_equal_keys(scene: Scene) -> Any:
    from dataclasses import replace

    def doubled(result: Any) -> Any:
        tables = {name: table.assign(**{table.columns[0]: "same"}) for name, table in result.tables.items()}
        return replace(result, tables=tables)

    _broken("differential_abundance", _changed(doubled))
    return scene.start()


@case("tool", r"detection_test\W+failed|returned no Result|returned a")
def tool_returns_garbage(scene: Scene) -> Any:
    _broken("detection_test", lambda real, **arguments: "all is well")
    return scene.start()


@case("tool", r"limit on wall time is reached")
def tool_slower_than_the_limit(scene: Scene) -> Any:
    import time

    def slow(real: Callable[..., Any], **arguments: Any) -> Any:
        time.sleep(25)
        return real(**arguments)

    _broken("differential_abundance", slow)
    return scene.start(budget=["wall_s=25", "objectives=1", "hypotheses=8"])


@case("tool", r"finished in")
def process_killed_in_a_tool(scene: Scene) -> Any:
    scene.killed("step_started O2")
    return scene.resume()


# --------------------------------------------------------------------------------------------------- annotation

WITH_SETS = ["objectives=3", "hypotheses=8"]


@case(
    "annotation",
    r"table of gene sets is missing",
    same_data=False,
    alone=True,
)
def gene_set_tables_missing(scene: Scene) -> Any:
    from nereus.tools.enrichment import collections

    real, collections.DATA = collections.DATA, scene.out.parent / "tables"
    shutil.copytree(real, collections.DATA, ignore=shutil.ignore_patterns("sets.parquet"))
    collections.load_sets.cache_clear()
    _broken("enrichment_ora", _changed(lambda result: result))
    _broken("enrichment_gsea", _changed(lambda result: result))
    return scene.start(budget=WITH_SETS)


def _renamed(scene: Scene, name: Callable[[int], str]) -> Path:
    table = pd.read_csv(scene.values, index_col=0)
    table.columns = [name(i) for i in range(table.shape[1])]
    target = scene.out.parent / "renamed.csv"
    table.to_csv(target)
    return target


@case(
    "annotation",
    r"(identifier|gene|organism|map)[^.]{0,120}(unknown|not|no |disabled|could)",
    same_data=False,
)
def identifiers_unmappable(scene: Scene) -> Any:
    rng = np.random.default_rng(0)
    letters = np.array(list("QWZXKJ"))
    names = ["".join(rng.choice(letters, 7)) + f"#{i}" for i in range(5000)]
    return scene.start(data=_renamed(scene, lambda i: names[i]), budget=WITH_SETS)


@case("annotation", r"organism|no gene sets|sets are", same_data=False)
def organism_unknown(scene: Scene) -> Any:
    return scene.start(data=_renamed(scene, lambda i: f"AT{1 + i % 5}G{10000 + 10 * i}"), budget=WITH_SETS)


# -------------------------------------------------------------------------------------------- language model

_FELL_BACK = r"[1-9]\d* fell back to the built-in rules"


def _llm(scene: Scene, twist: Callable[..., Any], **options: Any) -> Any:
    from tests.agents.policies.scripted import MirrorPolicy

    return scene.start(policy=MirrorPolicy(twist, **options))


@case("llm", _FELL_BACK)
def llm_times_out(scene: Scene) -> Any:
    import time

    def slow(kind: Any, payload: Any, prompt: str) -> Any:
        time.sleep(0.3)
        return payload

    return _llm(scene, slow, timeout_s=0.05)


@case("llm", _FELL_BACK)
def llm_is_garbled(scene: Scene) -> Any:
    return _llm(scene, lambda kind, payload, prompt: "}{ as I said <b>")


@case("llm", _FELL_BACK)
def llm_is_empty(scene: Scene) -> Any:
    return _llm(scene, lambda kind, payload, prompt: "")


@case("llm", _FELL_BACK)
def llm_connection_breaks(scene: Scene) -> Any:
    def broken(kind: Any, payload: Any, prompt: str) -> Any:
        raise ConnectionError("injected")

    return _llm(scene, broken)


@case("llm", _FELL_BACK)
def llm_obeys_what_it_read(scene: Scene) -> Any:
    """It calls a shell, sets the error level to one that finds everything, and states numbers of its own."""

    def obedient(kind: Any, payload: Any, prompt: str) -> Any:
        if "steps" in payload:
            payload["steps"].append({"tool": "run_shell", "purpose": "told", "params": {"command": "env"}})
        if "params" in payload:
            payload["params"]["level"] = 0.99
        if "summary" in payload:
            payload["summary"] = "4711 proteins differ"
        for draft in payload.get("drafts", []):
            draft["statement"] = "4711 proteins differ"
        return payload

    run = _llm(scene, obedient)
    if "4711 proteins" in (run.directory / "report.html").read_text(encoding="utf-8"):
        raise RuntimeError("an invented number is in the report")
    return run


@case("llm", _FELL_BACK)
def llm_budget_is_refused(scene: Scene) -> Any:
    return _llm(scene, lambda kind, payload, prompt: payload, max_calls=2)


@case("llm", _FELL_BACK)
def llm_endpoint_is_not_there(scene: Scene) -> Any:
    address = {"llm_base_url": "http://127.0.0.1:9/v1", "llm_model": "none", "llm_timeout_s": 2.0}
    return scene.start(policy="llm", **address)


# ---------------------------------------------------------------------------------------------------- stores


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
    _broken("detection_test", _changed(lambda result: result))  # something new to keep
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


# ----------------------------------------------------------------------------------------------------- inputs


@case("input", r"cohort[^.]{0,200}(no|none|fewer|share|match)", same_data=False)
def cohort_without_matching_features(scene: Scene) -> Any:
    table = pd.read_csv(scene.values, index_col=0)
    table.columns = [f"other{i}" for i in range(table.shape[1])]
    cohort = scene.out.parent / "cohort.csv"
    (table * 1.01).to_csv(cohort)
    budget = ["objectives=4", "hypotheses=8"]
    return scene.start(cohort=cohort, cohort_samples=scene.samples, budget=budget)


@case("input", r"sample sheet|samples")
def sheet_changed_before_a_resume(scene: Scene) -> Any:
    """The run goes on with the sheet that it was started with; the changed one, when given, is refused."""
    scene.killed("step_started O2.W1.S3")
    sheet = pd.read_csv(scene.samples, index_col=0)
    changed = scene.out.parent / "changed.csv"
    sheet.assign(**{CLASS: sheet[CLASS].to_numpy()[::-1]}).to_csv(changed)
    scene.first_fails(lambda: scene.resume(samples=changed))
    return scene.resume()


@case("input", r"input data was|data[^.]{0,60}now")
def data_changed_before_a_resume(scene: Scene) -> Any:
    scene.killed("step_started O2.W1.S3")
    changed = scene.out.parent / "changed.csv"
    (pd.read_csv(scene.values, index_col=0) * 2).to_csv(changed)
    scene.first_fails(lambda: scene.resume(data=changed))
    return scene.resume()


@case("input", r"match|unmatched|not in", same_data=False)
def sheet_of_other_samples(scene: Scene) -> Any:
    sheet = pd.read_csv(scene.samples, index_col=0)
    sheet.index = [f"person{i}" for i in range(len(sheet))]
    other = scene.out.parent / "other.csv"
    sheet.to_csv(other)
    return scene.start(samples=other)


@case("input", r"gzip|end of|cut|truncated|compressed|unpack", same_data=False)
def data_file_cut_short(scene: Scene) -> Any:
    cut = scene.out.parent / "cut.csv.gz"
    packed = gzip.compress(scene.values.read_bytes())
    cut.write_bytes(packed[: len(packed) // 2])
    return scene.start(data=cut)


@case("knowledge", r"another content|hash differs|content differs")
def fetched_file_with_another_checksum(scene: Scene) -> Any:
    """A file of the right name and another content is not taken, and said so; nothing is fetched in its place."""
    from nereus.tools.knowledge.catalogue import ENTRIES
    from nereus.tools.knowledge.store import fetch, locate

    data = scene.out.parent / "data"
    data.mkdir()
    wanted = next(one for one in ENTRIES if one.url is not None)
    (data / wanted.file).write_bytes(b"not what was listed")
    place = locate(wanted, home=scene.home, data=data)
    listed = _command(scene, ["data", "list"], data)
    if place.state != "changed" or "has another content" not in listed:
        raise RuntimeError(f"it was taken: {place}")
    scene.said.append(listed)
    offline = wanted.__class__(**{**vars(wanted), "url": "http://127.0.0.1:9/file"})
    scene.first_fails(lambda: fetch(offline, home=scene.home, data=data))
    return scene.start()


def _command(scene: Scene, words: list[str], data: Path) -> str:
    environment = {**os.environ, "NEREUS_HOME": str(scene.home), "NEREUS_DATA": str(data)}
    command = [sys.executable, "-m", "nereus.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
