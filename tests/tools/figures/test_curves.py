"""Survival curves and dose-response curves: what the drawings rest on."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import anndata
import lifelines
import numpy as np
import pandas as pd
import pytest
from lifelines.statistics import logrank_test

from nereus.errors import InputError
from nereus.tools.figures.dose_response import plot_dose_response
from nereus.tools.figures.survival import plot_survival
from nereus.tools.statistics.dose_response import dose_response
from nereus.tools.statistics.survival.screen import survival_screen


@pytest.fixture
def patients() -> anndata.AnnData:
    rng = np.random.default_rng(1)
    X = rng.normal(20, 1, (90, 3))
    time = rng.exponential(200 * np.exp(-0.6 * (X[:, 0] - 20)))
    end = rng.uniform(50, 500, 90)
    X[:4, 0] = np.nan
    obs = pd.DataFrame(
        {
            "days": np.ceil(np.minimum(time, end)),
            "state": np.where(time <= end, "dead", "alive"),
            "site": rng.choice(list("xy"), 90),
        },
        index=[f"s{i}" for i in range(90)],
    )
    var = pd.DataFrame({"gene": ["ALB", "", "TTR"]}, index=["P1", "P2", "P3"])
    return anndata.AnnData(X, obs=obs, var=var)


def test_curves_are_kaplan_meier_and_the_p_is_log_rank(patients) -> None:
    result = plot_survival(patients, feature="P1", time="days", event="state")
    sheet = patients.obs.assign(x=patients.X[:, 0], dead=patients.obs["state"] == "dead").dropna()
    high = sheet["x"] > sheet["x"].median()
    expected = logrank_test(
        sheet["days"][high], sheet["days"][~high], sheet["dead"][high], sheet["dead"][~high]
    )
    assert result.values["logrank_p"] == pytest.approx(expected.p_value)
    data = result.figures["survival"].data
    for half, chosen in (("high", high), ("low", ~high)):
        fitter = lifelines.KaplanMeierFitter().fit(sheet["days"][chosen], sheet["dead"][chosen])
        part = data[data["half"] == half]
        np.testing.assert_allclose(part["time"], fitter.survival_function_.index)
        np.testing.assert_allclose(part["survival"], fitter.survival_function_.iloc[:, 0])
        np.testing.assert_array_equal(part["at_risk"], fitter.event_table["at_risk"])
        assert result.values[f"median_{half}"] == pytest.approx(fitter.median_survival_time_)
        assert result.values[f"events_{half}"] == sheet["dead"][chosen].sum()
    assert result.values["n_without_value"] == 4


def test_hazard_ratio_is_that_of_the_screen(patients) -> None:
    options = {"time": "days", "event": "state", "strata": ["site"]}
    drawn = plot_survival(patients, feature="P1", **options).values
    found = survival_screen(patients, **options).table().loc[0]
    assert drawn["hazard_ratio"] == pytest.approx(found["hazard_ratio"])
    assert drawn["hr_high"] == pytest.approx(found["hr_high"])
    assert drawn["cox_p"] == pytest.approx(found["p"])


def test_survival_drawing_names_what_it_shows(patients) -> None:
    figure = plot_survival(patients, feature="P1", time="days", event="state").figures["survival"]
    texts = [t.text for t in ElementTree.fromstring(figure.svg).iter() if t.tag.endswith("}text")]
    for wanted in ("ALB", "at risk", "high", "low", "days"):
        assert wanted in texts
    assert any("log-rank p" in (text or "") for text in texts)


def test_bad_survival_plots_are_named(patients) -> None:
    with pytest.raises(InputError, match="no feature 'P9'"):
        plot_survival(patients, feature="P9", time="days", event="state")
    patients.X[:, 1] = 5.0
    with pytest.raises(InputError, match="median does not split"):
        plot_survival(patients, feature="P2", time="days", event="state")
    patients.X[:, 2] = np.nan
    with pytest.raises(InputError, match="0 samples have a value"):
        plot_survival(patients, feature="P3", time="days", event="state")
    patients.obs["days"] -= 1000
    with pytest.raises(InputError, match="not above 0"):
        plot_survival(patients, feature="P1", time="days", event="state")


def test_a_median_that_is_not_reached_is_none(patients) -> None:
    patients.obs["state"] = ["dead" if i % 6 == 0 else "alive" for i in range(90)]
    patients.obs.loc[patients.obs["state"] == "dead", "days"] = np.arange(1, 16)
    values = plot_survival(patients, feature="P1", time="days", event="state").values
    assert values["median_high"] is None
    assert values["median_low"] is None


def test_dose_plot_draws_the_curve_of_the_table() -> None:
    rng = np.random.default_rng(2)
    dose = np.repeat(np.r_[0, 10.0 ** np.arange(1, 7)], 3)
    X = rng.normal(20, 0.2, (21, 3))
    X[:, 0] -= 2 * dose / (dose + 2000)
    X[2, 0] = np.nan
    obs = pd.DataFrame({"nM": dose}, index=[f"s{i}" for i in range(21)])
    data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=["P1", "P2", "P3"]))
    result = plot_dose_response(data, feature="P1", dose="nM")
    row = dose_response(data, dose="nM").table().loc[0]
    for name in ("ec50", "ec50_low", "ec50_high", "hill", "r2", "start", "span"):
        assert result.values[name] == pytest.approx(row[name], rel=1e-6)
    drawn = result.figures["dose_response"].data
    assert drawn["value"].isna().sum() == 1
    assert drawn.loc[dose == 0, "fitted"].to_numpy() == pytest.approx(row["start"])
    texts = [
        t.text
        for t in ElementTree.fromstring(result.figures["dose_response"].svg).iter()
        if t.tag.endswith("}text")
    ]
    assert {"P1", "nM", "0"} <= set(texts)
    data.X[6:, 1] = np.nan
    with pytest.raises(InputError, match="'P2' has values at 2 doses"):
        plot_dose_response(data, feature="P2", dose="nM")
    with pytest.raises(InputError, match="no feature 'P7'"):
        plot_dose_response(data, feature="P7", dose="nM")
