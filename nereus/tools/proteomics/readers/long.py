"""Long tables, one row a measurement, to a matrix: pivoted by sample and feature, with what is constant beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nereus.errors import InputError
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import ReadOptions
from nereus.tools.proteomics.readers.numbers import FloatArray, NumberFormat, numeric_share, to_floats
from nereus.tools.proteomics.readers.quantification import BoolArray
from nereus.tools.proteomics.readers.recognise import canonical
from nereus.tools.proteomics.readers.sample_sheet import typed

IntArray = NDArray[np.intp]
Merge = Literal["sum", "max", "same"]
"""What becomes of several rows of one feature in one sample: added, the largest, or they have to agree."""

SAME = 1e-3
"""Largest relative difference of values that have to agree; exporters round."""
_TRUE = frozenset({"true", "1", "1.0", "yes", "y", "+"})


@dataclass(frozen=True)
class Pivot:
    """A long table by sample and feature.

    Attributes
    ----------
    samples, features
        Names in order of their first row.
    quantities
        Name -> values, shape (samples, features), NaN where no row has a value.
    rows
        Positions of the table's rows that were kept.
    sample_of_row, feature_of_row
        For each kept row, its position in `samples` and in `features`.
    n_merged
        Rows that shared their place with an earlier row.
    """

    samples: list[str]
    features: list[str]
    quantities: dict[str, FloatArray]
    rows: IntArray
    sample_of_row: IntArray
    feature_of_row: IntArray
    n_merged: int

    @property
    def first_of_sample(self) -> IntArray:
        """The table's row in which each sample stands first."""
        return self.rows[np.unique(self.sample_of_row, return_index=True)[1]]

    @property
    def first_of_feature(self) -> IntArray:
        """The table's row in which each feature stands first."""
        return self.rows[np.unique(self.feature_of_row, return_index=True)[1]]

    def by_feature(self, cells: Sequence[str]) -> list[str]:
        """One cell a feature, from its first row."""
        return [cells[i] for i in self.first_of_feature]


def pivot(
    table: Table,
    keep: BoolArray,
    samples: Sequence[str],
    features: Sequence[str],
    quantities: Mapping[str, int],
    form: NumberFormat,
    merge: Merge,
    *,
    may_be_negative: bool = False,
) -> Pivot:
    """Put the measurements of a long table into matrices.

    Parameters
    ----------
    table
        Cells.
    keep
        Which rows are used.
    samples, features
        Name of the sample and of the feature of every row of the table.
    quantities
        Quantity -> column of its values.
    form
        How numbers are written.
    merge
        What becomes of several rows of one feature in one sample.
    may_be_negative
        Whether the values are logarithms; of intensities a negative one is refused before it is merged with others.

    Raises
    ------
    InputError
        No row is left, a kept row lacks a name, text in a numeric column, or values that must agree and do not.
    """
    rows = np.flatnonzero(keep)
    if not rows.size:
        raise InputError(
            f"none of the {table.n_rows} rows can be used",
            where=table.where,
            mend="check its columns of flags and q-values (q_value raises the limit)",
        )
    named = [pd.Series(list(names), dtype=object).to_numpy()[rows] for names in (samples, features)]
    for what, names in zip(("sample", "feature"), named, strict=True):
        if (names == "").any():
            line = table.lines[int(rows[int(np.argmax(names == ""))])]
            raise InputError(
                f"the row names no {what}",
                where=f"{table.where}, row {line}",
                mend="fill it in or delete the row",
            )
    sample_of_row, sample_levels = pd.factorize(named[0])
    feature_of_row, feature_levels = pd.factorize(named[1])
    shape = (len(sample_levels), len(feature_levels))
    place = sample_of_row * shape[1] + feature_of_row
    matrices = {}
    n_merged = 0
    for name, column in quantities.items():
        values = to_floats(table, column, form)[rows]
        if not may_be_negative and (values < 0).any():
            row = int(rows[int(np.argmax(values < 0))])
            raise InputError(
                f"negative value {table.columns[column][row]!r} among intensities ({int((values < 0).sum())} in all)",
                where=table.at(row, column),
                mend="export raw intensities, not logarithms; correct the cell or leave it empty",
            )
        known = np.isfinite(values)
        n_merged = max(n_merged, int(known.sum()) - len(np.unique(place[known])))
        matrices[name] = _merged(table, rows[known], place[known], values[known], shape, merge, column)
    return Pivot(
        [str(name) for name in sample_levels],
        [str(name) for name in feature_levels],
        matrices,
        rows,
        sample_of_row,
        feature_of_row,
        n_merged,
    )


def _merged(
    table: Table,
    rows: IntArray,
    place: IntArray,
    values: FloatArray,
    shape: tuple[int, int],
    merge: Merge,
    column: int,
) -> FloatArray:
    size = shape[0] * shape[1]
    if merge == "sum":
        total: FloatArray = np.bincount(place, weights=values, minlength=size).astype(float)
        total[np.bincount(place, minlength=size) == 0] = np.nan
        return total.reshape(shape)
    flat = np.full(size, -np.inf)
    np.maximum.at(flat, place, values)
    if merge == "same":
        different = np.abs(flat[place] - values) > SAME * np.abs(values) + 1e-9
        if different.any():
            first = int(np.flatnonzero(different)[0])
            other = int(np.flatnonzero((place == place[first]) & (values == flat[place[first]]))[0])
            cells = table.columns[column]
            raise InputError(
                f"one feature of one sample has several values: {cells[rows[first]]!r} here and {cells[rows[other]]!r} "
                f"in row {table.lines[rows[other]]}",
                where=table.at(int(rows[first]), column),
                mend="give the report as the software wrote it; all rows of a feature in a run repeat one quantity",
            )
    flat[np.isneginf(flat)] = np.nan
    return flat.reshape(shape)


def constants(table: Table, found: Pivot, columns: Mapping[str, int]) -> pd.DataFrame:
    """Columns that say one thing a sample, as metadata of the samples; those that vary within a sample are left out."""
    index = pd.Index(found.samples, dtype=object)
    first = found.first_of_sample
    frame: dict[str, pd.Series[object]] = {}
    for name, j in columns.items():
        cells = np.array(table.columns[j], dtype=object)
        if (cells[found.rows] != cells[first][found.sample_of_row]).any():
            continue
        chosen = [str(cells[i]) for i in first]
        if not any(chosen):
            continue
        part = Table(table.where, [table.header[j]], [chosen], [table.lines[i] for i in first])
        frame[name] = typed(part, 0).set_axis(index)
    return pd.DataFrame(frame, index=index)


def cells_of(table: Table, *names: str) -> list[str] | None:
    """Cells of the first of these columns (canonical names) that is there."""
    header = [canonical(name) for name in table.header]
    return next((table.columns[header.index(name)] for name in names if name in header), None)


def is_true(cells: Sequence[str] | None, n: int) -> BoolArray:
    """A column of yes or no; all no where there is none."""
    if cells is None:
        return np.zeros(n, dtype=bool)
    return np.fromiter((cell.strip().lower() in _TRUE for cell in cells), dtype=bool, count=n)


def wanted_level(options: ReadOptions, available: Sequence[str], where: str) -> str:
    """The level that was asked for, or the first of those that the file has."""
    if options.level == "auto":
        return available[0]
    if options.level not in available:
        raise InputError(
            f"holds no values of level {options.level!r}",
            where=where,
            mend=f"leave `level` out, or ask for one of {list(available)}",
        )
    return options.level


def refuse_unnamed(table: Table) -> None:
    """Refuse a column of numbers without a name, where columns are channels: it may be one of them."""
    for j, name in enumerate(table.header):
        share, seen = numeric_share(table.columns[j])
        if not name and seen and share > 0:
            raise InputError(
                f"column {j + 1} holds numbers but has no name",
                where=table.where,
                mend="name the channel, or remove the column",
            )


def several(found: Pivot, merge: Merge, what: str) -> list[str]:
    """A note on rows that were merged."""
    how = {"sum": "added up", "max": "the largest taken", "same": "they agree"}[merge]
    return [f"{found.n_merged} rows share {what} with another row: {how}"] if found.n_merged else []
