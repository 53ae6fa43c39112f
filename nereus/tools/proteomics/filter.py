"""Leave out features with too few values or peptides, and say which and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, tool
from nereus.tools.proteomics.matrix import abundance, derive, obs_column
from nereus.tools.statistics.levels import as_levels, indicator

if TYPE_CHECKING:
    from anndata import AnnData


class FilterParams(Params):
    """Parameters of `filter_features`."""

    factor: str | None = None
    """Sample column whose levels are the groups; without it all samples are one group."""
    min_present_per_group: int = Field(default=2, ge=0)
    """Values that at least one group must have. A group smaller than this must be complete."""
    min_peptides: float = Field(default=1, ge=0)
    """Lower limit of ``var["n_peptides"]``; features of unknown count stay."""
    max_missing: float = Field(default=1.0, ge=0, le=1)
    """Upper limit of the share of samples without a value."""


@tool(
    "filter_features",
    version="1",
    summary="Leave out features with too few values or peptides.",
    outputs=("dataset:dataset", "table:dropped"),
)
def filter_features(dataset: AnnData, params: FilterParams, *, seed: int) -> Result:
    """Keep features that can be analysed.

    A feature stays when one group of samples has ``min_present_per_group`` values, so that a protein that is
    seen in one condition only is kept for the detection test.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `FilterParams`.
    seed
        Unused.

    Returns
    -------
    Result
        ``dataset``; table ``dropped`` (feature, gene, reason, n_present, n_peptides).

    Raises
    ------
    InputError
        Unknown factor, or no feature would stay.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> X = np.full((4, 3), 20.0); X[1:, 0] = np.nan
    >>> filter_features(anndata.AnnData(X)).values["n_dropped"]
    1
    """
    X = abundance(dataset)
    observed = ~np.isnan(X)
    present = observed.sum(axis=0)
    if params.factor is None:
        groups, sizes = np.ones((1, X.shape[0])), np.array([X.shape[0]])
    else:
        one_hot, _ = indicator(as_levels(obs_column(dataset, params.factor)))
        groups, sizes = one_hot.T, one_hot.sum(axis=0)
        if sizes.size == 0:
            raise InputError(
                f"column {params.factor!r} has no level", where="sample sheet", mend="choose another factor"
            )
    needed = np.minimum(params.min_present_per_group, sizes)
    enough = ((groups @ observed) >= needed[:, None]).any(axis=0)
    peptides = (
        pd.to_numeric(dataset.var["n_peptides"], errors="coerce").to_numpy(dtype=float)
        if "n_peptides" in dataset.var
        else np.full(X.shape[1], np.nan)
    )
    few_peptides = peptides < params.min_peptides
    sparse = 1 - present / X.shape[0] > params.max_missing
    reason = np.where(
        ~enough,
        "too few values in every group",
        np.where(few_peptides, "too few peptides", "too many missing"),
    )
    dropped_mask = ~enough | few_peptides | sparse
    if dropped_mask.all():
        raise InputError(
            f"no feature of {X.shape[1]} would stay",
            where="filter_features",
            mend="lower min_present_per_group or min_peptides, or raise max_missing",
        )
    genes = dataset.var["gene"].astype(str).to_numpy() if "gene" in dataset.var else np.full(X.shape[1], "")
    dropped = pd.DataFrame(
        {
            "feature": [str(name) for name in dataset.var_names[dropped_mask]],
            "gene": genes[dropped_mask],
            "reason": reason[dropped_mask],
            "n_present": present[dropped_mask],
            "n_peptides": peptides[dropped_mask],
        }
    )
    kept = int((~dropped_mask).sum())
    line = f"filter_features: kept {kept} of {X.shape[1]}"
    count = dropped["reason"].value_counts()
    return Result(
        summary=f"Kept {kept} of {X.shape[1]} features.",
        values={
            "n_before": int(X.shape[1]),
            "n_features": kept,
            "n_dropped": len(dropped),
            "n_too_few_values": int(count.get("too few values in every group", 0)),
            "n_too_few_peptides": int(count.get("too few peptides", 0)),
            "n_too_many_missing": int(count.get("too many missing", 0)),
            "missing_rate": float(1 - observed[:, ~dropped_mask].mean()),
        },
        tables={"dropped": dropped},
        datasets={"dataset": derive(dataset[:, ~dropped_mask], line)},
        n_total=int(X.shape[1]),
        n_returned=kept,
    )
