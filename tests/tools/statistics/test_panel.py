"""A panel must not see what it is tested on: nulls, leaks, and real outcomes."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from nereus.errors import InputError
from nereus.tools.figures.roc import plot_roc
from nereus.tools.statistics.concordance import class_concordance, gain, rank_concordance
from nereus.tools.statistics.panel import biomarker_panel

CONTRAST = {"factor": "group", "a": "case", "b": "control"}
QUICK = {"n_folds": 4, "n_repeats": 1, "max_features": 3, "n_permutations": 0}


def data(
    n: int = 40,
    p: int = 25,
    informative: int = 0,
    effect: float = 2.0,
    rows: int = 1,
    seed: int = 0,
    missing: float = 0.1,
) -> anndata.AnnData:
    """Subjects of two groups in turn, with `rows` near-identical rows each."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    x = rng.normal(24, 1, (n, p))
    x[:, :informative] += effect * label[:, None]
    x = np.repeat(x, rows, axis=0) + rng.normal(0, 0.1, (n * rows, p))
    x[rng.random(x.shape) < missing] = np.nan
    obs = pd.DataFrame(
        {
            "group": np.repeat(np.where(label == 1, "case", "control"), rows),
            "subject": np.repeat([f"u{i}" for i in range(n)], rows),
            "site": np.repeat(np.array(["north", "south"])[rng.integers(0, 2, n)], rows),
            "age": np.repeat(rng.normal(60, 8, n), rows),
        },
        index=[f"s{i}" for i in range(n * rows)],
    )
    return anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(p)]))


# ------------------------------------------------------------------------------------------------ the measure


def test_concordance_of_one_fold_is_the_auroc_with_delongs_error() -> None:
    rng = np.random.default_rng(3)
    codes = np.array([0] * 30 + [1] * 20)
    score = rng.normal(size=50) + codes
    found = class_concordance(score[None, :, None], np.zeros((1, 50), int), codes, np.arange(50))
    assert found.estimate == pytest.approx(roc_auc_score(codes, score))
    # DeLong's variance from placement values
    better = (score[codes == 1][:, None] > score[codes == 0][None, :]).astype(float)
    v10, v01 = better.mean(axis=1), better.mean(axis=0)
    delong = np.sqrt(v10.var(ddof=1) / 20 + v01.var(ddof=1) / 30)
    assert found.se == pytest.approx(delong, rel=0.03)
    low, high = found.interval()
    assert 0 < low < found.estimate < high < 1


def test_repeated_rows_add_no_certainty() -> None:
    rng = np.random.default_rng(5)
    codes = np.array([0, 1] * 20)
    score = rng.normal(size=40) + codes
    once = class_concordance(score[None, :, None], np.zeros((1, 40), int), codes, np.arange(40))
    unit = np.repeat(np.arange(40), 6)
    often = class_concordance(np.repeat(score, 6)[None, :, None], np.zeros((1, 240), int), codes[unit], unit)
    assert often.estimate == pytest.approx(once.estimate)
    assert often.se == pytest.approx(once.se)
    naive = class_concordance(
        np.repeat(score, 6)[None, :, None], np.zeros((1, 240), int), codes[unit], np.arange(240)
    )
    assert naive.se < 0.6 * often.se


def test_tied_scores_have_an_interval_about_one_half() -> None:
    codes = np.arange(40) % 2
    tied = class_concordance(np.zeros((1, 40, 1)), np.zeros((1, 40), dtype=int), codes, np.arange(40))
    assert tied.estimate == 0.5
    low, high = tied.interval()
    assert 0.25 < low < 0.5 < high < 0.75
    assert low + high == pytest.approx(1.0)


def test_several_classes_follow_hand_and_till() -> None:
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(3), 15)
    probability = rng.dirichlet(np.ones(3), 45)
    probability[np.arange(45), codes] += 0.4
    probability /= probability.sum(axis=1, keepdims=True)
    found = class_concordance(probability[None], np.zeros((1, 45), int), codes, np.arange(45))
    assert found.estimate == pytest.approx(
        roc_auc_score(codes, probability, multi_class="ovo", average="macro")
    )


def test_perfect_order_has_an_interval_and_gain_is_paired() -> None:
    codes, unit, fold = np.array([0, 1] * 12), np.arange(24), np.zeros((1, 24), int)
    perfect = class_concordance(codes[None, :, None].astype(float), fold, codes, unit)
    low, high = perfect.interval()
    assert perfect.estimate == 1.0
    assert 0.7 < low < 1.0
    assert high == 1.0
    assert gain(perfect, perfect)[0] == 0.0
    rising = rank_concordance(np.arange(24.0)[None, :, None], fold, np.arange(24.0), unit)
    assert rising.estimate == 1.0


# ----------------------------------------------------------------------------------------------------- nulls


def test_random_labels_give_one_half_and_uniform_p() -> None:
    estimates, p = [], []
    for seed in range(24):
        result = biomarker_panel(
            data(n=28, p=40, seed=seed), contrast=CONTRAST, seed=seed, **{**QUICK, "n_permutations": 9}
        )
        estimates.append(result.values["performance"])
        p.append(result.values["p_permutation"])
    assert abs(np.mean(estimates) - 0.5) < 0.06  # standard error about 0.02
    assert 0.4 < np.mean(p) < 0.7  # uniform over 0.1 ... 1: mean 0.55, standard error 0.06
    assert np.mean(np.array(p) <= 0.1) < 0.3
    assert np.mean(np.array(p) >= 0.5) > 0.35


def test_choosing_features_outside_the_folds_would_show_and_does_not_here() -> None:
    """1,000 features of noise: the naive arm, which screens on all samples first, looks excellent."""
    ours, naive = [], []
    for seed in range(6):
        given = data(n=30, p=1000, seed=100 + seed, missing=0.0)
        label = (given.obs["group"] == "case").to_numpy(float)
        options = {"contrast": CONTRAST, "seed": 1, **QUICK, "max_features": 10}
        ours.append(biomarker_panel(given, **options).values["performance"])
        strength = np.abs(np.corrcoef(np.asarray(given.X).T, label)[-1, :-1])
        leaked = given[:, np.argsort(-strength)[:10]].copy()
        naive.append(biomarker_panel(leaked, **options).values["performance"])
    assert abs(np.mean(ours) - 0.5) < 0.13
    assert np.mean(naive) > 0.72


def test_rows_of_a_subject_leak_only_when_the_subject_is_not_named() -> None:
    told, untold = [], []
    for seed in range(4):
        given = data(n=16, p=30, rows=6, seed=seed, missing=0.0)
        told.append(
            biomarker_panel(
                given, contrast=CONTRAST, subject="subject", seed=1, **{**QUICK, "max_features": 10}
            ).values["performance"]
        )
        untold.append(
            biomarker_panel(given, contrast=CONTRAST, seed=1, **{**QUICK, "max_features": 10}).values[
                "performance"
            ]
        )
    assert np.mean(told) < 0.65
    assert np.mean(untold) > 0.9


def test_labels_are_exchanged_by_subject() -> None:
    given = data(n=16, p=20, rows=5, seed=3, missing=0.0)
    result = biomarker_panel(
        given, contrast=CONTRAST, subject="subject", seed=2, **{**QUICK, "n_permutations": 15}
    )
    assert result.values["n_units"] == 16
    assert result.values["p_permutation"] > 0.05
    folds = result.table("predictions").groupby("subject")["n_predicted"].nunique()
    assert (folds == 1).all()


def test_one_subject_with_both_outcomes_does_not_stop_the_exchange() -> None:
    """A patient who converts leaves all others exchangeable: a perfect panel has a small p."""
    given = data(n=30, p=15, informative=3, effect=4.0, seed=5, missing=0.0)
    given.obs.loc["s1", "subject"] = "u0"  # of the other group
    settings = {**QUICK, "n_permutations": 19}
    result = biomarker_panel(given, contrast=CONTRAST, subject="subject", seed=1, **settings)
    assert result.values["performance"] > 0.95
    assert result.values["p_permutation"] == pytest.approx(0.05)


def test_a_numeric_covariate_is_in_every_exchange() -> None:
    """Age drives the label and all features: beside age the features are noise, and p says so."""
    p, performance = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        age = rng.normal(60, 10, 40)
        sick = age + rng.normal(0, 7, 40) > 60
        x = rng.normal(24, 1, (40, 15)) + 0.1 * (age[:, None] - 60) * rng.normal(0, 1, 15)
        obs = pd.DataFrame(
            {"group": np.where(sick, "case", "control"), "age": age}, index=[f"s{i}" for i in range(40)]
        )
        given = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(15)]))
        settings = {**QUICK, "n_permutations": 19}
        result = biomarker_panel(given, contrast=CONTRAST, covariates=("age",), seed=seed, **settings)
        performance.append(result.values["performance"])
        p.append(result.values["p_permutation"])
    assert np.mean(performance) > 0.75
    assert np.mean(p) > 0.25
    assert np.mean(np.array(p) <= 0.05) < 0.5


def test_the_order_of_rows_does_not_matter() -> None:
    given = data(n=24, p=12, informative=1)
    order = np.random.default_rng(1).permutation(given.n_obs)
    settings = {**QUICK, "n_permutations": 3}
    one = biomarker_panel(given, contrast=CONTRAST, **settings)
    other = biomarker_panel(given[order].copy(), contrast=CONTRAST, **settings)
    assert one.values == pytest.approx(other.values)
    told = one.table("predictions").set_index("sample")
    assert list(told.index) == list(given.obs_names)
    again = other.table("predictions").set_index("sample").loc[told.index]
    pd.testing.assert_frame_equal(told, again)


def test_a_covariate_that_tells_everything_leaves_nothing_to_the_panel() -> None:
    """Site decides the group and shifts a feature: the features alone look good, and add nothing to the site."""
    rng = np.random.default_rng(8)
    given = data(n=60, p=20, seed=8, missing=0.0)
    at = rng.random(60) < np.where(given.obs["group"] == "case", 0.9, 0.1)
    given.obs["site"] = np.where(at, "north", "south")
    given.X[:, 0] += 3.0 * at
    result = biomarker_panel(
        given, contrast={**CONTRAST, "covariates": ("site",)}, seed=1, **{**QUICK, "n_permutations": 15}
    )
    arms = result.table("performance").set_index("arm")
    assert arms.loc["panel", "estimate"] > 0.8
    assert arms.loc["covariates", "estimate"] > 0.8
    assert result.values["gain_low"] < 0.02
    assert result.values["p_permutation"] > 0.05
    held = biomarker_panel(given, contrast=CONTRAST, hold_out="site", seed=1, **QUICK)
    assert held.values["performance"] < 0.7


# ------------------------------------------------------------------------------------------------ what is found


@pytest.mark.parametrize("model", ["elastic_net", "random_forest"])
def test_informative_features_are_chosen(model: str) -> None:
    given = data(n=50, informative=2, effect=2.5, seed=2)
    before = np.array(given.X)
    result = biomarker_panel(given, contrast=CONTRAST, model=model, seed=1, **{**QUICK, "n_permutations": 4})
    assert result.values["performance"] > 0.9
    assert result.values["p_permutation"] == pytest.approx(0.2)
    assert {"P0", "P1"} <= set(result.table("panel")["feature"].head(3))
    assert result.table("panel")["in_panel"].sum() <= 3
    np.testing.assert_array_equal(given.X, before)


def test_number_and_several_classes() -> None:
    given = data(n=60, informative=1, effect=0.0, seed=6)
    given.obs["dose"] = np.nan_to_num(np.asarray(given.X)[:, 0], nan=24.0) + np.random.default_rng(1).normal(
        0, 0.3, 60
    )
    number = biomarker_panel(given, variable="dose", seed=1, **QUICK)
    assert number.values["measure"] == "concordance"
    assert number.values["performance"] > 0.75
    assert number.table("panel")["feature"][0] == "P0"
    assert number.table("roc").empty
    given.obs["kind"] = np.repeat(["x", "y", "z"], 20)
    given.X[:20, 3] += 4
    given.X[20:40, 4] += 4
    several = biomarker_panel(given, factor="kind", seed=1, **QUICK)
    assert several.values["measure"] == "mean pairwise AUROC"
    assert several.values["performance"] > 0.9
    assert {"P3", "P4"} <= set(several.table("panel").query("in_panel")["feature"])
    drawn = plot_roc(several.table("roc"), several.table("performance"), several.table("calibration"))
    assert drawn.values["n_curves"] == 3


def test_curve_has_the_stated_area() -> None:
    result = biomarker_panel(data(n=80, informative=1, effect=1.2), contrast=CONTRAST, seed=1, **QUICK)
    curve = result.table("roc")
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(result.values["performance"], abs=0.03)
    with pytest.raises(InputError, match="no arms"):
        plot_roc(curve, result.table("performance"), arms=("other",))
    with pytest.raises(InputError, match="no ROC curve"):
        plot_roc(curve.iloc[:0], result.table("performance"))


def test_bad_input_is_named() -> None:
    given = data(n=20)
    with pytest.raises(InputError, match="name one outcome"):
        biomarker_panel(given)
    with pytest.raises(InputError, match="no level 'sick'"):
        biomarker_panel(given, contrast={"factor": "group", "a": "sick", "b": "control"})
    with pytest.raises(InputError, match="5 independent subjects"):
        biomarker_panel(given[5:15].copy(), contrast=CONTRAST)
    with pytest.raises(InputError, match="no column 'sites'"):
        biomarker_panel(given, contrast=CONTRAST, hold_out="sites")
    with pytest.raises(InputError, match="not numeric"):
        biomarker_panel(given, variable="group")
    given.obs["two"] = np.arange(20) % 2
    with pytest.raises(InputError, match="2 distinct values"):
        biomarker_panel(given, variable="two")
    with pytest.raises(InputError, match="outcome and also"):
        biomarker_panel(given, contrast=CONTRAST, hold_out="group")
    torn = data(n=20, rows=2)
    torn.obs["site"] = ["north", "south"] * 20
    with pytest.raises(InputError, match="several levels of 'site'"):
        biomarker_panel(torn, contrast=CONTRAST, subject="subject", hold_out="site")
    given.obs["endless"] = np.where(np.arange(20) == 3, np.inf, np.arange(20))
    with pytest.raises(InputError, match="'endless' holds an infinite value"):
        biomarker_panel(given, contrast=CONTRAST, covariates=("endless",))
    given.obs["empty"] = np.nan
    with pytest.raises(InputError, match="'empty' has no value"):
        biomarker_panel(given, contrast=CONTRAST, covariates=("empty",))
    given.X = np.full(given.shape, 20.0)
    same = biomarker_panel(given, contrast=CONTRAST, **{**QUICK, "n_permutations": 3})
    assert same.values["panel_size"] == 0
    assert same.summary.endswith("no feature was chosen.")
    twice = data(n=20)
    twice.obs_names = ["s0", *twice.obs_names[:-1]]
    with pytest.raises(InputError, match="1 sample names are duplicated, such as 's0'"):
        biomarker_panel(twice, contrast=CONTRAST)


# ------------------------------------------------------------------------------------------------- real data


def test_mouse_rows_leak_and_mice_do_not(shared_data: Path) -> None:
    """Genotype shuffled between mice: rows of one mouse in training and test give it away, whole mice do not."""
    path = shared_data / "clinical_mouse_cortex_down_syndrome" / "Data_Cortex_Nuclear.csv.gz"
    raw = pd.read_csv(path, sep=";")
    mouse = raw["MouseID"].str.rsplit("_", n=1).str[0]
    some = raw.groupby(mouse).cumcount() < 5
    raw, mouse = raw[some], mouse[some]
    kinds = raw.groupby(mouse)["Genotype"].first()
    x = raw.iloc[:, 1:78].to_numpy(float)
    sides = dict(zip(("a", "b"), sorted(set(kinds)), strict=True))
    options = {"contrast": {"factor": "kind", **sides}, "n_repeats": 1, "n_permutations": 0, "seed": 1}
    leaking, honest = [], []
    for seed in range(4):
        shuffled = pd.Series(np.random.default_rng(seed).permutation(kinds.to_numpy()), index=kinds.index)
        obs = pd.DataFrame({"mouse": mouse.to_numpy(), "kind": mouse.map(shuffled).to_numpy()})
        obs.index = raw["MouseID"].to_numpy()
        given = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=raw.columns[1:78]))
        leaking.append(biomarker_panel(given, max_features=20, **options).values["performance"])
        honest.append(
            biomarker_panel(given, max_features=20, subject="mouse", **options).values["performance"]
        )
    assert np.mean(leaking) > 0.75
    assert np.mean(honest) < 0.6  # standard error about 0.04
    assert min(leaking) > max(honest)
