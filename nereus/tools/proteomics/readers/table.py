"""Any tabular file to cells, by its content."""

from __future__ import annotations

from nereus.errors import InputError
from nereus.tools.proteomics.readers.delimited import Select, Table, read_delimited
from nereus.tools.proteomics.readers.source import MAX_MEGABYTES, Source
from nereus.tools.proteomics.readers.workbook import read_workbook


def read_table(
    source: Source,
    sheet: str | None = None,
    separator: str = "auto",
    max_megabytes: int = MAX_MEGABYTES,
    select: Select | None = None,
) -> Table:
    """Cells of delimited text, a workbook or a Parquet file.

    Raises
    ------
    InputError
        The content is no table.
    """
    if source.content == "workbook":
        return read_workbook(source, sheet, max_megabytes, select)
    if sheet is not None:
        raise InputError(
            f"`sheet` names sheet {sheet!r} of a workbook, and the file is none",
            where=source.where,
            mend="leave `sheet` out; the sample sheet is given as a file of its own (--samples)",
        )
    if source.content == "fcs":
        raise InputError(
            "is an FCS file where a table is expected", where=source.where, mend="give TSV, CSV or XLSX"
        )
    if source.content == "parquet":
        return _read_parquet(source, max_megabytes, select)
    if source.content == "hdf5":
        raise InputError(
            "is an HDF5 file where a table is expected", where=source.where, mend="give TSV, CSV or XLSX"
        )
    return read_delimited(source, separator, select)


_OF_A_CELL = 8
"""Bytes of a number in memory."""


def _read_parquet(source: Source, max_megabytes: int, select: Select | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(source.data))
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        names = list(file.schema_arrow.names)
        keep = select(names) if select is not None else None
        # Equal values lie in the file once, however many they are: cells are counted, too.
        cells = file.metadata.num_rows * len(names if keep is None else keep)
        if max(size, cells * _OF_A_CELL) > max_megabytes << 20:
            raise InputError(
                f"holds more than {max_megabytes} MiB after decompression",
                where=source.where,
                mend="give a smaller table, or raise max_megabytes if you trust the file",
            )
        arrow = file.read(columns=None if keep is None else [names[i] for i in keep])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"the Parquet file is broken ({error})", where=source.where, mend="copy it again"
        ) from None
    header = [str(name) for name in arrow.column_names]
    columns = []
    for column in arrow.columns:
        values = column.to_pylist()
        columns.append(["" if value is None or value != value else _text(value) for value in values])
    if not arrow.num_rows:
        raise InputError("there are columns, but no rows", where=source.where, mend="export the table again")
    return Table(source.where, header, columns, range(2, arrow.num_rows + 2))


def _text(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value).strip()
