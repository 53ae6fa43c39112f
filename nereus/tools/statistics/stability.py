"""Stability: whether a finding stays when some of the subjects are left out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.contrast_test import Comparison, ComparisonOptions, comparison, feature_columns
from nereus.tools.statistics.moderated_t import FloatArray

IntArray = npt.NDArray[np.intp]

_SMALL_GROUP = 6
"""Groups with fewer units lose one unit at a time: half of them would be no test at all."""


class StabilityParams(ComparisonOptions):
    """Parameters of `stability`: those of the test, and how it is repeated."""

    n_subsamples: int = Field(default=50, ge=2, le=1000)
    """Subsamples; fewer where fewer distinct ones exist."""
    features: tuple[str, ...] = ()
    """Features wanted in the table; empty for all. All of them are fitted, for the sake of the variances."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """p-value at which a subsample confirms."""


@tool(
    "stability",
    version="3",
    summary="Share of subsamples of the subjects in which a feature keeps its sign and p < 0.05.",
    outputs=("table:stability",),
    seconds=3.0,
)
def stability(dataset: AnnData, params: StabilityParams, *, seed: int) -> Result:
    """Repeat the same test on subsamples of the independent units, stratified by group.

    With six or more units in the smaller group, half of the units of each group are drawn; with fewer, one
    unit of each group is left out at a time, in every combination.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `StabilityParams`.
    seed
        Of the subsamples drawn.

    Returns
    -------
    Result
        Table ``stability``: feature, gene, stability (share of the subsamples that could test it in which
        sign and p < level hold), sign_kept (share in which the sign holds), n (subsamples that could test
        it; a subsample that cannot counts as not confirming when the feature was testable on all samples).
        Values: n_subsamples, scheme, median_stability.

    Raises
    ------
    InputError
        An unknown feature.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> X = np.random.default_rng(1).normal(20, 0.5, size=(8, 60))
    >>> X[:4, 0] += 4
    >>> obs = pd.DataFrame({"group": list("aaaabbbb")}, index=[f"s{i}" for i in range(8)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(60)]))
    >>> result = stability(data, contrast={"factor": "group", "a": "a", "b": "b"})
    >>> float(result.table().loc[0, "stability"]), result.values["n_subsamples"]
    (1.0, 16)
    """
    unknown = sorted(set(params.features) - set(map(str, dataset.var_names)))
    if unknown:
        raise InputError(f"unknown features {unknown[:3]}", mend="name features of the data set")
    compared = comparison(dataset, params)
    effect = compared.test().effect
    confirmed, kept, tested, n = subsample_stability(
        compared, effect, n_subsamples=params.n_subsamples, level=params.level, seed=seed
    )
    testable = np.isfinite(effect)
    features, genes = feature_columns(dataset)
    table = pd.DataFrame(
        {
            "feature": features,
            "gene": genes,
            "stability": np.where(testable, confirmed / max(n, 1), np.nan),
            "sign_kept": np.where(testable, kept / max(n, 1), np.nan),
            "n": tested,
        }
    )
    if params.features:
        table = table[table["feature"].isin(params.features)].reset_index(drop=True)
    scheme = (
        "leave one unit of each group out" if smallest_group(compared) < _SMALL_GROUP else "half of the units"
    )
    stable = table["stability"].to_numpy()
    return Result(
        summary=f"Tested again on {n} subsamples ({scheme}).",
        values={
            "n_subsamples": n,
            "scheme": scheme,
            "median_stability": finite(float(np.nanmedian(stable))) if np.isfinite(stable).any() else None,
            "level": params.level,
        },
        tables={"stability": table},
        warnings=compared.design.warnings,
        n_total=len(features),
        n_returned=len(table),
    )


def subsample_stability(
    compared: Comparison,
    effect: FloatArray,
    *,
    n_subsamples: int,
    level: float,
    seed: int,
) -> tuple[IntArray, IntArray, IntArray, int]:
    """Count the subsamples that confirm each feature.

    Parameters
    ----------
    compared
        The comparison on all samples.
    effect
        Its effects, shape (features,): the signs to keep.
    n_subsamples, level, seed
        As in `StabilityParams`.

    Returns
    -------
    confirmed, kept, tested : ndarray
        Subsamples with the sign and p < level, with the sign, and in which the feature was testable,
        (features,).
    n : int
        Subsamples.
    """
    n_features = len(effect)
    confirmed, kept, tested = (np.zeros(n_features, dtype=np.intp) for _ in range(3))
    sign, n = np.sign(effect), 0
    subsamples = _subsamples(compared, n_subsamples, np.random.default_rng(seed))
    for fit in compared.subsampled_tests(subsamples):
        same = np.sign(fit.effect) == sign
        confirmed += same & (fit.p < level)
        kept += same
        tested += np.isfinite(fit.p)
        n += 1
    return confirmed, kept, tested, n


def smallest_group(compared: Comparison) -> int:
    """Units in the smaller group; in a continuous association, units."""
    labels = compared.labels
    if compared.continuous:
        return len(labels.label)
    if len(np.unique(labels.stratum)) > 1:
        return len(np.unique(labels.stratum))
    return int(min(labels.label.sum(), (1 - labels.label).sum()))


def _subsamples(compared: Comparison, n: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Sample indices of the subsamples. Pairs are drawn whole; otherwise units are drawn within groups."""
    labels = compared.labels
    paired = len(np.unique(labels.stratum)) > 1
    if paired:
        unit, strata = labels.stratum[labels.unit], np.zeros(len(np.unique(labels.stratum)), dtype=np.intp)
        _, unit = np.unique(unit, return_inverse=True)
    else:
        unit = labels.unit
        strata = (
            np.zeros(len(labels.label), dtype=np.intp)
            if compared.continuous
            else labels.label.astype(np.intp)
        )
    groups = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    if min(map(len, groups)) < _SMALL_GROUP:
        left_out = list(product(*groups))
        if len(left_out) > n:
            left_out = [left_out[i] for i in sorted(rng.choice(len(left_out), n, replace=False))]
        for out in left_out:
            yield np.flatnonzero(~np.isin(unit, out))
        return
    for _ in range(n):
        drawn = np.concatenate([rng.choice(g, (len(g) + 1) // 2, replace=False) for g in groups])
        yield np.flatnonzero(np.isin(unit, drawn))
