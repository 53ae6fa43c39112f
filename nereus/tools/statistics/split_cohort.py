"""One cohort as two: subjects for discovery, and subjects kept back to confirm what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import derive
from nereus.tools.statistics.contrast_test import sample_names
from nereus.tools.statistics.design import require_columns
from nereus.tools.statistics.levels import as_levels, as_numbers

if TYPE_CHECKING:
    from anndata import AnnData

_LEAST = 2
_MANY_VALUES = 6
_PARTS = 5


class SplitParams(Params):
    """Parameters of `split_cohort`."""

    by: tuple[str, ...]
    """Columns whose levels are to be equally frequent in both parts: the factor first, then what confounds (site).
    A number enters by its fifths."""
    subject: str | None = None
    """Column of the independent unit: all samples of a subject go to one part. None: every sample is one."""
    share: float = Field(default=0.6, gt=0.2, lt=0.8)
    """Share of the subjects for discovery."""


@tool(
    "split_cohort",
    version="1",
    summary="Split a cohort by subject, stratified, into a part for discovery and a part to confirm.",
    outputs=("dataset:discovery", "dataset:confirmation", "table:split"),
    seconds=0.5,
)
def split_cohort(dataset: AnnData, params: SplitParams, *, seed: int) -> Result:
    """Divide subjects at random within strata.

    Within each stratum the share is kept as closely as whole subjects allow; what does not divide evenly is
    settled over the strata together, so that the overall share holds. Subjects without a value in a column
    make a stratum of their own.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `SplitParams`.
    seed
        Of the split.

    Returns
    -------
    Result
        Data sets ``discovery`` and ``confirmation``; table ``split`` (sample, subject, stratum, part). Values:
        n_discovery, n_confirmation (subjects), share, n_strata, smallest_discovery, smallest_confirmation
        (subjects of the rarest level of the first column).

    Raises
    ------
    InputError
        An unknown column, or a level of the first column with too few subjects for two in each part.

    Notes
    -----
    A split tells whether findings hold in other subjects of the same cohort; what the whole cohort shares (a
    site, a batch, a protocol) it cannot tell. Only a second cohort can.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> obs = pd.DataFrame({"group": ["a"] * 10 + ["b"] * 10}, index=[f"s{i}" for i in range(20)])
    >>> result = split_cohort(anndata.AnnData(np.ones((20, 3)), obs=obs), by=("group",))
    >>> result.dataset("discovery").obs["group"].value_counts().to_dict()
    {'a': 6, 'b': 6}
    """
    if not params.by:
        raise InputError("no column to stratify by", where="split", mend="by=('group',)")
    require_columns(dataset.obs, [*params.by, *([params.subject] if params.subject else [])], "split")
    if not dataset.n_obs:
        raise InputError(
            "the data set has no samples", where="split", mend="check the filters before this step"
        )
    samples = np.array(sample_names(dataset), dtype=object)
    subject = samples if params.subject is None else as_levels(dataset.obs[params.subject]).to_numpy()
    if any(one is None for one in subject):
        raise InputError(
            f"{sum(one is None for one in subject)} samples have no {params.subject!r}",
            where="split",
            mend="remove them first (remove_samples)",
        )
    labels = [_levels(dataset.obs[column]) for column in params.by]
    names = sorted(set(subject))
    stratum, first_levels = [], []
    for name in names:
        rows = np.flatnonzero(subject == name)
        # A subject with several levels (before and after treatment) is a stratum of those levels.
        parts = [" + ".join(sorted(set(column.iloc[rows]))) for column in labels]
        stratum.append(" | ".join(parts))
        first_levels.append(set(labels[0].iloc[rows]))
    if not set.union(*first_levels) - {""}:
        raise InputError(
            f"column {params.by[0]!r} has no value", where="split", mend="stratify by another column"
        )
    drawn = _draw(np.array(stratum), params.share, np.random.default_rng(seed))
    counts = {}
    for level in sorted(set.union(*first_levels) - {""}):
        has = np.array([level in one for one in first_levels])
        counts[level] = (int((has & drawn).sum()), int((has & ~drawn).sum()))
        if min(counts[level]) < _LEAST:
            raise InputError(
                f"level {level!r} of {params.by[0]!r} has {int(has.sum())} subjects: "
                f"{counts[level][0]} for discovery and {counts[level][1]} to confirm",
                where="split",
                mend=f"each part needs {_LEAST} or more; validate in a second cohort instead",
            )
    part_of = dict(zip(names, np.where(drawn, "discovery", "confirmation"), strict=True))
    part = np.array([part_of[name] for name in subject])
    stratum_of = dict(zip(names, stratum, strict=True))
    made = {
        name: derive(dataset[part == name].copy(), f"split_cohort: {name}, {(part == name).sum()} samples")
        for name in ("discovery", "confirmation")
    }
    n = int(drawn.sum())
    return Result(
        summary=(
            f"{n} subjects for discovery and {len(names) - n} to confirm, even in {', '.join(params.by)}; "
            "both are of one cohort."
        ),
        values={
            "n_discovery": n,
            "n_confirmation": len(names) - n,
            "share": finite(n / len(names)),
            "n_strata": len(set(stratum)),
            "smallest_discovery": min(one for one, _ in counts.values()),
            "smallest_confirmation": min(other for _, other in counts.values()),
        },
        tables={
            "split": pd.DataFrame(
                {
                    "sample": samples,
                    "subject": subject.astype(str),
                    "stratum": [stratum_of[name] for name in subject],
                    "part": part,
                }
            )
        },
        datasets=made,
        n_total=dataset.n_obs,
        n_returned=dataset.n_obs,
    )


def _levels(column: pd.Series) -> pd.Series:
    """Levels as text, numbers as fifths, missing as ""."""
    numbers = as_numbers(column)
    if numbers is not None and numbers.nunique() > _MANY_VALUES:
        cuts = np.nanquantile(numbers, np.linspace(0, 1, _PARTS + 1)[1:-1])
        codes = np.searchsorted(cuts, numbers.fillna(np.inf))
        texts = [f"fifth {code + 1}" for code in codes]
        return pd.Series(np.where(numbers.isna(), "", texts), index=column.index, dtype=object)
    return as_levels(column).fillna("")


def _draw(stratum: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Subjects for discovery: the whole part of each stratum's share, then the largest remainders."""
    chosen = np.zeros(len(stratum), dtype=bool)
    spare: list[tuple[float, float, int]] = []
    for name in np.unique(stratum):
        rows = rng.permutation(np.flatnonzero(stratum == name))
        whole = int(np.floor(share * len(rows) + 1e-9))
        chosen[rows[:whole]] = True
        if whole < len(rows):
            spare.append((whole - share * len(rows), float(rng.random()), int(rows[whole])))
    missing = round(share * len(stratum)) - int(chosen.sum())
    for _, _, row in sorted(spare)[: max(missing, 0)]:
        chosen[row] = True
    return chosen
