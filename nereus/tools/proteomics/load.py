"""From a file as the user has it to a data set: recognise, read, remove, scale, and join the sample sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import anndata
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Capability, Params, Result, SourceFile, tool
from nereus.tools.cytometry.readers.bundle import Bundle, is_archive, read_archive, read_folder, sample_name
from nereus.tools.cytometry.readers.cell_table import looks_like_cells, read_cell_table
from nereus.tools.cytometry.readers.cells import assemble_cells
from nereus.tools.cytometry.readers.fcs import read_fcs
from nereus.tools.proteomics.readers import h5ad, mztab
from nereus.tools.proteomics.readers.assemble import Drop, assemble, unique_ids
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions, WantedLevel
from nereus.tools.proteomics.readers.formats import format_of, recognise
from nereus.tools.proteomics.readers.join_sheet import join_sheets
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Unsupported, recognise_start
from nereus.tools.proteomics.readers.sample_sheet import LEAST_MATCH
from nereus.tools.proteomics.readers.source import MAX_MEGABYTES, Source, open_source
from nereus.tools.proteomics.readers.table import read_table


class LoadParams(Params):
    """Everything is found out from the content by default; a parameter overrides what was found."""

    orientation: Literal["auto", "samples_in_rows", "samples_in_columns"] = "auto"
    """Where the samples are, in generic tables."""
    separator: str = "auto"
    """``tab``, ``comma``, ``semicolon``, ``pipe``, ``space`` or a single character."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal sign."""
    sheet: str | None = None
    """Sheet of a workbook."""
    quantity: Literal[
        "auto", "lfq", "intensity", "ibaq", "top3", "reporter", "abundance", "value", "area", "ratio", "count"
    ] = "auto"
    """Which quantity becomes X where the file has several; ``auto``: LFQ where it covers at least half of the raw
    intensities, else the raw intensities."""
    zero_is_missing: Literal["auto", "yes", "no"] = "auto"
    """Whether zeros stand for missing values."""
    scale: Literal["auto", "raw", "log2", "ln", "log10"] = "auto"
    """Scale of the values in the file. X is always log2."""
    sample_column: str | None = None
    """Column of the sample sheet that names the samples."""
    feature_column: str | None = None
    """Column of a generic table that names the features (or, with samples in rows, the samples)."""
    min_match: float = Field(default=LEAST_MATCH, gt=0, le=1)
    """Smallest share of the samples, or of the sheet's rows where these are fewer, that must find each other."""
    subject: str | None = None
    """Column of the sample sheet that names the subject (patient, mouse ...) of a sample."""
    level: WantedLevel = "auto"
    """What a feature is to be, where a long table has several (``protein``, ``peptide``, ``fragment``; ``site`` or
    ``peptide`` of PSMs); names the level of generic tables; ``cell``: one row a cell."""
    layer: str = ""
    """Name of this layer of a study (``proteome``, ``rna`` ...). With it samples take the names in the sheet's first
    column of distinct entries, so that layers loaded with one sheet match."""
    sample_pattern: str | None = None
    """Regular expression over file names of cells, with a group ``sample``: ``(?P<sample>.+)_(?P<gate>.+)``."""
    compensate: bool = False
    """Take the spillover between fluorochromes out of FCS files by the matrix that each of them holds. Only for values that
    were not compensated before."""
    drop: Drop = Drop()
    """What is removed."""
    max_missing: float = Field(default=0.8, ge=0, le=1)
    """Largest missing rate that is accepted."""
    q_value: float = Field(default=0.01, gt=0, le=1)
    """Largest precursor and protein q-value that is kept of DIA-NN and Spectronaut reports."""
    max_interference: float = Field(default=50.0, ge=0, le=100)
    """Largest share of co-isolated ions in per cent of a PSM with reporters, where the table states it."""
    max_megabytes: int = Field(default=MAX_MEGABYTES, gt=0)
    """Largest size of a file after decompression, in MiB."""


@tool(
    "load_dataset",
    version="5",
    summary="Read quantities of any common proteomics software, site or Olink tables, or cells (FCS, CSV), with their sheets.",
    outputs=("dataset:dataset", "table:removed_rows", "table:sample_match"),
    capability=Capability.READ,
    seconds=2.0,
)
def load_dataset(
    data: SourceFile,
    samples: SourceFile | None,
    annotation: SourceFile | None,
    params: LoadParams,
    *,
    seed: int,
) -> Result:
    r"""Read a data file, and the sample sheet that belongs to it.

    The software is recognised from the content: MaxQuant (proteinGroups, peptides, sites, evidence, SILAC ratios),
    DIA-NN (matrices, report), Spectronaut, FragPipe, mzTab, Olink, Proteome Discoverer and PAW with reporter channels,
    MSstats, OpenMS, Skyline, Progenesis, wide tables of any origin, h5ad, FCS and tables of cells (one file, or a folder
    or zip archive of many).

    X holds log2 values, shape (samples, features), NaN = missing; a file that is logarithmic already is never logged
    again. Of cells X is linear, shape (cells, markers), and obs has the column ``sample``. Contaminant, reverse and
    only-by-site rows are removed and reported. Without a sheet the column ``group`` is guessed from replicate names.
    Reporter channels carry ``plex``, ``channel`` and, where there are any, ``blank``. ``uns["nereus"]`` says software,
    level (protein, peptide, site, fragment, gene, cell, generic), data_kind, quantity, scale and organism.

    Parameters
    ----------
    data
        The data: text (any separator, decimal sign and encoding), gzip, XLSX, Parquet, h5ad, mzTab, FCS, zip, folder.
    samples
        The sample sheet, one row a sample; or one row a run and channel; or one column a channel.
    annotation
        A second sheet: the panel of cytometry channels, or a table joined to a column of the sample sheet.
    params
        See `LoadParams`.
    seed
        Not used.

    Returns
    -------
    Result
        Data set ``dataset``; tables ``removed_rows`` (feature, reason) and ``sample_match`` (sample, row, how).

    Raises
    ------
    InputError
        Whatever makes the file unusable: names the file, row or column, and the mend.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from nereus.tools.base import SourceFile
    >>> folder = Path(tempfile.mkdtemp())
    >>> text = "Protein,C_R1,C_R2,D_R1,D_R2\nP02768,800,900,100,120\nP04264,512,0,256,300\nQ9H0R8,90,80,70,60\n"
    >>> _ = (folder / "table.csv").write_text(text)
    >>> result = load_dataset(SourceFile(folder / "table.csv", "table.csv"))
    >>> result.dataset().shape, result.values["n_missing"], list(result.dataset().obs["group"])
    ((4, 3), 1, ['C', 'C', 'D', 'D'])
    """
    sheet, second = _sheet(samples, params), _sheet(annotation, params)
    read = _read(data, sheet, params)
    if isinstance(read, Bundle):
        return assemble_cells(
            read,
            sheet,
            second,
            sample_column=params.sample_column,
            min_match=params.min_match,
            sample_pattern=params.sample_pattern,
            subject=params.subject,
            layer=params.layer,
            where=data.name,
        )
    joined = join_sheets(
        read, sheet, second, params.sample_column, params.min_match, rename=bool(params.layer and sheet)
    )
    return assemble(
        read,
        joined,
        params.drop,
        quantity=params.quantity,
        scale=params.scale,
        zero_is_missing=params.zero_is_missing,
        max_missing=params.max_missing,
        subject=params.subject,
        layer=params.layer,
        sheet_where=None if sheet is None else sheet.where,
    )


def read(
    path: str | Path, samples: str | Path | None = None, annotation: str | Path | None = None, **params: Any
) -> anndata.AnnData:
    r"""The data set in a file, for notebooks: `load_dataset` without the report.

    Parameters
    ----------
    path
        The quantification table.
    samples
        The sample sheet.
    annotation
        A second sheet, as that of `load_dataset`.
    **params
        Fields of `LoadParams`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "table.csv"
    >>> _ = file.write_text("Protein,A1,A2,B1,B2\nP02768,8,16,4,4\nQ9H0R8,1024,2048,512,512\n")
    >>> read(file).to_df().loc["A1", "P02768"]
    np.float64(3.0)
    """
    files = {
        role: None if file is None else SourceFile(Path(file), Path(file).name)
        for role, file in (("data", path), ("samples", samples), ("annotation", annotation))
    }
    return load_dataset.run(files, params, 0).dataset()


def _sheet(file: SourceFile | None, params: LoadParams) -> Table | None:
    if file is None:
        return None
    source = open_source(file.path, file.name, params.max_megabytes)
    return read_table(source, None, max_megabytes=params.max_megabytes)


def _read(data: SourceFile, sheet: Table | None, params: LoadParams) -> Quantification | Bundle:
    """Recognise the content and read it with its reader."""
    if data.path.is_dir():
        return read_folder(data.path, params.max_megabytes, params.decimal, params.compensate)
    source = open_source(data.path, data.name, params.max_megabytes)
    if source.content == "hdf5":
        return h5ad.read_h5ad(data.path, data.name, params.max_megabytes)
    if source.content == "fcs":
        return Bundle([read_fcs(source.data, sample_name(data.name), source.where, params.compensate)])
    if source.content == "workbook" and is_archive(source.data):
        return read_archive(source, params.max_megabytes, params.decimal, params.compensate)
    if (start := recognise_start(source.data)) is not None:
        raise _unsupported(start, source.where)
    options = ReadOptions(
        sheet=sheet,
        orientation=params.orientation,
        decimal=params.decimal,
        feature_column=params.feature_column,
        sample_column=params.sample_column,
        quantity=params.quantity,
        level=params.level,
        q_value=params.q_value,
        max_interference=params.max_interference,
    )
    if mztab.is_mztab(source.data):
        return mztab.read_mztab(source, options)
    return _read_table(source, options, params)


def _read_table(source: Source, options: ReadOptions, params: LoadParams) -> Quantification | Bundle:
    def select(header: list[str]) -> list[int] | None:
        """Columns that the format's reader uses, so that the rest of a long report is not kept."""
        found = recognise(header)
        return found.columns(header) if isinstance(found, Format) and found.columns is not None else None

    table = read_table(source, params.sheet, params.separator, params.max_megabytes, select)
    if params.level == "cell" or (params.level == "auto" and looks_like_cells(table)):
        return Bundle([read_cell_table(table, sample_name(source.where), params.decimal)])
    found = format_of(table)
    if isinstance(found, Unsupported):
        raise _unsupported(found, source.where)
    return found.read(table, options)


def _unsupported(found: Unsupported, where: str) -> InputError:
    return InputError(
        f"is {found.name}, which is recognised but not supported yet", where=where, mend=found.mend
    )


__all__ = ["Drop", "LoadParams", "load_dataset", "read", "unique_ids"]
