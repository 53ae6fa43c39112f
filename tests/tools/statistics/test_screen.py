"""Which columns of the sheet the whole proteome follows: sums of squares, permutation p, subjects, bad input."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.statistics.screen import screen_factors

N = 24


def data(seed: int = 1) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    x = rng.normal(20, 1, (N, 80))
    obs = pd.DataFrame(
        {
            "group": np.repeat(["a", "b", "c"], N // 3),
            "noise": rng.permutation(np.repeat(["x", "y"], N // 2)),
            "dose": np.linspace(0, 4, N),
            "subject": [f"p{i // 2}" for i in range(N)],
            "site": np.repeat(["north", "south"], N // 2),
        },
        index=[f"s{i}" for i in range(N)],
    )
    x[:8, :30] += 1.5
    x[:, 40:60] += 0.5 * np.linspace(0, 4, N)[:, None]
    return anndata.AnnData(x, obs=obs)


def anderson(x: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """R2 and pseudo-F from squared distances within groups (Anderson 2001, equations 1 to 4)."""
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    squared = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    total = squared[np.triu_indices(len(z), 1)].sum() / len(z)
    within = 0.0
    for level in np.unique(labels):
        here = np.flatnonzero(labels == level)
        within += squared[np.ix_(here, here)][np.triu_indices(len(here), 1)].sum() / len(here)
    n_levels = len(np.unique(labels))
    between = total - within
    return between / total, (between / (n_levels - 1)) / (within / (len(z) - n_levels))


def test_sums_of_squares_are_those_of_distances() -> None:
    table = screen_factors(data(), factors=("group", "noise"), seed=1).table().set_index("column")
    for column in ("group", "noise"):
        r2, f = anderson(data().X, data().obs[column].to_numpy())
        assert table.loc[column, "r2"] == pytest.approx(r2, rel=1e-9)
        assert table.loc[column, "pseudo_f"] == pytest.approx(f, rel=1e-9)


def test_p_is_the_share_of_relabellings_that_explain_as_much() -> None:
    n_permutations = 200
    result = screen_factors(data(), factors=("noise",), n_permutations=n_permutations, seed=5)
    labels, rng = data().obs["noise"].to_numpy(), np.random.default_rng(5)
    observed = anderson(data().X, labels)[0]
    reached = sum(
        anderson(data().X, labels[rng.permutation(N)])[0] >= observed * (1 - 1e-9)
        for _ in range(n_permutations)
    )
    assert result.table().loc[0, "p"] == pytest.approx((1 + reached) / (1 + n_permutations))
    assert 0.05 < result.table().loc[0, "p"] < 1


def test_what_is_there_is_found_and_subjects_stay_whole() -> None:
    asked = {"factors": ("group", "noise"), "variables": ("dose",), "seed": 2}
    table = screen_factors(data(), **asked).table().set_index("column")
    assert table.loc["group", "p"] < 0.01
    assert table.loc["dose", "p"] < 0.01
    assert table.loc["noise", "p"] > 0.05
    # Two samples of a subject are one unit: the same sums of squares, a coarser null.
    twins = data()
    twins.X[1::2] = twins.X[::2] + 0.01
    naive = screen_factors(twins, factors=("site",), seed=3).table().loc[0]
    whole = screen_factors(twins, factors=("site",), subject="subject", seed=3).table().loc[0]
    assert whole["r2"] == pytest.approx(naive["r2"])
    assert whole["p"] >= naive["p"]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="no column 'colour'"):
        screen_factors(data(), factors=("colour",))
    one = data()
    one.obs["group"] = "a"
    assert screen_factors(one, factors=("group",)).table()["p"].isna().all()
