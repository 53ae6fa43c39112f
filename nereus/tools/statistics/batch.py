"""Whether a batch drives the data, and whether it can be told apart from what is to be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.stats.contingency import association

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance, described, obs_column
from nereus.tools.statistics.levels import as_levels, contingency
from nereus.tools.statistics.pca import design_of, principal_components, r_squared

if TYPE_CHECKING:
    from anndata import AnnData

REFUSE_V = 0.9
"""From this Cramér's V on, batch and factor cannot be separated."""
COVARIATE_R2 = 0.05
"""From this share of variance on, a batch is modelled."""


def corrected_notes(dataset: AnnData) -> list[str]:
    """What a test has to say of values from which `correct_batch` took a batch out; empty for others."""
    batch = described(dataset).get("corrected_for")
    if not batch:
        return []
    return [
        f"the values were corrected for {str(batch)!r} before: where groups are unbalanced over it, p-values are far too "
        "small; test the uncorrected values with it as a covariate"
    ]


class BatchParams(Params):
    """Parameters of `batch_check`."""

    batch: tuple[str, ...] = Field(min_length=1)
    """Columns that may be batches: site, plate, run day, instrument ..."""
    factors: tuple[str, ...] = ()
    """Columns that are to be compared."""
    n_components: int = Field(default=5, ge=1, le=50)
    """Principal components on which R2 is taken, weighted by their variance."""


def cramers_v(first: pd.Series, second: pd.Series) -> float | None:
    """Cramér's V of two columns of level texts, without bias correction; None with fewer than two levels."""
    table = contingency(first, second)
    return float(association(table, method="cramer")) if min(table.shape) >= 2 else None


def share_beyond(
    scores: np.ndarray, ratio: np.ndarray, column: pd.Series, given: list[pd.Series]
) -> tuple[float, float] | None:
    """R2 of a column on component scores: alone, and beyond the given columns.

    R2 of a component is weighted by the component's share of variance and adjusted for degrees of freedom.
    ``beyond`` is the adjusted R2 with all columns minus the adjusted R2 of the given ones. None when the column
    is not usable or leaves no degree of freedom.
    """
    own = design_of(column)
    if own is None:
        return None
    designs = [design for design in (design_of(other) for other in given) if design is not None]
    known = np.logical_and.reduce([own[1], *(design[1] for design in designs)])

    def adjusted(parts: list[tuple[np.ndarray, np.ndarray, int]]) -> float | None:
        n = int(known.sum())
        if not parts:
            return 0.0
        # Each design covers its own known rows: cut all to the common ones and centre again.
        columns = [regressors[known[rows]] for regressors, rows, _ in parts]
        matrix = np.hstack(columns)
        matrix = matrix - matrix.mean(axis=0)
        rank = int(np.linalg.matrix_rank(matrix))
        if n - 1 - rank <= 0 or rank == 0:
            return None
        r2 = float(np.average(r_squared(scores[known], matrix), weights=ratio))
        return 1 - (1 - r2) * (n - 1) / (n - 1 - rank)

    alone, base, full = adjusted([own]), adjusted(designs), adjusted([*designs, own])
    if alone is None or base is None or full is None:
        return None
    return alone, full - base


def inseparable(factor: pd.Series, batch: pd.Series) -> bool:
    """Whether no batch holds two levels of the factor: then no comparison within a batch exists."""
    table = contingency(batch, factor)
    return bool(table.shape[1] >= 2 and table.shape[0] >= 2 and ((table > 0).sum(axis=1) < 2).all())


@tool(
    "batch_check",
    version="1",
    summary="How much of the variance batches explain, and whether they can be told apart from the factors.",
    outputs=("table:batch",),
)
def batch_check(dataset: AnnData, params: BatchParams, *, seed: int) -> Result:
    """Judge each batch column against each factor.

    R2 is the share of the first principal components' variance that a column explains, weighted by the
    components' variance and adjusted for the number of levels (else any column with many levels would look
    important). Verdict: ``refuse`` when Cramér's V of batch and factor is 0.9 or more or no batch holds two
    levels of the factor; ``covariate`` when the batch explains more than 5 % beyond the factor; else
    ``none``.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `BatchParams`.
    seed
        Unused.

    Returns
    -------
    Result
        Table ``batch``: ``pair`` (batch | factor), ``batch``, ``factor``, ``n``, ``n_levels``,
        ``r2_adjusted``, ``r2_beyond_factor``, ``factor_r2_adjusted``, ``cramers_v``, ``verdict``, ``why``.

    Raises
    ------
    InputError
        A column is unknown or is named as batch and factor at once.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> X = np.random.default_rng(0).normal(20, 1, (8, 60)); X[::2] += 2
    >>> obs = pd.DataFrame({"plate": list("pq" * 4), "group": list("aaaabbbb")}, index=list("stuvwxyz"))
    >>> batch_check(anndata.AnnData(X, obs=obs), batch=["plate"], factors=["group"]).table()["verdict"][0]
    'covariate'
    """
    if both := sorted(set(params.batch) & set(params.factors)):
        raise InputError(f"columns {both} are named as batch and as factor", mend="name each once")
    found = principal_components(abundance(dataset), params.n_components)
    rows = []
    for batch in params.batch:
        column = obs_column(dataset, batch)
        levels = as_levels(column)
        for factor in params.factors or (None,):
            other = None if factor is None else obs_column(dataset, factor)
            shares = share_beyond(found.scores, found.ratio, column, [] if other is None else [other])
            own = None if other is None else share_beyond(found.scores, found.ratio, other, [])
            v, split = None, False
            if other is not None:
                v = cramers_v(as_levels(other), levels)
                split = inseparable(as_levels(other), levels)
            verdict, why = _verdict(shares, v, split)
            rows.append(
                (
                    batch if factor is None else f"{batch} | {factor}",
                    batch,
                    factor or "",
                    int(levels.notna().sum()),
                    int(levels.nunique()),
                    np.nan if shares is None else shares[0],
                    np.nan if shares is None else shares[1],
                    np.nan if own is None else own[0],
                    np.nan if v is None else v,
                    verdict,
                    why,
                )
            )
    table = pd.DataFrame(
        rows,
        columns=[
            "pair",
            "batch",
            "factor",
            "n",
            "n_levels",
            "r2_adjusted",
            "r2_beyond_factor",
            "factor_r2_adjusted",
            "cramers_v",
            "verdict",
            "why",
        ],
    )
    covariates = sorted(set(table.loc[table["verdict"] == "covariate", "batch"]))
    refused = sorted(table.loc[table["verdict"] == "refuse", "pair"])
    summary = f"{len(covariates)} of {len(params.batch)} batch columns should be modelled"
    if refused:
        summary += f"; {len(refused)} pairs cannot be separated: {'; '.join(refused)}"
    return Result(
        summary=summary + ".",
        values={
            "covariates": ";".join(covariates),
            "refused": ";".join(refused),
            "n_covariates": len(covariates),
            "n_refused": len(refused),
            "r2_max": finite(table["r2_adjusted"].max()),
            "cramers_v_max": finite(table["cramers_v"].max()),
        },
        tables={"batch": table},
        warnings=tuple(
            f"cannot separate {row.batch!r} from {row.factor!r}: {row.why}"
            for row in table.itertuples()
            if row.verdict == "refuse"
        ),
    )


def _verdict(shares: tuple[float, float] | None, v: float | None, split: bool) -> tuple[str, str]:
    if v is not None and v >= REFUSE_V:
        return "refuse", f"cannot separate; Cramér's V = {v:.2f}"
    if split:
        return "refuse", "cannot separate; no batch holds two levels of the factor"
    if shares is None:
        return "none", "too few samples per level to judge or to model it"
    if shares[1] > COVARIATE_R2:
        return "covariate", f"explains {shares[1]:.0%} of the variance beyond the factor"
    return "none", f"explains {max(shares[1], 0):.0%} of the variance beyond the factor"
