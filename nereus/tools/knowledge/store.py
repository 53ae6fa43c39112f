"""Find a file of the catalogue on this machine, or fetch it. Nothing is used whose content is not the one listed."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nereus.errors import InputError
from nereus.tools.knowledge.catalogue import Entry

_CHUNK = 1 << 20
_MOST = 2.0
"""Content that unpacks to more than this many times the listed size is not read on."""
_TIMEOUT = 60

State = Literal["local", "fetched", "absent", "changed"]


@dataclass(frozen=True)
class Place:
    """Where a file is.

    Attributes
    ----------
    state
        ``local``: in the user's data folder; ``fetched``: in the cache; ``changed``: a file of that name has another
        content; ``absent``.
    path
        The file, or the one with another content; None where there is none.
    """

    state: State
    path: Path | None


def content_sha256(path: Path, most: int | None = None) -> str:
    """SHA-256 of a file, unpacked where it is gzipped. Reading stops beyond `most` bytes."""
    digest, read = hashlib.sha256(), 0
    for chunk in _chunks(path):
        digest.update(chunk)
        read += len(chunk)
        if most is not None and read > most:
            break
    return digest.hexdigest()


def is_content(path: Path, wanted: Entry) -> bool:
    """Whether a file holds what the catalogue lists."""
    try:
        return content_sha256(path, int(_MOST * wanted.size) + _CHUNK) == wanted.sha256
    except (OSError, EOFError, zlib.error):
        return False


def locate(wanted: Entry, *, home: Path, data: Path | None) -> Place:
    """Look for a file: first in the user's data folder, with all its folders, then in the cache.

    Parameters
    ----------
    wanted
        Entry of the catalogue.
    home
        Folder of everything that Nereus keeps (setting `home`).
    data
        Folder of the user's own copies (setting `data`, NEREUS_DATA), or None.
    """
    changed: Path | None = None
    if data is not None and data.is_dir():
        for path in _named(data, wanted):
            if is_content(path, wanted):
                return Place("local", path)
            if path.name.removesuffix(".gz") == wanted.file:  # a short name may be another file's
                changed = changed or path
    cached = cache_path(wanted, home)
    if cached.is_file():
        if is_content(cached, wanted):
            return Place("fetched", cached)
        changed = changed or cached
    return Place("absent" if changed is None else "changed", changed)


def cache_path(wanted: Entry, home: Path) -> Path:
    """Where a fetched file is kept."""
    return home / "knowledge" / wanted.name / wanted.file


def fetch(wanted: Entry, *, home: Path, data: Path | None) -> Place:
    """Find a file on this machine, else download and check it.

    Raises
    ------
    InputError
        No address is known, the network cannot be reached, or the download is not what the catalogue lists.
    """
    place = locate(wanted, home=home, data=data)
    if place.state in ("local", "fetched"):
        return place
    by_hand = (
        f"put a file called {wanted.file} (or {wanted.file}.gz) with SHA-256 {wanted.sha256} into the folder that "
        "NEREUS_DATA names"
    )
    if wanted.url is None:
        raise InputError(
            f"{wanted.name!r} has no address to be fetched from", where=wanted.source, mend=by_hand
        )
    import pooch
    import requests

    target = cache_path(wanted, home)
    target.parent.mkdir(parents=True, exist_ok=True)
    expected = wanted.packed_sha256 or wanted.sha256
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        try:
            loaded = pooch.retrieve(
                wanted.url, f"sha256:{expected}", fname="download", path=folder,
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT, progressbar=False),
            )  # fmt: skip
        except (requests.RequestException, OSError) as error:
            raise InputError(
                f"{wanted.name!r} could not be downloaded: {type(error).__name__}",
                where=wanted.url,
                mend=f"without a network, {by_hand}",
            ) from None
        except ValueError:
            raise InputError(
                f"the download of {wanted.name!r} is not the file that is listed: its hash differs",
                where=wanted.url,
                mend=f"try again; if the source has changed, {by_hand}",
            ) from None
        fresh = Path(folder) / "unpacked"
        with fresh.open("wb") as out:
            out.writelines(_chunks(Path(loaded)))
        if not is_content(fresh, wanted):
            raise InputError(
                f"the download of {wanted.name!r} is not the file that is listed: its content differs",
                where=wanted.url,
                mend=by_hand,
            )
        os.replace(fresh, target)
    return Place("fetched", target)


def _chunks(path: Path) -> Iterator[bytes]:
    """Content of a file, unpacked where it is gzipped."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        while chunk := stream.read(_CHUNK):
            yield chunk


def _named(folder: Path, wanted: Entry) -> list[Path]:
    """Files of a folder tree that bear the entry's name, plain or gzipped; in order, so that the choice is stable."""
    names = {name for plain in (wanted.file, *wanted.aliases) for name in (plain, f"{plain}.gz")}
    found = [
        Path(root) / file
        for root, _, files in os.walk(folder, followlinks=False)
        for file in files
        if file in names and (Path(root) / file).is_file()  # no pipe or device, which would not end
    ]
    return sorted(found)
