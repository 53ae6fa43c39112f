"""Which features vary more between the samples than others of like abundance do: a first look where no groups are known.

Noise falls with abundance, so the largest variances are mostly those of the faintest features. Each feature is held against
what is usual at its own abundance.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import special

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.empirical_bayes import fit_variance_prior
from nereus.tools.statistics.levels import as_levels
from nereus.tools.statistics.moderated_t import benjamini_hochberg

_END = 0.05
"""Share of the features at either end of the abundances that is judged by the variance usual just inside."""
LEAST_SAMPLES = 4
"""Fewer samples cannot tell an outlying variance from noise."""


class VariableFeaturesParams(Params):
    """Parameters of `variable_features`."""

    block: str | None = None
    """Sample column whose levels are taken out first (such as the plex): only what varies inside them counts."""
    min_values: int = Field(default=4, ge=3)
    """Features with fewer values are not judged."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate of what is counted as significant."""


@tool(
    "variable_features",
    version="1",
    summary="Which features vary more between samples than others of like abundance do: for data without known groups.",
    outputs=("table:variable",),
    seconds=0.2,
)
def variable_features(dataset: AnnData, params: VariableFeaturesParams, *, seed: int) -> Result:
    """Test the variance of every feature against what is usual at its abundance.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features; NaN is missing.
    params
        See `VariableFeaturesParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``variable`` in the order of the features: feature, gene, ``effect`` (log2 of the standard deviation over the
        usual one), ``sd`` and ``usual_sd`` (log2 units), ``statistic`` (F), ``df``, p, q, ``n`` values, ``mean``. Values:
        n_tested, n_significant, n_samples, usual_sd_median, prior_df, level.

    Raises
    ------
    InputError
        With fewer than four samples, an unknown block, or when fewer than ten features can be judged.

    Notes
    -----
    The usual variance is the trended prior of the empirical Bayes model of variances (Sartor et al. 2006, BMC
    Bioinformatics 7:538), fitted robustly so that outlying features do not set it (Phipson et al. 2016, Ann Appl Stat
    10:946); a feature's variance over it follows F on its own and the prior's degrees of freedom. What is significant
    varies for some reason, biological or not: the test says nothing of what the reason is.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 0.2, size=(8, 100))
    >>> X[:4, 0] += 2
    >>> data = anndata.AnnData(X, var=pd.DataFrame(index=[f"P{i}" for i in range(100)]))
    >>> table = variable_features(data).table()
    >>> table.sort_values("p")["feature"].iloc[0]
    'P0'
    """
    X = abundance(dataset)
    if X.shape[0] < LEAST_SAMPLES:
        raise InputError(
            f"{X.shape[0]} samples are too few to judge variances", mend=f"give {LEAST_SAMPLES} or more"
        )
    residual, lost = _within(dataset, X, params.block)
    n = np.isfinite(residual).sum(axis=0)
    df = np.where(n >= params.min_values, n - lost, 0).astype(float)
    df = np.where(df > 0, df, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(df > 0, np.nansum(residual**2, axis=0) / df, np.nan)
        mean = np.where(n > 0, np.nansum(X, axis=0) / np.maximum(np.isfinite(X).sum(axis=0), 1), np.nan)
    judged = (df > 0) & (variance > 0)
    if judged.sum() < 10:
        raise InputError(
            f"{int(judged.sum())} features have {params.min_values} values that vary",
            where="variable_features",
            mend="give ten or more: the usual variance is learnt from the other features",
        )
    # A feature alone at the end of the abundances would draw the trend to itself.
    along = np.clip(mean, *np.quantile(mean[judged], [_END, 1.0 - _END]))
    prior = fit_variance_prior(
        np.where(judged, variance, np.nan), np.where(judged, df, 0.0), along, robust=True
    )
    usual = np.where(judged, prior.variance, np.nan)
    ratio = variance / usual
    d0 = min(prior.df_common, 1e6)
    p = np.full(len(ratio), np.nan)
    p[judged] = special.fdtrc(df[judged], d0, ratio[judged]) if d0 > 0 else 1.0
    q = benjamini_hochberg(p)
    gene = dataset.var["gene"].astype(str).to_numpy() if "gene" in dataset.var else np.full(len(ratio), "")
    table = pd.DataFrame(
        {
            "feature": dataset.var_names.astype(str).to_numpy(),
            "gene": gene,
            "effect": np.where(judged, 0.5 * np.log2(np.where(judged, ratio, 1.0)), np.nan),
            "sd": np.where(judged, np.sqrt(np.where(judged, variance, 0.0)), np.nan),
            "usual_sd": np.sqrt(usual),
            "statistic": np.where(judged, ratio, np.nan),
            "df": np.where(judged, df, np.nan),
            "p": p,
            "q": q,
            "n": n.astype(np.int64),
            "mean": mean,
        }
    )
    found = int((q <= params.level).sum())
    warnings = []
    if prior.df_common <= 0:
        warnings.append("variances differ too much between features for a usual one to be known")
    return Result(
        summary=(
            f"{found} of {int(judged.sum())} features vary more over {X.shape[0]} samples than others of their abundance "
            f"(q <= {params.level:g}); the usual standard deviation is {np.nanmedian(np.sqrt(usual)):.2f} log2 units."
        ),
        values={
            "n_tested": int(judged.sum()),
            "n_significant": found,
            "n_samples": int(X.shape[0]),
            "usual_sd_median": finite(float(np.nanmedian(np.sqrt(usual)))),
            "prior_df": finite(float(d0)),
            "level": params.level,
        },
        tables={"variable": table},
        warnings=tuple(warnings),
        n_total=len(table),
        n_returned=len(table),
    )


def _within(dataset: AnnData, X: np.ndarray, block: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Values less the mean of their block, and the means that this took, shape (features,)."""
    if block is None:
        codes = np.zeros(X.shape[0], dtype=int)
    elif block not in dataset.obs:
        raise InputError(
            f"there is no sample column {block!r}",
            where="parameter 'block'",
            mend=f"name one of {list(dataset.obs)}",
        )
    else:
        codes = pd.Categorical(as_levels(dataset.obs[block]).fillna("unknown").astype(str)).codes.astype(int)
    residual, lost = np.full_like(X, np.nan), np.zeros(X.shape[1], dtype=int)
    for code in np.unique(codes):
        rows = codes == code
        inside = np.isfinite(X[rows])
        count = inside.sum(axis=0)
        mean = np.where(inside, X[rows], 0.0).sum(axis=0) / np.maximum(count, 1)
        residual[rows] = X[rows] - mean
        lost += count > 0
    return residual, lost
