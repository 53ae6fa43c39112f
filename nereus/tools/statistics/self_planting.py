"""Calibrated confidence of any test that can be repeated: effects are planted where its relation is broken.

What `calibrate_confidence` does for comparisons and associations, for every other question whose test is a
`PlantableDesign`: its null data sets are made by the design itself, effects whose sizes come from the prior of the
data's own statistics (`effect_prior`) are put in the way that the question asks about (a difference of differences, a
course, a hazard, a dose curve, a correlation of layers), the same test and the same subsamples are run, and the
regression of `confidence` is learned.

Some questions have no planter, and their claims stay tentative unless they are stable and beyond the null: in limited
proteolysis a protein is judged by all its peptides, and an effect of a target has no standard error in which it could
be sized; sets and activities of kinases or pathways test statistics of another table, and planted copies would say how
often members are found, not whether the set or the kinase is behind them; an interactome rests on two or three
controls, whose labels have too few exchanges to make null data sets, and has a probability of its own; a panel,
subtypes and a replication are one statement with a permutation p of their own, of which no share can be learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nereus.memory.records import Scalar
from nereus.tools.base import finite
from nereus.tools.statistics.confidence import (
    CANDIDATE_Q,
    MOST,
    TENTATIVE_AT_MOST,
    Candidates,
    cutoff,
    expected_slopes,
    inputs,
    learn,
    limited,
    reliability,
    share_above,
    weights,
)
from nereus.tools.statistics.effect_prior import effect_prior
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.resampling import Tested, TestedDesign, stability_share

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_NULLS = 50
"""Null data sets from which chance findings and the correlation of the features are read."""
_SHARE = 0.1
"""Share of the features planted in a copy; weights bring it to what the data show."""
_PLANTED_IN_ALL = 200
_MOST_COPIES = 30
_SUBSAMPLES = 6
"""Subsamples of each copy."""


class PlantableDesign(TestedDesign, Protocol):
    """A test into whose data effects can be put."""

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[PlantableDesign]:
        """Up to `n` designs of the same kind in which the tested relation is broken."""
        ...

    def planted(self, rows: IntArray, size: FloatArray) -> PlantableDesign:
        """The same design with effects put into the features `rows`, of signed `size` in standard errors."""
        ...


def planted_confidence(
    design: PlantableDesign, tested: Tested, stability: FloatArray, n_plantings: int, level: float, seed: int
) -> tuple[FloatArray, dict[str, Scalar]]:
    """Probability that each finding of a test is true, by planting.

    Parameters
    ----------
    design
        The test on the data.
    tested
        What it found.
    stability
        Share of subsamples that confirm each feature, shape (features,); NaN throughout where not measured.
    n_plantings
        Planted copies; more, up to 30, where a small table would hold fewer than 200 planted effects. 0: none.
    level, seed
        Stated error level of the findings, and seed of all draws.

    Returns
    -------
    confidence : ndarray
        Shape (features,); NaN where there is no test, or without plantings.
    values : dict
        ``calibrated``, ``ece``, ``brier``, ``n_plantings``, ``share_changed``, ``share_above_null``; None without.
    """
    nothing = np.full(len(tested.p), np.nan)
    p, known = tested.p, np.isfinite(tested.p)
    if not n_plantings or not known.any():
        return nothing, {
            "n_plantings": 0,
            "calibrated": False,
            "ece": None,
            "brier": None,
            "share_changed": None,
        }
    rng = np.random.default_rng([seed, 1])
    q = benjamini_hochberg(p)
    n_known = int(known.sum())
    n_copies = max(n_plantings, min(_MOST_COPIES, round(_PLANTED_IN_ALL / (_SHARE * n_known))))
    nulls = list(design.null_draws(max(_NULLS, n_copies), rng))
    null_p = [null.tested().p for null in nulls]
    normal = np.full(len(p), np.inf)
    prior = effect_prior(p, normal, [(one, normal) for one in null_p])
    worth = cutoff(p, q)
    subsampled = bool(np.isfinite(stability[known]).any())
    copies = []
    for index in range(n_copies if nulls else 0):
        null = nulls[index % len(nulls)]
        testable = np.flatnonzero(np.isfinite(null_p[index % len(nulls)]))
        if len(testable) < 2:
            continue
        rows = np.sort(rng.choice(testable, max(1, round(_SHARE * len(testable))), replace=False))
        sign = np.zeros(len(p))
        sign[rows] = rng.choice([-1.0, 1.0], len(rows))
        copy = null.planted(rows, sign[rows] * prior.sizes(len(rows), rng))
        found = copy.tested()
        seen = np.flatnonzero(found.p <= worth)
        stable = None
        if subsampled:
            stable = stability_share(copy, found, _SUBSAMPLES, 0.05, seed + index)[0][seen]
        right = (sign[seen] != 0) & (np.sign(found.effect[seen]) == sign[seen])
        weight = weights(sign[seen] != 0, len(rows) / len(testable), prior)
        copies.append(
            Candidates(inputs(prior.log_odds(found.p[seen], normal[seen]), stable, None), right, weight)
        )
    learned = learn(copies, expected_slopes(1 + subsampled))
    n_found = int((q <= level).sum())
    threshold = float(p[q <= level].max()) if n_found else 0.0
    above = share_above([int((one <= threshold).sum()) for one in null_p], n_found)
    sure = np.clip(1.0 - q, 0.0, TENTATIVE_AT_MOST)
    if learned.model is not None:
        odds = prior.log_odds(np.where(known, p, 1.0), normal)
        x = inputs(odds, stability if subsampled else None, None)
        sure = np.where(q <= CANDIDATE_Q, np.minimum(learned.model.probability(x), MOST), 0.0)
    _, ece, brier, _ = reliability(learned)
    return np.where(known, limited(sure, q, above, level), np.nan), {
        "n_plantings": len(copies),
        "calibrated": learned.model is not None,
        "ece": finite(ece),
        "brier": finite(brier),
        "share_changed": finite(prior.share),
        "share_above_null": finite(above),
    }
