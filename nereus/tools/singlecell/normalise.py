"""Counts of a single-cell transcriptome on one scale: each cell has the same total, then the logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nereus.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData


def log_counts(dataset: AnnData, target_sum: float | None) -> Any:
    """``log(1 + counts * target / total)`` of every cell, float32; sparse where the counts are.

    Parameters
    ----------
    dataset
        Counts, cells x genes.
    target_sum
        Total of a cell after scaling; None is the median of the totals.

    Raises
    ------
    InputError
        scanpy is not installed, or no cell has a count.
    """
    sc = scanpy_module("log counts")
    X = dataset.X.astype(np.float32)
    total = np.asarray(X.sum(axis=1)).ravel()
    if not (total > 0).any():
        raise InputError("no cell has a count", where="log counts", mend="check the file")
    import anndata

    counts = anndata.AnnData(X=X.copy())
    sc.pp.normalize_total(counts, target_sum=target_sum)
    sc.pp.log1p(counts)
    return counts.X


def scanpy_module(what: str) -> Any:
    """The package scanpy, imported on first use; `InputError` says how to get it."""
    try:
        import scanpy
    except ImportError:
        raise InputError(f"{what} needs the package scanpy", mend="pip install -e '.[singlecell]'") from None
    return scanpy
