"""Null of the enrichment score: what random gene sets of a size reach on the same ranked list.

Under permutation of genes the null of a set depends on nothing but its size, so it is drawn once per size and shared
by all sets (Subramanian et al. 2005, PNAS 102:15545).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SIZE_STEP = 1.08  # set sizes at which the null is drawn grow by this factor
_CHUNK = 1_000_000  # numbers held at once while the null is drawn


@dataclass(frozen=True)
class Null:
    """Null of the enrichment score at one set size, positive and negative scores apart.

    Attributes
    ----------
    size
        Number of genes.
    means
        Mean absolute positive and mean absolute negative score (what NES divides by).
    normalised
        Absolute scores over their mean, sorted, positive and negative.
    """

    size: int
    means: tuple[float, float]
    normalised: tuple[np.ndarray, np.ndarray]


def null_scores(
    sizes: np.ndarray, weights: np.ndarray, n_permutations: int, rng: np.random.Generator
) -> dict[int, Null]:
    """Null of the score at each of `sizes`, from random gene sets (nested within one permutation).

    Parameters
    ----------
    sizes
        Set sizes, increasing.
    weights : array, shape (genes,)
        Absolute statistic by rank.
    n_permutations
        Random sets a size.
    rng
        Source of randomness.
    """
    n, largest = len(weights), int(sizes[-1])
    weights = weights.astype(np.float32)  # the null needs no more, and it is most of the time
    places = _draws(n, largest, n_permutations, rng)
    nulls = {}
    for size in map(int, sizes):
        step = max(1, _CHUNK // size)
        parts = [
            _scores_of_rows(np.sort(places[start : start + step, :size], axis=1), weights)
            for start in range(0, n_permutations, step)
        ]
        nulls[size] = _null(size, np.concatenate(parts))
    return nulls


def _draws(n: int, size: int, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `size` of `n` places without replacement, shape (permutations, size), in the order drawn."""
    kind = np.int16 if n <= np.iinfo(np.int16).max else np.int32
    drawn = np.empty((n_permutations, size), dtype=kind)
    step = max(1, _CHUNK // n)
    for start in range(0, n_permutations, step):
        rows = min(step, n_permutations - start)
        shuffled = np.tile(np.arange(n, dtype=kind), rows)  # row after row
        first = np.arange(rows) * n
        for place in range(size):  # the first draws of Fisher-Yates, in all rows at once
            here, other = first + place, first + rng.integers(place, n, rows)
            taken = shuffled[other]
            shuffled[other] = shuffled[here]
            drawn[start : start + rows, place] = shuffled[here] = taken
    return drawn


def _scores_of_rows(positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Scores of sets of one size; positions has shape (sets, size), increasing along rows.

    All sets are walked from the top at once: each step of the running sums is a few vector operations.
    """
    n_sets, size = positions.shape
    members = np.ascontiguousarray(positions.T)
    own = weights.take(members)
    whole = own.sum(axis=0)
    share = 1 / np.where(whole > 0, whole, np.float32(1))
    miss = np.float32(1 / (len(weights) - size))
    summed, hit, gone, gap = (np.zeros(n_sets, dtype=np.float32) for _ in range(4))
    high, low = (np.full(n_sets, -np.inf, dtype=np.float32) for _ in range(2))
    for order in range(size):
        np.subtract(members[order], order, out=gone, casting="unsafe")
        gone *= miss  # share of the other genes passed
        np.maximum(low, np.subtract(gone, hit, out=gap), out=low)
        summed += own[order]
        np.multiply(summed, share, out=hit)
        np.maximum(high, np.subtract(hit, gone, out=gap), out=high)
    scores: np.ndarray = np.where(high >= low, high, -low)
    return scores


def _null(size: int, scores: np.ndarray) -> Null:
    parts = (np.sort(scores[scores > 0]), np.sort(-scores[scores < 0]))
    means = tuple(float(part.mean()) if len(part) else 1.0 for part in parts)
    return Null(size, (means[0], means[1]), (parts[0] / means[0], parts[1] / means[1]))


def null_sizes(smallest: int, largest: int) -> np.ndarray:
    """Set sizes at which the null is drawn: every small one, then in steps of 8 %."""
    sizes = [smallest]
    while sizes[-1] < largest:
        sizes.append(min(largest, max(sizes[-1] + 1, int(sizes[-1] * _SIZE_STEP))))
    return np.array(sizes)


def normalise_scores(
    scores: np.ndarray, set_sizes: np.ndarray, nulls: dict[int, Null]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalised scores, p-values, and the smallest p that the permutations could give.

    The mean of the null is interpolated between the drawn sizes; the shape of the null about its mean is
    that of the nearest drawn size, which is within 4 %. p is the share of null scores of the same sign that
    are as large, counting the observed one, so it is never 0.
    """
    sizes = np.array(sorted(nulls))
    nearest = sizes[np.abs(np.log(sizes)[None, :] - np.log(set_sizes)[:, None]).argmin(axis=1)]
    nes, p, floor = np.zeros(len(scores)), np.ones(len(scores)), np.ones(len(scores))
    for side, sign in ((0, 1.0), (1, -1.0)):
        means = np.interp(np.log(set_sizes), np.log(sizes), [nulls[int(size)].means[side] for size in sizes])
        for size in np.unique(nearest):
            at = np.flatnonzero((nearest == size) & (np.sign(scores) == sign))
            null = nulls[int(size)].normalised[side]
            nes[at] = scores[at] / means[at]
            as_large = len(null) - np.searchsorted(null, np.abs(nes[at]) - 1e-12)
            p[at] = (1 + as_large) / (1 + len(null))
            floor[at] = 1 / (1 + len(null))
    return nes, p, floor
