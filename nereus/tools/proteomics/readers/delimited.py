"""Delimited text to cells: the separator, the header row and the width are found out, ragged rows are refused."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from nereus.errors import InputError
from nereus.tools.proteomics.readers.accessions import is_feature_id
from nereus.tools.proteomics.readers.source import Source, decode

# MaxQuant's lists of ids exceed the csv module's default of 128 KiB a field.
csv.field_size_limit(1 << 28)

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_SNIFFED_ROWS = 60
_HEADER_ROWS = 40
_NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$")
_ID_WORDS = re.compile(
    r"protein|accession|uniprot|gene|descr|peptide|sequence|sample|name|feature|^ids?$|symbol|probe|label|mouse|patient|run|file|^sites?$|phosphosite",
    re.IGNORECASE,
)

Select = Callable[[list[str]], "list[int] | None"]


@dataclass
class Table:
    """Cells of a table, as text.

    Attributes
    ----------
    where
        How messages name the file.
    header
        Column names, white space stripped; may repeat or be empty.
    columns
        Cells by column, stripped. Same length and order as `header`.
    lines
        Line (or workbook row) number of each row, counted from 1.
    notes
        What was assumed or skipped.
    before
        Cells of the lines before the header, stripped: banners, or upper lines of a header of several lines.
    empty
        Lines below the header whose cells are all empty; they are no rows. Lines without any cell are not told.
    """

    where: str
    header: list[str]
    columns: list[list[str]]
    lines: Sequence[int]
    notes: list[str] = field(default_factory=list)
    before: list[list[str]] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        """Rows below the header."""
        return len(self.lines)

    def at(self, row: int, column: int) -> str:
        """Where a cell is, for messages."""
        name = self.header[column] or f"number {column + 1}"
        return f"{self.where}, row {self.lines[row]}, column {name!r}"


def read_delimited(source: Source, separator: str = "auto", select: Select | None = None) -> Table:
    """Cells of a delimited text.

    Parameters
    ----------
    source
        The file.
    separator
        ``auto``, a name of `SEPARATORS`, or a single character.
    select
        Given the header, the columns to keep (None = all): spares memory on long reports.

    Raises
    ------
    InputError
        No separator, no header, ragged rows, unbalanced quotes.
    """
    text, notes = decode(source)
    where = source.where
    wanted = SEPARATORS.get(separator, separator)
    sep = _sniff(text, where) if separator == "auto" else wanted
    if len(sep) != 1:
        raise InputError(
            f"separator {separator!r} is no single character",
            where=where,
            mend=f"one of {sorted(SEPARATORS)}",
        )
    table_notes = list(notes)
    try:
        return _parse(text, sep, where, select, table_notes)
    except InputError:
        # A lone quotation mark inside a text column swallows lines; a tab never needs quoting.
        if sep != "\t" or '"' not in text:
            raise
        try:
            table = _parse(text, sep, where, select, list(notes), plain=True)
        except InputError:
            table = None
        if table is None or any('"' in name for name in table.header) or _is_quoted(table):
            raise
        table.notes.append("quotation marks do not pair up: read as plain characters")
        return table


def _is_quoted(table: Table) -> bool:
    """Whether quotation marks enclose whole cells, so that they are no plain characters."""
    return any(
        len(cell) > 1 and cell[0] == cell[-1] == '"' for column in table.columns for cell in column[:50]
    )


def _records(text: str, sep: str, plain: bool = False) -> Any:
    """The csv module's reader; `plain` takes quotation marks as they are."""
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=sep,
        quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL,
        strict=True,
        skipinitialspace=sep == " ",
    )


def _sniff(text: str, where: str) -> str:
    """The separator under which header and rows agree best on a width of at least two."""
    head = text[: 1 << 20]
    head = head if len(head) == len(text) or "\n" not in head else head[: head.rindex("\n") + 1]
    best: tuple[float, int] = (0.0, 0)
    found = ""
    for sep in ("\t", ",", ";", "|"):
        if sep not in head:
            continue
        widths: list[int] = []
        try:
            for record in islice(_records(head, sep), _SNIFFED_ROWS):
                if any(cell.strip() for cell in record):
                    widths.append(len(record))
        except csv.Error:
            if sep != "\t" or not widths:
                continue
        score = _agreement(widths)
        if score[0] > best[0] + 1e-9 or (abs(score[0] - best[0]) < 1e-9 and score[1] > best[1]):
            best, found = score, sep
    if found and best[0] >= 0.5:
        return found
    lines = [line.split() for line in head.split("\n")[:_SNIFFED_ROWS] if line.strip()]
    if lines and len(lines[0]) >= 2 and len({len(parts) for parts in lines}) == 1:
        return " "
    if found:
        return found
    raise InputError(
        "no column separator found (tried tab, comma, semicolon, pipe and space)",
        where=where,
        mend="pass `separator`, and check that the file is a table",
    )


def _agreement(widths: list[int]) -> tuple[float, int]:
    if not widths:
        return (0.0, 0)
    width, _ = Counter(w for w in widths).most_common(1)[0]
    if width < 2:
        return (0.0, 0)
    # A header may be one field shorter than its rows (row names of R).
    agreeing = sum(w == width for w in widths) + (widths[0] == width - 1 and width > 2)
    return (agreeing / len(widths), width)


def _parse(
    text: str, sep: str, where: str, select: Select | None, notes: list[str], plain: bool = False
) -> Table:
    reader = _records(text, sep, plain)
    records: list[list[str]] = []
    lines: list[int] = []
    header: list[str] | None = None
    before: list[list[str]] = []
    keep: list[int] | None = None
    width = 0
    short_header = False
    trailing = False
    start = 1
    shorter: list[int] = []  # rows of a tab-separated text that end early
    last_empty = 0
    header_line = 0
    empty: list[int] = []

    def settle() -> None:
        """Find the header among the first records, and check those already read."""
        nonlocal header, width, keep, records, lines, short_header, trailing, before, header_line
        position, header, width, short_header, trailing = _find_header(records, lines, where, sep == "\t")
        before = [[cell.strip() for cell in record] for record in records[:position]]
        header_line = lines[position]
        if position:
            notes.append(f"{position} line{'s' * (position > 1)} before the header skipped")
        body, body_lines = records[position + 1 :], lines[position + 1 :]
        if short_header:
            notes.append(
                "the header is one name short: the first column is taken as row names, as R writes them"
            )
        keep = select(header) if select is not None else None
        records, lines = [], []
        for record, line in zip(body, body_lines, strict=True):
            add(record, line)

    def add(record: list[str], line: int) -> None:
        nonlocal last_empty
        assert header is not None
        if len(record) == width:
            last_empty += not record[-1].strip()
        else:
            if len(record) > width and trailing and not any(cell.strip() for cell in record[width:]):
                record = record[:width]
            elif sep == "\t" and 2 <= len(record) < width and record[-1].strip():
                shorter.append(len(records))
                record = record + [""] * (width - len(record))
            else:
                _refuse_ragged(record, line, header, width, where, sep)
        records.append(record if keep is None else [record[i] for i in keep])
        lines.append(line)

    try:
        for record in reader:
            line, start = start, reader.line_num + 1
            if sep == " " and record and not record[-1]:
                record.pop()
            if not any(record) or not any(cell.strip() for cell in record):
                if len(record) > 1:
                    empty.append(line)
                continue
            if header is None:
                records.append(record)
                lines.append(line)
                if len(records) >= _HEADER_ROWS:
                    settle()
            else:
                add(record, line)
    except csv.Error as error:
        raise InputError(
            f"quotation marks or line ends are broken ({error})",
            where=f"{where}, row {start}",
            mend="save the table again; quote fields that hold the separator",
        ) from None
    if header is None:
        settle()
    assert header is not None
    if not records:
        raise InputError("there is a header, but no row below it", where=where, mend="export the table again")
    if shorter:
        _check_stripped(shorter, last_empty, len(records), lines, width, where)
        notes.append(
            f"{len(shorter)} rows end early and no row ends in an empty cell: trailing tabs were stripped, cells taken as empty"
        )
    names = header if keep is None else [header[i] for i in keep]
    columns = [[cell.strip() for cell in column] for column in zip(*records, strict=True)]
    if not text.endswith("\n"):
        notes.append("the last line has no line end: check that the file is complete")
    empty = [line for line in empty if line > header_line]
    return Table(where, [_clean_name(name) for name in names], columns, lines, notes, before, empty)


def _check_stripped(
    shorter: list[int], last_empty: int, n_rows: int, lines: list[int], width: int, where: str
) -> None:
    """Editors strip tabs from line ends: then many rows end early, and none ends in an empty cell. All else is damage."""
    # No row of full width: then rather the header has a field too many.
    if last_empty or len(shorter) < 3 or len(shorter) < 0.1 * n_rows or len(shorter) == n_rows:
        raise InputError(
            f"{len(shorter)} of {n_rows} rows have fewer fields than the header's {width}",
            where=f"{where}, row {lines[shorter[0]]}",
            mend="make all rows equally long (a cut-off file, a lost separator?) or pass `separator`",
        )


def _clean_name(name: str) -> str:
    return name.strip().strip('"').strip()


def _find_header(
    records: list[list[str]], lines: list[int], where: str, stripped_tails: bool = False
) -> tuple[int, list[str], int, bool, bool]:
    """Position of the header, its names, the rows' width, and how header and rows differ in width."""
    if len(records) < 2:
        raise InputError(
            "fewer than two lines hold data", where=where, mend="give a table with a header and rows"
        )
    widths = Counter(len(record) for record in records[1:])
    # Banner lines are few: the rows' width is the most common one; on a tie the wider one.
    width = max(widths, key=lambda w: (widths[w], w == len(records[0]), w))
    longest = max(map(len, records))
    if stripped_tails and longest > width + 1:
        first = next(record for record in records if len(record) == longest)
        # Names in the longest line and shorter rows below it: the tabs at the line ends are gone.
        if not any(_NUMBER.match(cell.strip()) for cell in first) and all(cell.strip() for cell in first):
            width = longest
    elif (
        stripped_tails
        and longest == width + 1
        and len(records[0]) == longest
        and all(c.strip() for c in records[0])
    ):
        width = longest
    if width < 2:
        raise InputError("found 1 column only", where=where, mend="pass `separator`")
    extents = [max((i + 1 for i, cell in enumerate(record) if cell.strip()), default=0) for record in records]
    filled = [sum(bool(cell.strip()) for cell in record) for record in records]
    fullest = max(f for f, record in zip(filled, records, strict=True) if len(record) == width)
    for position, record in enumerate(records[:-1]):
        padded = len(record) < width and len(record) >= max(
            extents[position + 1 :]
        )  # empty cells to the right of all rows
        if (len(record) in (width, width - 1) or padded) and filled[position] >= min(
            0.6 * fullest, fullest - 1
        ):
            break
    else:
        raise InputError(
            "no header row found", where=where, mend="give a table whose first row names the columns"
        )
    header = list(records[position])
    line = lines[position]
    _refuse_data_as_header(header, position, records, line, where)
    # One surplus cell that is always empty may as well be the sign of a lost column name: that is refused below.
    if len(header) < width - 1 and header[-1].strip() and len(header) >= max(extents[position + 1 :]):
        return position, header, len(header), False, True
    short = len(header) == width - 1
    if short:
        name = header[0].strip()
        if (
            not name
            or not header[-1].strip()
            or _ID_WORDS.search(name)
            or not _row_names(records[position + 1 :])
        ):
            raise InputError(
                f"the header has {len(header)} fields and the rows have {width}",
                where=f"{where}, row {line}",
                mend="give every column a name; if numbers have decimal commas, do not separate columns by commas",
            )
        return position, ["", *header], width, True, False
    return position, header, width, False, False


def _row_names(records: list[list[str]]) -> bool:
    """Whether these are rows of a matrix that R wrote: distinct row names, and nothing but readings behind them."""
    names = [record[0].strip() for record in records]
    distinct = len(set(names)) == len(names)
    named = all(name and (not _NUMBER.match(name) or name.isdigit()) for name in names)
    cells = [cell.strip() for record in records for cell in record[1:]]
    text = sum(_rough_number(cell) is None and len(cell) > 3 for cell in cells)
    return distinct and named and text <= 0.02 * len(cells)


def _header_is_a_row(header: list[str], records: list[list[str]]) -> bool:
    """Whether the header is of one kind with the rows below it: an identifier above identifiers, readings above readings.

    Whole numbers of one length may be numbered samples and are let pass.
    """
    inside = total = 0
    lengths = set()
    for j, cell in enumerate(header):
        column = [record[j].strip() for record in records if j < len(record)]
        if is_feature_id(cell.strip()) and sum(map(is_feature_id, column)) > 0.5 * len(column):
            return True
        value = _rough_number(cell)
        if value is None:
            continue
        below = [number for text in column if (number := _rough_number(text)) is not None]
        lengths.add(len(cell.strip()) if cell.strip().isdigit() else 0)
        total += 1
        inside += bool(below) and min(below) <= value <= max(below)
    return total >= 2 and inside > 0.5 * total and (len(lengths) > 1 or 0 in lengths)


def _rough_number(cell: str) -> float | None:
    text = re.sub(r"[\s'’]", "", cell)
    return float(text.replace(",", ".")) if _NUMBER.match(text) else None


def _refuse_data_as_header(
    header: list[str], position: int, records: list[list[str]], line: int, where: str
) -> None:
    cells = [cell.strip() for cell in header if cell.strip()]
    numbers = [cell for cell in cells if _NUMBER.match(cell)]
    decimals = [cell for cell in numbers if not cell.isdigit()]
    skipped_table = any(sum(bool(c.strip()) for c in record) >= 2 for record in records[:position])
    if (
        (len(numbers) > 0.5 * len(cells) and skipped_table)
        or len(decimals) > max(0.25 * len(cells), 1)
        or _header_is_a_row(header, records[position + 1 :])
    ):
        if skipped_table:
            what = f"the line before has {len(records[position - 1])} fields and this one has {len(header)}"
            mend = "make header and rows equally long; columns separated by commas cannot hold decimal commas unquoted"
        else:
            what, mend = (
                "the first row holds numbers, not column names",
                "add a header row that names the columns",
            )
        raise InputError(what, where=f"{where}, row {line}", mend=mend)


def _refuse_ragged(record: list[str], line: int, header: list[str], width: int, where: str, sep: str) -> None:
    name = {v: k for k, v in SEPARATORS.items()}.get(sep, sep)
    hint = "; decimal commas clash with commas as separator" if sep == "," and len(record) > width else ""
    raise InputError(
        f"the row has {len(record)} fields, the header has {len(header)} (separator: {name}){hint}",
        where=f"{where}, row {line}",
        mend="make all rows equally long (a cut-off file, an unquoted separator?) or pass `separator`",
    )
