"""Groups of subjects that are found again when subjects and features are left out, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from sklearn.metrics import silhouette_samples

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.aggregate import aggregate_rows
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.cluster_columns import cluster_associations, cluster_markers
from nereus.tools.statistics.consensus_matrix import (
    SHARE,
    Consensus,
    Method,
    assign,
    beyond_noise,
    consensus,
    silhouette,
)
from nereus.tools.statistics.contrast_test import feature_columns, sample_names
from nereus.tools.statistics.covariates import freed_of, regressors
from nereus.tools.statistics.design import require_columns
from nereus.tools.statistics.levels import as_levels
from nereus.tools.statistics.pca import principal_components
from nereus.tools.statistics.unimodal import reference

if TYPE_CHECKING:
    from anndata import AnnData

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

STABLE = 0.7
"""Median adjusted Rand index over resamples from which clusters count as stable."""
SIGNIFICANT = 0.05
_SMALLEST = 3
_ABOUT_EQUAL = 0.05
"""Differences of stability that resampling makes by itself."""


class ConsensusParams(Params):
    """Parameters of `consensus_clusters`."""

    k: int | None = Field(default=None, ge=2, le=20)
    """Number of clusters; None chooses it, "no clusters" included."""
    max_k: int = Field(default=6, ge=2, le=20)
    """Largest number of clusters that is tried."""
    method: Method = "kmeans"
    """k-means, or a mixture of normal distributions with diagonal covariance."""
    subject: str | None = None
    """Column of the independent unit: rows of a subject are averaged before clustering. None: every sample is one."""
    adjust: tuple[str, ...] = ()
    """Columns (site, batch) whose effects are removed before clustering."""
    n_components: int = Field(default=10, ge=2, le=50)
    """Most principal components on which subjects are clustered; those no larger than noise are left out."""
    n_resamples: int = Field(default=60, ge=10, le=1000)
    """Resamples of four fifths of the subjects and of the features."""
    n_null: int = Field(default=99, ge=19, le=1000)
    """Reference data sets without clusters."""
    leave_out: tuple[str, ...] = ()
    """Columns that are not compared with the clusters."""


@tool(
    "consensus_clusters",
    version="2",
    summary="Subtypes by resampled consensus clustering, tested against data without clusters; none is an answer.",
    outputs=(
        "table:clusters",
        "table:solutions",
        "table:stability",
        "table:markers",
        "table:associations",
        "table:consensus",
    ),
    seconds=25.0,
)
def consensus_clusters(dataset: AnnData, params: ConsensusParams, *, seed: int) -> Result:
    """Look for groups of subjects, choose their number, and say whether there are any.

    Subjects are clustered on their first principal components. For each k the mean silhouette is compared with
    reference data that have one mode in each component but its spread, skewness and tails; p is that of the
    largest standardised excess over all k tried, so that trying several is paid for. ``structure`` is true when
    p <= 0.05, the median adjusted Rand index of resamples (four fifths of subjects and of features) is 0.7 or
    more, and no cluster has fewer than three subjects. Otherwise the labels cut a continuum and support no
    claim. Clusters are those of the consensus matrix; of several stable k the largest that is about as stable
    as the best is taken.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features; missing values stand in as the feature's mean.
    params
        See `ConsensusParams`.
    seed
        Of starts, resamples and reference.

    Returns
    -------
    Result
        ``clusters`` (sample, subject, cluster, stability: mean consensus with its cluster, silhouette, core:
        stability of 0.8 or more). ``solutions`` (k as text, silhouette, null_mean, null_p95, z, p, ambiguous:
        share of ambiguous pairs, ari, smallest, chosen). ``stability`` (cluster, n, stability, silhouette).
        ``markers`` (feature, gene, cluster, effect: log2 difference of that cluster to the rest, d,
        eta_squared, n): descriptive, without p-values, because the same features made the clusters.
        ``associations`` (column, kind, n, statistic, p, q, effect: Cramér's V or epsilon squared, note) with
        sample columns, which were not used. ``consensus`` (subject, cluster, one column a subject), in the
        order of the tree. Values: k, structure, p, stability, silhouette, ambiguous ...

    Raises
    ------
    InputError
        Fewer than 6 subjects, k too large for them, an unknown column.

    Notes
    -----
    What passes is departure from a cloud with one mode: a continuum that is strongly bent (a time course, a
    gradient through several states) passes too, so look at the principal components before naming subtypes.
    The consensus follows Monti et al. 2003, Mach Learn 52:91; a reference for the number of clusters: Tibshirani
    et al. 2001, J R Stat Soc B 63:411, and John et al. 2020, Sci Rep 10:1816, here with unimodal components
    (`nereus.tools.statistics.unimodal`).

    Examples
    --------
    >>> import anndata, numpy as np
    >>> X = np.random.default_rng(0).normal(20, 1, (24, 60)); X[:12, :40] += 4
    >>> result = consensus_clusters(anndata.AnnData(X), max_k=3, n_resamples=10, n_null=39, seed=1)
    >>> result.values["k"], result.values["structure"]
    (2, True)
    """
    X = abundance(dataset)
    features, genes = feature_columns(dataset)
    require_columns(
        dataset.obs, [*params.adjust, *([params.subject] if params.subject else [])], "consensus clusters"
    )
    if params.adjust:
        X = freed_of(X, regressors(dataset.obs, params.adjust, "consensus clusters").design())
    unit, names, notes = _units(dataset, params.subject)
    values = X[np.argsort(unit)] if params.subject is None else aggregate_rows(X, unit, len(names), "mean")
    n = len(values)
    if n < 2 * _SMALLEST:
        raise InputError(f"{n} subjects are too few to cluster", mend=f"give {2 * _SMALLEST} or more")
    if params.k is not None and params.k > n // 2:
        raise InputError(f"k = {params.k} clusters of {n} subjects", mend=f"choose k of at most {n // 2}")
    components = principal_components(values, min(params.n_components, max(2, n // 3)))
    if components.used.size < 2:
        raise InputError("one feature varies between the subjects", mend="two or more are needed")
    rng = np.random.default_rng(seed)
    # By name, as subjects are, so that what is drawn does not depend on the order of the table.
    by_name = components.used[np.argsort(np.array(features)[components.used], kind="stable")]
    filled = _filled(values[:, by_name])
    n_kept = beyond_noise(filled, components.scores.var(axis=0) * n, rng)
    points = components.scores[:, :n_kept]
    choices = (
        [params.k] if params.k is not None else list(range(2, max(2, min(params.max_k, n // _SMALLEST)) + 1))
    )
    solutions, p = _against_reference(points, choices, params, rng)
    found = {
        k: consensus(filled, k, params.method, points.shape[1], params.n_resamples, rng) for k in choices
    }
    solutions["ambiguous"] = [found[k].ambiguous for k in choices]
    solutions["ari"] = [float(np.median(found[k].ari)) for k in choices]
    solutions["smallest"] = [int(np.bincount(found[k].labels, minlength=k).min()) for k in choices]
    best, structure = _choice(solutions, p)
    solutions["chosen"] = solutions.index == best
    k, chosen = choices[best], found[choices[best]]
    labels = np.array([f"C{label + 1}" for label in chosen.labels], dtype=object)
    several = len(set(labels)) > 1
    width = silhouette_samples(points, chosen.labels) if several else np.zeros(n)
    associations = cluster_associations(
        dataset.obs, unit, labels, (*params.leave_out, *params.adjust), params.subject, seed
    )
    strong = associations[associations["q"] <= SIGNIFICANT]
    warnings = [*notes, *_warnings(structure, p, solutions, best, components.filled)]
    result = f"{k} clusters" if structure else "no clusters"
    return Result(
        summary=(
            f"{result} of {n} subjects (silhouette {solutions['silhouette'][best]:.2f}, without clusters at most "
            f"{solutions['null_p95'][best]:.2f}, p = {p:.3g} over all k; stability {solutions['ari'][best]:.2f})"
            + (f"; {len(strong)} columns differ between them." if structure else ".")
        ),
        values={
            "k": k,
            "structure": structure,
            "p": finite(p),
            "silhouette": finite(solutions["silhouette"][best]),
            "null_p95": finite(solutions["null_p95"][best]),
            "excess": finite(solutions["silhouette"][best] - solutions["null_p95"][best]),
            "stability": finite(solutions["ari"][best]),
            "ambiguous": finite(chosen.ambiguous),
            "smallest_cluster": int(solutions["smallest"][best]),
            "n_samples": dataset.n_obs,
            "n_units": n,
            "n_components": points.shape[1],
            "n_features_used": int(components.used.size),
            "n_associated": len(strong),
            "top_column": None if strong.empty else str(strong["column"].iloc[0]),
        },
        tables={
            "clusters": _cluster_table(dataset, unit, names, labels, chosen.of_units(), width),
            "solutions": solutions,
            "stability": _stability_table(labels, chosen.of_units(), width),
            "markers": cluster_markers(values, labels, features, genes),
            "associations": associations,
            "consensus": _matrix_table(chosen, names, labels),
        },
        warnings=tuple(warnings),
        n_total=dataset.n_obs,
        n_returned=int((unit >= 0).sum()),
    )


def _units(dataset: AnnData, subject: str | None) -> tuple[IntArray, list[str], list[str]]:
    """Unit of each sample (-1 unknown), names of the units in order, notes."""
    samples = sample_names(dataset)
    if subject is None:
        order = np.argsort(np.array(samples), kind="stable")
        return np.argsort(order), [samples[at] for at in order], []
    levels = as_levels(dataset.obs[subject])
    names = sorted(set(levels.dropna()))
    number = {name: at for at, name in enumerate(names)}
    unit = np.array([number.get(level, -1) for level in levels], dtype=np.intp)
    lost = int((unit < 0).sum())
    return unit, names, [f"{lost} samples without a {subject!r} were left out"] if lost else []


def _against_reference(
    points: FloatArray, choices: list[int], params: ConsensusParams, rng: np.random.Generator
) -> tuple[pd.DataFrame, float]:
    """Silhouettes by k beside those of the reference, and the p-value of the largest excess over all k."""
    starts = rng.integers(2**31, size=params.n_null + 1)

    def widths(at: FloatArray, start: int) -> list[float]:
        return [silhouette(at, assign(at, k, params.method, start)) for k in choices]

    observed = np.array(widths(points, int(starts[-1])))
    drawn = reference(points, params.n_null, rng)
    null = np.array([widths(one, int(start)) for one, start in zip(drawn, starts[:-1], strict=True)])
    mean, sd = null.mean(axis=0), np.maximum(null.std(axis=0, ddof=1), 1e-9)
    z, null_z = (observed - mean) / sd, (null - mean) / sd
    table = pd.DataFrame(
        {
            "k": [str(k) for k in choices],
            "silhouette": observed,
            "null_mean": mean,
            "null_p95": np.quantile(null, 0.95, axis=0),
            "z": z,
            "p": (1 + (null >= observed).sum(axis=0)) / (1 + params.n_null),
        }
    )
    return table, float((1 + np.sum(null_z.max(axis=1) >= z.max())) / (1 + params.n_null))


def _choice(solutions: pd.DataFrame, p: float) -> tuple[int, bool]:
    """Row of the chosen k, and whether it is more than a cut through a continuum.

    Among the k that exceed the reference, are stable and leave no cluster of one or two subjects (outliers, not
    groups): the largest whose stability is about that of the most stable, so that nested groups are told apart
    and clear ones are not split further.
    """
    proper = solutions[
        (solutions["smallest"] >= _SMALLEST) & (solutions["ari"] >= STABLE) & (solutions["p"] <= SIGNIFICANT)
    ]
    if p > SIGNIFICANT or proper.empty:
        return int(solutions["z"].idxmax()), False
    return int(proper.index[proper["ari"] >= proper["ari"].max() - _ABOUT_EQUAL][-1]), True


def _filled(values: FloatArray) -> FloatArray:
    seen = np.isfinite(values)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0.0).sum(axis=0) / count
    return np.asarray(np.where(seen, values, mean) - mean)


def _cluster_table(
    dataset: AnnData,
    unit: IntArray,
    names: list[str],
    labels: npt.NDArray[np.object_],
    stability: FloatArray,
    width: FloatArray,
) -> pd.DataFrame:
    rows = np.flatnonzero(unit >= 0)
    of = unit[rows]
    return pd.DataFrame(
        {
            "sample": dataset.obs_names.astype(str).to_numpy()[rows],
            "subject": [names[one] for one in of],
            "cluster": labels[of],
            "stability": stability[of],
            "silhouette": width[of],
            "core": stability[of] >= SHARE,
        }
    )


def _stability_table(
    labels: npt.NDArray[np.object_], stability: FloatArray, width: FloatArray
) -> pd.DataFrame:
    names = sorted(set(labels), key=lambda name: int(name[1:]))
    return pd.DataFrame(
        {
            "cluster": names,
            "n": [int((labels == name).sum()) for name in names],
            "stability": [float(stability[labels == name].mean()) for name in names],
            "silhouette": [float(width[labels == name].mean()) for name in names],
        }
    )


def _matrix_table(found: Consensus, names: list[str], labels: npt.NDArray[np.object_]) -> pd.DataFrame:
    order = np.lexsort((-found.of_units(), found.labels))
    table = pd.DataFrame(found.matrix[np.ix_(order, order)], columns=[f"with {names[at]}" for at in order])
    table.insert(0, "cluster", labels[order])
    table.insert(0, "subject", [names[at] for at in order])
    return table


def _warnings(structure: bool, p: float, solutions: pd.DataFrame, best: int, filled: float) -> list[str]:
    notes = []
    if not structure:
        notes.append(
            "no structure beyond that of data without clusters was found: the labels cut a continuum and "
            "support no claim"
            if p > SIGNIFICANT or solutions["p"][best] > SIGNIFICANT
            else "the clusters change from resample to resample or are single subjects: they support no claim"
        )
    notes.append(
        "the features that tell clusters apart were used to find them: they are described, not tested; a test "
        "between clusters on the same data would be circular"
    )
    if filled > 0:
        notes.append(f"{filled:.1%} of the values used were missing: the feature's mean stands in")
    return notes
