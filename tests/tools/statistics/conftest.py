"""Small simulated data sets for the tests of the statistics tools."""

from __future__ import annotations

from collections.abc import Callable

import anndata
import numpy as np
import pandas as pd
import pytest

MakeData = Callable[..., anndata.AnnData]


@pytest.fixture
def make_data() -> MakeData:
    """A function that makes a two-group data set with the first ``n_changed`` features higher in group a."""

    def make(
        n_a: int = 5,
        n_b: int = 5,
        n_features: int = 200,
        n_changed: int = 10,
        lfc: float = 3.0,
        seed: int = 1,
        **columns,
    ) -> anndata.AnnData:
        rng = np.random.default_rng(seed)
        level = rng.uniform(18, 28, n_features)
        X = level + rng.normal(0, 0.4, size=(n_a + n_b, n_features))
        X[:n_a, :n_changed] += lfc
        obs = pd.DataFrame(
            {"group": ["a"] * n_a + ["b"] * n_b, **columns}, index=[f"s{i}" for i in range(n_a + n_b)]
        )
        var = pd.DataFrame(
            {"gene": [f"G{i}" for i in range(n_features)], "n_peptides": rng.poisson(5, n_features) + 1.0},
            index=[f"P{i}" for i in range(n_features)],
        )
        return anndata.AnnData(X, obs=obs, var=var)

    return make


@pytest.fixture
def contrast() -> dict[str, str]:
    return {"factor": "group", "a": "a", "b": "b"}
