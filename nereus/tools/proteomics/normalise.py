"""Normalisation: a shift a sample, a curve, equal quantiles, or stabilised variances. Blind to the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.cyclic_loess import cyclic_loess
from nereus.tools.proteomics.matrix import abundance, derive
from nereus.tools.proteomics.vsn import stabilise_variance

if TYPE_CHECKING:
    from anndata import AnnData

_MIN_REFERENCE = 10
"""Fewer reference features than this give no trustworthy shift."""
_MIN_VSN = 50
"""Features that an offset and a scale for each sample are fitted on at least."""

_MOST_RANGE = 200.0
"""log2 units that no measurement spans; raw intensities do."""


class NormaliseParams(Params):
    """Parameters of `normalise`."""

    method: Literal["none", "median", "quantile", "stable_subset", "vsn", "cyclic_loess"] = "median"
    """``none`` leaves the matrix as it is; the others are described in `normalise`."""
    reference_features: tuple[str, ...] = ()
    """Features that are known to be constant: shifts, curves and scales are estimated on them alone (all methods but
    ``quantile``)."""
    stable_share: float = Field(default=0.5, gt=0.05, le=1.0)
    """``stable_subset``: share of the well-detected features that is kept as reference, those of smallest
    spread."""
    max_iterations: int = Field(default=50, ge=1, le=1000)
    """``stable_subset``: upper limit of re-estimations."""
    span: float = Field(default=0.7, gt=0.05, le=1.0)
    """``cyclic_loess``: share of the features in each neighbourhood of the curve."""


def median_shifts(X: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Shift of each sample: median over the reference features of its difference to the feature's mean.

    Differences to the feature's own mean are used, not raw values, so that a sample with more missing values
    is not shifted by *which* features it lacks. Shape (n_samples,), mean 0, NaN where a sample has no
    reference feature.
    """
    # A feature seen once has no difference to its own mean.
    chosen = X[:, reference[(~np.isnan(X[:, reference])).sum(axis=0) >= 2]]
    if chosen.shape[1] == 0:
        return np.full(X.shape[0], np.nan)
    means = np.nanmean(chosen, axis=0)
    differences = chosen - means
    shifts = np.full(X.shape[0], np.nan)
    usable = (~np.isnan(chosen)).any(axis=1)
    shifts[usable] = np.nanmedian(differences[usable], axis=1)
    centred: np.ndarray = shifts - np.nanmean(shifts)
    return centred


def converged_shifts(X: np.ndarray, reference: np.ndarray, rounds: int = 20) -> np.ndarray:
    """Repeat `median_shifts` until nothing moves (missing values couple means and shifts)."""
    total = np.zeros(X.shape[0])
    for _ in range(rounds):
        step = median_shifts(X - total[:, None], reference)
        total = total + step
        if np.isnan(step).any():
            break
        if not np.nanmax(np.abs(step)) > 1e-6:
            break
    return total


def robust_spread(residual: np.ndarray) -> np.ndarray:
    """Scaled median absolute deviation of each column, ignoring missing values; NaN for an empty column."""
    spread = np.full(residual.shape[1], np.nan)
    seen = (~np.isnan(residual)).any(axis=0)
    centre = np.nanmedian(residual[:, seen], axis=0)
    spread[seen] = 1.4826 * np.nanmedian(np.abs(residual[:, seen] - centre), axis=0)
    return spread


def stable_subset_shifts(
    X: np.ndarray, share: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Shifts on the features that vary least once the shifts are taken out.

    Starting from the shifts of all well-detected features, the ``share`` of features with the smallest
    standard deviation over the samples is chosen within each of 10 intensity bins (so that the reference does
    not drift to abundant features, which vary least), the shifts are estimated on these alone, and so on
    until the chosen set no longer changes. A group of features that truly changes, even by much and in one
    direction, has a large spread over the samples and leaves the reference set. No label is used, so that a
    test afterwards stays honest.

    Returns
    -------
    tuple
        Shifts, shape (n_samples,); indices of the reference features; number of iterations.
    """
    present = (~np.isnan(X)).mean(axis=0)
    pool = np.array([], dtype=int)
    for limit in (1.0, 0.8, 0.5, 0.0):
        pool = np.flatnonzero((present >= limit) & (present * X.shape[0] >= 2))
        if pool.size >= max(100, 0.3 * X.shape[1]):
            break
    if pool.size < _MIN_REFERENCE:
        return converged_shifts(X, pool), pool, 0
    level = np.nanmean(X[:, pool], axis=0)
    bins = (
        np.argsort(np.argsort(level, kind="stable"), kind="stable")
        * min(10, max(1, pool.size // 20))
        // pool.size
    )
    chosen = pool
    shifts = converged_shifts(X, chosen)
    iterations = 0
    while iterations < max_iterations:
        iterations += 1
        spread = np.nanstd(X[:, pool] - shifts[:, None], axis=0)
        keep = np.zeros(pool.size, dtype=bool)
        for label in np.unique(bins):
            members = np.flatnonzero(bins == label)
            order = members[np.argsort(spread[members], kind="stable")]
            keep[order[: max(1, round(share * members.size))]] = True
        candidate = pool[keep]
        if np.array_equal(candidate, chosen):
            break
        chosen = candidate
        shifts = converged_shifts(X, chosen)
    return shifts, chosen, iterations


def equal_quantiles(X: np.ndarray) -> np.ndarray:
    """Give every sample the same distribution: the mean over the samples of their quantile functions.

    Missing values stay missing; samples with fewer values are interpolated on the same quantile grid. Source:
    Bolstad et al. 2003, Bioinformatics 19:185.
    """
    grid = np.linspace(0, 1, X.shape[1])
    known_values = [np.sort(row[~np.isnan(row)]) for row in X]
    reference = np.mean([np.interp(grid, np.linspace(0, 1, row.size), row) for row in known_values], axis=0)
    made = np.full_like(X, np.nan)
    for row in range(X.shape[0]):
        known = ~np.isnan(X[row])
        ranks = pd.Series(X[row, known]).rank(method="average").to_numpy()
        made[row, known] = np.interp((ranks - 1) / max(known.sum() - 1, 1), grid, reference)
    return made


@tool(
    "normalise",
    version="2",
    summary="Take differences between samples out that are the same for all proteins (loading, injection).",
    outputs=("dataset:dataset", "table:factors"),
)
def normalise(dataset: AnnData, params: NormaliseParams, *, seed: int) -> Result:
    """Normalise log2 abundances between samples.

    - ``median``: the shift of a sample is the median over the features of its difference to the feature's
      mean.
    - ``stable_subset``: the same on the features that vary least over all samples (`stable_subset_shifts`);
      robust to a composition shift, such as a spiked-in mixture or a few very abundant proteins that change.
    - ``quantile``: all samples get one distribution; assumes that few proteins change, or as many up as down.
    - ``cyclic_loess``: each sample is bent onto the mean of all by a smooth curve over abundance; for differences
      that depend on abundance (saturation, background). Same assumption as ``quantile``, without forcing equal
      distributions.
    - ``vsn``: variance stabilisation, a generalised logarithm with an offset and a scale for each sample
      (`stabilise_variance`; Huber et al. 2002). Strong signals stay log2 intensities; weak ones are drawn together
      until their variance is that of the strong ones, so effects of weak features shrink.
    - ``none``: nothing changes.

    No label is used, missing values stay missing, and layers keep their values.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `NormaliseParams`.
    seed
        Unused.

    Returns
    -------
    Result
        ``dataset`` with the new matrix; table ``factors`` (sample, shift in log2 subtracted, or its median where it
        depends on abundance, n_reference: reference features detected in the sample, median_before, median_after,
        and the offset and scale of ``vsn`` in raw intensity, NaN with other methods).

    Raises
    ------
    InputError
        A reference feature is not in the data, or a sample has no value.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> X = np.random.default_rng(0).normal(20, 1, (4, 50)); X[0] += 2
    >>> result = normalise(anndata.AnnData(X), method="median")
    >>> bool(result.table("factors")["shift"][0] > 1)
    True
    """
    X = abundance(dataset)
    empty = np.flatnonzero(np.isnan(X).all(axis=1))
    if empty.size:
        raise InputError(
            f"{empty.size} samples have no value: {[str(dataset.obs_names[i]) for i in empty[:3]]}",
            mend="leave them out (tool remove_samples)",
        )
    if params.reference_features and params.method in ("none", "quantile"):
        raise InputError(
            f"reference_features do not go with method {params.method!r}", mend="use method=median"
        )
    positions = dataset.var_names.get_indexer(list(params.reference_features))
    if (positions < 0).any():
        unknown = [name for name, at in zip(params.reference_features, positions, strict=True) if at < 0]
        raise InputError(
            f"reference features {unknown[:3]} are not in the data", mend="give feature ids of the data set"
        )
    reference = positions if positions.size else np.arange(X.shape[1])
    shifts, iterations = np.zeros(X.shape[0]), 0
    offset = scale = np.full(X.shape[0], np.nan)
    settled = True
    made = X
    if params.method == "quantile":
        made = equal_quantiles(X)
        shifts = np.nanmedian(X - made, axis=1)
    elif params.method == "cyclic_loess":
        made = cyclic_loess(X, reference if positions.size else None, span=params.span)
        shifts = np.nanmedian(X - made, axis=1)
    elif params.method == "vsn":
        if not positions.size and X.shape[1] < _MIN_VSN:
            raise InputError(
                f"{X.shape[1]} features cannot fit an offset and a scale for each sample",
                mend=f"vsn needs {_MIN_VSN} or more; use method=median",
            )
        if X.shape[0] < 2:
            raise InputError("one sample has no variance between samples", mend="vsn needs two or more")
        if np.nanmax(X) - np.nanmin(X) > _MOST_RANGE:
            raise InputError(
                f"values span {np.nanmax(X) - np.nanmin(X):.4g} log2",
                mend="are these raw intensities? take log2 first",
            )
        fit = stabilise_variance(X, positions if positions.size else None)
        made, offset, scale, reference = fit.values, fit.offset, fit.scale, fit.fitted
        iterations, settled = fit.rounds, fit.converged
        shifts = np.nanmedian(X - made, axis=1)
    elif params.method == "stable_subset" and not positions.size:
        shifts, reference, iterations = stable_subset_shifts(X, params.stable_share, params.max_iterations)
    elif params.method != "none":
        shifts = converged_shifts(X, reference)
    if np.isnan(shifts).any():
        lost = [str(dataset.obs_names[i]) for i in np.flatnonzero(np.isnan(shifts))]
        raise InputError(
            f"no reference feature is detected in samples {lost[:3]}", mend="choose other reference features"
        )
    if params.method in ("median", "stable_subset"):
        made = X - shifts[:, None]
    factors = pd.DataFrame(
        {
            "sample": list(map(str, dataset.obs_names)),
            "shift": shifts,
            "n_reference": (~np.isnan(X[:, reference])).sum(axis=1),
            "median_before": np.nanmedian(X, axis=1),
            "median_after": np.nanmedian(made, axis=1),
            "offset": offset,
            "scale": scale,
        }
    )
    largest = float(np.max(np.abs(shifts)))
    line = (
        f"normalise: {params.method}, {reference.size} reference features, largest shift {largest:.3f} log2"
    )
    warnings = []
    rates = np.isnan(X).mean(axis=1)
    if params.method == "quantile" and np.ptp(rates) > 0.05:
        warnings.append(
            f"samples miss {rates.min():.0%} to {rates.max():.0%} of their values: where low values are missing, "
            "quantile normalisation takes this for a shift; prefer median or stable_subset"
        )
    if params.method not in ("none", "quantile") and reference.size < _MIN_REFERENCE:
        warnings.append(f"only {reference.size} reference features: the shifts are uncertain")
    if not settled:
        warnings.append("the offsets and scales of vsn did not converge: prefer median or stable_subset")
    return Result(
        summary=f"Normalised by {params.method}: largest shift {largest:.2f} log2 over {X.shape[0]} samples.",
        values={
            "method": params.method,
            "n_reference": int(reference.size),
            "n_features": int(X.shape[1]),
            "iterations": iterations,
            "largest_shift": finite(largest),
            "sd_of_medians_before": finite(np.std(factors["median_before"])),
            "sd_of_medians_after": finite(np.std(factors["median_after"])),
            "spread_before": finite(np.nanmedian(robust_spread(X))),
            "spread_after": finite(np.nanmedian(robust_spread(made))),
        },
        tables={"factors": factors},
        datasets={"dataset": derive(dataset, line, made)},
        warnings=tuple(warnings),
    )
