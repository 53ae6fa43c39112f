"""How many findings a second cohort can be expected to confirm, given how they were selected in the first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]

_STEP = 0.01
_REACH = 10.0
_FAR = 30.0
"""Statistics beyond this are not selected by any threshold in use: nothing to correct."""
_ROUNDS = 100


def corrected_z(z: FloatArray, threshold: float) -> FloatArray:
    """Size of the effect over its standard error, freed of the winner's curse.

    The likelihood of ``z`` given that ``|z|`` passed `threshold` shrinks findings just beyond it. Its maximum
    shrinks too much there and its mean too little; their average does best over the range (Ghosh, Zou & Wright
    2008, Am J Hum Genet 82:1064, third estimator).

    Parameters
    ----------
    z
        Signed statistics of the findings as normal deviates, ``|z| >= threshold``.
    threshold
        Least ``|z|`` that counted as a finding.

    Examples
    --------
    >>> corrected_z(np.array([2.2, 3.0, 6.0]), 1.96).round(1).tolist()
    [0.9, 2.5, 6.0]
    """
    size = np.minimum(np.abs(z), _FAR)
    grid = np.arange(-_REACH, _FAR + _REACH, _STEP)
    passed = special.log_ndtr(grid - threshold), special.log_ndtr(-grid - threshold)
    log_likelihood = -0.5 * (size[:, None] - grid) ** 2 - np.logaddexp(*passed)
    most = grid[log_likelihood.argmax(axis=1)]
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    mean = (likelihood @ grid) / likelihood.sum(axis=1)
    fair = np.clip(0.5 * (most + mean), 0.0, size)
    return np.asarray(np.sign(z) * np.where(np.abs(z) >= _FAR, np.abs(z), fair))


def replication_power(effect: FloatArray, se: FloatArray, df: FloatArray, level: float) -> FloatArray:
    """Chance that each finding replicates: right sign, and q <= level over the findings carried together.

    Benjamini and Hochberg's threshold lies at ``level`` times the share that passes, and that share is what the
    powers add up to; the two are brought into agreement by iteration from above.

    Parameters
    ----------
    effect, se, df
        True effects as believed, and the cohort's standard errors and degrees of freedom; shape (findings,).
    """
    share = 1.0
    power = np.zeros(len(effect))
    for _ in range(_ROUNDS):
        p = min(level * max(share, 1.0 / max(len(effect), 1)), 0.999)
        threshold = special.stdtrit(np.where(np.isfinite(df), df, 1e6), 1.0 - p / 2.0)
        power = np.asarray(special.ndtr(np.abs(effect) / se - threshold), dtype=np.float64)
        before, share = share, float(power.mean())
        if abs(before - share) < 1e-6:
            break
    return power
