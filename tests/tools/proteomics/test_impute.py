from __future__ import annotations

import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import special

from nereus.errors import InputError
from nereus.tools.proteomics.impute import impute
from nereus.tools.proteomics.left_censored import censored_normal
from nereus.tools.statistics.detection import detection_test


def matrix() -> np.ndarray:
    rng = np.random.default_rng(1)
    X = rng.normal(24, 2, 200) + rng.normal(0, 0.2, (8, 200))
    X[rng.random(X.shape) < 0.15] = np.nan
    return X


@pytest.mark.parametrize("method", ["down_shift", "min_prob", "qrilc", "knn", "mean", "mixed"])
def test_all_missing_values_are_filled_and_marked(method: str) -> None:
    X = matrix()
    data = anndata.AnnData(X.copy())
    result = impute(data, method=method, seed=3)
    made = np.asarray(result.dataset().X)
    np.testing.assert_array_equal(np.asarray(result.dataset().layers["imputed"]) == 1, np.isnan(X))
    assert not np.isnan(made).any()
    np.testing.assert_array_equal(made[~np.isnan(X)], X[~np.isnan(X)])
    np.testing.assert_array_equal(made, impute(data, method=method, seed=3).dataset().X)
    np.testing.assert_array_equal(data.X, X)


def test_none_is_the_default_and_fills_nothing() -> None:
    result = impute(anndata.AnnData(matrix()))
    assert result.values["n_imputed"] == 0
    assert np.isnan(result.dataset().X).any()


def test_down_shift_lies_low_and_depends_on_the_seed() -> None:
    X = matrix()
    low = np.asarray(impute(anndata.AnnData(X), method="down_shift", seed=1).dataset().X)[np.isnan(X)]
    assert abs(low.mean() - (np.nanmean(X) - 1.8 * np.nanstd(X))) < 0.2
    assert (
        low != np.asarray(impute(anndata.AnnData(X), method="down_shift", seed=2).dataset().X)[np.isnan(X)]
    ).all()


def test_knn_is_nearer_the_truth_than_the_mean_of_low_draws() -> None:
    rng = np.random.default_rng(2)
    factor = rng.normal(0, 1, 8)
    truth = 24 + np.outer(factor, np.repeat([2.0, -2.0], 60)) + rng.normal(0, 0.1, (8, 120))
    X = truth.copy()
    hidden = rng.random(X.shape) < 0.1
    X[hidden] = np.nan
    error = {
        m: np.abs(np.asarray(impute(anndata.AnnData(X), method=m, seed=1).dataset().X) - truth)[hidden].mean()
        for m in ("knn", "mean", "down_shift")
    }
    assert error["knn"] < 0.3 < error["mean"] < error["down_shift"]


def test_nothing_to_start_from() -> None:
    X = matrix()
    X[:, 5] = np.nan
    with pytest.raises(InputError, match="1 features have no value"):
        impute(anndata.AnnData(X), method="mean")
    X[2] = np.nan
    with pytest.raises(InputError, match="fewer than 2 values"):
        impute(anndata.AnnData(X), method="qrilc")
    with pytest.raises(InputError, match="does not go with"):
        impute(anndata.AnnData(matrix()), method="knn", factor="group")
    with pytest.raises(InputError, match="cannot tell why"):
        impute(anndata.AnnData(matrix()[:, :20]), method="mixed")
    with pytest.raises(InputError, match="no sample column"):
        impute(anndata.AnnData(matrix()), method="mixed", factor="group")


def censored(
    n: int = 10, p: int = 900, at: float = 22.5, width: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Values of which the weak ones are missing, and the truth."""
    rng = np.random.default_rng(12)
    truth = rng.normal(24.5, 2, p) + rng.normal(0, 0.4, (n, p))
    X = truth.copy()
    X[rng.random(X.shape) < special.ndtr((at - truth) / width)] = np.nan
    kept = np.isfinite(X).any(axis=0)
    return X[:, kept], truth[:, kept]


def test_low_end_draws_lie_where_the_missing_values_were() -> None:
    X, truth = censored()
    gone = np.isnan(X)
    for method in ("min_prob", "qrilc"):
        made = np.asarray(impute(anndata.AnnData(X), method=method, seed=4).dataset().X)
        assert np.quantile(made[gone], 0.9) < np.quantile(X[~gone], 0.25), method
        assert abs(made[gone].mean() - truth[gone].mean()) < 1.2, method


def test_qrilc_finds_the_distribution_of_a_censored_sample() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(24, 2, (3, 4000))
    X = np.where(truth < 22.5, np.nan, truth)
    made = censored_normal(X, np.random.default_rng(1))
    gone = np.isnan(X)
    assert abs(made[gone].mean() - truth[gone].mean()) < 0.15
    assert abs(made[gone].std() - truth[gone].std()) < 0.15
    assert made[gone].max() < 22.7


def test_the_reason_is_read_from_the_data() -> None:
    X, _ = censored()
    result = impute(anndata.AnnData(X), method="mixed", seed=1)
    weak = result.table("features")
    assert (weak["reason"] == "weak").mean() > 0.95
    assert abs(float(result.values["detection_limit"]) - 22.5) < 0.3
    rng = np.random.default_rng(3)
    _, truth = censored()
    by_chance = truth.copy()
    by_chance[rng.random(truth.shape) < 0.15] = np.nan
    result = impute(anndata.AnnData(by_chance), method="mixed", seed=1)
    assert (result.table("features")["reason"] == "random").mean() > 0.98
    assert abs(float(result.values["random_rate"]) - 0.15) < 0.02


def test_a_feature_that_a_group_lacks_is_absent_there_and_not_filled_high() -> None:
    X, truth = censored()
    strong = np.flatnonzero(truth.mean(axis=0) > 26)[:10]
    X[np.ix_(np.arange(5), strong)] = np.nan
    data = anndata.AnnData(
        X, obs=pd.DataFrame({"group": list("aaaaabbbbb")}, index=[f"s{i}" for i in range(10)])
    )
    for factor in ("group", None):
        result = impute(data, method="mixed", factor=factor, seed=1)
        table = result.table("features").set_index("feature").loc[[str(i) for i in strong]]
        assert (table["reason"] == "absent").all()
        made = np.asarray(result.dataset().X)
        assert made[:5, strong].mean() < 23 < 26 < made[5:, strong].mean()
    assert any(
        "do not test these levels" in text for text in impute(data, method="mixed", factor="group").warnings
    )


@pytest.mark.parametrize("pattern", ["weak", "random", "both"])
def test_mixed_is_nearest_to_masked_values_whatever_the_reason(shared_data: Path, pattern: str) -> None:
    """Values of a real pulldown that were measured, masked by three mechanisms, and filled in again."""
    from nereus.tools.base import SourceFile
    from nereus.tools.proteomics.load import load_dataset

    folder = shared_data / "cell_ubiquitin_interactors_ubilength"
    files = [SourceFile(folder / name, name) for name in ("UbiLength.csv.gz", "UbiLength_ExpDesign.csv")]
    X = np.asarray(load_dataset(*files).dataset().X)
    truth = X[:, np.isfinite(X).all(axis=0)]
    rng = np.random.default_rng(1)
    limit = np.quantile(truth, 0.25)
    masked = {
        "weak": rng.random(truth.shape) < special.ndtr((limit - truth) / 0.5),
        "random": rng.random(truth.shape) < 0.15,
        "both": (rng.random(truth.shape) < special.ndtr((limit - 0.8 - truth) / 0.5))
        | (rng.random(truth.shape) < 0.1),
    }[pattern]
    masked, truth = masked[:, (~masked).any(axis=0)], truth[:, (~masked).any(axis=0)]
    data = anndata.AnnData(np.where(masked, np.nan, truth))
    error = {}
    for method in ("down_shift", "min_prob", "qrilc", "knn", "mixed"):
        made = np.asarray(impute(data, method=method, seed=1).dataset().X)
        error[method] = float(np.sqrt(np.mean((made - truth)[masked] ** 2)))
    assert error["mixed"] <= min(error.values()) + 0.01, error


def test_detection_is_counted_without_filled_values() -> None:
    """A second filling keeps the marks of the first, and the detection test sees through both."""
    X, _ = censored()
    X[:5, :3] = np.nan
    data = anndata.AnnData(
        X, obs=pd.DataFrame({"group": list("aaaaabbbbb")}, index=[f"s{i}" for i in range(10)])
    )
    contrast = {"factor": "group", "a": "a", "b": "b"}
    half = impute(data, method="down_shift", seed=1).dataset()
    twice = impute(half, method="knn").dataset()
    np.testing.assert_array_equal(np.asarray(twice.layers["imputed"]) > 0, np.isnan(X))
    plain = detection_test(data, contrast=contrast).table()
    pd.testing.assert_frame_equal(
        detection_test(twice, contrast=contrast).table()[["p", "n_a"]], plain[["p", "n_a"]]
    )


def test_ubiquitin_binders_are_found_on_filled_values(shared_data: Path) -> None:
    """USP15 and IKBKG are pulled down by ubiquitin chains and not by the control (Zhang et al. 2017)."""
    from nereus.tools.base import SourceFile
    from nereus.tools.proteomics.load import load_dataset
    from nereus.tools.statistics.differential import differential_abundance

    folder = shared_data / "cell_ubiquitin_interactors_ubilength"
    files = [SourceFile(folder / name, name) for name in ("UbiLength.csv.gz", "UbiLength_ExpDesign.csv")]
    data = load_dataset(*files).dataset()
    seen = np.isfinite(np.asarray(data.X))
    levels = data.obs["condition"].to_numpy()
    kept = np.any([seen[levels == level].sum(axis=0) >= 2 for level in set(levels)], axis=0)
    for method in ("down_shift", "mixed"):
        filled = impute(data[:, kept].copy(), method=method, seed=1).dataset()
        table = differential_abundance(
            filled, contrast={"factor": "condition", "a": "Ubi6", "b": "Ctrl"}
        ).table()
        found = table.set_index("gene")
        up = (table["q"] < 0.05) & (table["effect"] > 0)
        assert up.mean() < 0.1, method
        for gene in ("USP15", "IKBKG"):
            assert bool(up[table["gene"] == gene].any()), (method, gene)
        assert float(found.loc["IKBKG", "effect"]) > 4, method
        proteasome = table["gene"].str.startswith("PSM")
        assert (up & proteasome).sum() >= 12, method
        assert up[proteasome].mean() > 3 * up.mean(), method


@pytest.mark.parametrize("method", ["down_shift", "min_prob", "qrilc", "knn", "mixed"])
def test_values_belong_to_names_not_to_places(method: str) -> None:
    X = matrix()
    samples, features = [f"s{i}" for i in range(len(X))], [f"P{i}" for i in range(X.shape[1])]
    data = anndata.AnnData(X, obs=pd.DataFrame(index=samples), var=pd.DataFrame(index=features))
    rng = np.random.default_rng(0)
    other = data[rng.permutation(len(X))][:, rng.permutation(X.shape[1])].copy()
    first, second = (impute(one, method=method, seed=3) for one in (data, other))
    made = second.dataset().to_df().loc[samples, features]
    np.testing.assert_allclose(made, first.dataset().X, rtol=0, atol=1e-9)
    assert list(second.dataset().var_names) == list(other.var_names)
    reasons = second.table().set_index("feature")["reason"]
    assert reasons[first.table()["feature"]].tolist() == first.table()["reason"].tolist()


@pytest.mark.parametrize("method", ["knn", "mean", "mixed"])
def test_a_sample_without_values_is_not_made_up(method: str) -> None:
    X = matrix()
    X[2] = np.nan
    with pytest.raises(InputError, match="have no value"):
        impute(anndata.AnnData(X), method=method)


def test_a_detection_curve_far_from_the_values_leaves_no_warning() -> None:
    X = matrix()
    X[0, ~np.isnan(X[0])] = 20.0
    for values in (X, np.where(np.isnan(X), np.nan, 20.0)):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            assert np.isfinite(impute(anndata.AnnData(values), method="mixed").dataset().X).all()
