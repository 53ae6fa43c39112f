"""Trained methods under names and versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.models.store import ModelStore
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
    assert [one.version for one in store.delete("assay")] == [1, 2, 4]
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
