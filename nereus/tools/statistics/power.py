"""Power: what a comparison could have seen, and how many samples a follow-up needs.

Per feature from its moderated residual standard deviation and the actual design, under a level at which the
false discovery rate, not the single test, is controlled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import special

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.design import build_design
from nereus.tools.statistics.linear_model import FloatArray
from nereus.tools.statistics.model_options import ModelOptions
from nereus.tools.statistics.moderated_t import fit_contrast, t_quantile
from nereus.tools.statistics.result_table import feature_values, observed_units

_MOST_SAMPLES = 10_000
"""Sample sizes are not sought beyond this; a feature that needs more gets NaN."""


class PowerParams(ModelOptions):
    """Parameters of `power`."""

    contrast: Contrast
    """Comparison whose power is asked for."""
    effect_sd: float = Field(default=0.8, gt=0.0)
    """Effect in residual standard deviations for which the power is given."""
    effect: float = Field(default=1.0, gt=0.0)
    """Effect in log2 units for which power and sample size are given."""
    effects: dict[str, float] = Field(default_factory=dict)
    """Effects of named features in log2 units, used in place of `effect`."""
    target: float = Field(default=0.8, gt=0.0, lt=1.0)
    """Power asked for."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate (and level of a follow-up of one feature)."""
    share_changed: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Assumed share of features that truly differ: with `level` it sets the level of the single test."""


@tool(
    "power",
    version="2",
    summary="Effects that a comparison could have seen, and the samples a group that a follow-up needs.",
    outputs=("table:power",),
    seconds=0.5,
)
def power(dataset: AnnData, params: PowerParams, *, seed: int) -> Result:
    """Compute detectable effects and sample sizes of every feature for a comparison.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `PowerParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``power``: feature, gene, ``sd`` (moderated, log2), ``detectable_effect`` (log2 effect found
        with the target power), ``power_effect_sd`` (power for `effect_sd` standard deviations),
        ``power_effect`` (for the log2 effect in ``assumed_effect``), ``n_per_group`` (samples or pairs that
        find it with the target power at the same false discovery rate), ``observed_effect``, ``n_follow_up``
        (samples a group to confirm this feature alone in new samples). Values: alpha, median and 10 % and 90
        % quantiles of the detectable effect, sd and sample size; power for `effect_sd`; n for `effect_sd`.

    Raises
    ------
    InputError
        As `build_design`; or when a feature in `effects` is unknown or its effect is zero.

    Notes
    -----
    Level of the single test: ``alpha = level * share * target / ((1 - share) * (1 - level))``, at which a
    share ``level`` of the findings is expected to be false (Jung 2005, Bioinformatics 21:3097). Power is that
    of a noncentral t with the moderated degrees of freedom. ``n_follow_up`` assumes an unmoderated test at
    `level` and the observed effect less one standard error, since effects of selected features are
    exaggerated.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 0.5, size=(10, 60))
    >>> obs = pd.DataFrame({"group": ["a"] * 5 + ["b"] * 5}, index=[f"s{i}" for i in range(10)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(60)]))
    >>> result = power(data, contrast={"factor": "group", "a": "a", "b": "b"})
    >>> 1.0 < result.values["detectable_effect_median"] < 1.8
    True
    """
    design = build_design(dataset.obs, params.contrast, block_model=params.block_model)
    values = feature_values(dataset, design)
    n_a, n_b = observed_units(values, design)
    fit = fit_contrast(
        values,
        design.matrix,
        design.contrast,
        trend=params.trend,
        robust=params.robust,
        block=design.block,
        block_model=design.block_model,
    )
    known = np.isfinite(fit.se) & (n_a >= 2) & (n_b >= 2)
    sd = np.where(known, np.sqrt(fit.variance), np.nan)
    unscaled = np.where(known, fit.linear.unscaled_sd, np.nan)
    df = np.where(known, fit.df, np.nan)
    alpha = single_test_level(params.level, params.share_changed, params.target)
    assumed = _assumed_effects(dataset, params)
    paired = design.block is not None and design.block_model == "fixed"
    # How much covariates, unequal groups and missing values inflate the variance over an even design of its
    # size.
    n_harmonic = np.where(known, 2.0 / (1.0 / np.maximum(n_a, 1) + 1.0 / np.maximum(n_b, 1)), np.nan)
    inflation = unscaled**2 / (2.0 / n_harmonic)
    prior_df = np.where(known, np.minimum(fit.prior.df, 1e6), np.nan)
    lost = design.matrix.shape[1] - 2
    detectable = detectable_effect(unscaled, df, alpha, params.target) * sd
    n_needed = n_for_power(
        assumed / sd,
        alpha,
        params.target,
        prior_df=prior_df,
        lost_df=lost,
        paired=paired,
        inflation=inflation,
    )
    shrunk = np.maximum(np.abs(fit.effect) - fit.se, 0.0)
    follow_up = n_for_power(np.where(known, shrunk, np.nan) / sd, params.level, params.target, paired=paired)
    gene = (
        dataset.var["gene"].astype(str).to_numpy() if "gene" in dataset.var else np.full(dataset.n_vars, "")
    )
    table = pd.DataFrame(
        {
            "feature": dataset.var_names.astype(str).to_numpy(),
            "gene": gene,
            "sd": sd,
            "n_a": n_a.astype(np.int64),
            "n_b": n_b.astype(np.int64),
            "detectable_effect": detectable,
            "power_effect_sd": power_of(params.effect_sd / unscaled, df, alpha),
            "assumed_effect": assumed,
            "power_effect": power_of(assumed / (unscaled * sd), df, alpha),
            "n_per_group": n_needed,
            "observed_effect": np.where(known, fit.effect, np.nan),
            "n_follow_up": follow_up,
        }
    )
    typical = float(np.median(prior_df[known])) if known.any() else np.nan
    n_sd = n_for_power(
        np.array([params.effect_sd]), alpha, params.target, prior_df=typical, lost_df=lost, paired=paired
    )
    power_sd = finite(float(np.nanmedian(table["power_effect_sd"]))) if known.any() else None
    unit = "pairs" if paired else "samples a group"
    quantiles = {
        **_quantiles("detectable_effect", detectable),
        **_quantiles("sd", sd),
        **_quantiles("n_per_group", n_needed),
    }
    warnings = list(design.warnings)
    if not known.any():
        warnings.append("no feature has two values in each group: no power can be given")
        summary = f"{params.contrast.label}: power cannot be given for any feature."
    else:
        summary = (
            f"{params.contrast.label}: with {design.n_a} vs {design.n_b} samples half of the features "
            f"would show an "
            f"effect of {quantiles['detectable_effect_median']:.2f} log2 units with {params.target:.0%} "
            f"power at a false "
            f"discovery rate of {params.level:g}; power for {params.effect_sd:g} sd is "
            f"{power_sd or 0.0:.0%}, and "
            f"{_count(n_sd[0])} {unit} would find that effect."
        )
    return Result(
        summary=summary,
        values={
            "n_features": len(sd),
            "n_tested": int(known.sum()),
            "n_samples_a": design.n_a,
            "n_samples_b": design.n_b,
            "alpha": alpha,
            "level": params.level,
            "target": params.target,
            "effect_sd": params.effect_sd,
            "power_effect_sd": power_sd,
            "n_for_effect_sd": None if np.isnan(n_sd[0]) else int(n_sd[0]),
            "share_detectable": finite(float(np.mean(detectable[known] <= params.effect)))
            if known.any()
            else None,
            "paired": paired,
            **quantiles,
        },
        tables={"power": table},
        warnings=tuple(warnings),
        n_total=len(sd),
        n_returned=len(sd),
    )


def single_test_level(level: float, share_changed: float, power: float) -> float:
    """Level of the single test at which a share `level` of the findings is expected to be false (Jung 2005)."""
    return min(level, level * share_changed * power / ((1.0 - share_changed) * (1.0 - level)))


def power_of(noncentrality: FloatArray, df: FloatArray, alpha: float) -> FloatArray:
    """Power of a two-sided t test: ``P(|T'| > t_crit)`` of the noncentral t; NaN where an input is NaN."""
    d = np.minimum(np.where(np.isfinite(df) | np.isinf(df), df, 1.0), 1e6)
    shift = np.where(np.isfinite(noncentrality), np.abs(noncentrality), 0.0)
    critical = t_quantile(1.0 - alpha / 2.0, d)
    # Beyond 30 standard errors above the critical value, the answer is one; the series of nct would not
    # converge.
    tame = np.minimum(shift, critical + 30.0)
    above = 1.0 - special.nctdtr(d, tame, critical)
    below = special.nctdtr(d, tame, -critical)
    found = np.clip(np.nan_to_num(above, nan=1.0) + np.nan_to_num(below), 0.0, 1.0)
    return np.asarray(np.where(np.isnan(noncentrality) | np.isnan(df), np.nan, found))


def detectable_effect(unscaled: FloatArray, df: FloatArray, alpha: float, target: float) -> FloatArray:
    """Effect in standard deviations that is found with power `target`, by bisection; shape of `unscaled`."""
    d, of = np.unique(np.where(np.isnan(df), 1.0, df), return_inverse=True)  # few: most features miss alike
    low, high = (
        np.zeros_like(d),
        t_quantile(1.0 - alpha / 2.0, d) + 10.0 * np.maximum(1.0, t_quantile(0.9, d)),
    )
    for _ in range(40):
        middle = (low + high) / 2.0
        enough = power_of(middle, d, alpha) >= target
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(np.where(np.isnan(df), np.nan, high[of]) * unscaled)


def n_for_power(
    effect_in_sd: npt.ArrayLike,
    alpha: float,
    target: float = 0.8,
    *,
    prior_df: npt.ArrayLike = 0.0,
    lost_df: int = 0,
    paired: bool = False,
    inflation: npt.ArrayLike = 1.0,
) -> FloatArray:
    """Least number of samples a group (or pairs) that finds an effect with power `target`.

    Parameters
    ----------
    effect_in_sd
        Effects over residual standard deviations.
    alpha, target
        Two-sided level of the single test, and power.
    prior_df
        Degrees of freedom that moderation adds.
    lost_df
        Degrees of freedom that covariates take.
    paired
        Count pairs: ``n - 1`` degrees of freedom in place of ``2 n - 2``; the standard deviation is that
        within pairs.
    inflation
        Factor on the variance of the effect over that of an even design, ``2 / n``.

    Returns
    -------
    ndarray
        Whole numbers; NaN where the effect is zero or unknown, or more than 10,000 would be needed.

    Examples
    --------
    >>> n_for_power([0.8, 0.5], alpha=0.05).tolist()  # the textbook's 26 and 64 a group
    [26.0, 64.0]
    """
    effect, prior, factor = np.broadcast_arrays(
        np.abs(np.atleast_1d(np.asarray(effect_in_sd, dtype=np.float64))),
        np.asarray(prior_df, dtype=np.float64),
        np.asarray(inflation, dtype=np.float64),
    )

    def enough(n: FloatArray) -> npt.NDArray[np.bool_]:
        df = np.maximum((n - 1.0 if paired else 2.0 * n - 2.0) - lost_df, 0.0) + prior
        shift = effect / np.sqrt(2.0 * factor / n)
        return np.asarray(np.nan_to_num(power_of(shift, np.where(df > 0, df, np.nan), alpha)) >= target)

    low, high = np.full(effect.shape, 1.0), np.full(effect.shape, float(_MOST_SAMPLES))
    reachable = enough(high) & (effect > 0)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2.0)
        fine = enough(middle)
        low, high = np.where(fine, low, middle), np.where(fine, middle, high)
    return np.asarray(np.where(reachable, high, np.nan))


def _assumed_effects(dataset: AnnData, params: PowerParams) -> FloatArray:
    assumed = np.full(dataset.n_vars, params.effect)
    if params.effects:
        places = dataset.var_names.get_indexer(list(params.effects))
        for name, place in zip(params.effects, places, strict=True):
            if place < 0:
                raise InputError(
                    f"there is no feature {name!r}", where="parameter 'effects'", mend="name var ids"
                )
            if not np.isfinite(params.effects[name]) or params.effects[name] == 0:
                raise InputError(f"the effect of {name!r} is zero or not finite", where="parameter 'effects'")
            assumed[place] = abs(params.effects[name])
    return assumed


def _quantiles(name: str, x: FloatArray) -> dict[str, float | None]:
    known = x[np.isfinite(x)]
    if not len(known):
        return {f"{name}_median": None, f"{name}_q10": None, f"{name}_q90": None}
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
    return {f"{name}_median": finite(middle), f"{name}_q10": finite(low), f"{name}_q90": finite(high)}


def _count(n: float) -> str:
    return f"more than {_MOST_SAMPLES}" if np.isnan(n) else f"{n:.0f}"
