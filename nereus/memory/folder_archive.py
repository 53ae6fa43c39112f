"""A folder of files as one archive, the same bytes wherever and whenever it is made."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""What every file is dated: the first time that a zip archive can hold."""


def files_of(folder: Path) -> list[Path]:
    """Files that lie in a folder itself, by name; hidden ones and folders inside are left out."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def archive_folder(folder: Path, target: Path) -> None:
    """Write the files of a folder into a zip archive.

    Nothing is compressed, because what compression makes of equal files depends on the library at hand.

    Parameters
    ----------
    folder
        The folder; see `files_of`.
    target
        The archive; written over where it exists.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in files_of(folder):
            entry = zipfile.ZipInfo(path.name, _EARLIEST)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as made on Unix, readable by all
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as inside:
                shutil.copyfileobj(source, inside)
