from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError, PlanError
from nereus.tools.statistics.cluster import cluster_samples


def data(n_clusters: int, n: int = 36, effect: float = 3.0) -> anndata.AnnData:
    rng = np.random.default_rng(11)
    label = np.arange(n) % max(n_clusters, 1)
    centres = rng.normal(0, effect, (max(n_clusters, 1), 80)) if n_clusters > 1 else np.zeros((1, 80))
    X = rng.normal(24, 1, (n, 80)) + centres[label]
    obs = pd.DataFrame(
        {"type": [f"t{one}" for one in label], "age": rng.normal(50, 9, n), "id": [f"i{i}" for i in range(n)]}
    )
    obs.index = [f"s{i}" for i in range(n)]
    return anndata.AnnData(X, obs=obs)


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_clusters_are_found_again(method: str) -> None:
    given = data(3)
    result = cluster_samples(given, method=method, seed=1, n_subsamples=8, n_null=10, max_k=4)
    assert (result.values["k"], result.values["structure"]) == (3, True)
    assert (result.values["stability"] or 0) > 0.9
    found = pd.crosstab(result.table("labels")["cluster"], given.obs["type"].to_numpy())
    assert ((found > 0).sum(axis=1) == 1).all()
    top = result.table("associations").iloc[0]
    assert (top["column"], top["kind"]) == ("type", "levels")
    assert top["q"] < 1e-6
    assert result.table("associations").set_index("column").loc["age", "q"] > 0.01


def test_a_continuum_is_no_structure() -> None:
    result = cluster_samples(data(1), seed=1, n_subsamples=5, n_null=20, max_k=4)
    assert result.values["structure"] is False
    assert "support no claim" in result.warnings[0]


def test_same_seed_same_result_and_columns_can_be_left_out() -> None:
    given = data(2)
    before = np.array(given.X)
    first, second = (
        cluster_samples(given, seed=5, leave_out=["type"], n_subsamples=5, n_null=10, max_k=3)
        for _ in range(2)
    )
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])
    assert "type" not in set(first.table("associations")["column"])
    np.testing.assert_array_equal(given.X, before)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="5 samples are too few"):
        cluster_samples(data(1, n=5))
    with pytest.raises(InputError, match="k = 9 clusters of 12 samples"):
        cluster_samples(data(1, n=12), k=9)
    with pytest.raises(PlanError, match="k:"):
        cluster_samples(data(1), k=1)
