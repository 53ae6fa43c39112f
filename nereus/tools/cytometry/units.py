"""The independent units behind cells: samples, or subjects whose samples of one condition are put together.

Thousands of cells of one donor are one observation of that donor. Every test of populations and of their states is
therefore made on a table with one row a unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.cytometry.cell_table import SAMPLE, IntArray, Labels, cell_labels, sample_sheet
from nereus.tools.proteomics.aggregate import group_rows
from nereus.tools.proteomics.matrix import described
from nereus.tools.statistics.contrast_test import TestOptions
from nereus.tools.statistics.design import require_columns
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData


class PopulationTestParams(TestOptions):
    """What tests of populations have in common."""

    contrast: Contrast
    """Levels a and b of a factor; effects are a minus b. Covariates and block are columns that are constant within
    samples.
    """
    population: str = "population"
    """Column of the cells' populations."""
    sample: str = SAMPLE
    """Column of the sample of each cell."""
    unit: str | None = None
    """Column of the subject: its samples of one level are put together, and it is the block where subjects have both
    levels. None takes what the reader says of subjects, else every sample is a unit.
    """
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which findings are counted."""


@dataclass(frozen=True)
class Units:
    """Units of a comparison of cells.

    Attributes
    ----------
    sheet
        One row a unit, columns that are constant within all of them.
    of
        Unit of each cell, -1 none, shape (cells,).
    contrast
        The comparison, with the subject as block where subjects have both levels.
    n_samples
        Samples behind the units.
    notes
        What the reader should know.
    """

    sheet: pd.DataFrame
    of: IntArray
    contrast: Contrast
    n_samples: int
    notes: tuple[str, ...]


def comparison_units(dataset: AnnData, params: PopulationTestParams) -> Units:
    """Put cells into units.

    Raises
    ------
    InputError
        No column of samples, or a column of the comparison is unknown or differs between cells of one sample.
    """
    samples = cell_labels(dataset, params.sample)
    sheet = sample_sheet(dataset, samples)
    contrast = params.contrast
    where = f"contrast {contrast.label!r}"
    columns = [
        contrast.factor,
        *contrast.covariates,
        *([contrast.block] if contrast.block else []),
        *contrast.subset,
    ]
    unit = params.unit
    if unit is None:
        told = described(dataset).get("subject")
        unit = str(told) if told is not None and str(told) in sheet.columns else None
    require_columns(dataset.obs, [*columns, *([unit] if unit else [])], where)
    for column in [*columns, *([unit] if unit else [])]:
        if column not in sheet.columns:
            raise InputError(
                f"column {column!r} differs between cells of one sample",
                where=where,
                mend="compare what is a property of samples; populations go into `population`",
            )
    notes = []
    lost = int((samples.codes < 0).sum())
    if lost:
        notes.append(f"{lost} cells without a sample were left out")
    if unit is None or unit == params.sample:
        return Units(sheet, samples.codes, contrast, len(samples.names), tuple(notes))
    return _subjects(sheet, samples, unit, contrast, notes)


def _subjects(sheet: pd.DataFrame, samples: Labels, unit: str, contrast: Contrast, notes: list[str]) -> Units:
    kept_apart = list(dict.fromkeys([contrast.factor, *contrast.covariates, *contrast.subset]))
    group, names = group_rows([as_levels(sheet[column]) for column in dict.fromkeys([unit, *kept_apart])])
    # A sample without a value for a covariate stays a unit of its own; the design leaves it out and says so.
    alone = np.flatnonzero(group < 0)
    group[alone] = len(names) + np.arange(len(alone))
    names = [*names, *(str(sheet.index[row]) for row in alone)]
    first = np.array([int(np.flatnonzero(group == number)[0]) for number in range(len(names))], dtype=np.intp)
    constant = [
        column
        for column in sheet.columns
        if as_levels(sheet[column]).groupby(group).nunique(dropna=False).max() == 1
    ]
    made = sheet[constant].iloc[first].set_axis(pd.Index(names, dtype=object))
    if len(names) < len(samples.names):
        notes.append(
            f"{len(samples.names)} samples are {len(names)} units: those of one {unit!r} were put together"
        )
    of = np.append(group, -1)[samples.codes]
    repeated = as_levels(made[unit]).duplicated().any()
    if repeated and contrast.block is None:
        contrast = contrast.model_copy(update={"block": unit})
    return Units(made, np.asarray(of, dtype=np.intp), contrast, len(samples.names), tuple(notes))
