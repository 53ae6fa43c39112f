"""Planted copies of a user's own table: effects of known place, sign and size under exchanged labels.

Exchanged labels make a null data set with the real variances, missing values and correlations. The one
thing that exchange destroys, the background by which unchanged features differ between the two real groups,
is put back as random shifts of its estimated size. Then a small share of the features is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from nereus.tools.statistics.background import Background
from nereus.tools.statistics.contrast_test import Comparison
from nereus.tools.statistics.moderated_t import ContrastFit

FloatArray = npt.NDArray[np.float64]

_LEAST_SD = 0.2
_MOST_SD = 2.0
_MOST_ERRORS = 12.0
"""Planted effects reach this many standard errors where two standard deviations would be invisible (three
replicates).
"""
_MOST_SHARE = 0.3
_LEAST_DROPPED = 0.6
"""Least share of a group's values that a planted absence takes away."""


@dataclass(frozen=True)
class Planted:
    """A planted copy.

    Attributes
    ----------
    compared
        The comparison on exchanged labels, with planted values.
    sign
        +1 or -1 for features whose abundance was changed, 0 for others, shape (features,).
    absent
        +1 for features taken away from group b, -1 from group a, 0 for others, shape (features,).
    """

    compared: Comparison
    sign: FloatArray
    absent: FloatArray


@dataclass(frozen=True)
class Sizes:
    """How many effects a table holds, and how large they are, as far as its p-values tell.

    Attributes
    ----------
    share
        Share of the features to be changed.
    spread
        Standard deviation of the effects in standard errors; None where the table shows too few to say, and
        sizes are spread evenly over what can and cannot be seen.
    """

    share: float
    spread: float | None


def sizes_like(
    compared: Comparison, fit: ContrastFit, labellings: list[FloatArray], *, least_share: float
) -> Sizes:
    """Size the effects to be planted like those of the user's own findings.

    The share of changed features is one minus Storey's estimate of the null share at 0.5 (Storey 2002, J R
    Stat Soc B 64:479), less the largest one that exchanged labels show: features are correlated, and a null
    data set may well show an excess of small p-values. The spread of the effects makes up for the variance
    of the normal scores beyond one.

    Parameters
    ----------
    compared, fit
        The comparison and its test.
    labellings
        Exchanged labels.
    least_share
        Share to fall back on where the table shows no more than that.
    """
    seen = _changed_share(fit.p)
    if seen <= least_share:
        return Sizes(least_share, None)
    by_chance = max((_changed_share(other.p) for other in compared.relabelled_tests(labellings)), default=1.0)
    share = seen - max(by_chance, 0.0)
    if share <= least_share:
        return Sizes(least_share, None)
    known = fit.p[np.isfinite(fit.p)]
    z = np.minimum(special.ndtri(np.clip(known / 2.0, 1e-16, 0.5)) ** 2, _MOST_ERRORS**2)
    spread = np.sqrt(max(float(z.mean()) - 1.0, 0.0) / seen)
    return Sizes(min(share, _MOST_SHARE), spread if spread >= 1.0 else None)


def _changed_share(p: FloatArray) -> float:
    known = p[np.isfinite(p)]
    return 1.0 - 2.0 * float(np.mean(known > 0.5)) if len(known) else 0.0


def plant(
    compared: Comparison,
    labels: FloatArray,
    fit: ContrastFit,
    background: Background | None,
    *,
    sizes: Sizes,
    absences: bool,
    rng: np.random.Generator,
) -> Planted:
    """Plant effects into a table under other labels.

    Parameters
    ----------
    compared
        The comparison under its real labels.
    labels
        Exchanged labels of its samples, shape (samples,).
    fit, background
        Its test and its background: sizes are drawn in their standard deviations and errors.
    sizes
        Share of the testable features that is changed and size of the changes; absences are planted in half
        as many beside, at most in 5 % of all.
    absences
        Plant absences, too.
    rng
        Source of chance.

    Notes
    -----
    Sizes are uniform between 0.2 residual standard deviations and the larger of 2 of them and 12 standard
    errors.
    """
    values = compared.values.copy()
    n_features = len(values)
    under = compared.relabelled(labels)
    column = under.design.matrix[:, 1]  # 1 in group a, or the scaled variable
    testable = np.flatnonzero(under.testable() & np.isfinite(fit.se) & np.isfinite(fit.variance))
    if background is not None:
        values += (rng.normal(size=n_features) * np.sqrt(background.variance))[:, None] * column
    n_planted = max(1, round(sizes.share * len(testable)))
    order = rng.permutation(testable)
    chosen = order[:n_planted]
    sign = np.zeros(n_features)
    sign[chosen] = rng.choice([-1.0, 1.0], len(chosen))
    sd, se = np.sqrt(fit.variance[chosen]), fit.se[chosen]
    if sizes.spread is None:
        size = rng.uniform(_LEAST_SD * sd, np.maximum(_MOST_SD * sd, _MOST_ERRORS * se))
    else:
        size = np.abs(rng.normal(size=len(chosen))) * sizes.spread * se
    values[chosen] += (sign[chosen] * size)[:, None] * column
    absent = np.zeros(n_features)
    if absences and not compared.continuous:
        rest = order[n_planted:]
        seen = rest[np.isfinite(values[rest]).all(axis=1)][: max(1, min(n_planted, len(testable) // 10) // 2)]
        absent[seen] = rng.choice([-1.0, 1.0], len(seen))
        in_a = labels == 1.0
        for feature in seen:
            group = np.flatnonzero(~in_a if absent[feature] > 0 else in_a)
            n_out = max(1, round(rng.uniform(_LEAST_DROPPED, 1.0) * len(group)))
            values[feature, rng.choice(group, n_out, replace=False)] = np.nan
    return Planted(under.with_values(values), sign, absent)
