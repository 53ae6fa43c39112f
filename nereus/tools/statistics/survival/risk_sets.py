"""Who is at risk when: everything about an outcome that the models of all features share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RiskSets:
    """Who is at risk when: everything about an outcome that does not depend on a feature.

    Attributes
    ----------
    order
        Samples by stratum and time, shape (n,); all other arrays refer to this order.
    segments
        First and last-but-one position of each stratum.
    events
        Positions of the events, ascending, shape (K,).
    first
        First position with the time of each event: from there on samples are at risk, shape (K,).
    last
        Last position with the time of each sample, shape (n,).
    tie
        Number of the tied times that an event belongs to, -1 for an event alone at its time, shape (K,).
    n_ties
        Times with several events.
    covariates
        Shape (n, columns).
    """

    order: IntArray
    segments: tuple[tuple[int, int], ...]
    events: IntArray
    first: IntArray
    last: IntArray
    tie: IntArray
    n_ties: int
    covariates: FloatArray


def risk_sets(time: FloatArray, event: BoolArray, stratum: IntArray, covariates: FloatArray) -> RiskSets:
    """Sort an outcome and find its risk sets."""
    order = np.lexsort((time, stratum))
    t, s, d = time[order], stratum[order], event[order]
    fresh = np.r_[True, (np.diff(t) != 0) | (np.diff(s) != 0)]
    moment = np.cumsum(fresh) - 1  # number of the distinct time within its stratum
    starts = np.flatnonzero(fresh)
    ends = np.r_[starts[1:], len(t)] - 1
    bounds = np.r_[np.flatnonzero(np.r_[True, np.diff(s) != 0]), len(t)]
    events = np.flatnonzero(d)
    per_moment = np.bincount(moment[events], minlength=len(starts))
    number = np.cumsum(per_moment > 1) - 1
    tie = np.where(per_moment[moment[events]] > 1, number[moment[events]], -1)
    return RiskSets(
        order,
        tuple((int(a), int(b)) for a, b in pairwise(bounds)),
        events,
        starts[moment[events]],
        ends[moment],
        tie,
        int((per_moment > 1).sum()),
        np.ascontiguousarray(covariates[order]),
    )
