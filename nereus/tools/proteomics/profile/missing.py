"""Whether values are missing because of the condition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nereus.tools.statistics.levels import indicator

_MANY = 0.02
"""Share of features that must be seen in one condition only to count without a permutation p."""


@dataclass(frozen=True)
class Linkage:
    """How detection follows a factor.

    Attributes
    ----------
    r2
        Share of the variance of detection (seen or not) that lies between the levels, over all partly missing
        features.
    r2_null
        Mean of the same over permuted labels.
    p
        Permutation p, at least 1 / (permutations + 1).
    share_linked
        Share of partly missing features whose own r2 exceeds the 95th percentile of the permuted ones; 0.05
        by chance.
    n_exclusive
        Features always seen in one level and never in another, both with 3 or more samples.
    linked
        p <= 0.05, or with too few samples for such a p, the most extreme of all splits and 2 % exclusive
        features.
    """

    r2: float
    r2_null: float
    p: float
    share_linked: float
    n_exclusive: int
    linked: bool


def detection_linkage(
    seen: np.ndarray, levels: pd.Series, strata: np.ndarray, n_permutations: int, rng: np.random.Generator
) -> Linkage | None:
    """Test whether detection depends on a factor, by permuting its labels within strata.

    Parameters
    ----------
    seen
        Whether a value is present, shape (n_units, n_features).
    levels
        Level of each unit, None where unknown.
    strata
        Integer label of each unit: labels are permuted within subjects or batches only. Shape (n_units,).
    n_permutations
        Number of permutations.
    rng
        Source of randomness.

    Returns
    -------
    Linkage or None
        None when no feature is partly missing or fewer than two levels have two units.
    """
    known = levels.notna().to_numpy()
    sizes = levels[known].value_counts()
    kept_levels = set(sizes[sizes >= 2].index)
    rows = known & levels.isin(kept_levels).to_numpy()
    if len(kept_levels) < 2:
        return None
    one_hot, _ = indicator(levels[rows])
    present = seen[rows].astype(float)
    rate = present.mean(axis=0)
    partly = (rate > 0) & (rate < 1)
    if not partly.any():
        return None
    present = present[:, partly] - rate[partly]
    total = (present**2).sum(axis=0)
    strata = strata[rows]

    def between(design: np.ndarray) -> np.ndarray:
        sums = design.T @ present
        per_feature: np.ndarray = (1 / design.sum(axis=0)) @ (sums * sums)
        return per_feature

    observed = between(one_hot)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    null = np.empty((n_permutations, present.shape[1]))
    for at in range(n_permutations):
        order = np.arange(len(strata))
        for within in members:
            order[within] = rng.permutation(within)
        null[at] = between(one_hot[order])
    null_totals = null.sum(axis=1)
    p = (1 + int((null_totals >= observed.sum() * (1 - 1e-9)).sum())) / (1 + n_permutations)
    limit = np.quantile(null / total, 0.95)
    rates = (one_hot.T @ seen[rows]) / one_hot.sum(axis=0)[:, None]
    large = one_hot.sum(axis=0) >= 3
    exclusive = (
        int(((rates[large] == 1).any(axis=0) & (rates[large] == 0).any(axis=0)).sum())
        if large.sum() >= 2
        else 0
    )
    extreme = null_totals.max() <= observed.sum() * (1 + 1e-9)
    return Linkage(
        r2=float(observed.sum() / total.sum()),
        r2_null=float(np.mean(null_totals) / total.sum()),
        p=p,
        share_linked=float((observed / total > limit + 1e-9).mean()),
        n_exclusive=exclusive,
        linked=p <= 0.05 or (bool(extreme) and exclusive >= max(3, _MANY * seen.shape[1])),
    )
