"""The table of cells as all cytometry tools read it: obs = cells with a column of samples, var = markers or genes.

Cells are never independent units: a sample sheet is made of what is constant within a sample, and tests are done on
samples or subjects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from nereus.errors import InputError
from nereus.tools.cytometry.marker_classes import marker_classes
from nereus.tools.statistics.levels import level_text

if TYPE_CHECKING:
    from anndata import AnnData

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Values = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SAMPLE = "sample"
"""Column of obs that names the sample of a cell, where no other is given."""


@dataclass(frozen=True)
class Labels:
    """A column of cells as codes.

    Attributes
    ----------
    names
        Distinct levels: numbers among them by value, texts by name.
    codes
        Which of them each cell has, -1 unknown, shape (cells,).
    """

    names: tuple[str, ...]
    codes: IntArray

    @property
    def counts(self) -> IntArray:
        """Cells of each level, shape (levels,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))


def cell_labels(dataset: AnnData, column: str, what: str = "cells table") -> Labels:
    """Levels of a column of obs.

    Raises
    ------
    InputError
        There is no such column, or no cell has a value in it.
    """
    if column not in dataset.obs.columns:
        known = [str(name) for name in dataset.obs.columns]
        mend = f"columns are {known[:12]}" if known else "the cells have no columns at all"
        if column == SAMPLE:
            mend = f"name the column that holds the sample of each cell; {mend}"
        raise InputError(f"the cells have no column {column!r}", where=what, mend=mend)
    found, distinct = pd.factorize(np.asarray(dataset.obs[column], dtype=object))
    texts = [level_text(value) for value in distinct]
    names = sorted({text for text in texts if text is not None}, key=_natural)
    if not names:
        raise InputError(
            f"no cell has a value in column {column!r}", where=what, mend="join it from the sample sheet"
        )
    place = {name: number for number, name in enumerate(names)}
    of = np.array([-1 if text is None else place[text] for text in texts] + [-1], dtype=np.intp)
    return Labels(tuple(names), of[found])


def _natural(text: str) -> tuple[tuple[int, float | str], ...]:
    """Sort key under which C2 comes before C10."""
    parts: list[tuple[int, float | str]] = []
    digits = ""
    for letter in text + "\0":
        if letter.isdigit() and letter.isascii():
            digits += letter
            continue
        if digits:
            parts.append((0, float(digits)))
            digits = ""
        parts.append((1, letter))
    return tuple(parts)


def sample_sheet(dataset: AnnData, samples: Labels) -> pd.DataFrame:
    """Columns of obs that are constant within every sample, one row a sample in the order of `samples`."""
    first = np.full(len(samples.names), -1, dtype=np.intp)
    known = np.flatnonzero(samples.codes >= 0)
    first[samples.codes[known][::-1]] = known[::-1]
    sheet: dict[str, npt.NDArray[np.object_]] = {}
    for column in dataset.obs.columns:
        values = np.asarray(dataset.obs[column], dtype=object)
        codes, _ = pd.factorize(values)
        if (codes[known] == codes[first[samples.codes[known]]]).all():
            sheet[str(column)] = values[first]
    frame = pd.DataFrame(sheet, index=pd.Index(samples.names, dtype=object))
    return frame.infer_objects()


def marker_values(dataset: AnnData, columns: IntArray | None = None, layer: str | None = None) -> Values:
    """Values of the chosen columns, shape (cells, columns), float32, NaN missing. Always a copy.

    Raises
    ------
    InputError
        No cell or no marker, an infinite value, or no value at all.
    """
    if dataset.n_obs == 0 or dataset.n_vars == 0:
        raise InputError(
            f"the table has {dataset.n_obs} cells and {dataset.n_vars} markers",
            mend="check the orientation of the table and the gates before this step",
        )
    X = dataset.X if layer is None else dataset.layers[layer]
    if columns is not None:
        X = X[:, columns]
    values = np.array(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float32)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        name = dataset.var_names[column if columns is None else columns[column]]
        raise InputError(
            f"{int(np.isinf(values).sum())} values are infinite",
            where=f"cell {dataset.obs_names[row]!r}, marker {name!r}",
            mend="remove those cells, or load the file again",
        )
    if values.size and np.isnan(values).all():
        raise InputError("every value is missing", mend="check how missing values are written in the file")
    return values


def raw_values(dataset: AnnData, columns: IntArray | None = None) -> Values:
    """Values as measured: the layer ``raw`` that `transform_cells` keeps, else the matrix."""
    return marker_values(dataset, columns, "raw" if "raw" in dataset.layers else None)


def choose_markers(
    dataset: AnnData, named: tuple[str, ...], classes: tuple[str, ...], what: str
) -> tuple[IntArray, list[str]]:
    """Columns of the named markers, or of all of some classes; and what the reader should know.

    Markers without any value, or with one value in all cells, are left out and named in the notes.

    Raises
    ------
    InputError
        A marker is unknown, or none is left.
    """
    names = [str(name) for name in dataset.var_names]
    if named:
        unknown = [name for name in named if name not in names]
        if unknown:
            raise InputError(f"unknown markers {unknown[:3]}", where=what, mend=f"markers are {names[:24]}")
        chosen = [names.index(name) for name in dict.fromkeys(named)]
    else:
        chosen = [at for at, one in enumerate(marker_classes(dataset)) if one in classes]
    if not chosen:
        raise InputError(
            f"no marker is of class {' or '.join(map(repr, classes))}",
            where=what,
            mend="name the markers, or set var column 'marker_class'",
        )
    columns = np.array(chosen, dtype=np.intp)
    usable, notes = usable_markers(dataset, columns)
    if not usable.any():
        raise InputError(
            "no marker varies over the cells", where=what, mend="check the transformation and the gates"
        )
    return columns[usable], notes


def usable_markers(dataset: AnnData, columns: IntArray) -> tuple[Mask, list[str]]:
    """Which columns have values that vary, shape (columns,), and notes about those that do not."""
    X = dataset.X[:, columns]
    if hasattr(X, "toarray"):
        low = np.asarray(X.min(axis=0).toarray()).ravel().astype(float)
        high = np.asarray(X.max(axis=0).toarray()).ravel().astype(float)
    else:
        X = np.asarray(X, dtype=np.float32)
        low = np.fmin.reduce(X, axis=0).astype(float) if len(X) else np.full(len(columns), np.nan)
        high = np.fmax.reduce(X, axis=0).astype(float) if len(X) else np.full(len(columns), np.nan)
    missing, varies = np.isnan(low) | np.isnan(high), high > low
    notes = []
    for mask, why in ((missing, "without a value"), (~varies & ~missing, "the same in all cells")):
        if mask.any():
            shown = [str(dataset.var_names[columns[at]]) for at in np.flatnonzero(mask)]
            more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
            notes.append(f"markers {why} were left out: {', '.join(shown[:6])}{more}")
    return np.asarray(varies & ~missing), notes


def even_draw(codes: IntArray, n: int, rng: np.random.Generator) -> IntArray:
    """Draw about `n` cells, as evenly over the groups as their sizes allow; ascending positions.

    A group that has less than its part gives all it has, and the others share the rest. Cells of no group
    (code -1) are not drawn.
    """
    known = np.flatnonzero(codes >= 0)
    if len(known) <= n:
        return known
    sizes = np.bincount(codes[known])
    part = np.zeros(len(sizes), dtype=np.intp)
    open_groups = list(np.argsort(sizes, kind="stable"))
    left = n
    while open_groups:
        group = open_groups[0]
        part[group] = min(int(sizes[group]), left // len(open_groups))
        left -= int(part[group])
        open_groups.pop(0)
    order = known[np.argsort(codes[known], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    drawn = [
        order[starts[group] : starts[group + 1]][rng.choice(sizes[group], part[group], replace=False)]
        for group in range(len(sizes))
        if part[group]
    ]
    return np.asarray(np.sort(np.concatenate(drawn)), dtype=np.intp)


def group_medians(values: Values, codes: IntArray, n_groups: int) -> FloatArray:
    """Median of each column in each group, ignoring missing values; NaN without any. Shape (groups, columns)."""
    made = np.full((n_groups, values.shape[1]), np.nan)
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(n_groups + 1))
    for group in range(n_groups):
        rows = values[order[edges[group] : edges[group + 1]]]
        seen = ~np.isnan(rows).all(axis=0) if len(rows) else np.zeros(values.shape[1], dtype=bool)
        if seen.any():
            made[group, seen] = np.nanmedian(rows[:, seen], axis=0)
    return made


def group_means(values: Values, codes: IntArray, n_groups: int) -> FloatArray:
    """Mean of each column in each group, ignoring missing values; NaN without any. Shape (groups, columns)."""
    made = np.full((n_groups, values.shape[1]), np.nan)
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(n_groups + 1))
    for group in range(n_groups):
        rows = values[order[edges[group] : edges[group + 1]]]
        n = (~np.isnan(rows)).sum(axis=0)
        total = np.nansum(rows, axis=0, dtype=np.float64)
        made[group] = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    return made
