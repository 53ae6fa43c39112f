"""One row per subject: technical replicates are not subjects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from anndata import AnnData as AnnDataClass
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance, described, obs_column
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData


class AggregateParams(Params):
    """Parameters of `aggregate_replicates`."""

    by: str
    """Sample column that names the subject."""
    keep_apart: tuple[str, ...] = ()
    """Columns whose levels within a subject stay rows of their own (time point, treatment of a paired
    design)."""
    method: Literal["mean", "median"] = "mean"
    """How the rows of a subject are summarised, ignoring missing values."""
    min_share: float = Field(default=0.0, ge=0, le=1)
    """A value is made when at least this share of the subject's rows has one (and at least one row)."""


def aggregate_rows(
    X: np.ndarray, groups: np.ndarray, n_groups: int, method: str, min_share: float = 0.0
) -> np.ndarray:
    """Mean or median of the rows of each group, ignoring missing values: shape (n_groups, n_features)."""
    made = np.full((n_groups, X.shape[1]), np.nan)
    for group in range(n_groups):
        rows = X[groups == group]
        count = (~np.isnan(rows)).sum(axis=0)
        usable = (count > 0) & (count >= min_share * rows.shape[0])
        summarise = np.nanmean if method == "mean" else np.nanmedian
        made[group, usable] = summarise(rows[:, usable], axis=0) if usable.any() else np.nan
    return made


def group_rows(labels: list[pd.Series]) -> tuple[np.ndarray, list[str]]:
    """Group number of each row (-1 where a label is missing) and the groups' names, by first appearance."""
    keys: list[tuple[str, ...] | None] = []
    for cells in zip(*labels, strict=True):
        keys.append(None if any(cell is None for cell in cells) else tuple(cells))
    order: dict[tuple[str, ...], int] = {}
    for key in keys:
        if key is not None:
            order.setdefault(key, len(order))
    return np.array([-1 if key is None else order[key] for key in keys]), [" | ".join(key) for key in order]


@tool(
    "aggregate_replicates",
    version="1",
    summary="Summarise repeated rows so that each subject is one row.",
    outputs=("dataset:dataset", "table:subjects", "table:dropped_columns"),
)
def aggregate_replicates(dataset: AnnData, params: AggregateParams, *, seed: int) -> Result:
    """Summarise technical replicates to one row per subject (or per subject and level of ``keep_apart``).

    Columns of the sample sheet that are constant within every subject are kept; the others are dropped and
    named.

    Parameters
    ----------
    dataset
        Log2 abundance, rows x features.
    params
        See `AggregateParams`.
    seed
        Unused.

    Returns
    -------
    Result
        ``dataset``: one row per subject, layer ``n_aggregated`` (rows with a value), obs column ``n_rows``;
        other layers are summarised in the same way. Tables ``subjects`` (subject, n_rows) and
        ``dropped_columns`` (column, n_subjects_mixed, example).

    Raises
    ------
    InputError
        The column is unknown, or names fewer than 2 subjects.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> obs = pd.DataFrame({"mouse": ["m1", "m1", "m2", "m2"]}, index=list("abcd"))
    >>> data = anndata.AnnData(np.array([[1.0], [3.0], [5.0], [np.nan]]), obs=obs)
    >>> aggregate_replicates(data, by="mouse").dataset().X[:, 0].tolist()
    [2.0, 5.0]
    """
    X = abundance(dataset)
    labels = [as_levels(obs_column(dataset, name)) for name in (params.by, *params.keep_apart)]
    groups, names = group_rows(labels)
    if len(names) < 2:
        raise InputError(
            f"column {params.by!r} names {len(names)} subjects",
            where="sample sheet",
            mend="choose the column that tells subjects apart",
        )
    unknown = int((groups < 0).sum())
    made = aggregate_rows(X, groups, len(names), params.method, params.min_share)
    sizes = np.bincount(groups[groups >= 0], minlength=len(names))
    first = [int(np.flatnonzero(groups == group)[0]) for group in range(len(names))]
    kept: dict[str, object] = {}
    dropped = []
    for column in dataset.obs.columns:
        texts = as_levels(dataset.obs[column]).to_numpy()
        mixed = [group for group in range(len(names)) if len(set(texts[groups == group])) > 1]
        if not mixed:
            kept[str(column)] = dataset.obs[column].iloc[first].to_numpy()
        else:
            cells = sorted({str(cell) for cell in texts[groups == mixed[0]]})
            dropped.append((str(column), len(mixed), f"{names[mixed[0]]}: {', '.join(cells[:4])}"))
    obs = pd.DataFrame(kept, index=pd.Index(names, dtype=object))
    obs["n_rows"] = sizes.astype(float)
    counts = np.vstack([(~np.isnan(X[groups == group])).sum(axis=0) for group in range(len(names))]).astype(
        float
    )
    layers = {"n_aggregated": counts}
    for layer in dataset.layers:
        values = np.array(dataset.layers[layer], dtype=float)
        layers[str(layer)] = aggregate_rows(values, groups, len(names), params.method)
    derived = AnnDataClass(X=made, obs=obs, var=dataset.var.copy(), layers=layers, uns=dataset.copy().uns)
    facts = described(dataset)
    line = f"aggregate_replicates: {X.shape[0]} rows to {len(names)} by {params.by}, {params.method}"
    facts["history"] = [*(str(entry) for entry in facts.get("history", [])), line]
    derived.uns["nereus"] = facts
    warnings = []
    if unknown:
        warnings.append(f"{unknown} rows without a value in {params.by!r} were left out")
    if dropped:
        warnings.append(
            f"columns that differ within a subject were dropped: {', '.join(row[0] for row in dropped)}"
        )
    return Result(
        summary=f"{X.shape[0]} rows became {len(names)} by {params.by}.",
        values={
            "n_rows": int(X.shape[0]),
            "n_subjects": len(set(labels[0].dropna())),
            "n_samples": len(names),
            "n_rows_left_out": unknown,
            "rows_per_subject": finite(np.median(sizes)),
            "missing_before": finite(np.isnan(X).mean()),
            "missing_after": finite(np.isnan(made).mean()),
            "n_columns_dropped": len(dropped),
        },
        tables={
            "subjects": pd.DataFrame({"subject": names, "n_rows": sizes}),
            "dropped_columns": pd.DataFrame(dropped, columns=["column", "n_subjects_mixed", "example"]),
        },
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=int(X.shape[0]),
        n_returned=int(X.shape[0]) - unknown,
    )
