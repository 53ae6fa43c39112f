"""Which software wrote a table, told from its column names in any punctuation, never from the file's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Unsupported:
    """A format that is recognised and cannot be read, and what to give instead."""

    name: str
    mend: str


def canonical(name: str) -> str:
    """A column name without case and punctuation: words of letters and digits joined by one underscore.

    >>> canonical("Razor + unique.peptides "), canonical("LFQ_intensity..A")
    ('razor_unique_peptides', 'lfq_intensity_a')
    """
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


@dataclass(frozen=True)
class Header:
    """The column names of a table as recognisers ask for them.

    >>> Header(("Protein IDs", "LFQ intensity A")).has("protein_ids")
    True
    """

    raw: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Canonical names, in order."""
        return tuple(canonical(name) for name in self.raw)

    @cached_property
    def known(self) -> frozenset[str]:
        """Canonical names, as a set."""
        return frozenset(self.names)

    def has(self, *names: str) -> bool:
        """Whether all these columns are there."""
        return self.known.issuperset(names)

    def has_any(self, *names: str) -> bool:
        """Whether one of these columns is there."""
        return not self.known.isdisjoint(names)

    def count(self, pattern: str) -> int:
        """Number of columns whose canonical name matches from its beginning."""
        return sum(bool(re.match(pattern, name)) for name in self.names)

    def find(self, *names: str) -> int | None:
        """Position of the first of these columns that is there, in the order asked for."""
        return next((self.names.index(name) for name in names if name in self.known), None)


def header_of(names: Sequence[str]) -> Header:
    """The header as recognisers see it."""
    return Header(tuple(names))


def recognise_start(data: bytes) -> Unsupported | None:
    """Formats that are no single table and cannot be read, told from their first bytes."""
    if data.startswith(b"#1.2") or data.startswith(b"#1.3"):
        return Unsupported("a GCT file", "remove the lines before the header that starts with Name or id")
    return None
