"""XLSX workbooks to cells."""

from __future__ import annotations

import datetime
import io
import warnings
import zipfile
from typing import Any

from nereus.errors import InputError
from nereus.tools.proteomics.readers.delimited import Select, Table, _clean_name, _find_header
from nereus.tools.proteomics.readers.source import Source


def read_workbook(
    source: Source, sheet: str | None, max_megabytes: int, select: Select | None = None
) -> Table:
    """Cells of one sheet: the named one, or the first that holds a table.

    Raises
    ------
    InputError
        A broken or protected workbook, a zip archive that is none, no such sheet, or a sheet without a table.
    """
    where = source.where
    _check_archive(source, max_megabytes)
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # openpyxl warns of styles and extensions that hold no cell values
            book = openpyxl.load_workbook(io.BytesIO(source.data), read_only=True, data_only=True)
            names = list(book.sheetnames)
            if sheet is not None and sheet not in names:
                raise InputError(f"there is no sheet {sheet!r}", where=where, mend=f"sheets are {names}")
            grids = {
                name: _grid(book[name]) for name in ([sheet] if sheet is not None else names) if name in names
            }
            book.close()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - openpyxl raises whatever broken XML leads to
        raise InputError(
            f"the workbook cannot be read ({type(error).__name__}: {error})",
            where=where,
            mend="save it again as .xlsx",
        ) from None
    filled = {name: grid for name, grid in grids.items() if sum(len(row) >= 2 for row in grid[0]) >= 2}
    if not filled:
        raise InputError("no sheet holds a table", where=where, mend=f"fill or name a sheet of {names}")
    chosen = next(iter(filled))
    notes = [f"sheet {chosen!r} of {len(filled)} read; pass `sheet` for another"] if len(filled) > 1 else []
    rows, lines, n_dates = filled[chosen]
    if n_dates:
        notes.append(
            f"{n_dates} date cells in sheet {chosen!r}: Excel turns gene names such as SEPT2 into dates"
        )
    width = max(len(row) for row in rows)
    rows = [row + [""] * (width - len(row)) for row in rows]
    where = f"{where}, sheet {chosen!r}"
    position, header, width, _, _ = _find_header(rows, lines, where)
    if position:
        notes.append(f"{position} rows before the header skipped")
    body = [row[:width] for row in rows[position + 1 :]]
    if not body:
        raise InputError("there is a header, but no row below it", where=where, mend="export the table again")
    # Empty columns to the right are formatting, not data.
    full = [i for i in range(width) if header[i].strip() or any(row[i] for row in body)]
    keep = select([header[i] for i in full]) if select is not None else None
    chosen_columns = full if keep is None else [full[i] for i in keep]
    columns = [[row[i] for row in body] for i in chosen_columns]
    before = [[row[i] for i in full] for row in rows[:position]]
    empty = sorted(set(range(lines[position] + 1, lines[-1])) - set(lines))
    names_of_columns = [_clean_name(header[i]) for i in chosen_columns]
    return Table(where, names_of_columns, columns, lines[position + 1 :], notes, before, empty)


def _check_archive(source: Source, max_megabytes: int) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise InputError(
            f"the workbook is broken ({error})", where=source.where, mend="copy it again"
        ) from None
    if any(member.flag_bits & 1 for member in members):
        raise InputError("is protected by a password", where=source.where, mend="save it without password")
    if not any(member.filename.startswith("xl/") for member in members):
        raise InputError(
            "is a zip archive, not a workbook", where=source.where, mend="unpack it and give the table inside"
        )
    if sum(member.file_size for member in members) > max_megabytes << 20:
        raise InputError(
            f"holds more than {max_megabytes} MiB after decompression",
            where=source.where,
            mend="give a smaller table, or raise max_megabytes if you trust the file",
        )


def _grid(sheet: Any) -> tuple[list[list[str]], list[int], int]:
    """Non-empty rows as text, their row numbers, and the number of date cells."""
    rows: list[list[str]] = []
    lines: list[int] = []
    n_dates = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = []
        for value in values:
            n_dates += isinstance(value, datetime.date | datetime.time)
            cells.append(_text(value))
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.append(cells)
            lines.append(number)
    return rows, lines, n_dates


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat()
    return str(value).strip()
