"""Internal reference scaling: puts isobaric-label plexes on one scale, protein by protein.

Channels of one plex are fragmented together, so their ratios are exact; between plexes each protein is sampled at
another point of its elution, and its intensity jumps by a factor of its own. A pooled reference measured in every plex
tells that factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance, derive, obs_column
from nereus.tools.proteomics.normalise import converged_shifts
from nereus.tools.statistics.batch import REFUSE_V, cramers_v, inseparable
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData

_WEAK = 3.0
"""Median log2 by which a reference channel, loaded like the samples, is never below them."""
_LOST = 0.5
"""Share of the values of a plex whose loss is told by name."""
_UNLIKE = 0.2
"""Largest difference between plexes in the share of a factor's level up to which plex means stand for one mixture."""


class ReferenceScalingParams(Params):
    """Parameters of `internal_reference_scaling`."""

    plex: str
    """Column of the sample sheet that says in which plex (TMT set) a sample was measured."""
    method: Literal["auto", "reference", "plex_mean"] = "auto"
    """``reference``: by reference channels; ``plex_mean``: by the mean of all channels of a plex, which holds where every
    plex has the same mixture of samples; ``auto`` takes the reference where one is named."""
    reference_column: str | None = None
    """Column of the sample sheet that marks reference channels."""
    reference_level: str | None = None
    """Level of `reference_column` that a reference channel has."""
    reference_samples: tuple[str, ...] = ()
    """Names of the reference channels, instead of a column."""
    factors: tuple[str, ...] = ()
    """Columns that are to be compared later: ``plex_mean`` is refused when a factor goes with the plexes."""
    level_channels: bool = True
    """First take the loading of each channel within its plex out (equal medians of differences to the plex means)."""
    unmatched: Literal["drop", "keep"] = "drop"
    """Values of a plex that has no reference for the feature: ``drop`` makes them missing, because they cannot be
    compared; ``keep`` leaves them on their own scale."""
    drop_reference: bool = False
    """Leave the reference channels out of the new data set."""


@tool(
    "internal_reference_scaling",
    version="2",
    summary="Put TMT plexes on one scale, protein by protein, by reference channels or by plex means.",
    outputs=("dataset:dataset", "table:factors", "table:plexes"),
)
def internal_reference_scaling(dataset: AnnData, params: ReferenceScalingParams, *, seed: int) -> Result:
    """Scale each feature in each plex so that its reference is the same in all plexes.

    Where the log2 reference of feature g in plex s is ``r_gs`` (the mean over its reference channels, or over all
    channels), every value of g in s is moved by ``mean_s(r_g) - r_gs``. The mean over plexes on the log2 scale is the
    geometric mean of the published method.

    Parameters
    ----------
    dataset
        Log2 abundance, samples (channels) x features.
    params
        See `ReferenceScalingParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        ``dataset``; table ``factors`` (key ``feature | plex``, feature, plex, shift in log2 added, n_reference:
        channels with a value, scaled) in the order of the data set; table ``plexes`` (plex, n_samples, n_reference,
        median_shift, n_unmatched). Values: method, n_plexes, n_scaled (features scaled in all plexes where they
        were seen), n_single (features of one plex only), n_unmatched (values), spread_before and spread_after
        (median over features of the variance share that lies between plexes).

    Raises
    ------
    InputError
        Unknown column or sample; a single plex; a plex without a reference channel; a factor that cannot be separated
        from the plexes under ``plex_mean``.

    Notes
    -----
    Plubell et al. 2017, Mol Cell Proteomics 16:873. Feature-wise scaling takes out everything that is constant within
    a plex: with plex means that includes any real difference between the plexes' samples.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> level = rng.normal(20, 2, 60)
    >>> X = level + np.repeat(rng.normal(0, 1, (2, 60)), 3, axis=0) + rng.normal(0, 0.05, (6, 60))
    >>> obs = pd.DataFrame({"plex": list("pppqqq"), "kind": ["pool", "a", "b"] * 2}, index=list("stuvwx"))
    >>> result = internal_reference_scaling(
    ...     anndata.AnnData(X, obs=obs), plex="plex", reference_column="kind", reference_level="pool"
    ... )
    >>> result.values["method"], result.values["spread_after"] < 0.5 < result.values["spread_before"]
    ('reference', True)
    """
    X = abundance(dataset)
    where = f"plex column {params.plex!r}"
    plex = as_levels(obs_column(dataset, params.plex))
    if plex.isna().any():
        lost = [str(name) for name in dataset.obs_names[plex.isna().to_numpy()]]
        raise InputError(
            f"{len(lost)} samples have no plex: {lost[:3]}",
            where=where,
            mend="fill the column in, or leave these samples out (tool remove_samples)",
        )
    names = sorted(set(plex))
    codes = np.array([names.index(level) for level in plex])
    if len(names) < 2:
        raise InputError(
            f"all samples are of one plex, {names[0]!r}", where=where, mend="there is nothing to scale"
        )
    is_reference = _reference_channels(dataset, params)
    method = params.method
    if method == "auto":
        method = "reference" if is_reference.any() else "plex_mean"
    warnings: list[str] = []
    if method == "reference":
        lacking = [name for i, name in enumerate(names) if not is_reference[codes == i].any()]
        if lacking:
            raise InputError(
                f"plexes {lacking[:3]} have no reference channel",
                where=where,
                mend="name reference_column and reference_level, or reference_samples; or use method=plex_mean",
            )
        stands = is_reference
        silent = [
            name for i, name in enumerate(names) if not np.isfinite(X[is_reference & (codes == i)]).any()
        ]
        if silent:
            raise InputError(
                f"the reference channels of plexes {silent[:3]} hold no value",
                where=where,
                mend="leave these plexes out, name other channels, or use method=plex_mean",
            )
        weak = [
            name for i, name in enumerate(names) if _weakness(X[codes == i], is_reference[codes == i]) > _WEAK
        ]
        if weak:
            warnings.append(
                f"the reference channels of plexes {weak[:3]} are far weaker than their samples: empty channels?"
            )
        if params.drop_reference and is_reference.all():
            raise InputError(
                "every channel is a reference: nothing would be left",
                where=where,
                mend="name the reference channels only",
            )
    else:
        alone = [name for i, name in enumerate(names) if (codes == i).sum() < 2]
        if alone:
            raise InputError(
                f"plexes {alone[:3]} have one channel: their mean would take all differences out",
                where=where,
                mend="check that the column names plexes, not channels or samples",
            )
        warnings += _same_mixture(dataset, plex, params.factors)
        stands = np.ones(len(X), dtype=bool)
    made = X.copy()
    if params.level_channels:
        every = np.arange(X.shape[1])
        for code in range(len(names)):
            rows = codes == code
            shifts = converged_shifts(X[rows], every)
            made[rows] -= np.where(np.isfinite(shifts), shifts, 0.0)[:, None]
    before = between_plexes(made, codes)
    reference, n_reference = _references(made, stands, codes, len(names))
    seen = np.stack([np.isfinite(made[codes == code]).any(axis=0) for code in range(len(names))])
    known = np.isfinite(reference)
    centre = np.divide(
        np.where(known, reference, 0.0).sum(axis=0), known.sum(axis=0),
        out=np.full(X.shape[1], np.nan), where=known.any(axis=0),
    )  # fmt: skip
    shift = centre - reference
    unmatched = seen & ~known
    # A feature of a single plex has nothing to be put on the scale of, and stays as it is.
    alone = seen.sum(axis=0) == 1
    unmatched[:, alone] = False
    n_lost = np.zeros(len(names), dtype=int)
    for code in range(len(names)):
        rows = np.flatnonzero(codes == code)
        made[rows] += np.where(np.isfinite(shift[code]), shift[code], 0.0)
        block = np.ix_(rows, np.flatnonzero(unmatched[code]))
        n_lost[code] = int(np.isfinite(made[block]).sum())
        if params.unmatched == "drop":
            made[block] = np.nan
    after = between_plexes(made, codes)
    features = [str(name) for name in dataset.var_names]
    factors = pd.DataFrame(
        {
            "key": [f"{feature} | {name}" for feature in features for name in names],
            "feature": np.repeat(features, len(names)),
            "plex": names * len(features),
            "shift": np.where(known, shift, np.nan).T.ravel(),
            "n_reference": n_reference.T.ravel(),
            "scaled": known.T.ravel(),
        }
    )
    plexes = pd.DataFrame(
        {
            "plex": names,
            "n_samples": [int((codes == code).sum()) for code in range(len(names))],
            "n_reference": [int((stands & (codes == code)).sum()) for code in range(len(names))],
            "median_shift": [
                float(np.median(row[np.isfinite(row)])) if np.isfinite(row).any() else np.nan for row in shift
            ],
            "n_unmatched": n_lost,
        }
    )
    if n_lost.sum():
        fate = "were made missing" if params.unmatched == "drop" else "stay on the scale of their plex"
        warnings.append(f"{int(n_lost.sum())} values have no reference in their plex: they {fate}")
        n_known = np.array([np.isfinite(X[codes == code]).sum() for code in range(len(names))])
        poor = [name for name, lost, n in zip(names, n_lost, n_known, strict=True) if lost > _LOST * n]
        if poor:
            warnings.append(f"plexes {poor[:3]} have a reference for less than half of their values")
    if alone.any():
        warnings.append(f"{int(alone.sum())} features were seen in one plex only and stay as they are")
    scaled = ~alone & seen.any(axis=0) & ~unmatched.any(axis=0)
    line = f"internal_reference_scaling: {method}, {len(names)} plexes, {int(scaled.sum())} features scaled"
    derived = derive(dataset, line, made)
    if params.drop_reference and method == "reference":
        derived = derived[~is_reference].copy()
    return Result(
        summary=(
            f"{int(scaled.sum())} of {len(features)} features were put on one scale over {len(names)} plexes by "
            f"{'reference channels' if method == 'reference' else 'plex means'}."
        ),
        values={
            "method": method,
            "n_plexes": len(names),
            "n_features": len(features),
            "n_scaled": int(scaled.sum()),
            "n_single": int(alone.sum()),
            "n_unmatched": int(n_lost.sum()),
            "spread_before": finite(before),
            "spread_after": finite(after),
        },
        tables={"factors": factors, "plexes": plexes},
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=len(features),
        n_returned=len(features),
    )


def _weakness(X: np.ndarray, reference: np.ndarray) -> float:
    """Median over the features of the log2 by which the samples of a plex exceed its reference; 0 without both."""
    if reference.all():
        return 0.0
    known = np.isfinite(X)
    count = np.stack([known[reference].sum(axis=0), known[~reference].sum(axis=0)])
    both = (count > 0).all(axis=0)
    if not both.any():
        return 0.0
    filled = np.where(known, X, 0.0)
    means = (
        np.stack([filled[reference].sum(axis=0), filled[~reference].sum(axis=0)])[:, both] / count[:, both]
    )
    return float(np.median(means[1] - means[0]))


def between_plexes(X: np.ndarray, codes: np.ndarray) -> float:
    """Median over the features of the share of their variance that lies between plexes; NaN where none has any."""
    shares = []
    for column in X.T:
        known = np.isfinite(column)
        groups = codes[known]
        if known.sum() < 3 or len(np.unique(groups)) < 2:
            continue
        values = column[known]
        total = float(np.sum((values - values.mean()) ** 2))
        size = np.bincount(groups)
        means = np.bincount(groups, values) / np.maximum(size, 1)
        if total > 0:
            shares.append(float(np.sum(size * (means - values.mean()) ** 2)) / total)
    return float(np.median(shares)) if shares else float("nan")


def _reference_channels(dataset: AnnData, params: ReferenceScalingParams) -> np.ndarray:
    """Which samples are reference channels, shape (n_samples,)."""
    if (params.reference_column is None) != (params.reference_level is None):
        raise InputError(
            "reference_column and reference_level go together",
            mend="name both, or reference_samples, or neither for plex means",
        )
    chosen = np.zeros(dataset.n_obs, dtype=bool)
    if params.reference_column is not None:
        levels = as_levels(obs_column(dataset, params.reference_column))
        chosen = (levels == params.reference_level).to_numpy()
        if not chosen.any():
            raise InputError(
                f"no sample has {params.reference_column} = {params.reference_level!r}",
                where="sample sheet",
                mend=f"levels are {sorted(set(levels.dropna()))[:12]}",
            )
    positions = dataset.obs_names.get_indexer(list(params.reference_samples))
    if (positions < 0).any():
        unknown = [name for name, at in zip(params.reference_samples, positions, strict=True) if at < 0]
        raise InputError(
            f"reference samples {unknown[:3]} are not in the data", mend="give sample names of the data"
        )
    chosen[positions] = True
    return chosen


def _references(
    X: np.ndarray, stands: np.ndarray, codes: np.ndarray, n_plexes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Log2 reference and number of channels behind it, both of shape (n_plexes, n_features)."""
    mean, count = np.full((n_plexes, X.shape[1]), np.nan), np.zeros((n_plexes, X.shape[1]), dtype=np.int64)
    for code in range(n_plexes):
        values = X[stands & (codes == code)]
        known = np.isfinite(values)
        count[code] = known.sum(axis=0)
        sums = np.where(known, values, 0.0).sum(axis=0)
        np.divide(sums, count[code], out=mean[code], where=count[code] > 0)
    return mean, count


def _same_mixture(dataset: AnnData, plex: pd.Series, factors: tuple[str, ...]) -> list[str]:
    """Refuse plex means where a factor goes with the plexes; warn where plexes hold unlike mixtures."""
    notes = []
    for factor in factors:
        levels = as_levels(obs_column(dataset, factor))
        strength = cramers_v(levels, plex)
        if inseparable(levels, plex) or (strength is not None and strength >= REFUSE_V):
            shown = "" if strength is None else f"; Cramér's V = {strength:.2f}"
            raise InputError(
                f"cannot separate {factor!r} from the plexes: plex means would take its differences out{shown}",
                where="method plex_mean",
                mend="name reference channels, or do not compare this factor between plexes",
            )
        shares = pd.crosstab(plex, levels, normalize="index")
        if len(shares) and float(np.ptp(shares.to_numpy(), axis=0).max()) > _UNLIKE:
            notes.append(
                f"plexes hold unlike mixtures of {factor!r}: plex means take part of its differences out; "
                "correct_batch with this factor protected does not"
            )
    if not factors:
        notes.append("plex means assume that every plex holds the same mixture of samples")
    return notes
