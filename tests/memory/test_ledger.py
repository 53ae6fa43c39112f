"""The ledger: what makes a step run once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nereus.errors import ToolError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.database import Database, DatabaseLedger
from nereus.memory.records import CallStatus, RunHeader
from nereus.tools.base import Params, Result, tool
from nereus.tools.steps import Ledger, StepRunner
from tests.memory.factories import call


def test_a_call_comes_back_as_it_was(database: Database, run: RunHeader) -> None:
    ledger: Ledger = DatabaseLedger(database, run.id)
    assert ledger.find_call(call().key) is None
    ledger.record_call(call())
    assert ledger.find_call(call().key) == call()
    assert DatabaseLedger(database).find_call(call().key) == call(), "also for one who has not recorded it"


def test_the_first_success_stays(database: Database) -> None:
    ledger = DatabaseLedger(database)
    ledger.record_call(call(1, CallStatus.FAILED))
    assert ledger.find_call(call(1).key) == call(1, CallStatus.FAILED)
    ledger.record_call(call(1))
    ledger.record_call(call(1).model_copy(update={"wall_s": 99.0}))
    ledger.record_call(call(1, CallStatus.FAILED))
    for one in (ledger, DatabaseLedger(database)):
        assert one.find_call(call(1).key) == call(1)


def test_artifacts_know_who_made_them(database: Database) -> None:
    ledger = DatabaseLedger(database)
    ledger.record_call(call(1))
    ledger.record_call(call(2))
    assert ledger.made_by(call(1).outputs["table"].id) == [(call(1).key, "table")]
    shared = ledger.made_by(call(1).outputs["common"].id)
    assert sorted(shared) == sorted([(call(1).key, "common"), (call(2).key, "common")])


class DoubleParams(Params):
    times: int = 2


@tool("test_double", version="1", summary="Doubles.", outputs=("table:table",))
def double(table: pd.DataFrame, params: DoubleParams, *, seed: int) -> Result:
    if params.times == 0:
        raise ToolError("nothing to do")
    return Result(
        summary="done",
        values={"n": params.times},
        tables={"table": table.assign(x=table["x"] * params.times)},
    )


def test_steps_are_not_computed_again_by_a_new_process(database: Database, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    source = store.put_table(pd.DataFrame({"key": ["a"], "x": [1.5]}), "in")
    counted: list[str] = []
    for _ in range(2):  # a new ledger each time, as after a restart
        runner = StepRunner(store, DatabaseLedger(database), 1, counted.append)
        made = runner.run(double, {}, {"table": source})
    assert counted == ["test_double"]
    assert store.table(made.outputs["table"])["x"].tolist() == [3.0]
    failing = StepRunner(store, DatabaseLedger(database), 1, counted.append)
    assert failing.run(double, {"times": 0}, {"table": source}).status is CallStatus.FAILED
    assert failing.run(double, {"times": 0}, {"table": source}).error == "nothing to do"
    assert len(counted) == 3, "a failed call is tried again"


def test_a_rolled_back_call_is_not_remembered(database: Database) -> None:
    ledger = DatabaseLedger(database)

    def fail_late() -> None:
        with database.write():
            ledger.record_call(call(5))
            raise KeyError

    with pytest.raises(KeyError):
        fail_late()
    assert ledger.find_call(call(5).key) is None
