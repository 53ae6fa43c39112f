"""Moderated t of one contrast for all features: the numerical core of differential abundance.

Linear model, empirical Bayes variances and the t or TREAT test in one call on plain arrays. The tools put
tables around it; permutation, stability and self-planting call it directly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from nereus.tools.statistics.empirical_bayes import VariancePrior, fit_variance_prior, squeeze_variances
from nereus.tools.statistics.linear_model import IntArray, LinearFit, consensus_correlation, fit_linear_model
from nereus.tools.statistics.treat import treat

FloatArray = npt.NDArray[np.float64]
BlockModel = Literal["fixed", "correlated"]
Centre = Literal["none", "median", "intensity"]


@dataclass(frozen=True)
class ContrastFit:
    """Test of one contrast; arrays have shape (features,) and are NaN where a feature cannot be tested.

    Attributes
    ----------
    effect, se
        Contrast estimate (after centring) and its moderated standard error.
    statistic, df, p
        Moderated t (or TREAT) statistic, total degrees of freedom, two-sided p-value.
    offset
        What centring subtracted from the raw effects.
    variance
        Posterior residual variance.
    prior
        Fitted prior of the variances.
    linear
        The underlying least-squares fit.
    correlation
        Consensus correlation within blocks; None unless blocks were modelled as correlated.
    """

    effect: FloatArray
    se: FloatArray
    statistic: FloatArray
    df: FloatArray
    p: FloatArray
    offset: FloatArray
    variance: FloatArray
    prior: VariancePrior
    linear: LinearFit
    correlation: float | None = None

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Two-sided confidence interval of the effect."""
        reach = np.asarray(t_quantile(0.5 + level / 2.0, self.df)) * self.se
        return self.effect - reach, self.effect + reach


def fit_contrast(
    values: FloatArray,
    design: FloatArray,
    contrast: FloatArray,
    *,
    trend: bool = False,
    robust: bool = False,
    prior_covariate: FloatArray | None = None,
    lfc_min: float = 0.0,
    block: IntArray | None = None,
    block_model: BlockModel = "fixed",
    correlation: float | None = None,
    weights: FloatArray | None = None,
    centre: Centre = "none",
    moderate: bool = True,
    linear: LinearFit | None = None,
) -> ContrastFit:
    """Test ``contrast @ coefficients = 0`` (or ``|.| <= lfc_min``) for every feature by moderated t.

    Parameters
    ----------
    values
        log2 abundances, shape (features, samples); NaN is missing.
    design, contrast
        Shapes (samples, coefficients) and (coefficients,).
    trend
        Let the prior variance follow `prior_covariate`, or the mean abundance where that is None.
    robust
        Robust prior: hypervariable features are moderated less.
    prior_covariate
        Quantity that the prior variance follows, shape (features,), for example log2 peptide counts; implies
        `trend`.
    lfc_min
        Least absolute effect of interest (TREAT).
    block, block_model, correlation
        Integer block codes, shape (samples,); ``fixed`` gives each block its own mean, ``correlated`` uses
        one correlation within blocks, estimated from all features unless `correlation` is given.
    weights
        Precisions of the observations, broadcast to the shape of `values`.
    centre
        Subtract from the effects their robust centre (``median``) or its running value over mean abundance
        (``intensity``): what most features show is taken for the reference.
    moderate
        False gives the ordinary t.
    linear
        The least-squares fit, where it was made already with the same arguments.

    Returns
    -------
    ContrastFit

    Notes
    -----
    Smyth 2004 (moderated t), Sartor et al. 2006 (trend), Phipson et al. 2016 (robust), McCarthy & Smyth 2009
    (TREAT).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> values = rng.normal(20, 1, size=(500, 8))
    >>> values[0, 4:] += 8
    >>> design = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
    >>> fit = fit_contrast(values, design, np.array([0.0, 1.0]))
    >>> int(np.argmin(fit.p)), bool(fit.p[0] < 1e-6)
    (0, True)
    """
    rho: float | None = None
    if block is not None and block_model == "correlated":
        rho = consensus_correlation(values, design, block) if correlation is None else correlation
        rho = rho if np.isfinite(rho) else 0.0
    if linear is None:
        linear = fit_linear_model(values, design, contrast, weights=weights, block=block, correlation=rho)
    testable = np.isfinite(linear.unscaled_sd)
    if moderate:
        along = prior_covariate if prior_covariate is not None else linear.mean if trend else None
        prior = fit_variance_prior(linear.variance, linear.df, along, robust=robust)
        posterior = squeeze_variances(linear.variance, linear.df, prior)
        variance, df = posterior.variance, posterior.df
    else:
        n = len(linear.df)
        prior = VariancePrior(np.zeros(n), np.full(n, np.nan), 0.0)
        variance, df = linear.variance, linear.df
    with np.errstate(invalid="ignore"):
        se = linear.unscaled_sd * np.sqrt(variance)
    usable = testable & (df > 0) & (se > 0)
    se = np.where(usable, se, np.nan)
    df = np.where(usable, df, np.nan)
    offset = effect_centre(linear.effect, se, linear.mean, centre)
    effect = linear.effect - offset
    statistic, p = treat(effect, se, df, lfc_min)
    return ContrastFit(effect, se, statistic, df, p, offset, variance, prior, linear, rho)


def effect_centre(effect: FloatArray, se: FloatArray, mean: FloatArray, centre: Centre) -> FloatArray:
    """Robust centre of the effects of the features that do not change, shape (features,).

    ``median`` is the median of all effects. ``intensity`` is the median over the neighbours in mean
    abundance: a running window of a tenth of the features (at least 100), shrunk to the overall median where
    there are fewer.
    """
    if centre == "none":
        return np.zeros_like(effect)
    known = np.isfinite(effect) & np.isfinite(se)
    if not known.any():
        return np.zeros_like(effect)
    overall = float(np.median(effect[known]))
    width = max(100, int(known.sum()) // 10)
    if centre == "median" or known.sum() < 2 * width:
        return np.full_like(effect, overall)
    order = np.flatnonzero(known)[np.argsort(mean[known], kind="stable")]
    anchors = np.linspace(0, len(order) - width, 41).round().astype(int)
    level = np.array([np.median(effect[order[start : start + width]]) for start in anchors])
    place = np.array([np.median(mean[order[start : start + width]]) for start in anchors])
    at = np.where(np.isfinite(mean), mean, place[0])
    place, first = np.unique(place, return_index=True)
    return np.asarray(np.interp(at, place, level[first]), dtype=np.float64)


def t_quantile(probability: float, df: FloatArray) -> FloatArray:
    """Quantile of Student's t, for finite and infinite `df`."""
    finite = np.isfinite(df)
    q = special.stdtrit(np.where(finite, df, 1.0), probability)
    q = np.where(finite, q, special.ndtri(probability))
    return np.asarray(np.where(np.isnan(df), np.nan, q), dtype=np.float64)


def benjamini_hochberg(p: FloatArray) -> FloatArray:
    """Benjamini-Hochberg adjusted p-values among the finite ones; NaN stays NaN."""
    q = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    if len(tested):
        order = tested[np.argsort(-p[tested], kind="stable")]
        ranks = np.arange(len(order), 0, -1)
        q[order] = np.minimum(np.minimum.accumulate(p[order] * len(order) / ranks), 1.0)
    return q
