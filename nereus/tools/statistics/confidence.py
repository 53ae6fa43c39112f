"""From planted effects to the probability that a finding is true: what is learned, and how it is checked.

A monotone logistic regression learns P(planted, sign right | tests) from planted copies. Its first input, the odds
that the prior of effects and the test alone give, is expected to have slope one; stability and size have to earn
theirs. Copies hold more effects than the data, so that there is enough to learn from; weights give planted and other
features the proportions that the prior of the data expects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nereus.tools.statistics.effect_prior import EffectPrior
from nereus.tools.statistics.monotone_logistic import MonotoneLogistic, fit_monotone_logistic

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

STRONG, LIKELY, TENTATIVE = 0.9, 0.7, 0.4
TENTATIVE_AT_MOST = 0.69
MOST = 0.995
"""Ten planted copies cannot tell more than this."""
CANDIDATE_Q = 0.5
"""Findings above this q are not worth a probability: the regression looks at those below."""
_LEAST_CUTOFF, _MOST_CUTOFF = 0.01, 0.2
"""Limits of the p-value up to which features of a copy are learned from."""
_MIN_EVENTS = 10
"""Planted findings among the candidates that a regression needs."""
_MIN_COPIES = 3
_RIDGE = 4.0
"""Strength, in observations, with which the slopes are drawn to what is expected."""
_BINS = 10


def confidence_word(confidence: float) -> str:
    """Say a confidence in a word: strong, likely, tentative or weak."""
    if confidence >= STRONG:
        return "strong"
    if confidence >= LIKELY:
        return "likely"
    return "tentative" if confidence >= TENTATIVE else "weak"


@dataclass(frozen=True)
class Candidates:
    """Findings of one planted copy.

    Attributes
    ----------
    x
        Inputs of the regression, shape (rows, inputs).
    right
        Whether the feature was planted and found with its sign, shape (rows,).
    weight
        Weight of each row, shape (rows,).
    """

    x: FloatArray
    right: BoolArray
    weight: FloatArray


@dataclass(frozen=True)
class Learned:
    """A regression and its check.

    Attributes
    ----------
    model
        Regression on all copies; None where there was too little to learn from.
    predicted, right, weight
        Probability of each candidate from a regression on the other copies, the truth, and its weight.
    """

    model: MonotoneLogistic | None
    predicted: FloatArray
    right: BoolArray
    weight: FloatArray


def inputs(odds: FloatArray, stability: FloatArray | None, size: FloatArray | None) -> FloatArray:
    """Inputs of the regression: log odds by the test alone, stability, log size; unknown ones are left out."""
    columns = [odds]
    if stability is not None:
        columns.append(np.nan_to_num(stability))
    if size is not None:
        columns.append(np.log(np.clip(np.nan_to_num(size, nan=0.0, posinf=1e3), 1e-3, 1e3)))
    return np.column_stack(columns)


def expected_slopes(n_inputs: int) -> FloatArray:
    """Slope one of the odds, none of what stands beside."""
    return np.asarray(np.eye(n_inputs)[0])


def cutoff(p: FloatArray, q: FloatArray) -> float:
    """Largest p-value that is learned from: that of the data's own candidates, within limits."""
    worth = q <= CANDIDATE_Q
    return float(np.clip(p[worth].max() if worth.any() else 0.0, _LEAST_CUTOFF, _MOST_CUTOFF))


def weights(planted: BoolArray, density: float, prior: EffectPrior) -> FloatArray:
    """Weights that give planted features, `density` of all in a copy, the share that the prior expects."""
    return np.asarray(np.where(planted, prior.share / density, (1.0 - prior.share) / (1.0 - density)))


def learn(copies: list[Candidates], expected: FloatArray | None) -> Learned:
    """Regression on all copies; probabilities of each copy from a regression on the others.

    Parameters
    ----------
    copies
        Candidates of each planted copy.
    expected
        Slopes towards which the regression is drawn, or None.
    """
    kept = [copy for copy in copies if len(copy.right)]
    nothing = Learned(None, np.empty(0), np.empty(0, dtype=bool), np.empty(0))
    if len(kept) < _MIN_COPIES:
        return nothing
    right = np.concatenate([copy.right for copy in kept])
    weight = np.concatenate([copy.weight for copy in kept])
    if right.all() or right.sum() < _MIN_EVENTS:
        return nothing

    def fitted(some: list[Candidates]) -> MonotoneLogistic:
        return fit_monotone_logistic(
            np.concatenate([copy.x for copy in some]),
            np.concatenate([copy.right for copy in some]),
            weight=np.concatenate([copy.weight for copy in some]),
            expected=expected,
            ridge=1.0 if expected is None else _RIDGE,
        )

    model = fitted(kept)
    predicted = []
    for index, copy in enumerate(kept):
        others = kept[:index] + kept[index + 1 :]
        truth = np.concatenate([other.right for other in others])
        if truth.all() or not truth.any():
            return Learned(model, np.empty(0), np.empty(0, dtype=bool), np.empty(0))
        predicted.append(np.minimum(fitted(others).probability(copy.x), MOST))
    return Learned(model, np.concatenate(predicted), right, weight)


def share_above(by_chance: list[int], n_found: int) -> float | None:
    """Share of `n_found` findings that are not expected by chance, reckoned with one more than was seen.

    What one labelling finds counts at most as many as were found: the share of false findings is at most one, and a
    labelling close to the true one must not rule all others.
    """
    if not n_found or not by_chance:
        return None
    expected = (1.0 + sum(min(count, n_found) for count in by_chance)) / len(by_chance)
    return max(0.0, 1.0 - expected / n_found)


def limited(confidence: FloatArray, q: FloatArray, above: float | None, level: float) -> FloatArray:
    """Confidence without the share that chance explains; what misses the level is tentative at most."""
    taken = confidence * (1.0 if above is None else above)
    return np.asarray(np.where(q > level, np.minimum(taken, TENTATIVE_AT_MOST), taken))


def reliability(learned: Learned) -> tuple[pd.DataFrame, float | None, float | None, float | None]:
    """Reliability table, expected calibration error, Brier score and base rate, in the data's proportions."""
    predicted, weight = learned.predicted, learned.weight
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    rows, ece = [], 0.0
    total = float(weight.sum())
    of = np.minimum((predicted * _BINS).astype(int), _BINS - 1)
    for index in range(_BINS):
        here = of == index
        held = float(weight[here].sum())
        mean = float(np.average(predicted[here], weights=weight[here])) if held else np.nan
        share = float(np.average(learned.right[here], weights=weight[here])) if held else np.nan
        if held:
            ece += held / total * abs(mean - share)
        low, high = edges[index], edges[index + 1]
        rows.append((f"{low:.1f}-{high:.1f}", low, high, int(here.sum()), mean, share))
    table = pd.DataFrame(rows, columns=["bin", "low", "high", "n", "predicted", "planted"])
    if not len(predicted):
        return table, None, None, None
    truth = learned.right.astype(np.float64)
    brier = float(np.average((predicted - truth) ** 2, weights=weight))
    return table, ece, brier, float(np.average(truth, weights=weight))


def skill(brier: float | None, base: float | None) -> float | None:
    """Brier skill over the base rate."""
    if base is None or brier is None or base in (0.0, 1.0):
        return None
    return 1.0 - brier / (base * (1.0 - base))
