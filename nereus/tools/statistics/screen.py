"""Which columns of the sample sheet the proteome as a whole follows: a permutation test on distances."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool

MIN_SAMPLES = 4


class ScreenParams(Params):
    """Parameters of `screen_factors`."""

    factors: tuple[str, ...] = ()
    """Columns with levels."""
    variables: tuple[str, ...] = ()
    """Columns with numbers."""
    subject: str | None = None
    """Column of the unit of analysis: labels are permuted between subjects, never between their replicates."""
    n_permutations: int = Field(default=199, ge=19)
    """Label permutations; the smallest possible p is 1 / (n_permutations + 1)."""


@tool(
    "screen_factors",
    version="2",
    summary="Share of the whole proteome's variance that follows each column, with a permutation p (PERMANOVA).",
    outputs=("table:screen",),
    seconds=1.0,
)
def screen_factors(dataset: AnnData, params: ScreenParams, *, seed: int) -> Result:
    """Test each column of the sample sheet against all features at once.

    Squared Euclidean distances between samples over standardised features are split into a part that follows the
    column and a rest; pseudo-F compares them, and its null comes from permuting the column between subjects [1]_.

    Parameters
    ----------
    dataset
        Samples x features, log2. Features present in at least 70 % of the samples are used; their missing cells take
        the feature's mean, which adds no distance.
    params
        Columns, subject and number of permutations.
    seed
        Seeds the permutations.

    Returns
    -------
    Result
        Table ``screen``: ``column, kind, n, r2, pseudo_f, p``.

    Raises
    ------
    InputError
        When a column does not exist.

    References
    ----------
    .. [1] Anderson MJ (2001) A new method for non-parametric multivariate analysis of variance. Austral Ecology 26:32.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(12, 30)); x[:6] += 1.5
    >>> obs = pd.DataFrame({"group": ["a"] * 6 + ["b"] * 6}, index=[f"s{i}" for i in range(12)])
    >>> from nereus.tools.statistics.screen import screen_factors
    >>> table = screen_factors(anndata.AnnData(x, obs=obs), factors=("group",), seed=1).table()
    >>> bool(table.p[0] < 0.01 and table.r2[0] > 0.2)
    True
    """
    for column in (*params.factors, *params.variables, *([params.subject] if params.subject else [])):
        if column not in dataset.obs:
            raise InputError(
                f"there is no column {column!r}",
                where="sample sheet",
                mend=f"columns are {list(dataset.obs.columns)}",
            )
    x = _standardised(np.asarray(dataset.X, dtype=float))
    rng = np.random.default_rng(seed)
    rows = []
    for column, kind in [
        *((c, "factor") for c in params.factors),
        *((c, "variable") for c in params.variables),
    ]:
        present = dataset.obs[column].notna().to_numpy()
        labels = dataset.obs[column][present]
        subjects = (
            dataset.obs[params.subject][present].astype(str)
            if params.subject
            else pd.Series(labels.index, labels.index)
        )
        test = _permanova(x[present], labels, kind, subjects, params.n_permutations, rng)
        rows.append({"column": column, "kind": kind, "n": int(present.sum()), **test})
    screen = pd.DataFrame(rows, columns=["column", "kind", "n", "r2", "pseudo_f", "p"])
    strong = screen[screen["p"] <= 0.05]
    summary = (
        f"{len(strong)} of {len(screen)} columns are followed by the whole proteome (permutation p <= 0.05)"
    )
    if len(strong):
        best = strong.sort_values("r2", ascending=False).iloc[0]
        summary += f"; most by {best['column']!r} (R2 {best['r2']:.2f})"
    return Result(
        summary=summary + ".",
        values={"n_columns": len(screen), "n_followed": len(strong), "n_features_used": int(x.shape[1])},
        tables={"screen": screen},
        n_total=len(screen),
        n_returned=len(screen),
    )


def _standardised(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features seen in 70 % of the samples, centred, scaled, missing cells at the mean: samples x features."""
    x = x[:, np.isfinite(x).mean(axis=0) >= 0.7]
    x = x - np.nanmean(x, axis=0)
    spread = np.nanstd(x, axis=0)
    standardised: NDArray[np.float64] = np.nan_to_num(x[:, spread > 0] / spread[spread > 0])
    return standardised


def _permanova(
    x: NDArray[np.float64],
    labels: pd.Series,
    kind: str,
    subjects: pd.Series,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, float | None]:
    nothing: dict[str, float | None] = {"r2": None, "pseudo_f": None, "p": None}
    code, order = pd.factorize(subjects)
    if len(labels) < MIN_SAMPLES or x.shape[1] == 0 or labels.nunique() < 2:
        return nothing
    x = x - x.mean(axis=0)
    gram = x @ x.T
    total = float(np.trace(gram))
    # A column that is constant within subjects is permuted between them; one that varies within, between rows.
    between = bool(labels.astype(str).groupby(subjects.to_numpy()).nunique().max() == 1) and len(order) < len(
        labels
    )
    first = np.array([np.flatnonzero(code == one)[0] for one in range(len(order))])
    values = labels.to_numpy()

    if kind == "factor":
        levels = pd.factorize(labels.astype(str), sort=True)[0]
        columns = np.eye(int(levels.max()) + 1)[levels]
    else:
        columns = np.asarray(values, dtype=float)[:, None]

    def explained(basis: NDArray[np.float64]) -> float:
        return float(np.einsum("ij,ij->", gram @ basis, basis))

    basis = _orthogonal(columns)
    observed, df = explained(basis), basis.shape[1]
    rest = len(values) - 1 - df
    if df == 0 or rest < 1:
        return nothing
    reached = 0
    for _ in range(n_permutations):
        if between:  # subjects differ in their number of samples, and so do the columns
            shuffled = _orthogonal(columns[first][rng.permutation(len(order))][code])
        else:
            shuffled = basis[rng.permutation(len(values))]
        reached += explained(shuffled) >= observed * (1 - 1e-12)
    return {
        "r2": finite(observed / total),
        "pseudo_f": finite((observed / df) / ((total - observed) / rest)),
        "p": (1 + reached) / (1 + n_permutations),
    }


def _orthogonal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal columns that span the centred ones."""
    basis, singular, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
    kept: NDArray[np.float64] = basis[:, singular > 1e-9 * max(1.0, singular[0])]
    return kept
