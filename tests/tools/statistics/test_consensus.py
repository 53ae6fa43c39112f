"""Clusters that are there are found, and clouds of any shape are none."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from nereus.errors import InputError, PlanError
from nereus.tools.statistics.consensus import consensus_clusters
from nereus.tools.statistics.unimodal import fit_unimodal, reference

QUICK = {"max_k": 4, "n_resamples": 15, "n_null": 39}


def as_data(X: np.ndarray) -> anndata.AnnData:
    obs = pd.DataFrame(index=[f"s{i}" for i in range(len(X))])
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(X.shape[1])]))


def clustered(n_clusters: int, n: int = 36, effect: float = 1.6, seed: int = 11) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    label = np.arange(n) % n_clusters
    given = as_data(rng.normal(24, 1, (n, 80)) + rng.normal(0, effect, (n_clusters, 80))[label])
    given.obs["type"] = [f"t{one}" for one in label]
    given.obs["age"] = rng.normal(50, 9, n)
    return given


def cloud(kind: str, n: int, p: int, seed: int) -> anndata.AnnData:
    """Correlated data without clusters: three latent factors of some shape, and noise."""
    rng = np.random.default_rng(seed)
    loadings, noise = rng.normal(size=(3, p)), rng.normal(size=(n, p))
    factors = {
        "none": np.zeros((n, 3)),
        "normal": rng.normal(size=(n, 3)),
        "heavy": rng.standard_t(4, size=(n, 3)),
        "gradient": rng.uniform(-2, 2, size=(n, 3)),
    }
    if kind == "elliptic":
        return as_data((factors["normal"] @ loadings + noise) / np.sqrt(rng.chisquare(5, (n, 1)) / 5))
    return as_data(factors[kind] @ loadings + noise)


@pytest.mark.parametrize("kind", ["none", "normal", "heavy", "gradient", "elliptic"])
def test_clouds_without_clusters_give_none(kind: str) -> None:
    found = [
        consensus_clusters(cloud(kind, 50, 80, seed), seed=seed, **QUICK).values["structure"]
        for seed in range(6)
    ]
    assert sum(found) <= 1
    result = consensus_clusters(cloud(kind, 50, 80, 99), seed=1, **QUICK)
    if not result.values["structure"]:
        assert "support no claim" in result.warnings[0]
        assert result.summary.startswith("no clusters")


@pytest.mark.parametrize(("k", "method"), [(2, "kmeans"), (3, "kmeans"), (3, "gmm")])
def test_clusters_are_found_again(k: int, method: str) -> None:
    given = clustered(k)
    before = np.array(given.X)
    result = consensus_clusters(given, method=method, seed=1, **QUICK)
    assert (result.values["k"], result.values["structure"]) == (k, True)
    assert result.values["p"] <= 0.05
    found = result.table("clusters")
    assert adjusted_rand_score(given.obs["type"], found["cluster"]) == 1.0
    assert found["core"].all()
    top = result.table("associations").set_index("column")
    assert top.loc["type", "q"] < 0.01
    assert top.loc["age", "q"] > 0.01
    assert list(result.table("markers")["feature"]) == list(given.var_names)
    assert "p" not in result.table("markers").columns
    assert any("circular" in note for note in result.warnings)
    np.testing.assert_array_equal(given.X, before)


def test_single_outliers_are_no_cluster() -> None:
    given = cloud("normal", 40, 60, 3)
    given.X[:2] += 40.0
    assert consensus_clusters(given, seed=1, **QUICK).values["structure"] is False


def test_rows_of_a_subject_are_one_point() -> None:
    """Five near-identical rows of each subject look like clusters of five; subjects are a cloud."""
    given = cloud("normal", 12, 60, 5)
    rows = as_data(
        np.repeat(np.asarray(given.X), 5, axis=0) + np.random.default_rng(1).normal(0, 0.1, (60, 60))
    )
    rows.obs["subject"] = np.repeat([f"u{i:02d}" for i in range(12)], 5)
    result = consensus_clusters(rows, subject="subject", seed=1, **QUICK)
    assert result.values["n_units"] == 12
    assert result.values["structure"] is False
    per_subject = result.table("clusters").groupby("subject")["cluster"].nunique()
    assert (per_subject == 1).all()
    assert len(result.table("clusters")) == 60


def test_a_batch_can_be_taken_out() -> None:
    given = clustered(2, n=40)
    given.obs["batch"] = np.repeat(["x", "y"], 20)
    given.X[20:] += np.random.default_rng(2).normal(0, 4, 80)
    plain = consensus_clusters(given, k=2, seed=1, **QUICK).table("clusters")["cluster"]
    freed = consensus_clusters(given, k=2, adjust=("batch",), seed=1, **QUICK)
    assert adjusted_rand_score(given.obs["batch"], plain) == 1.0
    assert adjusted_rand_score(given.obs["type"], freed.table("clusters")["cluster"]) == 1.0
    assert "batch" not in set(freed.table("associations")["column"])


def test_missing_values_and_same_seed() -> None:
    given = clustered(3)
    given.X[np.random.default_rng(0).random(given.shape) < 0.2] = np.nan
    first, second = (consensus_clusters(given, seed=5, leave_out=["type"], **QUICK) for _ in range(2))
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])
    assert first.values["k"] == 3
    assert "type" not in set(first.table("associations")["column"])


@pytest.mark.parametrize("turned", ["samples", "features"])
def test_the_order_of_the_table_does_not_matter(turned: str) -> None:
    given = clustered(2, effect=0.7)
    given.X[np.random.default_rng(0).random(given.shape) < 0.1] = np.nan
    rng = np.random.default_rng(3)
    other = given[rng.permutation(36)] if turned == "samples" else given[:, rng.permutation(80)]
    one, two = (consensus_clusters(each, seed=5, **QUICK) for each in (given, other.copy()))
    assert one.values == pytest.approx(two.values)
    for name in ("clusters", "solutions", "markers", "associations", "consensus"):
        key = one.tables[name].columns[0]
        told, again = one.tables[name].set_index(key), two.tables[name].set_index(key)
        pd.testing.assert_frame_equal(told, again.loc[told.index, told.columns], rtol=1e-6)
    assert list(one.table("clusters")["sample"]) == list(given.obs_names)
    assert one.values["k"] == 2
    assert set(one.table("markers")["cluster"]) == {"C1"}


def test_unimodal_reference_keeps_spread_and_loses_the_valley() -> None:
    rng = np.random.default_rng(0)
    two = np.column_stack(
        [np.concatenate([rng.normal(-4, 1, 60), rng.normal(4, 1, 60)]), rng.normal(0, 2, 120)]
    )
    two -= two.mean(axis=0)
    drawn = next(reference(two, 1, rng))
    np.testing.assert_allclose(np.cov(drawn.T, bias=True), np.diag(two.var(axis=0)), atol=0.6)
    assert np.mean(np.abs(drawn[:, 0]) < 2) > 0.2
    one = fit_unimodal(rng.normal(size=300))
    density = one.mass / np.diff(one.edges)
    top = int(density.argmax())
    assert (np.diff(density[: top + 1]) >= -1e-12).all()
    assert (np.diff(density[top:]) <= 1e-12).all()


def test_bad_input() -> None:
    with pytest.raises(InputError, match="5 subjects are too few"):
        consensus_clusters(clustered(2, n=5))
    with pytest.raises(InputError, match="k = 9 clusters of 12 subjects"):
        consensus_clusters(clustered(2, n=12), k=9)
    with pytest.raises(PlanError, match="k:"):
        consensus_clusters(clustered(2), k=1)
    with pytest.raises(InputError, match="no column 'mouse'"):
        consensus_clusters(clustered(2), subject="mouse")
    given = clustered(2)
    given.obs["id"] = given.obs_names
    with pytest.raises(InputError, match="it names samples"):
        consensus_clusters(given, adjust=("id",))
    with pytest.raises(InputError, match="one feature varies"):
        consensus_clusters(given[:, :1].copy())
    given.obs_names = ["s0", *given.obs_names[:-1]]
    with pytest.raises(InputError, match="1 sample names are duplicated"):
        consensus_clusters(given)
    given.var_names = ["P0", *given.var_names[:-1]]
    with pytest.raises(InputError, match="1 feature ids are duplicated"):
        consensus_clusters(given)


def test_mice_fall_into_their_two_behaviours(shared_data: Path) -> None:
    """72 mice, measured 15 times each: context-shock or shock-context, found without a label."""
    path = shared_data / "clinical_mouse_cortex_down_syndrome" / "Data_Cortex_Nuclear.csv.gz"
    raw = pd.read_csv(path, sep=";")
    given = as_data(np.log2(raw.iloc[:, 1:78].to_numpy(float).clip(1e-6)))
    given.obs["mouse"] = raw["MouseID"].str.rsplit("_", n=1).str[0].to_numpy()
    for column in ("Genotype", "Treatment", "Behavior"):
        given.obs[column] = raw[column].to_numpy()
    result = consensus_clusters(given, subject="mouse", seed=1)
    assert (result.values["k"], result.values["structure"]) == (2, True)
    assert result.values["top_column"] == "Behavior"
    table = result.table("associations").set_index("column")
    assert table.loc["Behavior", "effect"] > 0.9
    assert table.loc["Genotype", "q"] > 0.05


def test_two_cell_lines_once_runs_are_evened_out(shared_data: Path) -> None:
    folder = shared_data / "sc_scope2_hek_u937"
    matrix = pd.read_csv(folder / "SingleCell_PeptidesXsamples.txt.gz", sep=r"\s+", index_col=0)
    ids = pd.read_csv(folder / "SingleCell_ids.txt", sep=r"\s+").set_index("id").loc[matrix.columns]
    sheet = pd.read_csv(folder / "Cellenone_annotation_sc_bulk.csv").set_index("Set")
    kind = [
        sheet.loc[run, f"RI{channel.rsplit('.', 1)[1]}"]
        for run, channel in zip(ids["Raw.file"], ids["Reporter.ion"], strict=True)
    ]
    given = as_data(matrix.to_numpy(float).T)
    given.obs["kind"], given.obs["run"] = kind, ids["Raw.file"].to_numpy()
    given = given[given.obs["kind"].isin(["sc_h", "sc_u"]).to_numpy()].copy()
    naive = consensus_clusters(given, seed=1, max_k=4)
    assert naive.table("associations").set_index("column").loc["run", "q"] < 0.01
    result = consensus_clusters(given, adjust=("run",), seed=1, max_k=4)
    assert (result.values["k"], result.values["structure"]) == (2, True)
    assert adjusted_rand_score(given.obs["kind"], result.table("clusters")["cluster"]) == 1.0
