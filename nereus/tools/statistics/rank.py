"""Rank tests of two groups: no assumption on the distribution, exact where groups are small."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from math import comb

import numpy as np
from anndata import AnnData
from pydantic import Field
from scipy import special, stats

from nereus.memory.records import Contrast
from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.batch import corrected_notes
from nereus.tools.statistics.design import Design, build_design
from nereus.tools.statistics.differential import only
from nereus.tools.statistics.linear_model import FloatArray, IntArray, fit_linear_model
from nereus.tools.statistics.model_options import FindingLevel
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.result_table import Estimates, feature_values, result_table

_EXACT_SPLITS = 20_000
"""Tied values are tested exactly, by all splits of the ranks, up to this many splits."""
_EXACT_GROUP = 25
"""Without ties the exact distribution is used while the smaller group (or the pairs) are at most this many."""
_NORMAL_975 = 1.959963984540054
_CHUNK_NUMBERS = 2**23


class RankParams(FindingLevel):
    """Parameters of `rank_test`."""

    contrast: Contrast
    """Levels a and b of a factor; effects are a minus b."""
    min_per_group: int = Field(default=2, ge=1)
    """Least number of units with a value in each group (or pairs) for a feature to be tested."""


@tool(
    "rank_test",
    version="2",
    summary="Rank tests of two groups: Wilcoxon-Mann-Whitney, or signed ranks of pairs; exact where small.",
    outputs=("table:rank",),
    seconds=1.0,
)
def rank_test(dataset: AnnData, params: RankParams, *, seed: int) -> Result:
    """Test every feature for a shift between levels a and b of a factor by ranks.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `RankParams`. Blocks with both levels are pairs (signed-rank test on their differences); blocks
        within one level are averaged to one unit each, so that subjects are exchanged and not their
        replicates. The effects of covariates, estimated beside the factor, are subtracted first.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``rank``: the columns of every test table with effect = Hodges-Lehmann shift (log2) and its 95 %
        interval, statistic = standardised rank sum, df NaN; then ``superiority`` (probability that a value of
        a exceeds one of b) and ``exact``. Values: n_tested, n_significant, smallest_p (attainable with all
        values), sign_disagreement (features with p < 0.05 whose means differ the other way) ...

    Raises
    ------
    InputError
        As `build_design`.

    Notes
    -----
    Hodges & Lehmann 1963; exact distributions of the rank sums by counting, with ties by all splits of the
    ranks when there are at most 20,000; otherwise the normal approximation with tie and continuity
    corrections.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 0.5, size=(12, 30))
    >>> X[:6, 4] += 3
    >>> obs = pd.DataFrame({"group": ["a"] * 6 + ["b"] * 6}, index=[f"s{i}" for i in range(12)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(30)]))
    >>> table = rank_test(data, contrast={"factor": "group", "a": "a", "b": "b"}).table().set_index("feature")
    >>> table["p"].idxmin(), round(float(table.loc["P4", "p"]), 5)  # 2 of the 924 splits are as extreme
    ('P4', 0.00216)
    """
    contrast = params.contrast
    design = build_design(dataset.obs, contrast)
    values = feature_values(dataset, design)
    warnings = [*design.warnings, *corrected_notes(dataset)]
    adjusted = values
    if design.matrix.shape[1] > 2:
        adjusted = values - _covariate_part(values, design)
        warnings.append(
            "the effects of the covariates were subtracted before ranking: p-values are approximate"
        )
    units, in_a, pair = _units(adjusted, design)
    if pair is None:
        found = mann_whitney(units[:, in_a], units[:, ~in_a])
        n_a, n_b = np.isfinite(units[:, in_a]).sum(axis=1), np.isfinite(units[:, ~in_a]).sum(axis=1)
        smallest = 2.0 / comb(len(in_a), int(in_a.sum()))
    else:
        order_a = np.flatnonzero(in_a)[np.argsort(pair[in_a], kind="stable")]
        order_b = np.flatnonzero(~in_a)[np.argsort(pair[~in_a], kind="stable")]
        found = signed_rank(units[:, order_a] - units[:, order_b])
        n_a = n_b = np.isfinite(units[:, order_a] - units[:, order_b]).sum(axis=1)
        smallest = 2.0 ** (1 - len(order_a))
    enough = (n_a >= params.min_per_group) & (n_b >= params.min_per_group) & np.isfinite(found.p)
    q = benjamini_hochberg(np.where(enough, found.p, np.nan))
    se = (found.high - found.low) / (2.0 * _NORMAL_975)
    nothing = np.full(len(q), np.nan)
    estimates = Estimates(found.shift, se, found.low, found.high, found.z, nothing, found.p, q)
    estimates = only(enough, estimates)
    seen = np.isfinite(values)
    n = seen.sum(axis=1)
    mean = np.divide(np.where(seen, values, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    extra = {"superiority": np.where(enough, found.superiority, np.nan), "exact": found.exact & enough}
    table = result_table(dataset, estimates, n_a.astype(np.intp), n_b.astype(np.intp), mean, extra)
    means = _mean(units[:, in_a]) - _mean(units[:, ~in_a])
    against = enough & (found.p < 0.05) & (np.sign(means) * np.sign(found.shift) < 0)
    hits = q <= params.level
    up, down = int((hits & (found.shift > 0)).sum()), int((hits & (found.shift < 0)).sum())
    missed = int((~enough).sum())
    if missed:
        warnings.append(f"{missed} of {len(q)} features were not tested: too few units with a value")
    if smallest > params.level / 10:
        warnings.append(f"no p-value can be smaller than {smallest:.2g} with so few units")
    return Result(
        summary=(
            f"{contrast.label}: {up + down} of {int(enough.sum())} tested features are shifted by ranks at "
            f"q <= {params.level:g} ({up} higher in {contrast.a}, {down} lower)."
        ),
        values={
            "n_features": len(q),
            "n_tested": int(enough.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_units_a": int(in_a.sum()),
            "n_units_b": int((~in_a).sum()),
            "n_dropped_samples": design.n_dropped,
            "paired": pair is not None,
            "n_exact": int((found.exact & enough).sum()),
            "smallest_p": finite(min(1.0, smallest)),
            "sign_disagreement": int(against.sum()),
            "level": params.level,
        },
        tables={"rank": table},
        warnings=tuple(warnings),
        n_total=len(q),
        n_returned=len(q),
    )


class _Ranked:
    """Results of a rank test; arrays have shape (features,)."""

    def __init__(self, n_features: int) -> None:
        self.shift, self.low, self.high, self.z, self.p, self.superiority = np.full((6, n_features), np.nan)
        self.exact = np.zeros(n_features, dtype=bool)


# ------------------------------------------------------------------------------------------------ two groups


def mann_whitney(a: FloatArray, b: FloatArray) -> _Ranked:
    """Wilcoxon-Mann-Whitney test of each feature, with the Hodges-Lehmann shift and its interval.

    Parameters
    ----------
    a, b
        Values of the two groups, shapes (features, units of a) and (features, units of b); NaN is missing.
    """
    result = _Ranked(len(a))
    both = np.concatenate([a, b], axis=1)
    seen = np.isfinite(both)
    n_a, n_b = seen[:, : a.shape[1]].sum(axis=1), seen[:, a.shape[1] :].sum(axis=1)
    n = n_a + n_b
    ranks = np.where(seen, stats.rankdata(np.where(seen, both, np.inf), axis=1), 0.0)
    u = ranks[:, : a.shape[1]].sum(axis=1) - n_a * (n_a + 1) / 2.0
    ties = _tie_sum(ranks, seen)
    middle = n_a * n_b / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(n_a * n_b / 12.0 * ((n + 1) - ties / (n * (n - 1))))
        z = (u - middle) / spread
        p = 2.0 * special.ndtr(-np.maximum(np.abs(u - middle) - 0.5, 0.0) / spread)
        result.superiority = np.where(n_a * n_b > 0, u / (n_a * n_b), np.nan)
    usable = (n_a > 0) & (n_b > 0) & (spread > 0)
    result.z, result.p = np.where(usable, z, np.nan), np.where(usable, np.minimum(p, 1.0), np.nan)
    sizes, of = np.unique(np.stack([n_a, n_b], axis=1), axis=0, return_inverse=True)
    of = np.asarray(of).ravel()
    critical = np.zeros(len(a))
    for index, (size_a, size_b) in enumerate(sizes.tolist()):
        rows = np.flatnonzero((of == index) & usable)
        if not len(rows):
            continue
        small = min(size_a, size_b) <= _EXACT_GROUP and size_a * size_b <= 2500
        if small:
            cumulative = _rank_sum_cumulative(size_a, size_b)
            clean = rows[ties[rows] == 0]
            k = np.minimum(u[clean], size_a * size_b - u[clean]).round().astype(int)
            result.p[clean] = np.minimum(2.0 * cumulative[k], 1.0)
            result.exact[clean] = True
            critical[rows] = np.searchsorted(cumulative, 0.025, side="right")
        else:
            spread_rows = np.sqrt(size_a * size_b * (size_a + size_b + 1) / 12.0)
            critical[rows] = max(0.0, np.floor(size_a * size_b / 2.0 - _NORMAL_975 * spread_rows))
        if comb(size_a + size_b, size_a) <= _EXACT_SPLITS:
            for row in rows[ties[rows] > 0]:
                result.p[row] = _exact_with_ties(
                    ranks[row, seen[row]], size_a, u[row] + size_a * (size_a + 1) / 2
                )
                result.exact[row] = True
    step = max(1, _CHUNK_NUMBERS // max(1, a.shape[1] * b.shape[1]))
    for start in range(0, len(a), step):
        part = slice(start, start + step)
        differences = (a[part, :, None] - b[part, None, :]).reshape(len(a[part]), -1)
        _middle_and_ends(result, part, differences, (n_a * n_b)[part], critical[part])
    return result


def _tie_sum(ranks: FloatArray, seen: np.ndarray) -> FloatArray:
    """Sum of t^3 - t over groups of t tied values, shape (features,)."""
    # For average ranks, sum over values of (t^2 - 1) equals sum over groups of (t^3 - t).
    ordered = np.sort(np.where(seen, ranks, np.nan), axis=1)
    if not (np.diff(ordered, axis=1) == 0).any():
        return np.zeros(len(ranks))
    result = np.zeros(len(ranks))
    for row in np.flatnonzero((np.diff(ordered, axis=1) == 0).any(axis=1)):
        counts = np.unique(ranks[row, seen[row]], return_counts=True)[1]
        result[row] = float(np.sum(counts**3 - counts))
    return result


@cache
def _rank_sum_cumulative(n_a: int, n_b: int) -> FloatArray:
    """``P(U <= u)`` of the Mann-Whitney statistic without ties, u = 0 ... n_a n_b.

    Coefficients of the Gaussian binomial, by multiplying and dividing by ``1 - x^k``.
    """
    small, large = min(n_a, n_b), max(n_a, n_b)
    counts = np.zeros(n_a * n_b + 1)
    counts[0] = 1.0
    for k in range(1, small + 1):
        top = large + k
        counts[top:] = (
            counts[top:] - counts[: max(len(counts) - top, 0)] if top < len(counts) else counts[top:]
        )
        for start in range(k):
            counts[start::k] = np.cumsum(counts[start::k])
    return np.asarray(np.cumsum(counts) / counts.sum())


def _exact_with_ties(ranks: FloatArray, n_a: int, rank_sum: float) -> float:
    """Two-sided exact p of a rank sum: the share of splits that are at least as far from the middle."""
    splits = _splits(len(ranks), n_a)
    away = np.abs(ranks[splits].sum(axis=1) - n_a * ranks.mean())
    return float(np.mean(away >= abs(rank_sum - n_a * ranks.mean()) - 1e-9))


@cache
def _splits(n: int, k: int) -> IntArray:
    return np.array(list(combinations(range(n), k)), dtype=np.intp)


# ----------------------------------------------------------------------------------------------------- pairs


def signed_rank(difference: FloatArray) -> _Ranked:
    """Wilcoxon signed-rank test of differences within pairs; zero differences are left out.

    Parameters
    ----------
    difference
        Shape (features, pairs); NaN where a value of the pair is missing.
    """
    result = _Ranked(len(difference))
    seen = np.isfinite(difference)
    counted = seen & (difference != 0)
    n = counted.sum(axis=1)
    size = np.where(counted, np.abs(difference), np.inf)
    ranks = np.where(counted, stats.rankdata(size, axis=1), 0.0)
    w = np.where(difference > 0, ranks, 0.0).sum(axis=1)
    ties = _tie_sum(ranks, counted)
    middle = n * (n + 1) / 4.0
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(n * (n + 1) * (2 * n + 1) / 24.0 - ties / 48.0)
        z = (w - middle) / spread
        p = 2.0 * special.ndtr(-np.maximum(np.abs(w - middle) - 0.5, 0.0) / spread)
        result.superiority = np.where(
            seen.any(axis=1), _mean(np.where(seen, np.sign(difference), np.nan)), np.nan
        )
    result.superiority = (result.superiority + 1.0) / 2.0
    usable = (n > 0) & (spread > 0)
    result.z, result.p = np.where(usable, z, np.nan), np.where(usable, np.minimum(p, 1.0), np.nan)
    # All differences zero is no evidence of a shift.
    result.p = np.where((n == 0) & seen.any(axis=1), 1.0, result.p)
    n_pairs = seen.sum(axis=1)
    critical = np.zeros(len(difference))
    for m in np.unique(n_pairs[n_pairs > 0]).tolist():
        rows = n_pairs == m
        if m <= _EXACT_GROUP:
            critical[rows] = np.searchsorted(_signed_rank_cumulative(m), 0.025, side="right")
        else:
            reach = _NORMAL_975 * np.sqrt(m * (m + 1) * (2 * m + 1) / 24.0)
            critical[rows] = max(0.0, np.floor(m * (m + 1) / 4.0 - reach))
    for m in np.unique(n[usable]).tolist():
        if m > _EXACT_GROUP:
            continue
        clean = np.flatnonzero(usable & (n == m) & (ties == 0))
        k = np.minimum(w[clean], m * (m + 1) / 2 - w[clean]).round().astype(int)
        result.p[clean] = np.minimum(2.0 * _signed_rank_cumulative(m)[k], 1.0)
        result.exact[clean] = True
        if 2**m <= _EXACT_SPLITS:
            for row in np.flatnonzero(usable & (n == m) & (ties > 0)):
                sums = _sign_sums(tuple(ranks[row, counted[row]]))
                result.p[row] = float(np.mean(np.abs(sums - middle[row]) >= abs(w[row] - middle[row]) - 1e-9))
                result.exact[row] = True
    upper = np.triu_indices(difference.shape[1])
    walsh = (difference[:, upper[0]] + difference[:, upper[1]]) / 2.0
    _middle_and_ends(result, slice(0, len(difference)), walsh, n_pairs * (n_pairs + 1) // 2, critical)
    return result


@cache
def _signed_rank_cumulative(n: int) -> FloatArray:
    """``P(W <= w)`` of the signed-rank statistic without ties, w = 0 ... n (n + 1) / 2."""
    counts = np.zeros(n * (n + 1) // 2 + 1)
    counts[0] = 1.0
    for k in range(1, n + 1):
        counts[k:] = counts[k:] + counts[:-k]
    return np.asarray(np.cumsum(counts) / 2.0**n)


def _sign_sums(ranks: tuple[float, ...]) -> FloatArray:
    sums = np.zeros(1)
    for rank in ranks:
        sums = np.concatenate([sums, sums + rank])
    return sums


# ---------------------------------------------------------------------------------------------- shared parts


def _middle_and_ends(
    result: _Ranked, rows: slice, pairs: FloatArray, n: IntArray, critical: FloatArray
) -> None:
    """Median of the pairwise differences or averages, and the order statistics that bound its interval."""
    ordered = np.sort(pairs, axis=1)  # NaN last
    line = np.arange(len(ordered))
    known = n > 0
    last = np.maximum(n - 1, 0)
    shift = (ordered[line, last // 2] + ordered[line, np.minimum(n // 2, last)]) / 2.0
    k = np.minimum(critical.astype(int), last // 2)
    # A critical value of zero means that no pair of order statistics reaches 95 %: the widest there is.
    low, high = ordered[line, np.maximum(k - 1, 0)], ordered[line, np.maximum(last - np.maximum(k - 1, 0), 0)]
    result.shift[rows] = np.where(known, shift, np.nan)
    result.low[rows] = np.where(known, low, np.nan)
    result.high[rows] = np.where(known, high, np.nan)


def _units(values: FloatArray, design: Design) -> tuple[FloatArray, np.ndarray, IntArray | None]:
    """Means of the independent units, which are of level a, and the codes that tie units of pairs."""
    if design.block is None:
        return values, design.group == 1.0, None
    code = design.block * 2 + (design.group == 1.0)
    distinct, first, of = np.unique(code, return_index=True, return_inverse=True)
    member = np.eye(len(distinct))[of]
    seen = np.isfinite(values)
    count = seen @ member
    total = np.where(seen, values, 0.0) @ member
    merged = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    block = distinct // 2
    twice = np.bincount(block)[block] == 2
    if not twice.any():
        return merged, design.group[first] == 1.0, None
    return merged[:, twice], design.group[first][twice] == 1.0, np.asarray(block[twice], dtype=np.intp)


def _covariate_part(values: FloatArray, design: Design) -> FloatArray:
    """What the covariates contribute to each value, from a fit beside the factor, shape (features, samples)."""
    part = np.zeros_like(values)
    fixed = design.block if design.block_model == "fixed" else None
    for column in range(2, design.matrix.shape[1]):
        contrast = np.zeros(design.matrix.shape[1])
        contrast[column] = 1.0
        slope = fit_linear_model(values, design.matrix, contrast, block=fixed).effect
        part += np.nan_to_num(slope)[:, None] * design.matrix[:, column]
    return part


def _mean(values: FloatArray) -> FloatArray:
    seen = np.isfinite(values)
    n = seen.sum(axis=1)
    total = np.where(seen, values, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0))
