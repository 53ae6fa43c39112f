"""Permutation null: how many findings the same test makes when the labels mean nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field

from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.contrast_test import Comparison, ComparisonOptions, comparison
from nereus.tools.statistics.moderated_t import benjamini_hochberg


class PermutationParams(ComparisonOptions):
    """Parameters of `permutation_null`: those of the test, and how often the labels are exchanged."""

    n_permutations: int = Field(default=100, ge=1, le=10_000)
    """Labellings drawn; where no more distinct ones exist, all of them are used."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which findings are counted."""


@tool(
    "permutation_null",
    version="3",
    summary="Findings of the same test under exchanged labels: observed count beside its null distribution.",
    outputs=("table:null",),
    seconds=4.0,
)
def permutation_null(dataset: AnnData, params: PermutationParams, *, seed: int) -> Result:
    """Exchange the labels between independent units and test again.

    Subjects are exchanged, not samples; pairs are exchanged within. All distinct labellings are used where
    there are no more than asked for, and a labelling that only swaps the names of the groups counts once.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `PermutationParams`.
    seed
        Of the labellings drawn.

    Returns
    -------
    Result
        Table ``null``: permutation, n_significant (q <= level), n_at_threshold (p no larger than the largest
        p among the observed findings), least_p. Values: observed, null_mean, null_p95, null_max, p_any (share
        of labellings with a finding), p_value (of the observed count), fdr_at_threshold (mean null count at
        the observed threshold over the observed count), n_permutations, n_splits, exhaustive.

    Notes
    -----
    With real differences present, exchanged labels also mix changed features into both groups, which makes
    the null count conservative. What separates the two groups as a whole (a batch, a composition shift) is
    *not* seen by permutation; see `nereus.tools.statistics.background`.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> X = np.random.default_rng(1).normal(20, 0.5, size=(8, 60))
    >>> X[:4, 0] += 4
    >>> obs = pd.DataFrame({"group": list("aaaabbbb")}, index=[f"s{i}" for i in range(8)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(60)]))
    >>> result = permutation_null(data, contrast={"factor": "group", "a": "a", "b": "b"})
    >>> result.values["observed"], result.values["n_permutations"], result.values["exhaustive"]
    (1, 34, True)
    """
    compared = comparison(dataset, params)
    observed = compared.test()
    found = benjamini_hochberg(observed.p) <= params.level
    threshold = float(observed.p[found].max()) if found.any() else 0.0
    rows = null_counts(compared, params.n_permutations, params.level, threshold, seed)
    table = pd.DataFrame(
        {
            "permutation": [f"p{i + 1:04d}" for i in range(len(rows))],
            "n_significant": np.array([row[0] for row in rows], dtype=np.int64),
            "n_at_threshold": np.array([row[1] for row in rows], dtype=np.int64),
            "least_p": np.array([row[2] for row in rows], dtype=np.float64),
        }
    )
    n = len(table)
    counts = table["n_significant"].to_numpy()
    n_found = int(found.sum())
    warnings = [*compared.design.warnings]
    if n < 20:
        warnings.append(f"only {n} distinct labellings exist: the null distribution is coarse")
    null_mean = float(counts.mean()) if n else None
    return Result(
        summary=(
            f"{n_found} findings at q <= {params.level:g}; under {n} exchanged labellings "
            f"{0.0 if null_mean is None else null_mean:.2f} on average."
        ),
        values={
            "observed": n_found,
            "null_mean": finite(null_mean),
            "null_p95": finite(float(np.quantile(counts, 0.95))) if n else None,
            "null_max": int(counts.max()) if n else None,
            "p_any": finite(float(np.mean(counts > 0))) if n else None,
            "p_value": finite((1 + int((counts >= n_found).sum())) / (1 + n)),
            "fdr_at_threshold": finite(float(table["n_at_threshold"].mean()) / n_found)
            if n and n_found
            else None,
            "n_permutations": n,
            "n_splits": finite(compared.labels.n_splits),
            "exhaustive": compared.labels.exhaustive(params.n_permutations),
            "background": compared.widened,
            "level": params.level,
        },
        tables={"null": table},
        warnings=tuple(warnings),
        n_total=n,
        n_returned=n,
    )


def null_counts(
    compared: Comparison, n_permutations: int, level: float, threshold: float, seed: int
) -> list[tuple[int, int, float]]:
    """Count findings, p-values at most `threshold` and find the least p of each labelling."""
    rows = []
    labellings = compared.labels.draws(n_permutations, np.random.default_rng(seed))
    for fit in compared.relabelled_tests(labellings):
        known = fit.p[np.isfinite(fit.p)]
        n_found = int((benjamini_hochberg(known) <= level).sum())
        rows.append((n_found, int((known <= threshold).sum()), float(known.min()) if len(known) else 1.0))
    return rows
