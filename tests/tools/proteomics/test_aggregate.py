from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.proteomics.aggregate import aggregate_replicates
from nereus.tools.proteomics.samples import remove_samples


def data() -> anndata.AnnData:
    X = np.array([[1.0, np.nan], [3.0, np.nan], [8.0, 4.0], [5.0, 6.0], [np.nan, 8.0], [9.0, 1.0]])
    obs = pd.DataFrame(
        {
            "mouse": ["m2", "m2", "m2", "m1", "m1", None],
            "genotype": ["ko", "ko", "ko", "wt", "wt", "wt"],
            "plate": ["p", "q", "p", "q", "p", "q"],
            "age": [3.0, 3.0, 3.0, 4.0, 4.0, 5.0],
        },
        index=list("abcdef"),
    )
    made = anndata.AnnData(X, obs=obs, layers={"intensity": X + 1})
    made.uns["nereus"] = {"software": "x", "history": ["loaded"]}
    return made


def test_one_row_per_subject() -> None:
    given = data()
    result = aggregate_replicates(given, by="mouse")
    made = result.dataset()
    assert list(made.obs_names) == ["m2", "m1"]
    np.testing.assert_array_equal(made.X, [[4.0, 4.0], [5.0, 7.0]])
    np.testing.assert_array_equal(made.layers["n_aggregated"], [[3, 1], [1, 2]])
    np.testing.assert_array_equal(made.layers["intensity"], made.X + 1)
    assert list(made.obs.columns) == ["mouse", "genotype", "age", "n_rows"]
    assert result.table("dropped_columns")["column"].tolist() == ["plate"]
    assert result.values["n_rows_left_out"] == 1
    assert made.uns["nereus"]["history"][0] == "loaded"
    assert list(given.uns["nereus"]["history"]) == ["loaded"]
    assert aggregate_replicates(given, by="mouse", method="median").dataset().X[0, 0] == 3.0
    assert np.isnan(aggregate_replicates(given, by="mouse", min_share=0.5).dataset().X[0, 1])


def test_levels_within_a_subject_are_kept_apart() -> None:
    result = aggregate_replicates(data(), by="mouse", keep_apart=["plate"])
    assert list(result.dataset().obs_names) == ["m2 | p", "m2 | q", "m1 | q", "m1 | p"]
    assert result.values["n_subjects"] == 2
    assert list(result.dataset().obs["mouse"]) == ["m2", "m2", "m1", "m1"]


def test_bad_columns() -> None:
    with pytest.raises(InputError, match="no sample column 'rat'"):
        aggregate_replicates(data(), by="rat")
    one = data()
    one.obs["mouse"] = "m1"
    with pytest.raises(InputError, match="names 1 subjects"):
        aggregate_replicates(one, by="mouse")


def test_remove_samples() -> None:
    result = remove_samples(data(), samples=["c", "d", "e", "f"])
    assert list(result.dataset().obs_names) == ["a", "b"]
    assert result.values["n_features_lost"] == 1
    with pytest.raises(InputError, match="no sample \\['z'\\]"):
        remove_samples(data(), samples=["z"])
    with pytest.raises(InputError, match="1 samples would stay"):
        remove_samples(data(), samples=list("abcde"))
