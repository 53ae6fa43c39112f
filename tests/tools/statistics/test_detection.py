"""Presence against absence: exact tests, the dropout model, blocks, bad input and calibration."""

from __future__ import annotations

from itertools import combinations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nereus.errors import InputError
from nereus.tools.statistics.detection import detection_test, exact_detection, newcombe_interval
from nereus.tools.statistics.result_table import COLUMNS
from tests.tools.statistics.spike_in import spike_in


def dropping(
    n_a: int, n_b: int, n_features: int = 800, n_absent: int = 0, seed: int = 1, **columns
) -> anndata.AnnData:
    """Values that are missed the more often the lower they are; the first features are absent from group b."""
    rng = np.random.default_rng(seed)
    level = rng.normal(23, 2, n_features)
    level[:n_absent] = rng.uniform(23.5, 27, n_absent)
    X = level + rng.normal(0, 0.4, size=(n_a + n_b, n_features))
    X[rng.random(X.shape) < 1 / (1 + np.exp(1.8 * (X - 20)))] = np.nan
    X[n_a:, :n_absent] = np.nan
    obs = pd.DataFrame(
        {"group": ["a"] * n_a + ["b"] * n_b, **columns}, index=[f"s{i}" for i in range(n_a + n_b)]
    )
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(n_features)]))


def test_three_against_three_can_be_significant(contrast):
    data = dropping(3, 3, n_absent=20)
    result = detection_test(data, contrast=contrast)
    table = result.table()
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS
    assert result.values["method"] == "dropout"
    assert result.values["smallest_exact_p"] == pytest.approx(0.1)
    found = set(table.loc[table["q"] <= 0.05, "feature"])
    planted = {f"P{i}" for i in range(20)}
    assert len(found & planted) >= 15
    assert len(found - planted) <= 2
    assert (table.set_index("feature").loc[sorted(found & planted), "effect"] > 0).all()
    # The naive arm, Fisher's test, finds nothing.
    assert detection_test(data, contrast=contrast, method="exact").values["n_significant"] == 0


def test_dropout_p_values_hold_under_the_null(contrast):
    shares = []
    for seed in range(12):
        p = detection_test(dropping(3, 3, seed=seed), contrast=contrast).table()["p"].to_numpy()
        known = np.isfinite(p)
        shares.append([(p[known] <= 0.01).mean(), (p[known] <= 0.05).mean()])
    # Discrete p-values: at most the level, never clearly above.
    assert (np.mean(shares, axis=0) <= [0.012, 0.052]).all()


def test_fisher_is_scipys(contrast):
    data = dropping(9, 8)
    table = detection_test(data, contrast=contrast, min_difference=1e-6).table()
    seen = np.isfinite(data.X)
    for row in range(0, data.n_vars, 11):
        a, b = int(seen[:9, row].sum()), int(seen[9:, row].sum())
        p = table.loc[row, "p"]
        if a + b in (0, 17):
            assert np.isnan(p)
        elif a / 9 != b / 8:
            assert p == pytest.approx(stats.fisher_exact([[a, 9 - a], [b, 8 - b]]).pvalue)
    assert detection_test(data, contrast=contrast).values["method"] == "exact"


def test_strata_are_conditioned_on():
    rng = np.random.default_rng(1)
    strata, in_a = np.repeat([0, 1], 6), np.tile([True, True, True, False, False, False], 2)
    seen = rng.random((30, 12)) < 0.5
    p, _ = exact_detection(seen, in_a, strata)
    splits = [
        [*first, *(6 + np.array(second))]
        for first in combinations(range(6), 3)
        for second in combinations(range(6), 3)
    ]
    for row in range(30):
        counts = np.array([seen[row, list(split)].sum() for split in splits])
        values, times = np.unique(counts, return_counts=True)
        share = dict(zip(values, times / len(splits), strict=True))
        own = share[seen[row, in_a].sum()]
        expected = sum(s for s in share.values() if s <= own * (1 + 1e-9))
        assert np.isnan(p[row]) if len(values) == 1 else p[row] == pytest.approx(expected)


def test_alike_and_settled_strata_are_conditioned_on():
    """Strata of the same shape share their probabilities; one that is all detected or of one group tells nothing."""
    rng = np.random.default_rng(3)
    strata = np.repeat([0, 1, 2, 3, 4], [4, 4, 5, 3, 2])
    in_a = np.array([1, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 0], dtype=bool)
    seen = rng.random((40, 18)) < 0.6
    seen[:10, strata == 1] = True
    p, attainable = exact_detection(seen, in_a, strata)
    for row, found, possible in zip(seen, p, attainable, strict=True):
        outcomes = {0: 1.0}
        for stratum in range(5):
            here = strata == stratum
            n, a, k = int(here.sum()), int((here & in_a).sum()), int(row[here].sum())
            law = {t: stats.hypergeom.pmf(t, n, a, k) for t in range(max(0, k - (n - a)), min(k, a) + 1)}
            outcomes = {
                total: sum(q * law.get(total - t, 0.0) for t, q in outcomes.items())
                for total in {t + u for t in outcomes for u in law}
            }
        mine = outcomes[int(row[in_a].sum())]
        tail = sum(q for q in outcomes.values() if q <= mine * (1 + 1e-7))
        assert found == pytest.approx(tail, rel=1e-9)
        assert found in possible or found == pytest.approx(1.0)


@pytest.mark.parametrize("kind", [int, float])
def test_a_quantity_makes_strata_by_its_quantiles(kind):
    ages = np.tile(np.arange(50, 75), 4).astype(kind)
    data = dropping(50, 50, age=ages, plate=np.tile([1, 2], 50).astype(kind))
    asked = {"factor": "group", "a": "a", "b": "b", "covariates": ["age", "plate"]}
    result = detection_test(data, contrast=asked)
    assert result.values["n_strata"] == 10
    assert not any("takes no account" in warning for warning in result.warnings)


def test_a_quantity_that_explains_absence_is_not_reported(contrast):
    # Features are missed above sixty years only, and group b is the older one.
    ages = np.concatenate([np.linspace(40, 66, 60), np.linspace(54, 80, 60)])
    data = dropping(60, 60, age=ages)
    data.X[:, :30] = 25.0
    data.X[ages > 60, :30] = np.nan
    naive = detection_test(data, contrast=contrast, min_difference=0.3)
    adjusted = detection_test(data, contrast={**contrast, "covariates": ["age"]}, min_difference=0.3)
    assert (naive.table()["q"][:30] < 1e-3).all()
    assert (adjusted.table()["p"][:30] > 1e-3).all()


def test_a_quantity_of_few_units_makes_no_strata():
    data = dropping(7, 7, age=np.arange(50, 64))
    asked = {"factor": "group", "a": "a", "b": "b", "covariates": ["age"]}
    assert any("'age'" in warning for warning in detection_test(data, contrast=asked).warnings)


def test_a_batch_that_explains_absence_is_not_reported(contrast):
    # Features are missed in batch y only, and most of group b was measured there.
    data = dropping(12, 12, batch=list("xxxxxxxxxxyy") + list("xxyyyyyyyyyy"))
    data.X[:, :30] = 25.0
    data.X[(data.obs["batch"] == "y").to_numpy(), :30] = np.nan
    naive = detection_test(data, contrast=contrast, min_difference=0.5)
    adjusted = detection_test(data, contrast={**contrast, "covariates": ["batch"]}, min_difference=0.5)
    assert naive.values["n_significant"] >= 30
    assert adjusted.values["n_strata"] == 2
    assert adjusted.values["n_significant"] == 0


def test_pairs_and_replicates(contrast):
    paired = dropping(12, 12, n_absent=5, subject=[f"m{i}" for i in range(12)] * 2)
    result = detection_test(paired, contrast={**contrast, "block": "subject"})
    assert result.values["paired"]
    row = result.table().set_index("feature").loc["P0"]
    seen = int(np.isfinite(paired.X[:12, 0]).sum())
    assert row["p"] == pytest.approx(stats.binomtest(seen, seen).pvalue)
    replicated = dropping(8, 8, n_absent=5, mouse=np.repeat([f"m{i}" for i in range(8)], 2))
    result = detection_test(replicated, contrast={**contrast, "block": "mouse"})
    assert result.values["n_units_a"] == result.values["n_units_b"] == 4


def test_imputed_values_do_not_count(contrast):
    data = dropping(3, 3, n_absent=20)
    plain = detection_test(data, contrast=contrast).table()
    filled = data.copy()
    filled.layers["imputed"] = np.isnan(data.X).astype(float)
    filled.X = np.where(np.isnan(data.X), 18.0, data.X)
    pd.testing.assert_frame_equal(plain, detection_test(filled, contrast=contrast).table())


def test_min_difference_and_all_or_none(contrast):
    data = dropping(10, 10, n_absent=10)
    data.X[:10, 0] = 25.0
    result = detection_test(data, contrast=contrast, min_difference=0.9)
    table = result.table()
    small = table["effect"].abs() < 0.9 - 1e-9
    assert (table.loc[small & table["p"].notna(), "p"] == 1).all()
    assert table.loc[0, "all_or_none"] == "a"
    assert result.values["n_only_a"] >= 1


def test_complete_data_say_that_nothing_is_missing(make_data, contrast):
    result = detection_test(make_data(), contrast=contrast)
    assert result.values["n_tested"] == 0
    assert any("no value is missing" in warning for warning in result.warnings)


def test_bad_input(contrast):
    data = dropping(3, 3)
    with pytest.raises(InputError, match="no column 'grp'"):
        detection_test(data, contrast={**contrast, "factor": "grp"})
    with pytest.raises(InputError, match="has 1 sample"):
        detection_test(data[:4].copy(), contrast=contrast)


def test_newcombe_interval_is_statsmodels():
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = newcombe_interval(np.array([5, 0, 7]), 7, np.array([1, 6, 7]), 8)
    for i, (a, b) in enumerate(((5, 1), (0, 6), (7, 7))):
        expected = confint_proportions_2indep(a, 7, b, 8, method="newcomb", compare="diff")
        assert (low[i], high[i]) == pytest.approx(expected, abs=1e-9)


def test_spike_in_truth_shows_as_detection(shared_data):
    data = spike_in(shared_data, "Exp2_R100")
    levels = sorted(data.obs["group"].unique())
    table = detection_test(data, contrast={"factor": "group", "a": levels[0], "b": levels[1]}).table()
    found = (table["q"] <= 0.05).to_numpy()
    # All-against-none by itself finds 16 of the spiked proteins and 5 others.
    assert (found & data.var["spiked"].to_numpy()).sum() >= 20
    assert (found & ~data.var["spiked"].to_numpy()).sum() <= 4


def test_permuted_labels_of_real_data_give_nothing(shared_data):
    data = spike_in(shared_data, "Exp1_R25")
    data = data[:, ~data.var["spiked"].to_numpy()].copy()
    hits, small = [], []
    for mixed in ((0, 1, 3), (0, 2, 4), (1, 2, 5), (0, 1, 5)):
        data.obs["mixed"] = ["a" if i in mixed else "b" for i in range(6)]
        result = detection_test(data, contrast={"factor": "mixed", "a": "a", "b": "b"})
        p = result.table()["p"].dropna()
        hits.append(result.values["n_significant"])
        small.append((p <= 0.01).mean())
    assert np.mean(hits) <= 1
    assert np.mean(small) <= 0.012
