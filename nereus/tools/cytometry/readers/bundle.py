"""A file of cells, or a folder or zip archive of many: its parts, and the sheets that lie among them."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from nereus.errors import InputError
from nereus.tools.cytometry.readers.cell_table import only_numbers, read_cell_table
from nereus.tools.cytometry.readers.events import Events
from nereus.tools.cytometry.readers.fcs import is_fcs, read_fcs
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.numbers import Decimal
from nereus.tools.proteomics.readers.source import Source, open_bytes, open_source
from nereus.tools.proteomics.readers.table import read_table

_MOST_FILES = 2000
_SUFFIX = re.compile(r"(\.(fcs|csv|tsv|txt|gz|bz2|xz))+$", re.IGNORECASE)
_OUTSIDE = re.compile(r"^[\\/]|^[A-Za-z]:|(^|[\\/])\.\.([\\/]|$)")
_HIDDEN = re.compile(r"(^|/)(\.|__MACOSX/)")


@dataclass
class Bundle:
    """Files of cells, and the other tables beside them."""

    events: list[Events] = field(default_factory=list)
    sheets: list[Table] = field(default_factory=list)


def sample_name(file: str) -> str:
    """A file's name without folder and suffix.

    >>> sample_name("data/PBMC_patient1_Ref.fcs"), sample_name("sample1_Bcells.csv.gz")
    ('PBMC_patient1_Ref', 'sample1_Bcells')
    """
    name = re.split(r"[\\/]", file)[-1]
    return _SUFFIX.sub("", name) or name


def is_archive(data: bytes) -> bool:
    """Whether a zip archive holds files rather than being a workbook."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return False
    return bool(names) and not any(name.startswith("xl/") for name in names)


def read_folder(
    folder: Path, max_megabytes: int, decimal: Decimal = "auto", compensate: bool = False
) -> Bundle:
    """The files of a folder, by name; folders inside it are not searched.

    Raises
    ------
    InputError
        No file of cells, too many files, or whatever makes one of them unusable.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    _check_number(len(files), folder.name)
    sources, left = [], max_megabytes << 20
    for path in files:
        # What is left of the limit, rounded up to MiB, so that packed files cannot add up beyond it.
        sources.append(open_source(path, f"{folder.name}/{path.name}", _megabytes(left)))
        left -= len(sources[-1].data)
        if left < 0:
            raise _too_large(folder.name, max_megabytes)
    return _sorted_out(sources, folder.name, "a folder", max_megabytes, decimal, compensate)


def read_archive(
    source: Source, max_megabytes: int, decimal: Decimal = "auto", compensate: bool = False
) -> Bundle:
    """The files of a zip archive. Nothing is written to disk; sizes are checked before anything is unpacked.

    Raises
    ------
    InputError
        A broken or protected archive, one that is too large, or without a file of cells.
    """
    where = source.where
    limit = max_megabytes << 20
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            if odd := [m.filename for m in archive.infolist() if _OUTSIDE.search(m.filename)]:
                raise InputError(
                    f"the name {odd[0][:60]!r} leads out of the archive",
                    where=where,
                    mend="pack the files again",
                )
            members = [m for m in archive.infolist() if not m.is_dir() and not _HIDDEN.search(m.filename)]
            _check_number(len(members), where)
            if any(member.flag_bits & 1 for member in members):
                raise InputError("is protected by a password", where=where, mend="pack it without a password")
            if sum(member.file_size for member in members) > limit:
                raise _too_large(where, max_megabytes)
            sources, left = [], limit
            for member in sorted(members, key=lambda m: m.filename):
                with archive.open(member) as stream:
                    data = stream.read(left + 1)
                if len(data) > left:
                    raise _too_large(where, max_megabytes)
                # Members may be packed themselves: what they unpack to counts.
                sources.append(open_bytes(data, f"{where}/{member.filename}", _megabytes(left)))
                left -= len(sources[-1].data)
                if left < 0:
                    raise _too_large(where, max_megabytes)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError) as error:
        raise InputError(f"the archive is broken ({error})", where=where, mend="pack it again") from None
    return _sorted_out(sources, where, "a zip archive", max_megabytes, decimal, compensate)


def _megabytes(left: int) -> int:
    """Bytes as MiB, rounded up."""
    return max(-(-left >> 20), 1)


def _check_number(n: int, where: str) -> None:
    if not n:
        raise InputError("holds no files", where=where, mend="put the FCS or CSV files of cells into it")
    if n > _MOST_FILES:
        raise InputError(
            f"holds {n} files (limit {_MOST_FILES})",
            where=where,
            mend="give the files of one experiment only",
        )


def _too_large(where: str, max_megabytes: int) -> InputError:
    return InputError(
        f"holds more than {max_megabytes} MiB after decompression",
        where=where,
        mend="give fewer or smaller files, or raise max_megabytes if you trust them",
    )


def _sorted_out(
    sources: list[Source], where: str, what: str, max_megabytes: int, decimal: Decimal, compensate: bool
) -> Bundle:
    bundle = Bundle()
    for source in sources:
        name = sample_name(source.where)
        if is_fcs(source.data):
            bundle.events.append(read_fcs(source.data, name, source.where, compensate))
        elif source.content in ("text", "workbook", "parquet"):
            table = read_table(source, None, max_megabytes=max_megabytes)
            if only_numbers(table):
                bundle.events.append(read_cell_table(table, name, decimal))
            else:
                bundle.sheets.append(table)
        else:
            raise InputError(
                "is neither FCS nor a table", where=source.where, mend="take it out of the folder or archive"
            )
    if not bundle.events:
        inside = [source.where.split("/")[-1] for source in sources][:4]
        raise InputError(
            f"is {what}, not a table, and no file in it holds cells ({inside})",
            where=where,
            mend="unpack it and give the table inside; several files are read together where they hold cells (FCS, CSV)",
        )
    return bundle
