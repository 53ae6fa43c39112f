"""Names for clusters of cells, from what markers they have and lack; a cluster that fits nothing stays unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.cytometry.cell_table import (
    FloatArray,
    IntArray,
    Labels,
    cell_labels,
    group_means,
    group_medians,
    marker_values,
)
from nereus.tools.cytometry.marker_classes import PANEL_SIZE
from nereus.tools.cytometry.population_table import (
    UNKNOWN,
    Population,
    ancestors,
    columns_of,
    known_names,
    read_populations,
)
from nereus.tools.proteomics.matrix import derive

if TYPE_CHECKING:
    from anndata import AnnData

_FLOOR = 0.02
"""Least contribution of a requirement: one that fails altogether leaves little, but no zero."""


class AnnotateClustersParams(Params):
    """Parameters of `annotate_clusters`."""

    cluster: str = "cluster"
    """Column of the cells' clusters."""
    min_score: float = Field(default=0.4, ge=0, le=1)
    """Least score for a name; below it a cluster is ``unknown``."""
    min_margin: float = Field(default=0.05, ge=0, le=1)
    """Least distance to the score of another population; below it the name is ambiguous and their common parent is
    taken, or ``unknown`` where they have none.
    """
    min_separation: float = Field(default=1.0, ge=0)
    """A marker counts when its clusters' levels span this many standard deviations within clusters."""
    merge: bool = True
    """Give clusters of one name one population; otherwise the cluster stays in the name."""


@tool(
    "annotate_clusters",
    version="1",
    summary="Name clusters of cells by a table of markers; poor and ambiguous fits stay unknown and are told.",
    outputs=("dataset:dataset", "table:populations", "table:scores"),
    seconds=1.0,
)
def annotate_clusters(
    dataset: AnnData, markers: pd.DataFrame | None, params: AnnotateClustersParams, *, seed: int
) -> Result:
    """Name clusters by the markers that they have and lack.

    The level of a marker in a cluster (median of its cells; mean where there are hundreds of features) is put between
    0, the lowest, and 1, the highest cluster. The score of a population is the geometric mean of the levels of its
    positive markers (of alternatives, the highest) times that of one minus the negative ones. Negative markers
    that were not measured are left out; a population with an unmeasured positive requirement is not considered.

    Parameters
    ----------
    dataset
        Transformed values, obs = cells with a column of clusters.
    markers
        Table ``population, positive, negative, parent``; see `read_populations`. None takes the shipped table of
        immune cells.
    params
        See `AnnotateClustersParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        ``dataset``: obs column ``population`` (unknown clusters keep their name: ``unknown C7``). Table
        ``populations``: cluster, population, score, runner_up, runner_up_score, ambiguous, n_cells, share, high and low
        (markers at or above 0.7, at or below 0.3). Table ``scores``: cluster|population, cluster, population, score,
        n_markers. Values: n_clusters, n_named, n_unknown, n_ambiguous, n_populations, share_unknown, n_considered.

    Raises
    ------
    InputError
        There is no such column, or the table cannot be read.

    Notes
    -----
    Levels are relative to the clusters of this data set: a marker that all or no cells have tells nothing and is left
    out by `min_separation`.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> X = np.random.default_rng(0).normal(0, 0.2, (90, 3)) + 3 * np.eye(3)[np.arange(90) % 3]
    >>> obs = pd.DataFrame({"cluster": [f"C{i % 3 + 1}" for i in range(90)]}, index=map(str, range(90)))
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=["CD3", "CD19", "CD14"]))
    >>> annotate_clusters(data).table("populations")["population"].tolist()
    ['T cells', 'B cells', 'Monocytes']
    """
    clusters = cell_labels(dataset, params.cluster)
    populations = read_populations(markers)
    names = [str(name) for name in dataset.var_names]
    genes = [str(g) for g in dataset.var["gene"]] if "gene" in dataset.var else None
    known = known_names(names, genes)
    needed = sorted(
        {
            column
            for one in populations
            for group in (*one.positive, *one.negative)
            for marker in group
            for column in columns_of(marker, known)
        }
    )
    warnings: list[str] = []
    level: FloatArray = np.empty((len(clusters.names), 0))
    told = np.empty(0, dtype=bool)
    if needed:
        level, told = _levels(dataset, clusters, np.array(needed, dtype=np.intp), params.min_separation)
    at = {column: place for place, column in enumerate(needed) if told[place]}
    measured = {
        marker: [at[column] for column in columns_of(marker, known) if column in at]
        for one in populations
        for group in (*one.positive, *one.negative)
        for marker in group
    }
    scores, used = _scores(populations, measured, level)
    considered = np.flatnonzero(used > 0)
    if not len(considered):
        warnings.append(
            "no population of the table has its markers in this data set: all clusters are unknown; "
            "give a table of the panel's own markers"
        )
    parents = {one.name: one.parent for one in populations}
    rows = []
    for cluster, name in enumerate(clusters.names):
        given, best, second, ambiguous = _decide(
            scores[cluster], [one.name for one in populations], considered, parents, params
        )
        rows.append((name, given, *best, *second, ambiguous))
    table = pd.DataFrame(
        rows,
        columns=["cluster", "population", "score", "runner_up", "runner_up_score", "ambiguous"],
    )
    unknown = table["population"] == UNKNOWN
    labelled = unknown if params.merge else pd.Series(True, index=table.index)
    table["population"] = np.where(
        labelled, table["population"] + " " + table["cluster"], table["population"]
    )
    table["n_cells"] = clusters.counts
    table["share"] = table["n_cells"] / max(int(table["n_cells"].sum()), 1)
    shown = [names[column] for column in needed]
    table["high"] = [_named(shown, told, row >= 0.7) for row in level]
    table["low"] = [_named(shown, told, row <= 0.3) for row in level]
    order = list(dict.fromkeys(table["population"]))
    place = {population: number for number, population in enumerate(order)}
    of = np.array([place[one] for one in table["population"]] + [-1], dtype=np.intp)
    derived = derive(
        dataset, f"annotate_clusters: {len(order)} populations of {len(clusters.names)} clusters"
    )
    derived.obs["population"] = pd.Categorical.from_codes(of[clusters.codes].tolist(), categories=order)
    n_ambiguous = int(table["ambiguous"].sum())
    if n_ambiguous:
        told_of = table[table["ambiguous"]]
        warnings.append(
            "ambiguous clusters: "
            + "; ".join(
                f"{row['cluster']} fits {row['runner_up']} nearly as well"
                for row in told_of.head(8).to_dict("records")
            )
        )
    share_unknown = float(table.loc[unknown, "share"].sum())
    named = int((~unknown).sum())
    return Result(
        summary=(
            f"{named} of {len(table)} clusters were named ({len(set(table.loc[~unknown, 'population']))} populations); "
            f"{int(unknown.sum())} are unknown, {n_ambiguous} ambiguous."
        ),
        values={
            "n_clusters": len(table),
            "n_named": named,
            "n_unknown": int(unknown.sum()),
            "n_ambiguous": n_ambiguous,
            "n_populations": len(order),
            "share_unknown": finite(share_unknown),
            "n_considered": len(considered),
            "n_markers": int(told.sum()),
        },
        tables={"populations": table, "scores": _score_table(clusters.names, populations, scores, used)},
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=len(table),
        n_returned=len(table),
    )


def _levels(
    dataset: AnnData, clusters: Labels, columns: IntArray, min_separation: float
) -> tuple[FloatArray, np.ndarray]:
    """Level of each marker in each cluster between 0 and 1, and which markers tell clusters apart."""
    values = marker_values(dataset, columns)
    many = dataset.n_vars > PANEL_SIZE
    n = len(clusters.names)
    middle = (group_means if many else group_medians)(values, clusters.codes, n)
    low, high = np.fmin.reduce(middle, axis=0), np.fmax.reduce(middle, axis=0)
    known = clusters.codes >= 0
    away = values[known] - middle[clusters.codes[known]]
    finite_cells = np.isfinite(away)
    n_cells = np.maximum(finite_cells.sum(axis=0), 1)
    within = np.sqrt((np.where(finite_cells, away, 0.0).astype(np.float64) ** 2).sum(axis=0) / n_cells)
    width = high - low
    told = np.isfinite(width) & (width > 1e-9) & (width >= min_separation * within)
    scaled = np.divide(middle - low, width, out=np.zeros_like(middle), where=told & np.isfinite(middle))
    return scaled, told


def _scores(
    populations: list[Population], measured: dict[str, list[int]], level: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Score of each cluster for each population, and requirements used (0: not considered)."""
    scores = np.zeros((len(level), len(populations)))
    used = np.zeros(len(populations), dtype=np.intp)
    for number, one in enumerate(populations):
        has: list[FloatArray] = []
        for group in one.positive:
            columns = [measured[marker] for marker in group if measured[marker]]
            if not columns:
                has = []
                break
            has.append(np.max([level[:, c].mean(axis=1) for c in columns], axis=0))
        if not has:
            continue
        lacks: list[FloatArray] = []
        for group in one.negative:
            columns = [measured[marker] for marker in group if measured[marker]]
            if columns:
                lacks.append(1.0 - np.max([level[:, c].mean(axis=1) for c in columns], axis=0))
        # One mean over all would name a cluster without any marker after what has the most negative ones.
        scores[:, number] = _geometric_mean(has) * (_geometric_mean(lacks) if lacks else 1.0)
        used[number] = len(has) + len(lacks)
    return scores, used


def _geometric_mean(parts: list[FloatArray]) -> FloatArray:
    return np.asarray(np.exp(np.mean(np.log(np.maximum(parts, _FLOOR)), axis=0)))


def _decide(
    scores: FloatArray,
    names: list[str],
    considered: IntArray,
    parents: dict[str, str],
    params: AnnotateClustersParams,
) -> tuple[str, tuple[float], tuple[str, float], bool]:
    """Name of a cluster, its score, the strongest rival and its score, and whether the two are too close."""
    if not len(considered):
        return UNKNOWN, (np.nan,), ("", np.nan), False
    score = {names[at]: float(scores[at]) for at in considered}
    ranked = sorted(score, key=lambda name: (-score[name], names.index(name)))
    best = ranked[0]
    # A subset is named when it fits about as well as what it is a subset of.
    for name in ranked[1:]:
        if best in ancestors(name, parents) and score[name] >= max(
            params.min_score, score[best] - 2 * params.min_margin
        ):
            best = name
    line = ancestors(best, parents)
    rivals = [
        name for name in ranked if name != best and name not in line and best not in ancestors(name, parents)
    ]
    rival = rivals[0] if rivals else ""
    second = (rival, score[rival] if rival else np.nan)
    if score[best] < params.min_score:
        return UNKNOWN, (score[best],), second, False
    if rival and score[rival] >= params.min_score and score[best] - score[rival] < params.min_margin:
        shared = [one for one in line if one in ancestors(rival, parents)]
        return (shared[0] if shared else UNKNOWN), (score[best],), second, True
    return best, (score[best],), second, False


def _named(names: list[str], told: np.ndarray, mask: np.ndarray) -> str:
    return ", ".join(name for name, one, two in zip(names, told, mask, strict=True) if one and two)


def _score_table(
    clusters: tuple[str, ...], populations: list[Population], scores: FloatArray, used: IntArray
) -> pd.DataFrame:
    rows = [
        (f"{cluster}|{one.name}", cluster, one.name, float(scores[row, number]), int(used[number]))
        for row, cluster in enumerate(clusters)
        for number, one in enumerate(populations)
        if used[number]
    ]
    return pd.DataFrame(rows, columns=["cluster|population", "cluster", "population", "score", "n_markers"])
