"""What is looked at before an uploaded file is kept: its name, its type by content, and what it would unpack to.

Nothing is parsed here, and nothing of an archive is written: a file that passes is read later, by a reader, in a process
of its own.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from fastapi import UploadFile

from nereus.errors import InputError
from nereus.memory.records import ArtifactRef
from nereus.memory.workspace import Workspace

MAX_UNPACKED = 8 * 2**30
"""Bytes that an archive may hold, together."""
MAX_RATIO = 200
"""How many times larger than itself an archive may be, where it is large: tables shrink ten- to thirtyfold."""
MAX_MEMBERS = 10_000
_ALWAYS_FINE = 64 * 2**20
_LONGEST_NAME = 200
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories of signs that nobody sees, and of those that break a line."""
_CHUNK = 2**20
_REFUSED = {
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\xca\xfe\xba\xbe": "a program",
    b"%PDF": "a PDF document",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}


def kept(workspace: Workspace, upload: UploadFile) -> ArtifactRef:
    """Check an uploaded file and keep it as an artifact.

    Raises
    ------
    InputError
        It is nothing that could be a table, or its name cannot be one.
    """
    name = safe_name(upload.filename or "")
    refuse_strange(upload.file, name)
    upload.file.seek(0)
    with tempfile.TemporaryDirectory(prefix="nereus-upload-") as folder:
        path = Path(folder) / "content"
        with path.open("wb") as target:
            shutil.copyfileobj(upload.file, target, _CHUNK)
        return workspace.artifacts.put_file(path, name)


def safe_name(given: str) -> str:
    """The last part of a file's name, in a form that can be shown and written anywhere.

    Raises
    ------
    InputError
        Nothing is left of it.
    """
    last = PureWindowsPath(PurePosixPath(given.replace("\x00", "")).name).name
    shown = "".join(
        one for one in unicodedata.normalize("NFC", last) if unicodedata.category(one) not in _UNSEEN
    ).strip(". ")
    if not shown:
        raise InputError(f"{given!r} is no name of a file", where="upload", mend="give the file a name")
    stem, dot, suffix = shown.rpartition(".")
    keep = _LONGEST_NAME - len(suffix) - 1
    return shown if len(shown) <= _LONGEST_NAME or keep < 1 else f"{stem[:keep]}{dot}{suffix}"[:_LONGEST_NAME]


def refuse_strange(file: IO[bytes], name: str) -> None:
    """Refuse a file that is no table by its first bytes, is empty, or unpacks to more than it should.

    Raises
    ------
    InputError
        Says what it is.
    """
    file.seek(0)
    head = file.read(8)
    if not head:
        raise InputError("the file is empty", where=name, mend="upload the table itself")
    for magic, what in _REFUSED.items():
        if head.startswith(magic):
            raise InputError(
                f"this is {what}",
                where=name,
                mend="upload a table (text, XLSX, Parquet), an h5ad or an FCS file",
            )
    size = file.seek(0, 2)
    limit = min(MAX_UNPACKED, max(_ALWAYS_FINE, MAX_RATIO * size))
    if head.startswith(b"\x1f\x8b"):
        file.seek(0)
        _refuse_large(_gzip_size(file, limit, name), limit, name)
    elif head.startswith(b"PK"):
        file.seek(0)
        _refuse_archive(file, limit, name)


def _gzip_size(file: IO[bytes], limit: int, name: str) -> int:
    """Bytes that a gzip file holds, counted no further than a limit."""
    seen = 0
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            while seen <= limit and (part := stream.read(_CHUNK)):
                seen += len(part)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"the gzip file is damaged: {error}", where=name, mend="compress it again") from None
    return seen


def _refuse_archive(file: IO[bytes], limit: int, name: str) -> None:
    try:
        members = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"the archive is damaged: {error}", where=name, mend="save it again") from None
    if len(members) > MAX_MEMBERS:
        raise InputError(
            f"the archive holds {len(members)} files", where=name, mend=f"{MAX_MEMBERS} are most"
        )
    for one in members:
        parts = PurePosixPath(one.filename.replace("\\", "/")).parts
        if one.filename.startswith(("/", "\\")) or ".." in parts or ":" in one.filename:
            raise InputError(
                f"the archive holds a file that would lie outside it: {one.filename!r}",
                where=name,
                mend="pack the folder again, with names inside it",
            )
        if (one.external_attr >> 16) & 0o170000 == 0o120000:
            raise InputError(
                f"the archive holds a link: {one.filename!r}", where=name, mend="pack the files themselves"
            )
    _refuse_large(sum(one.file_size for one in members), limit, name)


def _refuse_large(size: int, limit: int, name: str) -> None:
    if size > limit:
        raise InputError(
            f"it would unpack to more than {limit // 2**20} MiB", where=name, mend="upload the table unpacked"
        )
