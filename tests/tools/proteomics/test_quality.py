from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.tools.proteomics.quality import looks_logged, pairwise_correlation, quality_control


def matrix(n: int = 12) -> np.ndarray:
    rng = np.random.default_rng(4)
    X = rng.normal(24, 2, 400) + rng.normal(0, 0.3, (n, 400))
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


def failed(X: np.ndarray) -> set[str]:
    table = quality_control(anndata.AnnData(X)).table("checks")
    return set(table.loc[~table["passed"], "check"])


def test_good_data_pass() -> None:
    assert failed(matrix()) == set()


def test_each_defect_fails_its_own_check() -> None:
    rng = np.random.default_rng(1)
    few = matrix()
    few[2, rng.random(400) < 0.7] = np.nan
    assert failed(few) == {"samples with many missing values", "outlier samples", "evenness of detection"}
    unlike = matrix()
    unlike[5] = rng.normal(24, 2, 400)
    assert failed(unlike) == {"outlier samples"}
    copy = matrix()
    copy[1] = copy[0]
    assert failed(copy) == {"identical samples"}
    assert "log scale" in failed(2 ** matrix())
    assert "spread of sample levels" in failed(matrix() + np.linspace(-2, 2, 12)[:, None])
    noise = rng.normal(24, 2, (12, 400))
    assert "likeness of replicates" in failed(noise)


def test_small_groups_are_no_outliers() -> None:
    """Twelve baits in triplicate are all different, none is odd."""
    rng = np.random.default_rng(9)
    baits = rng.normal(24, 2, 300) + rng.normal(0, 1.5, (12, 300))
    X = np.repeat(baits, 3, axis=0) + rng.normal(0, 0.2, (36, 300))
    assert quality_control(anndata.AnnData(X)).values["n_outliers"] == 0


def test_correlation_equals_pandas() -> None:
    X = matrix(6)
    np.testing.assert_allclose(pairwise_correlation(X), pd.DataFrame(X.T).corr().to_numpy(), atol=1e-10)


@pytest.mark.parametrize(
    ("X", "scale"),
    [(matrix(), "log2"), (2 ** matrix(), "raw"), (matrix() - 24, "log ratio"), (np.log2(matrix()), "log2")],
)
def test_scale(X: np.ndarray, scale: str) -> None:
    assert looks_logged(X)[0] == scale


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("X", [np.full((6, 40), 12.0), matrix()[:, :2]])
def test_samples_without_a_correlation_warn_of_nothing_and_are_no_outliers(X: np.ndarray) -> None:
    assert quality_control(anndata.AnnData(X)).values["n_outliers"] == 0
