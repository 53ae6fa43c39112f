from __future__ import annotations

import anndata
import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools.proteomics.impute import impute


def matrix() -> np.ndarray:
    rng = np.random.default_rng(1)
    X = rng.normal(24, 2, 200) + rng.normal(0, 0.2, (8, 200))
    X[rng.random(X.shape) < 0.15] = np.nan
    return X


@pytest.mark.parametrize("method", ["min_prob", "knn", "mean"])
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


def test_min_prob_lies_low_and_depends_on_the_seed() -> None:
    X = matrix()
    low = np.asarray(impute(anndata.AnnData(X), method="min_prob", seed=1).dataset().X)[np.isnan(X)]
    assert abs(low.mean() - (np.nanmean(X) - 1.8 * np.nanstd(X))) < 0.2
    assert (
        low != np.asarray(impute(anndata.AnnData(X), method="min_prob", seed=2).dataset().X)[np.isnan(X)]
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
        for m in ("knn", "mean", "min_prob")
    }
    assert error["knn"] < 0.3 < error["mean"] < error["min_prob"]


def test_nothing_to_start_from() -> None:
    X = matrix()
    X[:, 5] = np.nan
    with pytest.raises(InputError, match="1 features have no value"):
        impute(anndata.AnnData(X), method="mean")
    X[2] = np.nan
    with pytest.raises(InputError, match="fewer than 2 values"):
        impute(anndata.AnnData(X), method="min_prob")
