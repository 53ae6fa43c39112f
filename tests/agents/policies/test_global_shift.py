"""A group whose features are all shifted together is normalised on what varies least, and tested both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nereus
from nereus.agents.policies.base import DecisionContext, ProfileView
from nereus.agents.policies.rules.questions.quality import workflow
from nereus.memory.records import Objective, ObjectiveKind

ROW = {
    "contrast": "group: b vs a",
    "factor": "group",
    "a": "b",
    "b": "a",
    "n_a": 20,
    "n_b": 20,
    "refused": "",
}
QUALITY = Objective(id="O1", kind=ObjectiveKind.QUALITY, statement="Prepare")


def planned(shift: float | None, noise: float, **values: Any) -> tuple[str, str]:
    known = {
        "n_features": 2000, "n_samples": 40, "data_kind": "proteins", "main_contrast": ROW["contrast"],
        "global_shift_median": shift, "sd_of_shifts": noise, **values,
    }  # fmt: skip
    context = DecisionContext(question=None, profile=ProfileView(values=known, tables={"contrasts": [ROW]}))
    step = next(one for one in workflow(context, QUALITY).steps if one.tool == "normalise")
    return str(step.params["method"]), step.purpose


def test_a_shift_beyond_loading_noise_is_noticed() -> None:
    method, purpose = planned(-1.0, 0.5)
    assert method == "stable_subset"
    assert "between b and a (group)" in purpose


@pytest.mark.parametrize(
    ("shift", "noise"), [(0.05, 0.01), (0.2, 0.5), (None, 0.1)], ids=["small", "loading noise", "no contrast"]
)
def test_what_loading_explains_is_taken_out_as_before(shift: float | None, noise: float) -> None:
    assert planned(shift, noise)[0] == "median"


def test_panels_and_fractions_are_not_shifted_whatever_the_groups() -> None:
    assert planned(1.0, 0.1, n_features=20)[0] == "none"
    assert planned(1.0, 0.1, data_kind="fractions")[0] == "none"


def test_verification_normalises_in_the_other_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(22, 2, 300)[None, :] + rng.normal(0, 0.3, (16, 300))
    values[8:] += 1.0
    values[8:, :12] += 2.0
    pd.DataFrame(
        2**values, index=[f"s{i}" for i in range(16)], columns=[f"P{i:05d}" for i in range(300)]
    ).to_csv(tmp_path / "data.csv")
    pd.DataFrame({"sample": [f"s{i}" for i in range(16)], "group": ["a"] * 8 + ["b"] * 8}).to_csv(
        tmp_path / "samples.csv", index=False
    )
    run = nereus.discover(
        tmp_path / "data.csv",
        tmp_path / "samples.csv",
        budget=["objectives=1", "hypotheses=5"],
        home=tmp_path / "home",
        out=tmp_path / "report",
        seed=0,
    )
    methods = {
        workflow.template: step.params["method"]
        for workflow in run.record.workflows
        for step in workflow.steps
        if step.tool == "normalise"
    }
    assert methods == {"prepare": "stable_subset", "verification": "median"}
    assert set(run.claims["feature"]) == {f"P{i:05d}" for i in range(12)}
