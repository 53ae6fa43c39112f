"""Where proteins reside in the cell: profiles over fractions compared with those of marker proteins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.calibrated_machine import CalibratedMachine
from nereus.tools.proteomics.matrix import abundance, derive, obs_column
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData

FloatArray = npt.NDArray[np.float64]

UNKNOWN = "unknown"
NO_MARKER = frozenset(
    {
        "unknown",
        "unclassified",
        "not classified",
        "none",
        "nan",
        "na",
        "n/a",
        "",
        "other",
        "undefined",
        "no marker",
    }
)
"""Lower-case entries of a marker column that name no organelle."""
_NEIGHBOURS = 3
_BINS = 10


class OrganelleParams(Params):
    """Parameters of `classify_organelles`."""

    markers: str
    """Column of the features that names the organelle of marker proteins; other proteins are unknown there."""
    replicate: str | None = None
    """Column of the fractions that tells replicates: profiles sum to one within each. Default: over all fractions."""
    min_markers: int = Field(6, ge=4)
    """Organelles with fewer markers are left out."""
    min_probability: float = Field(0.8, gt=0, lt=1)
    """Least calibrated probability of an assignment; below it a protein stays unknown."""
    novelty: float = Field(0.05, ge=0, lt=1)
    """A protein is atypical where at most this share of the organelle's own markers lies as far from the others."""
    max_missing: float = Field(0.5, ge=0, lt=1)
    """Proteins missing from a larger share of the fractions are not classified; other gaps count as nothing there."""
    n_folds: int = Field(5, ge=3, le=10)
    """Folds of the outer cross-validation of the markers."""


@dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold predictions of the markers: class positions and probabilities, shape (n_markers, n_classes)."""

    predicted: npt.NDArray[np.intp]
    probability: FloatArray
    macro_f1: FloatArray


@tool(
    "classify_organelles",
    version="1",
    summary="Where proteins reside, from fraction profiles of markers: calibrated probability, unknown, atypical.",
    outputs=("table:localisation", "table:organelles", "dataset:dataset"),
    seconds=20.0,
)
def classify_organelles(dataset: AnnData, params: OrganelleParams, *, seed: int) -> Result:
    """Assign proteins to organelles by their distribution over fractions.

    A support vector machine with a radial kernel is fitted to the markers' profiles; its width and cost are searched within
    the markers, and its scores are calibrated to probabilities on held-out markers. Performance comes from nested
    cross-validation, so that no marker helps to choose the model that it judges. A protein is assigned where it is probable
    enough and typical of its organelle: the distance to the nearest markers of the organelle is compared with that of
    these markers among themselves, which needs no assumption about what unlike proteins look like.

    Parameters
    ----------
    dataset
        Log2 abundance, fractions x proteins, with a column of markers in var.
    params
        See `OrganelleParams`.
    seed
        Seed of the folds.

    Returns
    -------
    Result
        Table ``localisation`` in the order of the data set: feature, gene, organelle (assigned, or unknown), verdict (marker,
        assigned, improbable, atypical, not measured), best and probability of the most probable organelle, second and
        probability_second, typicality (share of the organelle's markers that are as far from the others), marker. Table
        ``organelles``: organelle, n_markers, precision, recall, f1 (out of fold), n_assigned. ``dataset`` with the
        column ``organelle``. Values: macro_f1, macro_f1_sd over folds, accuracy, calibration_error (out of fold), n_assigned,
        n_unknown, n_atypical, n_organelles.

    Raises
    ------
    InputError
        No such columns, fewer than two organelles with enough markers, fewer than three fractions.

    Notes
    -----
    Support vector machines on fraction profiles: Trotter et al. 2010, Proteomics 10:4213; Christoforou et al. 2016, Nat
    Commun 7:9992. Calibration: `CalibratedMachine`. Typicality is a conformal p-value (Vovk et al. 2005). Probabilities hold
    for proteins like the markers, which are chosen for clear profiles: others are harder. A protein at several places
    has a mixed profile and may be assigned to one of them.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> centres = rng.dirichlet(np.ones(8), 3)
    >>> X = np.log2(np.repeat(centres, 30, axis=0) * np.exp(rng.normal(0, 0.1, (90, 8)))).T
    >>> known = [f"O{i // 30}" if i % 30 < 12 else "unknown" for i in range(90)]
    >>> var = pd.DataFrame({"known": known}, index=[f"P{i}" for i in range(90)])
    >>> result = classify_organelles(anndata.AnnData(X, var=var), markers="known", n_folds=3)
    >>> result.values["n_organelles"], result.values["macro_f1"] > 0.9
    (3, True)
    """
    X = abundance(dataset)
    if X.shape[0] < 3:
        raise InputError(f"{X.shape[0]} fractions are too few for a profile", mend="three or more are needed")
    marker = _markers(dataset, params.markers)
    warnings: list[str] = []
    measured = np.isnan(X).mean(axis=0) <= params.max_missing
    profiles = fraction_profiles(X, _replicates(dataset, params.replicate))
    measured &= np.isfinite(profiles).all(axis=1)
    counts = pd.Series([m for m, ok in zip(marker, measured, strict=True) if ok and m]).value_counts()
    names = sorted(str(name) for name, n in counts.items() if n >= params.min_markers)
    small = sorted(str(name) for name, n in counts.items() if n < params.min_markers)
    if small:
        warnings.append(
            f"{len(small)} organelles with fewer than {params.min_markers} measured markers were left out: "
            f"{', '.join(small[:6])}"
        )
    if len(names) < 2:
        raise InputError(
            f"{len(names)} organelles have {params.min_markers} measured markers or more",
            where=f"feature column {params.markers!r}",
            mend="two or more are needed; name another column, or lower min_markers",
        )
    train = np.flatnonzero(measured & np.isin(marker, names))
    y = np.array([names.index(marker[i]) for i in train], dtype=np.intp)
    folds = min(params.n_folds, int(np.bincount(y).min()))
    checked = cross_validate(profiles[train], y, folds, seed)
    model = CalibratedMachine(seed).fit(profiles[train], y)
    known = np.flatnonzero(measured)
    probability = np.full((X.shape[1], len(names)), np.nan)
    probability[known] = model.predict_proba(profiles[known])
    order = np.argsort(-np.nan_to_num(probability, nan=-1.0), axis=1, kind="stable")
    best, second = order[:, 0], order[:, 1]
    typical = np.full(X.shape[1], np.nan)
    typical[known] = typicality(profiles, train, y, known, best[known])
    top = np.take_along_axis(probability, best[:, None], axis=1)[:, 0]
    runner_up = np.take_along_axis(probability, second[:, None], axis=1)[:, 0]
    is_marker = np.zeros(X.shape[1], dtype=bool)
    is_marker[train] = True
    verdict = np.full(X.shape[1], "assigned", dtype=object)
    verdict[top < params.min_probability] = "improbable"
    verdict[(typical <= params.novelty)] = "atypical"
    verdict[~measured] = "not measured"
    verdict[is_marker] = "marker"
    labels = np.array(names, dtype=object)
    organelle = np.where(verdict == "assigned", labels[best], UNKNOWN)
    organelle[train] = labels[y]
    features = [str(name) for name in dataset.var_names]
    table = pd.DataFrame(
        {
            "feature": features,
            "gene": [str(g) for g in dataset.var["gene"]] if "gene" in dataset.var else [""] * len(features),
            "organelle": organelle,
            "verdict": verdict,
            "best": np.where(measured, labels[best], ""),
            "probability": top,
            "second": np.where(measured, labels[second], ""),
            "probability_second": runner_up,
            "typicality": typical,
            "marker": marker,
        }
    )
    each = range(len(names))
    organelles = pd.DataFrame(
        {
            "organelle": names,
            "n_markers": np.bincount(y, minlength=len(names)).astype(np.int64),
            "precision": precision_score(
                y, checked.predicted, labels=list(each), average=None, zero_division=0.0
            ),
            "recall": recall_score(y, checked.predicted, labels=list(each), average=None, zero_division=0.0),
            "f1": f1_score(y, checked.predicted, labels=list(each), average=None, zero_division=0.0),
            "n_assigned": [int(((verdict == "assigned") & (organelle == name)).sum()) for name in names],
        }
    )
    macro = float(f1_score(y, checked.predicted, average="macro"))
    accuracy = float((checked.predicted == y).mean())
    if macro < 0.6:
        warnings.append("markers are poorly told apart out of fold: assignments cannot be trusted")
    n_assigned = int((verdict == "assigned").sum())
    n_unknown = int(np.isin(verdict, ["improbable", "atypical"]).sum())
    n_atypical = int((verdict == "atypical").sum())
    if (~measured).any():
        warnings.append(f"{int((~measured).sum())} proteins are missing from too many fractions")
    derived = derive(dataset, f"classify_organelles: {len(names)} organelles, {n_assigned} proteins assigned")
    derived.var["organelle"] = organelle.astype(str)
    return Result(
        summary=(
            f"{n_assigned} of {n_assigned + n_unknown} proteins without a marker label were assigned to {len(names)} "
            f"organelles (macro-F1 of held-out markers {macro:.2f}); {n_unknown} stay unknown, {n_atypical} of them "
            "atypical."
        ),
        values={
            "n_organelles": len(names),
            "n_markers": len(train),
            "n_proteins": int(measured.sum()),
            "n_assigned": n_assigned,
            "n_unknown": n_unknown,
            "n_atypical": n_atypical,
            "macro_f1": macro,
            "macro_f1_sd": finite(float(np.std(checked.macro_f1, ddof=1))),
            "accuracy": accuracy,
            "calibration_error": finite(calibration_error(checked.probability, y)),
            "folds": folds,
        },
        tables={"localisation": table, "organelles": organelles},
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=len(features),
        n_returned=len(features),
    )


def fraction_profiles(X: FloatArray, replicate: npt.NDArray[np.intp]) -> FloatArray:
    """Share of each protein in each fraction, shape (n_proteins, n_fractions); the shares of a replicate sum to one.

    A gap counts as nothing in that fraction. A protein missing from a whole replicate has NaN there.
    """
    with np.errstate(over="ignore"):
        linear = np.where(np.isfinite(X), np.exp2(X - np.nanmax(X)), 0.0)
    profiles = np.empty_like(linear)
    for code in np.unique(replicate):
        rows = replicate == code
        total = linear[rows].sum(axis=0)
        profiles[rows] = np.where(total > 0, linear[rows] / np.where(total > 0, total, 1.0), np.nan)
    return np.ascontiguousarray(profiles.T)


def cross_validate(profiles: FloatArray, y: npt.NDArray[np.intp], folds: int, seed: int) -> CrossValidation:
    """Nested cross-validation: each marker is judged by a model that was chosen, fitted and calibrated without it."""
    predicted = np.zeros(len(y), dtype=np.intp)
    probability = np.zeros((len(y), int(y.max()) + 1))
    scores = []
    for train, held in StratifiedKFold(folds, shuffle=True, random_state=seed).split(profiles, y):
        model = CalibratedMachine(seed).fit(profiles[train], y[train])
        probability[np.ix_(held, model.classes_)] = model.predict_proba(profiles[held])
        predicted[held] = probability[held].argmax(axis=1)
        scores.append(float(f1_score(y[held], predicted[held], average="macro")))
    return CrossValidation(predicted, probability, np.array(scores))


def typicality(
    profiles: FloatArray,
    train: npt.NDArray[np.intp],
    y: npt.NDArray[np.intp],
    asked: npt.NDArray[np.intp],
    organelle: npt.NDArray[np.intp],
) -> FloatArray:
    """Conformal p-value of each protein in its organelle.

    Nonconformity is the mean distance to the three nearest markers of the organelle, itself left out; the p-value is the
    share of these markers, the protein counted in, that are as far.
    """
    found = np.ones(len(asked))
    for code in np.unique(organelle):
        members = profiles[train[y == code]]
        k = min(_NEIGHBOURS, len(members) - 1)
        tree = NearestNeighbors(n_neighbors=k + 1).fit(members)
        own = tree.kneighbors(members)[0][:, 1:].mean(axis=1)
        rows = np.flatnonzero(organelle == code)
        distance, _ = tree.kneighbors(profiles[asked[rows]])
        mine = np.isin(asked[rows], train[y == code])
        away = np.where(mine, distance[:, 1:].mean(axis=1), distance[:, :k].mean(axis=1))
        further = (own[None, :] >= away[:, None] - 1e-12).sum(axis=1)
        found[rows] = (further + 1.0) / (len(own) + 1.0)
    return found


def calibration_error(probability: FloatArray, y: npt.NDArray[np.intp]) -> float:
    """Expected calibration error of the most probable class, over ten bins of equal width."""
    top, right = probability.max(axis=1), probability.argmax(axis=1) == y
    bins = np.minimum((top * _BINS).astype(int), _BINS - 1)
    return float(
        sum(abs(float(right[bins == b].mean()) - float(top[bins == b].mean())) * float((bins == b).mean())
            for b in np.unique(bins))
    )  # fmt: skip


def _markers(dataset: AnnData, column: str) -> npt.NDArray[np.object_]:
    if column not in dataset.var.columns:
        raise InputError(
            f"there is no feature column {column!r}",
            where="markers",
            mend=f"columns are {[str(name) for name in dataset.var.columns][:20]}",
        )
    texts = [level if level is not None else "" for level in as_levels(dataset.var[column])]
    return np.array(["" if text.strip().lower() in NO_MARKER else text for text in texts], dtype=object)


def _replicates(dataset: AnnData, column: str | None) -> npt.NDArray[np.intp]:
    if column is None:
        return np.zeros(dataset.n_obs, dtype=np.intp)
    levels = as_levels(obs_column(dataset, column)).map(lambda level: "" if level is None else level)
    return np.asarray(np.unique(levels.to_numpy(dtype=str), return_inverse=True)[1], dtype=np.intp)
