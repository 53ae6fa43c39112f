"""Text tables with one row a cell, as exported from cytometry software, R or Python."""

from __future__ import annotations

import re

import numpy as np

from nereus.errors import InputError
from nereus.tools.cytometry.readers.events import Events
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.numbers import Decimal, number_format, numeric_share, to_floats
from nereus.tools.proteomics.readers.recognise import canonical

_CHANNEL = re.compile(
    # metals: CD3(110:114)Dd, CD45(In115)Di, 141Pr_CD19
    r"(?:.*\(?[A-Z][a-z]?\d{2,3}\)?D[id]$|.*\([\d:]+\)D[id]$|\d{2,3}[A-Z][a-z](?:[_-].*)?$|"
    # scatter, time and what else cytometers record
    r"(?:FSC|SSC)(?:[-_. ]?[AHW])?$|Time$|Event_?length$|DNA[-_ ]?\d.*|.*Viability.*|"
    # fluorochromes with the area, height or width of a pulse
    r"(?:FITC|PE|APC|BV\d{3}|BUV\d{3}|Pacific\W?Blue|Alexa\W?Fluor\W?\d+|PerCP|AmCyan|Qdot\W?\d+)\b.*[-_.](?:A|H|W)$|"
    # markers by their cluster of differentiation
    r"CD\d+[a-zA-Z]*(?:[-_./].*)?$)",
    re.IGNORECASE,
)
_SAMPLE = frozenset(
    {"frame", "file", "file_name", "filename", "sample", "sample_id", "sampleid", "fcs_file", "donor"}
)
_EVENT = frozenset({"", "cell", "cell_id", "event", "event_id", "index", "id", "unnamed_0", "barcode"})
_LEAST_CELLS = 100
_LEAST_NAMED = 0.5
_NUMERIC = 0.5
"""Share of numbers from which a column is meant to hold values, so that its other cells are errors."""


def looks_like_cells(table: Table) -> bool:
    """Whether a table is one of cells: many rows of numbers under the names of channels, and at most a column of samples."""
    if table.n_rows < _LEAST_CELLS:
        return False
    channels = _channels(table)
    named = sum(bool(_CHANNEL.match(table.header[j])) for j in channels)
    return len(channels) >= 2 and named >= _LEAST_NAMED * len(channels) and not _texts(table)


def only_numbers(table: Table) -> bool:
    """Whether a table holds numbers alone (and perhaps a column of samples), as a file of cells in a folder of them does."""
    return table.n_rows >= 1 and len(_channels(table)) >= 2 and not _texts(table)


def _texts(table: Table) -> list[int]:
    """Text columns that are no sample and no number of the cell."""
    texts = []
    for j, name in enumerate(table.header):
        share, seen = numeric_share(table.columns[j])
        if canonical(name) not in _SAMPLE | _EVENT and (not seen or share < _NUMERIC):
            texts.append(j)
    return texts


def _channels(table: Table) -> list[int]:
    return [
        j
        for j, name in enumerate(table.header)
        if canonical(name) not in _SAMPLE
        and not (canonical(name) in _EVENT and _counts(table.columns[j]))
        and numeric_share(table.columns[j])[0] >= _NUMERIC
    ]


def _counts(cells: list[str]) -> bool:
    """Whether a column only counts or names the rows."""
    return len(set(cells)) == len(cells)


def read_cell_table(table: Table, name: str, decimal: Decimal = "auto") -> Events:
    """Cells of one table, with the sample of each where a column names it.

    Raises
    ------
    InputError
        No numeric columns, text or gaps among the values, a column without a name.
    """
    columns = _channels(table)
    if len(columns) < 2:
        raise InputError(
            f"found {len(columns)} numeric columns of {len(table.header)}: no table of cells",
            where=table.where,
            mend="give one row a cell and one column a channel",
        )
    names = [table.header[j] for j in columns]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(
            "a column of values has no name, or two have the same",
            where=table.where,
            mend="name each channel once",
        )
    form = number_format(table, columns, decimal)
    values = np.stack([to_floats(table, j, form) for j in columns], axis=1)
    if np.isnan(values).any():
        i, j = map(int, np.argwhere(np.isnan(values))[0])
        raise InputError(
            "a cell has no value",
            where=table.at(i, columns[j]),
            mend="fill it in or delete the row of this cell",
        )
    by = next((j for j, header in enumerate(table.header) if canonical(header) in _SAMPLE), None)
    samples = None if by is None else list(table.columns[by])
    if samples is not None and "" in samples:
        row = samples.index("")
        raise InputError(
            "the cell names no sample", where=table.at(row, by or 0), mend="fill it in or delete the row"
        )
    return Events(
        name, values, names, [""] * len(names), "cytometry table", table.where, samples, list(table.notes)
    )
