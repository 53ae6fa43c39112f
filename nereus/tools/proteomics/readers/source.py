"""A file's bytes: what kind of content it is, safe decompression, and text in the right encoding."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from nereus.errors import InputError

MAX_MEGABYTES = 1024
"""Default limit of the content after decompression, in MiB."""
_CHUNK = 1 << 20

Content = Literal["text", "workbook", "hdf5", "parquet", "fcs"]

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "workbook"),
    (b"PK\x05\x06", "workbook"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"PAR1", "parquet"),
    (b"FCS2.", "fcs"),
    (b"FCS3.", "fcs"),
)
_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (
        b"\xd0\xcf\x11\xe0",
        "is an old Excel file (.xls) or a password-protected workbook",
        "open it, remove the password and save it as .xlsx or as tab-separated text",
    ),
    (b"%PDF", "is a PDF document", "give the table itself: TSV, CSV, XLSX, Parquet or h5ad"),
    (b"Rar!", "is a RAR archive", "unpack it and give the table inside"),
    (b"7z\xbc\xaf", "is a 7z archive", "unpack it and give the table inside"),
    (b"RDX", "is an R data file", "export the table from R with write.csv"),
    (b"SQLite", "is a SQLite database", "export the table as CSV"),
    (b"\x89PNG", "is an image", "give the table itself"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", "unpack it, or use gzip"),
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x19\x1b-\x1f\x7f]")


@dataclass(frozen=True)
class Source:
    """A file's content after decompression.

    `data` holds it in memory; `where` is how messages name the file.
    """

    where: str
    content: Content
    data: bytes
    notes: tuple[str, ...] = field(default=())


def open_source(path: Path, name: str | None = None, max_megabytes: int = MAX_MEGABYTES) -> Source:
    """Read a file, unpack gzip, bzip2 or xz, and tell its kind from its first bytes, never from its name.

    Parameters
    ----------
    path
        The file; symbolic links are followed.
    name
        What to call it in messages; the path's last part by default.
    max_megabytes
        Largest size after decompression, in MiB: guards against decompression bombs.

    Raises
    ------
    InputError
        No such file, a folder, empty, too large, a broken archive, or a kind that is no table.
    """
    where = name or path.name
    limit = max_megabytes * _CHUNK
    try:
        if path.is_dir():
            raise InputError("is a folder, not a table", where=where, mend="name the file inside it")
        if not path.is_file():
            raise InputError("there is no such file", where=str(path), mend="check the path")
        with path.open("rb") as stream:
            head = stream.read(6)
            stream.seek(0)
            data = _unpack(stream, head, limit, where)
    except OSError as error:
        mend = "check its permissions, and that it was copied whole"
        raise InputError(f"cannot be read ({error.strerror or error})", where=where, mend=mend) from None
    return _source(data, where)


def open_head(path: Path, name: str, size: int) -> Source:
    """The first lines of a text, unpacked: at most `size` bytes, cut behind a line; of any other content its first bytes.

    Raises
    ------
    InputError
        An empty file, a broken archive, or a kind that is no table.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(6)
            stream.seek(0)
            data = _opened(stream, start).read(size)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"cannot be read ({error})", where=name, mend="copy it again") from None
    end = data.rfind(b"\n")
    return _source(data[: end + 1] if len(data) == size and end > 0 else data, name)


def open_bytes(data: bytes, where: str, max_megabytes: int = MAX_MEGABYTES) -> Source:
    """As `open_source`, of bytes that are in memory already (a member of an archive)."""
    return _source(_unpack(io.BytesIO(data), data[:6], max_megabytes * _CHUNK, where), where)


def _source(data: bytes, where: str) -> Source:
    if not data.strip(b"\x00\t\r\n \xff\xfe\xef\xbb\xbf"):
        raise InputError(f"the file is empty ({len(data)} bytes)", where=where, mend="export it again")
    for magic, what, mend in _REFUSED:
        if data.startswith(magic):
            raise InputError(what, where=where, mend=mend)
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return Source(where, kind, data)  # type: ignore[arg-type]
    return Source(where, "text", data)


def _opened(stream: IO[bytes], head: bytes) -> Any:
    """The stream, unpacked; the caller closes it."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if head.startswith(b"\xfd7zXZ"):
        return lzma.LZMAFile(stream)
    return stream


def _unpack(stream: IO[bytes], head: bytes, limit: int, where: str) -> bytes:
    opened = _opened(stream, head)
    buffer = io.BytesIO()
    try:
        while chunk := opened.read(_CHUNK):
            buffer.write(chunk)
            if buffer.tell() > limit:
                raise InputError(
                    f"holds more than {limit // _CHUNK} MiB after decompression",
                    where=where,
                    mend="give a smaller table, or raise max_megabytes if you trust the file",
                )
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise InputError(
            f"the compressed file is broken or cut off ({error})", where=where, mend="copy it again"
        ) from None
    except OSError as error:
        if opened is stream:
            raise
        raise InputError(
            f"the compressed file is broken ({error})", where=where, mend="copy it again"
        ) from None
    return buffer.getvalue()


def decode(source: Source) -> tuple[str, tuple[str, ...]]:
    r"""Text of a source with ``\n`` line ends, and notes on what was assumed.

    The byte order mark decides where there is one; then UTF-16 by its zero bytes, UTF-8, and at last cp1252, in
    which old exports are written.
    """
    data, where, notes = source.data, source.where, list(source.notes)
    text: str | None = None
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) and len(data) % 4 == 0:
        text = _strictly(data, "utf-32", where)
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = _strictly(data, "utf-16", where)
    elif data.startswith(codecs.BOM_UTF8):
        text = _strictly(data[3:], "utf-8", where)
    elif b"\x00" in data[:4096]:
        encoding = _utf16_without_mark(data[:4096])
        if encoding is not None:
            text = _strictly(data, encoding, where)
            notes.append(f"read as {encoding} (no byte order mark)")
    if text is None:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            # A single wrong byte in a file full of UTF-8 is damage; bytes above 127 throughout are an old encoding.
            try:
                text = data.decode("cp1252")
                notes.append(
                    f"not UTF-8 (byte {error.start + 1}): read as cp1252; check names with special characters"
                )
            except UnicodeDecodeError:
                text = data.decode("latin-1")
                notes.append(
                    f"not UTF-8 (byte {error.start + 1}): read as latin-1; check names with special characters"
                )
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InputError(
            f"holds binary data (character code {ord(found.group())}), not a text table",
            where=f"{where}, line {line}",
            mend="give TSV, CSV, XLSX, Parquet or h5ad; if it is one of these, copy it again",
        )
    text = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
    return text.replace("\ufeff", "").rstrip("\x1a"), tuple(notes)


def _strictly(data: bytes, encoding: str, where: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"is marked as {encoding}, but byte {error.start + 1} is not valid in it (cut off or damaged)",
            where=where,
            mend="copy it again, or save it as UTF-8",
        ) from None


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 text in Latin letters has a zero in every other byte."""
    half = max(len(head) // 2, 1)
    if head[1::2].count(0) > 0.8 * half and head[0::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if head[0::2].count(0) > 0.8 * half and head[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return None
