"""Differential abundance as a tool: table, values, options, bad input, real data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nereus.errors import InputError, PlanError
from nereus.tools.statistics.differential import differential_abundance
from nereus.tools.statistics.linear_model import fit_linear_model
from nereus.tools.statistics.moderated_t import benjamini_hochberg, effect_centre, fit_contrast
from nereus.tools.statistics.result_table import COLUMNS
from tests.tools.statistics.spike_in import spike_in


def test_finds_what_was_planted(make_data, contrast):
    data = make_data()
    before = data.X.copy()
    result = differential_abundance(data, contrast=contrast)
    table = result.table()
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS
    found = table.loc[table["q"] <= 0.05, "feature"]
    assert set(found) == {f"P{i}" for i in range(10)}
    assert result.values["n_significant"] == result.values["n_up"] == 10
    assert ((table["ci_low"] <= table["effect"]) & (table["effect"] <= table["ci_high"])).all()
    assert table.loc[:9, "effect"].to_numpy() == pytest.approx(3, abs=0.8)
    np.testing.assert_array_equal(data.X, before)


def test_sides_swap_signs(make_data, contrast):
    data = make_data()
    forth = differential_abundance(data, contrast=contrast).table()
    back = differential_abundance(data, contrast={**contrast, "a": "b", "b": "a"}).table()
    np.testing.assert_allclose(back["effect"], -forth["effect"])
    np.testing.assert_allclose(back["p"], forth["p"])


def test_ordinary_t_is_students(make_data, contrast):
    data = make_data(4, 6)
    table = differential_abundance(data, contrast=contrast, method="ordinary_t").table()
    expected = stats.ttest_ind(data.X[:4], data.X[4:])
    np.testing.assert_allclose(table["p"], expected.pvalue, rtol=1e-10)
    np.testing.assert_allclose(table["ci_low"], expected.confidence_interval().low, rtol=1e-8)


def test_pairs_are_the_paired_t(make_data, contrast):
    data = make_data(6, 6, subject=[f"m{i}" for i in range(6)] * 2)
    data.X += np.tile(np.random.default_rng(5).normal(0, 2, size=(6, 1)), (2, 1))
    paired = {**contrast, "block": "subject"}
    table = differential_abundance(data, contrast=paired, method="ordinary_t").table()
    np.testing.assert_allclose(table["p"], stats.ttest_rel(data.X[:6], data.X[6:]).pvalue, rtol=1e-9)
    assert differential_abundance(data, contrast=paired).values["block_model"] == "fixed"


def test_replicates_of_subjects_are_not_independent(make_data, contrast):
    data = make_data(8, 8, n_changed=0, mouse=np.repeat([f"m{i}" for i in range(8)], 2))
    data.X += np.repeat(np.random.default_rng(5).normal(0, 1, size=(8, data.n_vars)), 2, axis=0)
    naive = differential_abundance(data, contrast=contrast)
    blocked = differential_abundance(data, contrast={**contrast, "block": "mouse"})
    assert blocked.values["correlation"] > 0.6
    assert naive.values["share_below_p05"] > 0.12  # the naive arm is wrong
    assert blocked.values["share_below_p05"] < 0.08
    assert blocked.table()["n_a"].max() == 4


def test_features_that_cannot_be_tested(make_data, contrast):
    data = make_data()
    data.X[:, 20] = np.nan
    data.X[1:5, 21] = np.nan
    data.X[:, 22] = 20.0
    table = differential_abundance(data, contrast=contrast).table().set_index("feature")
    assert table.loc[["P20", "P21"], ["effect", "se", "p", "q", "ci_low", "sd"]].isna().all(axis=None)
    assert table.loc["P20", ["n_a", "n_b"]].tolist() == [0, 0]
    assert table.loc["P22", "effect"] == pytest.approx(0, abs=1e-12)
    assert table.loc["P22", "p"] > 0.9
    one = differential_abundance(data, contrast=contrast, min_per_group=1).table().set_index("feature")
    assert np.isfinite(one.loc["P21", "p"])


def test_nothing_testable_says_why(make_data, contrast):
    data = make_data(n_features=5, n_changed=0)
    data.X[1:] = np.nan
    result = differential_abundance(data, contrast=contrast)
    assert result.values["n_tested"] == 0
    assert result.table()["p"].isna().all()
    assert any("5 of 5 features were not tested" in warning for warning in result.warnings)


def test_missing_values_equal_a_fit_of_the_rest(make_data):
    data = make_data(7, 7)
    rng = np.random.default_rng(2)
    values = np.where(rng.random(data.X.T.shape) < 0.3, np.nan, data.X.T)
    design = np.column_stack([np.ones(14), np.repeat([1.0, 0.0], 7), rng.normal(size=14)])
    fit = fit_linear_model(values, design, np.array([0.0, 1.0, 0.0]))
    for row in range(0, 200, 7):
        seen = np.isfinite(values[row])
        beta, rss, rank, _ = np.linalg.lstsq(design[seen], values[row, seen], rcond=None)
        if rank == 3 and seen.sum() > 3:
            assert fit.effect[row] == pytest.approx(beta[1], rel=1e-9, abs=1e-11)
            assert fit.variance[row] == pytest.approx(rss[0] / (seen.sum() - 3), rel=1e-9)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_fixed_blocks_equal_indicator_columns(missing):
    rng = np.random.default_rng(3)
    block = np.tile(np.arange(6), 2)
    values = rng.normal(20, 1, size=(40, 12)) + 5 * rng.normal(size=(40, 6))[:, block]
    values[rng.random(values.shape) < missing] = np.nan
    design = np.column_stack([np.ones(12), np.repeat([0.0, 1.0], 6), rng.normal(size=12)])
    wide = np.column_stack([design, np.eye(6)[block][:, 1:]])
    weights = rng.uniform(0.5, 2, size=values.shape)
    for w in (None, weights):
        a = fit_linear_model(values, design, np.eye(3)[1], block=block, weights=w)
        b = fit_linear_model(values, wide, np.eye(8)[1], weights=w)
        for name in ("effect", "unscaled_sd", "variance", "df", "n"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-8, err_msg=name)


def test_units_of_the_design_do_not_matter():
    rng = np.random.default_rng(4)
    values = rng.normal(20, 1, size=(50, 10)) + 1e6
    x = rng.normal(size=10)
    design = np.column_stack([np.ones(10), np.repeat([0.0, 1.0], 5), x])
    scaled = design * [1, 1, 1e8] + [0, 0, 1e9]
    a, b = (fit_contrast(values, d, np.eye(3)[1]) for d in (design, scaled))
    np.testing.assert_allclose(a.statistic, b.statistic, rtol=1e-5)


def test_treat_and_centre(make_data, contrast):
    data = make_data(lfc=2.0)
    plain = differential_abundance(data, contrast=contrast)
    beyond = differential_abundance(data, contrast=contrast, lfc_min=1.8)
    assert plain.values["n_significant"] == 10
    assert beyond.values["n_significant"] < 5
    assert (beyond.table()["p"] >= plain.table()["p"]).all()
    data.X[:5] += 0.7  # a shift of everything in group a
    centred = differential_abundance(data, contrast=contrast, centre="median")
    assert centred.values["median_effect"] == pytest.approx(0.7, abs=0.15)
    assert centred.values["n_significant"] == pytest.approx(10, abs=2)
    running = differential_abundance(data, contrast=contrast, centre="intensity")
    assert running.table()["offset"].mean() == pytest.approx(0.7, abs=0.2)


def test_running_centre_follows_abundance():
    rng = np.random.default_rng(1)
    mean = rng.uniform(16, 30, 3000)
    effect = 0.1 * (mean - 23) + rng.normal(0, 0.1, 3000)
    centre = effect_centre(effect, np.ones(3000), mean, "intensity")
    assert np.corrcoef(centre, mean)[0, 1] > 0.99
    assert np.std(effect - centre) < 0.13


def test_priors_and_weights(make_data, contrast):
    data = make_data(n_features=400)
    data.layers["n_peptides"] = np.full(data.shape, 3.0)
    plain = differential_abundance(data, contrast=contrast).table()
    equal = differential_abundance(data, contrast=contrast, weights="peptides").table()
    np.testing.assert_allclose(plain["p"], equal["p"])
    for choice in ("intensity", "peptides", "precision"):
        result = differential_abundance(data, contrast=contrast, prior_covariate=choice, robust=True)
        assert result.values["n_significant"] == pytest.approx(10, abs=2)
    del data.layers["n_peptides"], data.var["n_peptides"]
    with pytest.raises(InputError, match="no peptide counts"):
        differential_abundance(data, contrast=contrast, prior_covariate="peptides")
    with pytest.raises(InputError, match="layer 'n_peptides'"):
        differential_abundance(data, contrast=contrast, weights="peptides")


def test_bad_parameters_and_features(make_data, contrast):
    data = make_data()
    with pytest.raises(PlanError, match="lfc_min"):
        differential_abundance(data, contrast=contrast, lfc_min=-1)
    with pytest.raises(InputError, match="'grup'"):
        differential_abundance(data, contrast={**contrast, "factor": "grup"})
    data.var_names = ["P0", "P0", *data.var_names[2:]]
    with pytest.raises(InputError, match="duplicated, such as 'P0'"):
        differential_abundance(data, contrast=contrast)
    data = make_data()
    data.X[0, 0] = np.inf
    with pytest.raises(InputError, match="infinite"):
        differential_abundance(data, contrast=contrast)


def test_null_p_values_are_uniform(make_data, contrast):
    shares = []
    for seed in range(10):
        data = make_data(4, 4, n_features=500, n_changed=0, seed=seed)
        p = differential_abundance(data, contrast=contrast).table()["p"]
        shares.append([(p < 0.01).mean(), (p < 0.05).mean(), (p < 0.5).mean()])
    away = np.abs(np.mean(shares, axis=0) - [0.01, 0.05, 0.5])
    assert (away < [0.005, 0.012, 0.03]).all()


def test_benjamini_hochberg_is_scipys():
    p = np.random.default_rng(1).random(50) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    assert np.isnan(benjamini_hochberg(np.array([0.1, np.nan]))[1])


def test_spike_in(shared_data):
    data = spike_in(shared_data, "Exp1_R25")
    result = differential_abundance(
        data,
        contrast={"factor": "group", "a": "25fmol", "b": "10fmol"},
        trend=True,
        centre="intensity",
        lfc_min=0.5,
    )
    table = result.table()
    spiked = data.var["spiked"].to_numpy()
    found = (table["q"] <= 0.05).to_numpy()
    assert (found & spiked).sum() >= 40
    assert (found & ~spiked).sum() <= 8
    assert np.median(table.loc[found & spiked, "effect"]) == pytest.approx(np.log2(2.5), abs=0.4)
    top = table.assign(spiked=spiked).sort_values("p")["spiked"].head(20)
    assert top.mean() >= 0.9


def test_example_table_is_deterministic(make_data, contrast):
    first, second = (
        differential_abundance(make_data(), contrast=contrast, robust=True).table() for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, second)
