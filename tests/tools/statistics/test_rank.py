"""Rank tests against scipy and against counting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nereus.errors import InputError
from nereus.tools.statistics.rank import mann_whitney, rank_test, signed_rank


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (5, 8), (12, 20), (30, 60)])
def test_mann_whitney_is_scipys(n_a, n_b):
    rng = np.random.default_rng(n_a)
    a, b = rng.normal(0.5, 1, size=(15, n_a)), rng.normal(size=(15, n_b))
    found = mann_whitney(a, b)
    how = "exact" if n_a <= 25 else "asymptotic"
    for i in range(15):
        expected = stats.mannwhitneyu(a[i], b[i], method=how)
        assert found.p[i] == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.superiority[i] == pytest.approx(expected.statistic / (n_a * n_b))
        assert found.shift[i] == pytest.approx(np.median(np.subtract.outer(a[i], b[i])))


def test_ties_are_tested_by_all_splits():
    a, b = np.array([[1.0, 2, 2, 3]]), np.array([[2.0, 3, 3, 4, 5]])
    expected = stats.permutation_test(
        (a[0], b[0]), lambda x, y: stats.rankdata([*x, *y])[: len(x)].sum(), permutation_type="independent", n_resamples=np.inf
    )  # fmt: skip
    found = mann_whitney(a, b)
    assert found.exact[0]
    assert found.p[0] == pytest.approx(expected.pvalue, abs=0.05)


@pytest.mark.parametrize("n", [5, 12, 40])
def test_signed_rank_is_scipys(n):
    difference = np.random.default_rng(n).normal(0.4, 1, size=(15, n))
    found = signed_rank(difference)
    for i in range(15):
        expected = stats.wilcoxon(difference[i], method="exact" if n <= 25 else "asymptotic", correction=True)
        assert found.p[i] == pytest.approx(expected.pvalue, rel=1e-9)


def test_missing_values_are_left_out():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(20, 7)), rng.normal(size=(20, 6))
    a[rng.random(a.shape) < 0.3] = np.nan
    b[0] = np.nan
    found = mann_whitney(a, b)
    assert np.isnan(found.p[0])
    for i in range(1, 20):
        x = a[i][np.isfinite(a[i])]
        assert found.p[i] == pytest.approx(stats.mannwhitneyu(x, b[i], method="exact").pvalue)
        assert found.shift[i] == pytest.approx(np.median(np.subtract.outer(x, b[i])))


def test_interval_agrees_with_the_test():
    rng = np.random.default_rng(2)
    found = mann_whitney(rng.normal(0.8, 1, size=(500, 7)), rng.normal(size=(500, 8)))
    assert ((found.p < 0.05) == ((found.low > 0) | (found.high < 0))).all()


def test_tool(make_data, contrast):
    data = make_data(8, 8)
    result = rank_test(data, contrast=contrast)
    assert result.values["n_significant"] == pytest.approx(10, abs=1)
    assert result.values["sign_disagreement"] == 0
    small = rank_test(make_data(3, 3), contrast=contrast)
    assert small.values["smallest_p"] == pytest.approx(0.1)
    assert any("no p-value can be smaller" in warning for warning in small.warnings)


def test_blocks_and_covariates(make_data, contrast):
    pairs = make_data(10, 10, subject=[f"m{i}" for i in range(10)] * 2)
    pairs.X += np.tile(np.random.default_rng(1).normal(0, 3, size=(10, 1)), (2, 1))
    paired = rank_test(pairs, contrast={**contrast, "block": "subject"})
    assert paired.values["paired"]
    assert paired.values["n_significant"] >= 10
    expected = stats.wilcoxon(pairs.X[:10, 3], pairs.X[10:, 3]).pvalue
    assert paired.table().loc[3, "p"] == pytest.approx(expected)
    replicates = make_data(8, 8, n_changed=0, mouse=np.repeat([f"m{i}" for i in range(8)], 2))
    units = rank_test(replicates, contrast={**contrast, "block": "mouse"})
    assert units.values["n_units_a"] == 4
    age = np.random.default_rng(3).normal(size=16)
    aged = make_data(8, 8, age=age)
    aged.X += 2 * age[:, None]
    assert rank_test(aged, contrast={**contrast, "covariates": ["age"]}).values["n_significant"] >= 9


def test_bad_input(make_data, contrast):
    with pytest.raises(InputError, match="no level 'c'"):
        rank_test(make_data(), contrast={**contrast, "a": "c"})
