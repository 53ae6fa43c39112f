"""Change over time: mixed models against R nlme and statsmodels, calibration by subject, orders of time, bad sheets."""

from __future__ import annotations

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from nereus.errors import InputError
from nereus.tools.statistics.longitudinal import longitudinal_test
from nereus.tools.statistics.mixed_model import fit_mixed_model
from nereus.tools.statistics.repeated import read_course, subject_slopes
from tests.conftest import TEST_DATA

ARMS = {"factor": "arm", "a": "drug", "b": "placebo"}


def followed(
    n_subjects: int = 20,
    n_features: int = 300,
    slope: float = 0.0,
    between: float = 0.8,
    slopes_differ: float = 0.0,
    missing: float = 0.15,
    seed: int = 1,
) -> anndata.AnnData:
    """Two to five visits of each subject; the first five features change by `slope` a week, in the drug arm only."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n_subjects):
        weeks = sorted(rng.choice(6, size=rng.integers(2, 6), replace=False))
        rows += [(f"m{i:02d}", float(week), ("drug", "placebo")[i % 2], i) for week in weeks]
    obs = pd.DataFrame(
        rows, columns=["mouse", "week", "arm", "number"], index=[f"s{i}" for i in range(len(rows))]
    )
    n, who, week = len(rows), obs["number"].to_numpy(), obs["week"].to_numpy()[:, None]
    drug = (obs["arm"] == "drug").to_numpy(float)[:, None]
    X = 20 + rng.normal(0, 0.5, (n, n_features)) + rng.normal(0, between, (n_subjects, n_features))[who]
    X += (
        drug * rng.normal(0, 0.5, n_features)
        + rng.normal(0, slopes_differ, (n_subjects, n_features))[who] * week
    )
    X[:, :5] += slope * week * drug
    X[rng.random(X.shape) < missing] = np.nan
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(n_features)]))


# -------------------------------------------------------------------------------------------- mixed models


@pytest.mark.parametrize("model", ["change", "group"])
def test_mixed_models_are_those_of_nlme(model) -> None:
    sheet = pd.read_csv(TEST_DATA / "mixed" / "visits.csv")
    expected = pd.read_csv(TEST_DATA / "mixed" / "reference.csv").query("model == @model")
    week, arm = sheet["week"].to_numpy(float), (sheet["arm"] == "a").to_numpy(float)
    columns = [np.ones(len(sheet)), week] + ([arm, week * arm] if model == "group" else [])
    fit = fit_mixed_model(
        sheet[[f"P{i}" for i in range(4)]].to_numpy().T,
        np.column_stack(columns),
        pd.factorize(sheet["subject"])[0],
    )
    share = expected["between"] / (expected["between"] + expected["within"])
    # nlme stops where its optimiser does; the third feature has no variance between subjects, which it cannot reach.
    np.testing.assert_allclose(fit.coefficients[:, -1], expected["coef"], rtol=5e-4)
    np.testing.assert_allclose(np.sqrt(fit.covariance[:, -1, -1]), expected["se"], rtol=1e-4)
    np.testing.assert_allclose(fit.variance, expected["within"], rtol=5e-4)
    np.testing.assert_allclose(fit.correlation, share, atol=5e-4)
    np.testing.assert_allclose(fit.coefficients[[0, 3], -1], expected["coef"].iloc[[0, 3]], rtol=1e-7)
    np.testing.assert_allclose(
        np.sqrt(fit.covariance[[0, 3], -1, -1]), expected["se"].iloc[[0, 3]], rtol=1e-6
    )
    assert fit.correlation[2] == 0.0


def test_mixed_effects_are_those_of_statsmodels() -> None:
    data = followed(n_features=8, between=1.5)
    table = longitudinal_test(data, time="week", subject="mouse", contrast=ARMS, method="mixed").table()
    week, drug = data.obs["week"].to_numpy(), (data.obs["arm"] == "drug").to_numpy(float)
    X = np.column_stack([np.ones(len(week)), week, drug, week * drug])
    for row in range(8):
        seen = np.isfinite(data.X[:, row])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = sm.MixedLM(data.X[seen, row], X[seen], groups=data.obs["mouse"][seen]).fit(
                reml=True, method="bfgs", gtol=1e-9
            )
        assert table.loc[row, "slope"] == pytest.approx(fit.fe_params[3], abs=2e-5)
        assert table.loc[row, "correlation"] == pytest.approx(
            fit.cov_re[0, 0] / (fit.cov_re[0, 0] + fit.scale), abs=1e-3
        )


def test_balanced_change_is_the_analysis_of_subjects() -> None:
    """With every subject at every time, the mixed model's t is the t of the regression within subjects."""
    rng = np.random.default_rng(2)
    subject, week = np.repeat(np.arange(8), 4), np.tile([0.0, 1, 2, 3], 8)
    X = rng.normal(0, 1, (8, 20))[subject] * 2 + rng.normal(20, 0.5, (32, 20))
    obs = pd.DataFrame(
        {"mouse": [f"m{i}" for i in subject], "week": week}, index=[f"s{i}" for i in range(32)]
    )
    data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(20)]))
    table = longitudinal_test(data, time="week", subject="mouse", method="mixed").table()
    within = X - np.repeat(X.reshape(8, 4, 20).mean(axis=1), 4, axis=0)
    t = week - 1.5
    slope = t @ within / (t @ t)
    rss = ((within - t[:, None] * slope) ** 2).sum(axis=0)
    statistic = slope / np.sqrt(rss / 23 / (t @ t))
    np.testing.assert_allclose(table["slope"], slope)
    np.testing.assert_allclose(table["statistic"], statistic, rtol=1e-6)
    assert (table["df"] == 23).all()


# ---------------------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("method", ["blocked", "mixed", "slopes"])
@pytest.mark.parametrize("groups", [False, True])
def test_p_values_are_uniform_when_nothing_changes(method, groups) -> None:
    result = longitudinal_test(
        followed(n_features=1500),
        time="week",
        subject="mouse",
        method=method,
        contrast=ARMS if groups else None,
    )
    p = result.table()["p"].dropna()
    assert len(p) > 1400
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.018)
    assert result.values["n_significant"] <= 2


@pytest.mark.parametrize("method", ["blocked", "mixed"])
def test_ordered_times_hold_their_level(method) -> None:
    result = longitudinal_test(
        followed(n_features=1000), time="week", subject="mouse", method=method, time_scale="ordered"
    )
    p = result.table()["p"].dropna()
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.02)
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_different_slopes_are_noticed_and_slopes_hold() -> None:
    """Subjects that rise and fall at random are no change; a random intercept takes them for one."""
    data = followed(n_features=1500, slopes_differ=0.3)
    naive = longitudinal_test(data, time="week", subject="mouse")
    assert np.mean(naive.table()["p"] < 0.05) > 0.1
    assert naive.values["slope_heterogeneity"] > 2
    assert any("method='slopes'" in text for text in naive.warnings)
    honest = longitudinal_test(data, time="week", subject="mouse", method="slopes")
    p = honest.table()["p"].dropna()
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.018)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert not any("method='slopes'" in text for text in honest.warnings)
    calm = longitudinal_test(followed(n_features=500), time="week", subject="mouse")
    assert calm.values["slope_heterogeneity"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("method", ["blocked", "mixed", "slopes"])
def test_planted_changes_are_found_and_stable(method) -> None:
    data = followed(n_subjects=24, slope=0.6, seed=3)
    result = longitudinal_test(
        data, time="week", subject="mouse", contrast=ARMS, method=method, n_permutations=15, n_subsamples=10
    )
    table = result.table()
    assert set(table.loc[table["q"] <= 0.05, "feature"]) >= {f"P{i}" for i in range(5)}
    assert (table["q"] <= 0.05).sum() <= 7
    assert table.loc[:4, "slope"].to_numpy() == pytest.approx(0.6, abs=0.25)
    np.testing.assert_allclose(table["effect"], table["slope"] * 5)
    assert table.loc[:4, "stability"].min() >= 0.8
    assert table.loc[5:, "stability"].median() < 0.3
    assert result.values["null_mean"] < 1.5
    assert result.values["null_p_value"] == pytest.approx(1 / 16)
    assert (table["n_a"] + table["n_b"] <= 24).all()


def test_repeated_samples_are_not_subjects() -> None:
    """What differs between subjects that came at different times is no change over time."""
    rng = np.random.default_rng(5)
    week = np.repeat(rng.permutation(np.repeat([0.0, 10.0], 6)), 4) + np.tile([0.0, 0.1, 0.2, 0.3], 12)
    X = 20 + np.repeat(rng.normal(0, 2, (12, 800)), 4, axis=0) + rng.normal(0, 0.2, (48, 800))
    obs = pd.DataFrame(
        {"mouse": np.repeat([f"m{i}" for i in range(12)], 4), "week": week},
        index=[f"s{i}" for i in range(48)],
    )
    data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(800)]))
    table = longitudinal_test(data, time="week", subject="mouse").table()
    assert np.mean(table["p"] < 0.05) < 0.1
    assert (table["q"] <= 0.05).sum() <= 2


# ------------------------------------------------------------------------------------------ ordered levels


def test_a_passing_peak_is_found_by_ordered_time_only() -> None:
    data = followed(n_features=200, missing=0.0)
    data.X[(data.obs["week"] == 2).to_numpy(), :4] += 2.0
    for method in ("blocked", "mixed"):
        ordered = longitudinal_test(
            data, time="week", subject="mouse", time_scale="ordered", method=method
        ).table()
        assert (ordered.loc[:3, "q"] <= 0.05).all()
        assert (ordered.loc[:3, "peak_time"] == "2").all()
        assert ordered.loc[:3, "peak_effect"].to_numpy() == pytest.approx(2.0, abs=0.7)
        assert ordered["slope"].isna().all()
    linear = longitudinal_test(data, time="week", subject="mouse").table()
    assert (linear.loc[:3, "q"] > 0.05).all()
    assert (linear["peak_time"] == "").all()


def test_two_ordered_times_are_one_slope() -> None:
    data = followed(n_features=50)
    data = data[data.obs["week"].isin([0, 1, 2, 3])].copy()
    data.obs["late"] = np.where(data.obs["week"] >= 2, 7.0, 0.0)
    one = longitudinal_test(data, time="late", subject="mouse", time_scale="ordered").table()
    other = longitudinal_test(data, time="late", subject="mouse").table()
    np.testing.assert_allclose(one["effect"], other["effect"])
    np.testing.assert_allclose(one["p"], other["p"])


def test_text_times_are_put_in_order() -> None:
    data = followed(n_features=60, slope=0.8)
    base = longitudinal_test(data, time="week", subject="mouse").table()
    data.obs["visit"] = [f"week {week:g}" for week in data.obs["week"]]
    named = longitudinal_test(data, time="visit", subject="mouse").table()
    np.testing.assert_allclose(named["p"], base["p"])
    words = ["baseline", "second", "third", "fourth", "fifth", "last"]
    data.obs["visit"] = [words[int(week)] for week in data.obs["week"]]
    with pytest.raises(InputError, match="cannot be put in order"):
        longitudinal_test(data, time="visit", subject="mouse")
    ordered = longitudinal_test(data, time="visit", subject="mouse", order=words).table()
    np.testing.assert_allclose(ordered["p"], base["p"])
    with pytest.raises(InputError, match="are not in the order given"):
        longitudinal_test(data, time="visit", subject="mouse", order=words[1:])


@pytest.mark.parametrize("before", [False, True])
def test_a_hyphen_before_every_time_is_no_minus(before: bool) -> None:
    """``day-0, day-7`` are days after the start; beside ``day0`` or ``day7`` the hyphen is a minus."""
    data = followed(n_features=20, slope=0.8)
    base = longitudinal_test(data, time="week", subject="mouse").table()
    shift = 2 if before else 0
    words = [f"day{week - shift:g}" if before else f"day-{week:g}" for week in data.obs["week"]]
    data.obs["visit"] = words
    named = longitudinal_test(data, time="visit", subject="mouse").table()
    np.testing.assert_allclose(named["slope"], base["slope"])


@pytest.mark.parametrize("method", ["blocked", "mixed"])
def test_times_of_one_group_only_are_not_compared(method: str) -> None:
    rng = np.random.default_rng(3)
    weeks = {"drug": [0, 1, 2, 3], "placebo": [0, 1, 2]}
    rows = [(arm, week, f"{arm}{i}") for arm, times in weeks.items() for i in range(6) for week in times]
    obs = pd.DataFrame(rows, columns=["arm", "week", "mouse"], index=[f"s{i}" for i in range(len(rows))])
    X = rng.normal(20, 0.5, (len(obs), 30))
    data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(30)]))
    result = longitudinal_test(
        data, time="week", subject="mouse", contrast=ARMS, time_scale="ordered", method=method
    )

    def change(arm: str) -> np.ndarray:
        here = (obs["arm"] == arm).to_numpy()
        return X[here & (obs["week"] == 2)].mean(axis=0) - X[here & (obs["week"] == 0)].mean(axis=0)

    np.testing.assert_allclose(result.table()["effect"], change("drug") - change("placebo"), atol=1e-9)
    assert result.values["n_tested"] == 30
    assert set(result.table()["peak_time"]) == {"1", "2"}
    assert any("one group only are not compared: 3" in note for note in result.warnings)
    apart = data[((obs["arm"] == "drug") & (obs["week"] > 0)) | (obs["arm"] == "placebo")].copy()
    apart = apart[~((apart.obs["arm"] == "placebo") & (apart.obs["week"] == 2))].copy()
    with pytest.raises(InputError, match="1 time points have samples of both groups"):
        longitudinal_test(apart, time="week", subject="mouse", contrast=ARMS, time_scale="ordered")


def test_too_few_values_for_any_feature_are_said() -> None:
    data = followed(n_features=20)
    data.X[np.random.default_rng(2).random(data.shape) < 0.9] = np.nan
    result = longitudinal_test(data, time="week", subject="mouse", contrast=ARMS)
    assert result.values["n_tested"] == 0
    assert any("20 of 20 features were not tested" in note for note in result.warnings)


def test_subject_slopes_are_least_squares() -> None:
    data = followed(n_features=10)
    course = read_course(data.obs, "week", "mouse")
    found = subject_slopes(np.asarray(data.X.T), course.time, course.subject, None)
    for code in range(3):
        rows = course.subject == code
        for feature in range(10):
            y, t = data.X[rows, feature], course.time[rows]
            seen = np.isfinite(y)
            if len(np.unique(t[seen])) > 1:
                assert found.slope[feature, code] == pytest.approx(np.polyfit(t[seen], y[seen], 1)[0])
            else:
                assert np.isnan(found.slope[feature, code])


def test_covariates_and_subsets() -> None:
    data = followed(n_features=100)
    data.obs["plate"] = np.tile([0.0, 1.0], len(data))[: len(data)]
    data.X += data.obs["plate"].to_numpy()[:, None] * 3
    loose = longitudinal_test(data, time="week", subject="mouse").table()
    tight = longitudinal_test(data, time="week", subject="mouse", covariates=["plate"]).table()
    assert np.nanmedian(tight["se"]) < 0.6 * np.nanmedian(loose["se"])
    half = longitudinal_test(data, time="week", subject="mouse", subset={"arm": "drug"})
    assert half.values["n_subjects"] == 10


def test_bad_sheets_are_named() -> None:
    data = followed(n_features=5)
    with pytest.raises(InputError, match="no column 'weeks'"):
        longitudinal_test(data, time="weeks", subject="mouse")
    data.obs["sample"] = data.obs_names
    with pytest.raises(InputError, match="nothing was followed over time"):
        longitudinal_test(data, time="week", subject="sample")
    data.obs["first"] = data.obs["number"].astype(float)
    with pytest.raises(InputError, match="0 'mouse' have samples at two or more times"):
        longitudinal_test(data, time="first", subject="mouse")
    data.obs["mixed"] = np.tile(["drug", "placebo"], len(data))[: len(data)]
    with pytest.raises(InputError, match="in both 'drug' and 'placebo'"):
        longitudinal_test(data, time="week", subject="mouse", contrast={**ARMS, "factor": "mixed"})
    with pytest.raises(InputError, match="no level 'drugs'"):
        longitudinal_test(data, time="week", subject="mouse", contrast={**ARMS, "a": "drugs"})
    with pytest.raises(InputError, match="summarises each subject by one slope"):
        longitudinal_test(data, time="week", subject="mouse", method="slopes", time_scale="ordered")
    data.obs["age"] = np.random.default_rng(1).normal(size=len(data))
    with pytest.raises(InputError, match="too many to be taken as ordered levels"):
        longitudinal_test(data, time="age", subject="mouse", time_scale="ordered")
    with pytest.raises(InputError, match="different columns"):
        longitudinal_test(data, time="week", subject="week")
    few = data[data.obs["number"] < 3].copy()
    with pytest.raises(InputError, match=r"2 'mouse' of 'drug' have samples at two or more times"):
        longitudinal_test(few, time="week", subject="mouse", contrast=ARMS)
