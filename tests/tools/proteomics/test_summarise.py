"""Peptides to proteins."""

from __future__ import annotations

import itertools
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.proteomics.load import read
from nereus.tools.proteomics.summarise import maxlfq, median_polish, summarise_peptides


def additive(
    rng: np.random.Generator, n_peptides: int = 7, n_samples: int = 9
) -> tuple[np.ndarray, np.ndarray]:
    profile = rng.normal(0, 1, n_samples)
    return rng.normal(22, 3, (n_peptides, 1)) + profile, profile


@pytest.mark.parametrize("method", [maxlfq, median_polish])
def test_an_additive_table_is_recovered_exactly(method) -> None:
    table, profile = additive(np.random.default_rng(0))
    found = method(table)
    np.testing.assert_allclose(found - found.mean(), profile - profile.mean(), atol=1e-9)


def test_maxlfq_is_exact_with_missing_values() -> None:
    rng = np.random.default_rng(1)
    table, profile = additive(rng)
    table[rng.random(table.shape) < 0.3] = np.nan
    found = maxlfq(table)
    np.testing.assert_allclose(found - found.mean(), profile - profile.mean(), atol=1e-9)
    np.testing.assert_allclose(np.exp2(found).sum(), np.nansum(np.exp2(table)))


def test_maxlfq_solves_the_pairwise_least_squares() -> None:
    rng = np.random.default_rng(2)
    table = additive(rng)[0] + rng.normal(0, 0.5, (7, 9))
    table[rng.random(table.shape) < 0.3] = np.nan
    rows, targets = [], []
    for i, j in itertools.combinations(range(9), 2):
        shared = table[:, i] - table[:, j]
        if np.isfinite(shared).any():
            rows.append(np.eye(9)[i] - np.eye(9)[j])
            targets.append(np.nanmedian(shared))
    oracle = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]
    found = maxlfq(table)
    np.testing.assert_allclose(found - found.mean(), oracle - oracle.mean(), atol=1e-9)


def test_samples_that_share_no_peptide_keep_their_own_level() -> None:
    table = np.array([[20.0, 21.0, np.nan, np.nan], [np.nan, np.nan, 10.0, 12.0]])
    np.testing.assert_allclose(maxlfq(table), [20, 21, 10, 12])


def test_numbers_that_would_overflow_and_empty_ones() -> None:
    assert np.isfinite(maxlfq(np.array([[2000.0, 2001.0], [2003.0, 2005.0]]))).all()
    assert np.isnan(maxlfq(np.full((2, 3), np.nan))).all()
    assert np.isnan(median_polish(np.full((2, 3), np.nan))).all()
    np.testing.assert_array_equal(median_polish(np.array([[5.0, np.nan, 7.0]])), [5, np.nan, 7])


def test_an_outlying_peptide_is_outvoted() -> None:
    table, profile = additive(np.random.default_rng(3))
    table[0, 4:] += 6
    for method in (maxlfq, median_polish):
        found = method(table)
        np.testing.assert_allclose(np.diff(found), np.diff(profile), atol=1e-9)


def peptides(groups: list[str], values: np.ndarray) -> anndata.AnnData:
    var = pd.DataFrame(
        {"protein_group": groups, "gene": [f"g{g}" for g in groups]},
        index=[f"PEP{i}" for i in range(len(groups))],
    )
    obs = pd.DataFrame({"arm": ["a", "b", "b"]}, index=["s1", "s2", "s3"])
    return anndata.AnnData(
        X=values, obs=obs, var=var, uns={"nereus": {"level": "peptide", "history": ["loaded"]}}
    )


def test_the_data_set_that_comes_out() -> None:
    values = np.array([[10.0, 12.0, 5.0, np.nan], [11.0, 13.0, 6.0, np.nan], [12.0, np.nan, 7.0, np.nan]])
    source = peptides(["P1", "P1", "P2", "P3"], values)
    before = source.X.copy()
    result = summarise_peptides(source)
    data = result.dataset()
    assert list(data.var_names) == ["P1", "P2"]
    assert list(data.var["gene"]) == ["gP1", "gP2"]
    assert list(data.var["n_peptides"]) == [2.0, 1.0]
    assert data.layers["n_peptides"].tolist() == [[2, 1], [2, 1], [1, 1]]
    assert list(data.obs["arm"]) == ["a", "b", "b"]
    assert data.uns["nereus"]["level"] == "protein"
    assert len(data.uns["nereus"]["history"]) == 2
    np.testing.assert_array_equal(source.X, before)
    assert list(summarise_peptides(source, min_peptides=2).dataset().var_names) == ["P1"]


def test_what_cannot_be_rolled_up() -> None:
    source = peptides(["P1", "P1", "P2", "P3"], np.ones((3, 4)))
    with pytest.raises(InputError, match="no protein has 5"):
        summarise_peptides(source, min_peptides=5)
    source.uns["nereus"]["level"] = "protein"
    with pytest.raises(InputError, match="not peptides"):
        summarise_peptides(source)


@pytest.mark.parametrize("method", ["maxlfq", "median_polish"])
def test_spiked_proteins_keep_their_ratio(shared_data: Path, method: str) -> None:
    folder = shared_data / "spike_ups1_yeast_ramus"
    data = summarise_peptides(
        read(folder / "Exp2_R10_pept.txt.gz", folder / "samples_Exp2_R10.txt"), method=method
    ).dataset()
    high = (data.obs["Condition"].astype(str) == "100fmol").to_numpy()
    both = np.isfinite(data.X[high]).any(axis=0) & np.isfinite(data.X[~high]).any(axis=0)
    change = np.nanmean(data.X[high][:, both], axis=0) - np.nanmean(data.X[~high][:, both], axis=0)
    spiked = data.var_names.str.contains("ups")[both]
    assert abs(np.median(change[spiked]) - 3.32) < 0.3
    assert abs(np.median(change[~spiked])) < 0.3
