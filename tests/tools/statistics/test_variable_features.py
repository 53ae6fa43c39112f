"""Variances against what is usual at the abundance: true effects first, few by chance, blocks taken out."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools import registry

variable = registry.get("variable_features")


def noise(seed: int, n: int = 10, m: int = 1500) -> anndata.AnnData:
    """Noise that falls with abundance, variances of features spread as real ones are, a tenth missing."""
    rng = np.random.default_rng(seed)
    mean = np.sort(rng.uniform(16, 28, m))
    sd = 0.15 + 0.6 * np.exp(-(mean - 16) / 3)
    sd = sd * np.sqrt(8 / rng.chisquare(8, m))
    X = rng.normal(mean, sd, size=(n, m))
    X[rng.random(X.shape) < 0.1] = np.nan
    return anndata.AnnData(X, var=pd.DataFrame(index=[f"P{i}" for i in range(m)]))


def test_noise_alone_varies_as_usual() -> None:
    found = [variable(noise(seed)).values for seed in range(10)]
    assert np.mean([int(str(one["n_significant"])) > 0 for one in found]) <= 0.3
    p = np.concatenate([variable(noise(seed)).table()["p"].to_numpy() for seed in range(4)])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.015)


def test_what_varies_at_high_abundance_comes_before_loud_noise_at_low() -> None:
    data = noise(1)
    rng = np.random.default_rng(2)
    planted = [f"P{i}" for i in range(1400, 1412)]
    X = np.asarray(data.X)
    X[:, 1400:1412] += rng.normal(0, 1.2, size=(10, 12))
    table = variable(data).table().set_index("feature")
    assert (table.loc[planted, "q"] <= 0.05).mean() >= 0.8
    by_p = set(table["p"].nsmallest(12).index)
    by_sd = set(table["sd"].nlargest(12).index)
    assert len(by_p & set(planted)) >= 10
    assert len(by_sd & set(planted)) < 6
    assert table.loc[planted, "effect"].median() > 1


def test_levels_of_a_block_are_taken_out() -> None:
    data = noise(3)
    data.obs["plex"] = ["a"] * 5 + ["b"] * 5
    X = np.asarray(data.X)
    X[:5, ::15] += 2.0
    assert variable(data).table()["q"].iloc[::15].lt(0.05).mean() > 0.1
    within = variable(data, block="plex")
    assert within.values["n_significant"] <= 2
    assert within.table()["df"].max() == 8
    with pytest.raises(InputError, match="no sample column"):
        variable(data, block="nowhere")


def test_too_little_to_judge() -> None:
    data = noise(4)
    with pytest.raises(InputError, match="too few"):
        variable(data[:3].copy())
    with pytest.raises(InputError, match="usual variance"):
        variable(data[:, :5].copy())


def test_human_proteins_vary_in_constant_bacteria(shared_data: Path) -> None:
    """D'Angelo et al. 2017: human proteins of varying amounts in a constant background, channels unnamed."""
    from nereus.tools.proteomics.load import read

    data = registry.get("normalise")(
        read(shared_data / "spike_tmt_dangelo" / "MS3_proteinGroups.txt.gz")
    ).dataset()
    table = variable(data).table().set_index("feature")
    protein = data.var["protein"]
    known = {"O15379", "Q15185", "P15090", "P05089", "P06733", "Q96FW1", "Q9Y2W7", "Q9H0R8-2", "Q14847", "O60861",
             "P15311", "P52292"}  # fmt: skip
    human = [name for name in table.index if protein[name] in known]
    assert len(human) == 12
    assert set(table["p"].nsmallest(12).index) == set(human)
