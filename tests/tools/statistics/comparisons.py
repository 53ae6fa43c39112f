"""Small data sets of comparisons for the tests of permutation, stability, calibration and claims."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd

CONTRAST = {"factor": "group", "a": "case", "b": "control"}


def dataset(
    n_a: int,
    n_b: int,
    n_features: int = 300,
    *,
    changed: int = 0,
    effect: float = 3.0,
    missing: float = 0.0,
    seed: int = 0,
) -> anndata.AnnData:
    """log2 abundances with sd 0.5; the first `changed` features are higher in cases by `effect`."""
    rng = np.random.default_rng(seed)
    n = n_a + n_b
    x = rng.normal(24, 2, (1, n_features)) + rng.normal(0, 0.5, (n, n_features))
    x[:n_a, :changed] += effect
    x[rng.random(x.shape) < missing] = np.nan
    obs = pd.DataFrame({"group": ["case"] * n_a + ["control"] * n_b}, index=[f"s{i}" for i in range(n)])
    var = pd.DataFrame(
        {"gene": [f"G{i}" for i in range(n_features)]}, index=[f"P{i}" for i in range(n_features)]
    )
    return anndata.AnnData(x, obs=obs, var=var)
