"""Groups of samples found without labels, how stable they are, and whether there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples, silhouette_score
from sklearn.mixture import GaussianMixture

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.levels import as_levels, as_numbers
from nereus.tools.statistics.pca import principal_components

if TYPE_CHECKING:
    from anndata import AnnData

STABLE = 0.7
"""Median adjusted Rand index over subsamples from which clusters count as stable."""
_SMALLEST = 3
_FEW_STARTS = 3
"""Starts for each of the many clusterings of subsamples and null data."""


class ClusterParams(Params):
    """Parameters of `cluster_samples`."""

    k: int | None = Field(default=None, ge=2, le=20)
    """Number of clusters; None chooses it."""
    method: Literal["kmeans", "gmm"] = "kmeans"
    """k-means, or a mixture of normal distributions with diagonal covariance."""
    max_k: int = Field(default=6, ge=2, le=20)
    """Largest number of clusters that is tried."""
    n_components: int = Field(default=10, ge=2, le=50)
    """Principal components on which samples are clustered."""
    n_subsamples: int = Field(default=20, ge=5, le=200)
    """Subsamples of 80 % for the stability."""
    n_null: int = Field(default=20, ge=10, le=200)
    """Data sets without clusters for the null."""
    leave_out: tuple[str, ...] = ()
    """Columns that are not compared with the clusters."""


def assign(points: np.ndarray, k: int, method: str, seed: int, n_init: int = 10) -> np.ndarray:
    """Cluster label of each point, numbered by falling size (ties by first appearance): shape (n_samples,)."""
    if method == "kmeans":
        labels = KMeans(n_clusters=k, n_init=n_init, random_state=seed).fit_predict(points)
    else:
        model = GaussianMixture(
            k, covariance_type="diag", n_init=3, reg_covar=1e-3 * float(points.var()), random_state=seed
        )
        labels = model.fit_predict(points)
    found, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = sorted(range(len(found)), key=lambda at: (-counts[at], first[at]))
    renumbered = {int(found[at]): place for place, at in enumerate(order)}
    return np.array([renumbered[int(label)] for label in labels])


def silhouette(points: np.ndarray, labels: np.ndarray) -> float:
    """Mean silhouette width, -1 with a single cluster."""
    n_labels = len(set(labels))
    return float(silhouette_score(points, labels)) if 2 <= n_labels < len(points) else -1.0


def stability_of(
    points: np.ndarray, k: int, method: str, n_subsamples: int, rng: np.random.Generator
) -> list[float]:
    """Adjusted Rand index between the clusters of 80 % subsamples and those of all samples."""
    everything = assign(points, k, method, int(rng.integers(2**31)))
    size = max(k + 1, round(0.8 * len(points)))
    found = []
    for _ in range(n_subsamples):
        rows = np.sort(rng.choice(len(points), size, replace=False))
        again = assign(points[rows], k, method, int(rng.integers(2**31)), _FEW_STARTS)
        found.append(float(adjusted_rand_score(everything[rows], again)))
    return found


@tool(
    "cluster_samples",
    version="1",
    summary="Cluster samples without labels; stability, comparison with a null, and association with sample columns.",
    outputs=("table:labels", "table:stability", "table:associations"),
    seconds=10.0,
)
def cluster_samples(dataset: AnnData, params: ClusterParams, *, seed: int) -> Result:
    """Look for groups of samples.

    Samples are clustered on their first principal components. For each k the mean silhouette is compared with that of
    data without clusters: normal points with the same variance along each component (the null of Liu et al. 2008,
    JASA 103:1281). The k with the largest excess over the null's 95th percentile is taken. ``structure`` is true when
    that excess is positive and the median adjusted Rand index over subsamples is 0.7 or more; otherwise the labels
    are a partition of a continuum and say nothing.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `ClusterParams`.
    seed
        Seed of starts, subsamples and null.

    Returns
    -------
    Result
        ``labels`` (sample, cluster, silhouette); ``stability`` (k as text, silhouette, null_mean, null_p95, excess, ari,
        smallest, chosen); ``associations`` (column, kind, n, statistic, p, q, effect: Cramér's V or eta squared).

    Raises
    ------
    InputError
        Fewer than 6 samples, or k too large for them.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> X = np.random.default_rng(0).normal(20, 1, (20, 60)); X[:10, :40] += 4
    >>> result = cluster_samples(anndata.AnnData(X), seed=1)
    >>> result.values["k"], result.values["structure"]
    (2, True)
    """
    X = abundance(dataset)
    n = X.shape[0]
    if n < 2 * _SMALLEST:
        raise InputError(f"{n} samples are too few to cluster", mend=f"give {2 * _SMALLEST} or more")
    if params.k is not None and params.k > n // 2:
        raise InputError(f"k = {params.k} clusters of {n} samples", mend=f"choose k of at most {n // 2}")
    rng = np.random.default_rng(seed)
    components = principal_components(X, min(params.n_components, max(2, n // 3)))
    points = components.scores
    spread = points.std(axis=0)
    choices = [params.k] if params.k is not None else list(range(2, min(params.max_k, n // _SMALLEST) + 1))
    rows = []
    for k in choices:
        labels = assign(points, k, params.method, seed % 2**31)
        observed = silhouette(points, labels)
        sizes = np.bincount(labels, minlength=k)
        null = []
        for _ in range(params.n_null):
            flat = rng.normal(size=points.shape) * spread
            labels = assign(flat, k, params.method, int(rng.integers(2**31)), _FEW_STARTS)
            null.append(silhouette(flat, labels))
        ari = stability_of(points, k, params.method, params.n_subsamples, rng)
        p95 = float(np.quantile(null, 0.95))
        rows.append(
            {
                "k": str(k),
                "silhouette": observed,
                "null_mean": float(np.mean(null)),
                "null_p95": p95,
                "excess": observed - p95,
                "ari": float(np.median(ari)),
                "ari_p10": float(np.quantile(ari, 0.1)),
                "smallest": int(sizes.min()),
                "chosen": False,
            }
        )
    table = pd.DataFrame(rows)
    # A cluster of one or two samples is an outlier, not a group.
    proper = table[table["smallest"] >= _SMALLEST]
    best = int((proper if len(proper) else table)["excess"].idxmax())
    table["chosen"] = table.index == best
    k = int(table["k"][best])
    labels = assign(points, k, params.method, seed % 2**31)
    structure = bool(
        table["excess"][best] > 0 and table["ari"][best] >= STABLE and table["smallest"][best] >= _SMALLEST
    )
    widths = silhouette_samples(points, labels) if len(set(labels)) > 1 else np.zeros(n)
    names = [f"C{label + 1}" for label in labels]
    associations = _associations(
        dataset.obs, pd.Series(names, index=dataset.obs.index, dtype=object), params.leave_out
    )
    warnings = []
    if not structure:
        warnings.append(
            "no structure beyond that of data without clusters was found: the labels cut a continuum and support no claim"
            if table["excess"][best] <= 0
            else "the clusters change from subsample to subsample or are single samples: they support no claim"
        )
    if components.filled > 0:
        warnings.append(
            f"{components.filled:.1%} of the values used were missing: the feature's mean stands in"
        )
    strong = associations[associations["q"] <= 0.05] if len(associations) else associations
    found = f"{k} clusters" if structure else "no clusters"
    return Result(
        summary=(
            f"{found} of {n} samples (silhouette {table['silhouette'][best]:.2f}, without clusters at most "
            f"{table['null_p95'][best]:.2f}; stability {table['ari'][best]:.2f})"
            + (f"; {len(strong)} columns differ between them." if structure else ".")
        ),
        values={
            "k": k,
            "structure": structure,
            "silhouette": finite(table["silhouette"][best]),
            "null_p95": finite(table["null_p95"][best]),
            "excess": finite(table["excess"][best]),
            "stability": finite(table["ari"][best]),
            "smallest_cluster": int(table["smallest"][best]),
            "n_samples": n,
            "n_features_used": int(components.used.size),
            "n_associated": len(strong),
            "top_column": None if strong.empty else str(strong["column"].iloc[0]),
        },
        tables={
            "labels": pd.DataFrame(
                {"sample": list(map(str, dataset.obs_names)), "cluster": names, "silhouette": widths}
            ),
            "stability": table,
            "associations": associations,
        },
        warnings=tuple(warnings),
    )


def _associations(obs: pd.DataFrame, clusters: pd.Series, leave_out: tuple[str, ...]) -> pd.DataFrame:
    """Chi-squared test of each column with levels, one-way analysis of variance of each number, with q over columns."""
    rows: list[tuple[str, str, int, float, float, float, str]] = []
    for name in map(str, obs.columns):
        if name in leave_out:
            continue
        numbers, levels = as_numbers(obs[name]), as_levels(obs[name])
        known = levels.notna()
        if known.sum() < 2 * _SMALLEST or levels[known].nunique() < 2:
            continue
        if numbers is not None and numbers.nunique() > 6:
            groups = [
                part.to_numpy() for _, part in numbers[known].groupby(clusters[known]) if len(part) >= 2
            ]
            if len(groups) < 2:
                continue
            statistic, p = stats.f_oneway(*groups)
            everything = np.concatenate(groups)
            within = sum(((part - part.mean()) ** 2).sum() for part in groups)
            effect = 1 - within / ((everything - everything.mean()) ** 2).sum()
            rows.append((name, "number", int(known.sum()), float(statistic), float(p), float(effect), ""))
        elif levels[known].nunique() <= known.sum() / 2:
            counts = pd.crosstab(clusters[known], levels[known]).to_numpy()
            if min(counts.shape) < 2:
                continue
            tested = stats.chi2_contingency(counts, correction=False)
            v = float(stats.contingency.association(counts, method="cramer"))
            note = "expected counts below 5" if (tested.expected_freq < 5).any() else ""
            rows.append(
                (name, "levels", int(known.sum()), float(tested.statistic), float(tested.pvalue), v, note)
            )
    table = pd.DataFrame(rows, columns=["column", "kind", "n", "statistic", "p", "effect", "note"])
    table.insert(5, "q", np.nan)
    usable = table["p"].notna()
    if usable.any():
        table.loc[usable, "q"] = stats.false_discovery_control(table.loc[usable, "p"])
    return table.sort_values(["p", "column"]).reset_index(drop=True)
