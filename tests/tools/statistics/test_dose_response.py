"""Dose-response: least squares, an honest p-value, intervals that cover, known targets, bad doses."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

from nereus.errors import InputError
from nereus.tools.statistics.dose_curve import (
    curve_grid,
    curve_p_values,
    ec50_interval,
    fit_grid,
    refine,
    response,
)
from nereus.tools.statistics.dose_response import dose_response, lack_of_fit

DOSES = np.repeat(np.r_[0, 10.0 ** np.arange(1, 9)], 4)


def treated(
    n_features: int = 300, missing: float = 0.0, seed: int = 1, doses: np.ndarray = DOSES
) -> anndata.AnnData:
    """The first five features rise by 2, the next five fall by 2, half of it at a dose of 30,000."""
    rng = np.random.default_rng(seed)
    X = rng.normal(20, 0.3, (len(doses), n_features))
    share = response(doses, np.full(len(doses), 3e4), np.full(len(doses), 1.3))[:, None]
    X[:, :5] += 2 * share
    X[:, 5:10] -= 2 * share
    X[rng.random(X.shape) < missing] = np.nan
    obs = pd.DataFrame({"pM": doses}, index=[f"s{i}" for i in range(len(doses))])
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(n_features)]))


def logistic(x: np.ndarray, start: float, span: float, place: float, steep: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return start + span * np.where(x > 0, special.expit(np.exp(steep) * (np.log(x) - place)), 0.0)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_curves_are_the_least_squares_of_scipy(missing) -> None:
    values = np.asarray(treated(30, missing).X.T)
    grid = curve_grid(DOSES)
    fit = refine(values, grid, fit_grid(values, grid))
    for row in range(10):
        seen = np.isfinite(values[row])
        start = [fit.start[row], fit.span[row], np.log(fit.ec50[row]) + 0.5, np.log(fit.hill[row]) - 0.3]
        best, spread = optimize.curve_fit(logistic, DOSES[seen], values[row, seen], start, maxfev=20_000)
        rss = np.sum((values[row, seen] - logistic(DOSES[seen], *best)) ** 2)
        assert fit.rss[row] == pytest.approx(rss, rel=1e-6)
        assert np.log(fit.ec50[row]) == pytest.approx(best[2], abs=2e-3)
        scale = rss / (seen.sum() - 4)
        assert np.sqrt(fit.covariance[row, 1, 1] * scale) == pytest.approx(np.sqrt(spread[1, 1]), rel=0.02)


def test_table_tells_the_curve() -> None:
    result = dose_response(treated(missing=0.1), dose="pM", n_permutations=10, n_subsamples=8)
    table = result.table()
    assert set(table.loc[table["q"] <= 0.05, "feature"]) >= {f"P{i}" for i in range(10)}
    assert (table["q"] <= 0.05).sum() <= 12
    assert (table.loc[:4, "effect"] > 1.5).all()
    assert (table.loc[5:9, "effect"] < -1.5).all()
    assert table.loc[:9, "ec50"].median() == pytest.approx(3e4, rel=0.5)
    assert table.loc[:9, "ec50_in_range"].all()
    assert (table.loc[:9, "r2"] > 0.8).all()
    assert table.loc[:9, "stability"].min() == 1.0
    assert (table.loc[:9, "ci_low"] < table.loc[:9, "effect"]).all()
    assert result.values["null_mean"] <= 1
    assert result.values["n_doses"] == 9
    assert table.loc[:9, "start"].to_numpy() == pytest.approx(20, abs=0.4)


def test_three_parameters_hold_the_slope_at_one() -> None:
    table = dose_response(treated(50), dose="pM", curve="three").table()
    assert (table["hill"].dropna() == 1.0).all()
    assert (table.loc[:9, "q"] < 1e-6).all()
    assert (table["df"] == 33).all()


@pytest.mark.parametrize("curve", ["four", "three"])
@pytest.mark.parametrize(
    ("doses", "missing"),
    [(DOSES, 0.0), (DOSES, 0.25), (DOSES[::4], 0.0), (np.repeat([0, 0.1, 0.3, 1, 3, 10.0], 3), 0.15)],
)
def test_p_values_are_uniform_without_a_response(doses, missing, curve) -> None:
    """The nominal F distribution fails this on every one of these designs, one way or the other."""
    data = treated(4000, missing, seed=2, doses=doses)[:, 10:]
    result = dose_response(data, dose="pM", curve=curve)
    p = result.table()["p"].dropna()
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(p < 0.01) == pytest.approx(0.01, abs=0.006)
    assert result.values["n_significant"] <= 2


def test_the_far_tail_is_not_too_sure() -> None:
    doses = np.repeat([0, 1, 3, 10, 30, 100.0], 3)
    grid = curve_grid(doses)
    values = np.random.default_rng(7).normal(size=(200_000, len(doses)))
    p = curve_p_values(values, grid, fit_grid(values, grid, profile=False))
    for border in (1e-3, 1e-4):
        expected = border * len(p)
        assert (p < border).sum() < expected + 4 * np.sqrt(expected) + 0.3 * expected
        assert (p < border).sum() > expected - 4 * np.sqrt(expected) - 0.3 * expected


def test_intervals_of_the_ec50_cover_it() -> None:
    rng = np.random.default_rng(3)
    values = 20 + 1.0 * response(DOSES, np.full(36, 3e4), np.full(36, 1.0)) + rng.normal(0, 0.3, (500, 36))
    grid = curve_grid(DOSES)
    found = fit_grid(values, grid)
    low, high = ec50_interval(grid, found, refine(values, grid, found))
    covered = (np.nan_to_num(low, nan=0.0) <= 3e4) & (np.nan_to_num(high, nan=np.inf) >= 3e4)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
    assert np.isfinite(low).mean() > 0.9


def test_an_open_ec50_has_an_open_interval() -> None:
    """A rise at the highest dose only does not say where half of it would be."""
    data = treated(20)
    data.X[:, 0] = np.random.default_rng(1).normal(20, 0.2, len(DOSES)) + 3 * (DOSES.max() == DOSES)
    row = dose_response(data, dose="pM").table().loc[0]
    assert row["q"] < 0.05
    assert np.isnan(row["ec50_high"]) or row["ec50_high"] > 1e8


def test_lack_of_fit_sees_a_hump() -> None:
    data = treated(40)
    data.X[:, 20] += 2 * np.isin(DOSES, [1e3, 1e4, 1e5])
    table = dose_response(data, dose="pM").table()
    assert table.loc[20, "lack_of_fit_p"] < 1e-6
    assert table.loc[:9, "lack_of_fit_p"].min() > 1e-3
    single = np.asarray(data.X.T)[:, ::4]
    assert np.isnan(lack_of_fit(single, DOSES[::4], np.ones(40), 4)).all()


def test_units_of_the_dose_do_not_matter() -> None:
    data = treated(60, missing=0.1)
    base = dose_response(data, dose="pM").table()
    data.obs["nM"] = data.obs["pM"] / 1000
    other = dose_response(data, dose="nM").table()
    np.testing.assert_allclose(other["p"], base["p"], rtol=1e-6)
    np.testing.assert_allclose(other.loc[:9, "ec50"] * 1000, base.loc[:9, "ec50"], rtol=1e-3)


@pytest.mark.parametrize("turned", ["samples", "features"])
def test_the_order_of_the_table_does_not_matter(turned: str) -> None:
    data = treated(n_features=60, missing=0.2)
    rng = np.random.default_rng(4)
    other = data[rng.permutation(data.n_obs)] if turned == "samples" else data[:, rng.permutation(60)]
    settings = {"dose": "pM", "n_permutations": 3, "n_subsamples": 3}
    one, two = dose_response(data, **settings), dose_response(other.copy(), **settings)
    again = two.table().set_index("feature").loc[data.var_names].reset_index(names="feature")
    pd.testing.assert_frame_equal(one.table(), again, rtol=1e-9)
    assert one.values == pytest.approx(two.values)


def test_features_with_few_doses_are_not_tested() -> None:
    data = treated(5)
    data.X[DOSES > 100, 0] = np.nan
    data.X[:, 1] = np.nan
    data.X[:, 2] = 20.0
    result = dose_response(data, dose="pM")
    assert result.table()["p"].notna().tolist() == [False, False, False, True, True]
    assert result.values["n_tested"] == 2


def test_bad_doses_are_named() -> None:
    data = treated(5)
    data.obs["log"] = np.log10(np.maximum(data.obs["pM"], 0.1))
    with pytest.raises(InputError, match="4 doses are below 0, such as that of s0"):
        dose_response(data, dose="log")
    with pytest.raises(InputError, match="3 different doses above 0"):
        dose_response(data[DOSES <= 1000].copy(), dose="pM")
    assert dose_response(data[DOSES <= 1000].copy(), dose="pM", curve="three").values["n_doses"] == 4
    with pytest.raises(InputError, match="no column 'uM'"):
        dose_response(data, dose="uM")
    data.obs["word"] = "high"
    with pytest.raises(InputError, match="not numeric"):
        dose_response(data, dose="word")
    with pytest.raises(InputError, match="6 samples have a dose"):
        dose_response(data[[0, 4, 8, 12, 16, 20]].copy(), dose="pM")


def test_rapamycin_binds_fkbp1a(shared_data: Path) -> None:
    """Piazza et al. 2020: peptides of FKBP1A (P62942) follow the dose of rapamycin before all others."""
    long = pd.read_csv(shared_data / "lip_rapamycin_protti" / "rapamycin_dose_response.csv.gz")
    long["log"] = np.log2(long["fg_quantity"])
    wide = long.pivot_table(index="r_file_name", columns="eg_precursor_id", values="log")
    protein = long.groupby("eg_precursor_id")["pg_protein_accessions"].first()[wide.columns].to_numpy()
    obs = long.groupby("r_file_name")[["r_condition"]].first().loc[wide.index]
    X = wide.to_numpy()
    X = X - np.nanmedian(X, axis=1, keepdims=True) + np.nanmedian(X)
    data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=wide.columns))
    result = dose_response(data, dose="r_condition", n_permutations=5)
    table = result.table().assign(protein=protein).sort_values("p")
    assert (table["protein"].head(15) == "P62942").all()
    found = table[table["q"] <= 0.05]
    assert (found["protein"] == "P62942").sum() >= 18
    assert (found["protein"] != "P62942").sum() <= 10
    assert result.values["null_mean"] < 1
