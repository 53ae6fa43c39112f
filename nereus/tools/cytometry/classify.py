"""Names for cells learnt from gated samples: nearest gated cells vote, and a cell unlike all of them stays unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.cytometry.cell_table import (
    SAMPLE,
    FloatArray,
    IntArray,
    Labels,
    Values,
    cell_labels,
    even_draw,
)
from nereus.tools.cytometry.marker_space import MarkerSpace, marker_space
from nereus.tools.cytometry.population_table import UNKNOWN
from nereus.tools.proteomics.matrix import derive

if TYPE_CHECKING:
    from anndata import AnnData

_UNGATED = frozenset(
    {"ungated", "unlabeled", "unlabelled", "unassigned", "unclassified", "not gated", "other", "none"}
)
_LEAST_CELLS = 20
"""Gated cells of a population from which it can be learnt."""
_MOST_TESTED = 5_000
"""Cells of each left-out sample on which the classifier is judged."""
_MOST_FOLDS = 8


class ClassifyCellsParams(Params):
    """Parameters of `classify_cells`."""

    label: str
    """Column of the gated populations. Cells without a value are predicted; see `train` for whole samples."""
    train: tuple[str, ...] = ()
    """Samples to learn from; none means all that hold a label. Cells of the others are predicted."""
    ungated: tuple[str, ...] = ()
    """Levels of the label that mean that a cell is in no gate; words such as ``ungated`` are known. Such cells are
    learnt as unknown.
    """
    markers: tuple[str, ...] = ()
    """Markers to classify on; none means all lineage markers."""
    n_neighbours: int = Field(default=15, ge=3, le=200)
    """Nearest gated cells that vote."""
    min_probability: float = Field(default=0.6, ge=0, le=1)
    """Share of the votes below which a cell stays unknown."""
    novelty: float = Field(default=0.01, ge=0, lt=1)
    """A cell farther from the gated cells than all but this share of them are from one another stays unknown."""
    max_cells: int = Field(default=40_000, ge=100)
    """Gated cells that are learnt from, drawn evenly from samples and populations."""
    sample: str = SAMPLE
    """Column of the sample of each cell."""


@dataclass(frozen=True)
class _Learnt:
    points: Values
    labels: IntArray
    reach: FloatArray
    """Distance beyond which a cell is like none of a population, shape (populations,)."""


@tool(
    "classify_cells",
    version="1",
    summary="Name cells after gated samples; cells unlike the gated ones stay unknown; judged on left-out samples.",
    outputs=("dataset:dataset", "table:classes", "table:samples"),
    seconds=20.0,
)
def classify_cells(dataset: AnnData, params: ClassifyCellsParams, *, seed: int) -> Result:
    """Predict the population of cells from gated ones.

    The nearest gated cells vote. A cell stays unknown where they disagree, where most of them are in no gate, or where
    it is farther from them than gated cells of that population are from one another. The same is done with each gated
    sample left out, which tells how well new samples are named.

    Parameters
    ----------
    dataset
        Transformed values, obs = cells with columns of samples and of labels.
    params
        See `ClassifyCellsParams`.
    seed
        Of the draws.

    Returns
    -------
    Result
        ``dataset``: obs columns ``population`` (all cells; ``unknown`` among them), ``population_probability`` (share
        of votes) and ``population_given`` (whether the cell was learnt from as gated: its population is its gate). Table
        ``classes``: population, n_gated, n_predicted, precision, recall, f1 (of left-out samples; NaN where only one
        sample is gated). Table ``samples``: sample, role (gated, predicted), n_cells, share_unknown, accuracy.
        Values: n_gated, n_predicted, n_classes, n_unknown, share_unknown, accuracy, macro_f1, folds.

    Raises
    ------
    InputError
        Unknown column or sample; fewer than two populations with 20 gated cells.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> kind = np.arange(400) % 2
    >>> obs = pd.DataFrame({"sample": np.repeat(["a", "b", "c", "d"], 100), "gate": np.array(["B", "T"])[kind]})
    >>> obs.loc[obs["sample"] == "d", "gate"] = None
    >>> data = anndata.AnnData(rng.normal(0, 0.3, (400, 2)) + 3 * np.eye(2)[kind], obs=obs.set_index(obs.index.astype(str)),
    ...                        var=pd.DataFrame(index=["CD19", "CD3"]))
    >>> result = classify_cells(data, label="gate", seed=1)
    >>> result.values["accuracy"] > 0.95, result.values["n_predicted"]
    (True, 100)
    """
    given = cell_labels(dataset, params.label, "gated labels")
    samples = cell_labels(dataset, params.sample)
    wanted = _train_samples(params, samples)
    nowhere = {one for one in given.names if one in params.ungated or one.lower() in _UNGATED}
    gated = (given.codes >= 0) & np.isin(samples.codes, wanted)
    classes = [one for one in given.names if one not in nowhere]
    counts = np.array([(given.codes[gated] == given.names.index(one)).sum() for one in classes])
    rare = [one for one, n in zip(classes, counts, strict=True) if n < _LEAST_CELLS]
    classes = [one for one, n in zip(classes, counts, strict=True) if n >= _LEAST_CELLS]
    warnings: list[str] = []
    if rare:
        warnings.append(
            f"populations with fewer than {_LEAST_CELLS} gated cells were not learnt: {', '.join(rare[:8])}"
        )
    if len(classes) < 2:
        raise InputError(
            f"{len(classes)} populations have {_LEAST_CELLS} gated cells",
            where=f"column {params.label!r}",
            mend="gate two or more populations, or name them by markers (annotate_clusters)",
        )
    space = marker_space(dataset, params.markers, what="classify_cells")
    warnings += space.notes
    # Codes of the classes, with ungated cells behind them: they vote, too.
    code = {name: number for number, name in enumerate(classes)} | {name: len(classes) for name in nowhere}
    of = np.array([code.get(name, -1) for name in given.names] + [-1], dtype=np.intp)
    label = np.where(gated, of[given.codes], -1)[space.cells]
    where = samples.codes[space.cells]
    rng = np.random.default_rng(seed)
    learnt = _learn(space, np.flatnonzero(label >= 0), label, where, params, rng, len(classes))
    predict = np.flatnonzero(label < 0)
    found, votes = _predict(learnt, space.points[predict], params, len(classes))
    names = [*classes, UNKNOWN]
    population = label.copy()
    population[predict] = found
    share = np.ones(len(label))
    share[predict] = votes
    judged = _judge(space, label, where, params, rng, len(classes))
    if not judged:
        warnings.append("one sample only is gated: how well other samples are named cannot be told")
    classes_table = _class_table(classes, label, found, judged)
    sample_table = _sample_table(samples, where, label, population, judged, len(classes))
    full = np.full(dataset.n_obs, len(classes), dtype=np.intp)
    full[space.cells] = population
    full_votes = np.full(dataset.n_obs, np.nan)
    full_votes[space.cells] = share
    learnt_from = np.zeros(dataset.n_obs, dtype=bool)
    learnt_from[space.cells] = label >= 0
    derived = derive(dataset, f"classify_cells: {len(classes)} populations from {len(wanted)} samples")
    derived.obs["population"] = pd.Categorical.from_codes(full.tolist(), categories=names)
    derived.obs["population_probability"] = full_votes
    derived.obs["population_given"] = learnt_from
    truth = np.concatenate([one[1] for one in judged]) if judged else np.empty(0, dtype=np.intp)
    told = np.concatenate([one[2] for one in judged]) if judged else np.empty(0, dtype=np.intp)
    accuracy = float(np.mean(truth == told)) if judged else None
    n_unknown = int((found == len(classes)).sum())
    if not len(predict):
        warnings.append("every cell is gated: none was predicted")
    scores = classes_table["f1"].to_numpy()
    macro = float(np.mean(scores)) if np.isfinite(scores).all() else None
    return Result(
        summary=(
            f"{len(predict)} cells were named after {len(classes)} populations of {len(wanted)} gated samples; "
            f"{n_unknown} stay unknown"
            + (f"; accuracy on left-out samples {accuracy:.3f}." if accuracy is not None else ".")
        ),
        values={
            "n_gated": int((label >= 0).sum()),
            "n_predicted": len(predict),
            "n_classes": len(classes),
            "n_unknown": n_unknown,
            "share_unknown": finite(n_unknown / len(predict)) if len(predict) else None,
            "accuracy": finite(accuracy),
            "macro_f1": finite(macro),
            "folds": len(judged),
            "ungated_learnt": bool((label == len(classes)).any()),
        },
        tables={"classes": classes_table, "samples": sample_table},
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=int(dataset.n_obs),
        n_returned=len(space.cells),
    )


def _train_samples(params: ClassifyCellsParams, samples: Labels) -> IntArray:
    unknown = [name for name in params.train if name not in samples.names]
    if unknown:
        raise InputError(
            f"unknown samples {unknown[:3]}", where="train", mend=f"samples are {list(samples.names)[:12]}"
        )
    chosen = params.train or samples.names
    return np.array([samples.names.index(name) for name in chosen], dtype=np.intp)


def _learn(
    space: MarkerSpace,
    rows: IntArray,
    label: IntArray,
    where: IntArray,
    params: ClassifyCellsParams,
    rng: np.random.Generator,
    n_classes: int,
) -> _Learnt:
    """Draw gated cells, and measure how far those of a population are from one another."""
    strata = np.full(len(label), -1, dtype=np.intp)
    strata[rows] = np.unique(where[rows] * (n_classes + 1) + label[rows], return_inverse=True)[1]
    drawn = even_draw(strata, params.max_cells, rng)
    points, labels = space.points[drawn], label[drawn]
    from sklearn.neighbors import NearestNeighbors

    tree = NearestNeighbors(n_neighbors=min(params.n_neighbours, len(points) - 1)).fit(points)
    distance = tree.kneighbors()[0][:, -1]  # without the cell itself
    reach = np.full(n_classes + 1, np.inf)
    for one in range(n_classes):
        if (labels == one).any():
            reach[one] = float(np.quantile(distance[labels == one], 1.0 - params.novelty))
    return _Learnt(points, labels, reach)


def _predict(
    learnt: _Learnt, points: Values, params: ClassifyCellsParams, n_classes: int
) -> tuple[IntArray, FloatArray]:
    """Population of each point (n_classes: unknown), and its share of the votes."""
    if not len(points):
        return np.empty(0, dtype=np.intp), np.empty(0)
    from sklearn.neighbors import NearestNeighbors

    n = min(params.n_neighbours, len(learnt.points) - 1)
    distance, near = NearestNeighbors(n_neighbors=n).fit(learnt.points).kneighbors(points)
    votes = np.zeros((len(points), n_classes + 1))
    np.add.at(votes, (np.arange(len(points))[:, None], learnt.labels[near]), 1.0 / n)
    best = votes.argmax(axis=1)
    share = votes[np.arange(len(points)), best]
    best[(share < params.min_probability) | (distance[:, -1] > learnt.reach[best])] = n_classes
    return np.asarray(best, dtype=np.intp), share


def _judge(
    space: MarkerSpace,
    label: IntArray,
    where: IntArray,
    params: ClassifyCellsParams,
    rng: np.random.Generator,
    n_classes: int,
) -> list[tuple[int, IntArray, IntArray]]:
    """For each gated sample left out: sample, true and predicted populations of some of its cells."""
    gated = np.flatnonzero((label >= 0) & (where >= 0))
    held = np.unique(where[gated])
    if len(held) < 2:
        return []
    if len(held) > _MOST_FOLDS:
        held = np.sort(rng.choice(held, _MOST_FOLDS, replace=False))
    judged = []
    for sample in held:
        rows = gated[where[gated] != sample]
        test = gated[where[gated] == sample]
        if len(np.unique(label[rows])) < 2:
            continue
        test = np.sort(rng.choice(test, min(len(test), _MOST_TESTED), replace=False))
        learnt = _learn(space, rows, label, where, params, rng, n_classes)
        judged.append((int(sample), label[test], _predict(learnt, space.points[test], params, n_classes)[0]))
    return judged


def _class_table(
    classes: list[str], label: IntArray, found: IntArray, judged: list[tuple[int, IntArray, IntArray]]
) -> pd.DataFrame:
    truth = np.concatenate([one[1] for one in judged]) if judged else np.empty(0, dtype=np.intp)
    told = np.concatenate([one[2] for one in judged]) if judged else np.empty(0, dtype=np.intp)
    rows = []
    for number, name in enumerate(classes):
        right = int(((truth == number) & (told == number)).sum())
        named, real = int((told == number).sum()), int((truth == number).sum())
        precision = right / named if named else (0.0 if judged else np.nan)
        recall = right / real if real else np.nan
        f1 = 2 * right / (named + real) if named + real else np.nan
        rows.append((name, int((label == number).sum()), int((found == number).sum()), precision, recall, f1))
    return pd.DataFrame(rows, columns=["population", "n_gated", "n_predicted", "precision", "recall", "f1"])


def _sample_table(
    samples: Labels,
    where: IntArray,
    label: IntArray,
    population: IntArray,
    judged: list[tuple[int, IntArray, IntArray]],
    n_classes: int,
) -> pd.DataFrame:
    accuracy = {sample: float(np.mean(truth == told)) for sample, truth, told in judged}
    rows = []
    for number, name in enumerate(samples.names):
        own = where == number
        rows.append(
            (
                name,
                "gated" if (label[own] >= 0).any() else "predicted",
                int(own.sum()),
                float(np.mean(population[own] == n_classes)) if own.any() else np.nan,
                accuracy.get(number, np.nan),
            )
        )
    return pd.DataFrame(rows, columns=["sample", "role", "n_cells", "share_unknown", "accuracy"])
