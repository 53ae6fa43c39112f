"""Log-logistic dose-response curves of thousands of features at once, and an honest test against no response.

The curve is ``start + span g(dose)`` with ``g = 1 / (1 + (ec50 / dose)^hill)`` and ``g(0) = 0``. Given ec50 and hill it
is a straight line in g, so that every curve of a grid is fitted to every feature by a few matrix products; the best
one is refined by Levenberg-Marquardt steps for all features together.

The F statistic of the best curve does not follow the F distribution of its degrees of freedom, because under no
response ec50 and hill do not exist (Davies 1987, Biometrika 74:33) and the best of many curves was taken. Its null
distribution depends only on the doses and on which samples are observed, so it is simulated once for a design; the
far tail follows from the volume of a tube around the family of curves on the sphere (Hotelling 1939, Am J Math 61:440;
Johansen & Johnstone 1990, Ann Stat 18:652): a sum of beta tails whose weights are fitted to the simulation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_HILLS = np.geomspace(0.35, 8.0, 8)
_HILL_ENDS = (0.25, 10.0)
_PER_DECADE = 6
_BEYOND = 1.0
"""Decades beyond the lowest and highest dose in which an ec50 is looked for."""
_CHUNK_NUMBERS = 2**21
_STEPS = 30
_NULL_SEED = 20_240_501
"""The null distribution is part of the test: one seed, whatever the seed of the run."""
_NULL_DRAWS, _NULL_LEAST = 20_000, 2_000
_SPLICE = 0.1
"""Tail probability from which on the fitted tail takes over from the simulated distribution."""


@dataclass(frozen=True)
class Grid:
    """A family of curves on the doses of a design.

    Attributes
    ----------
    dose
        Shape (samples,), 0 allowed.
    ec50, hill
        Parameters of the curves, shape (curves,); curves are sorted by ec50, then hill.
    shape
        ``g`` of every curve at every dose, shape (curves, samples).
    n_hills
        Curves of one ec50.
    """

    dose: FloatArray
    ec50: FloatArray
    hill: FloatArray
    shape: FloatArray
    n_hills: int

    @property
    def n_parameters(self) -> int:
        """Parameters of a curve: start, span, ec50, and the hill slope where it is free."""
        return 3 + int(self.n_hills > 1)


def curve_grid(dose: FloatArray, *, free_hill: bool = True) -> Grid:
    """All curves that are tried for a design."""
    positive = dose[dose > 0]
    low, high = np.log10(positive.min()) - _BEYOND, np.log10(positive.max()) + _BEYOND
    places = 10.0 ** np.linspace(low, high, round((high - low) * _PER_DECADE) + 1)
    hills = _HILLS if free_hill else np.ones(1)
    ec50, hill = np.repeat(places, len(hills)), np.tile(hills, len(places))
    return Grid(dose, ec50, hill, response(dose[None, :], ec50[:, None], hill[:, None]), len(hills))


def response(dose: FloatArray, ec50: FloatArray, hill: FloatArray) -> FloatArray:
    """Share of the full response at a dose, 0 to 1."""
    with np.errstate(divide="ignore"):
        x = hill * (np.log(np.where(dose > 0, dose, np.nan)) - np.log(ec50))
    return np.asarray(np.where(dose > 0, special.expit(x), 0.0))


@dataclass(frozen=True)
class GridFit:
    """Best curve of the grid for every feature; arrays have shape (features,)."""

    best: IntArray
    share: FloatArray
    """Share of the variation that the best curve explains; NaN where no curve can be fitted."""
    total: FloatArray
    """Sum of squares about the mean."""
    n: IntArray
    rss_by_ec50: FloatArray
    """Least residual sum of squares for each ec50, shape (features, ec50s)."""


def fit_grid(values: FloatArray, grid: Grid, *, profile: bool = True) -> GridFit:
    """Fit every curve of the grid to every feature."""
    parts = []
    for rows in _chunks(len(values), grid.shape.shape[0] + values.shape[1]):
        seen = np.isfinite(values[rows])
        mask = seen.astype(np.float64)
        n = seen.sum(axis=1)
        mean = np.where(seen, values[rows], 0.0).sum(axis=1) / np.maximum(n, 1)
        y = np.where(seen, values[rows] - mean[:, None], 0.0)
        total = (y**2).sum(axis=1)
        count = np.maximum(n, 1)[:, None]
        s1 = mask @ grid.shape.T
        square = mask @ (grid.shape**2).T - s1**2 / count
        cross = y @ grid.shape.T
        usable = square > 1e-6 * count
        gain = np.where(usable, cross**2 / np.where(usable, square, 1.0), -1.0)
        best = np.argmax(gain, axis=1)
        top = gain[np.arange(len(best)), best]
        known = (top >= 0) & (total > 1e-18 * np.maximum(1.0, mean**2))
        share = np.where(known, np.clip(top / np.where(total > 0, total, 1.0), 0.0, 1.0), np.nan)
        by_place = (
            total[:, None] - np.maximum(gain, 0.0).reshape(len(best), -1, grid.n_hills).max(axis=2)
            if profile
            else np.empty((len(best), 0))
        )
        parts.append((best, share, total, n, by_place))
    return GridFit(*(np.concatenate([part[i] for part in parts]) for i in range(5)))


@dataclass(frozen=True)
class CurveFit:
    """Refined curves; arrays have shape (features,), NaN where there is none.

    Attributes
    ----------
    start, span, ec50, hill
        Response without dose, change to the full response (log2), dose of half the change, steepness.
    rss, n
        Residual sum of squares, and observed samples.
    covariance
        Of (start, span, log ec50, log hill) for a residual variance of one, shape (features, 4, 4).
    """

    start: FloatArray
    span: FloatArray
    ec50: FloatArray
    hill: FloatArray
    rss: FloatArray
    n: IntArray
    covariance: FloatArray


def refine(values: FloatArray, grid: Grid, found: GridFit) -> CurveFit:
    """Least squares from the best curve of the grid on, for all features together."""
    parts = [
        _refine(values[rows], grid, found.best[rows]) for rows in _chunks(len(values), 8 * values.shape[1])
    ]
    joined = [np.concatenate([part[i] for part in parts]) for i in range(7)]
    known = np.isfinite(found.share)
    for i in range(5):
        joined[i] = np.where(known, joined[i], np.nan)
    return CurveFit(*joined)


def _refine(values: FloatArray, grid: Grid, best: IntArray) -> tuple[FloatArray, ...]:
    seen = np.isfinite(values)
    mask = seen.astype(np.float64)
    n = seen.sum(axis=1)
    y = np.where(seen, values, 0.0)
    free = grid.n_hills > 1
    with np.errstate(divide="ignore"):
        x = np.where(grid.dose > 0, np.log(np.where(grid.dose > 0, grid.dose, 1.0)), -np.inf)
    ends = (np.log(grid.ec50[0]), np.log(grid.ec50[-1]))
    hill_ends = (np.log(_HILL_ENDS[0]), np.log(_HILL_ENDS[1])) if free else (0.0, 0.0)
    place, steep = np.log(grid.ec50[best]), np.log(grid.hill[best])

    def shape(place: FloatArray, steep: FloatArray) -> FloatArray:
        return np.asarray(special.expit(np.exp(steep)[:, None] * (x[None, :] - place[:, None])) * mask)

    def line(g: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Start, span and residual sum of squares of the straight line in g."""
        count = np.maximum(n, 1)
        mean_g, mean_y = g.sum(axis=1) / count, y.sum(axis=1) / count
        away = (g - mean_g[:, None]) * mask
        square = (away**2).sum(axis=1)
        span = np.where(square > 1e-12, (away * y).sum(axis=1) / np.where(square > 1e-12, square, 1.0), 0.0)
        start = mean_y - span * mean_g
        rest = (y - start[:, None] - span[:, None] * g) * mask
        return start, span, (rest**2).sum(axis=1)

    def jacobian(g: FloatArray, place: FloatArray, steep: FloatArray, span: FloatArray) -> FloatArray:
        hill = np.exp(steep)[:, None]
        bend = g * (1.0 - g) * hill
        away = np.where(np.isfinite(x)[None, :], x[None, :] - place[:, None], 0.0)
        columns = [mask, g, -span[:, None] * bend * mask, span[:, None] * bend * away * mask]
        return np.stack(columns, axis=2)

    g = shape(place, steep)
    start, span, rss = line(g)
    damping = np.full(len(values), 1e-2)
    moving = np.arange(2, 4) if free else np.arange(2, 3)
    for _ in range(_STEPS):
        J = jacobian(g, place, steep, span)[:, :, [0, 1, *moving]]
        rest = (y - start[:, None] - span[:, None] * g) * mask
        gram = np.einsum("fsi,fsj->fij", J, J, optimize=True)
        size = np.einsum("fii->fi", gram)
        damped = gram + (damping[:, None] * np.maximum(size, 1e-9))[:, :, None] * np.eye(gram.shape[1])
        step = np.linalg.solve(damped, np.einsum("fsi,fs->fi", J, rest)[:, :, None])[:, :, 0]
        next_place = np.clip(place + np.clip(step[:, 2], -1.0, 1.0), *ends)
        next_steep = np.clip(steep + np.clip(step[:, 3], -0.7, 0.7), *hill_ends) if free else steep
        next_g = shape(next_place, next_steep)
        next_start, next_span, next_rss = line(next_g)
        better = next_rss < rss
        gained = np.where(better, rss - next_rss, 0.0)
        place, steep = np.where(better, next_place, place), np.where(better, next_steep, steep)
        g = np.where(better[:, None], next_g, g)
        start, span = np.where(better, next_start, start), np.where(better, next_span, span)
        rss = np.where(better, next_rss, rss)
        damping = np.clip(np.where(better, damping / 5.0, damping * 4.0), 1e-9, 1e6)
        if not np.any(gained > 1e-10 * np.maximum(rss, 1e-300)) and np.all(damping > 1.0):
            break
    J = jacobian(g, place, steep, span)
    if not free:
        J[:, :, 3] = 0.0
    gram = np.einsum("fsi,fsj->fij", J, J, optimize=True)
    covariance = np.linalg.pinv(gram, rcond=1e-12, hermitian=True)
    return start, span, np.exp(place), np.exp(steep), rss, n, covariance


def ec50_interval(
    grid: Grid, found: GridFit, fit: CurveFit, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Profile likelihood interval of the ec50; NaN at an end that the doses leave open.

    All ec50 whose best curve fits not significantly worse than the best of all, by the F distribution.
    """
    places = np.log(grid.ec50[:: grid.n_hills])
    df = fit.n - grid.n_parameters
    known = np.isfinite(fit.rss) & (df > 0)
    bound = np.full(len(df), np.nan)
    bound[known] = fit.rss[known] * (1.0 + special.fdtri(1.0, df[known], level) / df[known])
    ends = np.full((2, len(df)), np.nan)
    for row in np.flatnonzero(known & (fit.rss > 0)):
        height, middle = found.rss_by_ec50[row], np.log(fit.ec50[row])
        below = places < middle
        for side, (at, up) in enumerate(
            ((places[below][::-1], height[below][::-1]), (places[~below], height[~below]))
        ):
            crossed = np.flatnonzero(up > bound[row])
            if not len(crossed):
                continue
            i = int(crossed[0])
            before, low = (middle, fit.rss[row]) if i == 0 else (at[i - 1], up[i - 1])
            share = (bound[row] - low) / max(up[i] - low, 1e-300)
            ends[side, row] = np.exp(before + np.clip(share, 0.0, 1.0) * (at[i] - before))
    return ends[0], ends[1]


# ------------------------------------------------------------------------------------------------ null


@dataclass
class NullShares:
    """Null distributions of a design, kept from one call to the next: they do not depend on the values.

    Attributes
    ----------
    shares
        Sorted simulated shares by number of observed samples and doses.
    weights
        Weights of the beta tails.
    draws
        Simulated features for the complete design, and for designs with missing values.
    """

    shares: dict[tuple[int, int], FloatArray] = field(default_factory=dict)
    weights: FloatArray | None = None
    draws: tuple[int, int] = (_NULL_DRAWS, _NULL_LEAST)


def curve_p_values(
    values: FloatArray, grid: Grid, found: GridFit, nulls: NullShares | None = None
) -> FloatArray:
    """p-values of the best curves against no response, shape (features,).

    Features are grouped by the numbers of samples and of different doses that were observed; for each group the null
    distribution is simulated with the missing values of its members.
    """
    nulls = NullShares() if nulls is None else nulls
    seen = np.isfinite(values)
    distinct, of = np.unique(grid.dose, return_inverse=True)
    doses = (seen.astype(np.float64) @ np.eye(len(distinct))[of] > 0).sum(axis=1)
    p = np.full(len(values), np.nan)
    known = np.isfinite(found.share) & (found.n > grid.n_parameters)
    if not known.any():
        return p
    whole = (values.shape[1], len(distinct))
    if nulls.weights is None:
        nulls.shares[whole] = _null_shares(np.ones((1, whole[0]), dtype=bool), grid, nulls.draws[0])
        nulls.weights = _tail_weights(nulls.shares[whole], whole[0], grid)
    key = found.n * (len(distinct) + 1) + doses
    for group in np.unique(key[known]):
        members = np.flatnonzero(known & (key == group))
        name = (int(found.n[members[0]]), int(doses[members[0]]))
        if name not in nulls.shares:
            nulls.shares[name] = _null_shares(seen[members], grid, nulls.draws[1])
        p[members] = _tail(found.share[members], nulls.shares[name], nulls.weights, name[0])
    return p


def _null_shares(masks: BoolArray, grid: Grid, n_draws: int) -> FloatArray:
    """Sorted shares explained by the best curve where there is no response."""
    rng = np.random.default_rng(_NULL_SEED)
    drawn = rng.normal(size=(n_draws, len(grid.dose)))
    if not masks.all():
        masks = masks[np.lexsort(masks.T)]  # whatever the order of the features
        drawn = np.where(masks[np.arange(n_draws) % len(masks)], drawn, np.nan)
    share = fit_grid(drawn, grid, profile=False).share
    return np.sort(share[np.isfinite(share)])


def _beta_tails(share: FloatArray, n: int, n_terms: int) -> FloatArray:
    """Tail probabilities of the share explained by k fixed directions of n - 1, k = 1 .. n_terms."""
    k = np.arange(1, n_terms + 1)
    return np.asarray(special.betaincc(k / 2.0, np.maximum(n - 1.0 - k, 0.5) / 2.0, share[:, None]))


def _tail_weights(null: FloatArray, n: int, grid: Grid) -> FloatArray:
    tail = np.geomspace(0.2, 20.0 / len(null), 30)
    share = np.quantile(null, 1.0 - tail)
    terms = _beta_tails(share, n, grid.n_parameters - 1)
    weights = np.asarray(optimize.nnls(terms / tail[:, None], np.ones(len(tail)))[0])
    # The last term rules the far tail; without it p-values would be too small there.
    weights[-1] = max(weights[-1], 1.0)
    return weights


def _tail(share: FloatArray, null: FloatArray, weights: FloatArray, n: int) -> FloatArray:
    """Probability of a share as large, simulated where it is common and by the fitted tail where it is rare."""
    border = float(np.quantile(null, 1.0 - _SPLICE))
    above = len(null) - np.searchsorted(null, share, side="left")
    common = (above + 1.0) / (len(null) + 1.0)
    height = _beta_tails(share, n, len(weights)) @ weights
    at_border = float((_beta_tails(np.array([border]), n, len(weights)) @ weights)[0])
    rare = _SPLICE * height / at_border
    return np.asarray(np.clip(np.where(share > border, np.minimum(rare, _SPLICE), common), 0.0, 1.0))


def _chunks(n: int, numbers_each: int) -> Iterator[slice]:
    step = max(1, _CHUNK_NUMBERS // max(1, numbers_each))
    for start in range(0, max(n, 1), step):
        yield slice(start, min(start + step, n))
