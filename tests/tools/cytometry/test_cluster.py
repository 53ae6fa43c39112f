"""Clusters of cells: planted ones, gated ones, their stability, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.base import SourceFile
from nereus.tools.cytometry.cluster import _best, best_overlap
from nereus.tools.cytometry.som import fit_map, meta_clusters, nearest_node
from tests.tools.cytometry.planted import planted_cells
from tests.tools.cytometry.real_cells import gated_centres, gated_spleen, matched_f1, merged_f1

transform, cluster = registry.get("transform_cells"), registry.get("cluster_cells")
SPLEEN_MARKERS = ("CD8", "TCRyd", "TCRb", "NK1/1", "CD4", "CD19", "CD3")


def labels(data: anndata.AnnData, column: str = "cluster") -> np.ndarray:
    return np.asarray(data.obs[column].astype(str))


def test_planted_populations_are_found() -> None:
    cells = transform(planted_cells(n_donors=3, n_cells=500)).dataset()
    result = cluster(cells, k=5, n_subsamples=5, seed=1)
    assert adjusted_rand_score(labels(cells, "truth"), labels(result.dataset())) > 0.95
    assert result.values["stability"] > 0.9
    assert result.table("clusters")["stable"].all()
    # Stimulated B cells have more pS6, a state marker: they are still one cluster with the others.
    assert "pS6" not in set(result.table("markers")["marker"])


def test_clusters_are_the_same_for_any_order_of_columns_and_again() -> None:
    cells = transform(planted_cells(n_donors=2, n_cells=300)).dataset()
    first = labels(cluster(cells, k=5, n_subsamples=2, seed=3).dataset())
    assert (labels(cluster(cells, k=5, n_subsamples=2, seed=3).dataset()) == first).all()
    turned = cells[:, ::-1].copy()
    assert adjusted_rand_score(labels(cluster(turned, k=5, n_subsamples=2, seed=3).dataset()), first) > 0.99


def test_a_continuum_is_told_by_its_stability() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 6)).astype(np.float32)
    cells = anndata.AnnData(X, obs=pd.DataFrame({"sample": ["a"] * 4000}, index=map(str, range(4000))))
    cells.var_names = [f"CD{i}" for i in range(6)]
    result = cluster(cells, n_subsamples=5, seed=1)
    assert result.values["stability"] < 0.6
    assert not result.table("clusters")["stable"].all()
    assert any("continuum" in text for text in result.warnings)


def test_cells_that_were_not_learnt_from_are_assigned() -> None:
    cells = transform(planted_cells(n_donors=3, n_cells=500)).dataset()
    result = cluster(cells, k=5, n_subsamples=2, max_cells=400, seed=1)
    assert result.values["n_learnt"] == 400
    assert result.values["n_clustered"] == cells.n_obs
    assert adjusted_rand_score(labels(cells, "truth"), labels(result.dataset())) > 0.9


def test_cells_without_a_value_have_no_cluster() -> None:
    cells = transform(planted_cells(n_donors=2, n_cells=200)).dataset()
    X = np.array(cells.X)
    X[:7, 0] = np.nan
    cells.X = X
    made = cluster(cells, k=4, n_subsamples=2, seed=1)
    assert made.dataset().obs["cluster"].isna().sum() == 7
    assert made.values["n_clustered"] == cells.n_obs - 7


def test_cluster_of_one_sample_is_told() -> None:
    cells = transform(planted_cells(n_donors=3, n_cells=300)).dataset()
    X = np.array(cells.X)
    odd = (cells.obs["sample"] == "d1 resting").to_numpy()
    X[odd, 4] += 8.0
    cells.X = X
    result = cluster(cells, k=6, n_subsamples=2, seed=1)
    assert result.values["n_sample_bound"] >= 1
    assert any("one sample" in text for text in result.warnings)


def test_leiden_through_scanpy_finds_planted_populations() -> None:
    cells = transform(planted_cells(n_donors=2, n_cells=300)).dataset()
    result = cluster(cells, method="leiden", resolution=0.3, n_subsamples=2, max_cells=500, seed=1)
    assert adjusted_rand_score(labels(cells, "truth"), labels(result.dataset())) > 0.9


def test_small_populations_among_large_ones_are_stable_communities() -> None:
    scanpy = pytest.importorskip("scanpy")
    path = Path(scanpy.__file__).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file is of an older format
        blood = registry.get("load_dataset")(SourceFile(path, path.name), None).dataset()
    result = cluster(transform(blood).dataset(), seed=0)
    table = result.table("clusters")
    # Thirteen precursors, and natural killer cells apart from the other T cells.
    found, given = labels(result.dataset()), labels(blood, "bulk_labels")
    stem = found[given == "CD34+"]
    assert len(set(stem)) == 1
    assert table.set_index("cluster")["n_cells"][stem[0]] == 13
    assert table["stable"].all()
    killers = pd.Series(found[given == "CD56+ NK"]).mode()[0]
    assert (found[given == "CD56+ NK"] == killers).mean() > 0.9
    assert (found[given == "CD4+/CD25 T Reg"] == killers).mean() < 0.1


@pytest.mark.parametrize(
    ("method", "ari", "stability", "taken"),
    [
        ("leiden", [0.98, 0.90, 0.85], [[0.9, 0.9], [0.9, 0.9, 0.6], [0.9, 0.9, 0.8, 0.75]], 2),
        ("leiden", [0.98, 0.90, 0.85], [[0.9, 0.9], [0.9, 0.9, 0.8], [0.9, 0.9, 0.8, 0.65]], 1),
        ("leiden", [0.98, 0.95, 0.85], [[0.9, 0.9], [0.9, 0.6, 0.6], [0.9, 0.9, 0.9, 0.6]], 1),
        ("leiden", [0.50, 0.40, 0.30], [[0.5, 0.5], [0.5, 0.4, 0.3], [0.2, 0.2, 0.1, 0.1]], 0),
        ("som", [0.98, 0.90, 0.85], [[0.9, 0.9], [0.9, 0.9, 0.6], [0.9, 0.9, 0.8, 0.75]], 0),
    ],
)
def test_the_finest_partition_of_stable_parts_is_taken(
    method: str, ari: list[float], stability: list[list[float]], taken: int
) -> None:
    choices = [0.3, 0.5, 0.8]
    parts = {one: [np.array(levels)] * 3 for one, levels in zip(choices, stability, strict=True)}
    assert _best(method, choices, np.array(ari), parts) == taken


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"k": 50}, "too few for 50 clusters"),
        ({"markers": ("CD99",)}, "unknown markers"),
        ({"method": "leiden", "k": 5}, "takes a resolution"),
        ({"method": "som", "resolution": 1.0}, "takes k"),
        ({"min_k": 9, "max_k": 4}, "exceeds"),
    ],
)
def test_what_cannot_be_clustered(params: dict[str, object], message: str) -> None:
    cells = transform(planted_cells(n_donors=1, n_cells=60)).dataset()
    with pytest.raises(InputError, match=message):
        cluster(cells, **params)


def test_no_marker_varies() -> None:
    cells = anndata.AnnData(np.ones((50, 2), dtype=np.float32))
    with pytest.raises(InputError, match="no marker varies"):
        cluster(cells)


# ------------------------------------------------------------------------------------------------- the numbers


def test_meta_clusters_have_exactly_the_number_asked_for() -> None:
    rng = np.random.default_rng(0)
    nodes = np.round(rng.normal(size=(40, 3)), 1)  # ties
    found = meta_clusters(nodes, [2, 7, 40, 41], 10, rng)
    assert {k: len(np.unique(of)) for k, of in found.items()} == {2: 2, 7: 7, 40: 40}


def test_map_explains_the_cells_nearly_as_well_as_k_means() -> None:
    points = np.random.default_rng(0).normal(size=(3000, 5)).astype(np.float32)
    fitted = fit_map(points, 6)
    assert (nearest_node(points, fitted.nodes) == fitted.of).all()
    ours = ((points - fitted.nodes[fitted.of]) ** 2).sum()
    best = KMeans(36, n_init=1, random_state=0).fit(points).inertia_
    assert ours < 1.15 * best


def test_overlap_of_a_cluster_with_another_partition() -> None:
    found = best_overlap(np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 1]), 4)
    np.testing.assert_allclose(found[:3], [2 / 3, 2 / 4, 1 / 4])
    assert np.isnan(found[3])


# ------------------------------------------------------------------------------------------------- known truth


def test_gates_of_a_spleen(shared_data: Path) -> None:
    cells = transform(gated_spleen(shared_data)).dataset()
    result = cluster(cells, markers=SPLEEN_MARKERS, n_subsamples=5, seed=1)
    truth, found = labels(cells, "gate"), labels(result.dataset())
    f1, merged = matched_f1(truth, found, ("Unlabeled",)), merged_f1(truth, found, ("Unlabeled",))
    assert np.mean(list(f1.values())) > 0.8
    assert min(merged.values()) > 0.7
    assert min(merged[gate] for gate in ("B cells", "CD4 T cells", "CD8 T cells", "gd T cells")) > 0.98
    X = np.asarray(cells[:, list(SPLEEN_MARKERS)].X)
    naive = KMeans(result.values["k"], n_init=3, random_state=0).fit_predict(X).astype(str)
    assert np.mean(list(f1.values())) > np.mean(list(matched_f1(truth, naive, ("Unlabeled",)).values()))


def test_gates_of_eight_centres(shared_data: Path) -> None:
    cells = transform(gated_centres(shared_data, 40_000)).dataset()
    result = cluster(cells, n_subsamples=5, seed=1)
    merged = merged_f1(labels(cells, "gate"), labels(result.dataset()), ("ungated",))
    assert min(merged.values()) > 0.96


def test_bulk_labels_of_blood_transcriptomes(shared_data: Path) -> None:
    cells = anndata.read_h5ad(shared_data / "sc_pbmc68k_reduced" / "10x_pbmc68k_reduced.h5ad")
    result = cluster(cells, n_subsamples=4, seed=1)
    assert result.values["method"] == "leiden"
    truth, found = labels(cells, "bulk_labels"), labels(result.dataset())
    published = adjusted_rand_score(truth, labels(cells, "louvain"))
    assert adjusted_rand_score(truth, found) >= published - 0.02
    merged = merged_f1(truth, found, ())
    assert min(merged["CD19+ B"], merged["Dendritic"], merged["CD34+"]) > 0.8
