"""What is known of a file that can be fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Use = Literal[
    "kinase-substrate", "factor-target", "signalling", "cell-markers", "molecules", "sequences", "data set"
]


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes
    ----------
    name
        What the user calls it.
    use
        What it is good for.
    file
        Name of the file, unpacked.
    url
        Where it is downloaded from; None where it must be given by the user.
    sha256
        Of the unpacked content, so that a gzipped copy is the same file.
    size
        Bytes, unpacked.
    licence
        Terms, in short.
    source
        Whose it is: what to cite.
    about
        What it holds, in a sentence.
    packed_sha256
        Of the download, where that is gzipped.
    aliases
        Other names under which copies of the file are found.
    """

    name: str
    use: Use
    file: str
    url: str | None
    sha256: str
    size: int
    licence: str
    source: str
    about: str
    packed_sha256: str | None = None
    aliases: tuple[str, ...] = ()


GITHUB = "https://raw.githubusercontent.com"
