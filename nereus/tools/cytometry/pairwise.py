"""Every population of cells against every other, one feature at a time: the chance that a cell of one has more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from nereus.tools.cytometry.cell_table import FloatArray, IntArray, Values


@dataclass(frozen=True)
class Pairwise:
    """Comparisons of all pairs; entry ``[f, a, b]`` is about population a against population b.

    Attributes
    ----------
    auc
        Chance that a random cell of a has more of feature f than one of b, ties half; NaN on the diagonal and where a
        population has no value. Shape (features, populations, populations).
    p
        One-sided Mann-Whitney p that a has more, with the correction for ties; same shape.
    """

    auc: FloatArray
    p: FloatArray


def pairwise(values: Values, codes: IntArray, n: int) -> Pairwise:
    """Compare all pairs of populations in all features.

    One pass a feature: the cells are counted by value and population, and products of these counts give the pairs that
    are smaller, equal and larger for all populations at once. Equal to `scipy.stats.mannwhitneyu` with
    ``method="asymptotic", use_continuity=False``.

    Parameters
    ----------
    values
        Shape (cells, features), NaN missing.
    codes
        Population of each cell, -1 none, shape (cells,).
    n
        Number of populations.
    """
    auc = np.full((values.shape[1], n, n), np.nan)
    p = np.full_like(auc, np.nan)
    for feature in range(values.shape[1]):
        column = values[:, feature]
        known = (codes >= 0) & ~np.isnan(column)
        distinct, place = np.unique(column[known], return_inverse=True)
        counts = np.zeros((len(distinct), n))
        np.add.at(counts, (place, codes[known]), 1.0)
        size = counts.sum(axis=0)
        pairs = np.outer(size, size)
        below = np.cumsum(counts, axis=0) - counts
        larger = counts.T @ (below + 0.5 * counts)
        squared = counts**2
        cubes = (squared * counts).sum(axis=0)
        mixed = squared.T @ counts
        ties = cubes[:, None] + cubes[None, :] + 3.0 * (mixed + mixed.T)
        both = size[:, None] + size[None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            auc[feature] = np.where(pairs > 0, larger / pairs, np.nan)
            variance = pairs / 12.0 * (both + 1.0 - (ties - both) / (both * (both - 1.0)))
            z = (larger - pairs / 2.0) / np.sqrt(variance)
        p[feature] = np.where(variance > 0, stats.norm.sf(z), np.where(pairs > 0, 1.0, np.nan))
        np.fill_diagonal(auc[feature], np.nan)
        np.fill_diagonal(p[feature], np.nan)
    return Pairwise(auc, p)


def middle_p(p: FloatArray) -> FloatArray:
    """P that a population exceeds half of the others or fewer: the middle one of the Holm-adjusted p values.

    Parameters
    ----------
    p
        One row a feature, one column another population; NaN is left out. Shape (features, others).
    """
    sorted_p = np.sort(p, axis=1)  # NaN last
    known = (~np.isnan(p)).sum(axis=1)
    steps = known[:, None] - np.arange(p.shape[1])[None, :]
    adjusted = np.fmax.accumulate(np.where(steps > 0, sorted_p * steps, np.nan), axis=1)
    middle = np.maximum((known + 1) // 2 - 1, 0)
    found = np.minimum(adjusted[np.arange(len(p)), middle], 1.0)
    return np.asarray(np.where(known > 0, found, np.nan))
