"""Quality of the samples and of the whole matrix: checks with a threshold, a verdict and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance, described

if TYPE_CHECKING:
    from anndata import AnnData

# An outlier must also lie this far off, so that a set of near-identical samples has none.
_FEWER_FEATURES = 0.10  # share of the median number of detected features
_LEVEL_OFF = 0.5  # log2
_CORRELATION_OFF = 0.03
_NEAREST = 3
"""A sample is judged by its nearest others: with every group small, most other samples are truly
different."""


class QualityParams(Params):
    """Parameters of `quality_control`."""

    max_missing: float = Field(default=0.5, gt=0, le=1)
    """A sample with a larger share of missing values fails."""
    outlier_mad: float = Field(default=5.0, gt=0)
    """A sample this many scaled median absolute deviations off the others is an outlier."""


def robust_z(values: np.ndarray, floor: float) -> np.ndarray:
    """Deviation from the median in scaled median absolute deviations, which are at least `floor`."""
    if np.isnan(values).all():
        return np.full(values.shape, np.nan)
    centre = np.nanmedian(values)
    spread = max(1.4826 * float(np.nanmedian(np.abs(values - centre))), floor)
    deviation: np.ndarray = (values - centre) / spread
    return deviation


def pairwise_correlation(X: np.ndarray) -> np.ndarray:
    """Pearson correlation of samples over the features that both have: shape (n_samples, n_samples).

    NaN with fewer than 3 common features. Exact for pairwise-complete data, by matrix products.
    """
    seen = ~np.isnan(X)
    centred = np.where(seen, X - np.nanmean(X), 0.0)
    mask = seen.astype(float)
    n = mask @ mask.T
    sums = centred @ mask.T  # sum of i over features common with j
    squares = (centred**2) @ mask.T
    products = centred @ centred.T
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = products - sums * sums.T / n
        variance = squares - sums**2 / n
        correlation: np.ndarray = covariance / np.sqrt(variance * variance.T)
    correlation[(n < 3) | ~np.isfinite(correlation)] = np.nan
    clipped: np.ndarray = np.clip(correlation, -1, 1)
    return clipped


def sample_statistics(X: np.ndarray, names: list[str], outlier_mad: float) -> pd.DataFrame:
    """Detection, level and likeness of each sample, and which samples lie far from the others.

    Three measures, each against the median over the samples in scaled median absolute deviations: number of
    detected features (too few), median abundance over commonly detected features (off in either direction),
    and mean correlation with the 3 most similar samples (too low). Labels are not used.

    Returns
    -------
    pandas.DataFrame
        ``sample, n_detected, missing_rate, median, shift, iqr, correlation, z_detected, z_shift,
        z_correlation, outlier, why``; ``shift`` is the median difference to the features' means.
    """
    seen = ~np.isnan(X)
    detected = seen.sum(axis=1)
    count = seen.sum(axis=0)
    means = np.divide(
        np.where(seen, X, 0).sum(axis=0), count, out=np.full(X.shape[1], np.nan), where=count > 0
    )
    common = count >= 0.7 * X.shape[0] if (count >= 0.7 * X.shape[0]).sum() >= 20 else count > 0
    empty = detected == 0
    quartiles = np.full((3, X.shape[0]), np.nan)
    shift = np.full(X.shape[0], np.nan)
    for row in np.flatnonzero(~empty):
        quartiles[:, row] = np.quantile(X[row, seen[row]], [0.25, 0.5, 0.75])
        difference = (X[row] - means)[common & seen[row]]
        shift[row] = np.median(difference) if difference.size else np.nan
    correlation = pairwise_correlation(X)
    np.fill_diagonal(correlation, np.nan)
    nearest = -np.sort(-np.nan_to_num(correlation, nan=-2.0), axis=1)[
        :, : min(_NEAREST, max(1, X.shape[0] - 1))
    ]
    likeness = np.where(
        (nearest > -2).any(axis=1), np.where(nearest > -2, nearest, np.nan).max(axis=1, initial=-2), np.nan
    )
    usable = (nearest > -2).all(axis=1)
    likeness[usable] = nearest[usable].mean(axis=1)
    z_detected = robust_z(detected.astype(float), max(1.0, 0.02 * float(np.median(detected))))
    z_shift = robust_z(shift, 0.05)
    z_correlation = robust_z(likeness, 0.005)
    few = (z_detected < -outlier_mad) & (detected < (1 - _FEWER_FEATURES) * np.median(detected))
    off = (np.abs(z_shift) > outlier_mad) & (np.abs(shift - pd.Series(shift).median()) > _LEVEL_OFF)
    # Samples of fewer than three features, or of constant ones, have no correlation: none is unlike the others.
    known = likeness[~np.isnan(likeness)]
    usual = np.median(known) if known.size else np.nan
    unlike = (z_correlation < -outlier_mad) & (likeness < usual - _CORRELATION_OFF)
    reasons = [
        "; ".join(
            text
            for text, hit in (
                ("no value", empty[row]),
                ("few features detected", few[row] and not empty[row]),
                ("abundances shifted", off[row]),
                ("unlike every other sample", unlike[row]),
            )
            if hit
        )
        for row in range(X.shape[0])
    ]
    return pd.DataFrame(
        {
            "sample": names,
            "n_detected": detected,
            "missing_rate": 1 - detected / X.shape[1],
            "median": quartiles[1],
            "shift": shift,
            "iqr": quartiles[2] - quartiles[0],
            "correlation": likeness,
            "z_detected": z_detected,
            "z_shift": z_shift,
            "z_correlation": z_correlation,
            "outlier": [bool(reason) for reason in reasons],
            "why": reasons,
        }
    )


def looks_logged(X: np.ndarray) -> tuple[str, str]:
    """Scale of a matrix by its values: (``log2``, ``log ratio`` or ``raw``; why)."""
    low, middle, high = np.nanquantile(X, [0.001, 0.5, 0.999])
    if high > 100:
        return "raw", f"values reach {high:.3g}: no logarithm of an intensity is that large"
    if low < 0 and abs(middle) < 1:
        return "log ratio", f"values lie around {middle:.2g}, some below zero"
    if low < 0 or high - low < 40:
        return "log2", f"values from {low:.3g} to {high:.3g}"
    return "raw", f"values from {low:.3g} to {high:.3g}"


def identical_samples(X: np.ndarray, names: list[str]) -> list[str]:
    """Pairs of samples with the same values throughout."""
    keys: dict[bytes, str] = {}
    pairs = []
    for row, name in enumerate(names):
        key = np.nan_to_num(X[row], nan=-1e300).tobytes()
        if key in keys and not np.isnan(X[row]).all():
            pairs.append(f"{keys[key]} = {name}")
        keys.setdefault(key, name)
    return pairs


@dataclass(frozen=True)
class _Check:
    check: str
    value: float
    threshold: float
    passed: bool
    meaning: str


@tool(
    "quality_control",
    version="1",
    summary="Checks of samples and matrix with thresholds: what passes, what fails and what it means.",
    outputs=("table:samples", "table:checks"),
)
def quality_control(dataset: AnnData, params: QualityParams, *, seed: int) -> Result:
    """Check whether the data can carry an analysis.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `QualityParams`.
    seed
        Unused.

    Returns
    -------
    Result
        ``samples`` (sample, statistics of `sample_statistics`, passed) and ``checks`` (check, value,
        threshold, passed, meaning). A failed check is a finding and no error.

    Raises
    ------
    InputError
        Infinite values or an empty matrix.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> X = np.random.default_rng(0).normal(20, 2, 200) + np.random.default_rng(1).normal(0, 0.2, (8, 200))
    >>> X[7] = np.random.default_rng(2).normal(20, 2, 200)
    >>> result = quality_control(anndata.AnnData(X))
    >>> result.values["outliers"], result.table("checks").query("not passed")["check"].tolist()
    ('7', ['outlier samples'])
    """
    X = abundance(dataset)
    names = list(map(str, dataset.obs_names))
    samples = sample_statistics(X, names, params.outlier_mad)
    sparse = samples["missing_rate"] > params.max_missing
    samples["passed"] = ~(samples["outlier"] | sparse)
    samples.loc[sparse & (samples["why"] == ""), "why"] = f"more than {params.max_missing:.0%} missing"
    outliers = samples.loc[samples["outlier"], "sample"].tolist()
    missing = float(np.isnan(X).mean())
    scale, scale_why = looks_logged(X)
    counts = (~np.isnan(X)).sum(axis=0)
    measured = counts >= 2
    spread = np.full(X.shape[1], np.nan)
    spread[measured] = np.nanstd(X[:, measured], axis=0)
    constant = int((spread[measured] < 1e-12).sum())
    same = identical_samples(X, names)
    shift_sd = float(samples["shift"].std(ddof=0))
    ratio = float(samples["n_detected"].min() / max(samples["n_detected"].max(), 1))
    likeness = float(samples["correlation"].median()) if samples["correlation"].notna().any() else np.nan
    checks = [
        _Check(
            "missing values",
            missing,
            0.8,
            missing <= 0.8,
            "share of all values; above 80 % nothing can be inferred",
        ),
        _Check(
            "samples with many missing values",
            float(sparse.sum()),
            0,
            not sparse.any(),
            f"samples with more than {params.max_missing:.0%} missing; they weigh little or should be left out",
        ),
        _Check(
            "outlier samples",
            float(len(outliers)),
            0,
            not outliers,
            "samples far from all others in detection, level or likeness; results are to be checked without them",
        ),
        _Check("identical samples", float(len(same)), 0, not same, "copies of one sample are no replicates"),
        _Check(
            "log scale",
            float(scale == "raw"),
            0,
            scale != "raw",
            f"tests assume log2 abundances; {scale_why}",
        ),
        _Check(
            "constant features",
            float(constant),
            0.01 * X.shape[1],
            constant <= 0.01 * X.shape[1],
            "features that never vary carry nothing",
        ),
        _Check(
            "spread of sample levels",
            shift_sd,
            0.5,
            shift_sd <= 0.5,
            "standard deviation of the samples' shifts in log2; a large one calls for normalisation",
        ),
        _Check(
            "evenness of detection",
            ratio,
            0.5,
            ratio >= 0.5,
            "fewest over most detected features of a sample; low values mean failed runs",
        ),
        _Check(
            "likeness of replicates",
            likeness,
            0.8,
            not likeness < 0.8,
            "median correlation of a sample with its 3 most similar; low values mean noise or mixed material",
        ),
    ]
    table = pd.DataFrame([check.__dict__ for check in checks])
    failed = table.loc[~table["passed"], "check"].tolist()
    return Result(
        summary=(
            f"{len(checks) - len(failed)} of {len(checks)} checks passed"
            + (f"; failed: {', '.join(failed)}." if failed else ".")
        ),
        values={
            "n_checks": len(checks),
            "n_failed": len(failed),
            "failed": ";".join(failed),
            "n_outliers": len(outliers),
            "outliers": ";".join(outliers),
            "n_samples_failed": int((~samples["passed"]).sum()),
            "missing_rate": finite(missing),
            "scale": scale,
            "sd_of_shifts": finite(shift_sd),
            "median_correlation": finite(likeness),
            "software": str(described(dataset).get("software", "unknown")),
        },
        tables={"samples": samples, "checks": table},
        warnings=tuple(f"samples {pair} are identical" for pair in same[:5]),
    )
