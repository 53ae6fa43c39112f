"""Which features a comparison left unchanged, where so many changed that the quartiles of all effects do not tell.

The effects of all features are a mixture: unchanged ones about a centre with the width of a background, and changed
ones anywhere (Efron 2004, JASA 99:96). The null is Student's t with four degrees of freedom, so that a heavy-tailed
background is not taken for change. Within two standard errors of the centre nothing counts as changed (the zero
assumption of Efron 2008, Stat Sci 23:1); beyond, changed features have a density that is constant on intervals, each
twice as wide as the one before, on either side. EM starts from the shortest interval that holds a quarter of the
effects, since unchanged features have one centre in common and the changed ones have not.

Two groups of features that differ by a constant cannot tell which of them is the unchanged one. With changes on one
side only, the densest group of them has to be small beside the unchanged features; with changes on both sides, smaller,
because another choice would have more features changed, and all of them in one direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]
Verdict = Literal["few", "many", "rival", "hidden"]
Locate = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Weights of the features to be unchanged -> centre and variance of the background, all of shape (features,)."""

_NULL_DF = 4.0
_STRETCH = float(stats.t.ppf(0.75, _NULL_DF) / stats.norm.ppf(0.75))
"""Makes the quartiles of the heavy-tailed null those of a normal distribution, by which the background is scaled."""
_HEIGHT = _STRETCH * float(stats.t.pdf(0.0, _NULL_DF))
_NULL_WEIGHT = 10.0
"""Weight of the unchanged share in its Dirichlet prior, the conservative choice of Stephens (2017, Biostatistics)."""
_EDGES = np.concatenate([[0.0], 2.0 ** np.arange(1, 11)])
"""Ends of the intervals on either side, in standard errors with the background."""
_DENSITY = np.concatenate([[0.0], 1.0 / np.diff(_EDGES[1:])])
_START = 0.25
_ROUNDS = 40
_SETTLED = 0.01
_MANY = 0.25
"""Changed share from which on the quartiles of all effects are too wide by more than two fifths."""
_FEW = 0.85
"""Unchanged share beyond which the rounds end: it grows from the narrow start."""
_LEAST_UNCHANGED = 1.0 / 3.0
_GAIN = 10.0
"""Logarithm of the likelihood ratio that the mixture must gain over the quartiles of all effects."""
_RIVAL_ONE_SIDE, _RIVAL_TWO_SIDES = 1.0 / 3.0, 1.0
"""Most features in the densest group of changed ones, over the unchanged ones in a group as wide."""
_LESSER_SIDE = 0.1
"""Least share of the changed features on the lesser side for changes to be on both."""
_GROUP = 2.5
"""Half width of a group, in standard errors with the background."""


@dataclass(frozen=True)
class NullComponent:
    """The unchanged part of the effects.

    Attributes
    ----------
    verdict
        ``few``: less than a quarter changed, or the mixture explains the effects no better than one background;
        ``many``: the unchanged part is told from the rest; ``rival``: another group of features might be the
        unchanged one; ``hidden``: fewer than a third are unchanged.
    share
        Share of unchanged features.
    centre, variance
        Of their background, shape (features,).
    weight
        Probability of each feature to be unchanged, shape (features,).
    """

    verdict: Verdict
    share: float
    centre: FloatArray
    variance: FloatArray
    weight: FloatArray


def null_component(
    effect: FloatArray, square: FloatArray, plain: tuple[FloatArray, FloatArray], locate: Locate
) -> NullComponent:
    """Fit the mixture of unchanged and changed features.

    Parameters
    ----------
    effect, square
        Effects and their squared standard errors, shape (features,), finite.
    plain
        Centre and variance of the background by the quartiles of all effects.
    locate
        Centre and variance of the background of weighted features.
    """
    low, high = _shortest(effect, _START)
    weight = (np.abs(effect - (low + high) / 2.0) <= 1.5 * (high - low)).astype(np.float64)
    where, share = plain, 1.0
    for _ in range(_ROUNDS):
        before, where = weight, locate(weight)
        weight, share, _likelihood = _weights(effect, square, where, before)
        if share > _FEW or np.abs(weight - before).mean() < _SETTLED / 10.0:
            break
    if share > 1.0 - _MANY or _settled(effect, square, where) - _settled(effect, square, plain) < _GAIN:
        return NullComponent("few", share, *plain, weight)
    away, changed = effect - where[0], 1.0 - weight
    above = float(changed[away > 0].sum() / changed.sum())
    reach = _GROUP * float(np.median(np.sqrt(square + where[1])))
    rival = _densest(away, changed, reach) / max(float(weight[np.abs(away) <= reach].sum()), 1e-12)
    if rival > (_RIVAL_TWO_SIDES if min(above, 1.0 - above) >= _LESSER_SIDE else _RIVAL_ONE_SIDE):
        return NullComponent("rival", share, *where, weight)
    return NullComponent("many" if share >= _LEAST_UNCHANGED else "hidden", share, *where, weight)


def _weights(
    effect: FloatArray, square: FloatArray, where: tuple[FloatArray, FloatArray], weight: FloatArray
) -> tuple[FloatArray, float, float]:
    """One round: probability of each feature to be unchanged, their share, and the log likelihood."""
    scale = np.sqrt(square + where[1])
    z = (effect - where[0]) / scale
    null = _HEIGHT * (1.0 + (_STRETCH * z) ** 2 / _NULL_DF) ** (-(_NULL_DF + 1.0) / 2.0)
    part = np.minimum(np.searchsorted(_EDGES, np.abs(z), side="right") - 1, len(_DENSITY) - 1)
    density = _DENSITY[part]
    cell = part + len(_DENSITY) * (z > 0)
    total = len(z) + _NULL_WEIGHT - 1.0
    held = np.bincount(cell, 1.0 - weight, minlength=2 * len(_DENSITY)) / total
    share = (float(weight.sum()) + _NULL_WEIGHT - 1.0) / total
    unchanged, rest = share * null, held[cell] * density
    return unchanged / (unchanged + rest), share, float(np.sum(np.log(unchanged + rest) - np.log(scale)))


def _settled(effect: FloatArray, square: FloatArray, where: tuple[FloatArray, FloatArray]) -> float:
    """Log likelihood of a background with the shares that suit it best."""
    weight = np.full(len(effect), 0.5)
    likelihood = -np.inf
    for _ in range(_ROUNDS):
        before = likelihood
        weight, _share, likelihood = _weights(effect, square, where, weight)
        if abs(likelihood - before) < _SETTLED:
            break
    return likelihood


def _shortest(x: FloatArray, share: float) -> tuple[float, float]:
    """The shortest interval that holds `share` of the values."""
    ordered = np.sort(x)
    held = max(2, round(share * len(x)))
    length = ordered[held - 1 :] - ordered[: len(x) - held + 1]
    first = int(np.argmin(length))
    return float(ordered[first]), float(ordered[first + held - 1])


def _densest(x: FloatArray, weight: FloatArray, reach: float) -> float:
    """Most weight within `reach` of a point."""
    order = np.argsort(x, kind="stable")
    ordered, total = x[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    last = np.searchsorted(ordered, ordered + 2.0 * reach, side="right")
    return float((total[last] - total[:-1]).max())
