from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from nereus.errors import InputError
from nereus.tools.statistics.pca import pca_variance, principal_components


def data(missing: float = 0.0) -> anndata.AnnData:
    rng = np.random.default_rng(3)
    X = rng.normal(24, 1, (30, 120))
    group = np.repeat(["a", "b", "c"], 10)
    X[group == "b", :60] += 3
    age = rng.uniform(20, 80, 30)
    X[:, 60:] += np.outer((age - 50) / 10, np.ones(60)) * 0.3
    X[rng.random(X.shape) < missing] = np.nan
    obs = pd.DataFrame(
        {
            "group": group,
            "age": age,
            "noise": rng.integers(0, 2, 30).astype(float),
            "name": [f"n{i}" for i in range(30)],
        }
    )
    obs.index = [f"s{i}" for i in range(30)]
    return anndata.AnnData(X, obs=obs)


def test_scores_are_those_of_scikit_learn() -> None:
    given = data()
    result = pca_variance(given, n_components=4)
    model = PCA(4, svd_solver="full").fit(given.X)
    np.testing.assert_allclose(result.table("scores").iloc[:, 1:], model.transform(given.X))
    np.testing.assert_allclose(result.table("variance")["variance_ratio"], model.explained_variance_ratio_)
    assert not result.warnings[0].startswith("0") if result.warnings else True


def test_columns_explain_what_they_made() -> None:
    result = pca_variance(data(), n_components=5)
    columns = result.table("columns").set_index("column")
    assert list(columns.index[:2]) == ["group", "age"]
    assert columns.loc["group", "r2"] > 0.4
    assert abs(columns.loc["noise", "r2_adjusted"]) < 0.1
    assert "name" not in columns.index
    one = np.corrcoef(result.table("scores")["PC1"], (data().obs["group"] == "b").astype(float))[0, 1] ** 2
    assert result.table("variance")["r2_group"][0] >= one - 1e-12


def test_missing_values_are_said() -> None:
    result = pca_variance(data(0.2))
    assert any("display" in text for text in result.warnings)
    assert (result.values["share_filled"] or 0) > 0.1
    few = data()
    few.X[0, :20] = np.nan
    assert pca_variance(few).values["n_features_used"] == 100


def test_too_little() -> None:
    with pytest.raises(InputError, match="2 samples"):
        pca_variance(data()[:2].copy())
    with pytest.raises(InputError, match="no feature varies"):
        principal_components(np.ones((5, 10)), 2)
