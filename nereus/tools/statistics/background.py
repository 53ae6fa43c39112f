"""The background of a comparison: how far features that nobody changed still differ between the two groups.

Replicates of one preparation agree better with each other than with another preparation. What is changed
strongly suppresses the rest (composition), injections drift, and so the features that do not change differ
between the groups by more than their replicates show. Permuting labels cannot reveal it: every other split of
six samples mixes the two preparations. The only witness is the bulk of the features, which an empirical null
(Efron 2004, JASA 99:96) reads: here as a variance component,

    effect_g ~ N(centre_g, se_g^2 + tau_g^2)    for unchanged features,

with centre and tau running over the expected precision of a feature. tau is the value for which the bulk (the
middle half) of ``(effect - centre) / sqrt(se^2 + tau^2)`` is as wide as a normal distribution; features in
the tails have no say. Where a quarter of the features or more changed, their middle half is not the bulk any
longer: centre and tau are then those of the unchanged part of a mixture (`null_component`), with a tau that also
makes its central nine tenths as wide as normal ones, or heavy tails would be false claims. With tau known the test
stays a t-test on its own degrees of freedom, with a larger standard error: the bulk fixes the scale, and the
heavy tails of few replicates stay.

The same arithmetic would call broad, real differences between many independent subjects "background". There
the exchange of labels is a proof of its own. `needs_background` therefore asks for the component only where
labels have too few distinct splits to prove anything, and where enough features are measured to speak for
the bulk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.moderated_t import ContrastFit, benjamini_hochberg
from nereus.tools.statistics.null_component import Verdict, null_component
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
_LEAST_WEIGHT = 30.0
"""Unchanged features that a window needs for a centre and a spread of its own."""
_FAR = 4.0
"""Inflation from which on a reader is told that a background is either very wide, or not of unchanged features."""
_MANY_HIDDEN = 5
"""Findings that the background takes away from which on a reader is told."""
_COARSE = 5
"""Windows of the mixture overlap by half."""
_HALVINGS = 26
_NORMAL_QUARTILE = 0.6744897501960817
_SHOULDER, _NORMAL_SHOULDER = 0.9, 1.6448536269514722
"""Central share of the unchanged features, and how far it reaches in a normal distribution: read where many changed."""


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
        Robust standard deviation of the plain statistics of the middle half; one where replicates tell the
        whole story.
    verdict
        How the unchanged features were told from the changed ones, as of `NullComponent`.
    unchanged
        Their estimated share; None where it is three quarters or more.
    unchanged_sd
        Median of tau over the tested features where the unchanged ones could be told apart among many changes.
    plain_p
        p-values of the test that knows only the replicates, shape (features,); None where none was made beside it.
    """

    centre: FloatArray
    variance: FloatArray
    spread: float
    ratio: float
    inflation: float
    verdict: Verdict = "few"
    unchanged: float | None = None
    unchanged_sd: float | None = None
    plain_p: FloatArray | None = None

    def warnings(self) -> list[str]:
        """What a reader has to know where many features changed."""
        mend = "normalise on features that are known to be constant (reference_features)"
        if self.unchanged is None:
            if self.inflation < _FAR:
                return []
            return [
                f"the middle half of the features differs between the groups {self.inflation:.1f} times as far as "
                f"replicates show, and was taken for the background: if most features changed, it hides them; {mend}"
            ]
        differ = f"about {1.0 - self.unchanged:.0%} of the tested features differ"
        if self.verdict == "many":
            return [f"{differ}: the rest, which share one centre, were taken for unchanged"]
        if self.verdict == "rival":
            return [
                f"{differ}, a large group of them by the same amount: which group is the unchanged one cannot be "
                f"told, so nothing within their spread is called; {mend}"
            ]
        return [f"{differ}: too few unchanged ones remain to measure effects against; {mend}"]

    def hidden(self, n_found: int, level: float) -> tuple[int, list[str]]:
        """How many features the test would find that knows only the replicates, and a warning where it is many more.

        Parameters
        ----------
        n_found
            Findings against the background.
        level
            Error rate of the findings.
        """
        if self.plain_p is None:
            return n_found, []
        alone = int((benjamini_hochberg(self.plain_p) <= level).sum())
        if alone < max(_MANY_HIDDEN, 2 * n_found):
            return alone, []
        return alone, [
            f"{alone} features differ by more than the replicates vary, {n_found} by more than the bulk of the features "
            f"does, which lies {self.inflation:.1f} times as far from its centre as replicates show: so few units "
            "cannot tell a shift of whole samples from many real changes (as between cell types), and only the "
            "second are called; more replicates, or reference_features that are known to be constant, would tell"
        ]


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
    windows = _Windows.over(along[tested])
    raw, square = fit.effect[tested], fit.se[tested] ** 2
    middle = np.median(raw[windows.members], axis=1)
    centre = windows.between(middle, along)
    away = np.abs(fit.effect - centre)
    tau2 = _tau_squared(away[tested][windows.members] / _NORMAL_QUARTILE, square[windows.members])
    variance = windows.between(tau2, along)
    weighted = _Weighted(along[tested], raw, square)
    found = null_component(raw, square, (centre[tested], variance[tested]), weighted)
    if found.verdict == "many":
        centre[tested] = found.centre
        variance[tested] = np.maximum(found.variance, weighted.shoulder(found.centre, found.weight))
    elif found.verdict == "rival":
        variance[tested] = np.maximum(variance[tested], np.mean(away[tested] ** 2))
    residual_sd = np.sqrt(fit.variance[tested])
    return Background(
        centre,
        variance,
        spread=float(1.4826 * np.median(away[tested])),
        ratio=float(np.median(np.sqrt(variance[tested]) / np.maximum(residual_sd, 1e-12))),
        inflation=float(np.median(away[tested] / fit.se[tested]) / _NORMAL_QUARTILE),
        verdict=found.verdict,
        unchanged=None if found.verdict == "few" else found.share,
        unchanged_sd=float(np.median(np.sqrt(variance[tested]))) if found.verdict == "many" else None,
    )


@dataclass(frozen=True)
class _Windows:
    """Running windows over what the background depends on.

    Attributes
    ----------
    members
        Positions among the tested features, shape (anchors, width).
    place
        Median of the covariate in each window, shape (anchors,).
    """

    members: npt.NDArray[np.intp]
    place: FloatArray

    @staticmethod
    def over(along: FloatArray, coarse: int = 1) -> _Windows:
        """Windows that overlap by nine tenths, or every `coarse`-th of them."""
        order = np.argsort(along, kind="stable")
        width = min(len(order), max(_WIDTH, len(order) // 10))
        n_anchors = max(1, min(len(order) - width + 1, round(10 / coarse * (len(order) - width) / width) + 1))
        starts = np.linspace(0, len(order) - width, n_anchors).round().astype(int)
        members = order[starts[:, None] + np.arange(width)]
        return _Windows(members, np.median(along[members], axis=1))

    def between(self, level: FloatArray, along: FloatArray) -> FloatArray:
        """Values of the windows, interpolated to every feature."""
        at = np.clip(along, self.place[0], self.place[-1])
        knots, first = np.unique(self.place, return_index=True)
        return np.asarray(np.interp(np.where(np.isfinite(at), at, self.place[0]), knots, level[first]))


class _Weighted:
    """Centre and variance of the background of weighted features: their running medians and quartiles."""

    def __init__(self, along: FloatArray, effect: FloatArray, square: FloatArray) -> None:
        self.windows, self.along, self.effect, self.square = (
            _Windows.over(along, _COARSE),
            along,
            effect,
            square,
        )

    def __call__(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        centre = self._running(self.effect, weight)
        # The median of away / sqrt(square + tau2) is one where that of away^2 - square is tau2.
        excess = ((self.effect - centre) / _NORMAL_QUARTILE) ** 2 - self.square
        return centre, np.maximum(self._running(excess, weight), 0.0)

    def shoulder(self, centre: FloatArray, weight: FloatArray) -> FloatArray:
        """Variance by which the shoulders, not the quartiles, of the weighted features are normal: heavy tails."""
        excess = ((self.effect - centre) / _NORMAL_SHOULDER) ** 2 - self.square
        return np.maximum(self._running(excess, weight, _SHOULDER), 0.0)

    def _running(self, x: FloatArray, weight: FloatArray, share: float = 0.5) -> FloatArray:
        """Running weighted quantile; that of all features where a window holds too few."""
        heavy = weight[self.windows.members]
        level = _weighted_quantile(x[self.windows.members], heavy, share)
        few = heavy.sum(axis=1) < _LEAST_WEIGHT
        if few.any():
            level[few] = _weighted_quantile(x[None], weight[None], share)[0]
        return self.windows.between(level, self.along)


def _weighted_quantile(x: FloatArray, weight: FloatArray, share: float) -> FloatArray:
    """Per row, the value below which `share` of the weight is."""
    order = np.argsort(x, axis=1)
    total = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    at = (total < share * total[:, -1:]).sum(axis=1)[:, None]
    return np.asarray(np.take_along_axis(x, np.take_along_axis(order, at, axis=1), axis=1)[:, 0])


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
