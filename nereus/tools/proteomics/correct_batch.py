"""Take batch effects out of the matrix, for what cannot model them: drawings, clusters, networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.batch_model import centred, fit_batches, shrunken
from nereus.tools.proteomics.matrix import abundance, derive, obs_column
from nereus.tools.proteomics.reference_scaling import between_plexes
from nereus.tools.statistics.batch import REFUSE_V, cramers_v, inseparable
from nereus.tools.statistics.levels import as_levels, as_numbers

if TYPE_CHECKING:
    from anndata import AnnData

_UNBALANCED = 0.3
"""Cramér's V of batch and factor from which corrected values look surer than they are."""


class CorrectBatchParams(Params):
    """Parameters of `correct_batch`."""

    batch: str
    """Column of the batches."""
    method: Literal["combat", "centre"] = "combat"
    """``combat``: location and scale of each batch, shrunken over all features; ``centre``: the batch's mean only."""
    factors: tuple[str, ...] = ()
    """Columns with levels that are to be compared: their differences are kept."""
    covariates: tuple[str, ...] = ()
    """Further columns whose effect is kept; numbers as numbers, others as levels."""
    scale: bool = True
    """``combat``: also equalise the variances of the batches; False moves locations only."""


@tool(
    "correct_batch",
    version="2",
    summary="Take batch effects out by ComBat or by centring, with factors and covariates protected.",
    outputs=("dataset:dataset", "table:features", "table:batches"),
)
def correct_batch(dataset: AnnData, params: CorrectBatchParams, *, seed: int) -> Result:
    """Remove differences between batches that the protected columns do not explain.

    Each feature is fitted by ``batch + factors + covariates`` over its observed samples. ``centre`` subtracts the batch
    means about their weighted mean; ``combat`` standardises, shrinks location and variance of each batch towards what
    its features have in common, and takes these out. Missing values stay missing. A feature whose batches cannot be
    told apart from the protected columns in its observed samples is left as it is, and the table says so.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `CorrectBatchParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        ``dataset``, of which tests say that it was corrected; table ``features`` (feature, n_batches with a value,
        moved: largest change of a batch mean in log2, status: corrected, one batch, inseparable or absent); table
        ``batches`` (batch, n_samples, median_move). Values: method, n_batches, n_corrected, n_inseparable, spread_before
        and spread_after (median share of the variance that lies between batches).

    Raises
    ------
    InputError
        Unknown columns; a single batch; a batch of one sample in all; missing levels; a factor or a combination of the
        protected columns that cannot be separated from the batches.

    Notes
    -----
    Johnson, Li & Rabinovic 2007, Biostatistics 8:118. For a test, give the batch as a covariate instead: corrected values
    hide the degrees of freedom that were spent, and where groups are unbalanced over batches they exaggerate the
    evidence (Nygaard, Rodland & Hovig 2016, Biostatistics 17:29).

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(20, 1, (1, 80)) + rng.normal(0, 0.2, (8, 80)); X[::2] += rng.normal(0, 1, 80)
    >>> obs = pd.DataFrame({"plate": list("pq" * 4), "group": list("aaaabbbb")}, index=list("stuvwxyz"))
    >>> result = correct_batch(anndata.AnnData(X, obs=obs), batch="plate", factors=["group"])
    >>> result.values["n_corrected"], result.values["spread_after"] < 0.2 < result.values["spread_before"]
    (80, True)
    """
    X = abundance(dataset)
    where = f"batch column {params.batch!r}"
    batch = _known_levels(dataset, params.batch)
    named = [params.batch, *params.factors, *params.covariates]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise InputError(f"columns {twice} are named twice", where=where, mend="name each column once")
    names = sorted(set(batch))
    codes = np.array([names.index(level) for level in batch], dtype=np.intp)
    if len(names) < 2:
        raise InputError(
            f"all samples are of one batch, {names[0]!r}", where=where, mend="there is nothing to correct"
        )
    size = np.bincount(codes)
    if (size < 2).any():
        single = [name for name, n in zip(names, size, strict=True) if n < 2]
        raise InputError(
            f"batches {single[:3]} have one sample",
            where=where,
            mend="a batch is estimated from two samples or more: leave these out, or join batches",
        )
    warnings: list[str] = []
    protect = _protected(dataset, params, batch, warnings)
    _refuse_spanned(protect, codes, params, where)
    model = fit_batches(X, codes, protect)
    shrink = params.method == "combat"
    made = shrunken(X, codes, model, scale=params.scale) if shrink else centred(X, codes, model)
    n_seen = (model.count > 0).sum(axis=1)
    status = np.full(X.shape[1], "corrected", dtype=object)
    status[~model.estimable] = "inseparable"
    status[n_seen == 1] = "one batch"
    status[n_seen == 0] = "absent"
    corrected = status == "corrected"
    change = X - made
    moves = np.stack([_means(change[codes == code]) for code in range(len(names))])
    moved = np.full(X.shape[1], np.nan)
    some = np.isfinite(moves).any(axis=0)
    moved[some] = np.nanmax(np.abs(moves[:, some]), axis=0)
    features = pd.DataFrame(
        {
            "feature": [str(name) for name in dataset.var_names],
            "n_batches": n_seen.astype(np.int64),
            "moved": moved,
            "status": status,
        }
    )
    batches = pd.DataFrame(
        {
            "batch": names,
            "n_samples": size.astype(np.int64),
            "median_move": [
                float(np.median(row[np.isfinite(row)])) if np.isfinite(row).any() else np.nan for row in moves
            ],
        }
    )
    n_inseparable = int((status == "inseparable").sum())
    if n_inseparable:
        warnings.append(
            f"{n_inseparable} features were left as they are: the samples in which they were seen cannot tell batch "
            "from protected columns"
        )
    if not (params.factors or params.covariates):
        warnings.append(
            "nothing is protected: real differences between the samples of the batches are taken out too"
        )
    warnings.append("for a test, give the batch as a covariate instead of testing corrected values")
    before, after = between_plexes(X, codes), between_plexes(made, codes)
    line = f"correct_batch: {params.method}, {len(names)} batches of {params.batch!r}, {int(corrected.sum())} features"
    derived = derive(dataset, line, made)
    derived.uns["nereus"]["corrected_for"] = params.batch
    return Result(
        summary=(
            f"{int(corrected.sum())} of {X.shape[1]} features were corrected for {len(names)} batches of "
            f"{params.batch!r} by {params.method}."
        ),
        values={
            "method": params.method,
            "n_batches": len(names),
            "n_features": int(X.shape[1]),
            "n_corrected": int(corrected.sum()),
            "n_inseparable": n_inseparable,
            "n_protected_columns": int(protect.shape[1]),
            "spread_before": finite(before),
            "spread_after": finite(after),
        },
        tables={"features": features, "batches": batches},
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=int(X.shape[1]),
        n_returned=int(X.shape[1]),
    )


def _means(values: np.ndarray) -> np.ndarray:
    """Mean of each column over known values; NaN where none is."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(sums, count, out=np.full(values.shape[1], np.nan), where=count > 0))


def _known_levels(dataset: AnnData, column: str) -> pd.Series:
    levels = as_levels(obs_column(dataset, column))
    if levels.isna().any():
        lost = [str(name) for name in dataset.obs_names[levels.isna().to_numpy()]]
        raise InputError(
            f"{len(lost)} samples have no value of {column!r}: {lost[:3]}",
            where="sample sheet",
            mend="fill the column in, or leave these samples out (tool remove_samples)",
        )
    return levels


def _protected(
    dataset: AnnData, params: CorrectBatchParams, batch: pd.Series, warnings: list[str]
) -> np.ndarray:
    """Columns of the protected part of the design, shape (n_samples, k)."""
    columns: list[np.ndarray] = []
    for name in (*params.factors, *params.covariates):
        levels = _known_levels(dataset, name)
        numbers = as_numbers(obs_column(dataset, name)) if name in params.covariates else None
        if numbers is not None:
            if float(numbers.std()) > 0:
                columns.append(((numbers - numbers.mean()) / numbers.std()).to_numpy(float))
            continue
        strength = cramers_v(levels, batch)
        if name in params.factors and (
            inseparable(levels, batch) or (strength is not None and strength >= REFUSE_V)
        ):
            shown = "" if strength is None else f"; Cramér's V = {strength:.2f}"
            raise InputError(
                f"cannot separate {name!r} from the batches{shown}",
                where=f"batch column {params.batch!r}",
                mend=f"add samples that cross {name!r} and {params.batch!r}; the data cannot tell them apart",
            )
        if strength is not None and strength >= _UNBALANCED:
            warnings.append(
                f"{name!r} is unbalanced over the batches (Cramér's V = {strength:.2f}): corrected values make its "
                "differences look surer than they are"
            )
        columns += [(levels == level).to_numpy(float) for level in sorted(set(levels))[1:]]
    return np.column_stack(columns) if columns else np.empty((dataset.n_obs, 0))


def _refuse_spanned(protect: np.ndarray, codes: np.ndarray, params: CorrectBatchParams, where: str) -> None:
    """Refuse protected columns that, together, tell one batch from another."""
    if not protect.shape[1]:
        return
    batches = np.eye(int(codes.max()) + 1)[codes]
    varying = protect - protect.mean(axis=0)
    rank = int(np.linalg.matrix_rank(varying))
    if int(np.linalg.matrix_rank(np.column_stack([batches, varying]))) < batches.shape[1] + rank:
        raise InputError(
            f"cannot separate the batches from {[*params.factors, *params.covariates]} together",
            where=where,
            mend="protect fewer columns, or add samples that cross them with the batches",
        )
