"""A table of cells as a table of samples: what is compared are samples, never cells."""

from __future__ import annotations

import re
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


LABELS = ["column", "rank", "n_levels", "n_cells", "smallest", "learnt", "cue", "why"]
_CUE = re.compile(r"cell_?type|population|annotation|gate|label|subset|lineage|ident", re.IGNORECASE)
_LEARNT = re.compile(r"leiden|louvain|cluster|phenograph|flowsom|som_?\d*$|k_?means", re.IGNORECASE)
_LEVELS = (2, 60)
_LEAST = 10
"""Cells that a level must have to count."""


def label_table(dataset: AnnData | None) -> pd.DataFrame:
    """Columns that tell cells of one sample apart by name: populations that came with the cells.

    Returns
    -------
    pandas.DataFrame
        ``column, rank, n_levels`` (of ten or more cells), ``n_cells`` (in these), ``smallest, learnt`` (the name is that
        of a clustering), ``cue`` (the name speaks of populations), ``why``; given ones first, then by cue and levels.
    """
    rows = []
    obs = pd.DataFrame() if dataset is None or SAMPLE not in dataset.obs.columns else dataset.obs
    for name in obs.columns:
        if str(name) == SAMPLE or pd.api.types.is_numeric_dtype(obs[name]):
            continue
        texts = as_levels(obs[name])
        sizes = texts.value_counts()
        sizes = sizes[sizes >= _LEAST]
        varies = texts.groupby(as_levels(obs[SAMPLE])).nunique().max() > 1
        if not varies or not _LEVELS[0] <= len(sizes) <= _LEVELS[1] or sizes.sum() < len(texts) / 2:
            continue
        learnt, cue = _LEARNT.search(str(name)) is not None, _CUE.search(str(name)) is not None
        why = f"{len(sizes)} levels of {_LEAST} or more cells that differ between the cells of a sample"
        why += "; its name speaks of populations" if cue else ""
        rows.append((str(name), 0, len(sizes), int(sizes.sum()), int(sizes.min()), learnt, cue, why))
    table = pd.DataFrame(rows, columns=LABELS).sort_values(
        ["learnt", "cue", "n_levels", "column"], ascending=[True, False, False, True], ignore_index=True
    )
    table["rank"] = range(1, len(table) + 1)
    return table


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
