"""Power against statsmodels and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower

from nereus.errors import InputError
from nereus.tools.statistics.power import detectable_effect, n_for_power, power, power_of, single_test_level


@pytest.mark.parametrize(
    ("d", "n", "alpha"), [(0.5, 10, 0.05), (0.8, 25, 0.002), (2.0, 4, 0.01), (0.05, 500, 0.05)]
)
def test_power_is_statsmodels(d, n, alpha):
    ours = power_of(np.array([d / np.sqrt(2 / n)]), np.array([2.0 * n - 2]), alpha)[0]
    assert ours == pytest.approx(TTestIndPower().power(d, n, alpha), abs=1e-8)


def test_sample_sizes_are_statsmodels():
    for d in (0.3, 0.8, 1.5):
        for alpha in (0.05, 0.002):
            exact = TTestIndPower().solve_power(d, alpha=alpha, power=0.8)
            assert n_for_power([d], alpha)[0] == np.ceil(exact)
            pairs = TTestPower().solve_power(d / np.sqrt(2), alpha=alpha, power=0.8)
            assert n_for_power([d], alpha, paired=True)[0] == np.ceil(pairs)
    assert np.isnan(n_for_power([0.0, np.nan, 1e-6], 0.05)).all()


def test_detectable_effect_inverts_power():
    unscaled, df = np.array([0.4, 0.7]), np.array([10.0, np.inf])
    effect = detectable_effect(unscaled, df, 0.01, 0.8)
    np.testing.assert_allclose(power_of(effect / unscaled, df, 0.01), 0.8, rtol=1e-6)


def test_tool(make_data, contrast):
    result = power(make_data(6, 6), contrast=contrast, effects={"P3": 2.0})
    table = result.table().set_index("feature")
    assert table.loc["P3", "assumed_effect"] == 2.0
    assert table.loc["P4", "assumed_effect"] == 1.0
    assert table["sd"].median() == pytest.approx(0.4, rel=0.1)
    assert (
        result.values["alpha"]
        == pytest.approx(single_test_level(0.05, 0.05, 0.8))
        == pytest.approx(0.0022160665)
    )
    assert 0 < result.values["power_effect_sd"] < 0.2
    assert result.values["n_for_effect_sd"] > 40
    assert table.loc["P3", "n_per_group"] < table.loc["P4", "n_per_group"]
    larger = power(make_data(20, 20), contrast=contrast)
    assert larger.values["detectable_effect_median"] < result.values["detectable_effect_median"]


def test_power_is_what_simulation_gives(make_data, contrast):
    stated = (
        power(make_data(6, 6, n_changed=0, n_features=400), contrast=contrast, effect=0.9)
        .table()["power_effect"]
        .median()
    )
    alpha = single_test_level(0.05, 0.05, 0.8)
    from nereus.tools.statistics.differential import differential_abundance

    shares = []
    for seed in range(8):
        table = differential_abundance(
            make_data(6, 6, n_features=400, n_changed=100, lfc=0.9, seed=seed), contrast=contrast
        ).table()
        shares.append((table["p"][:100] < alpha).mean())
    assert np.mean(shares) == pytest.approx(stated, abs=0.06)


def test_bad_input(make_data, contrast):
    data = make_data()
    with pytest.raises(InputError, match="no feature 'nix'"):
        power(data, contrast=contrast, effects={"nix": 1.0})
    with pytest.raises(InputError, match="zero or not finite"):
        power(data, contrast=contrast, effects={"P1": 0.0})
    data.X[:, :] = np.nan
    data.X[0, 0] = 20.0
    result = power(data, contrast=contrast)
    assert result.values["n_tested"] == 0
    assert result.warnings
