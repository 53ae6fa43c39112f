"""Part of a table as an answer: pages of it, sorted and searched here, since tables are larger than what a page should load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from nereus.api.artifact_files import rows
from nereus.errors import InputError
from nereus.memory.records import Scalar

if TYPE_CHECKING:
    import pandas as pd


class TablePage(BaseModel):
    """Rows of a table, in order; a missing or infinite number is null."""

    columns: list[str]
    kinds: list[str]
    """``number``, ``text`` or ``truth`` of each column."""
    rows: list[list[Scalar]]
    offset: int
    """Place of the first row given here among those found."""
    n_found: int
    n_total: int
    at: int | None
    """Place of the row that was asked for, among those given here."""


def page_of(
    table: pd.DataFrame,
    *,
    offset: int = 0,
    limit: int = 50,
    sort: str | None = None,
    descending: bool = False,
    search: str = "",
    columns: Sequence[str] | None = None,
    row: str | None = None,
) -> TablePage:
    """Part of a table.

    Parameters
    ----------
    table
        All of it; its first column is its key.
    offset, limit
        Which rows, among those that are found.
    sort, descending
        Column to sort by; missing values come last either way.
    search
        Text that one of a row's texts must hold, whatever the case.
    columns
        Which columns, where the table has them; None for all.
    row
        Key of a row; the rows around it are given in place of those from `offset`.

    Raises
    ------
    InputError
        There is no such column.
    """
    found = table
    if search:
        texts = [name for name in found.columns if found[name].dtype.kind not in "biufcM"]
        wanted = search.casefold()
        held = np.zeros(len(found), dtype=bool)
        for name in texts:
            held |= found[name].astype(str).str.casefold().str.contains(wanted, regex=False).to_numpy(bool)
        found = found[held]
    if sort is not None:
        if sort not in found.columns:
            raise InputError(
                f"there is no column {sort!r}", where="sort", mend=f"columns are {list(found.columns)}"
            )
        found = found.sort_values(
            sort,
            ascending=not descending,
            kind="stable",
            na_position="last",
            key=lambda one: one if one.dtype.kind in "biufcM" else one.astype(str).str.casefold(),
        )
    at: int | None = None
    if row is not None:
        places = np.flatnonzero((found.iloc[:, 0].astype(str) == row).to_numpy())
        if len(places):
            offset = max(0, int(places[0]) - limit // 2)
            at = int(places[0]) - offset
    shown = found.iloc[offset : offset + limit]
    if columns is not None:
        shown = shown[[one for one in columns if one in shown.columns]]
    made = rows(shown)
    return TablePage(
        columns=made["columns"],
        kinds=[_kind(shown[one]) for one in shown.columns],
        rows=made["rows"],
        offset=offset,
        n_found=len(found),
        n_total=len(table),
        at=at,
    )


def _kind(column: pd.Series) -> str:
    return "truth" if column.dtype.kind == "b" else "number" if column.dtype.kind in "iufc" else "text"
