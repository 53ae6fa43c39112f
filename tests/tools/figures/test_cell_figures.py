"""Figures of cells: what is drawn is what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools import registry
from tests.tools.cases import run
from tests.tools.cytometry.planted import STIMULATION, planted_cells

transform = registry.get("transform_cells")
embedding, populations, markers = (
    registry.get(f"plot_{name}") for name in ("embedding", "populations", "markers")
)


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_neighbours_stay_neighbours(method: str) -> None:
    cells = transform(planted_cells(n_donors=2, n_cells=100)).dataset()
    result = embedding(cells, method=method, colour=("truth",), n_cells=250, seed=1)
    data = result.figures["embedding"].data
    assert len(data) == result.values["n_cells"]
    assert set(data["truth"]) == set(cells.obs["truth"])
    plane = data[["x", "y"]].to_numpy()
    apart = ((plane[:, None] - plane[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(apart, np.inf)
    same = data["truth"].to_numpy()[apart.argmin(axis=1)] == data["truth"].to_numpy()
    assert same.mean() > 0.95
    assert embedding(cells, method=method, colour=("truth",), n_cells=250, seed=1).figures[
        "embedding"
    ].svg == (result.figures["embedding"].svg)


def test_embedding_of_an_unknown_column() -> None:
    with pytest.raises(InputError, match="no sample column 'kind'"):
        embedding(transform(planted_cells(n_donors=1, n_cells=60)).dataset(), colour=("kind",))


def test_shares_are_those_of_the_cells() -> None:
    cells = run("annotate_clusters").dataset()
    shares = run("cell_abundance_test").dataset("shares")
    data = populations(shares, contrast=STIMULATION).figures["populations"].data
    counts = cells.obs.groupby([cells.obs["sample"].astype(str), cells.obs["population"].astype(str)]).size()
    for row in data.head(12).to_dict("records"):
        donor, group = row["unit"].split(" | ")
        own = counts[f"{donor} {group}"]
        assert row["share"] == pytest.approx(own.get(row["population"], 0) / own.sum())
    assert data.groupby("unit")["share"].sum().round(6).eq(1.0).all()


def test_populations_need_shares() -> None:
    with pytest.raises(InputError, match="no layer 'share'"):
        populations(run("annotate_clusters").dataset(), contrast=STIMULATION)
    with pytest.raises(InputError, match="name groups"):
        populations(run("cell_abundance_test").dataset("shares"))


def test_markers_are_medians_of_the_cells() -> None:
    cells = run("annotate_clusters").dataset()
    data = markers(cells).figures["markers"].data.set_index("group")
    own = cells[(cells.obs["cluster"] == "C1").to_numpy()]
    assert data.loc["C1", "CD3"] == pytest.approx(float(np.median(np.asarray(own[:, ["CD3"]].X))), rel=1e-5)
    assert data.loc["C1", "n_cells"] == own.n_obs
    assert data.loc["C1", "label"] == own.obs["population"].astype(str).iloc[0]
