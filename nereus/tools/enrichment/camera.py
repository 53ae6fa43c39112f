"""Competitive gene-set test that allows for correlation between genes.

Wu D, Smyth GK (2012) Camera: a competitive gene set test accounting for inter-gene correlation. Nucleic Acids
Research 40:e133. Their variance inflation factor, ``1 + (m - 1) rho`` for a set of m genes with average
correlation rho, is estimated from the residuals of the same design as the test of single proteins. Two
things differ: it is taken of the contrast that is tested, the mean of the set minus the mean of all other
genes, so that what all genes share cancels; and the noisy factors of small studies are moderated towards
those of sets of the same size (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3:3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from nereus.tools.statistics.empirical_bayes import fit_variance_prior, squeeze_variances

FloatArray = npt.NDArray[np.float64]

INTER_GENE_CORRELATION = 0.01
"""Average correlation of two genes of a set where there are no residuals (default of limma's camera)."""

_FILL_ROUNDS = 8


@dataclass(frozen=True)
class Inflation:
    """Inflation of the variance of (mean of the set - mean of the others), and its degrees of freedom."""

    factor: FloatArray
    df: FloatArray


def preset_inflation(members: sparse.csr_matrix, correlation: float = INTER_GENE_CORRELATION) -> Inflation:
    """Inflation from one preset correlation, the same in all sets."""
    size = np.diff(members.indptr).astype(float)
    others = members.shape[1] - size
    # Only the mean of the set is inflated, not that of the many other genes.
    factor = ((1 + (size - 1) * correlation) / size + 1 / others) / (1 / size + 1 / others)
    return Inflation(factor, np.full(len(size), np.inf))


def residuals(values: FloatArray, design: FloatArray) -> tuple[FloatArray, int]:
    """Standardised residuals, and their degrees of freedom.

    Parameters
    ----------
    values : array, shape (genes, samples)
        Log2 abundance; NaN is missing.
    design : array, shape (samples, coefficients)
        Design matrix.

    Returns
    -------
    array, shape (genes, samples)
        Sum of squares equal to the degrees of freedom in each row; 0 where the value is missing.
    int
        Samples minus coefficients.
    """
    missing = np.isnan(values)
    basis, _ = np.linalg.qr(design)
    counts = np.maximum((~missing).sum(axis=1, keepdims=True), 1)
    filled = np.where(missing, np.where(missing, 0.0, values).sum(axis=1, keepdims=True) / counts, values)
    # Missing values are replaced by their fit until both agree, which is least squares on the observed ones.
    for _ in range(_FILL_ROUNDS if missing.any() else 1):
        fitted = (filled @ basis) @ basis.T
        filled = np.where(missing, fitted, filled)
    left = np.where(missing, 0.0, filled - fitted)
    df = values.shape[1] - design.shape[1]
    spread = np.sqrt((left**2).sum(axis=1, keepdims=True) / df)
    return left / np.where(spread > 1e-12, spread, np.inf), df


def estimated_inflation(standardised: FloatArray, df: int, members: sparse.csr_matrix) -> Inflation:
    """Inflation of each set from residuals.

    Parameters
    ----------
    standardised : array, shape (genes, samples)
        See `residuals`.
    df
        Their degrees of freedom.
    members : sparse boolean matrix, shape (sets, genes)
        Members of the sets.
    """
    n = standardised.shape[0]
    size = np.diff(members.indptr).astype(float)
    of_set = np.asarray(members.astype(float) @ standardised) / size[:, None]
    away = (of_set - standardised.mean(axis=0)) * (n / (n - size))[:, None]
    return moderated_inflation((away**2).sum(axis=1) / df / (1 / size + 1 / (n - size)), size, df)


def moderated_inflation(raw: FloatArray, size: FloatArray, df: int) -> Inflation:
    """Inflation of each set, never below 1, moderated towards that of sets of its size where there are ten or more.

    Parameters
    ----------
    raw : array, shape (sets,)
        Variance over the residual directions, relative to that of independent genes.
    size : array, shape (sets,)
        Members.
    df
        Degrees of freedom of the residuals.
    """
    each = np.full(len(size), float(df))
    if len(size) < 10:  # too few sets to learn from each other
        return Inflation(np.maximum(raw, 1.0), each)
    moderated = squeeze_variances(raw, each, fit_variance_prior(raw, each, np.log(size)))
    # Sets share genes, so they are fewer than they seem: half of the prior is trusted, and none beyond 2 n.
    gained = np.minimum((moderated.df - each) / 2, 2.0 * df)
    return Inflation(np.maximum(moderated.variance, 1.0), each + gained)


def camera_test(z: FloatArray, members: sparse.csr_matrix, inflation: Inflation) -> FloatArray:
    """Two-sided p of each set: the mean of its genes differs from that of all other genes.

    Parameters
    ----------
    z : array, shape (genes,)
        Signed statistic of each gene, about standard normal where nothing differs.
    members : sparse boolean matrix, shape (sets, genes)
        Members of the sets; none holds all genes.
    inflation
        Variance inflation of each set.

    Returns
    -------
    array, shape (sets,)
        p-values.

    Examples
    --------
    >>> z = np.linspace(3, -3, 40)
    >>> top = sparse.csr_matrix(np.arange(40)[None, :] < 8)
    >>> independent, correlated = (camera_test(z, top, preset_inflation(top, rho))[0] for rho in (0.0, 0.1))
    >>> bool(independent < correlated < 0.05)
    True
    """
    n = len(z)
    size = np.diff(members.indptr).astype(float)
    above = (np.asarray(members.astype(float) @ z).ravel() / size - z.mean()) * n / (n - size)
    pooled = ((n - 1) * z.var(ddof=1) - above**2 * size * (n - size) / n) / (n - 2)
    spread = np.sqrt(np.maximum(pooled, 0.0) * inflation.factor * (1 / size + 1 / (n - size)))
    t = above / np.where(spread > 0, spread, np.inf)
    p: FloatArray = 2 * stats.t.sf(np.abs(t), np.minimum(inflation.df, n - 2))
    return p
