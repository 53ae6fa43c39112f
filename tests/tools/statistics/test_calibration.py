from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.tools.statistics import confidence
from nereus.tools.statistics.association import continuous_association
from nereus.tools.statistics.calibration import calibrate_confidence, confidence_word
from nereus.tools.statistics.detection import detection_test
from nereus.tools.statistics.differential import differential_abundance
from nereus.tools.statistics.monotone_logistic import fit_monotone_logistic
from nereus.tools.statistics.permutation import permutation_null
from nereus.tools.statistics.stability import stability
from tests.tools.statistics.comparisons import CONTRAST, dataset

OPTIONS = {"contrast": CONTRAST, "background": "auto", "prior_covariate": "auto", "min_per_group": 1}


def calibrated(data, n_plantings: int = 6, seed: int = 0):
    tests = differential_abundance(data, **OPTIONS).table()
    detection = detection_test(data, contrast=CONTRAST).table()
    stable = stability(data, n_subsamples=10, **OPTIONS).table()
    null = permutation_null(data, n_permutations=20, **OPTIONS).table()
    return calibrate_confidence(
        data, tests, detection, stable, null, n_plantings=n_plantings, seed=seed, **OPTIONS
    )


def test_true_findings_are_strong_and_chance_is_not() -> None:
    result = calibrated(dataset(8, 8, changed=15, missing=0.05))
    table = result.table("confidence").query("kind == 'abundance'").set_index("feature")
    assert (table["confidence"][:15] > 0.85).mean() > 0.8
    assert (table["confidence"][15:] >= 0.7).mean() < 0.02
    assert result.values["calibrated"]
    assert result.values["ece"] < 0.1
    assert result.values["brier_skill"] > 0.3
    assert result.table("reliability")["n"].sum() == result.values["n_candidates"]


def test_associations_are_calibrated_like_comparisons() -> None:
    rng = np.random.default_rng(3)
    age = np.linspace(40, 80, 24)
    values = rng.normal(20, 0.4, (24, 300))
    values[:, :20] += 0.04 * (age - 60)[:, None]
    obs = pd.DataFrame({"age": age}, index=[f"s{i}" for i in range(24)])
    data = anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(300)]))
    tests = continuous_association(data, variable="age").table()
    stable = stability(data, variable="age", n_subsamples=10).table()
    null = permutation_null(data, variable="age", n_permutations=20).table()
    result = calibrate_confidence(data, tests, None, stable, null, variable="age", n_plantings=6)
    table = result.table("confidence").set_index("feature")
    assert table["size"].notna().all()
    assert (table["confidence"][:20] >= 0.7).mean() > 0.8
    assert (table["confidence"][20:] >= 0.7).mean() < 0.02


def test_three_against_three() -> None:
    result = calibrated(dataset(3, 3, n_features=400, changed=20, effect=6.0))
    table = result.table("confidence").set_index("feature")
    assert (table["confidence"][:20] >= 0.7).mean() > 0.8
    assert (table["confidence"][20:] >= 0.7).mean() < 0.01


def test_null_data_get_no_confident_claim() -> None:
    confident = []
    for seed in range(4):
        table = calibrated(dataset(6, 6, n_features=200, seed=100 + seed), n_plantings=3).table("confidence")
        confident.append((table["confidence"] >= 0.7).any())
    assert np.mean(confident) <= 0.2


def test_what_misses_the_level_is_tentative_at_most() -> None:
    table = calibrated(dataset(8, 8, changed=30, effect=0.7)).table("confidence")
    missed = table[table["q"] > 0.05]
    assert len(missed)
    assert missed["confidence"].max() < 0.7


def test_permutations_take_confidence_away() -> None:
    data = dataset(8, 8, changed=15)
    tests = differential_abundance(data, **OPTIONS).table()
    n_found = int((tests["q"] <= 0.05).sum())
    null = pd.DataFrame(
        {"permutation": ["p1", "p2"], "n_significant": n_found, "n_at_threshold": n_found, "least_p": 1e-6}
    )
    result = calibrate_confidence(data, tests, None, None, null, n_plantings=4, **OPTIONS)
    assert result.values["share_above_null"] == 0.0
    assert result.table("confidence")["confidence"].max() == 0.0


def test_same_seed_same_table() -> None:
    data = dataset(4, 4, n_features=200, changed=8)
    one, two = calibrated(data, 3, 7), calibrated(data, 3, 7)
    pd.testing.assert_frame_equal(one.table("confidence"), two.table("confidence"))


def test_too_little_to_learn_from_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset(2, 2, n_features=12, changed=2, effect=9.0)
    tests = differential_abundance(data, **OPTIONS).table()
    monkeypatch.setattr(confidence, "_MIN_EVENTS", 10_000)
    result = calibrate_confidence(data, tests, None, None, None, n_plantings=3, **OPTIONS)
    assert not result.values["calibrated"]
    assert result.table("confidence")["confidence"].max() < 0.7
    assert any("too few planted" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("value", "word"), [(0.95, "strong"), (0.9, "strong"), (0.8, "likely"), (0.5, "tentative"), (0.1, "weak")]
)
def test_words(value: float, word: str) -> None:
    assert confidence_word(value) == word


def test_monotone_logistic_never_falls() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 2))
    y = rng.random(2000) < 1 / (1 + np.exp(-(2.0 * x[:, 0] - 1.0 * x[:, 1])))
    model = fit_monotone_logistic(x, y)
    assert model.slopes[0] == pytest.approx(2.0, abs=0.5)
    assert model.slopes[1] == 0.0  # the second input lowers the probability: it is left out, not obeyed
    assert model.probability(x).mean() == pytest.approx(y.mean(), abs=0.02)


def test_confidence_hardly_depends_on_the_seed() -> None:
    """Few and correlated effects: what used to decide between nothing and likely was the draw of the labellings."""
    rng = np.random.default_rng(8)
    n, m = 60, 300
    values = rng.normal(20, 0.5, (n, m)) + rng.normal(0, 0.4, (n, 6)) @ rng.normal(0, 0.5, (6, m))
    level = rng.normal(size=n)
    values[:, :8] += 0.35 * level[:, None]
    obs = pd.DataFrame({"level": level}, index=[f"s{i}" for i in range(n)])
    data = anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(m)]))
    tests = continuous_association(data, variable="level").table()
    found = (tests["q"] <= 0.05).to_numpy()
    assert found.sum() >= 3
    drawn = []
    for seed in range(5):
        stable = stability(data, variable="level", n_subsamples=20, seed=seed).table()
        null = permutation_null(data, variable="level", n_permutations=50, seed=seed).table()
        made = calibrate_confidence(data, tests, None, stable, null, variable="level", seed=seed)
        drawn.append(made.table("confidence")["confidence"].to_numpy()[found])
    spread, mean = np.std(drawn, axis=0), np.mean(drawn, axis=0)
    assert spread[mean >= 0.7].max() <= 0.05
    assert not ((np.min(drawn, axis=0) < 0.4) & (np.max(drawn, axis=0) >= 0.7)).any()


def test_two_values_in_a_group_are_tentative_at_most() -> None:
    data = dataset(8, 8, changed=12, effect=6.0)
    values = np.asarray(data.X)
    values[2:8, :3] = np.nan  # two of eight left in a
    values[3:8, 3:6] = np.nan  # three of eight
    values[4:8, 6:9] = np.nan  # four of eight
    data.X = values
    table = calibrated(data).table("confidence").query("kind == 'abundance'").set_index("feature")
    kept = table["confidence"].reindex(data.var_names[:12]).to_numpy()
    assert np.nanmax(kept[:6]) < 0.7
    assert (kept[9:] >= 0.7).all()
    assert (kept[6:9] >= 0.7).any()
