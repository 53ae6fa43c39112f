"""The one shape of a table of tests: a row for every feature, NaN where it cannot be tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.design import Design
from nereus.tools.statistics.linear_model import FloatArray, IntArray

if TYPE_CHECKING:
    from anndata import AnnData

COLUMNS = (
    "feature",
    "gene",
    "effect",
    "se",
    "ci_low",
    "ci_high",
    "statistic",
    "df",
    "p",
    "q",
    "n_a",
    "n_b",
    "mean",
)
"""Columns of every table of tests, in order; a test may add its own behind them."""


@dataclass(frozen=True)
class Estimates:
    """What a test found, by feature; arrays have shape (features,)."""

    effect: FloatArray
    se: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    statistic: FloatArray
    df: FloatArray
    p: FloatArray
    q: FloatArray


def feature_values(dataset: AnnData, design: Design) -> FloatArray:
    """Log2 abundances of the samples of a design, shape (features, samples).

    Raises
    ------
    InputError
        When feature ids are not unique: rows of a table could not be told apart.
    """
    if not dataset.var_names.is_unique:
        twice = dataset.var_names[dataset.var_names.duplicated()]
        raise InputError(
            f"{len(twice)} feature ids are duplicated, such as {str(twice[0])!r}",
            mend="make them unique when loading",
        )
    return np.ascontiguousarray(abundance(dataset)[design.samples].T)


def observed_units(values: FloatArray, design: Design) -> tuple[IntArray, IntArray]:
    """Independent units (samples, or blocks of them) with a value in level a and in level b, by feature."""
    seen = np.isfinite(values)
    counts = []
    for level in (1.0, 0.0):
        columns = np.flatnonzero(design.group == level)
        here = seen[:, columns]
        if design.block is not None:
            member = np.eye(int(design.block.max()) + 1)[design.block[columns]]
            here = here.astype(np.float64) @ member > 0
        counts.append(np.asarray(here.sum(axis=1), dtype=np.intp))
    return counts[0], counts[1]


def result_table(
    dataset: AnnData,
    estimates: Estimates,
    n_a: IntArray,
    n_b: IntArray,
    mean: FloatArray,
    extra: dict[str, npt.NDArray[np.generic]] | None = None,
) -> pd.DataFrame:
    """Table with the columns `COLUMNS`, then `extra`, in the order of the data set."""
    n = dataset.n_vars
    gene = dataset.var["gene"].astype(str).to_numpy() if "gene" in dataset.var else np.full(n, "")
    table = {
        "feature": dataset.var_names.astype(str).to_numpy(),
        "gene": np.where(np.isin(gene, ["nan", "None"]), "", gene),
        "effect": estimates.effect,
        "se": estimates.se,
        "ci_low": estimates.ci_low,
        "ci_high": estimates.ci_high,
        "statistic": estimates.statistic,
        "df": estimates.df,
        "p": estimates.p,
        "q": estimates.q,
        "n_a": n_a.astype(np.int64),
        "n_b": n_b.astype(np.int64),
        "mean": mean,
    }
    return pd.DataFrame({**table, **(extra or {})})
