"""What marks a population: pairwise, by specificity, and honest about what p values are about."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.cytometry.pairwise import middle_p, pairwise

KINDS = ("T1", "T2", "T3", "B", "M")
FAMILY = {"T1": "T", "T2": "T", "T3": "T", "B": "B", "M": "M"}


def cells(seed: int, n_subjects: int = 1, null: bool = False) -> anndata.AnnData:
    """Three relatives and two others: markers of the family ``T``, markers of each kind, and noise."""
    rng = np.random.default_rng(seed)
    names = [f"{kind}_{i}" for kind in (*KINDS, "T") for i in range(3)] + [f"noise{i}" for i in range(40)]
    kind = rng.choice(KINDS, 400, p=(0.35, 0.1, 0.1, 0.15, 0.3))
    subject = rng.integers(0, n_subjects, 400)
    mean = np.full((400, len(names)), 0.5)
    for at, name in enumerate(names):
        start = name.split("_")[0]
        if not null and not name.startswith("noise"):
            mean[[start in (one, FAMILY[one]) for one in kind], at] += 2.0
    shared = rng.normal(0, 0.3, (n_subjects, len(names)))[subject]
    X = np.log1p(rng.poisson(mean * np.exp(shared))).astype("float32")
    obs = pd.DataFrame(
        {"population": kind, "sample": [f"S{one}" for one in subject]}, index=[f"c{i}" for i in range(400)]
    )
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=names))


def markers(dataset: anndata.AnnData, **options: object) -> pd.DataFrame:
    return registry.get("population_markers")(dataset, **options).table("markers")


def test_pairs_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    values = rng.poisson(1.5, (120, 6)).astype("float32")
    values[:, 3] = rng.normal(size=120)
    values[rng.random((120, 6)) < 0.1] = np.nan
    codes = rng.integers(-1, 4, 120)
    found = pairwise(values, codes, 4)
    for feature in range(6):
        for a in range(4):
            for b in range(4):
                if a == b:
                    assert np.isnan(found.auc[feature, a, b])
                    continue
                x, y = (
                    values[codes == one, feature][~np.isnan(values[codes == one, feature])].astype(float)
                    for one in (a, b)
                )
                told = stats.mannwhitneyu(
                    x, y, alternative="greater", method="asymptotic", use_continuity=False
                )
                assert found.auc[feature, a, b] == pytest.approx(told.statistic / (len(x) * len(y)))
                assert found.p[feature, a, b] == pytest.approx(told.pvalue, rel=1e-5)


def test_summaries_by_hand() -> None:
    p = np.array([[0.01, 0.02, 0.5], [0.04, np.nan, np.nan], [np.nan] * 3])
    # Holm: 0.03, 0.04, 0.5; the middle of three is the second.
    assert middle_p(p)[:2] == pytest.approx([0.04, 0.04])
    assert np.isnan(middle_p(p)[2])


@pytest.mark.parametrize("seed", range(3))
def test_relatives_do_not_hide_what_is_their_own(seed: int) -> None:
    table = markers(cells(seed))
    for kind in KINDS:
        first = table[(table["population"] == kind) & (table["rank"] <= 3)]["feature"]
        assert all(one.split("_")[0] in (kind, FAMILY[kind]) for one in first), (kind, list(first))
        assert any(one.startswith(f"{kind}_") for one in first)
    own = table[table["key"] == "T2|T2_0"].iloc[0]
    assert own["q"] < 0.01
    assert own["detected"] > own["detected_others"]
    assert own["auc_lowest"] > 0.7


def test_size_of_a_relative_does_not_matter() -> None:
    whole = cells(1)
    many = anndata.concat([whole, whole[whole.obs["population"] == "M"]])
    many.obs_names_make_unique()
    a, b = (markers(one).set_index("key")["auc_mean"] for one in (whole, many))
    assert np.allclose(a, b[a.index])


def test_subjects_are_the_units_where_there_are_three() -> None:
    result = registry.get("population_markers")(cells(2, n_subjects=5))
    table = result.table("markers")
    assert result.values["unit"] == "sample"
    assert (table["n_units"] == 5).all()
    assert table.set_index("key").loc["B|B_0", "q"] < 0.05
    assert table.set_index("key").loc["B|B_0", "p"] > 1e-10, "cells were counted as subjects"
    cells_only = registry.get("population_markers")(cells(2))
    assert cells_only.values["unit"] == "cell"
    assert any("further subjects" in one for one in cells_only.warnings)


@pytest.mark.parametrize("n_subjects", [1, 5])
def test_labels_that_mean_nothing(n_subjects: int) -> None:
    false = [(markers(cells(seed, n_subjects, null=True))["q"] <= 0.05).any() for seed in range(10)]
    assert sum(false) <= 2


def test_learnt_populations_have_no_p() -> None:
    result = registry.get("population_markers")(cells(0), learnt=True)
    table = result.table("markers")
    assert table["p"].isna().all()
    assert table["q"].isna().all()
    assert result.values["n_tested"] is None
    assert any("by construction" in one for one in result.warnings)
    assert table["rank"].tolist() == markers(cells(0))["rank"].tolist()


def test_bad_input() -> None:
    data = cells(0)
    with pytest.raises(InputError, match="no column 'kind'"):
        markers(data, population="kind")
    with pytest.raises(InputError, match="1 populations have 10 cells"):
        markers(data[data.obs["population"] == "B"].copy())
    with pytest.raises(InputError, match="unknown markers"):
        markers(data, markers=("CD99",))
    few = data[(data.obs["population"] != "B") | (np.arange(400) % 12 == 0)].copy()
    assert any("left out: B" in one for one in registry.get("population_markers")(few).warnings)


def test_abundant_genes_that_differ_by_degree_come_later() -> None:
    """Every cell has them; in one population a little more: no marker, however sure the difference."""
    data = cells(0)
    rng = np.random.default_rng(1)
    level = 6.0 + (data.obs["population"] == "B").to_numpy()
    grade = pd.DataFrame({f"broad{i}": rng.normal(level, 0.3) for i in range(10)}, index=data.obs_names)
    both = anndata.AnnData(
        np.c_[data.X, grade.to_numpy()].astype("float32"),
        obs=data.obs,
        var=pd.DataFrame(index=[*data.var_names, *grade]),
    )
    both.X[0, -10:] = 0.0
    table = markers(both)
    first = table[(table["population"] == "B") & (table["rank"] <= 3)]["feature"]
    assert all(one.startswith("B_") for one in first)
    assert table.set_index("key").loc["B|broad0", "q"] < 1e-6
    assert table.set_index("key").loc["B|broad0", "auc_mean"] > 0.95


def test_values_without_a_zero() -> None:
    """Scaled values and panels: a cell has a marker above the middle of the populations' levels."""
    data = cells(0)
    scaled = data.copy()
    scaled.X = (data.X - data.X.mean(axis=0)) / data.X.std(axis=0)
    table = markers(scaled)
    assert table["specificity"].between(-2, 2).all()
    for kind in KINDS:
        first = table[(table["population"] == kind) & (table["rank"] <= 3)]["feature"]
        assert all(one.split("_")[0] in (kind, FAMILY[kind]) for one in first), (kind, list(first))
