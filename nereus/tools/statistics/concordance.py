"""How well out-of-fold scores order the outcomes: AUROC, its mean over pairs of classes, or a concordance index.

Only samples of one test fold are compared with each other. Scores of different folds come from different
models; comparing them lets the labels of one fold leak into the level of another, which pushes the estimate
below one half when there is nothing to find (Airola et al. 2011, Comput Stat Data Anal 55:1828).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.optimize import brentq

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Concordance:
    """Share of comparable pairs that the scores put in the right order.

    Attributes
    ----------
    estimate
        In [0, 1], 0.5 is chance; NaN where no fold holds two outcomes.
    se
        Delete-one-subject jackknife standard error: for independent samples that of DeLong et al. 1988, for
        repeated ones that of Obuchowski 1997.
    without
        Estimate without each unit, shape (units,).
    n_pairs
        Pairs compared, counted once however often folds were drawn.
    n_first, n_second
        Units on either side of the (mean) pair, for intervals at the edge.
    """

    estimate: float
    se: float
    without: FloatArray
    n_pairs: int
    n_first: float
    n_second: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval: Wald on the logit scale; score interval where the order is perfect or all is tied."""
        z = float(special.ndtri(0.5 + level / 2.0))
        if not np.isfinite(self.estimate):
            return float("nan"), float("nan")
        if self.se > 0 and 0.0 < self.estimate < 1.0:
            centre = float(special.logit(self.estimate))
            reach = z * self.se / (self.estimate * (1.0 - self.estimate))
            return float(special.expit(centre - reach)), float(special.expit(centre + reach))
        wrong = 1.0 - self.estimate
        low = 1.0 - _edge(wrong, z, self.n_first, self.n_second) if self.estimate > 0.0 else 0.0
        high = _edge(self.estimate, z, self.n_first, self.n_second) if wrong > 0.0 else 1.0
        return low, high


def _edge(error: float, z: float, m: float, n: float) -> float:
    """Upper limit of the share of wrong pairs by inverting the score test with Hanley and McNeil's variance.

    Newcombe 2006, Stat Med 25:559 (method 5): never of zero width.
    """
    half = (m + n) / 2.0 - 1.0

    def distance(theta: float) -> float:
        right = 1.0 - theta
        variance = (
            theta * right * (1.0 + half * theta / (2.0 - right) + half * right / (1.0 + right)) / (m * n)
        )
        return (theta - error) - z * float(np.sqrt(variance))

    if distance(1.0 - 1e-9) <= 0:
        return 1.0
    return float(brentq(distance, error + 1e-9, 1.0 - 1e-9))


def class_concordance(scores: FloatArray, folds: IntArray, codes: IntArray, unit: IntArray) -> Concordance:
    """AUROC of two classes, or Hand and Till's mean over pairs of classes, within folds.

    Parameters
    ----------
    scores
        Out-of-fold scores, shape (repeats, samples, columns): one column (higher means class 1) or one a
        class; NaN where a sample was not predicted.
    folds
        Test fold of each sample, shape (repeats, samples); -1 where it was in none.
    codes
        Class of each sample, 0, 1, ...; shape (samples,).
    unit
        Independent unit of each sample, shape (samples,).

    Notes
    -----
    Hand & Till 2001, Mach Learn 45:171: for each pair of classes the mean of the two one-sided AUROCs, then
    the plain mean over pairs of classes.

    Examples
    --------
    >>> scores = np.array([[[0.1], [0.4], [0.35], [0.8]]])
    >>> folds, unit = np.zeros((1, 4), dtype=int), np.arange(4)
    >>> class_concordance(scores, folds, np.array([0, 0, 1, 1]), unit).estimate
    0.75
    """
    n_classes = int(codes.max()) + 1
    pairs = [(a, b) for a in range(n_classes) for b in range(a)]
    n_units = int(unit.max()) + 1
    right, total = np.zeros((len(pairs), n_units + 1)), np.zeros((len(pairs), n_units + 1))
    for repeat in range(len(scores)):
        for fold in np.unique(folds[repeat][folds[repeat] >= 0]):
            rows = np.flatnonzero(folds[repeat] == fold)
            for at, (a, b) in enumerate(pairs):
                first, second = rows[codes[rows] == a], rows[codes[rows] == b]
                if not len(first) or not len(second):
                    continue
                if scores.shape[2] == 1:
                    better = _beats(scores[repeat, first, 0], scores[repeat, second, 0])
                else:
                    better = 0.5 * _beats(scores[repeat, first, a], scores[repeat, second, a])
                    better += 0.5 * _beats(scores[repeat, second, b], scores[repeat, first, b]).T
                _collect(right[at], total[at], better, unit[first], unit[second])
    sizes = [
        [len(np.unique(unit[codes == a])) for a, _ in pairs],
        [len(np.unique(unit[codes == b])) for _, b in pairs],
    ]
    return _summed(right, total, len(scores), float(np.mean(sizes[0])), float(np.mean(sizes[1])))


def rank_concordance(scores: FloatArray, folds: IntArray, outcome: FloatArray, unit: IntArray) -> Concordance:
    """Concordance index of a continuous outcome within folds; parameters as `class_concordance`, one column.

    Examples
    --------
    >>> scores = np.array([[[1.0], [2.0], [4.0], [3.0]]])
    >>> folds, unit = np.zeros((1, 4), dtype=int), np.arange(4)
    >>> round(rank_concordance(scores, folds, np.arange(4.0), unit).estimate, 3)
    0.833
    """
    n_units = int(unit.max()) + 1
    right, total = np.zeros((1, n_units + 1)), np.zeros((1, n_units + 1))
    for repeat in range(len(scores)):
        for fold in np.unique(folds[repeat][folds[repeat] >= 0]):
            rows = np.flatnonzero(folds[repeat] == fold)
            above = outcome[rows][:, None] > outcome[rows][None, :]
            better = _beats(scores[repeat, rows, 0], scores[repeat, rows, 0])
            _collect(right[0], total[0], better, unit[rows], unit[rows], above)
    half = max(n_units / 2.0, 1.0)
    return _summed(right, total, len(scores), half, half)


def _beats(first: FloatArray, second: FloatArray) -> FloatArray:
    """1 where a first score is above a second, 0.5 at ties; shape (first, second)."""
    difference = first[:, None] - second[None, :]
    return np.asarray(0.5 * (np.sign(difference) + 1.0))


def _collect(
    right: FloatArray,
    total: FloatArray,
    better: FloatArray,
    first: IntArray,
    second: IntArray,
    counted: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Add pairs to the sums of the units in them, in place; the last place holds the sum over all pairs."""
    known = np.isfinite(better)
    if counted is not None:
        known &= counted
    value, one = np.where(known, better, 0.0), known.astype(np.float64)
    own = first[:, None] == second[None, :]  # a pair within a unit belongs to that unit once
    n = len(right) - 1
    for sums, cells in ((right, value), (total, one)):
        sums[:n] += np.bincount(first, cells.sum(axis=1), n)
        sums[:n] += np.bincount(second, np.where(own, 0.0, cells).sum(axis=0), n)
        sums[n] += cells.sum()


def _summed(
    right: FloatArray, total: FloatArray, n_repeats: int, n_first: float, n_second: float
) -> Concordance:
    n = right.shape[1] - 1
    used = total[:, n] > 0
    if not used.any():
        return Concordance(float("nan"), float("nan"), np.full(n, np.nan), 0, n_first, n_second)
    right, total = right[used], total[used]
    estimate = float(np.mean(right[:, n] / total[:, n]))
    left = total[:, n:] - total[:, :n]
    share = np.divide(
        right[:, n:] - right[:, :n], left, out=np.full_like(left, np.nan), where=left > 0.5 / n_repeats
    )
    involved = total[:, :n].sum(axis=0) > 0
    with np.errstate(invalid="ignore"):
        without = np.where(involved & np.isfinite(share).all(axis=0), share.mean(axis=0), np.nan)
    known = without[np.isfinite(without)]
    m = len(known)
    se = float(np.sqrt((m - 1) / m * np.sum((known - known.mean()) ** 2))) if m > 1 else float("nan")
    return Concordance(estimate, se, without, round(float(total[:, n].sum()) / n_repeats), n_first, n_second)


def gain(first: Concordance, second: Concordance, level: float = 0.95) -> tuple[float, float, float, float]:
    """Difference of two concordances on the same samples: estimate, confidence limits and two-sided p.

    Paired by the jackknife over units (DeLong et al. 1988, Biometrics 44:837, for correlated curves).
    """
    both = np.isfinite(first.without) & np.isfinite(second.without)
    difference = first.without[both] - second.without[both]
    m = len(difference)
    value = first.estimate - second.estimate
    if m < 2 or not np.isfinite(value):
        return value, float("nan"), float("nan"), float("nan")
    se = float(np.sqrt((m - 1) / m * np.sum((difference - difference.mean()) ** 2)))
    reach = float(special.ndtri(0.5 + level / 2.0)) * se
    p = float(2.0 * special.ndtr(-abs(value) / se)) if se > 0 else (1.0 if value == 0 else float("nan"))
    return value, value - reach, value + reach, p
