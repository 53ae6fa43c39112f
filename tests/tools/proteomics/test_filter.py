from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.proteomics.filter import filter_features


def data() -> anndata.AnnData:
    X = np.full((6, 4), 20.0)
    X[:3, 0] = np.nan  # seen in group b only
    X[[0, 1, 3, 4], 1] = np.nan  # once in each group
    X[:, 2] = np.nan
    obs = pd.DataFrame({"group": list("aaabbb")}, index=list("uvwxyz"))
    var = pd.DataFrame(
        {"gene": list("ABCD"), "n_peptides": [2.0, 5.0, np.nan, 1.0]}, index=["f0", "f1", "f2", "f3"]
    )
    return anndata.AnnData(X, obs=obs, var=var)


def test_a_feature_of_one_condition_stays() -> None:
    result = filter_features(data(), factor="group")
    assert list(result.dataset().var_names) == ["f0", "f3"]
    assert result.table("dropped")["feature"].tolist() == ["f1", "f2"]
    assert set(result.table("dropped")["reason"]) == {"too few values in every group"}
    assert list(filter_features(data()).dataset().var_names) == ["f0", "f1", "f3"]


def test_peptides_and_missing_share() -> None:
    assert list(filter_features(data(), min_peptides=2).dataset().var_names) == ["f0", "f1"]
    assert list(filter_features(data(), max_missing=0.4).dataset().var_names) == ["f3"]


def test_input_stays_and_bad_input_is_named() -> None:
    given = data()
    filter_features(given, factor="group")
    assert given.shape == (6, 4)
    assert "nereus" not in given.uns
    with pytest.raises(InputError, match="no sample column 'arm'"):
        filter_features(given, factor="arm")
    with pytest.raises(InputError, match="no feature of 4 would stay"):
        filter_features(given, min_peptides=99, min_present_per_group=6)
