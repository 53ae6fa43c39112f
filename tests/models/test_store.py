"""Trained methods under names and versions."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from nereus.cli import app
from nereus.errors import InputError
from nereus.models.card import Verb
from nereus.models.store import ModelStore
from nereus.models.tables import answer
from tests.models.cases import trained
from tests.models.cases.molecules import OTHERS


def test_versions_count_up_and_are_never_given_again(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    method = trained("unimatch")
    assert [store.keep("assay", method, data_hash="00").version for _ in range(3)] == [1, 2, 3]
    store.delete("assay", 3)
    assert [one.version for one in store.entries("assay")] == [1, 2]
    assert store.keep("assay", method, data_hash="01").version == 4
    assert store.find("assay")[0].version == 4
    assert store.delete("assay") == [1, 2, 4]
    assert store.entries() == []
    assert store.keep("assay", method, data_hash="01").version == 5


def test_kept_method_answers_as_before(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.keep(
        "assay",
        trained("unimatch"),
        data_hash="00",
        metrics={"held_out_auroc": 0.75},
        columns={"smiles": ["s"]},
    )
    (entry,) = store.entries()
    assert entry.method == "unimatch"
    assert entry.metrics == {"held_out_auroc": 0.75}
    found = store.load("assay").predict_proba(OTHERS)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(found, trained("unimatch").predict_proba(OTHERS))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["", "../out", "a/b", ".hidden", "x" * 65])
def test_names_stay_within_the_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is no name for a model"):
        ModelStore(tmp_path).keep(name, trained("unimatch"), data_hash="00")
    with pytest.raises(InputError, match="no model is called"):
        ModelStore(tmp_path).find(name)


def test_unknown_models_are_named(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.keep("assay", trained("unimatch"), data_hash="00")
    with pytest.raises(InputError, match=r"'other'(.|\n)*\['assay'\]"):
        store.find("other")
    with pytest.raises(InputError, match=r"no version 7(.|\n)*\[1\]"):
        store.find("assay", 7)


def test_savers_of_one_name_each_get_a_version(tmp_path: Path) -> None:
    method = trained("unimatch")
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda _: ModelStore(tmp_path).keep("assay", method, data_hash="00"), range(12)))
    assert sorted(one.version for one in kept) == list(range(1, 13))
    assert [one.version for one in ModelStore(tmp_path).entries()] == list(range(1, 13))
    for version in range(1, 13):
        ModelStore(tmp_path).load("assay", version)


def test_what_is_not_wholly_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ModelStore(tmp_path)
    store.keep("assay", trained("unimatch"), data_hash="00")
    # As a process of before left it that was killed: with its entry, under a hidden name.
    shutil.copytree(tmp_path / "assay" / "1", tmp_path / "assay" / ".2.new")
    assert [one.version for one in store.entries()] == [1]

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device", str(self))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            store.keep("assay", trained("unimatch"), data_hash="00")
    assert [one.version for one in store.entries()] == [1]
    assert not list((tmp_path / "assay" / "2").iterdir())
    assert store.keep("assay", trained("unimatch"), data_hash="00").version == 3


def test_a_damaged_entry_is_told_and_does_not_hide_the_others(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for name in ("assay", "assay", "other"):
        store.keep(name, trained("unimatch"), data_hash="00")
    (tmp_path / "assay" / "2" / "entry.json").write_text("{", encoding="utf-8")
    (tmp_path / "other" / "1" / "entry.json").write_text("{", encoding="utf-8")
    assert [(one.name, one.version) for one in store.entries()] == [("assay", 1)]
    assert store.damaged() == [tmp_path / "assay" / "2", tmp_path / "other" / "1"]
    assert store.find("assay")[0].version == 1
    for asked in (("assay", 2), ("other", None)):
        with pytest.raises(InputError, match="the entry is damaged"):
            store.find(*asked)
    assert store.delete("assay", 2) == [2]
    assert store.delete("other") == [1]
    assert store.damaged() == []
    with pytest.raises(InputError, match="no model is called"):
        store.delete("other")


def test_a_version_is_asked_by_name_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEREUS_HOME", str(tmp_path / "home"))
    store = ModelStore(tmp_path / "home" / "models")
    store.keep("assay", trained("unimatch"), data_hash="00", columns={"smiles": ["structure"]})
    store.keep("assay", trained("mgssl"), data_hash="00", columns={"smiles": ["structure"]})
    pd.DataFrame({"structure": OTHERS}).to_csv(tmp_path / "table.csv", index=False)
    words = ["--data", str(tmp_path / "table.csv"), "--out", str(tmp_path / "out.csv")]
    monkeypatch.chdir(tmp_path)
    for version, method in ((1, "unimatch"), (2, "mgssl")):
        done = CliRunner().invoke(app, ["methods", "predict", f"assay@{version}", *words])
        assert done.exit_code == 0, done.output
        found = pd.read_csv(tmp_path / "out.csv")["prediction"]
        same = answer(
            trained(method), Verb.PREDICT, pd.DataFrame({"structure": OTHERS}), {"smiles": "structure"}
        )
        np.testing.assert_allclose(found, same["prediction"], rtol=1e-9)
    done = CliRunner().invoke(app, ["methods", "predict", "assay@3", *words])
    assert done.exit_code == 1
    assert "model 'assay' has no version 3" in done.output
