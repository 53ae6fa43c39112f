from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association

from nereus.errors import InputError
from nereus.tools.statistics.batch import batch_check, cramers_v, inseparable


def data(batch_effect: float) -> anndata.AnnData:
    rng = np.random.default_rng(2)
    lab = np.tile(["l1", "l2", "l3"], 8)
    group = np.repeat(["a", "b"], 12)
    X = rng.normal(24, 1, (24, 150))
    for name in set(lab):
        X[lab == name] += batch_effect * np.random.default_rng(ord(name[1])).normal(0, 1, 150)
    X[group == "b", :40] += 2
    obs = pd.DataFrame(
        {
            "lab": lab,
            "group": group,
            "copy": np.where(group == "a", "x", "y"),
            "day": np.where(group == "a", lab, "d4"),
        }
    )
    obs.index = [f"s{i}" for i in range(24)]
    return anndata.AnnData(X, obs=obs)


def verdicts(found: anndata.AnnData, batch: list[str]) -> dict[str, str]:
    table = batch_check(found, batch=batch, factors=["group"]).table()
    return dict(zip(table["batch"], table["verdict"], strict=True))


def test_verdicts() -> None:
    assert verdicts(data(1.5), ["lab", "copy", "day"]) == {
        "lab": "covariate",
        "copy": "refuse",
        "day": "refuse",
    }
    assert verdicts(data(0.0), ["lab"]) == {"lab": "none"}


def test_values_and_messages() -> None:
    result = batch_check(data(1.5), batch=["lab", "copy"], factors=["group"])
    assert (result.values["covariates"], result.values["refused"]) == ("lab", "copy | group")
    assert "Cramér's V = 1.00" in result.warnings[0]
    assert batch_check(data(1.5), batch=["lab"]).table()["verdict"][0] == "covariate"


def test_cramers_v() -> None:
    rng = np.random.default_rng(0)
    first, second = (pd.Series(rng.choice(list("abc"), 50), dtype=object) for _ in range(2))
    table = pd.crosstab(first, second).to_numpy()
    assert cramers_v(first, second) == pytest.approx(association(table, method="cramer"))
    assert cramers_v(first, pd.Series(["x"] * 50, dtype=object)) is None
    assert inseparable(pd.Series(list("aabb")), pd.Series(list("xyzz")))
    assert not inseparable(pd.Series(list("aabb")), pd.Series(list("xyyz")))


def test_real_labs(shared_data: object) -> None:
    from pathlib import Path

    from nereus.tools.base import SourceFile
    from nereus.tools.proteomics.load import load_dataset

    folder = Path(str(shared_data)) / "spike_cptac_study6"
    files = [
        SourceFile(folder / name, name)
        for name in ("proteinGroups.txt.gz", "label-free_CPTAC_annotation.xlsx")
    ]
    row = batch_check(load_dataset(*files).dataset(), batch=["lab"], factors=["condition"]).table().iloc[0]
    assert row["verdict"] == "covariate"
    assert row["r2_beyond_factor"] > 0.5
    assert row["cramers_v"] == pytest.approx(0)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="no sample column 'plate'"):
        batch_check(data(1), batch=["plate"])
    with pytest.raises(InputError, match="as batch and as factor"):
        batch_check(data(1), batch=["lab"], factors=["lab"])
