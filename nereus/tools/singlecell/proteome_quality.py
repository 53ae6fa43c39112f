"""Quality of single-cell proteomes: missing values, carrier ratio, consistency of peptides, cells against empty wells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.cytometry.cell_table import FloatArray, IntArray, Mask, marker_values
from nereus.tools.proteomics.matrix import derive, described, obs_column
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData

_CARRIER = ("carrier", "booster", "boost")
_REFERENCE = ("reference", "ref")
_EMPTY = ("blank", "empty", "control", "negative", "negative control", "neg", "sc_0")
_UNUSED = ("unused", "norm", "none")
_LEAST_PEPTIDES = 3
"""Peptides of a protein in a cell from which their agreement is measured."""
_LOG_BELOW = 40.0
"""Intensities pass this; logarithms of them do not."""
_STEPS = 200


class SingleCellQualityParams(Params):
    """Parameters of `single_cell_quality`."""

    type_column: str
    """Column that says what each row is: kinds of cells, carrier, reference, blank or control."""
    run: str | None = None
    """Column of the run (the set of channels that share a carrier); None takes all rows as one run."""
    protein: str = "protein"
    """Column of var with the protein of each peptide, for the agreement of its peptides."""
    carrier: tuple[str, ...] = ()
    """Types that are carriers; words such as ``carrier`` and ``booster`` are known."""
    reference: tuple[str, ...] = ()
    """Types that are references, neither cell nor blank."""
    empty: tuple[str, ...] = ()
    """Types that hold no cell; words such as ``blank`` and ``control`` are known."""
    max_missing: float = Field(default=1.0, gt=0, le=1)
    """Share of missing peptides above which a cell is left out."""
    max_cv: float | None = Field(default=None, gt=0)
    """Median coefficient of variation above which a cell is left out; None takes the value that best separates cells
    from empty wells, where there are enough of both, and else none.
    """
    max_ratio: float = Field(default=0.1, gt=0)
    """Peptides whose mean ratio of cells to carrier is larger are left out: such a peptide is interference."""


@tool(
    "single_cell_quality",
    version="1",
    summary="Single-cell proteomes: missing values, cell-to-carrier ratio, agreement of peptides, cells against blanks.",
    outputs=("dataset:dataset", "table:cells", "table:runs", "table:peptides"),
    seconds=1.0,
)
def single_cell_quality(dataset: AnnData, params: SingleCellQualityParams, *, seed: int) -> Result:
    """Judge single cells of a proteome measured with isobaric tags or without.

    The ratio of a cell to the carrier of its run tells whether it holds about one cell's worth of protein. The
    coefficient of variation of a protein's peptides, each relative to its mean over the cells of the run, tells whether
    they agree: in an empty well they do not.

    Parameters
    ----------
    dataset
        obs = channels or runs of one cell each (and carriers, references, blanks), var = peptides, X = intensities, or
        their log2. Zero counts as missing in intensities.
    params
        See `SingleCellQualityParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        ``dataset``: cells and peptides kept, values as given. Table ``cells``: cell, type, role (cell, empty, carrier,
        reference, unused), run, n_peptides, missing_rate, median_intensity (log2), ratio (median over peptides of the
        cell's intensity over the carrier's), median_cv (over proteins with three peptides or more), kept, why. Table
        ``runs``: run, n_cells, n_empty, n_carrier, n_peptides, ratio, ratio_empty, cv, cv_empty.
        Table ``peptides``: peptide, protein, missing_rate, mean_ratio, kept. Values: n_cells, n_kept, n_empty,
        missing_rate, ratio, ratio_empty, cv, cv_empty, auc_peptides, auc_ratio, auc_cv (cells against empty wells; 1 is
        perfect), max_cv, n_peptides, n_peptides_kept, n_runs.

    Raises
    ------
    InputError
        No such column, or no row is a cell.

    Notes
    -----
    Specht et al. 2021, Genome Biol 22:50; Petelski et al. 2021, Nat Protoc 16:5398; thresholds by Youden's index where
    empty wells were measured.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> protein = np.repeat([f"P{i}" for i in range(10)], 4)
    >>> level = np.exp(rng.normal(8, 1, 40))
    >>> X = level * np.exp(rng.normal(0, 0.15, (9, 40))); X[0] *= 100; X[7:] = np.exp(rng.normal(4, 1.2, (2, 40)))
    >>> obs = pd.DataFrame({"type": ["carrier"] + ["cell"] * 6 + ["blank"] * 2}, index=list("abcdefghi"))
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame({"protein": protein}, index=[f"p{i}" for i in range(40)]))
    >>> result = single_cell_quality(data, type_column="type")
    >>> result.values["auc_cv"], round(result.values["ratio"], 2), result.values["n_kept"]
    (1.0, 0.01, 6)
    """
    types = as_levels(obs_column(dataset, params.type_column))
    roles = np.array([_role(one, params) for one in types])
    cells, empty = roles == "cell", roles == "empty"
    if not cells.any():
        raise InputError(
            "no row is a single cell",
            where=f"column {params.type_column!r}",
            mend=f"its levels are {sorted(set(types.dropna()))[:12]}; name carriers, references and blanks",
        )
    runs, run_names = _runs(dataset, params)
    values = marker_values(dataset).astype(np.float64)
    logs = bool(np.nanmax(values) <= _LOG_BELOW or np.nanmin(values) < 0)
    intensity = np.exp2(values) if logs else np.where(values > 0, values, np.nan)
    seen = np.isfinite(intensity)
    if not seen[cells].any():
        raise InputError("no single cell has a value", where="single_cell_quality", mend="check the file")
    measured = seen.any(axis=0)
    n_peptides = seen.sum(axis=1)
    # A peptide is only missing from a cell where its run has it.
    offered = np.array([seen[runs == run].any(axis=0).sum() for run in range(len(run_names))])
    ratio_each = _ratios(intensity, runs, roles == "carrier")
    ratio = _median_rows(ratio_each)
    cv = _disagreement(dataset, intensity, runs, cells, params.protein)
    warnings: list[str] = []
    if not np.isfinite(ratio[cells]).any():
        warnings.append("no run has a carrier: the ratio of cells to carrier was not measured")
    if not np.isfinite(cv[cells]).any():
        warnings.append(
            f"no protein has {_LEAST_PEPTIDES} peptides in a cell: their agreement was not measured"
        )
    limit = params.max_cv if params.max_cv is not None else _threshold(cv[cells], cv[empty])
    missing = 1.0 - n_peptides / max(int(measured.sum()), 1)
    why = np.full(len(roles), "", dtype=object)
    why[cells & (missing > params.max_missing)] = "too few peptides"
    if limit is not None:
        why[cells & (cv > limit) & (why == "")] = "peptides disagree"
    why[cells & (n_peptides == 0)] = "no value"
    kept = cells & (why == "")
    if not kept.any():
        raise InputError("no cell is left", where="single_cell_quality", mend="raise max_missing or max_cv")
    mean_ratio = _mean_columns(ratio_each[cells])
    interference = mean_ratio > params.max_ratio
    kept_peptides = measured & ~interference
    if not kept_peptides.any():
        raise InputError("no peptide is left", where="single_cell_quality", mend="raise max_ratio")
    auc = {
        "auc_peptides": _auc(n_peptides[cells].astype(float), n_peptides[empty].astype(float)),
        "auc_ratio": _auc(ratio[cells], ratio[empty]),
        "auc_cv": _auc(-cv[cells], -cv[empty]),
    }
    best = max((one for one in auc.values() if one is not None), default=None)
    if best is not None and best < 0.8:
        warnings.append("cells cannot be told from empty wells by any measure: values may be background")
    removed = int((cells & ~kept).sum())
    table = pd.DataFrame(
        {
            "cell": [str(name) for name in dataset.obs_names],
            "type": ["" if one is None else str(one) for one in types],
            "role": roles,
            "run": [run_names[run] for run in runs],
            "n_peptides": n_peptides,
            "missing_rate": missing,
            "median_intensity": np.log2(_median_rows(intensity)),
            "ratio": ratio,
            "median_cv": cv,
            "kept": kept,
            "why": why,
        }
    )
    derived = derive(
        dataset[kept][:, kept_peptides],
        f"single_cell_quality: {int(kept.sum())} of {int(cells.sum())} cells, {int(kept_peptides.sum())} peptides",
    )
    derived.obs["role"] = roles[kept].astype(object)
    derived.uns["nereus"].setdefault("level", described(dataset).get("level", "cell"))
    return Result(
        summary=(
            f"{int(kept.sum())} of {int(cells.sum())} single cells and {int(kept_peptides.sum())} of "
            f"{int(measured.sum())} peptides were kept; {int(empty.sum())} empty wells"
            + (f", told from cells with AUC {best:.2f}." if best is not None else ".")
        ),
        values={
            "n_cells": int(cells.sum()),
            "n_kept": int(kept.sum()),
            "n_removed": removed,
            "n_empty": int(empty.sum()),
            "n_runs": len(run_names),
            "n_peptides": int(measured.sum()),
            "n_peptides_kept": int(kept_peptides.sum()),
            "missing_rate": finite(float(np.mean(missing[cells]))),
            "ratio": _middle(ratio[cells]),
            "ratio_empty": _middle(ratio[empty]),
            "cv": _middle(cv[cells]),
            "cv_empty": _middle(cv[empty]),
            "max_cv": finite(limit),
            **auc,
        },
        tables={
            "cells": table,
            "runs": _run_table(run_names, runs, roles, offered, ratio, cv),
            "peptides": pd.DataFrame(
                {
                    "peptide": [str(name) for name in dataset.var_names],
                    "protein": _proteins(dataset, params.protein),
                    "missing_rate": 1.0 - seen[cells].mean(axis=0),
                    "mean_ratio": mean_ratio,
                    "kept": kept_peptides,
                }
            ),
        },
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=int(cells.sum()),
        n_returned=int(kept.sum()),
    )


def _role(level: object, params: SingleCellQualityParams) -> str:
    if level is None:
        return "unused"
    text = str(level)
    named = ((params.carrier, "carrier"), (params.reference, "reference"), (params.empty, "empty"))
    for chosen, role in named:
        if text in chosen:
            return role
    word = text.strip().lower().replace("_", " ")
    for words, role in (
        (_CARRIER, "carrier"),
        (_REFERENCE, "reference"),
        (_EMPTY, "empty"),
        (_UNUSED, "unused"),
    ):
        if word in words or text.strip().lower() in words:
            return role
    return "cell"


def _runs(dataset: AnnData, params: SingleCellQualityParams) -> tuple[IntArray, list[str]]:
    if params.run is None:
        return np.zeros(dataset.n_obs, dtype=np.intp), ["all"]
    levels = as_levels(obs_column(dataset, params.run)).fillna("unknown").to_numpy(dtype=str)
    names, codes = np.unique(levels, return_inverse=True)
    return np.asarray(codes, dtype=np.intp), [str(name) for name in names]


def _ratios(intensity: FloatArray, runs: IntArray, carrier: Mask) -> FloatArray:
    """Intensity of every row over the mean carrier of its run, shape (rows, peptides); NaN where either is missing."""
    made = np.full(intensity.shape, np.nan)
    for run in np.unique(runs):
        rows = runs == run
        if (rows & carrier).any():
            made[rows] = intensity[rows] / _mean_columns(intensity[rows & carrier])
    return made


def _disagreement(
    dataset: AnnData, intensity: FloatArray, runs: IntArray, cells: Mask, protein: str
) -> FloatArray:
    """Median over proteins of the coefficient of variation of their relative peptides, shape (rows,)."""
    made = np.full(len(intensity), np.nan)
    proteins = np.array(_proteins(dataset, protein), dtype=object)
    known = np.flatnonzero(proteins != "")
    if not len(known):
        return made
    relative = np.full(intensity.shape, np.nan)
    for run in np.unique(runs):
        rows = runs == run
        use = rows & cells if (rows & cells).any() else rows
        relative[rows] = intensity[rows] / _mean_columns(intensity[use])
    _, codes = np.unique(proteins[known].astype(str), return_inverse=True)
    member = np.eye(int(codes.max()) + 1)[codes]
    part = relative[:, known]
    seen = np.isfinite(part)
    filled = np.where(seen, part, 0.0)
    n = seen @ member
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (filled @ member) / n
        variance = ((filled**2) @ member - n * mean**2) / (n - 1)
        each = np.sqrt(np.maximum(variance, 0.0)) / mean
    each = np.where(n >= _LEAST_PEPTIDES, each, np.nan)
    return _median_rows(each)


def _threshold(cells: FloatArray, empty: FloatArray) -> float | None:
    """Largest variation that best separates cells (below) from empty wells (above) by Youden's index."""
    cells, empty = cells[np.isfinite(cells)], empty[np.isfinite(empty)]
    if len(cells) < 3 or len(empty) < 2:
        return None
    tried = np.linspace(min(cells.min(), empty.min()), max(cells.max(), empty.max()), _STEPS)
    index = np.array([(cells <= one).mean() + (empty > one).mean() - 1.0 for one in tried])
    if index.max() < 0.5:
        return None
    best = tried[index >= index.max() - 1e-12]
    return float(best[len(best) // 2])


def _auc(cells: FloatArray, empty: FloatArray) -> float | None:
    """Probability that a cell has more than an empty well, ties half."""
    cells, empty = cells[np.isfinite(cells)], empty[np.isfinite(empty)]
    if not len(cells) or not len(empty):
        return None
    more = (cells[:, None] > empty[None, :]).mean() + 0.5 * (cells[:, None] == empty[None, :]).mean()
    return finite(float(more))


def _proteins(dataset: AnnData, column: str) -> list[str]:
    if column not in dataset.var.columns:
        return [""] * dataset.n_vars
    return ["" if one is None else one for one in as_levels(dataset.var[column])]


def _median_rows(values: FloatArray) -> FloatArray:
    known = np.isfinite(values).any(axis=1)
    made = np.full(len(values), np.nan)
    if known.any():
        made[known] = np.nanmedian(values[known], axis=1)
    return made


def _mean_columns(values: FloatArray) -> FloatArray:
    seen = np.isfinite(values)
    n = seen.sum(axis=0)
    total = np.where(seen, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, n, out=np.full(values.shape[1], np.nan), where=n > 0))


def _middle(values: npt.NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return finite(float(np.median(known))) if len(known) else None


def _run_table(
    names: list[str], runs: IntArray, roles: np.ndarray, offered: IntArray, ratio: FloatArray, cv: FloatArray
) -> pd.DataFrame:
    rows = []
    for number, name in enumerate(names):
        own = runs == number
        cells, empty = own & (roles == "cell"), own & (roles == "empty")
        numbers = [_middle(one) for one in (ratio[cells], ratio[empty], cv[cells], cv[empty])]
        counts = [
            int(cells.sum()),
            int(empty.sum()),
            int((own & (roles == "carrier")).sum()),
            int(offered[number]),
        ]
        rows.append((name, *counts, *(np.nan if one is None else one for one in numbers)))
    columns = [
        "run",
        "n_cells",
        "n_empty",
        "n_carrier",
        "n_peptides",
        "ratio",
        "ratio_empty",
        "cv",
        "cv_empty",
    ]
    return pd.DataFrame(rows, columns=columns)
