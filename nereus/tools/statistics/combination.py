"""One p-value from several: how the tests of a protein's peptides, or of a set's members, become one."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LEAST_P = 1e-300


def combined_p_values(p: FloatArray, owner: IntArray, how: Literal["simes", "acat"]) -> FloatArray:
    """One p-value for each owner from those of its members.

    Parameters
    ----------
    p
        Shape (members,); NaN does not count.
    owner
        Integer code of each member's owner, 0 .. owners - 1.
    how
        ``simes``: the least ``m p_(i) / i`` (Simes 1986, Biometrika 73:751), which holds for tests that go together;
        ``acat``: the mean of the p-values on the scale of Cauchy quantiles (Liu & Xie 2020, J Am Stat Assoc 115:393),
        which holds in the tail for any dependence.

    Returns
    -------
    ndarray
        Shape (owners,); NaN for owners without a known p-value.

    Examples
    --------
    >>> combined_p_values(np.array([0.01, 0.02, 0.9, 0.3]), np.array([0, 0, 0, 1]), "simes").round(3).tolist()
    [0.03, 0.3]
    """
    n_owners = int(owner.max()) + 1 if len(owner) else 0
    result = np.full(n_owners, np.nan)
    rows = np.flatnonzero(np.isfinite(p))
    if not len(rows):
        return result
    count = np.bincount(owner[rows], minlength=n_owners)
    present = count > 0
    if how == "simes":
        rows = rows[np.lexsort((p[rows], owner[rows]))]
        start = np.r_[0, np.cumsum(count)[:-1]]
        rank = np.arange(len(rows)) - start[owner[rows]] + 1
        least = np.full(n_owners, np.inf)
        np.minimum.at(least, owner[rows], p[rows] * count[owner[rows]] / rank)
        result[present] = np.minimum(least[present], 1.0)
        return result
    # A p-value of exactly 1 (of a discrete test) would outweigh all others: it says no more than 1 - 1 / members.
    held = np.where(p[rows] >= 1.0, 1.0 - 1.0 / np.maximum(count[owner[rows]], 2), p[rows])
    held = np.maximum(held, _LEAST_P)
    small = held < 1e-12
    quantile = np.where(small, 1.0 / (held * np.pi), np.tan((0.5 - held) * np.pi))
    total = np.bincount(owner[rows], quantile, minlength=n_owners) / np.maximum(count, 1)
    far = total > 1e12
    tail = np.where(far, 1.0 / (np.maximum(total, 1.0) * np.pi), 0.5 - np.arctan(total) / np.pi)
    result[present] = np.clip(tail[present], 0.0, 1.0)
    return result
