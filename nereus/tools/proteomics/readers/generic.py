"""Wide tables of any origin: features in rows or samples in rows, with annotation or metadata beside the values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from nereus.errors import InputError
from nereus.tools.proteomics.readers.accessions import feature_share
from nereus.tools.proteomics.readers.column_names import (
    is_annotation,
    names_features,
    names_samples,
    quantity_and_sample,
)
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import WantedLevel
from nereus.tools.proteomics.readers.numbers import Decimal, numeric_share
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.sample_sheet import best_match
from nereus.tools.proteomics.readers.samples_in_columns import read_samples_in_columns
from nereus.tools.proteomics.readers.samples_in_rows import read_samples_in_rows, row_name_candidates

_NUMERIC = 0.3
"""Share of number-like cells from which a column is meant to be numeric, so that its other cells are errors."""


def read_generic(
    table: Table,
    sheet: Table | None,
    *,
    software: str = "generic",
    orientation: str = "auto",
    decimal: Decimal = "auto",
    feature_column: str | None = None,
    sample_column: str | None = None,
    quantity: str = "auto",
    level: WantedLevel = "auto",
    values: list[int] | None = None,
) -> Quantification:
    """A wide table as it is.

    Parameters
    ----------
    table
        Cells.
    sheet
        Cells of the sample sheet, which settles the orientation and which columns are samples.
    software
        What to call the origin.
    orientation
        ``auto``, ``samples_in_rows`` or ``samples_in_columns``.
    decimal
        Decimal sign.
    feature_column
        Name of the column that names the rows.
    sample_column
        Name of the sheet's id column.
    quantity
        The quantity that is asked for, where column names hold several.
    level
        What a feature is, where the user says it.
    values
        The columns of values, where the caller knows them; samples are columns then.

    Raises
    ------
    InputError
        No numeric columns, an orientation that cannot be told, text in a numeric column, repeated sample names.
    """
    shares = [numeric_share(column) for column in table.columns]
    numeric = [j for j, (share, seen) in enumerate(shares) if seen and share >= _NUMERIC]
    text = [j for j, (share, seen) in enumerate(shares) if seen and share < _NUMERIC]
    if not [j for j in numeric if not is_annotation(table.header[j])]:
        n_annotation = len(numeric)
        beside = f" beside {n_annotation} that describe features" if n_annotation else ""
        raise InputError(
            f"found 0 numeric columns of {len(table.header)} that could be samples{beside}"
            if n_annotation
            else f"found 0 numeric columns of {len(table.header)}",
            where=table.where,
            mend="pass `orientation` or `separator`, and check the decimal sign",
        )
    named = None
    if feature_column is not None:
        found = [j for j, name in enumerate(table.header) if name == feature_column]
        if not found:
            raise InputError(
                f"there is no column {feature_column!r}",
                where=table.where,
                mend=f"columns are {table.header[:12]}",
            )
        named = found[0]
    if values is not None:
        orientation = "samples_in_columns"
    if orientation == "auto":
        orientation = _orientation(table, sheet, numeric, text, sample_column)
    if orientation == "samples_in_columns":
        q = read_samples_in_columns(
            table, sheet, software, numeric, text, decimal, named, sample_column, quantity, values
        )
    else:
        q = read_samples_in_rows(table, sheet, software, numeric, text, decimal, named, sample_column)
    if level == "auto" or level == q.level:
        return q
    if level == "fragment" or (level in ("peptide", "site") and "protein_group" not in q.var.columns):
        raise InputError(
            f"does not name the proteins of its rows, as level {level!r} needs",
            where=table.where,
            mend="leave `level` out, or add a column of protein accessions",
        )
    q.level = level
    return q


# ------------------------------------------------------------------------------------------------ orientation


def _orientation(
    table: Table, sheet: Table | None, numeric: list[int], text: list[int], sample_column: str | None
) -> str:
    """Where the samples are: by the sheet, by identifiers, by the words of the header, by the shape; else refuse."""
    header = table.header
    if sheet is not None:
        in_columns = best_match(
            sheet, [quantity_and_sample(header[j])[1] for j in numeric], sample_column
        ).n_matched
        in_rows = max(
            (
                best_match(sheet, table.columns[j], sample_column).n_matched
                for j in row_name_candidates(table, text)
            ),
            default=0,
        )
        if in_columns > in_rows and in_columns >= 2 and feature_share([header[j] for j in numeric]) >= 0.5:
            raise InputError(
                f"names proteins ({in_columns} columns of the table), not samples",
                where=sheet.where,
                mend="give the sheet with one row a sample",
            )
        if in_columns != in_rows and max(in_columns, in_rows) >= 2:
            return "samples_in_columns" if in_columns > in_rows else "samples_in_rows"
    share_rows = max((feature_share(table.columns[j]) for j in text), default=0.0)
    share_columns = feature_share([header[j] for j in numeric])
    if max(share_rows, share_columns) >= 0.3 and min(share_rows, share_columns) < 0.3:
        return "samples_in_columns" if share_rows > share_columns else "samples_in_rows"
    if sum(quantity_and_sample(header[j])[0] != "value" for j in numeric) >= max(2, 0.3 * len(numeric)):
        return "samples_in_columns"
    words = [header[j] for j in text] or [header[0]]
    if names_samples(words[0]) and not any(map(names_features, words)):
        return "samples_in_rows"
    if any(map(names_features, words)) and not names_samples(words[0]):
        return "samples_in_columns"
    names = table.columns[text[0]] if text else []
    stems_columns = _stem_share([header[j] for j in numeric])
    stems_rows = _stem_share(names)
    if abs(stems_columns - stems_rows) > 0.5 and len(numeric) >= 4 and table.n_rows >= 4:
        return "samples_in_columns" if stems_columns > stems_rows else "samples_in_rows"
    if table.n_rows >= 3 * len(numeric):
        return "samples_in_columns"
    if len(numeric) >= 3 * table.n_rows:
        return "samples_in_rows"
    raise InputError(
        f"cannot tell whether samples are the {len(numeric)} numeric columns or the {table.n_rows} rows",
        where=table.where,
        mend="pass orientation='samples_in_columns' or 'samples_in_rows', or a sample sheet",
    )


def _stem_share(names: Sequence[str]) -> float:
    """Share of names that differ from another one by their last number only, as sample names do."""
    stems = Counter(re.sub(r"\d+$", "", name) for name in names)
    return sum(stems[re.sub(r"\d+$", "", name)] > 1 and name[-1:].isdigit() for name in names) / max(
        len(names), 1
    )
