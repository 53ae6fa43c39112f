"""Two layers of the same subjects: agreement, discordance, and nothing where there is nothing."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nereus.errors import InputError
from nereus.tools.statistics.cross_layer import cross_layer_correlation
from nereus.tools.statistics.layer_test import LayerTest
from nereus.tools.statistics.row_correlation import correlate_rows


def layers(
    n: int = 40, p: int = 120, strength: float = 1.0, seed: int = 0, missing: float = 0.1
) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Proteins that follow the RNA of their gene, the last ten against it; names of two identifier spaces."""
    rng = np.random.default_rng(seed)
    rna = rng.normal(8, 1, (n, p))
    slope = np.where(np.arange(p) < p - 10, strength, -strength)
    protein = 20 + slope * rna + rng.normal(0, 1, (n, p))
    protein[rng.random(protein.shape) < missing] = np.nan
    subjects = [f"u{i:02d}" for i in range(n)]
    group = pd.DataFrame({"group": ["a", "b"] * (n // 2), "subject": subjects})
    first = anndata.AnnData(
        protein,
        obs=group.set_index(pd.Index([f"p_{s}" for s in subjects])),
        var=pd.DataFrame({"gene": [f"G{i}" for i in range(p)]}, index=[f"PROT{i}" for i in range(p)]),
    )
    order = rng.permutation(n)
    second = anndata.AnnData(
        rna[order],
        obs=pd.DataFrame({"subject": np.array(subjects)[order]}, index=[f"r_{i}" for i in range(n)]),
        var=pd.DataFrame({"gene": [f"G{i}" for i in range(p)]}, index=[f"RNA{i}" for i in range(p)]),
    )
    return first, second


@pytest.mark.parametrize("kind", ["spearman", "pearson"])
def test_rows_agree_with_scipy(kind: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 25)), rng.normal(size=(6, 25))
    y += 0.5 * x
    x[rng.random(x.shape) < 0.2] = np.nan
    found = correlate_rows(x, y, np.ones((25, 1)), kind, 5)
    for row in range(6):
        seen = np.isfinite(x[row])
        test = stats.spearmanr if kind == "spearman" else stats.pearsonr
        reference = test(x[row, seen], y[row, seen])
        assert found.r[row] == pytest.approx(reference.statistic)
        assert found.p[row] == pytest.approx(reference.pvalue, rel=1e-6)


def test_partial_correlation_is_that_of_residuals() -> None:
    rng = np.random.default_rng(2)
    c = np.column_stack([np.ones(30), rng.normal(size=(30, 2))])
    x, y = rng.normal(size=(4, 30)) + c[:, 1], rng.normal(size=(4, 30)) + c[:, 1]
    found = correlate_rows(x, y, c, "pearson", 5)
    hat = c @ np.linalg.pinv(c)
    for row in range(4):
        left, right = x[row] - hat @ x[row], y[row] - hat @ y[row]
        r = stats.pearsonr(left, right).statistic
        assert found.r[row] == pytest.approx(r)
        assert found.df[row] == 26


def test_discordant_genes_are_found() -> None:
    first, second = layers()
    before = np.array(first.X)
    result = cross_layer_correlation(first, second, subject="subject", n_permutations=19, seed=1)
    table = result.table("cross_layer").set_index("feature")
    against = [f"PROT{i}" for i in range(110, 120)]
    assert list(table.index) == list(first.var_names)
    assert table.loc[against, "discordant"].all()
    assert table["discordant"].sum() <= 12
    assert (table.loc[against, "effect"] < 0).all()
    assert table.loc["PROT3", "other_feature"] == "RNA3"
    assert result.values["median"] > 0.5
    assert result.values["p_permutation"] == pytest.approx(0.05)
    assert result.values["n_subjects"] == 40
    np.testing.assert_array_equal(first.X, before)


def test_unrelated_layers_give_the_level() -> None:
    p, found, permuted = [], 0, []
    for seed in range(8):
        first, second = layers(strength=0.0, seed=seed)
        result = cross_layer_correlation(first, second, subject="subject", n_permutations=19, seed=seed)
        p.append(result.table("cross_layer")["p"].to_numpy())
        found += result.values["n_significant"] > 0
        permuted.append(result.values["p_permutation"])
    assert np.mean(np.concatenate(p) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert found <= 2
    assert 0.25 < np.mean(permuted) < 0.8


def test_a_group_that_moves_both_layers_is_taken_out() -> None:
    first, second = layers(strength=0.0)
    moved = (first.obs["group"] == "a").to_numpy()
    first.X[moved] += 3
    order = second.obs["subject"].map(dict(zip(first.obs["subject"], moved, strict=True))).to_numpy(bool)
    second.X[order] += 3
    naive = cross_layer_correlation(first, second, subject="subject", n_permutations=0)
    partial = cross_layer_correlation(
        first, second, subject="subject", covariates=("group",), n_permutations=0
    )
    assert naive.values["n_significant"] > 100
    assert partial.values["n_significant"] <= 2


def test_rows_of_a_subject_are_averaged() -> None:
    first, second = layers(n=20, strength=0.0, missing=0.0)
    often = anndata.concat([first] * 4, index_unique="-")
    often.var = first.var.copy()
    once = cross_layer_correlation(first, second, subject="subject", n_permutations=0)
    result = cross_layer_correlation(often, second, subject="subject", n_permutations=0)
    assert result.values["n_subjects"] == 20
    np.testing.assert_allclose(result.table("cross_layer")["p"], once.table("cross_layer")["p"], rtol=1e-6)


def test_what_is_lost_is_said() -> None:
    first, second = layers()
    result = cross_layer_correlation(
        first[:, :100].copy(), second[:30, 20:].copy(), subject="subject", n_permutations=0
    )
    lost = result.table("unmatched")
    assert set(lost.loc[lost["layer"] == "first", "feature"]) == {f"PROT{i}" for i in range(20)}
    assert set(lost.loc[lost["layer"] == "other", "feature"]) == {f"RNA{i}" for i in range(100, 120)}
    assert result.values["n_subjects_lost"] == 10
    assert any("no counterpart" in note for note in result.warnings)


def test_bad_input() -> None:
    first, second = layers()
    with pytest.raises(InputError, match=r"0 subjects are in both layers; only in the first: \['p_u00'"):
        cross_layer_correlation(first, second)
    with pytest.raises(InputError, match="no column 'person'"):
        cross_layer_correlation(first, second, subject="person")
    apart = second.copy()
    apart.var_names = [f"x{i}" for i in range(apart.n_vars)]
    apart.var["gene"] = ""
    with pytest.raises(InputError, match="none of 120 features"):
        cross_layer_correlation(first, apart, subject="subject")
    twice = first.copy()
    twice.var_names = ["PROT1", *twice.var_names[1:]]
    with pytest.raises(InputError, match="1 feature ids are duplicated, such as 'PROT1'"):
        cross_layer_correlation(twice, second, subject="subject")
    visits = anndata.concat([first] * 2, index_unique="-")
    visits.var = first.var.copy()
    visits.obs["visit"] = np.repeat(["one", "two"], first.n_obs)
    with pytest.raises(InputError, match="'visit' differs between the samples of 40 subjects, such as 'u00'"):
        cross_layer_correlation(visits, second, subject="subject", covariates=("visit",))


def test_constant_layers_are_said() -> None:
    first, second = layers()
    first.X = np.full(first.shape, 20.0)
    result = cross_layer_correlation(first, second, subject="subject", n_permutations=3)
    assert result.summary == "no feature of 120 could be tested over 40 subjects."
    assert result.values["median"] is None


def _mixed(seed: int, changed: int, n: int = 40, p: int = 300) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Two layers with correlations of various sizes in the first `changed` genes, and a group that moves both."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 2
    one, other = rng.normal(20, 1, (n, p)), rng.normal(8, 1, (n, p))
    rho = rng.uniform(0.2, 0.9, changed) * rng.choice([-1, 1], changed)
    other[:, :changed] = 8 + rho * (one[:, :changed] - 20) + np.sqrt(1 - rho**2) * (other[:, :changed] - 8)
    one, other = one + 0.8 * group[:, None], other + 0.8 * group[:, None]
    one[rng.random(one.shape) < 0.05] = np.nan
    obs = pd.DataFrame({"group": np.where(group, "a", "b")}, index=[f"s{at}" for at in range(n)])
    var = pd.DataFrame(index=[f"P{at}" for at in range(p)])
    return anndata.AnnData(one, obs=obs, var=var), anndata.AnnData(other, obs=obs, var=var)


def test_confidence_of_a_correlation_is_its_share_of_true_ones() -> None:
    """Over data sets that no regression has seen: what is called ninety in a hundred is right so often."""
    sure, right = [], []
    for seed in range(6):
        result = cross_layer_correlation(
            *_mixed(seed, 60),
            covariates=("group",),
            n_permutations=0,
            n_subsamples=10,
            n_plantings=5,
            seed=seed,
        )
        assert result.values["calibrated"]
        assert result.values["ece"] < 0.1  # type: ignore[operator]
        sure.append(result.table("cross_layer")["confidence"].to_numpy())
        right.append(np.arange(300) < 60)
    found, true = np.concatenate(sure), np.concatenate(right)
    edges = np.clip((found * 10).astype(int), 0, 9)
    ece = sum((edges == at).mean() * abs(found[edges == at].mean() - true[edges == at].mean())
              for at in np.unique(edges))  # fmt: skip
    assert ece < 0.06
    assert true[found >= 0.9].mean() >= 0.9
    assert (found[true] >= 0.7).mean() > 0.4


def test_no_confident_correlation_between_unrelated_layers() -> None:
    for seed in range(3):
        table = cross_layer_correlation(
            *_mixed(seed, 0), covariates=("group",), n_permutations=0, n_subsamples=10, n_plantings=5
        ).table("cross_layer")
        assert not (table["confidence"] >= 0.7).any()


@pytest.mark.parametrize("kind", ["spearman", "pearson"])
def test_planted_correlations_have_the_size_that_was_asked_for(kind: str) -> None:
    """Four standard errors of Fisher's z, in each direction, beside a covariate; spread and gaps stay."""
    one, other = _mixed(1, 0)
    group = (one.obs["group"] == "a").to_numpy(float)
    design = np.column_stack([np.ones(40), group])
    test = LayerTest(
        np.asarray(one.X).T, np.asarray(other.X).T, design, np.zeros(40, dtype=np.intp), kind, 8  # type: ignore[arg-type]
    )  # fmt: skip
    rows = np.arange(300)
    size = np.where(rows % 2, 4.0, -4.0)
    planted = test.planted(rows, size)
    found = correlate_rows(planted.first, planted.second, design, kind, 8)  # type: ignore[arg-type]
    error = 1 / np.sqrt(found.n - 4)
    assert np.mean(found.z / error * np.sign(size)) == pytest.approx(4.0, abs=0.4)
    np.testing.assert_array_equal(np.isnan(planted.second), np.isnan(test.second))
    assert np.mean(planted.second.std(axis=1) / test.second.std(axis=1)) == pytest.approx(1.0, abs=0.05)
    assert (planted.second[:, group == 1].mean() - planted.second[:, group == 0].mean()) == pytest.approx(
        test.second[:, group == 1].mean() - test.second[:, group == 0].mean(), abs=0.05
    )
