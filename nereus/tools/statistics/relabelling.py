"""Other ways of handing out the labels of a comparison, as exchangeable under the null hypothesis.

Units are exchanged, never samples of one unit: all samples of a subject that carry one label move together.
Where blocks hold both labels (pairs), labels are exchanged within blocks. Two labellings that only swap the
names of the two groups give the same two-sided test and are counted once; the observed one is never used as
its own null.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, inf

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.design import Design

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_MOST_LISTED = 20_000
"""Labellings listed one by one; beyond, they are drawn at random."""
_MOST_DRAWS = 20


@dataclass(frozen=True)
class Relabelling:
    """The exchangeable units of a comparison.

    Attributes
    ----------
    unit
        Unit of each sample, shape (samples,).
    label
        Label of each unit (1 in group a, 0 in group b, or the value of a variable), shape (units,).
    stratum
        Stratum of each unit: labels are exchanged within strata only, shape (units,).
    n_splits
        Distinct labellings, the observed one included; ``inf`` for a continuous variable.
    """

    unit: IntArray
    label: FloatArray
    stratum: IntArray
    n_splits: float

    def draws(self, n: int, rng: np.random.Generator) -> Iterator[FloatArray]:
        """Up to `n` labellings that differ from the observed one, each as labels of the samples.

        All of them, in a fixed order, where there are no more than `n`; else distinct random ones.
        """
        if self.n_splits - 1 <= n:
            for labels in self._all():
                yield labels[self.unit]
            return
        seen = {self._key(self.label)}
        for _ in range(n * _MOST_DRAWS):
            labels = self.label.copy()
            for stratum in np.unique(self.stratum):
                rows = np.flatnonzero(self.stratum == stratum)
                labels[rows] = labels[rng.permutation(rows)]
            key = self._key(labels)
            if key not in seen:
                seen.add(key)
                yield labels[self.unit]
                if len(seen) > n:
                    return

    def exhaustive(self, n: int) -> bool:
        """Whether `draws` of `n` lists every labelling."""
        return self.n_splits - 1 <= n

    def _key(self, labels: FloatArray) -> bytes:
        """Bytes that a labelling and its mirror image share."""
        if self._mirrored and labels[0] != self.label[0]:
            labels = 1.0 - labels
        return labels.tobytes()

    @property
    def _mirrored(self) -> bool:
        """Whether swapping the names of the groups gives another labelling of the same kind."""
        if not np.isin(self.label, (0.0, 1.0)).all():
            return False
        strata = np.unique(self.stratum)
        return all(2 * self.label[self.stratum == s].sum() == (self.stratum == s).sum() for s in strata)

    def _all(self) -> Iterator[FloatArray]:
        """Every labelling but the observed one."""
        rows_of = [np.flatnonzero(self.stratum == s) for s in np.unique(self.stratum)]
        choices = [list(combinations(rows, int(self.label[rows].sum()))) for rows in map(list, rows_of)]
        seen = {self._key(self.label)}
        for picked in product(*choices):
            labels = np.zeros_like(self.label)
            labels[[row for rows in picked for row in rows]] = 1.0
            key = self._key(labels)
            if key not in seen:
                seen.add(key)
                yield labels


def relabelling(design: Design, unit: npt.NDArray[np.object_] | None = None) -> Relabelling:
    """Exchangeable units of a design.

    Parameters
    ----------
    design
        Samples, labels and blocks.
    unit
        Independent unit (subject) of each sample of the design, shape (samples,); None takes the blocks
        where each of them carries one label, and samples otherwise.
    """
    group = design.group
    codes = design.block if unit is None else _codes(unit)
    if codes is not None and _constant_within(group, codes):
        _, first, of = np.unique(codes, return_index=True, return_inverse=True)
        label, strata = group[first], np.zeros(len(first), dtype=np.intp)
        return Relabelling(np.asarray(of, dtype=np.intp).ravel(), label, strata, _count(label, strata))
    strata = np.zeros(len(group), dtype=np.intp) if codes is None else np.asarray(codes, dtype=np.intp)
    return Relabelling(np.arange(len(group)), group.copy(), strata, _count(group, strata))


def _codes(unit: npt.NDArray[np.object_]) -> IntArray:
    return np.asarray(np.unique(unit.astype(str), return_inverse=True)[1], dtype=np.intp).ravel()


def _constant_within(group: FloatArray, codes: IntArray) -> bool:
    return all(np.ptp(group[codes == code]) == 0 for code in np.unique(codes))


def _count(label: FloatArray, stratum: IntArray) -> float:
    if not np.isin(label, (0.0, 1.0)).all():
        return inf
    total, mirrored = 1, True
    for s in np.unique(stratum):
        within = label[stratum == s]
        n, k = len(within), int(within.sum())
        total *= comb(n, k)
        mirrored &= 2 * k == n
    total = total // 2 if mirrored and total > 1 else total
    return float(total) if total <= 10 * _MOST_LISTED else inf
