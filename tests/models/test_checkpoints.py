"""A training goes on from the state of one with the same settings, of no other: the state would hide what was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nereus.errors import InputError
from nereus.models import registry
from nereus.models.training import Session
from tests.models.cases import CASES


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("mbp", {"regression_weight": 0.9}),
        ("mgssl", {"mask_share": 0.5}),
        ("asgn", {"sharpness": 5.0}),
        ("utgdiff", {"auxiliary": 0.5}),
        ("bsm", {"reverse_strand": False}),
        ("unimatch", {"inner_rate": 0.5}),
        ("qwen", {"norm_eps": 1e-3}),
        ("cpl", {"beta": 0.5}),
    ],
)
def test_a_state_of_other_settings_is_refused(tmp_path: Path, name: str, changed: dict[str, Any]) -> None:
    case = CASES[name]
    X, y = case.data()

    def fit(**more: Any) -> None:
        method = registry.get(name)(**{**case.settings, **more})
        method.fit(X, y, session=Session(checkpoints=tmp_path), **case.told)

    fit()
    fit()  # the same goes on, here to no further epoch
    with pytest.raises(InputError, match="the checkpoint is of a training with other options"):
        fit(**changed)


def test_how_molecules_are_drawn_does_not_change_a_training(tmp_path: Path) -> None:
    case = CASES["utgdiff"]
    X, y = case.data()
    learned = []
    for temperature in (1.0, 0.5):
        method = registry.get("utgdiff")(**{**case.settings, "temperature": temperature})
        method.fit(X, y, session=Session(checkpoints=tmp_path))
        learned.append((method.history_.losses, method.network_.state_dict()))
    (first, before), (second, after) = learned
    assert first == second
    assert all(bool((before[name] == after[name]).all()) for name in before)
