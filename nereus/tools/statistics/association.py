"""Association of every feature with a continuous variable: moderated linear regression or rank correlation."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Literal

import numpy as np
from anndata import AnnData
from pydantic import Field
from scipy import stats

from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.batch import corrected_notes
from nereus.tools.statistics.design import Design, build_variable_design
from nereus.tools.statistics.differential import only, variance_values
from nereus.tools.statistics.linear_model import FloatArray, fit_linear_model
from nereus.tools.statistics.model_options import FindingLevel, ModelOptions
from nereus.tools.statistics.moderated_t import benjamini_hochberg, fit_contrast
from nereus.tools.statistics.result_table import Estimates, feature_values, result_table
from nereus.tools.statistics.treat import two_sided_p

_EXACT_SAMPLES = 8
"""Up to this many samples, all orders are enumerated for the null distribution of the rank correlation."""


class AssociationParams(FindingLevel, ModelOptions):
    """Parameters of `continuous_association`."""

    variable: str
    """Numeric column of the sample sheet."""
    covariates: tuple[str, ...] = ()
    """Columns to adjust for."""
    block: str | None = None
    """Column whose levels are blocks (the subject of repeated samples)."""
    subset: dict[str, str] = Field(default_factory=dict)
    """Keep only samples whose column equals the value."""
    method: Literal["linear", "spearman"] = "linear"
    """``linear`` is a moderated t of the slope, ``spearman`` a (partial) rank correlation."""
    min_samples: int = Field(default=4, ge=3)
    """Least number of samples with a value for a feature to be tested."""


@tool(
    "continuous_association",
    version="2",
    summary="Which features follow a continuous variable: moderated slope or rank correlation, with covariates.",
    outputs=("table:association",),
    seconds=0.5,
)
def continuous_association(dataset: AnnData, params: AssociationParams, *, seed: int) -> Result:
    """Test every feature for association with a continuous variable.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `AssociationParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``association``: the columns of every test table with effect = change of log2 abundance per
        standard deviation of the variable (over the samples used), n_a = samples with a value, n_b = 0; then
        ``slope`` (log2 per unit of the variable), ``rho`` (rank correlation; partial where there are
        covariates or blocks) and ``sd`` (moderated residual standard deviation). Values: n_tested, n_significant,
        n_positive, n_negative, variable_sd, prior_df ...

    Raises
    ------
    InputError
        As `build_variable_design`: unknown or non-numeric column, no variation, not separable from
        covariates.

    Notes
    -----
    With ``spearman``, effect and interval are still those of the linear fit, in log2 units; statistic, df and
    p are those of the rank correlation: Student's t approximation, exact for at most eight samples without
    ties. With covariates or blocks the ranks of the abundances are regressed on the ranks of the variable and
    the covariates.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> age = np.linspace(40, 80, 12)
    >>> X = rng.normal(20, 0.3, size=(12, 50))
    >>> X[:, 3] += 0.05 * (age - 60)
    >>> data = anndata.AnnData(
    ...     X,
    ...     obs=pd.DataFrame({"age": age}, index=[f"s{i}" for i in range(12)]),
    ...     var=pd.DataFrame(index=[f"P{i}" for i in range(50)]),
    ... )
    >>> table = continuous_association(data, variable="age").table().set_index("feature")
    >>> table["p"].idxmin(), round(float(table.loc["P3", "slope"]), 2)
    ('P3', 0.05)
    """
    design = build_variable_design(
        dataset.obs,
        params.variable,
        params.covariates,
        params.block,
        params.subset,
        block_model=params.block_model,
    )
    values = feature_values(dataset, design)
    warnings = [*design.warnings, *corrected_notes(dataset)]
    seen = np.isfinite(values)
    n = seen.sum(axis=1)
    enough = n >= params.min_samples
    fit = fit_contrast(
        np.where(enough[:, None], values, np.nan),
        design.matrix,
        design.contrast,
        trend=params.trend,
        robust=params.robust,
        block=design.block,
        block_model=design.block_model,
    )
    rho, rank_t, rank_df, rank_p = rank_correlation(np.where(enough[:, None], values, np.nan), design)
    if params.method == "linear":
        statistic, df, p = fit.statistic, fit.df, fit.p
    else:
        statistic, df, p = rank_t, rank_df, rank_p
    low, high = fit.interval()
    tested = np.isfinite(p) & np.isfinite(fit.se)
    q = benjamini_hochberg(np.where(tested, p, np.nan))
    estimates = only(tested, Estimates(fit.effect, fit.se, low, high, statistic, df, p, q))
    mean = np.divide(np.where(seen, values, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    table = result_table(
        dataset,
        estimates,
        n.astype(np.intp),
        np.zeros(len(n), dtype=np.intp),
        mean,
        {
            "slope": estimates.effect / design.scale,
            "rho": np.where(tested, rho, np.nan),
            "sd": np.where(tested, np.sqrt(fit.variance), np.nan),
        },
    )
    found = q <= params.level
    direction = fit.effect if params.method == "linear" else rho
    up, down = int((found & (direction > 0)).sum()), int((found & (direction < 0)).sum())
    missed = int((~tested).sum())
    if missed:
        warnings.append(f"{missed} of {len(n)} features were not tested: too few samples with a value")
    return Result(
        summary=(
            f"{params.variable}: {up + down} of {int(tested.sum())} tested features are associated at "
            f"q <= {params.level:g} ({up} rise with it, {down} fall); {len(design.samples)} samples."
        ),
        values={
            "n_features": len(n),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_positive": up,
            "n_negative": down,
            "n_samples": len(design.samples),
            "n_dropped_samples": design.n_dropped,
            "method": params.method,
            "variable_sd": finite(design.scale),
            "block_model": design.block_model if design.block is not None else "none",
            "correlation": finite(fit.correlation),
            "level": params.level,
            **variance_values(fit, tested),
        },
        tables={"association": table},
        warnings=tuple(warnings),
        n_total=len(n),
        n_returned=len(n),
    )


def rank_correlation(
    values: FloatArray, design: Design
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Spearman's correlation of each feature with the variable of a design, by the observed samples.

    Parameters
    ----------
    values
        Shape (features, samples); NaN is missing.
    design
        Of `build_variable_design`. Covariates and blocks make the correlation partial.

    Returns
    -------
    rho, t, df, p : ndarray
        Shape (features,); NaN where fewer than three samples are observed or ranks do not vary.
    """
    seen = np.isfinite(values)
    ranks = np.where(seen, stats.rankdata(np.where(seen, values, np.inf), axis=1), np.nan)
    if design.matrix.shape[1] == 2 and design.block is None:
        x = np.broadcast_to(design.group, values.shape)
        x_ranks = stats.rankdata(np.where(seen, x, np.inf), axis=1)
        n = seen.sum(axis=1)
        middle = (n + 1) / 2.0  # mean rank of the observed samples, with and without ties
        a = np.where(seen, ranks - middle[:, None], 0.0)
        b = np.where(seen, x_ranks - middle[:, None], 0.0)
        size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
        rho = np.divide((a * b).sum(axis=1), size, out=np.full(len(n), np.nan), where=(size > 0) & (n > 2))
        df = np.where(np.isfinite(rho), n - 2.0, np.nan)
    else:
        matrix = design.matrix.copy()
        matrix[:, 1] = stats.rankdata(design.group)
        fixed = design.block if design.block_model == "fixed" else None
        fit = fit_linear_model(ranks, matrix, design.contrast, block=fixed)
        with np.errstate(invalid="ignore", divide="ignore"):
            t = fit.effect / (fit.unscaled_sd * np.sqrt(fit.variance))
        df = np.where(fit.df > 0, fit.df, np.nan)
        rho = t / np.sqrt(t**2 + df)
    rho = np.clip(rho, -1.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = rho * np.sqrt(df / (1.0 - rho**2))
    p = np.where(
        np.isfinite(df), two_sided_p(np.where(np.isfinite(df), t, 0.0), np.where(df > 0, df, 1.0)), np.nan
    )
    if design.matrix.shape[1] == 2 and design.block is None:
        _exact_where_small(p, rho, ranks, design.group, seen)
    return rho, t, df, p


def _exact_where_small(
    p: FloatArray, rho: FloatArray, ranks: FloatArray, x: FloatArray, seen: np.ndarray
) -> None:
    """Replace p-values of features with few samples and no ties by exact ones, in place."""
    n = seen.sum(axis=1)
    for row in np.flatnonzero((n <= _EXACT_SAMPLES) & np.isfinite(rho)):
        here = seen[row]
        if len(np.unique(ranks[row, here])) == n[row] == len(np.unique(x[here])):
            null = _null_correlations(int(n[row]))
            p[row] = np.mean(null >= abs(rho[row]) - 1e-9)


@cache
def _null_correlations(n: int) -> FloatArray:
    """Absolute rank correlations of all orders of n samples, shape (n!,)."""
    centred = np.arange(n) - (n - 1) / 2.0
    orders = np.array(list(permutations(centred)))
    return np.asarray(np.abs(orders @ centred) / np.sum(centred**2))
