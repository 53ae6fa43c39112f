"""Reading a table of cells: samples, sheets, draws and medians."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.cytometry.cell_table import (
    cell_labels,
    even_draw,
    group_means,
    group_medians,
    sample_sheet,
)


def test_draws_are_even_over_samples_and_use_small_ones_up() -> None:
    codes = np.repeat([0, 1, 2, -1], [10, 1000, 2000, 50])
    drawn = even_draw(codes, 410, np.random.default_rng(0))
    assert np.bincount(codes[drawn]).tolist() == [10, 200, 200]
    assert (np.diff(drawn) > 0).all()
    assert len(even_draw(codes, 10_000, np.random.default_rng(0))) == 3010


def test_medians_and_means_by_group_are_those_of_pandas() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(400, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:40, 1] = np.nan
    codes = np.repeat(np.arange(10), 40)
    by = pd.DataFrame(values.astype(float)).groupby(codes)
    np.testing.assert_allclose(group_medians(values, codes, 11)[:10], by.median().to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(group_means(values, codes, 11)[:10], by.mean().to_numpy(), rtol=1e-5)
    assert np.isnan(group_medians(values, codes, 11)[10]).all()
    assert np.isnan(group_medians(values, codes, 11)[0, 1])


def test_sheet_holds_what_is_constant_within_samples() -> None:
    obs = pd.DataFrame(
        {
            "sample": ["s10", "s2", "s10", None],
            "age": [40.0, 51.0, 40.0, 9.0],
            "gate": ["a", "a", "b", "b"],
            "batch": [None, "x", None, "x"],
        },
        index=list("abcd"),
    )
    cells = anndata.AnnData(np.zeros((4, 1), dtype=np.float32), obs=obs)
    samples = cell_labels(cells, "sample")
    assert samples.names == ("s2", "s10")
    assert samples.codes.tolist() == [1, 0, 1, -1]
    sheet = sample_sheet(cells, samples)
    assert list(sheet.columns) == ["sample", "age", "batch"]
    assert sheet["age"].tolist() == [51.0, 40.0]


def test_missing_column_of_samples_is_named() -> None:
    cells = anndata.AnnData(np.zeros((2, 1)), obs=pd.DataFrame({"file": ["a", "b"]}, index=["1", "2"]))
    with pytest.raises(InputError, match="no column 'sample'") as error:
        cell_labels(cells, "sample")
    assert "file" in str(error.value.mend)
    cells.obs["sample"] = None
    with pytest.raises(InputError, match="no cell has a value"):
        cell_labels(cells, "sample")


def test_labels_do_not_depend_on_how_they_are_stored() -> None:
    plain = anndata.AnnData(np.zeros((3, 1)), obs=pd.DataFrame({"k": ["1", "10", "2"]}, index=list("abc")))
    stored = plain.copy()
    stored.obs["k"] = pd.Categorical(["1", "10", "2"], categories=["10", "2", "1", "unused"])
    number = plain.copy()
    number.obs["k"] = [1.0, 10.0, 2.0]
    for cells in (plain, stored, number):
        labels = cell_labels(cells, "k")
        assert labels.names == ("1", "2", "10")
        assert labels.codes.tolist() == [0, 2, 1]
