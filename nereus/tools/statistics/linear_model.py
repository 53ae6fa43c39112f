"""Least squares of one contrast for thousands of features at once, each with its own missing values.

For feature g with observed samples m_g the normal equations ``G_g beta = h_g`` are sums over samples, so all
of them come out of a few matrix products over the missing-value patterns. They are written on an orthonormal
basis of the design and on centred values, solved once and refined once: the accuracy is that of a QR
decomposition per feature.

Samples that share a block (the subject of paired or repeated samples) enter by one formula,
``G = sum_s w x x' - sum_b k_b u_b u_b'`` with ``u_b`` the sum of x over block b:

* fixed block effects: ``k_b = 1 / n_b`` (each block has a mean of its own; comparisons within blocks only);
* correlated blocks: ``k_b = rho / (1 + (n_b - 1) rho)``, generalised least squares under one correlation rho
  within blocks, all of it over ``1 - rho`` (Smyth, Michaud & Scott 2005, Bioinformatics 21:2067).

No pandas and no AnnData: permutation, stability and self-planting call this hundreds of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.batched_cholesky import factorise

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_RANK_TOLERANCE = 1e-9
"""Relative size of a singular value of the whole design below which columns are redundant."""
_PATTERN_TOLERANCE = 1e-11
"""Relative size of an eigenvalue of a pattern's normal equations below which a direction is not seen."""
_CHUNK_NUMBERS = 2**18
"""Numbers worked on at a time: what stays in the processor's cache."""
_WELL_CONDITIONED = 1e6
"""Trace times largest entry of the inverse up to which plain inversion is as good as eigenvalues."""


@dataclass(frozen=True)
class LinearFit:
    """Least-squares estimates of one contrast; all arrays have shape (features,).

    Attributes
    ----------
    effect
        Estimate of the contrast; NaN where the observed samples cannot tell it.
    unscaled_sd
        Standard error of `effect` for a residual variance of one.
    variance
        Residual variance; NaN without residual degrees of freedom.
    df
        Residual degrees of freedom.
    n
        Number of observed samples.
    mean
        Mean of the observed values.
    """

    effect: FloatArray
    unscaled_sd: FloatArray
    variance: FloatArray
    df: FloatArray
    n: IntArray
    mean: FloatArray


def fit_linear_model(
    values: FloatArray,
    design: FloatArray,
    contrast: FloatArray,
    *,
    weights: FloatArray | None = None,
    block: IntArray | None = None,
    correlation: float | None = None,
) -> LinearFit:
    """Fit ``values ~ design`` feature by feature and estimate ``contrast @ coefficients``.

    Parameters
    ----------
    values
        Shape (features, samples); NaN is missing.
    design
        Shape (samples, coefficients), finite. May be rank deficient as long as the contrast is estimable.
    contrast
        Shape (coefficients,).
    weights
        Precisions of the observations, shape (features, samples), (samples,) or (features, 1); zero drops
        one.
    block
        Integer codes of the blocks, shape (samples,).
    correlation
        Correlation within blocks; None gives every block a fixed effect of its own.
    """
    fit = _Normal(values, design, contrast, weights, block, correlation)
    parts = [fit.solve(rows) for rows in _chunks(len(values), fit.numbers_per_feature)]
    if len(parts) == 1:
        return parts[0]
    names = ("effect", "unscaled_sd", "variance", "df", "n", "mean")
    return LinearFit(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def consensus_correlation(
    values: FloatArray, design: FloatArray, block: IntArray, *, trim: float = 0.15
) -> float:
    """Correlation within blocks that all features share (Smyth, Michaud & Scott 2005).

    Each feature's correlation is estimated by restricted maximum likelihood under a random block effect
    (negative estimates are allowed down to what positive definiteness permits; of two optima, the one that is
    reached from independence is taken); the consensus is their trimmed mean on the inverse hyperbolic tangent
    scale.

    Parameters
    ----------
    values, design, block
        As in `fit_linear_model`.
    trim
        Share of features trimmed at each end.

    Returns
    -------
    float
        NaN when no feature has a repeated block and enough residual degrees of freedom.
    """
    each = block_correlations(values, design, block)
    each = np.sort(np.arctanh(each[np.isfinite(each)]))
    if not len(each):
        return float("nan")
    cut = int(len(each) * trim)
    return float(np.tanh(np.mean(each[cut : len(each) - cut])))


def block_correlations(values: FloatArray, design: FloatArray, block: IntArray) -> FloatArray:
    """Restricted maximum likelihood estimate of the correlation within blocks, shape (features,)."""
    fit = _Normal(values, design, np.zeros(design.shape[1]), None, block, 0.0)
    parts = [fit.correlations(rows) for rows in _chunks(len(values), fit.numbers_per_feature // 8)]
    return np.concatenate(parts) if parts else np.empty(0)


def _chunks(n: int, numbers_each: int) -> Iterator[slice]:
    step = max(1, _CHUNK_NUMBERS // max(1, numbers_each))
    for start in range(0, max(n, 1), step):
        yield slice(start, min(start + step, n))


class _Normal:
    """The parts of the normal equations that all features share."""

    def __init__(
        self,
        values: FloatArray,
        design: FloatArray,
        contrast: FloatArray,
        weights: FloatArray | None,
        block: IntArray | None,
        correlation: float | None,
    ) -> None:
        self.values = values
        self.n_samples = design.shape[0]
        self.weights = None if weights is None else np.broadcast_to(weights, values.shape)
        self.correlation = correlation
        self.fixed = block is not None and correlation is None
        self.member: FloatArray | None = None  # (samples, blocks)
        if block is not None:
            _, codes = np.unique(block, return_inverse=True)
            self.member = np.eye(int(codes.max()) + 1)[codes]
        shown = design
        if self.fixed and self.member is not None:
            shown = design - self.member @ ((self.member.T @ design) / self.member.sum(axis=0)[:, None])
        # Columns on one scale first, so that the rank does not depend on units.
        seen, size = _told_columns(shown, np.linalg.norm(design, axis=0))
        u, s, vt = np.linalg.svd(shown[:, seen] / size[seen], full_matrices=False)
        rank = _rank(s)
        self.basis = u[:, :rank] * np.sqrt(self.n_samples)  # (samples, rank), orthogonal
        self.rank = rank
        # contrast @ beta = direction @ gamma, where shown = basis @ to_gamma @ diag(size)
        to_gamma = s[:rank, None] * vt[:rank] / np.sqrt(self.n_samples)
        wanted = contrast[seen] / size[seen]
        self.direction = np.linalg.lstsq(to_gamma.T, wanted, rcond=None)[0] if rank else np.zeros(0)
        gap = np.linalg.norm(to_gamma.T @ self.direction - wanted) if rank else np.inf
        told = not np.any(contrast[~seen]) and gap <= 1e-7 * max(float(np.linalg.norm(wanted)), 1e-300)
        self.estimable = bool(told)
        ones = self.basis.T @ np.ones(self.n_samples) / self.n_samples
        self.constant = bool(np.allclose(self.basis @ ones, 1.0, atol=1e-8))
        self.shift = float(self.direction @ ones)  # effect of adding one to every value
        upper = np.triu_indices(rank)
        self._upper = upper
        self._squares = self.basis[:, upper[0]] * self.basis[:, upper[1]]
        if self.member is not None:
            self._by_block = (self.member[:, :, None] * self.basis[:, None, :]).reshape(self.n_samples, -1)
        n_blocks = 0 if self.member is None else self.member.shape[1]
        self.numbers_per_feature = 3 * self.n_samples + rank * rank + n_blocks * (rank + 1)

    # -------------------------------------------------------------------------------------------- estimates

    def solve(self, rows: slice) -> LinearFit:
        """Estimates of a slice of the features."""
        y, observed, n, mean = self._centred(rows)
        if self.weights is None and self.member is None and observed.all():
            return self._solve_complete(y, n, mean)
        if self.weights is None:
            pattern, of = distinct_patterns(observed)
            w = observed.astype(np.float64)
            w_pattern = pattern.astype(np.float64)
        else:
            w = np.where(observed, self.weights[rows], 0.0)
            observed = w > 0
            n = observed.sum(axis=1)
            w_pattern, of = w, np.arange(len(w))
        inverse, rank, seen, k, u = self._inverses(w_pattern)
        wy = w * y
        root = w if self.fixed else np.sqrt(w) if self.weights is not None else w
        gamma = self._apply(inverse, of, self._project(wy, root * y, k, u, of))
        residual = y - gamma @ self.basis.T
        gamma += self._apply(inverse, of, self._project(w * residual, root * residual, k, u, of))
        residual = y - gamma @ self.basis.T
        df = n - rank[of]
        if self.member is not None and k is not None:
            sums = (root * residual) @ self.member
            if self.fixed:
                residual = residual - (sums * k[of]) @ self.member.T
                df = df - (k > 0).sum(axis=1)[of]
                rss = np.einsum("fs,fs->f", w, residual**2)
            else:
                rss = np.einsum("fs,fs->f", w, residual**2) - np.einsum("fb,fb->f", k[of], sums**2)
                rss /= 1.0 - float(self.correlation or 0.0)
        else:
            rss = np.einsum("fs,fs->f", w, residual**2)
        across = inverse @ self.direction  # (patterns, rank)
        unscaled = across @ self.direction
        if self.member is not None and not self.fixed:
            unscaled = unscaled * (1.0 - float(self.correlation or 0.0))
        known = seen[of] & self.estimable
        effect = np.where(
            known,
            gamma @ self.direction + (self.shift * mean if self.constant and not self.fixed else 0.0),
            np.nan,
        )
        with np.errstate(invalid="ignore"):
            unscaled_sd = np.where(known, np.sqrt(unscaled)[of], np.nan)
        df = np.maximum(df, 0).astype(np.float64)
        variance = np.where(df > 0, np.maximum(rss, 0.0) / np.where(df > 0, df, 1.0), np.nan)
        return LinearFit(effect, unscaled_sd, variance, df, n, np.where(n > 0, mean, np.nan))

    def _solve_complete(self, y: FloatArray, n: IntArray, mean: FloatArray) -> LinearFit:
        """Estimates without missing values, weights or blocks: the basis is orthogonal as it stands."""
        gamma = y @ self.basis / self.n_samples
        residual = y - gamma @ self.basis.T
        df = float(max(self.n_samples - self.rank, 0))
        rss = np.einsum("fs,fs->f", residual, residual)
        effect = gamma @ self.direction + (self.shift * mean if self.constant else 0.0)
        unscaled_sd = float(np.linalg.norm(self.direction)) / np.sqrt(self.n_samples)
        return LinearFit(
            np.where(self.estimable, effect, np.nan),
            np.full(len(y), unscaled_sd if self.estimable else np.nan),
            rss / df if df else np.full(len(y), np.nan),
            np.full(len(y), df),
            n,
            mean,
        )

    def _centred(self, rows: slice) -> tuple[FloatArray, npt.NDArray[np.bool_], IntArray, FloatArray]:
        raw = self.values[rows]
        observed = np.isfinite(raw)
        n = observed.sum(axis=1)
        complete = bool(observed.all())
        y = raw if complete else np.where(observed, raw, 0.0)
        mean = y.sum(axis=1) / np.maximum(n, 1)
        if self.constant or self.fixed:
            y = y - mean[:, None]
            if not complete:
                y[~observed] = 0.0
        return y, observed, n, mean

    def _inverses(
        self, w: FloatArray
    ) -> tuple[FloatArray, IntArray, npt.NDArray[np.bool_], FloatArray | None, FloatArray | None]:
        """By pattern: pseudo-inverse, rank, whether the contrast is seen, and the block terms."""
        gram = np.zeros((len(w), self.rank, self.rank))
        gram[:, self._upper[0], self._upper[1]] = w @ self._squares
        gram[:, self._upper[1], self._upper[0]] = gram[:, self._upper[0], self._upper[1]]
        k = u = None
        if self.member is not None:
            if self.fixed:
                total = w @ self.member
                k = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
                u = (w @ self._by_block).reshape(len(w), -1, self.rank)
            else:
                rho = float(self.correlation or 0.0)
                size = (w > 0).astype(np.float64) @ self.member
                k = np.where(size > 0, rho / (1.0 + (size - 1.0) * rho), 0.0)
                u = (np.sqrt(w) @ self._by_block).reshape(len(w), -1, self.rank)
            gram -= np.einsum("ub,ubi,ubj->uij", k, u, u, optimize=True)
        inverse, fine = _plain_inverses(gram, w.sum(axis=1))
        rank = np.full(len(gram), self.rank)
        seen = np.ones(len(gram), dtype=bool)
        hard = np.flatnonzero(~fine)
        if len(hard) and self.rank:
            inverse[hard], rank[hard], seen[hard] = self._pseudo_inverses(gram[hard], w[hard])
        return inverse, rank, seen & (rank > 0), k, u

    def _pseudo_inverses(
        self, gram: FloatArray, w: FloatArray
    ) -> tuple[FloatArray, IntArray, npt.NDArray[np.bool_]]:
        """Pseudo-inverse and rank of patterns that may not see every direction, and whether the contrast is seen."""
        eigenvalues, vectors = np.linalg.eigh(gram)
        # Weighed against what complete data would give, so that a pattern that sees nothing has rank zero.
        reference = np.maximum(np.maximum(eigenvalues[:, -1:], 1e-300), 1e-3 * w.sum(axis=1, keepdims=True))
        kept = eigenvalues > _PATTERN_TOLERANCE * reference
        reciprocal = np.divide(1.0, eigenvalues, out=np.zeros_like(eigenvalues), where=kept)
        inverse = np.einsum("uik,uk,ujk->uij", vectors, reciprocal, vectors, optimize=True)
        hidden = np.where(kept, 0.0, np.einsum("uik,i->uk", vectors, self.direction))
        seen = np.linalg.norm(hidden, axis=1) <= 1e-5 * np.linalg.norm(self.direction)
        return inverse, kept.sum(axis=1), seen

    def _project(
        self, wy: FloatArray, uy: FloatArray, k: FloatArray | None, u: FloatArray | None, of: IntArray
    ) -> FloatArray:
        """Right-hand side of the normal equations, shape (features, rank)."""
        right = wy @ self.basis
        if self.member is not None and k is not None and u is not None:
            sums = uy @ self.member
            if len(k) == 1:
                right -= (sums * k[0]) @ u[0]
            else:
                right -= np.einsum("fb,fbi->fi", sums * k[of], u[of], optimize=True)
        return np.asarray(right)

    @staticmethod
    def _apply(inverse: FloatArray, of: IntArray, right: FloatArray) -> FloatArray:
        if len(inverse) == 1:
            return np.asarray(right @ inverse[0])
        return np.asarray(np.einsum("fij,fj->fi", inverse[of], right))

    # ------------------------------------------------------------------------------------- block correlation

    def correlations(self, rows: slice) -> FloatArray:
        """Restricted maximum likelihood estimates of the correlation within blocks of some features."""
        if self.member is None:
            raise ValueError("correlations need blocks")
        y, observed, n, _ = self._centred(rows)
        if not observed.any():
            return np.full(len(y), np.nan)
        pattern, of = distinct_patterns(observed)
        w = pattern.astype(np.float64)
        inverse, rank, _, _, _ = self._inverses(w)
        # The restricted likelihood does not change when the fitted part is removed: no cancellation later.
        y = y - self._apply(inverse, of, y @ self.basis) @ self.basis.T
        y = np.where(observed, y, 0.0)
        size = w @ self.member  # observed samples of each block
        u = (w @ self._by_block).reshape(len(w), -1, self.rank)
        gram = np.zeros((len(w), self.rank, self.rank))
        gram[:, self._upper[0], self._upper[1]] = w @ self._squares
        gram[:, self._upper[1], self._upper[0]] = gram[:, self._upper[0], self._upper[1]]
        sizes = [s for s in np.unique(size) if s > 0]
        of_size = [size == s for s in sizes]
        n_of_size = np.stack([m.sum(axis=1) for m in of_size], axis=1)[of]  # (features, sizes)
        grams = np.stack(
            [np.einsum("ub,ubi,ubj->uij", m * 1.0, u, u, optimize=True) for m in of_size], axis=1
        )
        sums = y @ self.member
        rights = np.stack(
            [np.einsum("fb,fbi->fi", sums * m[of], u[of], optimize=True) for m in of_size], axis=1
        )
        squares = np.stack([np.einsum("fb,fb->f", m[of], sums**2) for m in of_size], axis=1)
        right, square = y @ self.basis, np.einsum("fs,fs->f", y, y)
        n_blocks = n_of_size.sum(axis=1)
        usable = (n > self.rank + 2) & (rank[of] == self.rank) & (n_blocks > 1) & (n_blocks < n - 1)
        result = np.full(len(y), np.nan)
        chosen = np.flatnonzero(usable & (square > 0))
        if not len(chosen):
            return result
        level = np.array(sizes)
        extra = n - self.rank

        def deviance(rho: FloatArray) -> FloatArray:
            """-2 log restricted likelihood of the chosen features, the variance profiled out."""
            k = rho[:, None] / (1.0 + (level - 1.0) * rho[:, None])  # (chosen, sizes)
            g = gram[of[chosen]] - np.einsum("fs,fsij->fij", k, grams[of[chosen]])
            h = right[chosen] - np.einsum("fs,fsi->fi", k, rights[chosen])
            quadratic = square[chosen] - np.einsum("fs,fs->f", k, squares[chosen])
            quadratic = quadratic - np.einsum("fi,fi->f", h, np.linalg.solve(g, h[:, :, None])[:, :, 0])
            counts = n_of_size[chosen]
            log_v = np.sum(counts * np.log1p((level - 1.0) * rho[:, None]), axis=1)
            log_v += (n[chosen] - counts.sum(axis=1)) * np.log1p(-rho)
            # Both g and quadratic still lack the factor 1 / (1 - rho).
            log_g = np.linalg.slogdet(g)[1] - self.rank * np.log1p(-rho)
            m = extra[chosen]
            return np.asarray(m * (np.log(np.maximum(quadratic, 1e-300)) - np.log1p(-rho)) + log_v + log_g)

        largest = float(self.member.sum(axis=0).max())
        ends = np.array([1.0 / (1.0 - largest) + 0.01, 0.99])
        grid = np.tanh(np.linspace(float(np.arctanh(ends[0])), float(np.arctanh(ends[1])), 33))
        heights = np.stack([deviance(np.full(len(chosen), point)) for point in grid], axis=1)
        best = _descend(heights, start=int(np.argmin(np.abs(grid))))
        low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
        result[chosen] = _golden_section(deviance, low, high)
        return result


def orthogonal_basis(design: FloatArray) -> FloatArray:
    """Orthogonal columns that span those of a design, each with the norm of a column of ones: (samples, rank)."""
    seen, size = _told_columns(design, np.zeros(design.shape[1]))
    u, s, _ = np.linalg.svd(design[:, seen] / size[seen], full_matrices=False)
    return np.asarray(u[:, : _rank(s)] * np.sqrt(len(design)))


def _told_columns(design: FloatArray, original: FloatArray) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Columns that are more than what rounding leaves of their `original` norms, and the norms of all."""
    size = np.linalg.norm(design, axis=0)
    return size > _RANK_TOLERANCE * np.where(original > 0, original, 1.0), size


def _rank(singular_values: FloatArray) -> int:
    return int(np.sum(singular_values > _RANK_TOLERANCE * singular_values[0])) if len(singular_values) else 0


def _plain_inverses(gram: FloatArray, n: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Inverses, and for which matrices they can be trusted; `n` is what a well-spread column has as its square."""
    inverse = np.zeros_like(gram)
    if not gram.shape[1]:
        return inverse, np.zeros(len(gram), dtype=bool)
    # One matrix that is exactly singular would keep `inv` from inverting all the others.
    left = factorise(np.moveaxis(gram, 0, -1), n).left
    fine = np.asarray((left > 1.0 / _WELL_CONDITIONED).all(axis=0))
    if fine.any():
        chosen = gram if fine.all() else gram[fine]
        found = np.linalg.inv(chosen)
        size = np.abs(found).max(axis=(1, 2)) * np.trace(chosen, axis1=1, axis2=2)
        with np.errstate(invalid="ignore"):
            trusted = np.isfinite(size) & (size < _WELL_CONDITIONED)
            trusted &= (np.einsum("uii->ui", found) > 0).all(axis=1)
        inverse[fine] = found
        fine[fine] = trusted
    return inverse, fine


def _descend(heights: FloatArray, start: int) -> IntArray:
    """Column of the local minimum of each row that is reached downhill from column `start`."""
    rows, n = np.arange(len(heights)), heights.shape[1]
    at = np.full(len(heights), start)
    for _ in range(n):
        left, right = np.maximum(at - 1, 0), np.minimum(at + 1, n - 1)
        around = np.stack([heights[rows, at], heights[rows, left], heights[rows, right]])
        step = np.stack([at, left, right])[np.argmin(around, axis=0), rows]
        if (step == at).all():
            break
        at = step
    return at


def _golden_section(
    function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray, n_steps: int = 42
) -> FloatArray:
    """Minimise a function of one variable for many features at once, each within its own bracket."""
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    low, high = low.copy(), high.copy()
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = function(left), function(right)
    for _ in range(n_steps):
        go_left = f_left < f_right
        high, low = np.where(go_left, right, high), np.where(go_left, low, left)
        fresh = np.where(go_left, high - ratio * (high - low), low + ratio * (high - low))
        f_fresh = function(fresh)
        left, right = np.where(go_left, fresh, right), np.where(go_left, left, fresh)
        f_left, f_right = np.where(go_left, f_fresh, f_right), np.where(go_left, f_left, f_fresh)
    return np.asarray((low + high) / 2.0)


def distinct_patterns(observed: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """Distinct rows of a mask, and for every row which of them it is."""
    if observed.all():
        return observed[:1], np.zeros(len(observed), dtype=np.intp)
    packed = np.ascontiguousarray(np.packbits(observed, axis=1))
    key = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, of = np.unique(key, return_index=True, return_inverse=True)
    return observed[first], of
