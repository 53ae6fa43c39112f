"""Planted modules are recovered, noise gives none, and what moves samples as a whole is taken out."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from nereus.errors import InputError
from nereus.memory.artifacts import ArtifactStore
from nereus.tools.statistics.correlation_network import correlations, eigenfeature, prepared
from nereus.tools.statistics.differential import differential_abundance
from nereus.tools.statistics.modules import coexpression_modules

SIZES = (40, 25, 15)


def planted(n: int = 40, p: int = 250, seed: int = 0, missing: float = 0.0) -> anndata.AnnData:
    """Three modules of 40, 25 and 15 features; the factor of the first is higher in group a."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    group = np.array(["a", "b"] * (n // 2))
    at = 0
    for number, size in enumerate(SIZES):
        factor = rng.normal(size=(n, 1)) + (1.5 * (group == "a")[:, None] if number == 0 else 0.0)
        x[:, at : at + size] += 1.2 * factor
        at += size
    x = 22 + x
    x[rng.random(x.shape) < missing] = np.nan
    obs = pd.DataFrame({"group": group}, index=[f"s{i}" for i in range(n)])
    return anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(p)]))


def truth(p: int) -> np.ndarray:
    label = np.full(p, -1)
    label[: sum(SIZES)] = np.repeat(np.arange(3), SIZES)
    return label


@pytest.mark.parametrize(("missing", "method"), [(0.0, "pearson"), (0.2, "pearson"), (0.2, "spearman")])
def test_planted_modules_are_recovered(missing: float, method: str) -> None:
    given = planted(missing=missing)
    before = np.array(given.X)
    result = coexpression_modules(given, method=method, n_halves=3, seed=1)
    table, label = result.table("modules"), truth(250)
    assert result.values["n_modules"] == 3
    inside = label >= 0
    assert adjusted_rand_score(label[inside], table["module"][inside]) > 0.85
    assert (table["module"][~inside] != "").mean() < 0.1
    hubs = table[table["hub"]]
    assert inside[hubs.index].all()
    assert (result.table("module_table")["p"] <= 0.05).all()
    assert (result.table("module_table")["held_out_r"] > 0.15).all()
    assert list(table["feature"]) == list(given.var_names)
    np.testing.assert_array_equal(given.X, before)


def test_noise_gives_no_module() -> None:
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        given = planted(seed=seed)
        given.X = rng.normal(size=given.shape)
        found.append(coexpression_modules(given, n_halves=2, seed=seed))
    assert sum(one.values["n_modules"] > 0 for one in found) <= 2
    nothing = next(one for one in found if one.values["n_modules"] == 0)
    assert nothing.dataset("eigen").shape == (40, 0)
    assert "nothing moves together" in nothing.warnings[0]
    assert (nothing.table("modules")["module"] == "").all()


def test_a_data_set_without_modules_survives_the_disk(tmp_path: Path) -> None:
    given = planted()
    given.X = np.random.default_rng(0).normal(size=given.shape)
    eigen = coexpression_modules(given, n_halves=2, seed=0).dataset("eigen")
    store = ArtifactStore(tmp_path)
    ref = store.put_dataset(eigen, "eigen")
    assert ArtifactStore(tmp_path).dataset(ref).shape == eigen.shape


def test_eigen_features_are_tested_like_any_data() -> None:
    result = coexpression_modules(planted(n=60), n_halves=2, seed=1)
    eigen = result.dataset("eigen")
    np.testing.assert_allclose(np.asarray(eigen.X).std(axis=0, ddof=1), 1.0, atol=1e-9)
    tested = differential_abundance(eigen, contrast={"factor": "group", "a": "a", "b": "b"}).table()
    owner = result.table("modules")["module"][:40].mode()[0]
    row = tested.set_index("feature").loc[owner]
    assert row["effect"] > 0.7
    assert row["q"] < 1e-3
    assert (tested.set_index("feature").drop(index=owner)["q"] > 0.01).all()


def test_a_batch_makes_a_module_and_naming_it_does_not() -> None:
    rng = np.random.default_rng(7)
    given = planted()
    given.X = rng.normal(size=given.shape)
    given.obs["batch"] = np.repeat(["x", "y"], 20)
    given.X[20:, :60] += 3.0
    naive = coexpression_modules(given, n_halves=2, seed=1)
    freed = coexpression_modules(given, covariates=("batch",), n_halves=2, seed=1)
    assert naive.values["largest"] >= 55
    assert freed.values["n_modules"] == 0


def test_rows_of_a_subject_make_no_modules() -> None:
    """Features of 14 subjects that do not move together, measured five times: rows correlate by subject only."""
    rng = np.random.default_rng(3)
    values = np.repeat(rng.normal(size=(14, 120)), 5, axis=0) + rng.normal(0, 0.05, (70, 120))
    obs = pd.DataFrame(
        {"subject": np.repeat([f"u{i}" for i in range(14)], 5)}, index=[f"s{i}" for i in range(70)]
    )
    given = anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(120)]))
    naive = coexpression_modules(given, n_halves=2, seed=1)
    honest = coexpression_modules(given, subject="subject", n_halves=2, seed=1)
    assert naive.values["n_modules"] >= 1
    assert honest.values["n_modules"] == 0
    assert honest.values["n_units"] == 14


@pytest.mark.parametrize("turned", ["samples", "features"])
def test_the_order_of_the_table_does_not_matter(turned: str) -> None:
    given = planted(p=90, missing=0.1)
    rng = np.random.default_rng(3)
    other = given[rng.permutation(given.n_obs)] if turned == "samples" else given[:, rng.permutation(90)]
    one, two = (coexpression_modules(each, n_halves=3, seed=2) for each in (given, other.copy()))
    assert one.values == pytest.approx(two.values)
    told, again = (each.table("modules").set_index("feature") for each in (one, two))
    pd.testing.assert_frame_equal(told, again.loc[told.index], rtol=1e-6)
    pd.testing.assert_frame_equal(one.table("module_table"), two.table("module_table"), rtol=1e-6)


def test_numbers() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 8))
    np.testing.assert_allclose(correlations(x - x.mean(axis=0)), np.corrcoef(x.T), atol=1e-12)
    x[rng.random(x.shape) < 0.2] = np.nan
    found = correlations(prepared(x, ranks=False))
    reference = pd.DataFrame(prepared(x, ranks=False)).corr(min_periods=8).to_numpy()
    np.testing.assert_allclose(found, reference, atol=1e-9)
    z = prepared(rng.normal(size=(25, 1)) + 0.5 * rng.normal(size=(25, 12)), ranks=False)
    scores, loadings, explained = eigenfeature(z, "signed")
    left, heights, _ = np.linalg.svd(z, full_matrices=False)
    assert abs(np.corrcoef(scores, left[:, 0])[0, 1]) == pytest.approx(1.0)
    assert explained == pytest.approx(heights[0] ** 2 / np.sum(heights**2))
    assert loadings.mean() > 0


def test_bad_input() -> None:
    with pytest.raises(InputError, match="10 subjects are too few"):
        coexpression_modules(planted(n=10))
    with pytest.raises(InputError, match="12 features vary"):
        coexpression_modules(planted()[:, :12].copy())
    with pytest.raises(InputError, match="no column 'site'"):
        coexpression_modules(planted(), covariates=("site",))


def test_keratins_of_the_fluid_are_one_module(shared_data: Path) -> None:
    """Skin keratins are carried in together whatever the patient has: the tightest module of any clinical set."""
    folder = shared_data / "clinical_alzheimer_csf_bader"
    proteome = pd.read_csv(folder / "proteome.csv.gz", index_col=0)
    x = proteome.to_numpy(float)
    x = np.log2(np.where(x > 0, x, np.nan)) if np.nanmax(x) > 100 else x
    given = anndata.AnnData(
        x, obs=pd.DataFrame(index=proteome.index.astype(str)), var=pd.DataFrame(index=proteome.columns)
    )
    result = coexpression_modules(given, n_halves=2, max_features=700, seed=1)
    tables = result.table("module_table").set_index("module")
    members = result.table("modules").set_index("feature")
    keratins = [name for name in members.index if {"P04264", "P35908", "P13645"} & set(name.split(";"))]
    modules = set(members.loc[keratins, "module"])
    assert len(keratins) >= 3
    assert len(modules) == 1
    assert modules <= set(tables.index)
