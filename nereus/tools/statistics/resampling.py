"""A test that can be repeated: on data in which nothing is to be found, and on half of its units.

Any question whose test can be put as a `TestedDesign` gets the same two checks, whatever its model: how many
findings the same test makes when the tested relation has been broken, and how often a finding comes back when
some of the units are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nereus.memory.records import Scalar
from nereus.tools.base import finite
from nereus.tools.statistics.moderated_t import benjamini_hochberg

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

SMALL_STRATUM = 6
"""Strata with fewer units lose one unit at a time: half of them would be no test at all."""
_MOST_DRAWS = 20


@dataclass(frozen=True)
class Tested:
    """What a test found, by feature; arrays have shape (features,), NaN where a feature cannot be tested.

    Attributes
    ----------
    effect
        Signed effect; only its sign counts in a repetition.
    p
        p-value.
    """

    __test__ = False  # not a test case, whatever its name

    effect: FloatArray
    p: FloatArray


class TestedDesign(Protocol):
    """Arrays of a question together with the test that answers it."""

    def tested(self) -> Tested:
        """Run the test."""
        ...

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[TestedDesign]:
        """Up to `n` designs of the same kind in which the tested relation is broken."""
        ...

    def subsamples(self, n: int, rng: np.random.Generator) -> Iterator[TestedDesign]:
        """Up to `n` designs on a part of the units."""
        ...


def null_values(
    design: TestedDesign, p: FloatArray, n_permutations: int, level: float, seed: int
) -> dict[str, Scalar]:
    """Count findings of the same test where nothing is to be found.

    Parameters
    ----------
    design
        The test.
    p
        Its p-values, shape (features,).
    n_permutations, level, seed
        Draws, false discovery rate at which findings are counted, and seed of the draws.

    Returns
    -------
    dict
        ``null_mean``, ``null_p95`` and ``null_p_value`` (share of draws, the data included, with as many
        findings as the data) and ``n_permutations`` (draws made). All None without draws.
    """
    found = int((benjamini_hochberg(p) <= level).sum())
    draws = design.null_draws(n_permutations, np.random.default_rng(seed)) if n_permutations else iter(())
    counts = np.array([int((benjamini_hochberg(d.tested().p) <= level).sum()) for d in draws])
    n = len(counts)
    return {
        "n_permutations": n,
        "null_mean": finite(float(counts.mean())) if n else None,
        "null_p95": finite(float(np.quantile(counts, 0.95))) if n else None,
        "null_p_value": finite((1 + int((counts >= found).sum())) / (1 + n)) if n else None,
    }


def stability_share(
    design: TestedDesign, tested: Tested, n_subsamples: int, level: float, seed: int
) -> tuple[FloatArray, int]:
    """Share of subsamples of the units in which a feature keeps its sign and ``p < level``.

    A subsample that cannot test a feature counts as not confirming it.

    Returns
    -------
    share : ndarray
        Shape (features,); NaN for features that were not tested on all units, or without subsamples.
    n : int
        Subsamples made.
    """
    confirmed = np.zeros(len(tested.p))
    n = 0
    if n_subsamples:
        for smaller in design.subsamples(n_subsamples, np.random.default_rng(seed)):
            again = smaller.tested()
            confirmed += (np.sign(again.effect) == np.sign(tested.effect)) & (again.p < level)
            n += 1
    known = np.isfinite(tested.p) & (n > 0)
    return np.where(known, confirmed / max(n, 1), np.nan), n


def drawn_units(strata: IntArray, n: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Units of up to `n` subsamples, drawn within strata.

    Half of the units of each stratum; where a stratum has fewer than six, one unit of each stratum is left
    out instead, in every combination or in `n` distinct random ones.

    Parameters
    ----------
    strata
        Stratum of each unit, shape (units,).
    n
        Subsamples wanted.
    rng
        Generator of the draws.

    Yields
    ------
    ndarray
        Ascending positions of the units kept.
    """
    groups = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    everyone = np.arange(len(strata))
    if min(map(len, groups)) >= SMALL_STRATUM:
        for _ in range(n):
            yield np.sort(np.concatenate([rng.choice(g, (len(g) + 1) // 2, replace=False) for g in groups]))
        return
    if prod(map(len, groups)) <= n:
        for left_out in product(*groups):
            yield np.setdiff1d(everyone, left_out)
        return
    seen: set[tuple[int, ...]] = set()
    for _ in range(n * _MOST_DRAWS):
        drawn = tuple(int(rng.choice(g)) for g in groups)
        if drawn not in seen:
            seen.add(drawn)
            yield np.setdiff1d(everyone, drawn)
            if len(seen) == n:
                return
