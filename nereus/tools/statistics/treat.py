"""TREAT: a test of whether an effect is larger than a least effect of interest.

McCarthy & Smyth 2009, Bioinformatics 25:765, section 2: under ``|effect| <= lfc_min`` the tail probability is
largest at the border, so ``p = P(T > (|b| - lfc_min) / se) + P(T > (|b| + lfc_min) / se)``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]


def t_upper_tail(t: FloatArray, df: FloatArray | float) -> FloatArray:
    """``P(T > t)`` of Student's t, accurate in the far tail and for infinite `df`."""
    t = np.asarray(t, dtype=np.float64)
    df = np.broadcast_to(np.asarray(df, dtype=np.float64), t.shape)
    normal = np.isinf(df)
    if not normal.any():
        return np.asarray(special.stdtr(df, -t))  # the lower tail of -t: nothing cancels
    tail = special.stdtr(np.where(normal, 1.0, df), -t)
    return np.asarray(np.where(normal, special.ndtr(-t), tail))


def two_sided_p(t: FloatArray, df: FloatArray | float) -> FloatArray:
    """``P(|T| > |t|)``."""
    return np.asarray(2.0 * t_upper_tail(np.abs(t), df))


def treat(
    effect: FloatArray, se: FloatArray, df: FloatArray, lfc_min: float
) -> tuple[FloatArray, FloatArray]:
    """Statistic and p-value against ``|effect| <= lfc_min``.

    Parameters
    ----------
    effect, se, df
        Estimates, (moderated) standard errors and degrees of freedom, shape (features,).
    lfc_min
        Least absolute effect of interest, >= 0; 0 gives the ordinary two-sided test.

    Returns
    -------
    statistic, p : ndarray
        The statistic is the signed excess over `lfc_min` in standard errors, 0 where there is none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if lfc_min == 0:
            statistic = effect / se
            return statistic, two_sided_p(statistic, df)
        above = (np.abs(effect) - lfc_min) / se
        beyond = (np.abs(effect) + lfc_min) / se
        p = t_upper_tail(above, df) + t_upper_tail(beyond, df)
    return np.sign(effect) * np.maximum(above, 0.0), p
