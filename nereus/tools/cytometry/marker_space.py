"""The space in which cells are near or far: markers on comparable ranges, or principal components of many features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nereus.errors import InputError
from nereus.tools.cytometry.cell_table import IntArray, Mask, Values, choose_markers, marker_values
from nereus.tools.cytometry.marker_classes import LINEAGE, PANEL_SIZE, STATE, marker_classes

if TYPE_CHECKING:
    from anndata import AnnData

_LOW, _HIGH = 0.5, 99.5
"""Percentiles that are the ends of a marker's range: a rare population fills more than what lies beyond."""
_MOST_MISSING = 0.5
_MOST_FEATURES = 2000
_COMPONENTS = 30


@dataclass(frozen=True)
class MarkerSpace:
    """Cells as points.

    Attributes
    ----------
    points
        Shape (cells used, dimensions), float32.
    cells
        Positions of the cells used; the others lack a value.
    columns
        Positions in var of the markers behind the dimensions.
    components
        Whether the dimensions are principal components.
    notes
        What the reader should know.
    """

    points: Values
    cells: IntArray
    columns: IntArray
    components: bool
    notes: tuple[str, ...]


def marker_space(
    dataset: AnnData, markers: tuple[str, ...], n_components: int = _COMPONENTS, what: str = "clustering"
) -> MarkerSpace:
    """Points of all cells in the space of the named markers, or of the lineage markers.

    Up to 200 markers are divided by their range between two outer percentiles; more features are turned into
    principal components, after a choice of those that vary most where there are thousands.

    Raises
    ------
    InputError
        An unknown marker, none that varies, or fewer than three cells with values.
    """
    classes = (LINEAGE,)
    notes: list[str] = []
    if not markers and LINEAGE not in marker_classes(dataset):
        classes = (STATE,)
        notes.append(
            "the panel has no lineage marker: state markers were used, which change within populations"
        )
    columns, more = choose_markers(dataset, markers, classes, what)
    notes += more
    if len(columns) > PANEL_SIZE:
        return _components(dataset, columns, n_components, notes, what)
    values = marker_values(dataset, columns)
    missing = np.isnan(values).mean(axis=0)
    if (missing > _MOST_MISSING).any():
        lost = [str(dataset.var_names[at]) for at in columns[missing > _MOST_MISSING]]
        notes.append(f"markers missing in more than half of the cells were left out: {', '.join(lost[:6])}")
        columns, values = columns[missing <= _MOST_MISSING], values[:, missing <= _MOST_MISSING]
    cells = np.flatnonzero(~np.isnan(values).any(axis=1)) if values.shape[1] else np.empty(0, dtype=np.intp)
    if len(cells) < 3:
        raise InputError(
            f"{len(cells)} cells have a value in every marker used",
            where=what,
            mend="name markers that were measured in all samples",
        )
    if len(cells) < dataset.n_obs:
        notes.append(f"{dataset.n_obs - len(cells)} cells lack a value in a marker used and were left out")
    points = values[cells]
    low, high = np.percentile(points, [_LOW, _HIGH], axis=0)
    width = np.where(high > low, high - low, np.ptp(points, axis=0))
    varies: Mask = width > 0
    points = (points[:, varies] - low[varies]) / width[varies]
    return MarkerSpace(points.astype(np.float32), cells, columns[varies], False, tuple(notes))


def _components(
    dataset: AnnData, columns: IntArray, n_components: int, notes: list[str], what: str
) -> MarkerSpace:
    from nereus.tools.statistics.pca import principal_components

    if len(columns) > _MOST_FEATURES:
        columns = columns[most_variable(dataset, columns, _MOST_FEATURES)]
        notes.append(f"of many features, those that vary most were used ({len(columns)})")
    values = marker_values(dataset, columns)
    cells = np.flatnonzero(~np.isnan(values).all(axis=1))
    if len(cells) < 3:
        raise InputError(f"{len(cells)} cells have a value", where=what, mend="check the file")
    found = principal_components(values[cells].astype(np.float64), min(n_components, len(cells) - 1))
    if found.filled > 0:
        notes.append(f"{found.filled:.1%} of the values used were missing: the feature's mean stands in")
    return MarkerSpace(
        np.asarray(found.scores, dtype=np.float32), cells, columns[found.used], True, tuple(notes)
    )


def most_variable(dataset: AnnData, columns: IntArray, n: int) -> IntArray:
    """Positions within `columns` of the `n` features of largest variance for their mean, ascending.

    The variance of log counts follows their mean, so features are compared with others of similar mean: variance over
    its median in one of twenty bins.
    """
    X = dataset.X[:, columns]
    if hasattr(X, "toarray"):
        mean = np.asarray(X.mean(axis=0)).ravel()
        variance = np.asarray(X.multiply(X).mean(axis=0)).ravel() - mean**2
    else:
        values = np.asarray(X, dtype=np.float64)
        seen = ~np.isnan(values).all(axis=0)
        mean, variance = np.zeros(len(columns)), np.zeros(len(columns))
        mean[seen], variance[seen] = np.nanmean(values[:, seen], axis=0), np.nanvar(values[:, seen], axis=0)
    order = np.argsort(mean, kind="stable")
    excess = np.zeros(len(columns))
    for part in np.array_split(order, 20):
        usual = float(np.median(variance[part])) if len(part) else 0.0
        excess[part] = variance[part] / max(usual, 1e-12)
    return np.sort(np.argsort(-excess, kind="stable")[:n])
