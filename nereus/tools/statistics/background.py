"""The background of a comparison: how far features that nobody changed still differ between the two groups.

Replicates of one preparation agree better with each other than with another preparation. What is changed
strongly suppresses the rest (composition), injections drift, and so the features that do not change differ
between the groups by more than their replicates show. Permuting labels cannot reveal it: every other split of
six samples mixes the two preparations. The only witness is the bulk of the features, which an empirical null
(Efron 2004, JASA 99:96) reads: here as a variance component,

    effect_g ~ N(centre_g, se_g^2 + tau_g^2)    for unchanged features,

with centre and tau running over the expected precision of a feature. tau is the value for which the bulk (the
middle half) of ``(effect - centre) / sqrt(se^2 + tau^2)`` is as wide as a normal distribution; features in
the tails have no say. With tau known the test stays a t-test on its own degrees of freedom, with a larger
standard error: the bulk fixes the scale, and the heavy tails of few replicates stay.

The same arithmetic would call broad, real differences between many independent subjects "background". There
the exchange of labels is a proof of its own. `needs_background` therefore asks for the component only where
labels have too few distinct splits to prove anything, and where enough features are measured to speak for
the bulk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.moderated_t import ContrastFit
from nereus.tools.statistics.treat import treat

FloatArray = npt.NDArray[np.float64]

MIN_FEATURES = 200
"""Features needed before the bulk is trusted; a small panel was chosen, and has no bulk."""
MIN_SPLITS = 1000
"""Distinct label splits from which on permutation by itself can reach p = 0.001 (seven against seven)."""
_WIDTH = 200
"""Features in a running window (or a tenth of all, if more): a median absolute deviation known to about 6
%.
"""
_HALVINGS = 26
_NORMAL_QUARTILE = 0.6744897501960817


@dataclass(frozen=True)
class Background:
    """Null distribution of the effects of unchanged features.

    Attributes
    ----------
    centre
        Running median of the effects, shape (features,).
    variance
        tau squared, shape (features,), on the scale of effect squared.
    spread
        Robust standard deviation of all effects around their centre.
    ratio
        Median of tau over the residual standard deviation of one sample: how far the typical unchanged
        feature is shifted, in standard deviations between replicates.
    inflation
        Robust standard deviation of the plain statistics of the bulk; one where replicates tell the whole
        story.
    """

    centre: FloatArray
    variance: FloatArray
    spread: float
    ratio: float
    inflation: float


def needs_background(n_features: int, n_splits: float) -> bool:
    """Whether a background variance belongs into the test of a contrast.

    Parameters
    ----------
    n_features
        Features that can be tested.
    n_splits
        Distinct ways of splitting the independent units into the two groups.
    """
    return n_features >= MIN_FEATURES and n_splits < MIN_SPLITS


def fit_background(fit: ContrastFit, along: FloatArray) -> Background | None:
    """Estimate the background from the fitted contrast of all features.

    Parameters
    ----------
    fit
        Plain fit of the contrast.
    along
        What the background may depend on, shape (features,): the expected precision (`variance_trend`), or
        the mean abundance.

    Returns
    -------
    Background
        None where fewer than `MIN_FEATURES` features are testable.
    """
    tested = np.flatnonzero(np.isfinite(fit.effect) & np.isfinite(fit.se))
    if len(tested) < MIN_FEATURES:
        return None
    order = tested[np.argsort(along[tested], kind="stable")]
    width = min(len(order), max(_WIDTH, len(order) // 10))
    n_anchors = max(1, min(len(order) - width + 1, round(10 * (len(order) - width) / width) + 1))
    starts = np.linspace(0, len(order) - width, n_anchors).round().astype(int)
    window = order[starts[:, None] + np.arange(width)]  # (anchors, width)
    place = np.median(along[window], axis=1)
    middle = np.median(fit.effect[window], axis=1)
    at = np.clip(along, place[0], place[-1])
    at = np.where(np.isfinite(at), at, place[0])
    knots, first = np.unique(place, return_index=True)
    centre = np.interp(at, knots, middle[first])
    away = np.abs(fit.effect - centre)
    tau2 = _tau_squared(away[window] / _NORMAL_QUARTILE, (fit.se**2)[window])
    variance = np.interp(at, knots, tau2[first])
    residual_sd = np.sqrt(fit.variance[tested])
    return Background(
        centre,
        variance,
        spread=float(1.4826 * np.median(away[tested])),
        ratio=float(np.median(np.sqrt(variance[tested]) / np.maximum(residual_sd, 1e-12))),
        inflation=float(np.median(away[tested] / fit.se[tested]) / _NORMAL_QUARTILE),
    )


def _tau_squared(away: FloatArray, square: FloatArray) -> FloatArray:
    """Per row, the tau^2 >= 0 at which ``median(away / sqrt(square + tau^2)) = 1``, by bisection."""
    low = np.zeros(len(away))
    high = np.max(away, axis=1) ** 2
    for _ in range(_HALVINGS):
        guess = (low + high) / 2.0
        wide = np.median(away / np.sqrt(square + guess[:, None]), axis=1) > 1.0
        low, high = np.where(wide, guess, low), np.where(wide, high, guess)
    return np.where(np.median(away / np.sqrt(square), axis=1) > 1.0, (low + high) / 2.0, 0.0)


def against_background(fit: ContrastFit, background: Background, lfc_min: float = 0.0) -> ContrastFit:
    """Test the contrast against its background: effects centred, standard errors widened by tau."""
    effect = fit.effect - background.centre
    se = np.sqrt(fit.se**2 + background.variance)
    statistic, p = treat(effect, se, fit.df, lfc_min)
    return replace(
        fit,
        effect=effect,
        se=se,
        statistic=statistic,
        p=p,
        offset=fit.offset + np.where(np.isfinite(effect), background.centre, 0.0),
    )
