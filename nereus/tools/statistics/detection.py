"""Detection: features that are present in one group and absent from the other.

Missing values are the data here; imputed values count as missing. Two tests, chosen by the design alone and
never by the result:

* Where labels can be split in many ways, detections are counted per independent unit and tested exactly given
  their total: Fisher's test, stratified by the covariates (conditional on the total in each stratum),
  or the sign test on pairs.
* With few replicates no exact test can be significant (three against three: p = 0.1 at best). There, the
  dropout curve of the table lends strength (`absence.py`): how often a feature of that abundance, seen in
  every sample of one group, is missed in the other by chance, as all features together show.

Discrete tests have few attainable p-values, so q-values use them (Heyse 2011, discrete Benjamini-Hochberg).
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from anndata import AnnData
from pydantic import Field
from scipy import special

from nereus.memory.records import Contrast
from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.absence import AbsenceTest, absence_test, discrete_benjamini_hochberg
from nereus.tools.statistics.batch import corrected_notes
from nereus.tools.statistics.design import Design, build_design
from nereus.tools.statistics.levels import as_levels
from nereus.tools.statistics.linear_model import FloatArray, IntArray
from nereus.tools.statistics.model_options import FindingLevel
from nereus.tools.statistics.result_table import Estimates, feature_values, result_table

BoolArray = npt.NDArray[np.bool_]

MIN_SPLITS = 1000
"""Distinct label splits from which an exact test can reach p = 0.001: seven against seven, ten pairs."""
_MOST_LEVELS = 10
"""Values from which on a numeric covariate is a quantity: a stratum a value would hold a unit or two, and tell nothing."""
_QUANTITY_STRATA = 5
"""Strata by the quantiles of a quantity: five take out nine tenths of what it biases (Cochran 1968, Biometrics 24:295)."""
_UNITS_A_STRATUM = 8
"""Units that a stratum of a quantity holds at least; fewer units, fewer strata."""
_NORMAL_975 = 1.959963984540054


class DetectionParams(FindingLevel):
    """Parameters of `detection_test`."""

    contrast: Contrast
    """Levels a and b of a factor; effects are detection rate in a minus detection rate in b."""
    min_difference: float = Field(default=2 / 3, gt=0.0, le=1.0)
    """Least absolute difference of detection rates; features below it get p = 1."""
    method: Literal["auto", "exact", "dropout"] = "auto"
    """``exact`` counts only, ``dropout`` borrows strength from all features, ``auto`` goes by group sizes."""


@tool(
    "detection_test",
    version="4",
    summary="Which features are present in one group and absent from the other; never uses imputed values.",
    outputs=("table:detection",),
    seconds=0.5,
)
def detection_test(dataset: AnnData, params: DetectionParams, *, seed: int) -> Result:
    """Test every feature for presence in one group against absence from the other.

    Parameters
    ----------
    dataset
        log2 abundances, NaN where not detected; values marked in the layer ``imputed`` count as not detected.
    params
        See `DetectionParams`. Covariates of the contrast become strata of the exact test, quantities by
        their quantiles. Blocks within one level (repeated samples of a subject) are one unit each, detected
        when seen in at least half of their samples; blocks across both levels are pairs.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``detection``: the columns of every test table (effect = detection rate in a minus rate in b, 95
        % Newcombe interval, n_a and n_b = units in which the feature was detected, p, q), then ``rate_a``,
        ``rate_b``, ``all_or_none`` (``a``: in every unit of a and none of b; ``b`` likewise) and
        ``present_level`` (mean log2 abundance in the group that has more of it). Values: n_tested,
        n_significant, n_only_a, n_only_b, method, smallest_exact_p, dropout_slope, dropout_half_level ...

    Raises
    ------
    InputError
        As `build_design`.

    Notes
    -----
    A p-value of one is given to a feature below `min_difference`, whatever its counts: valid, since that only
    makes p-values larger. Features detected in all or in no units cannot be tested exactly. The dropout test
    looks at features that are seen in every unit of one group. Intervals: Newcombe 1998, Stat Med 17:873,
    method 10.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(22, 1.5, size=(1, 400)) + rng.normal(0, 0.3, size=(6, 400))
    >>> X[rng.random(X.shape) < 1 / (1 + np.exp(2 * (X - 19)))] = np.nan
    >>> X[:3, 7], X[3:, 7] = 25.0, np.nan
    >>> obs = pd.DataFrame({"group": list("aaabbb")}, index=[f"s{i}" for i in range(6)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(400)]))
    >>> result = detection_test(data, contrast={"factor": "group", "a": "a", "b": "b"})
    >>> result.values["method"], result.table().set_index("feature").loc["P7", "q"] < 0.05
    ('dropout', np.True_)
    """
    contrast = params.contrast
    design = build_design(dataset.obs, contrast)
    values = feature_values(dataset, design)
    if "imputed" in dataset.layers:
        filled = np.asarray(dataset.layers["imputed"], dtype=np.float64)[design.samples].T > 0
        values = np.where(filled, np.nan, values)
    units = _units(values, design)
    strata, warnings = _strata(dataset, contrast, design, units)
    warnings = [*design.warnings, *warnings, *corrected_notes(dataset)]
    exact_possible = design.n_splits >= MIN_SPLITS
    method = params.method
    if method == "auto":
        method = "exact" if exact_possible else "dropout"
    absence: AbsenceTest | None = None
    if method == "dropout":
        absence = absence_test(units.values, units.in_a, units.in_b, min_difference=params.min_difference)
        if len(np.unique(strata)) > 1 or units.pair is not None:
            warnings.append("the dropout test takes no account of covariates or pairs")
    rate_a, rate_b = units.rates()
    n_a, n_b = int(units.in_a.sum()), int(units.in_b.sum())
    seen = np.isfinite(units.values)
    count_a, count_b = seen[:, units.in_a].sum(axis=1), seen[:, units.in_b].sum(axis=1)
    if method == "dropout":
        p, q = (absence.p, absence.q) if absence is not None else (np.full(len(values), np.nan),) * 2
    else:
        p, attainable = (
            exact_pairs(units, params.min_difference)
            if units.pair is not None
            else exact_detection(seen, units.in_a, strata, params.min_difference)
        )
        q = np.full(len(p), np.nan)
        tested = np.isfinite(p)
        if tested.any():
            q[tested] = discrete_benjamini_hochberg(p[tested], attainable[tested])
    effect = rate_a - rate_b
    low, high = newcombe_interval(count_a, n_a, count_b, n_b)
    # Agresti-Caffo: one success and one failure added to each group, so that all against none has an error,
    # too.
    smooth_a, smooth_b = (count_a + 1) / (n_a + 2), (count_b + 1) / (n_b + 2)
    se = np.sqrt(smooth_a * (1 - smooth_a) / (n_a + 2) + smooth_b * (1 - smooth_b) / (n_b + 2))
    nothing = np.full(len(values), np.nan)
    estimates = Estimates(effect, se, low, high, effect / se, nothing, p, q)
    mean_a, mean_b = _means(units.values, units.in_a), _means(units.values, units.in_b)
    only_a, only_b = (count_a == n_a) & (count_b == 0), (count_b == n_b) & (count_a == 0)
    table = result_table(
        dataset,
        estimates,
        count_a,
        count_b,
        _means(units.values, units.in_a | units.in_b),
        {
            "rate_a": rate_a,
            "rate_b": rate_b,
            "all_or_none": np.select([only_a, only_b], ["a", "b"], ""),
            "present_level": np.where(effect >= 0, mean_a, mean_b),
        },
    )
    found = (q <= params.level) & (np.abs(effect) >= params.min_difference - 1e-9)
    tested = np.isfinite(p)
    if not tested.any():
        missing = "no value is missing" if seen.all() else "no feature can be tested by this method"
        warnings.append(f"nothing was tested: {missing}")
    elif method == "exact" and not exact_possible:
        warnings.append(
            f"{n_a} against {n_b} units cannot give an exact p-value below {2 / design.n_splits:.2g}"
        )
    up, down = int((found & (effect > 0)).sum()), int((found & (effect < 0)).sum())
    curve = absence.curve if absence is not None else None
    return Result(
        summary=(
            f"{contrast.label}: {up + down} of {int(tested.sum())} tested features are detected in one "
            f"group rather "
            f"than the other at q <= {params.level:g} ({up} present in {contrast.a}, {down} present in "
            f"{contrast.b}); "
            f"{int(only_a.sum())} and {int(only_b.sum())} are in every unit of one group and in none of "
            f"the other."
        ),
        values={
            "n_features": len(values),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_only_a": int(only_a.sum()),
            "n_only_b": int(only_b.sum()),
            "n_units_a": n_a,
            "n_units_b": n_b,
            "n_dropped_samples": design.n_dropped,
            "method": method,
            "paired": units.pair is not None,
            "n_strata": len(np.unique(strata)),
            "min_difference": params.min_difference,
            "level": params.level,
            "smallest_exact_p": finite(min(1.0, 2.0 / design.n_splits)),
            "dropout_slope": finite(curve.slope) if curve else None,
            "dropout_half_level": finite(curve.half_detection()) if curve else None,
            "dropout_overdispersion": finite(curve.overdispersion) if curve else None,
        },
        tables={"detection": table},
        warnings=tuple(warnings),
        n_total=len(values),
        n_returned=len(values),
    )


# ------------------------------------------------------------------------------------------- independent
# units


class _Units:
    """Independent units of a detection test: samples, or subjects with several samples, or pairs of them.

    `values` holds the mean abundance of each unit, NaN where it counts as not detected, shape (features,
    units); `pair` holds integer codes that tie units of both levels, or None; `first` the position in the
    design of each unit's first sample.
    """

    def __init__(self, values: FloatArray, group: FloatArray, pair: IntArray | None, first: IntArray) -> None:
        self.values = values
        self.in_a: BoolArray = group == 1.0
        self.in_b: BoolArray = group == 0.0
        self.pair = pair
        self.first = first

    def rates(self) -> tuple[FloatArray, FloatArray]:
        """Give the detection rates of the two levels, shape (features,)."""
        seen = np.isfinite(self.values)
        return seen[:, self.in_a].mean(axis=1), seen[:, self.in_b].mean(axis=1)


def _units(values: FloatArray, design: Design) -> _Units:
    everyone = np.arange(len(design.group), dtype=np.intp)
    if design.block is None:
        return _Units(values, design.group, None, everyone)
    # One unit for each block and level.
    code = design.block * 2 + (design.group == 1.0)
    distinct, first, of = np.unique(code, return_index=True, return_inverse=True)
    member = np.eye(len(distinct))[of]
    seen = np.isfinite(values)
    count = seen @ member
    total = np.where(seen, values, 0.0) @ member
    with np.errstate(invalid="ignore", divide="ignore"):
        merged = np.where(count >= member.sum(axis=0) / 2.0, total / count, np.nan)
    block = distinct // 2
    twice = np.bincount(block)[block] == 2
    group = design.group[first]
    if not twice.any():
        return _Units(merged, group, None, first)
    # Pairs carry the comparison within subjects; unpaired subjects would mix it with one between subjects.
    return _Units(merged[:, twice], group[twice], np.asarray(block[twice], dtype=np.intp), first[twice])


def _strata(
    dataset: AnnData, contrast: Contrast, design: Design, units: _Units
) -> tuple[IntArray, list[str]]:
    """Strata of the units: the joint levels of the covariates, quantities by quantiles; what could not be used."""
    texts, notes = [], []
    for covariate in dict.fromkeys(contrast.covariates):
        column = dataset.obs[covariate].iloc[design.samples].iloc[units.first]
        if column.dtype.kind not in "fiu" or column.nunique() <= max(2, min(_MOST_LEVELS, len(column) // 4)):
            texts.append(as_levels(column).astype(str))
            continue
        bins = min(_QUANTITY_STRATA, len(column) // _UNITS_A_STRATUM)
        if bins < 2:
            notes.append(f"too few units: the detection test takes no account of the quantity {covariate!r}")
            continue
        limits = np.quantile(column.to_numpy(dtype=np.float64), np.arange(1, bins) / bins)
        texts.append(np.searchsorted(limits, column.to_numpy(dtype=np.float64), side="left").astype(str))
    if not texts:
        return np.zeros(len(units.first), dtype=np.intp), notes
    joint = ["\x1f".join(parts) for parts in zip(*texts, strict=True)]
    return np.asarray(np.unique(joint, return_inverse=True)[1], dtype=np.intp), notes


def _means(values: FloatArray, chosen: BoolArray) -> FloatArray:
    here = values[:, chosen]
    seen = np.isfinite(here)
    n = seen.sum(axis=1)
    total = np.where(seen, here, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0))


# ------------------------------------------------------------------------------------------------ exact tests


def exact_detection(
    seen: BoolArray, in_a: BoolArray, strata: IntArray | None = None, min_difference: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Fisher's exact test of detection against group, conditional on the detections in each stratum.

    Parameters
    ----------
    seen
        Whether the feature was detected, shape (features, units).
    in_a
        Units of level a, shape (units,); the others are level b.
    strata
        Integer codes, shape (units,); None for one stratum.
    min_difference
        Outcomes with a smaller difference of rates get p = 1.

    Returns
    -------
    p : ndarray
        Two-sided p-values: the probability of all outcomes no more likely than the one seen. NaN where only
        one outcome is possible.
    attainable : ndarray
        All p-values each feature could have had, ascending, padded with ``inf``, shape (features, outcomes).
    """
    strata = np.zeros(len(in_a), dtype=np.intp) if strata is None else strata
    codes = np.unique(strata)
    member = np.stack([strata == code for code in codes], axis=1).astype(np.float64)
    size, size_a = member.sum(axis=0).astype(int), member[in_a].sum(axis=0).astype(int)
    totals = (seen.astype(np.float64) @ member).astype(int)  # (features, strata)
    in_group = seen[:, in_a].sum(axis=1)
    margins, of = np.unique(totals, axis=0, return_inverse=True)
    of = np.asarray(of).ravel()
    n_a, n_b = int(in_a.sum()), int((~in_a).sum())
    p = np.full(len(seen), np.nan)
    attainable = np.full((len(seen), n_a + 1), np.inf)
    by_margin = np.argsort(of, kind="stable")
    ends = np.searchsorted(of[by_margin], np.arange(len(margins) + 1))
    shapes = list(zip(size.tolist(), size_a.tolist(), strict=True))
    for index, margin in enumerate(margins.tolist()):
        # Strata of one shape and count are alike, and one with a single outcome only shifts the count.
        least, parts = 0, Counter[tuple[int, int, int]]()
        for k, (n, a) in zip(margin, shapes, strict=True):
            low, high = max(0, k - (n - a)), min(k, a)
            least += low
            if high > low:
                parts[k, n, a] += 1
        if not parts:
            continue
        tail = _tails(tuple(sorted(parts.items())))
        counts = least + np.arange(len(tail))
        difference = counts / n_a - (sum(margin) - counts) / n_b
        tail = np.where(np.abs(difference) >= min_difference - 1e-9, tail, 1.0)
        rows = by_margin[ends[index] : ends[index + 1]]
        p[rows] = tail[in_group[rows] - least]
        possible = np.unique(tail[tail < 1.0])
        attainable[rows, : len(possible)] = possible
    return p, attainable


@lru_cache(maxsize=20_000)
def _tails(parts: tuple[tuple[tuple[int, int, int], int], ...]) -> FloatArray:
    """Two-sided p of each possible count in group a, from the least on; read-only.

    `parts` holds each distinct stratum, as detections, units and units in a, with the number of such strata.
    """
    mass = np.ones(1)
    for stratum, times in parts:
        for _ in range(times):
            mass = np.convolve(mass, _stratum_mass(*stratum))
    ordered = np.sort(mass)
    sums = np.cumsum(ordered)
    tail = np.minimum(sums[np.searchsorted(ordered, mass * (1 + 1e-7), side="right") - 1], 1.0)
    tail.flags.writeable = False
    return np.asarray(tail)


@lru_cache(maxsize=20_000)
def _stratum_mass(k: int, n: int, a: int) -> FloatArray:
    """Probabilities of the counts in group a of a stratum with k detections in n units, a of them in group a."""
    t = np.arange(max(0, k - (n - a)), min(k, a) + 1)
    return np.asarray(np.exp(_log_choose(a, t) + _log_choose(n - a, k - t) - _log_choose(n, k)))


def exact_pairs(units: _Units, min_difference: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Exact sign test on pairs in which the feature was detected on one side only (McNemar).

    Returns p-values and attainable p-values as `exact_detection`.
    """
    if units.pair is None:
        raise ValueError("units are not paired")
    seen = np.isfinite(units.values)
    order_a = np.flatnonzero(units.in_a)[np.argsort(units.pair[units.in_a], kind="stable")]
    order_b = np.flatnonzero(units.in_b)[np.argsort(units.pair[units.in_b], kind="stable")]
    gained = (seen[:, order_a] & ~seen[:, order_b]).sum(axis=1)
    lost = (~seen[:, order_a] & seen[:, order_b]).sum(axis=1)
    n_pairs, discordant = len(order_a), gained + lost
    p = np.full(len(seen), np.nan)
    attainable = np.full((len(seen), n_pairs + 2), np.inf)
    for m in np.unique(discordant[discordant > 0]):
        t = np.arange(m + 1)
        tail = np.minimum(2.0 * special.bdtr(np.minimum(t, m - t), int(m), 0.5), 1.0)
        tail = np.where(np.abs(2 * t - m) / n_pairs >= min_difference - 1e-9, tail, 1.0)
        rows = np.flatnonzero(discordant == m)
        p[rows] = tail[gained[rows]]
        possible = np.unique(tail[tail < 1.0])
        attainable[rows, : len(possible)] = possible
    return p, attainable


def _log_choose(n: npt.ArrayLike, k: npt.ArrayLike) -> FloatArray:
    n, k = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))


def newcombe_interval(
    count_a: IntArray, n_a: int, count_b: IntArray, n_b: int
) -> tuple[FloatArray, FloatArray]:
    """95 % interval of a difference of two rates, from the Wilson intervals of each (Newcombe 1998)."""

    def wilson(count: IntArray, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        rate = count / n
        z2 = _NORMAL_975**2
        middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
        reach = _NORMAL_975 * np.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return rate, np.maximum(middle - reach, 0.0), np.minimum(middle + reach, 1.0)

    a, low_a, high_a = wilson(count_a, n_a)
    b, low_b, high_b = wilson(count_b, n_b)
    difference = a - b
    return (
        difference - np.sqrt((a - low_a) ** 2 + (high_b - b) ** 2),
        difference + np.sqrt((high_a - a) ** 2 + (b - low_b) ** 2),
    )
