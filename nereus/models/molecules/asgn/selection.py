"""Which molecules to measure next: those that lie farthest from all that are measured (greedy k-centre).

References
----------
Gonzalez, Theor. Comput. Sci. 1985, 38, 293 (the greedy choice is within twice the best radius); Sener & Savarese, ICLR 2018
(k-centre as active learning).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BLOCK = 256
"""Centres whose distances to all points are held at a time."""


@dataclass(frozen=True)
class Choice:
    """Rows to measure, in order.

    Attributes
    ----------
    rows
        Row numbers, (n,), int64.
    distances
        Of each, when its turn came, to the nearest molecule that was measured or chosen before, (n,); it never rises. Infinite
        for the first one where nothing is measured.
    radius
        Largest distance that is left between a candidate and its nearest measured or chosen molecule.
    """

    rows: np.ndarray
    distances: np.ndarray
    radius: float


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Distance of each point to its nearest centre, (n,); infinite where there is no centre.

    Parameters
    ----------
    points, centres
        Vectors, (n, d) and (c, d).
    """
    # Squares are subtracted: in single precision near molecules would seem to be farther than they are.
    points, centres = np.asarray(points, dtype=np.float64), np.asarray(centres, dtype=np.float64)
    found = np.full(len(points), np.inf)
    square = np.einsum("ij,ij->i", points, points)
    for start in range(0, len(centres), _BLOCK):
        block = centres[start : start + _BLOCK]
        squared = square[:, None] - 2 * points @ block.T + np.einsum("ij,ij->i", block, block)[None, :]
        np.minimum(found, squared.min(1), out=found)
    return np.asarray(np.sqrt(np.maximum(found, 0)))


def covering_radius(points: np.ndarray, centres: np.ndarray) -> float:
    """Largest distance of a point to its nearest centre; 0 where there is no point."""
    return float(nearest(points, centres).max(initial=0.0))


def k_centres(points: np.ndarray, centres: np.ndarray, candidates: np.ndarray, n: int) -> Choice:
    """Choose `n` candidates, each time the one that lies farthest from all centres and all that were chosen before.

    The distances to the nearest centre are kept from one choice to the next: a choice costs one pass over the points. Equal
    distances go to the lower row. Where there is no centre at all, the candidate nearest to the mean comes first.

    Parameters
    ----------
    points
        Vectors of all molecules, (molecules, d).
    centres
        Vectors of measured molecules, (c, d).
    candidates
        Rows that may be chosen, (k,), ascending, k >= n.
    n
        How many to choose.
    """
    pool = np.asarray(points[candidates], dtype=np.float64)
    least = nearest(pool, np.asarray(centres, dtype=np.float64))
    rows, distances = [], []
    free = np.ones(len(pool), dtype=bool)
    for _ in range(n):
        if np.isinf(least).all():
            middle = np.linalg.norm(pool - pool.mean(0), axis=1)
            one = int(np.argmin(middle))
        else:
            one = int(np.argmax(np.where(free, least, -1.0)))
        rows.append(candidates[one])
        distances.append(least[one])
        free[one] = False
        np.minimum(least, np.linalg.norm(pool - pool[one], axis=1), out=least)
    return Choice(
        np.array(rows, dtype=np.int64), np.array(distances, dtype=np.float64), float(least.max(initial=0.0))
    )
