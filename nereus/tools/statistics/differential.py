"""Differential abundance: which features differ between two groups of samples, by moderated t or TREAT."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from anndata import AnnData

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.batch import corrected_notes
from nereus.tools.statistics.contrast_test import TestOptions, compare, peptide_counts
from nereus.tools.statistics.design import Design, build_design
from nereus.tools.statistics.linear_model import FloatArray
from nereus.tools.statistics.model_options import FindingLevel
from nereus.tools.statistics.moderated_t import (
    ContrastFit,
    benjamini_hochberg,
    effect_centre,
)
from nereus.tools.statistics.result_table import Estimates, result_table


class DifferentialParams(FindingLevel, TestOptions):
    """Parameters of `differential_abundance`."""

    contrast: Contrast
    """Levels a and b of a factor; effects are a minus b."""
    weights: Literal["none", "peptides"] = "none"
    """``peptides`` weighs each value by the peptides behind it in its sample (layer ``n_peptides``)."""


@tool(
    "differential_abundance",
    version="5",
    summary="Which features differ between two groups: moderated t or TREAT, covariates, blocks and pairs.",
    outputs=("table:differential",),
    seconds=0.5,
)
def differential_abundance(dataset: AnnData, params: DifferentialParams, *, seed: int) -> Result:
    """Test every feature for a difference between levels a and b of a factor.

    A linear model with covariates and blocks is fitted to the log2 abundances of each feature by least
    squares on the samples where it was observed; missing values are left out, never filled in. Residual
    variances are moderated by empirical Bayes. Blocks that hold both levels (pairs) get a mean each; others
    are modelled by the correlation within blocks that all features share.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `DifferentialParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``differential``: feature, gene, effect (log2 fold change a - b, after centring), se, 95 %
        interval, statistic, df, p, q (Benjamini-Hochberg), n_a, n_b (units with a value), mean (log2), and
        ``offset`` (what centring subtracted), ``sd`` (moderated residual standard deviation),
        ``background_sd`` (what the background adds to `se` in quadrature). Values:
        n_tested, n_significant, n_up, n_down, n_without_background, prior_df, prior_sd, median_effect,
        background_spread,
        correlation, ``unchanged_share`` (of the features, as the background sees it), ``unchanged_sd`` (how far
        unchanged features differ beside replicate error, log2; None unless told apart among many changes) ...

    Raises
    ------
    InputError
        As `build_design`; or when a covariate of the prior or weights are asked for that the data set lacks.

    Notes
    -----
    Smyth 2004, Stat Appl Genet Mol Biol 3:3; Sartor et al. 2006; Phipson et al. 2016; McCarthy & Smyth 2009;
    blocks: Smyth, Michaud & Scott 2005. ``background_spread`` is the robust standard deviation of all effects
    about their running centre.
    ``precision`` predicts the variance from abundance and peptide counts together.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 0.5, size=(8, 50))
    >>> X[:4, 0] += 4
    >>> obs = pd.DataFrame({"group": list("aaaabbbb")}, index=[f"s{i}" for i in range(8)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(50)]))
    >>> result = differential_abundance(data, contrast={"factor": "group", "a": "a", "b": "b"})
    >>> result.values["n_significant"], result.table().loc[0, "feature"]
    (1, 'P0')
    """
    design = build_design(dataset.obs, params.contrast, block_model=params.block_model)
    if params.prior_covariate == "peptides" and peptide_counts(dataset) is None:
        raise InputError(
            "the data set has no peptide counts",
            where="var column 'n_peptides'",
            mend="use prior_covariate='intensity', or load a table that has them",
        )
    weights = _peptide_weights(dataset, design) if params.weights == "peptides" else None
    compared = compare(dataset, design, params, weights=weights)
    values = compared.values
    n_a, n_b = compared.counts()
    warnings = [*design.warnings, *corrected_notes(dataset)]
    fit, background = compared.test_with_background()
    if params.background == "always" and background is None:
        warnings.append("too few features to estimate the background: it was left out")
    warnings += [] if background is None else background.warnings()
    q = benjamini_hochberg(fit.p)
    low, high = fit.interval()
    mean = np.full(len(values), np.nan)
    seen = np.isfinite(values)
    np.divide(np.where(seen, values, 0.0).sum(axis=1), seen.sum(axis=1), out=mean, where=seen.any(axis=1))
    estimates = Estimates(fit.effect, fit.se, low, high, fit.statistic, fit.df, fit.p, q)
    tested = np.isfinite(fit.p)
    estimates = only(tested, estimates)
    extra = {
        "offset": np.where(tested, fit.offset, np.nan),
        "sd": np.where(tested, np.sqrt(fit.variance), np.nan),
        "background_sd": np.where(
            tested, 0.0 if background is None else np.sqrt(background.variance), np.nan
        ),
    }
    table = result_table(dataset, estimates, n_a, n_b, mean, extra)
    found = q <= params.level
    up, down = int((found & (fit.effect > 0)).sum()), int((found & (fit.effect < 0)).sum())
    alone, told = (up + down, []) if background is None else background.hidden(up + down, params.level)
    warnings += [*told, *_notes(fit, tested, params)]
    label = params.contrast.label
    beyond = f" by more than {params.lfc_min:g} log2 units" if params.lfc_min else ""
    return Result(
        summary=(
            f"{label}: {up + down} of {int(tested.sum())} tested features differ{beyond} at q <= "
            f"{params.level:g} "
            f"({up} higher in {params.contrast.a}, {down} lower); {design.n_a} vs {design.n_b} samples."
        ),
        values={
            "n_features": len(values),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_without_background": alone,
            "n_samples_a": design.n_a,
            "n_samples_b": design.n_b,
            "n_dropped_samples": design.n_dropped,
            "n_coefficients": design.matrix.shape[1],
            "block_model": design.block_model if design.block is not None else "none",
            "correlation": finite(fit.correlation),
            "level": params.level,
            "lfc_min": params.lfc_min,
            "background_applied": background is not None,
            "background_ratio": finite(background.ratio) if background else None,
            "background_inflation": finite(background.inflation) if background else None,
            "unchanged_share": finite(background.unchanged) if background else None,
            "unchanged_sd": finite(background.unchanged_sd) if background else None,
            **variance_values(fit, tested),
            **effect_values(fit, tested),
        },
        tables={"differential": table},
        warnings=tuple(warnings),
        n_total=len(values),
        n_returned=len(values),
    )


def only(tested: np.ndarray, estimates: Estimates) -> Estimates:
    """Estimates with NaN in every column of a feature that was not tested."""
    return replace(
        estimates, **{name: np.where(tested, column, np.nan) for name, column in vars(estimates).items()}
    )


def variance_values(fit: ContrastFit, tested: np.ndarray) -> dict[str, float | bool | None]:
    """Named values about the moderation of variances."""
    priors = fit.prior.variance[tested]
    priors = priors[np.isfinite(priors)]
    centre = float(np.median(priors)) if len(priors) else float("nan")
    return {
        "prior_df": finite(fit.prior.df_common),
        "prior_df_infinite": bool(np.isinf(fit.prior.df_common)),
        "prior_sd": finite(np.sqrt(centre)),
    }


def effect_values(fit: ContrastFit, tested: np.ndarray) -> dict[str, float | None]:
    """Named values about the bulk of the effects, before centring."""
    raw = (fit.effect + fit.offset)[tested]
    if not len(raw):
        return {"median_effect": None, "background_spread": None, "share_below_p05": None}
    running = effect_centre(fit.effect + fit.offset, fit.se, fit.linear.mean, "intensity")[tested]
    away = np.abs(raw - running)
    return {
        "median_effect": finite(float(np.median(raw))),
        "background_spread": finite(1.4826 * float(np.median(away))),
        "share_below_p05": finite(float(np.mean(fit.p[tested] < 0.05))),
    }


def _peptide_weights(dataset: AnnData, design: Design) -> FloatArray:
    if "n_peptides" not in dataset.layers:
        raise InputError(
            "the data set has no peptide counts by sample",
            where="layer 'n_peptides'",
            mend="use prior_covariate='peptides' with counts by feature, or weights='none'",
        )
    counts = np.asarray(dataset.layers["n_peptides"], dtype=np.float64)[design.samples].T
    counts = np.where(np.isfinite(counts) & (counts > 0), counts, 1.0)
    return np.asarray(counts / counts.mean(axis=1, keepdims=True))


def _notes(fit: ContrastFit, tested: np.ndarray, params: DifferentialParams) -> list[str]:
    notes = []
    missed = int((~tested).sum())
    if missed:
        notes.append(
            f"{missed} of {len(tested)} features were not tested: fewer than {params.min_per_group} units "
            f"with a value "
            f"in a group, or no residual degrees of freedom"
        )
    variance = fit.linear.variance[tested]
    still = int((variance <= 1e-20).sum())
    if still > len(variance) / 2:
        notes.append("more than half of the features do not vary within groups: the tests cannot be trusted")
    elif still:
        notes.append(f"{still} features do not vary within groups")
    if params.method == "moderated_t" and tested.any() and fit.prior.df_common == 0.0:
        notes.append("too few features for a variance prior: ordinary t")
    return notes
