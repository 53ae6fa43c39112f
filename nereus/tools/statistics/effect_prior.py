"""How many effects a table of tests holds and how large they are: an empirical Bayes prior, with its uncertainty.

A statistic is t distributed where nothing changed, and t distributed about a scale ``sqrt(1 + spread**2)`` where an
effect of that spread (in standard errors) is there (Smyth 2004, Stat Appl Genet Mol Biol 3:3, section 6). The share of
changed features and the spread are not fixed at their best values: a grid of both is weighed by its likelihood
(mixtures of normals as in Stephens 2017, Biostatistics 18:275), so that a table which says little about them moves
little. Features are correlated, so the likelihood counts for as many features as the share of changed features, read
from exchanged labels, lets one believe (design effect, Kish 1965).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]

SPREADS = np.array([1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0])
"""Standard deviations of effects, in standard errors; smaller ones are no different from none."""
_MOST_SHARE = 0.6
_SHARES = 25
_NULL_WEIGHT = 10.0
"""Weight of the unchanged share in its Dirichlet prior, the conservative choice of Stephens (2017)."""
_LEAST_EFFECTS = 0.5
"""Least number of changed features that the prior thinks of."""
_PROBE_SHARE, _PROBE_SPREAD = 0.1, 3.0
"""Where the design effect is measured."""
_MOST_DF = 1e6
_ABOVE_MEAN_DEVIATION = float(np.sqrt(np.pi / 2.0))
"""Standard deviation over mean absolute deviation of a normal distribution."""


@dataclass(frozen=True)
class EffectPrior:
    """What a table of tests says about its effects.

    Attributes
    ----------
    share
        Expected share of changed features.
    weight
        Probability of each of `SPREADS` for a changed feature, shape (spreads,).
    design_effect
        Features that count as one.
    """

    share: float
    weight: FloatArray
    design_effect: float

    def log_odds(self, p: FloatArray, df: FloatArray) -> FloatArray:
        """Logarithm of the odds that a feature changed, given its test alone, shape (features,)."""
        ratio = special.logsumexp(log_ratios(p, df) + np.log(self.share * self.weight)[:, None], axis=0)
        return np.asarray(ratio - np.log1p(-self.share))

    def sizes(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Absolute sizes of `n` effects in standard errors; spreads are drawn in their proportions."""
        at = (np.arange(n) + rng.random()) / max(n, 1)
        spread = SPREADS[np.minimum(np.searchsorted(np.cumsum(self.weight), at), len(SPREADS) - 1)]
        return np.asarray(np.abs(rng.normal(size=n)) * rng.permutation(spread))


def effect_prior(p: FloatArray, df: FloatArray, null: Iterable[tuple[FloatArray, FloatArray]]) -> EffectPrior:
    """Weigh shares and spreads by a table's tests.

    Parameters
    ----------
    p, df
        Two-sided p-values and degrees of freedom, shape (features,); NaN where there is no test.
    null
        The same of the same test under exchanged labels.

    Notes
    -----
    Before the table is seen, shares from half a feature to 0.6 of all are equally likely on a logarithmic scale but
    for a penalty on large ones (as ten observations of unchanged features), and every spread is as likely as another.
    """
    known = np.isfinite(p)
    n = int(known.sum())
    ratio = log_ratios(p[known], df[known])
    effect = design_effect(null)
    shares = np.geomspace(min(_LEAST_EFFECTS / max(n, 1), 0.1), _MOST_SHARE, _SHARES)
    likelihood = np.array(
        [np.logaddexp(np.log1p(-share), np.log(share) + ratio).sum(axis=1) for share in shares]
    )
    log_weight = likelihood / effect + (_NULL_WEIGHT - 1.0) * np.log1p(-shares)[:, None]
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    changed = (weight * shares[:, None]).sum(axis=0)
    return EffectPrior(float(changed.sum()), np.maximum(changed / changed.sum(), 1e-12), effect)


def design_effect(null: Iterable[tuple[FloatArray, FloatArray]]) -> float:
    """How much more the estimated share varies over exchanged labels than with independent features; at least 1."""
    means, variances, counts = [], [], []
    probe = np.flatnonzero(SPREADS == _PROBE_SPREAD)
    for p, df in null:
        known = np.isfinite(p)
        if known.sum() < 2:
            continue
        changed = special.expit(special.logit(_PROBE_SHARE) + log_ratios(p[known], df[known], probe)[0])
        means.append(changed.mean())
        variances.append(changed.var())
        counts.append(int(known.sum()))
    if len(means) < 2 or not np.mean(variances) > 0:
        return 1.0
    # The mean absolute deviation, because one labelling close to the true one would rule the variance.
    spread = _ABOVE_MEAN_DEVIATION * float(np.mean(np.abs(means - np.mean(means))))
    return float(max(1.0, np.mean(counts) * spread**2 / np.mean(variances)))


def log_ratios(p: FloatArray, df: FloatArray, which: npt.NDArray[np.intp] | None = None) -> FloatArray:
    """Logarithm of the likelihood ratio of each spread against no effect, shape (spreads, features)."""
    free = np.where(np.isfinite(df) & (df > 0), np.minimum(df, _MOST_DF), _MOST_DF)
    t = special.stdtrit(free, np.clip(p / 2.0, 1e-300, 0.5)) ** 2 / free
    scale = 1.0 + (SPREADS if which is None else SPREADS[which])[:, None] ** 2
    return np.asarray(
        -0.5 * (free + 1.0) * (np.log1p(t / scale) - np.log1p(t)) - 0.5 * np.log(scale), dtype=np.float64
    )
