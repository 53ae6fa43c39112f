from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.normalise import equal_quantiles, normalise


def shifted(
    n: int = 8, p: int = 300, changed: float = 0.0, missing: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Samples with known shifts; in half of them a share of the features rises by 3."""
    rng = np.random.default_rng(5)
    shifts = rng.normal(0, 0.6, n)
    X = rng.normal(24, 2, p) + rng.normal(0, 0.15, (n, p)) + shifts[:, None]
    X[: n // 2, : round(changed * p)] += 3
    X[rng.random(X.shape) < missing] = np.nan
    return X, shifts - shifts.mean()


def test_median_finds_the_shifts_with_missing_values() -> None:
    X, shifts = shifted(missing=0.3)
    result = normalise(anndata.AnnData(X), method="median")
    np.testing.assert_allclose(result.table("factors")["shift"], shifts, atol=0.06)
    np.testing.assert_array_equal(np.isnan(result.dataset().X), np.isnan(X))


def test_a_composition_shift_misleads_the_median_and_not_the_stable_subset() -> None:
    X, shifts = shifted(changed=0.4)
    errors = {
        method: np.abs(normalise(anndata.AnnData(X), method=method).table("factors")["shift"] - shifts).max()
        for method in ("median", "stable_subset")
    }
    assert errors["stable_subset"] < 0.05
    assert errors["median"] > 3 * errors["stable_subset"]


def test_stable_subset_does_not_see_labels() -> None:
    X, _ = shifted(changed=0.2)
    plain = normalise(anndata.AnnData(X), method="stable_subset").dataset().X
    labelled = anndata.AnnData(
        X, obs=pd.DataFrame({"group": list("aaaabbbb")}, index=[str(i) for i in range(8)])
    )
    np.testing.assert_array_equal(plain, normalise(labelled, method="stable_subset").dataset().X)


def test_spike_in_leaves_the_background_at_zero(shared_data: Path) -> None:
    """With 100 times more of 48 proteins, most of the measured proteome must still show no change."""
    folder = shared_data / "spike_ups1_yeast_ramus"
    from nereus.tools.proteomics.load import load_dataset

    files = [SourceFile(folder / name, name) for name in ("Exp2_R100_prot.txt.gz", "samples_Exp2_R100.txt")]
    data = load_dataset(*files, quantity="intensity").dataset()
    X = np.asarray(normalise(data, method="stable_subset").dataset().X)
    high = (data.obs["Condition"] == "100fmol").to_numpy()
    background = ~data.var_names.str.contains("ups").astype(bool)
    effect = np.nanmean(X[high], axis=0)[background] - np.nanmean(X[~high], axis=0)[background]
    assert abs(np.nanmedian(effect)) < 0.12


def test_quantiles_become_equal() -> None:
    X, _ = shifted(missing=0.2)
    made = equal_quantiles(X)
    medians = np.nanmedian(made, axis=1)
    assert np.ptp(medians) < 0.1 < np.ptp(np.nanmedian(X, axis=1))
    for row in range(len(X)):
        known = ~np.isnan(X[row])
        assert (np.argsort(X[row, known]) == np.argsort(made[row, known])).all()


def test_none_changes_nothing_and_inputs_stay() -> None:
    X, _ = shifted()
    data = anndata.AnnData(X.copy())
    np.testing.assert_array_equal(normalise(data, method="none").dataset().X, X)
    for method in ("median", "quantile", "stable_subset"):
        first, second = normalise(data, method=method), normalise(data, method=method)
        np.testing.assert_array_equal(first.dataset().X, second.dataset().X)
        np.testing.assert_array_equal(data.X, X)
        assert method in str(first.dataset().uns["nereus"]["history"][-1])


def test_reference_features() -> None:
    X, shifts = shifted(changed=0.6)
    names = [str(i) for i in range(200, 300)]
    found = normalise(anndata.AnnData(X), method="median", reference_features=names).table("factors")["shift"]
    np.testing.assert_allclose(found, shifts, atol=0.06)


def test_bad_input() -> None:
    X, _ = shifted()
    with pytest.raises(InputError, match="reference features"):
        normalise(anndata.AnnData(X), method="median", reference_features=["nobody"])
    X[3] = np.nan
    with pytest.raises(InputError, match="no value") as caught:
        normalise(anndata.AnnData(X))
    assert "'3'" in str(caught.value)
