from __future__ import annotations

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools.statistics.stability import stability
from tests.tools.statistics.comparisons import CONTRAST, dataset


def test_changed_features_are_stable_and_others_are_not() -> None:
    result = stability(dataset(10, 12, changed=10, missing=0.1), contrast=CONTRAST)
    stable = result.table()["stability"].to_numpy()
    assert result.values["n_subsamples"] == 50
    assert (stable[:10] >= 0.9).all()
    assert np.mean(stable[10:] >= 0.7) < 0.02


def test_three_against_three_leaves_one_of_each_out() -> None:
    result = stability(dataset(3, 3, changed=10, effect=6.0), contrast=CONTRAST)
    assert result.values["n_subsamples"] == 9
    assert (result.table()["stability"][:10] == 1.0).all()


def test_one_sample_does_not_make_a_stable_finding() -> None:
    data = dataset(8, 8)
    data.X[0, 0] += 40.0
    table = stability(data, contrast=CONTRAST).table()
    assert table["stability"][0] < 0.2


def test_pairs_are_drawn_whole() -> None:
    data = dataset(8, 8, changed=5, effect=1.5)
    data.obs["subject"] = [f"p{i % 8}" for i in range(16)]
    data.X = data.X + np.random.default_rng(0).normal(0, 3, (8, 300))[np.arange(16) % 8]
    table = stability(data, contrast={**CONTRAST, "block": "subject"}).table()
    assert (table["stability"][:5] >= 0.7).all()


def test_variable() -> None:
    data = dataset(12, 12)
    data.obs["age"] = np.linspace(30, 80, 24)
    data.X[:, 0] += 0.1 * data.obs["age"].to_numpy()
    table = stability(data, variable="age").table()
    assert table["stability"][0] > 0.9


def test_chosen_features_only() -> None:
    table = stability(dataset(3, 3), contrast=CONTRAST, features=["P3", "P7"]).table()
    assert table["feature"].tolist() == ["P3", "P7"]
    with pytest.raises(InputError, match="unknown features"):
        stability(dataset(3, 3), contrast=CONTRAST, features=["nobody"])


def test_untestable_features_have_none() -> None:
    data = dataset(3, 3)
    data.X[:, 4] = np.nan
    assert np.isnan(stability(data, contrast=CONTRAST).table()["stability"][4])
