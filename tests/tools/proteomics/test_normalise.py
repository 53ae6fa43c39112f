from __future__ import annotations

import json
import warnings
from itertools import pairwise
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


def additive_and_multiplicative(n: int = 10, p: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Log2 of intensities with both kinds of error, known scales, and a tenth of the features that change."""
    rng = np.random.default_rng(8)
    scales = np.exp(rng.normal(0, 0.4, n))
    level = np.exp2(rng.uniform(8, 18, p))
    raw = scales[:, None] * level * np.exp(rng.normal(0, 0.12, (n, p)))
    raw[: n // 2, : p // 10] *= 4
    raw = raw + rng.uniform(200, 600, n)[:, None] + rng.normal(0, 80, (n, p))
    raw[raw <= 0] = np.nan
    raw[rng.random(raw.shape) < 0.1] = np.nan
    return np.log2(raw), scales


def test_vsn_finds_the_scales_and_makes_the_variance_flat() -> None:
    X, scales = additive_and_multiplicative()
    result = normalise(anndata.AnnData(X), method="vsn")
    made, factors = np.asarray(result.dataset().X), result.table("factors")
    np.testing.assert_array_equal(np.isnan(made), np.isnan(X))
    found = np.log(factors["scale"].to_numpy())
    expected = -np.log(scales)
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=0.05)

    def spreads(values: np.ndarray) -> np.ndarray:
        still = values[:, X.shape[1] // 10 :]
        level, sd = np.nanmean(still, axis=0), np.nanstd(still, axis=0)
        edges = np.quantile(level, np.linspace(0, 1, 6))
        return np.array([np.median(sd[(level >= a) & (level <= b)]) for a, b in pairwise(edges)])

    flat = spreads(made)
    only_shifted = spreads(np.asarray(normalise(anndata.AnnData(X), method="median").dataset().X))
    assert flat.max() / flat.min() < 1.35
    assert only_shifted.max() / only_shifted.min() > 1.5


def test_vsn_leaves_strong_signals_as_log2_intensities() -> None:
    X, _ = additive_and_multiplicative()
    made = np.asarray(normalise(anndata.AnnData(X), method="vsn").dataset().X)
    strong = np.nanmean(X, axis=0) > 15
    shifts = np.nanmedian((X - made)[:, strong], axis=1)
    away = (X - made)[:, strong] - shifts[:, None]
    assert np.nanquantile(np.abs(away), 0.99) < 0.05
    changed = strong.copy()
    changed[X.shape[1] // 10 :] = False
    effect = np.nanmean(made[:5, changed], axis=0) - np.nanmean(made[5:, changed], axis=0)
    assert abs(np.median(effect) - 2) < 0.1


def test_vsn_needs_features_and_takes_a_reference() -> None:
    X, scales = additive_and_multiplicative()
    with pytest.raises(InputError, match="cannot fit an offset"):
        normalise(anndata.AnnData(X[:, :40]), method="vsn")
    names = [str(i) for i in range(300, 700)]
    found = normalise(anndata.AnnData(X), method="vsn", reference_features=names).table("factors")["scale"]
    away = np.log(found) + np.log(scales)
    assert float(np.std(away)) < 0.06


def test_cyclic_loess_takes_a_bend_out_and_is_that_of_limma() -> None:
    reference = json.loads((Path(__file__).parents[2] / "data" / "batch" / "reference.json").read_text())
    X = np.array(reference["data"]["complete"])
    made = np.asarray(normalise(anndata.AnnData(X), method="cyclic_loess").dataset().X)
    np.testing.assert_allclose(made, np.array(reference["expected"]["complete"]["loess"]), atol=1e-9)
    rng = np.random.default_rng(4)
    level = rng.uniform(15, 30, 800)
    bent = level + rng.normal(0, 0.1, (6, 800)) + np.linspace(-0.1, 0.1, 6)[:, None] * (level - 22) ** 2 / 4
    bent[rng.random(bent.shape) < 0.2] = np.nan
    result = normalise(anndata.AnnData(bent), method="cyclic_loess")
    straight = np.asarray(result.dataset().X)
    np.testing.assert_array_equal(np.isnan(straight), np.isnan(bent))
    assert result.values["spread_after"] < 0.11 < 0.2 < result.values["spread_before"]


def test_dilution_series_is_linear(shared_data: Path) -> None:
    """Six channels loaded 25:20:15:10:5:2.5: features rise with the load, and normalisation finds the ratios."""
    from nereus.tools.proteomics.load import load_dataset

    name = "grouped_protein_summary_TMT.csv.gz"
    data = load_dataset(SourceFile(shared_data / "spike_tmt_dilution" / name, name)).dataset()
    load = {"126": 25.0, "127N": 20.0, "128C": 15.0, "129N": 10.0, "130C": 5.0, "131N": 2.5}
    channels = [sample.split("_")[0].replace("126C", "126") for sample in data.obs_names]
    used = [i for i, channel in enumerate(channels) if channel in load]
    assert len(used) == 6
    small = data[used].copy()
    X = np.asarray(small.X)
    complete = np.isfinite(X).all(axis=0)
    strong = complete & (np.nanmean(X, axis=0) > np.nanmedian(X))
    truth = np.log2([load[channels[i]] for i in used])
    truth = truth - truth.mean()
    shift = normalise(small[:, strong].copy(), method="median").table("factors")["shift"].to_numpy()
    slope = float(truth @ shift / (truth @ truth))
    assert np.corrcoef(truth, shift)[0, 1] ** 2 > 0.98
    assert 0.9 < slope < 1.15
    for method in ("median", "vsn"):
        made = np.asarray(normalise(small[:, strong].copy(), method=method).dataset().X)
        each = truth @ (made - made.mean(axis=0)) / (truth @ truth)
        assert abs(float(np.median(each))) < 0.05, method


def test_vsn_refuses_what_it_cannot_fit() -> None:
    X, _ = shifted()
    with pytest.raises(InputError, match="one sample"):
        normalise(anndata.AnnData(X[:1]), method="vsn")
    with pytest.raises(InputError, match="span"):
        normalise(anndata.AnnData(2.0**X), method="vsn")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        same = normalise(anndata.AnnData(np.full((4, 80), 20.0)), method="vsn")
        few = normalise(anndata.AnnData(X[:, :5]), method="cyclic_loess")
    assert np.isfinite(same.dataset().X).all()
    assert np.isfinite(few.dataset().X).all()
