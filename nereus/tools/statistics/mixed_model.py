"""Linear mixed models with a random intercept by subject, for thousands of features at once.

Each feature has its own variance components, by restricted maximum likelihood (Laird & Ware 1982, Biometrics 38:963).
With the correlation within subjects known, generalised least squares is ordinary least squares of partly demeaned
values, ``y - theta_b mean_b`` with ``theta_b = 1 - sqrt((1 - rho) / (1 + (n_b - 1) rho))``, which is written for all
features and their missing values at once. Negative correlations are set to 0: no variance between subjects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import special

from nereus.tools.statistics.empirical_bayes import VariancePrior
from nereus.tools.statistics.linear_model import LinearFit, block_correlations
from nereus.tools.statistics.linear_test import LinearTest
from nereus.tools.statistics.moderated_t import ContrastFit
from nereus.tools.statistics.treat import two_sided_p

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_CHUNK_NUMBERS = 2**21
_SINGULAR = 1e-10


@dataclass(frozen=True)
class MixedFit:
    """Random-intercept models; arrays have shape (features,) unless said otherwise, NaN where there is no fit.

    Attributes
    ----------
    coefficients
        Fixed effects, shape (features, columns).
    covariance
        Their covariance matrix, shape (features, columns, columns).
    variance
        Residual variance within subjects.
    correlation
        Share of the variance that lies between subjects (intraclass correlation), 0 to 1.
    df_within, df_between
        Degrees of freedom of effects that vary within subjects, and of those that do not.
    n
        Observed samples.
    mean
        Mean of the observed values.
    """

    coefficients: FloatArray
    covariance: FloatArray
    variance: FloatArray
    correlation: FloatArray
    df_within: FloatArray
    df_between: FloatArray
    n: IntArray
    mean: FloatArray


def fit_mixed_model(
    values: FloatArray, matrix: FloatArray, subject: IntArray, correlation: FloatArray | None = None
) -> MixedFit:
    """Fit ``values ~ matrix + (1 | subject)`` feature by feature, by restricted maximum likelihood.

    Parameters
    ----------
    values
        Shape (features, samples); NaN is missing.
    matrix
        Fixed effects, shape (samples, columns), of full rank.
    subject
        Integer codes, shape (samples,).
    correlation
        Intraclass correlations, shape (features,), where they are known already.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> subject = np.repeat(np.arange(30), 4)
    >>> y = rng.normal(0, 2, 30)[subject] + rng.normal(0, 1, 120)
    >>> fit = fit_mixed_model(y[None, :], np.ones((120, 1)), subject)
    >>> bool(0.6 < fit.correlation[0] < 0.9)
    True
    """
    if correlation is None:
        correlation = block_correlations(values, matrix, subject)
    rho = np.clip(np.where(np.isfinite(correlation), correlation, 0.0), 0.0, 0.999999)
    size = np.linalg.norm(matrix, axis=0)
    size = np.where(size > 0, size, 1.0)
    member = np.eye(int(subject.max()) + 1)[subject]
    within = matrix - member @ ((member.T @ matrix) / member.sum(axis=0)[:, None])
    rank_within = int(np.linalg.matrix_rank(within / size, tol=1e-9))
    parts = [
        _solve(values[rows], matrix / size, subject, member, rho[rows], rank_within)
        for rows in _chunks(len(values), values.shape[1] * (matrix.shape[1] + 2))
    ]
    joined = [np.concatenate([part[i] for part in parts]) for i in range(7)]
    coefficients, covariance, variance, df_within, df_between, n, mean = joined
    return MixedFit(
        coefficients / size,
        covariance / np.outer(size, size),
        variance,
        np.where(np.isfinite(variance), rho, np.nan),
        df_within,
        df_between,
        n.astype(np.intp),
        mean,
    )


def _chunks(n: int, numbers_each: int) -> Iterator[slice]:
    step = max(1, _CHUNK_NUMBERS // max(1, numbers_each))
    for start in range(0, max(n, 1), step):
        yield slice(start, min(start + step, n))


def _solve(
    values: FloatArray,
    matrix: FloatArray,
    subject: IntArray,
    member: FloatArray,
    rho: FloatArray,
    rank_within: int,
) -> tuple[FloatArray, ...]:
    seen = np.isfinite(values)
    mask = seen.astype(np.float64)
    n = seen.sum(axis=1)
    width = matrix.shape[1]
    mean = np.where(seen, values, 0.0).sum(axis=1) / np.maximum(n, 1)
    y = np.where(seen, values - mean[:, None], 0.0)
    count = mask @ member  # (features, subjects)
    theta = 1.0 - np.sqrt((1.0 - rho)[:, None] / (1.0 + (np.maximum(count, 1.0) - 1.0) * rho[:, None]))
    share = theta / np.maximum(count, 1.0)

    def demeaned(v: FloatArray) -> FloatArray:
        return np.asarray((v - ((v @ member) * share)[:, subject]) * mask)

    x = np.stack([demeaned(mask * column) for column in matrix.T], axis=2)  # (features, samples, width)
    constant = demeaned(mask)
    gram = np.einsum("fsi,fsj->fij", x, x, optimize=True)
    roots = np.linalg.eigvalsh(gram)
    subjects = (count > 0).sum(axis=1)
    fine = (roots[:, 0] > _SINGULAR * np.maximum(roots[:, -1], 1e-300)) & (n > width)
    gram = np.where(fine[:, None, None], gram, np.eye(width))
    inverse = np.linalg.inv(gram)
    # Values are y + mean; the mean is fitted with them, so that nothing is assumed about the columns.
    whole = demeaned(y) + mean[:, None] * constant
    beta = np.einsum("fij,fj->fi", inverse, np.einsum("fsi,fs->fi", x, whole, optimize=True))
    rest = whole - np.einsum("fsi,fi->fs", x, beta, optimize=True)
    beta += np.einsum("fij,fj->fi", inverse, np.einsum("fsi,fs->fi", x, rest, optimize=True))
    rest = whole - np.einsum("fsi,fi->fs", x, beta, optimize=True)
    variance = np.einsum("fs,fs->f", rest, rest) / np.maximum(n - width, 1)
    df_within = (n - subjects - rank_within).astype(np.float64)
    df_between = (subjects - (width - rank_within)).astype(np.float64)
    gone = ~fine
    beta[gone] = np.nan
    covariance = np.where(fine[:, None, None], inverse, np.nan) * variance[:, None, None]
    return (
        beta,
        covariance,
        np.where(fine, variance, np.nan),
        np.where(fine & (df_within > 0), df_within, np.nan),
        np.where(fine & (df_between > 0), df_between, np.nan),
        n.astype(np.float64),
        np.where(n > 0, mean, np.nan),
    )


@dataclass(frozen=True)
class MixedTest(LinearTest):
    """The same question by mixed models: each feature has variance components of its own, nothing is moderated.

    Degrees of freedom are those of effects within subjects (Schluchter & Elashoff 1990, J Stat Comput Simul 37:69).
    """

    @cached_property
    def mixed(self) -> MixedFit:
        """The fitted mixed models."""
        shown = np.where(self.testable()[:, None], self.values, np.nan)
        return fit_mixed_model(shown, self.matrix, self.unit)

    def fit(self) -> ContrastFit:
        """Test of the contrast, with Student's t."""
        return self.as_contrast(self.mixed)

    def as_contrast(self, mixed: MixedFit) -> ContrastFit:
        """Test of the contrast from fitted models."""
        effect = mixed.coefficients @ self.contrast
        with np.errstate(invalid="ignore", divide="ignore"):
            se = np.sqrt(np.einsum("fij,i,j->f", mixed.covariance, self.contrast, self.contrast))
            known = np.isfinite(effect) & (se > 0) & np.isfinite(mixed.df_within)
            df = np.where(known, mixed.df_within, np.nan)
            statistic = np.where(known, effect / se, np.nan)
            p = np.where(
                known, two_sided_p(np.where(known, statistic, 0.0), np.where(known, df, 1.0)), np.nan
            )
            unscaled = np.where(known, se / np.sqrt(mixed.variance), np.nan)
        n = len(effect)
        prior = VariancePrior(np.zeros(n), np.full(n, np.nan), 0.0)
        linear = LinearFit(effect, unscaled, mixed.variance, df, mixed.n, mixed.mean)
        nan_where = np.where(known, effect, np.nan)
        return ContrastFit(
            nan_where,
            np.where(known, se, np.nan),
            statistic,
            df,
            p,
            np.zeros(n),
            mixed.variance,
            prior,
            linear,
        )

    def joint(self, fit: ContrastFit) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Wald's F of all tested columns together."""
        mixed = self.mixed
        picked = self.tested_columns
        beta = mixed.coefficients[:, picked]
        covariance = mixed.covariance[:, picked[:, None], picked[None, :]]
        known = np.isfinite(fit.p) & np.isfinite(covariance).all(axis=(1, 2))
        safe = np.where(known[:, None, None], covariance, np.eye(len(picked)))
        solved = np.linalg.solve(safe, np.where(known[:, None], beta, 0.0)[:, :, None])[:, :, 0]
        statistic = np.einsum("fi,fi->f", np.where(known[:, None], beta, 0.0), solved) / len(picked)
        p = special.fdtrc(float(len(picked)), np.where(known, fit.df, 1.0), statistic)
        first = np.full(len(beta), float(len(picked)))
        return (
            np.where(known, statistic, np.nan),
            np.where(known, first, np.nan),
            np.where(known, p, np.nan),
        )
