"""Pruning: what goes, what stays, and that nothing a kept run refers to is ever removed."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from nereus.cli import app
from nereus.errors import InputError, StoreError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.checkpoints import open_checkpoints
from nereus.memory.database import Database, DatabaseLedger
from nereus.memory.events import EventStream
from nereus.memory.locks import STORE, held
from nereus.memory.records import ArtifactRef, CallStatus, RunHeader, StepSpec, ToolCall
from nereus.memory.retention import LOCKS, choose, prune, sign
from nereus.memory.runs import RunRepository
from nereus.memory.vectors import VectorIndex
from nereus.settings import Settings, load_settings
from tests.memory.factories import decision, evidence, header, hypothesis, objective, sha, workflow
from tests.memory.test_checkpoints import config, graph

DAY = timedelta(days=1)


@pytest.fixture
def settings(url: str, database: Database, tmp_path: Path) -> Settings:
    del database  # the schema is there
    return load_settings(home=tmp_path / "home", database_url=url)


class Filled:
    """A home with runs in it; every run has a data file, calls, artifacts of its own and some that all share."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.store = ArtifactStore(settings.artifact_root)
        self.runs = RunRepository(database)
        self.refs: dict[str, list[ArtifactRef]] = {}
        self.calls: dict[str, list[str]] = {}

    def table(self, text: str) -> ArtifactRef:
        return self.store.put_table(pd.DataFrame({"feature": ["a"], "text": [text]}), text)

    def call(
        self,
        name: str,
        inputs: dict[str, str],
        outputs: list[ArtifactRef],
        status: CallStatus = CallStatus.OK,
    ) -> ToolCall:
        spec = StepSpec(tool="normalise", version="1", params={"name": name}, inputs=dict(inputs), seed=1)
        return ToolCall(
            key=sha(f"call {name}"), spec=spec, status=status, outputs={one.name: one for one in outputs}
        )

    def add(self, number: int, data: str, ended: datetime, **changes: object) -> RunHeader:
        """A run: file -> load -> test, with evidence, a hypothesis with a figure, and old versions of its plan."""
        source = self.settings.home / f"{data}.csv"
        source.write_text(data)
        file = self.store.put_file(source)
        run = self.runs.create_run(
            header(
                number,
                inputs={"data": file},
                started=ended.isoformat(),
                out_dir=f"out{number}",
                id=f"r{number:010d}-1",
                **changes,
            )
        )
        ledger = DatabaseLedger(self.database, run.id)
        matrix, common = self.table(f"matrix of {data}"), self.table("common")
        figure = self.store.put_figure(f"<svg>{number}</svg>".encode(), "figure")
        load = self.call(f"load {data}", {"data": file.id}, [matrix, common])
        test = self.call(
            f"test {number}", {"dataset": matrix.id}, [self.table(f"test {number}"), common, figure]
        )
        old = self.call(f"old {number}", {"dataset": matrix.id}, [self.table(f"old {number}")])
        failed = self.call(f"failed {number}", {"dataset": matrix.id}, [], CallStatus.FAILED)
        named = self.call(f"named {number}", {"dataset": matrix.id}, [self.table(f"named {number}")])
        for one in (load, test, old, failed):
            ledger.record_call(one)
        DatabaseLedger(self.database).record_call(named)  # computed for nobody, and named by a decision only
        self.runs.save_objectives(run.id, [objective(1, f"which proteins of {data} differ?")])
        plan = workflow(n_steps=2)
        for version, second in enumerate((old, failed, test), start=1):
            steps = tuple(
                step.model_copy(update={"call_key": one.key, "status": "done"})
                for step, one in zip(plan.steps, (load, second), strict=True)
            )
            self.runs.save_workflow(run.id, plan.model_copy(update={"version": version, "steps": steps}))
        self.runs.save_evidence(
            run.id, [evidence(1).model_copy(update={"call_key": test.key, "artifact": None})]
        )
        self.runs.save_hypotheses(run.id, [hypothesis(1).model_copy(update={"figures": (figure.id,)})])
        self.runs.save_decisions(
            run.id, [decision(1).model_copy(update={"payload": {"because": f"see {named.key}"}})]
        )
        EventStream(self.database).append(run.id, "run_started")
        with open_checkpoints(self.settings.checkpoint_url) as saver:
            graph().compile(checkpointer=saver).invoke({"log": []}, config(run.id), durability="sync")
        self.refs[run.id] = [file, *(ref for one in (load, test, old, named) for ref in one.outputs.values())]
        self.calls[run.id] = [one.key for one in (load, test, old, failed, named)]
        return self.runs.set_status(run.id, "finished", finished=ended.isoformat())

    def whole(self, run: RunHeader) -> bool:
        """Whether everything is there that a run refers to."""
        ledger = DatabaseLedger(self.database)
        kept = all(ledger.find_call(key) is not None for key in self.calls[run.id])
        content = all(
            len(ArtifactStore(self.store.root).path(ref).read_bytes()) == ref.size
            for ref in self.refs[run.id]
        )
        self.runs.load(run.id)
        return kept and content

    def files(self) -> set[str]:
        return {file.stem for file in self.store.root.glob("objects/??/*")}


@pytest.fixture
def filled(settings: Settings, database: Database) -> Filled:
    settings.home.mkdir()
    return Filled(settings, database)


@pytest.fixture
def three(filled: Filled) -> list[RunHeader]:
    """Newest first; the first and the last share their data."""
    now = datetime.now(UTC)
    ends = (now - 30 * DAY, now - 10 * DAY, now - DAY)
    return [
        filled.add(number, data, ended) for number, data, ended in zip((1, 2, 3), "xyx", ends, strict=True)
    ][::-1]


@pytest.mark.parametrize(
    ("keep", "days", "expected"),
    [
        (None, None, []),
        (1, None, [2, 1]),
        (0, None, [3, 2, 1]),
        (None, 5, [2, 1]),
        (2, 5, [1]),
        (1, 20, [1]),
        (9, 0, []),
        (None, 90, []),
    ],
)
def test_which_runs_go(keep: int | None, days: float | None, expected: list[int]) -> None:
    at = datetime(2025, 6, 1, tzinfo=UTC)
    ends = {1: at - 30 * DAY, 2: at - 10 * DAY, 3: at - DAY}
    headers = [
        header(n, id=f"r{n}", status="finished", started="2020-01-01", finished=ends[n].isoformat())
        for n in (3, 2, 1)
    ]
    gone, stay = choose(headers, keep, days, at=at)
    assert [one.seed for one in gone] == expected
    assert stay == []


def test_runs_that_can_go_on_or_are_named_by_a_kept_one_stay() -> None:
    old = "2020-01-01T00:00:00+00:00"
    headers = [
        header(5, id="r5", status="finished", started=old, settings={"parent": "r3"}),
        header(4, id="r4", status="waiting", started=old),
        header(3, id="r3", status="finished", started=old, question="as in r2"),
        header(2, id="r2", status="finished", started=old),
        header(1, id="r1", status="running", started=old),
        header(0, id="r0", status="stopped", started=old),
    ]
    gone, stay = choose(headers, 1, 1)
    assert [one.id for one in gone] == ["r0"]
    assert {one.id: why for one, why in stay} == {
        "r4": "it is waiting", "r1": "it is running", "r3": "run r5 refers to it", "r2": "run r3 refers to it",
    }  # fmt: skip
    gone, _ = choose(headers, 1, 1, unfinished=True)
    assert [one.id for one in gone] == ["r4", "r1", "r0"]
    assert len(choose(headers, 0)[0]) == 4, "what goes together names nothing that stays"
    with pytest.raises(InputError, match="negative"):
        choose(headers, -1)


def test_what_a_kept_run_refers_to_stays_and_the_rest_goes(filled: Filled, three: list[RunHeader]) -> None:
    new, middle, old = three
    orphan = filled.table("nobody's")
    before, all_files = filled.files(), sum(file.stat().st_size for file in filled.store.root.rglob("*.*"))
    told = prune(filled.settings, keep=1, dry_run=True)
    assert filled.files() == before
    assert [one.id for one in told.runs] == [middle.id, old.id]
    assert len(filled.runs.list_runs()) == 3

    done = prune(filled.settings, keep=1)
    assert (done.runs, done.calls, done.objects, done.object_bytes) == (
        told.runs, told.calls, told.objects, told.object_bytes,
    )  # fmt: skip
    assert filled.whole(new)
    wanted = {ref.id for ref in filled.refs[new.id]}
    assert filled.files() == wanted, "and nothing else"
    assert orphan.id not in filled.files()
    assert done.objects == len(before - wanted) > 8
    assert (
        done.object_bytes
        == all_files - sum(file.stat().st_size for file in filled.store.root.rglob("*.*"))
        > 0
    )
    assert [one.id for one in filled.runs.list_runs()] == [new.id]
    ledger = DatabaseLedger(filled.database)
    shared = set(filled.calls[new.id])
    for run in (middle, old):
        for key in filled.calls[run.id]:
            assert (ledger.find_call(key) is not None) is (key in shared)
    with open_checkpoints(filled.settings.checkpoint_url) as saver:
        assert list(saver.list(config(new.id)))
        assert not list(saver.list(config(old.id)))
        assert not list(saver.list(config(middle.id)))
    with filled.database.read() as connection:
        for table, count in {"artifacts": len(wanted) - 1, "datasets": 1, "tool_calls": 5, "runs": 1}.items():
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == count, table
    assert filled.database.problems() == []
    if filled.database.is_sqlite:
        assert done.database_bytes is not None
        assert done.database_bytes > 0
    else:
        assert any("VACUUM FULL" in notice for notice in done.notices)
    again = prune(filled.settings, keep=1)
    assert (again.runs, again.calls, again.objects, again.object_bytes) == ((), 0, 0, 0)


def test_runs_that_stay_for_a_reason_stay_whole(filled: Filled, three: list[RunHeader]) -> None:
    """None goes: one waits, one could go on, and one is named by another that stays."""
    new, middle, old = three
    filled.runs.set_status(new.id, "waiting")
    prune(filled.settings, older_than_days=0, dry_run=True)
    filled.runs.update_header(middle.id, settings={"compared_with": old.id})
    filled.runs.set_status(middle.id, "running")
    done = prune(filled.settings, keep=0)
    assert done.runs == ()
    assert {one.id for one, _ in done.kept} == {new.id, middle.id, old.id}
    assert all(filled.whole(run) for run in three)


def test_without_limits_only_what_no_run_needs_goes(filled: Filled, three: list[RunHeader]) -> None:
    spare = filled.call("spare", {}, [filled.table("spare")])
    DatabaseLedger(filled.database).record_call(spare)
    half, writing = (filled.store.root / "objects" / name for name in (".new-old.bin", ".new-now.bin"))
    for file in (half, writing):
        file.write_bytes(b"half")
    os.utime(half, (time.time() - 2 * 86_400,) * 2)
    done = prune(filled.settings)
    assert (done.runs, done.calls, done.objects) == ((), 1, 2)
    assert writing.exists()
    assert not half.exists()
    assert all(filled.whole(run) for run in three)
    assert DatabaseLedger(filled.database).find_call(spare.key) is None


def test_a_killed_prune_is_finished_by_the_next(
    filled: Filled, three: list[RunHeader], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(filled.settings, keep=1)
    assert filled.whole(three[0])
    assert len(filled.files()) > len({ref.id for ref in filled.refs[three[0].id]})
    prune(filled.settings, keep=1)
    assert filled.whole(three[0])
    assert filled.files() == {ref.id for ref in filled.refs[three[0].id]}


def test_nothing_is_pruned_while_a_run_is_worked_on(filled: Filled, three: list[RunHeader]) -> None:
    worker = Database(filled.settings.database_url)
    with held(worker, filled.settings.home / LOCKS, STORE, shared=True) as mine:
        assert mine
        with pytest.raises(StoreError, match="being worked on"):
            prune(filled.settings, keep=0)
        assert len(prune(filled.settings, keep=0, dry_run=True).runs) == 3
    assert all(filled.whole(run) for run in three)
    worker.close()


def test_artifacts_that_another_database_may_refer_to_stay(
    filled: Filled, three: list[RunHeader], tmp_path: Path
) -> None:
    sign(filled.store.root, filled.database)
    other = Database(f"sqlite:///{tmp_path / 'other.sqlite'}")
    sign(filled.store.root, other)
    before = filled.files()
    done = prune(filled.settings, keep=1)
    assert filled.files() == before
    assert "other.sqlite" in done.notices[0]
    assert (len(done.runs), done.objects) == (2, 0)
    other.close()
    (tmp_path / "other.sqlite").unlink()
    assert prune(filled.settings).objects > 0
    assert filled.whole(three[0])


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"identity": "x"}'])
def test_a_damaged_note_of_a_database_costs_no_artifact(
    filled: Filled, three: list[RunHeader], damaged: str
) -> None:
    """A process may be killed, or a disk be full, while it notes itself."""
    sign(filled.store.root, filled.database)
    own = next((filled.store.root / "databases").glob("*.json"))
    whole = own.read_text()
    other = own.with_name("0123456789abcdef.json")
    other.write_text(damaged)
    before = filled.files()
    done = prune(filled.settings, keep=1)
    assert filled.files() == before
    assert "0123456789abcdef.json" in done.notices[0]
    other.unlink()
    own.write_text(damaged)
    sign(filled.store.root, filled.database)
    assert own.read_text() == whole
    own.write_text(damaged)
    assert prune(filled.settings).objects > 0, "its own note is no other database"
    assert filled.whole(three[0])


def test_recall_forgets_what_was_removed(filled: Filled, three: list[RunHeader], tmp_path: Path) -> None:
    with VectorIndex(filled.runs, tmp_path / "vectors") as index:
        for run in three:
            index.remember_run(filled.runs.load(run.id))
        index.recall("objectives", "proteins", 9)
        prune(filled.settings, keep=1)
        assert {one.run_id for one in index.recall("objectives", "which proteins of y differ?", 9)} == {
            three[0].id
        }


def test_the_command_says_what_went_and_how_much_it_freed(
    filled: Filled, three: list[RunHeader], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEREUS_HOME", str(filled.settings.home))
    monkeypatch.setenv("NEREUS_DATABASE_URL", filled.settings.database_url)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        found = CliRunner().invoke(app, ["runs", *arguments])
        assert found.exit_code == 0, found.output
        return found.output

    told = run("prune", "--older-than", "20", "--dry-run")
    assert f"would go  {three[2].id}" in told
    assert "would remove 1 runs, " in told
    assert "would free 0.0 MiB of artifacts" in told
    assert len(run().splitlines()) == 3
    told = run("prune", "--keep", "2", "--older-than", "20")
    assert f"removed  {three[2].id}" in told
    assert "removed 1 runs, 4 tool calls and" in told
    assert ("of rows and checkpoints" in told) is filled.database.is_sqlite
    assert three[2].id not in run()
    assert three[0].id in run("--json")
    assert "removed 0 runs, 0 tool calls and 0 files" in run("prune")
