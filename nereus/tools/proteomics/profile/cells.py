"""A table of cells as a table of samples: what is compared are samples, never cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData

SAMPLE = "sample"
COUNT = "n_cells"
COFACTOR = 5.0
"""Divisor before the inverse hyperbolic sine, the usual one of mass cytometry; for the profile only."""


def holds_cells(facts: dict[str, object]) -> bool:
    """Whether the reader says that rows are cells."""
    return str(facts.get("level", "")).lower() in ("cell", "cells")


def samples_of(dataset: AnnData) -> AnnData:
    """One row a sample: medians of its cells on an inverse hyperbolic sine scale, its sheet, and its number of cells.

    Raises
    ------
    InputError
        Without a column ``sample``.
    """
    import anndata

    if SAMPLE not in dataset.obs.columns:
        raise InputError(
            "the cells do not say which sample they are of",
            where="cell table",
            mend="give a column 'sample', or one file a sample",
        )
    texts = as_levels(dataset.obs[SAMPLE])
    names = sorted({text for text in texts if text is not None})
    X = dataset.X.toarray() if hasattr(dataset.X, "toarray") else np.asarray(dataset.X)
    rows, values = [], []
    for name in names:
        mask = (texts == name).to_numpy()
        part = np.arcsinh(np.asarray(X[mask], dtype=float) / COFACTOR)
        values.append(np.nanmedian(part, axis=0))
        own = dataset.obs[mask]
        constant = {
            str(column): own[column].iloc[0]
            for column in own.columns
            if str(column) != SAMPLE and as_levels(own[column]).nunique(dropna=False) == 1
        }
        rows.append({**constant, COUNT: int(mask.sum())})
    obs = pd.DataFrame(rows, index=names)
    if len(obs):
        varying = [column for column in obs.columns if obs[column].isna().all()]
        obs = obs.drop(columns=varying)
    made = anndata.AnnData(np.array(values), obs=obs, var=dataset.var.copy())
    made.uns["nereus"] = {**dict(dataset.uns.get("nereus", {})), "level": "cells"}
    return made
