"""Communities of a graph of neighbouring cells: the Leiden algorithm through scanpy, and the cells it did not see."""

from __future__ import annotations

import numpy as np

from nereus.tools.cytometry.cell_table import FloatArray, IntArray, Values
from nereus.tools.singlecell.normalise import scanpy_module


def leiden_clusters(
    points: Values, resolutions: list[float], n_neighbours: int, seed: int
) -> dict[float, IntArray]:
    """Community of every cell for each resolution.

    Parameters
    ----------
    points
        Cells in a space of markers or components, shape (cells, dimensions).
    resolutions
        Higher gives more communities.
    n_neighbours
        Neighbours of a cell in the graph.
    seed
        Of the algorithm's order of visits.

    Notes
    -----
    Traag, Waltman & van Eck 2019, Sci Rep 9:5233; Wolf, Angerer & Theis 2018, Genome Biol 19:15 (scanpy). Exact
    neighbours, so that the graph does not depend on threads.
    """
    sc = scanpy_module("leiden clustering")
    import anndata

    cells = anndata.AnnData(X=np.ascontiguousarray(points))
    n_neighbours = min(n_neighbours, len(points) - 1)
    sc.pp.neighbors(cells, n_neighbors=n_neighbours, use_rep="X", transformer="sklearn", random_state=seed)
    found = {}
    for resolution in resolutions:
        sc.tl.leiden(
            cells, resolution=resolution, flavor="igraph", n_iterations=-1, directed=False, random_state=seed
        )
        found[resolution] = np.asarray(cells.obs["leiden"].astype(int), dtype=np.intp)
    return found


def label_by_neighbours(known: Values, labels: IntArray, points: Values, n_neighbours: int) -> IntArray:
    """Label of each point by the votes of its nearest known cells; ties go to the smaller label."""
    from sklearn.neighbors import KNeighborsClassifier

    voters = KNeighborsClassifier(n_neighbors=min(n_neighbours, len(known))).fit(known, labels)
    return np.asarray(voters.predict(points), dtype=np.intp)


def umap_plane(points: Values, n_neighbours: int, seed: int) -> FloatArray:
    """UMAP of cells through scanpy, on the graph of their exact neighbours: shape (cells, 2)."""
    sc = scanpy_module("UMAP")
    import anndata

    cells = anndata.AnnData(X=np.ascontiguousarray(points))
    n_neighbours = min(n_neighbours, len(points) - 1)
    sc.pp.neighbors(cells, n_neighbors=n_neighbours, use_rep="X", transformer="sklearn", random_state=seed)
    sc.tl.umap(cells, random_state=seed)
    return np.asarray(cells.obsm["X_umap"], dtype=np.float64)
