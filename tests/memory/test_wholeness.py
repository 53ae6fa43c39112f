"""What a run recorded is looked at before it goes on: lost and damaged objects are made again, or the user is asked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nereus.errors import StoreError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import CallStatus, StepSpec, ToolCall
from nereus.memory.wholeness import set_damaged_aside


def test_lost_and_damaged_objects_are_named_once_and_taken_out(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    tables = {name: store.put_table(pd.DataFrame({"feature": [name]}), name) for name in ("a", "b", "c")}
    spec = StepSpec(tool="quality_control", version="1", params={}, inputs={}, seed=0)
    calls = [
        ToolCall(key=key, spec=spec, status=CallStatus.OK, summary="", outputs=tables) for key in ("k", "l")
    ]
    assert set_damaged_aside(store, calls, {}) == []
    store.path(tables["a"]).unlink()
    store.path(tables["b"]).write_bytes(b"other")
    told = set_damaged_aside(store, calls, {})
    assert told == [
        "artifact a of quality_control was missing and was made again",
        "artifact b of quality_control was damaged and was made again",
    ]
    assert [store.has(tables[name]) for name in ("a", "b", "c")] == [False, False, True]


def test_a_file_of_the_user_cannot_be_made_again(tmp_path: Path) -> None:
    given = tmp_path / "values.csv"
    given.write_text("feature,s1\nP1,3\n")
    store = ArtifactStore(tmp_path / "artifacts")
    ref = store.put_file(given)
    assert set_damaged_aside(store, [], {"data": ref}) == []
    store.path(ref).write_text("?")
    with pytest.raises(StoreError, match=r"'values.csv' is damaged[\s\S]*give the same file again"):
        set_damaged_aside(store, [], {"data": ref})
