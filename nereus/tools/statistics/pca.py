"""Principal components of the samples, and how much of them each sample column explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.decomposition import PCA

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.levels import as_levels, as_numbers, indicator

if TYPE_CHECKING:
    from anndata import AnnData

MAX_CATEGORIES = 0.5
"""A text column with more levels than this share of the samples explains anything: it is left out."""


@dataclass(frozen=True)
class Components:
    """Principal components of a matrix.

    Attributes
    ----------
    scores
        Shape (n_samples, n_components): coordinates of the samples.
    loadings
        Shape (n_used, n_components): unit vectors over the used features.
    ratio
        Shape (n_components,): share of the used matrix's variance, in decreasing order.
    used
        Indices of the used features.
    filled
        Share of the used values that were missing and stand in as the feature's mean.
    """

    scores: np.ndarray
    loadings: np.ndarray
    ratio: np.ndarray
    used: np.ndarray
    filled: float


def principal_components(X: np.ndarray, n_components: int) -> Components:
    """Centred principal components of samples x features with missing values.

    Features with complete data are used when there are at least 50 of them or they are half of all. Otherwise
    features with at most 30 % missing (then 50 %, then all with two values) take part, and a missing value
    stands in as its feature's mean, which pulls samples towards the centre: fit for display and diagnosis,
    not for tests.

    Parameters
    ----------
    X
        Log2 abundance, shape (n_samples, n_features), NaN = missing.
    n_components
        Upper limit; at most n_samples - 1 are returned.

    Raises
    ------
    InputError
        With fewer than 3 samples, or when no feature varies.
    """
    if X.shape[0] < 3:
        raise InputError(f"{X.shape[0]} samples are too few for principal components", mend="give 3 or more")
    observed = ~np.isnan(X)
    present = observed.sum(axis=0)
    missing = 1 - present / X.shape[0]
    means = np.divide(
        np.where(observed, X, 0).sum(axis=0), present, out=np.zeros(X.shape[1]), where=present > 0
    )
    filled = np.where(observed, X, means)
    varies = (present >= 2) & (np.ptp(filled, axis=0) > 1e-12)
    used = np.array([], dtype=int)
    for limit in (0.0, 0.3, 0.5, 1.0):
        used = np.flatnonzero(varies & (missing <= limit))
        if used.size >= min(50, max(2, X.shape[1] / 2)):
            break
    if used.size == 0:
        raise InputError(
            "no feature varies between the samples", mend="check that the table holds abundances"
        )
    count = min(n_components, X.shape[0] - 1, used.size)
    model = PCA(n_components=count, svd_solver="full").fit(filled[:, used])
    return Components(
        scores=model.transform(filled[:, used]),
        loadings=model.components_.T,
        ratio=model.explained_variance_ratio_,
        used=used,
        filled=float(missing[used].mean()),
    )


def design_of(column: pd.Series) -> tuple[np.ndarray, np.ndarray, int] | None:
    """A column as regressors: (centred columns, known rows, degrees of freedom), None if unusable.

    Numbers with more than 6 distinct values enter as one slope, everything else as levels.
    """
    numbers = as_numbers(column)
    if numbers is not None and numbers.nunique() > 6:
        known = numbers.notna().to_numpy()
        values = numbers.to_numpy()[known][:, None]
        return (values - values.mean(axis=0), known, 1) if known.sum() >= 4 else None
    levels = as_levels(column)
    known = levels.notna().to_numpy()
    one_hot, names = indicator(levels[known])
    if len(names) < 2 or len(names) > MAX_CATEGORIES * max(known.sum(), 1) or known.sum() < 4:
        return None
    centred = one_hot[:, 1:] - one_hot[:, 1:].mean(axis=0)
    return centred, known, len(names) - 1


def r_squared(scores: np.ndarray, regressors: np.ndarray) -> np.ndarray:
    """Share of each score column's variance that the regressors explain: shape (n_components,)."""
    centred = scores - scores.mean(axis=0)
    basis, _ = np.linalg.qr(regressors)
    rank = np.linalg.matrix_rank(regressors)
    if rank < regressors.shape[1]:
        left, _, _ = np.linalg.svd(regressors, full_matrices=False)
        basis = left[:, :rank]
    total = (centred**2).sum(axis=0)
    explained = ((basis.T @ centred) ** 2).sum(axis=0)
    shares: np.ndarray = np.divide(explained, total, out=np.zeros_like(total), where=total > 0)
    return shares


class PcaParams(Params):
    """Parameters of `pca_variance`."""

    n_components: int = Field(default=10, ge=1, le=100)
    """Upper limit of components."""


@tool(
    "pca_variance",
    version="1",
    summary="Principal components of the samples and the share of each that every sample column explains.",
    outputs=("table:scores", "table:loadings", "table:variance", "table:columns"),
)
def pca_variance(dataset: AnnData, params: PcaParams, *, seed: int) -> Result:
    """Principal components with R2 per sample column.

    Complete features are used; where there are too few, a missing value stands in as its feature's mean (see
    `principal_components`) and the result says so. R2 of a column on a component is that of a least-squares
    fit of the scores on the column (levels, or a slope for numbers with more than 6 values).

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `PcaParams`.
    seed
        Unused: the decomposition is exact.

    Returns
    -------
    Result
        ``scores`` (sample, PC1 ...), ``loadings`` (feature, gene, PC1 ...), ``variance`` (component,
        variance_ratio, ``r2_<column>`` for each usable sample column), ``columns`` (column, r2: mean over the
        components weighted by their variance, r2_adjusted for the number of levels, best_component, r2_best).

    Raises
    ------
    InputError
        With fewer than 3 samples or without a varying feature.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> X = np.random.default_rng(0).normal(20, 1, (6, 30)); X[3:, :15] += 3
    >>> obs = pd.DataFrame({"group": list("aaabbb")}, index=list("uvwxyz"))
    >>> result = pca_variance(anndata.AnnData(X, obs=obs))
    >>> bool(result.table("columns")["r2"][0] > 0.5)
    True
    """
    X = abundance(dataset)
    found = principal_components(X, params.n_components)
    names = [f"PC{number + 1}" for number in range(found.scores.shape[1])]
    scores = pd.DataFrame(found.scores, columns=names)
    scores.insert(0, "sample", list(map(str, dataset.obs_names)))
    loadings = pd.DataFrame(found.loadings, columns=names)
    loadings.insert(0, "feature", [str(dataset.var_names[index]) for index in found.used])
    genes = dataset.var["gene"] if "gene" in dataset.var else pd.Series("", index=dataset.var_names)
    loadings.insert(1, "gene", [str(genes.iloc[index]) for index in found.used])
    variance = pd.DataFrame({"component": names, "variance_ratio": found.ratio})
    rows = []
    for column in dataset.obs.columns:
        design = design_of(dataset.obs[column])
        if design is None:
            continue
        regressors, known, df = design
        r2 = r_squared(found.scores[known], regressors)
        variance[f"r2_{column}"] = r2
        weighted = float(np.average(r2, weights=found.ratio))
        n = int(known.sum())
        adjusted = 1 - (1 - weighted) * (n - 1) / (n - 1 - df) if n - 1 - df > 0 else np.nan
        best = int(np.argmax(r2))
        rows.append((str(column), n, weighted, adjusted, names[best], float(r2[best])))
    columns = pd.DataFrame(rows, columns=["column", "n", "r2", "r2_adjusted", "best_component", "r2_best"])
    columns = columns.sort_values(["r2_adjusted", "column"], ascending=[False, True]).reset_index(drop=True)
    warnings = []
    if found.filled > 0:
        warnings.append(
            f"{found.filled:.1%} of the values used were missing: the feature's mean stands in, for display"
        )
    skipped = [str(column) for column in dataset.obs.columns if str(column) not in set(columns["column"])]
    if skipped:
        warnings.append(f"columns without usable levels or numbers were left out: {', '.join(skipped)}")
    top = "" if columns.empty else f"; {columns['column'][0]} explains most ({columns['r2'][0]:.0%})"
    return Result(
        summary=f"PC1 holds {found.ratio[0]:.0%} of the variance of {found.used.size} features{top}.",
        values={
            "n_samples": dataset.n_obs,
            "n_features_used": int(found.used.size),
            "share_filled": finite(found.filled),
            "pc1_ratio": finite(found.ratio[0]),
            "pc2_ratio": finite(found.ratio[1]) if found.ratio.size > 1 else None,
            "top_column": None if columns.empty else str(columns["column"][0]),
            "top_column_r2": None if columns.empty else finite(columns["r2"][0]),
        },
        tables={"scores": scores, "loadings": loadings, "variance": variance, "columns": columns},
        warnings=tuple(warnings),
        n_total=dataset.n_vars,
        n_returned=int(found.used.size),
    )
