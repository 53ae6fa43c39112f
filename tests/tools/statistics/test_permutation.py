from __future__ import annotations

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools.statistics.permutation import permutation_null
from tests.tools.statistics.comparisons import CONTRAST, dataset


def test_observed_stands_out_of_the_null() -> None:
    result = permutation_null(dataset(8, 8, changed=20), contrast=CONTRAST, n_permutations=40)
    values = result.values
    assert 18 <= values["observed"] <= 24
    assert values["null_mean"] < 3
    assert values["p_value"] <= 0.1  # a labelling that swaps one sample of each group finds some of it, too
    assert len(result.table()) == values["n_permutations"] == 40
    assert not values["exhaustive"]


def test_null_data_stay_null() -> None:
    result = permutation_null(dataset(8, 8, seed=4), contrast=CONTRAST, n_permutations=40)
    assert result.values["observed"] <= 1
    assert result.values["p_any"] <= 0.2


def test_all_labellings_of_a_small_design() -> None:
    result = permutation_null(dataset(3, 3, changed=10), contrast=CONTRAST, background="auto")
    assert result.values["n_permutations"] == 9
    assert result.values["exhaustive"]
    assert result.values["background"]
    assert any("9 distinct" in warning for warning in result.warnings)


def test_technical_replicates_are_not_exchanged_one_by_one() -> None:
    # Ten rows a mouse and an effect of the mouse: rows as samples would call everything significant.
    rng = np.random.default_rng(0)
    data = dataset(40, 40, n_features=60)
    mouse = np.repeat(np.arange(8), 10)
    data.X = data.X + rng.normal(0, 1.0, (8, 60))[mouse]
    data.obs["mouse"] = [f"m{m}" for m in mouse]
    result = permutation_null(data, contrast=CONTRAST, unit="mouse")
    assert result.values["n_splits"] == 35
    assert result.values["null_mean"] > 5  # the pseudo-replicated test finds as much under exchanged mice
    assert result.values["p_value"] > 0.05


def test_same_seed_same_table() -> None:
    data = dataset(8, 8, changed=5)
    one = permutation_null(data, contrast=CONTRAST, n_permutations=10, seed=3)
    assert one.table().equals(permutation_null(data, contrast=CONTRAST, n_permutations=10, seed=3).table())


def test_needs_a_contrast_or_a_variable() -> None:
    with pytest.raises(InputError, match="either a contrast or a variable"):
        permutation_null(dataset(3, 3))


def test_unknown_unit() -> None:
    with pytest.raises(InputError, match="no column 'mouse'"):
        permutation_null(dataset(3, 3), contrast=CONTRAST, unit="mouse")
