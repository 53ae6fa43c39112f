"""Planted copies of a user's own table: effects of known place, sign and size under exchanged labels.

Exchanged labels make a null data set with the real variances, missing values and correlations. The one
thing that exchange destroys, the background by which unchanged features differ between the two real groups,
is put back as random shifts of its estimated size. Then a small share of the features is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.background import Background
from nereus.tools.statistics.contrast_test import Comparison
from nereus.tools.statistics.effect_prior import EffectPrior
from nereus.tools.statistics.moderated_t import ContrastFit

FloatArray = npt.NDArray[np.float64]

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


def plant(
    compared: Comparison,
    labels: FloatArray,
    fit: ContrastFit,
    background: Background | None,
    *,
    share: float,
    prior: EffectPrior,
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
    share
        Share of the testable features that is changed; absences are planted in half as many beside, at most in 5 %
        of all.
    prior
        Sizes of the changes, in standard errors.
    absences
        Plant absences, too.
    rng
        Source of chance.
    """
    values = compared.values.copy()
    n_features = len(values)
    under = compared.relabelled(labels)
    column = under.design.matrix[:, 1]  # 1 in group a, or the scaled variable
    testable = np.flatnonzero(under.testable() & np.isfinite(fit.se) & np.isfinite(fit.variance))
    if background is not None:
        values += (rng.normal(size=n_features) * np.sqrt(background.variance))[:, None] * column
    n_planted = max(1, round(share * len(testable)))
    order = rng.permutation(testable)
    chosen = order[:n_planted]
    sign = np.zeros(n_features)
    sign[chosen] = rng.choice([-1.0, 1.0], len(chosen))
    size = prior.sizes(len(chosen), rng) * fit.se[chosen] + compared.options.lfc_min
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
