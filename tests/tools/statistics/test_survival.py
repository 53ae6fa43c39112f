"""Survival: the Cox core against R, lifelines and statsmodels; what a sheet says; calibration; known data sets."""

from __future__ import annotations

from pathlib import Path

import anndata
import lifelines
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines.datasets import load_gbsg2, load_lung, load_rossi
from scipy import stats

from nereus.errors import InputError
from nereus.tools.statistics.survival.cox import fit_cox
from nereus.tools.statistics.survival.hazards import check_hazards, transformed_time
from nereus.tools.statistics.survival.outcome import Outcome, OutcomeParams, read_events, read_outcome
from nereus.tools.statistics.survival.screen import survival_screen
from tests.conftest import TEST_DATA

REFERENCE = TEST_DATA / "survival"


def data_set(X: np.ndarray, **columns) -> anndata.AnnData:
    obs = pd.DataFrame(columns, index=[f"s{i}" for i in range(len(X))])
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(X.shape[1])]))


def patients(
    n: int = 120, n_features: int = 300, effect: float = 0.0, seed: int = 1, missing: float = 0.0
) -> anndata.AnnData:
    """Tied times, three of ten censored; the first three features raise the hazard by `effect` each."""
    rng = np.random.default_rng(seed)
    X = rng.normal(20, 1, (n, n_features))
    age = rng.normal(60, 10, n)
    risk = effect * (X[:, :3] - 20).sum(axis=1) + 0.03 * (age - 60)
    time = rng.exponential(np.exp(-risk))
    end = rng.exponential(2.0, n)
    X[rng.random(X.shape) < missing] = np.nan
    return data_set(
        X,
        days=np.ceil(np.minimum(time, end) * 40),
        status=np.where(time <= end, "dead", "alive"),
        age=age,
        site=rng.choice(list("xyz"), n),
    )


# ------------------------------------------------------------------------------------------------ the core


@pytest.fixture(scope="module")
def reference() -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_csv(REFERENCE / "patients.csv"), pd.read_csv(REFERENCE / "reference.csv")


@pytest.mark.parametrize("model", ["plain", "covariate", "strata"])
def test_cox_models_are_those_of_r_survival(reference, model) -> None:
    """Ties, strata, covariates, missing values; likelihoods and the proportional-hazards score test too."""
    sheet, expected = reference
    X = sheet[[f"P{i}" for i in range(4)]].to_numpy().T
    age = sheet[["age"]].to_numpy() / 10 - 6
    covariates = age if model != "plain" else np.zeros((len(sheet), 0))
    stratum = pd.factorize(sheet["site"])[0] if model == "strata" else np.zeros(len(sheet), dtype=int)
    outcome = Outcome(
        np.arange(len(sheet)),
        sheet["days"].to_numpy(float),
        sheet["event"].to_numpy() == 1,
        stratum,
        covariates,
    )
    for transform in ("identity", "log", "km"):
        fit = fit_cox(
            X,
            outcome.time,
            outcome.event,
            stratum,
            covariates,
            hazard_time=transformed_time(outcome, transform),
            without_feature=True,
        )
        rows = expected[(expected["model"] == model) & (expected["transform"] == transform)]
        np.testing.assert_allclose(fit.effect, rows["coef"], rtol=1e-9)
        np.testing.assert_allclose(fit.se, rows["se"], rtol=1e-9)
        np.testing.assert_allclose(fit.log_likelihood, rows["loglik"], rtol=1e-11)
        np.testing.assert_allclose(fit.null_log_likelihood, rows["null_loglik"], rtol=1e-11)
        # The Kaplan-Meier scale is that of all samples here, and of the observed ones in R.
        same = 3 if transform == "km" else 4
        np.testing.assert_allclose(fit.hazard_statistic[:same], rows["zph"][:same], rtol=1e-8)


@pytest.mark.parametrize(
    ("load", "time", "event", "columns"),
    [
        (load_rossi, "week", "arrest", ["fin", "age", "race", "wexp", "mar", "paro", "prio"]),
        (load_lung, "time", "status", ["age", "sex", "ph.ecog"]),
        (load_gbsg2, "time", "cens", ["age", "tsize", "pnodes", "progrec", "estrec"]),
    ],
)
def test_textbook_data_sets_give_lifelines_coefficients(load, time, event, columns) -> None:
    sheet = load()[[time, event, *columns]].dropna().astype(float)
    sheet[event] = sheet[event] - sheet[event].min()
    scaled = (sheet[columns] - sheet[columns].mean()) / sheet[columns].std()
    fitter = lifelines.CoxPHFitter().fit(
        sheet[[time, event]].join(scaled), time, event, fit_options={"precision": 1e-12}
    )
    exact = sm.PHReg(sheet[time], scaled, status=sheet[event], ties="efron").fit(tol=1e-12)
    for position, column in enumerate(columns):
        fit = fit_cox(
            scaled[[column]].to_numpy().T,
            sheet[time].to_numpy(),
            sheet[event].to_numpy() == 1,
            covariates=scaled.drop(columns=column).to_numpy(),
        )
        assert fit.effect[0] == pytest.approx(fitter.params_[column], abs=1e-6)
        assert fit.se[0] == pytest.approx(fitter.standard_errors_[column], abs=1e-6)
        assert fit.effect[0] == pytest.approx(exact.params[position], abs=1e-6)


def test_rossi_is_the_textbook() -> None:
    """Allison's recidivism study as in Fox and Weisberg's textbook: aid and age lower the hazard of arrest."""
    sheet = load_rossi()
    published = {
        "fin": -0.379,
        "age": -0.057,
        "race": 0.314,
        "wexp": -0.150,
        "mar": -0.434,
        "paro": -0.085,
        "prio": 0.091,
    }
    for column, coefficient in published.items():
        data = data_set(sheet[[column]].to_numpy(float), **{c: sheet[c].to_numpy() for c in sheet.columns})
        result = survival_screen(
            data, time="week", event="arrest", covariates=[c for c in published if c != column]
        )
        assert result.table().loc[0, "slope"] == pytest.approx(coefficient, abs=6e-4)
        assert result.values["n_events"] == 114


def test_every_feature_agrees_with_lifelines_with_missing_values_and_strata() -> None:
    data = patients(missing=0.25, n_features=6, effect=0.5)
    table = survival_screen(data, time="days", event="status", covariates=["age"], strata=["site"]).table()
    for row in range(6):
        sheet = data.obs.assign(x=data.X[:, row], dead=(data.obs["status"] == "dead").astype(int)).dropna()
        sheet["x"] = (sheet["x"] - sheet["x"].mean()) / sheet["x"].std()
        fitter = lifelines.CoxPHFitter().fit(
            sheet[["x", "age", "days", "dead", "site"]], "days", "dead", strata=["site"],
            fit_options={"precision": 1e-12},
        )  # fmt: skip
        found = table.loc[row]
        assert found["effect"] == pytest.approx(fitter.params_["x"], abs=1e-6)
        assert found["se"] == pytest.approx(fitter.standard_errors_["x"], abs=1e-6)
        assert found["p"] == pytest.approx(fitter.summary.loc["x", "p"], abs=1e-6)
        assert (found["n"], found["events"]) == (len(sheet), sheet["dead"].sum())
        assert found["hr_low"] == pytest.approx(fitter.summary.loc["x", "exp(coef) lower 95%"], rel=1e-5)


def test_likelihood_ratio_is_that_of_two_fits() -> None:
    data = patients(missing=0.2, n_features=4, effect=0.4)
    table = survival_screen(
        data, time="days", event="status", covariates=["age"], test="likelihood_ratio"
    ).table()
    for row in range(4):
        sheet = data.obs.assign(x=data.X[:, row], dead=(data.obs["status"] == "dead").astype(int)).dropna()
        both = [
            lifelines.CoxPHFitter().fit(sheet[[*columns, "days", "dead"]], "days", "dead").log_likelihood_
            for columns in (["x", "age"], ["age"])
        ]
        assert table.loc[row, "p"] == pytest.approx(stats.chi2.sf(2 * (both[0] - both[1]), 1), rel=1e-4)


def test_a_feature_that_separates_the_events_has_no_hazard_ratio() -> None:
    rng = np.random.default_rng(3)
    time = np.arange(1.0, 41.0)
    X = rng.normal(20, 1, (40, 20))
    X[:, 0] = 30 - time  # the order of the values is the order of the deaths
    result = survival_screen(data_set(X, days=time, dead=1), time="days", event="dead")
    assert np.isnan(result.table().loc[0, "effect"])
    assert np.isnan(result.table().loc[0, "q"])
    assert result.values["n_separated"] == 1
    assert any("P0" in text for text in result.warnings)


@pytest.mark.filterwarnings("ignore:Maximum Likelihood:Warning")  # what runs away here is what is tested
def test_a_level_without_events_does_not_stop_the_screen() -> None:
    """One rare site all of whose patients live: the likelihood's limit, which statsmodels runs towards."""
    data = patients(n_features=6, effect=0.4)
    rare = np.arange(120) < 6
    data.obs["site"] = np.where(rare, "a rare one", data.obs["site"])
    data.obs.loc[rare, "status"] = "alive"
    result = survival_screen(data, time="days", event="status", covariates=["site"])
    assert result.values["n_tested"] == 6
    assert result.values["n_dropped_samples"] == 6
    assert any("6 samples with site = 'a rare one' saw no event" in note for note in result.warnings)
    sites = [(data.obs["site"] == level).to_numpy(float) for level in ("a rare one", "y", "z")]
    for row in range(3):
        x = data.X[:, row]
        model = sm.PHReg(
            data.obs["days"], np.column_stack([x, *sites]), (data.obs["status"] == "dead"), ties="efron"
        )
        fit = model.fit(disp=0, maxiter=200)
        assert result.table().loc[row, "slope"] == pytest.approx(fit.params[0], rel=1e-4)


def test_units_and_levels_do_not_matter() -> None:
    data = patients(n_features=30, missing=0.1)
    base = survival_screen(data, time="days", event="status").table()
    moved = data.copy()
    moved.X = moved.X * 1e-3 + 1e4
    moved.obs["days"] *= 365.25
    other = survival_screen(moved, time="days", event="status").table()
    np.testing.assert_allclose(other["effect"], base["effect"], rtol=1e-6)
    np.testing.assert_allclose(other["p"], base["p"], rtol=1e-5)
    turned = data[::-1].copy()
    np.testing.assert_allclose(
        survival_screen(turned, time="days", event="status").table()["p"], base["p"], rtol=1e-9
    )


# ---------------------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("options", [{}, {"covariates": ["age"], "strata": ["site"]}])
def test_p_values_are_uniform_when_nothing_matters(options) -> None:
    data = patients(n=150, n_features=2000, missing=0.2)
    result = survival_screen(data, time="days", event="status", **options)
    p = result.table()["p"].dropna()
    assert len(p) == 2000
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.015)
    assert result.values["n_significant"] <= 2
    drift = result.table()["hazards_p"].dropna()
    assert np.mean(drift < 0.05) == pytest.approx(0.05, abs=0.015)


def test_small_studies_are_not_too_sure() -> None:
    """Twenty-five patients: Wald's test may be a little too cautious, never the other way by much."""
    data = patients(n=25, n_features=3000)
    p = survival_screen(data, time="days", event="status").table()["p"]
    assert np.mean(p < 0.05) < 0.065
    assert np.mean(p < 0.001) < 0.003


def test_planted_hazards_are_found_and_stable() -> None:
    data = patients(n=300, n_features=300, effect=0.6)
    result = survival_screen(
        data, time="days", event="status", covariates=["age"], n_permutations=20, n_subsamples=20
    )
    table = result.table()
    assert (table.loc[:2, "q"] <= 0.05).all()
    assert (table.loc[:2, "effect"] > 0).all()
    assert (table.loc[3:, "q"] <= 0.05).sum() <= 3
    assert table.loc[:2, "stability"].min() > 0.7
    assert table.loc[3:, "stability"].median() < 0.3
    assert result.values["null_mean"] < 1
    assert result.values["null_p_value"] == pytest.approx(1 / 21)
    assert result.values["n_subsamples"] == 20


def test_a_drifting_hazard_is_seen() -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(20, 1, (300, 40))
    high = X[:, 0] > 20
    days = np.where(high, rng.weibull(4.0, 300), rng.weibull(0.7, 300)) * 100
    table = check_hazards(data_set(X, days=days, dead=1), time="days", event="dead").table()
    assert table["p"].idxmin() == 0
    assert table.loc[0, "q"] < 1e-6
    assert table.loc[0, "early"] < 0 < table.loc[0, "late"]
    assert (table.loc[1:, "q"] > 0.05).all()
    few = check_hazards(
        data_set(X, days=days, dead=1), time="days", event="dead", features=["P3", "P0"]
    ).table()
    assert few["feature"].tolist() == ["P0", "P3"]
    np.testing.assert_allclose(few["p"], table.loc[[0, 3], "p"])


# ------------------------------------------------------------------------------------------ the sample sheet


@pytest.mark.parametrize(
    ("levels", "events"),
    [
        ([1, 0], (True, False)),
        ([1.0, 0.0], (True, False)),
        ([True, False], (True, False)),
        (["dead", "alive"], (True, False)),
        (["Deceased", "Living"], (True, False)),
        (["1:DECEASED", "0:LIVING"], (True, False)),
        (["yes", "no"], (True, False)),
        (["relapse", "no relapse"], (True, False)),
        (["dead of disease", "alive with disease"], (True, False)),
        (["TRUE", "FALSE"], (True, False)),
        ([2, 1], (True, False)),
        (["event", "censored"], (True, False)),
        (["dead, no recurrence", "alive, no evidence of disease"], (True, False)),
    ],
)
def test_event_codings(levels, events) -> None:
    found, yes, no, _ = read_events(pd.Series(levels, name="status"), None, "here")
    assert tuple(found) == events
    assert len(yes) == len(no) == 1


@pytest.mark.parametrize("free", ["relapse free", "Recurrence-free", "event free", "progression free"])
def test_free_of_an_event_is_no_event(free) -> None:
    found = read_events(pd.Series([free, "yes"], name="status"), None, "here")[0]
    assert tuple(found) == (False, True)


@pytest.mark.parametrize("denied", ["relapse not observed", "event: no", "death never", "event 0"])
def test_an_event_that_is_denied_is_not_guessed(denied) -> None:
    with pytest.raises(InputError, match="does not say which level is the event"):
        read_events(pd.Series([denied, "yes"], name="status"), None, "here")


def test_coding_one_and_two_is_said() -> None:
    assert "2 was read as the event" in read_events(pd.Series([1, 2, 2], name="status"), None, "here")[3][0]


def outcome(**changes) -> Outcome:
    obs = patients().obs
    params = {"time": "days", "event": "status"} | changes.pop("params", {})
    for column, cells in changes.items():
        obs[column] = cells
    return read_outcome(obs, OutcomeParams(**params))


def test_bad_outcomes_are_named() -> None:
    with pytest.raises(InputError, match=r"not above 0: s0 \(0\), s1 \(-3\)"):
        outcome(days=[0, -3, *range(1, 119)])
    with pytest.raises(InputError, match="all 120 samples are censored"):
        outcome(status="alive")
    with pytest.raises(InputError, match="7 events among 120 samples; 10 are needed"):
        outcome(status=["dead"] * 7 + ["alive"] * 113)
    with pytest.raises(InputError, match=r"which level is the event: \['a', 'b'\]"):
        outcome(status=list("ab") * 60)
    with pytest.raises(InputError, match="has no level 'died'"):
        outcome(params={"event_level": "died"})
    with pytest.raises(InputError, match="not numeric"):
        outcome(days=["long"] * 120)
    with pytest.raises(InputError, match="infinite"):
        outcome(days=[np.inf] * 120)
    with pytest.raises(InputError, match="no column 'dayz'"):
        outcome(params={"time": "dayz"})
    with pytest.raises(InputError, match="each has one outcome"):
        outcome(patient=[f"p{i // 2}" for i in range(120)], params={"subject": "patient"})
    with pytest.raises(InputError, match="a covariate and a stratum"):
        outcome(params={"covariates": ["site"], "strata": ["site"]})
    with pytest.raises(InputError, match=r"0 of [0-9]+ events have anyone else at risk in their stratum"):
        outcome(alone=[f"p{i}" for i in range(120)], params={"strata": ["alone"]})
    with pytest.raises(InputError, match="'age' holds an infinite value"):
        outcome(age=[np.inf, *range(119)], params={"covariates": ["age"]})
    with pytest.raises(InputError, match="also adjusted for"):
        outcome(params={"covariates": ["days"]})
    with pytest.raises(InputError, match="is empty"):
        outcome(status=[None] * 120)


def test_what_is_left_out_is_counted() -> None:
    obs = patients().obs
    obs.loc["s1", "days"] = np.nan
    obs.loc["s2", "status"] = "unknown"
    obs.loc["s3", "age"] = np.nan
    found = read_outcome(obs, OutcomeParams(time="days", event="status", covariates=["age"]))
    assert found.n_dropped == 3
    assert not {1, 2, 3} & set(found.samples)
    assert len(found.warnings) >= 2
    chosen = read_outcome(obs, OutcomeParams(time="days", event="status", event_level="alive"))
    assert chosen.censored_levels == ("dead",)


def test_features_without_enough_events_are_not_tested() -> None:
    data = patients(n_features=3)
    data.X[data.obs["status"] == "dead", 1] = np.nan
    data.X[:, 2] = 7.0
    table = survival_screen(data, time="days", event="status").table()
    assert table["p"].notna().tolist() == [True, False, False]
    assert table.loc[1, "events"] == 0


# ------------------------------------------------------------------------------------------------- known truth


def test_ct45_goes_with_a_long_remission(shared_data: Path) -> None:
    """Coscia et al. 2018: CT45 (Q5HYN5) is high where remission after chemotherapy was long."""
    folder = shared_data / "clinical_ovarian_coscia"
    omics = pd.read_csv(folder / "omics.csv.gz", index_col=0)
    obs = pd.read_csv(folder / "meta_patients.csv").set_index("Patient_id").loc[omics.index]
    obs["relapsed"] = 1
    kept = ~omics.columns.duplicated()
    data = anndata.AnnData(
        omics.to_numpy(float)[:, kept], obs=obs, var=pd.DataFrame(index=omics.columns[kept])
    )
    remission = survival_screen(
        data, time="Disease free days", event="relapsed", test="likelihood_ratio", n_subsamples=20
    )
    table = remission.table().set_index("feature")
    assert table["p"].idxmin() == "Q5HYN5"
    assert table.loc["Q5HYN5", "hazard_ratio"] < 0.5
    assert table.loc["Q5HYN5", "stability"] >= 0.7
    assert remission.values["n_significant"] == 0  # twenty-five patients, and the tool says so
    overall = survival_screen(data, time="Overall survival days", event="Status")
    assert overall.values["event_levels"] == "deceased"
    assert overall.values["n_events"] == 20
    found = overall.table().set_index("feature").loc["Q5HYN5"]
    assert found["hr_high"] < 1
