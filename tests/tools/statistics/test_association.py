"""Association with a continuous variable: slopes, ranks, covariates, blocks."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from nereus.errors import InputError
from nereus.tools.statistics.association import continuous_association
from nereus.tools.statistics.design import build_variable_design
from nereus.tools.statistics.moderated_t import fit_contrast


@pytest.fixture
def aged(make_data):
    age = np.random.default_rng(1).uniform(40, 80, 20)
    data = make_data(10, 10, n_changed=0, age=age, site=list("xy") * 10)
    data.X[:, :8] += 0.06 * (age - 60)[:, None]
    data.X[::2] += 1.0  # the site
    return data


def test_slopes_and_units(aged):
    result = continuous_association(aged, variable="age", covariates=["site"])
    table = result.table()
    assert set(table.loc[table["q"] <= 0.05, "feature"]) >= {f"P{i}" for i in range(8)}
    assert table.loc[:7, "slope"].to_numpy() == pytest.approx(0.06, abs=0.02)
    np.testing.assert_allclose(table["effect"], table["slope"] * aged.obs["age"].std())
    assert (table["n_a"] == 20).all()
    assert (table["n_b"] == 0).all()
    assert (table.loc[:7, "rho"] > 0.5).all()


def test_slope_is_least_squares(aged):
    design = build_variable_design(aged.obs, "age", ("site",))
    fit = fit_contrast(aged.X.T, design.matrix, design.contrast, moderate=False)
    table = continuous_association(aged, variable="age", covariates=["site"]).table()
    X = sm.add_constant(np.column_stack([aged.obs["age"], aged.obs["site"] == "y"]))
    for row in (0, 50, 120):
        expected = sm.OLS(aged.X[:, row], X.astype(float)).fit()
        assert table.loc[row, "slope"] == pytest.approx(expected.params[1])
        assert fit.p[row] == pytest.approx(expected.pvalues[1])


def test_spearman_is_scipys_with_missing_values(aged):
    rng = np.random.default_rng(2)
    aged.X[rng.random(aged.shape) < 0.2] = np.nan
    table = continuous_association(aged, variable="age", method="spearman").table()
    for row in range(0, 200, 13):
        seen = np.isfinite(aged.X[:, row])
        expected = stats.spearmanr(aged.X[seen, row], aged.obs["age"][seen])
        assert table.loc[row, "rho"] == pytest.approx(expected.statistic)
        assert table.loc[row, "p"] == pytest.approx(expected.pvalue)


def test_partial_rank_correlation(aged):
    table = continuous_association(aged, variable="age", covariates=["site"], method="spearman").table()
    x, site = stats.rankdata(aged.obs["age"]), (aged.obs["site"] == "y").to_numpy(float)
    Z = np.column_stack([np.ones(20), site])
    for row in (0, 100):
        y = stats.rankdata(aged.X[:, row])
        rest = [v - Z @ np.linalg.lstsq(Z, v, rcond=None)[0] for v in (x, y)]
        assert table.loc[row, "rho"] == pytest.approx(np.corrcoef(*rest)[0, 1])


def test_small_samples_are_exact(make_data):
    data = make_data(3, 3, n_changed=0, dose=[1.0, 2, 3, 4, 5, 6])
    data.X[:, 0] = [1, 2, 3, 4, 5, 6]
    table = continuous_association(data, variable="dose", method="spearman").table()
    assert table.loc[0, "p"] == pytest.approx(2 / 720)


def test_repeated_samples_of_a_subject(make_data):
    dose = np.tile([1.0, 2, 3, 4], 5)
    data = make_data(10, 10, n_changed=0, dose=dose, mouse=np.repeat([f"m{i}" for i in range(5)], 4))
    data.X += np.repeat(np.random.default_rng(3).normal(0, 3, size=(5, data.n_vars)), 4, axis=0)
    data.X[:, :5] += 0.5 * dose[:, None]
    blocked = continuous_association(data, variable="dose", block="mouse")
    assert blocked.values["block_model"] == "fixed"
    assert (
        blocked.values["n_significant"]
        >= 5
        > continuous_association(data, variable="dose").values["n_significant"]
    )


def test_bad_input(aged):
    with pytest.raises(InputError, match="perhaps 'age'"):
        continuous_association(aged, variable="agee")
    with pytest.raises(InputError, match="not numeric"):
        continuous_association(aged, variable="site")
    aged.obs["flat"] = 3.0
    with pytest.raises(InputError, match="does not vary"):
        continuous_association(aged, variable="flat")
