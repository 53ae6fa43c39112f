"""Empirical Bayes moderation of residual variances: what many features say about the variance of each one.

Model (Smyth 2004, Stat Appl Genet Mol Biol 3:3, sections 3 to 6): ``s2_g | sigma2_g ~ sigma2_g chi2_d / d``
and ``1/sigma2_g ~ chi2_d0 / (d0 s2_0)``, so that ``s2_g / s2_0`` follows an F distribution on (d, d0) degrees
of freedom. Its two parameters are fitted by the moments of ``log s2``. The prior variance may follow a
covariate (Sartor et al. 2006, BMC Bioinformatics 7:538), such as the mean intensity or the number of
peptides, and the fit may be robust against hypervariable features (Phipson et al. 2016, Ann Appl Stat
10:946). Plain numpy: called hundreds of times by permutation, stability and self-planting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from nereus.tools.statistics.lowess import lowess

FloatArray = npt.NDArray[np.float64]

_WINSOR_TAILS = (0.05, 0.1)
"""Lower and upper tail that are pulled in before moments are taken (Phipson et al. 2016, section 3)."""
_LOWESS_SPAN = 0.4
_LEAST_VARIANCE = 1e-5
"""Variances below this share of their median are raised to it: the logarithm of a zero variance is no
evidence."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)


@dataclass(frozen=True)
class VariancePrior:
    """Prior of the feature variances.

    Attributes
    ----------
    df
        Prior degrees of freedom of each feature, shape (features,); ``inf`` where all features share one
        variance. Equal for all features unless the fit was robust.
    variance
        Prior variance of each feature, shape (features,); equal for all unless it follows a covariate.
    df_common
        Prior degrees of freedom of a feature that is no outlier.
    """

    df: FloatArray
    variance: FloatArray
    df_common: float


@dataclass(frozen=True)
class ModeratedVariance:
    """Posterior variances and their total degrees of freedom, shape (features,)."""

    variance: FloatArray
    df: FloatArray


def fit_variance_prior(
    variance: FloatArray, df: FloatArray, covariate: FloatArray | None = None, *, robust: bool = False
) -> VariancePrior:
    """Fit the prior of residual variances.

    Parameters
    ----------
    variance
        Residual variances, shape (features,); NaN where there are no residual degrees of freedom.
    df
        Residual degrees of freedom, shape (features,).
    covariate
        Quantity that the prior variance follows, shape (features,); non-finite entries take its median.
    robust
        Give features whose variance is too large for the common prior fewer prior degrees of freedom.

    Returns
    -------
    VariancePrior
        With ``df_common = 0`` (no moderation) when fewer than three features have a variance.
    """
    n_features = len(variance)
    usable = np.isfinite(variance) & (df > 0)
    if usable.sum() < 3:
        fill = float(np.mean(variance[usable])) if usable.any() else np.nan
        return VariancePrior(np.zeros(n_features), np.full(n_features, fill), 0.0)
    x, d = variance[usable], df[usable]
    along = None if covariate is None else _filled(covariate)
    if along is None:
        df_prior, scale = fit_scaled_f(x, d)
        prior = np.full(n_features, scale[0])
    else:
        df_prior, prior = fit_scaled_f(x, d, along[usable], at=along)
    df_each = np.full(n_features, df_prior)
    if robust:
        common, scale, df_robust = _fit_scaled_f_robust(
            x, d, None if along is None else along[usable], df_prior, prior[usable]
        )
        df_prior = common
        df_each = np.full(n_features, common)
        df_each[usable] = df_robust
        if along is None:
            prior = np.full(n_features, scale[0])
        else:  # features without a variance of their own take the prior of their neighbours on the covariate
            order = np.argsort(along[usable], kind="stable")
            prior = np.exp(np.interp(along, along[usable][order], np.log(scale)[order]))
            prior[usable] = scale
    return VariancePrior(df_each, prior, df_prior)


def squeeze_variances(variance: FloatArray, df: FloatArray, prior: VariancePrior) -> ModeratedVariance:
    """Posterior mean of the variances, ``(d0 s2_0 + d s2) / (d0 + d)`` (Smyth 2004, section 4).

    The total degrees of freedom ``d0 + d`` never exceed the residual degrees of freedom of all features
    together.
    """
    own = np.where(df > 0, np.nan_to_num(variance), 0.0)
    infinite = np.isinf(prior.df)
    weight = np.where(infinite, 1.0, prior.df)
    with np.errstate(invalid="ignore", divide="ignore"):
        posterior = (weight * np.where(weight > 0, prior.variance, 0.0) + df * own) / (weight + df)
    posterior = np.where(infinite, prior.variance, posterior)
    return ModeratedVariance(posterior, np.minimum(df + prior.df, float(np.sum(df))))


def fit_scaled_f(
    x: FloatArray, df1: FloatArray, covariate: FloatArray | None = None, at: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """Degrees of freedom and scale of ``scale * F(df1, df2)`` by moments of ``log x`` (Smyth 2004, 6.2).

    Parameters
    ----------
    x, df1
        Variances and their degrees of freedom, shape (n,).
    covariate, at
        Where a covariate is given, the scale is a natural cubic spline of it, returned at `at` (default:
        `covariate`).

    Returns
    -------
    df2 : float
        ``inf`` when the variances differ no more than sampling explains.
    scale : ndarray
        Shape (1,) without a covariate, else the shape of `at`.
    """
    middle = float(np.median(np.maximum(x, 0.0)))
    raised = np.maximum(x, _LEAST_VARIANCE * (middle if middle > 0 else 1.0))
    half = df1 / 2.0
    e = np.log(raised) - special.digamma(half) + np.log(half)  # unbiased for log scale, up to the part of df2
    basis, basis_at = np.ones((len(x), 1)), np.ones((1, 1))
    if covariate is not None:
        n_functions = min(1 + (len(x) >= 3) + (len(x) >= 6) + (len(x) >= 30), len(np.unique(covariate)))
        if n_functions > 1:
            basis, basis_at = _natural_spline(covariate, covariate if at is None else at, n_functions)
        else:
            basis_at = np.ones((len(covariate if at is None else at), 1))
    q, r = np.linalg.qr(basis)
    coefficients = q.T @ e
    spread = float(np.sum((e - q @ coefficients) ** 2)) / max(len(x) - basis.shape[1], 1)
    location = basis_at @ np.linalg.solve(r, coefficients)
    distinct, counts = np.unique(half, return_counts=True)
    excess = spread - float(counts @ special.polygamma(1, distinct)) / len(half)
    if excess > 0:
        df2 = 2.0 * trigamma_inverse(excess)
        return df2, np.exp(location + special.digamma(df2 / 2.0) - np.log(df2 / 2.0))
    # One common variance: its maximum likelihood estimate where there is no trend.
    return float("inf"), np.array([float(np.mean(raised))]) if covariate is None else np.exp(location)


def trigamma_inverse(value: float) -> float:
    """Solve ``trigamma(y) = value`` by Newton steps on its convex reciprocal (Smyth 2004, appendix)."""
    if value > 1e7:
        return float(1.0 / np.sqrt(value))
    if value < 1e-6:
        return 1.0 / value
    y = 0.5 + 1.0 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, y))
        step = trigamma * (1.0 - trigamma / value) / float(special.polygamma(2, y))
        y += step
        if -step / y < 1e-12:
            break
    return y


def _filled(covariate: FloatArray) -> FloatArray:
    finite = np.isfinite(covariate)
    fill = float(np.median(covariate[finite])) if finite.any() else 0.0
    return np.where(finite, covariate, fill)


def _natural_spline(x: FloatArray, at: FloatArray, n_functions: int) -> tuple[FloatArray, FloatArray]:
    """Natural cubic spline basis with boundary knots at the range of `x` and inner knots at its quantiles.

    Truncated power form (Hastie, Tibshirani & Friedman, Elements of Statistical Learning, eq. 5.4 and 5.5) on
    `x` scaled to [0, 1]; linear beyond the range. Coinciding knots are used once.
    """
    low, high = float(np.min(x)), float(np.max(x))
    inner = np.quantile(x, np.linspace(0, 1, n_functions)[1:-1])
    knots = (np.unique(np.concatenate([[low], inner, [high]])) - low) / (high - low)

    def truncated(t: FloatArray, knot: float) -> FloatArray:
        above, beyond = np.maximum(t - knot, 0.0), np.maximum(t - 1.0, 0.0)
        return np.asarray((above * above * above - beyond * beyond * beyond) / (1.0 - knot))

    def evaluate(values: FloatArray) -> FloatArray:
        t = (values - low) / (high - low)
        columns = [np.ones_like(t), t]
        last = truncated(t, knots[-2])
        columns += [truncated(t, knot) - last for knot in knots[:-2]]
        return np.column_stack(columns)

    return evaluate(x), evaluate(at)


# ------------------------------------------------------------------------------------------------- robust fit


def _fit_scaled_f_robust(
    x: FloatArray, df1: FloatArray, covariate: FloatArray | None, df2_plain: float, scale_plain: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Robust ``scale * F(df1, df2)`` with prior degrees of freedom by feature (Phipson et al. 2016).

    Returns
    -------
    df2 : float
        Prior degrees of freedom of features that are no outliers.
    scale : ndarray
        Shape (n,).
    df2_each : ndarray
        Shape (n,): lowered for features whose variance lies too far in the upper tail.
    """
    n = len(x)
    if max(_WINSOR_TAILS) * n < 1 and min(_WINSOR_TAILS) * n < 1:
        return df2_plain, scale_plain, np.full(n, df2_plain)
    x = np.maximum(x, 1e-12 * float(np.median(x)))
    x, d1 = _to_common_df(x, df1, df2_plain, scale_plain)

    z = np.log(x)
    trend = np.full(n, _trimmed_mean(z, _WINSOR_TAILS[1])) if covariate is None else _trend(covariate, z)
    residual = z - trend
    low, high = np.quantile(residual, [_WINSOR_TAILS[0], 1.0 - _WINSOR_TAILS[1]])
    winsorised = np.clip(residual, low, high)
    mean, spread = float(np.mean(winsorised)), float(np.var(winsorised, ddof=1))

    def excess(df2: float) -> float:
        return float(np.log(spread / _winsorised_moments(d1, df2)[1]))

    if excess(np.inf) <= 0:
        df2 = float("inf")
    elif np.isinf(df2_plain):
        return df2_plain, scale_plain, np.full(n, df2_plain)
    elif excess(df2_plain) >= 0:
        df2 = df2_plain  # robust moments never ask for fewer prior degrees of freedom than the plain ones
    else:
        share = df2_plain / (1.0 + df2_plain)
        root = optimize.brentq(
            lambda u: excess(u / (1.0 - u)) if u < 1.0 else excess(np.inf), share, 1.0, xtol=1e-14, rtol=1e-14
        )
        df2 = float("inf") if root >= 1.0 else root / (1.0 - root)

    centre = trend + mean - _winsorised_moments(d1, df2)[0]
    f = np.exp(z - centre)
    log_tail = log_f_sf(f, d1, df2)
    rank = _average_rank(f)
    log_kept = np.minimum(
        log_tail - (np.log(n - rank + 0.5) - np.log(n)), 0.0
    )  # log P(feature is no outlier)
    each = np.full(n, df2)
    outlying = log_kept < 0
    if outlying.any():
        order = np.argsort(log_tail, kind="stable")
        if np.isinf(df2):
            each[outlying] = np.exp(log_kept[outlying]) * n * d1
        else:
            # Prior df under which the largest variance would be a median one; log tail is nearly linear in
            # df2.
            least = float(np.log(0.5) / log_tail.min() * df2)
            least = float(np.log(0.5) / log_f_sf(np.array([f.max()]), d1, least)[0] * least)
            each = np.exp(log_kept) * df2 - np.expm1(log_kept) * least
            # Monotone in the tail probability: average the start of the sequence up to its least running
            # mean.
            running = np.cumsum(each[order]) / np.arange(1, n + 1)
            until = int(np.argmin(running))
            each[order[: until + 1]] = running[until]
        each[order] = np.maximum.accumulate(each[order])
    return df2, np.exp(centre), each


def _to_common_df(x: FloatArray, df1: FloatArray, df2: float, scale: FloatArray) -> tuple[FloatArray, float]:
    """Move variances with fewer degrees of freedom to the same quantile at the largest df, tail by tail."""
    d1 = float(np.max(df1))
    fewer = df1 < d1 - 1e-14
    if not fewer.any():
        return x, d1
    f, d = x[fewer] / scale[fewer], df1[fewer]
    log_upper, log_lower = log_f_sf(f, d, df2), log_f_cdf(f, d, df2)
    upper = log_upper < log_lower
    moved = np.where(upper, _f_isf(np.exp(log_upper), d1, df2), _f_ppf(np.exp(log_lower), d1, df2))
    x = x.copy()
    x[fewer] = moved * scale[fewer]
    return x, d1


def _winsorised_moments(df1: float, df2: float) -> tuple[float, float]:
    """Mean and variance of Winsorised ``log F(df1, df2)``, by quadrature on ``f / (1 + f)``."""
    tails = np.array(_WINSOR_TAILS)
    ends = np.array([_f_ppf(tails[:1], df1, df2)[0], _f_isf(tails[1:], df1, df2)[0]])
    u = ends / (1.0 + ends)
    width = u[1] - u[0]
    nodes = u[0] + width * (_NODES + 1.0) / 2.0
    f = nodes / (1.0 - nodes)
    log_density = _log_f_density(f, df1, df2) - 2.0 * np.log1p(-nodes)
    mass = width * _WEIGHTS / 2.0 * np.exp(log_density)
    log_f, log_ends = np.log(f), np.log(ends)
    mean = float(np.sum(mass * log_f) + np.sum(tails * log_ends))
    return mean, float(np.sum(mass * (log_f - mean) ** 2) + np.sum(tails * (log_ends - mean) ** 2))


def _log_f_density(f: FloatArray, df1: float, df2: float) -> FloatArray:
    a = df1 / 2.0
    if np.isinf(df2):  # chi squared on df1, divided by df1
        return np.asarray(a * np.log(a) - special.gammaln(a) + (a - 1.0) * np.log(f) - a * f)
    b = df2 / 2.0
    ratio = df1 / df2
    return np.asarray(
        a * np.log(ratio) - special.betaln(a, b) + (a - 1.0) * np.log(f) - (a + b) * np.log1p(ratio * f)
    )


def log_f_sf(f: FloatArray, df1: FloatArray | float, df2: float) -> FloatArray:
    """Logarithm of the upper tail of F, finite where the tail itself underflows."""
    if np.isinf(df2):
        half = np.asarray(df1) / 2.0 + np.zeros_like(f)
        x = half * f
        tail = special.gammaincc(half, x)
        # Leading term of the incomplete gamma function far in the tail.
        far = (
            (half - 1.0) * np.log(x)
            - x
            - special.gammaln(half)
            - np.log1p(-np.minimum((half - 1.0) / x, 0.999))
        )
    else:
        a, b = df2 / 2.0, np.asarray(df1) / 2.0 + np.zeros_like(f)
        x = df2 / (df2 + np.asarray(df1) * f)
        tail = special.betainc(a, b, x)
        far = (
            a * np.log(x)
            + b * np.log1p(-x)
            - np.log(a)
            - special.betaln(a, b)
            + np.log(special.hyp2f1(a + b, 1.0, a + 1.0, x))
        )
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(tail > 1e-290, np.log(tail), far))


def log_f_cdf(f: FloatArray, df1: FloatArray | float, df2: float) -> FloatArray:
    """Logarithm of the lower tail of F."""
    half = np.asarray(df1) / 2.0 + np.zeros_like(f)
    if np.isinf(df2):
        below = special.gammainc(half, half * f)
    else:
        scaled = np.asarray(df1) * f
        below = special.betainc(half, df2 / 2.0, scaled / (df2 + scaled))
    return np.asarray(np.log(np.maximum(below, 1e-300)))


def _f_ppf(p: FloatArray, df1: float, df2: float) -> FloatArray:
    if np.isinf(df2):
        return np.asarray(special.gammaincinv(df1 / 2.0, p) / (df1 / 2.0))
    x = special.betaincinv(df1 / 2.0, df2 / 2.0, p)
    return np.asarray(df2 * x / (df1 * (1.0 - x)))


def _f_isf(p: FloatArray, df1: float, df2: float) -> FloatArray:
    p = np.maximum(p, 1e-300)
    if np.isinf(df2):
        return np.asarray(special.gammainccinv(df1 / 2.0, p) / (df1 / 2.0))
    y = special.betaincinv(df2 / 2.0, df1 / 2.0, p)  # 1 - x, without cancellation
    return np.asarray(df2 * (1.0 - y) / (df1 * y))


def _trimmed_mean(x: FloatArray, share: float) -> float:
    ordered = np.sort(x)
    cut = int(len(x) * share)
    return float(np.mean(ordered[cut : len(x) - cut]))


def _average_rank(x: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse], dtype=np.float64)


def _trend(covariate: FloatArray, z: FloatArray) -> FloatArray:
    return lowess(covariate, z, span=_LOWESS_SPAN, delta=0.01 * float(np.ptp(covariate)))
