"""Replicate numbers that name a donor, a day or a run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from nereus.tools.proteomics.profile import profile_dataset


def numbered(donor_sd: float, groups: int, donors: int, seed: int = 0) -> AnnData:
    """Samples of every donor in every group, whose sheet numbers them within groups; donors differ by `donor_sd`."""
    rng = np.random.default_rng(seed)
    n = 300
    own = rng.normal(0, donor_sd, (donors, n))
    X = np.concatenate([rng.normal(0, 0.5, n) + own + rng.normal(0, 0.4, (donors, n)) for _ in range(groups)])
    obs = pd.DataFrame(
        {
            "condition": np.repeat([f"drug{one}" for one in range(groups)], donors),
            "replicate": np.tile(np.arange(1, donors + 1), groups),
        },
        index=[f"s{one}" for one in range(groups * donors)],
    )
    X = 25 + rng.normal(0, 2, n) + X
    X[rng.random(X.shape) < 0.1] = np.nan
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{one}" for one in range(n)]))


def told(data: AnnData) -> pd.DataFrame:
    notices = profile_dataset(data).table("notices")
    return notices[notices["notice"].str.startswith("shared_number")]


@pytest.mark.parametrize(
    ("groups", "donors", "severity"), [(2, 4, "info"), (3, 4, "warning"), (2, 6, "warning")]
)
def test_donors_behind_numbers_are_told(groups: int, donors: int, severity: str) -> None:
    found = told(numbered(0.4, groups, donors))
    assert found["severity"].tolist() == [severity]
    assert found["about"].tolist() == ["replicate"]
    assert "--load subject=replicate" in found["mend"].iloc[0]


def test_mere_numbers_are_not() -> None:
    assert sum(len(told(numbered(0.0, 3, 4, seed))) for seed in range(10)) <= 2


def test_a_named_subject_is_not_asked_about() -> None:
    data = numbered(0.4, 3, 4)
    found = profile_dataset(data, subject="replicate")
    assert not found.table("notices")["notice"].str.startswith("shared_number").any()
    assert found.table("contrasts")["paired"].all()
