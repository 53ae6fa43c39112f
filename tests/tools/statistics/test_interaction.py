"""Interaction: difference of differences, pairs, covariates, calibration, null data, bad designs."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from nereus.errors import InputError
from nereus.tools.statistics.interaction import interaction_test

DRUG = {"factor": "drug", "a": "treated", "b": "control"}
BY = {"by": "line", "by_a": "mutant", "by_b": "wild"}


def crossed(
    sizes: tuple[int, int, int, int] = (5, 5, 5, 5),
    n_features: int = 200,
    seed: int = 1,
    missing: float = 0.0,
) -> anndata.AnnData:
    """Main effects everywhere, an interaction of 3 in the first ten features."""
    rng = np.random.default_rng(seed)
    cells = [("treated", "mutant"), ("control", "mutant"), ("treated", "wild"), ("control", "wild")]
    rows = [cell for cell, n in zip(cells, sizes, strict=True) for _ in range(n)]
    obs = pd.DataFrame(rows, columns=["drug", "line"], index=[f"s{i}" for i in range(len(rows))])
    obs["age"] = rng.normal(50, 8, len(rows))
    treated = (obs["drug"] == "treated").to_numpy(float)[:, None]
    mutant = (obs["line"] == "mutant").to_numpy(float)[:, None]
    X = rng.normal(20, 0.5, (len(rows), n_features)) + 0.05 * (obs["age"].to_numpy()[:, None] - 50)
    X += treated * rng.normal(0, 1, n_features) + mutant * rng.normal(0, 1, n_features)
    X[:, :10] += 3 * treated * mutant
    X[rng.random(X.shape) < missing] = np.nan
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(n_features)]))


def paired(n: int = 8, n_features: int = 300, seed: int = 2, effect: float = 2.0) -> anndata.AnnData:
    """Patients of two arms before and after; subjects differ a lot."""
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame(
        {
            "patient": np.repeat([f"m{i}" for i in range(2 * n)], 2),
            "drug": ["treated", "control"] * (2 * n),
            "line": np.repeat(["mutant", "wild"], 2 * n),
        },
        index=[f"s{i}" for i in range(4 * n)],
    )
    X = rng.normal(20, 0.3, (4 * n, n_features)) + np.repeat(rng.normal(0, 2, (2 * n, n_features)), 2, axis=0)
    both = ((obs["drug"] == "treated") & (obs["line"] == "mutant")).to_numpy(float)[:, None]
    X[:, :5] += effect * both
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(n_features)]))


def test_effect_is_the_difference_of_differences() -> None:
    data = crossed()
    table = interaction_test(data, contrast=DRUG, **BY).table()
    means = {
        cell: data.X[((data.obs["drug"] == cell[0]) & (data.obs["line"] == cell[1])).to_numpy()].mean(axis=0)
        for cell in [(d, line) for d in ("treated", "control") for line in ("mutant", "wild")]
    }
    mutant = means["treated", "mutant"] - means["control", "mutant"]
    wild = means["treated", "wild"] - means["control", "wild"]
    np.testing.assert_allclose(table["effect"], mutant - wild)
    np.testing.assert_allclose(table["effect_by_a"], mutant)
    np.testing.assert_allclose(table["effect_by_b"], wild)
    assert (table["n_a"] == 10).all()
    assert (table["n_least"] == 5).all()
    assert set(table.loc[table["q"] <= 0.05, "feature"]) >= {f"P{i}" for i in range(10)}


@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_ordinary_t_is_that_of_statsmodels(missing) -> None:
    data = crossed((7, 4, 5, 6), missing=missing, n_features=40)
    table = interaction_test(
        data, contrast={**DRUG, "covariates": ["age"]}, **BY, method="ordinary_t"
    ).table()
    for row in np.flatnonzero(table["p"].notna())[::4]:
        sheet = data.obs.assign(y=data.X[:, row]).dropna()
        fit = smf.ols("y ~ C(drug) * C(line, Treatment('wild')) + age", sheet).fit()
        name = next(n for n in fit.params.index if ":" in n)
        assert table.loc[row, "effect"] == pytest.approx(fit.params[name])
        assert table.loc[row, "se"] == pytest.approx(fit.bse[name])
        assert table.loc[row, "p"] == pytest.approx(fit.pvalues[name])
        assert table.loc[row, "effect_by_a"] - table.loc[row, "effect_by_b"] == pytest.approx(
            fit.params[name]
        )


def test_swapping_levels_turns_the_sign() -> None:
    data = crossed(missing=0.1)
    one = interaction_test(data, contrast=DRUG, **BY).table()
    other = interaction_test(data, contrast={**DRUG, "a": "control", "b": "treated"}, **BY).table()
    turned = interaction_test(
        data,
        contrast={"factor": "line", "a": "mutant", "b": "wild"},
        by="drug",
        by_a="treated",
        by_b="control",
    ).table()
    np.testing.assert_allclose(other["effect"], -one["effect"])
    np.testing.assert_allclose(turned["effect"], one["effect"])
    np.testing.assert_allclose(turned["p"], one["p"], rtol=1e-7)


def test_patients_before_and_after_in_two_arms() -> None:
    """Within patients the test is a comparison of their differences between the arms."""
    data = paired()
    result = interaction_test(data, contrast={**DRUG, "block": "patient"}, **BY, method="ordinary_t")
    table = result.table()
    assert result.values["block_model"] == "fixed"
    differences = data.X[::2] - data.X[1::2]
    expected = stats.ttest_ind(differences[:8], differences[8:])
    np.testing.assert_allclose(table["p"], expected.pvalue, rtol=1e-6)
    np.testing.assert_allclose(table["effect"], differences[:8].mean(axis=0) - differences[8:].mean(axis=0))
    assert (table["n_least"] == 8).all()


@pytest.mark.parametrize(("sizes", "missing"), [((3, 3, 3, 3), 0.0), ((9, 4, 6, 12), 0.2)])
def test_p_values_are_uniform_without_an_interaction(sizes, missing) -> None:
    data = crossed(sizes, n_features=2500, missing=missing, seed=5)[:, 10:]
    result = interaction_test(data, contrast={**DRUG, "covariates": ["age"]}, **BY, n_permutations=10)
    p = result.table()["p"].dropna()
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.015)
    assert result.values["n_significant"] <= 2
    assert result.values["null_mean"] < 3


def test_null_data_and_stability_tell_planted_features() -> None:
    """Main effects are everywhere: a null that exchanged labels alone would be full of them."""
    result = interaction_test(crossed((8, 8, 8, 8)), contrast=DRUG, **BY, n_permutations=25, n_subsamples=20)
    assert result.values["n_significant"] >= 10
    assert result.values["null_mean"] < 1
    assert result.values["null_p_value"] == pytest.approx(1 / 26)
    table = result.table()
    assert table.loc[:9, "stability"].min() >= 0.9
    assert table.loc[10:, "stability"].median() <= 0.2
    blocks = interaction_test(
        paired(), contrast={**DRUG, "block": "patient"}, **BY, n_permutations=25, n_subsamples=10
    )
    assert blocks.values["n_significant"] >= 5
    assert blocks.values["null_mean"] < 1
    assert blocks.table().loc[:4, "stability"].min() == 1.0


def test_repeated_samples_are_not_subjects() -> None:
    """Four copies of each of twelve animals are twelve animals."""
    rng = np.random.default_rng(6)
    obs = pd.DataFrame(
        {
            "animal": np.repeat([f"m{i}" for i in range(12)], 4),
            "drug": np.repeat(["treated", "control"] * 6, 4),
            "line": np.repeat(["mutant"] * 6 + ["wild"] * 6, 4),
        },
        index=[f"s{i}" for i in range(48)],
    )
    X = 20 + np.repeat(rng.normal(0, 1, (12, 1500)), 4, axis=0) + rng.normal(0, 0.2, (48, 1500))
    data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(1500)]))
    result = interaction_test(data, contrast={**DRUG, "block": "animal"}, **BY, n_permutations=5)
    assert result.values["block_model"] == "correlated"
    assert result.values["n_significant"] <= 3
    assert result.values["n_least_cell"] == 3
    naive = interaction_test(data, contrast=DRUG, **BY)
    assert naive.values["n_significant"] > 300


def test_features_seen_in_three_cells_only_are_not_tested() -> None:
    data = crossed()
    data.X[((data.obs["drug"] == "treated") & (data.obs["line"] == "wild")).to_numpy(), 0] = np.nan
    result = interaction_test(data, contrast=DRUG, **BY)
    assert np.isnan(result.table().loc[0, "p"])
    assert result.values["n_tested"] == 199
    assert any("in a cell" in text for text in result.warnings)


def test_bad_designs_are_named() -> None:
    data = crossed()
    with pytest.raises(InputError, match="cell 'treated' and 'wild' has 0 samples"):
        interaction_test(
            data[~((data.obs["drug"] == "treated") & (data.obs["line"] == "wild")).to_numpy()],
            contrast=DRUG,
            **BY,
        )
    with pytest.raises(InputError, match="no level 'mutants'"):
        interaction_test(data, contrast=DRUG, by="line", by_a="mutants", by_b="wild")
    with pytest.raises(InputError, match="both factors are 'drug'"):
        interaction_test(data, contrast=DRUG, by="drug", by_a="treated", by_b="control")
    with pytest.raises(InputError, match="no column 'lines'"):
        interaction_test(data, contrast=DRUG, by="lines", by_a="mutant", by_b="wild")
    with pytest.raises(InputError, match="second factor and also a covariate"):
        interaction_test(data, contrast={**DRUG, "covariates": ["line"]}, **BY)
    data.obs["cell"] = [f"{d}{line}" for d, line in zip(data.obs["drug"], data.obs["line"], strict=True)]
    with pytest.raises(InputError, match="cannot separate 'drug x line'"):
        interaction_test(data, contrast={**DRUG, "covariates": ["cell"]}, **BY)
    data.obs["mouse"] = data.obs["cell"]
    with pytest.raises(InputError, match=r"samples of 1 mouse|samples of one 'mouse'|cannot separate"):
        interaction_test(data, contrast={**DRUG, "block": "mouse"}, **BY)
