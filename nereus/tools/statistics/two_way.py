"""One protein's samples from its peptides: additive peptide and sample effects, robust against odd peptides.

``y_ps = peptide_p + sample_s + error`` is fitted by iteratively re-weighted least squares with Huber's weights.
Peptides of one protein differ a hundredfold in how they fly; an effect of their own lets samples be compared
although each sees other peptides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

FloatArray = npt.NDArray[np.float64]

_HUBER = 1.345
"""Residuals beyond this many robust standard deviations weigh less: 95 % efficiency for normal errors."""
_ROUNDS = 20
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class SampleEffects:
    """Fit of one protein.

    Attributes
    ----------
    profile
        log2 abundance by sample, on the level of the mean peptide; NaN where no peptide links the sample to the
        others. Shape (samples,).
    peptides
        Sum of the weights of the peptides behind each value: how many it is worth. Shape (samples,).
    variance
        Of one peptide's residual; NaN without degrees of freedom.
    df
        Residual degrees of freedom of `variance`.
    """

    profile: FloatArray
    peptides: FloatArray
    variance: float
    df: float


def sample_effects(log2: FloatArray, *, robust: bool = True) -> SampleEffects:
    """Fit one protein.

    Parameters
    ----------
    log2
        Shape (peptides, samples), NaN missing.
    robust
        False gives every value the weight one.

    Notes
    -----
    Huber 1981, Robust Statistics; as a summary of peptides: Sticker et al. 2020, Mol Cell Proteomics 19:1209.
    Samples without a chain of shared peptides to the largest group of samples cannot be compared with it and
    are left out.

    Examples
    --------
    >>> fit = sample_effects(np.array([[1.0, 2.0, 3.0], [5.0, np.nan, 7.0], [3.0, 4.0, 5.0]]))
    >>> fit.profile.round(6).tolist(), fit.peptides.tolist()
    ([3.0, 4.0, 5.0], [3.0, 2.0, 3.0])
    """
    n = log2.shape[1]
    profile, peptides = np.full(n, np.nan), np.zeros(n)
    rows, columns = _linked(np.isfinite(log2))
    if not len(columns):
        return SampleEffects(profile, peptides, float("nan"), 0.0)
    y = log2[np.ix_(rows, columns)]
    seen = np.isfinite(y)
    y = np.where(seen, y, 0.0)
    weight = seen.astype(np.float64)
    df = float(seen.sum() - len(rows) - len(columns) + 1)
    level, sample = _solve(y, weight)
    if robust and df > 0 and len(rows) > 2:
        for _ in range(_ROUNDS):
            residual = np.abs(np.where(seen, y - level[:, None] - sample[None, :], np.nan))
            # The median over all values underestimates where many degrees of freedom are spent.
            scale = float(np.nanmedian(residual)) / 0.6744897501960817 * np.sqrt(seen.sum() / df)
            if scale <= 1e-9:
                break
            with np.errstate(invalid="ignore", divide="ignore"):
                weight = np.where(seen, np.minimum(1.0, _HUBER * scale / residual), 0.0)
            before = sample
            level, sample = _solve(y, weight)
            if np.max(np.abs(sample - before)) < _TOLERANCE:
                break
    residual = y - level[:, None] - sample[None, :]
    variance = float(np.sum(weight * residual**2) / df) if df > 0 else float("nan")
    profile[columns] = sample + level.mean()
    peptides[columns] = weight.sum(axis=0)
    return SampleEffects(profile, peptides, variance, max(df, 0.0))


def _solve(y: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares of peptide levels and sample effects; the latter add up to zero."""
    by_peptide = weight.sum(axis=1)
    share = weight / by_peptide[:, None]
    gram = np.diag(weight.sum(axis=0)) - weight.T @ share
    right = (weight * y).sum(axis=0) - share.T @ (weight * y).sum(axis=1)
    sample = np.linalg.solve(gram + 1.0 / len(gram), right)
    level = ((weight * y).sum(axis=1) - weight @ sample) / by_peptide
    return level, sample


def _linked(seen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Peptides and samples of the largest group of samples that shared peptides connect."""
    together = seen.T.astype(np.float64) @ seen
    present = np.flatnonzero(seen.any(axis=0))
    if not len(present):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    _, part = connected_components(together[np.ix_(present, present)] > 0, directed=False)
    columns = present[part == np.bincount(part).argmax()]
    return np.flatnonzero(seen[:, columns].any(axis=1)), columns
