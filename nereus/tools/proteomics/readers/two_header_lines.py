"""Tables with two header lines, the upper one over several columns each, as supplements to articles have them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.numbers import numeric_share

_BLOCK = 4
"""From so many numeric columns under one upper name on, these are the values; fewer are scores and counts."""


def has_two_header_lines(table: Table) -> bool:
    """Whether the names in the header repeat or are missing, and the line above it tells them apart."""
    if not table.before or len(table.before[-1]) != len(table.header):
        return False
    counts = Counter(table.header)
    doubtful = [name for name, count in counts.items() if count > 1 or not name]
    if not doubtful:
        return False
    names = _joined(table.before[-1], table.header)
    return len(set(names)) == len(names) and all(names)


@dataclass(frozen=True)
class OneHeader:
    """A table under one header.

    Attributes
    ----------
    table
        Names are the lower ones where these are unique, else the upper one in front of the lower.
    values
        Columns of values: those of upper names with at least four numeric columns. Empty where there is no such name.
    parts
        For each of them what its upper name says and its lower name, for instance replicate and channel.
    """

    table: Table
    values: list[int]
    parts: list[tuple[str, str]]


def joined(table: Table) -> OneHeader:
    """Join two header lines to one. Of long upper names only what stands in brackets is kept, if that tells them apart."""
    upper = _carried(table.before[-1], table.header)
    blocks: dict[str, list[int]] = {}
    for j, name in enumerate(upper):
        share, seen = numeric_share(table.columns[j])
        if name and seen and share == 1.0:
            blocks.setdefault(name, []).append(j)
    blocks = {name: columns for name, columns in blocks.items() if len(columns) >= _BLOCK}
    names = _joined(table.before[-1], table.header)
    counts = Counter(table.header)
    names = [low if low and counts[low] == 1 else name for name, low in zip(names, table.header, strict=True)]
    if len(set(names)) < len(names):
        names = _joined(table.before[-1], table.header)
    labels = list(blocks)
    found = [_BRACKETS.search(name) for name in blocks]
    inside = [match.group(1) for match in found if match]
    if len(inside) == len(set(inside)) == len(blocks):
        labels = inside
    values: list[int] = []
    parts: list[tuple[str, str]] = []
    for columns, label in zip(blocks.values(), labels, strict=True):
        for j in columns:
            names[j] = f"{label} {table.header[j]}"
            values.append(j)
            parts.append((label, table.header[j]))
    notes = [note for note in table.notes if "before the header" not in note]
    notes.append("two header lines joined to one")
    return OneHeader(replace(table, header=names, notes=notes, before=table.before[:-1]), values, parts)


_BRACKETS = re.compile(r"\(([^()]+)\)\s*$")


def _joined(upper: list[str], lower: list[str]) -> list[str]:
    return [f"{a} {b}".strip() for a, b in zip(_carried(upper, lower), lower, strict=True)]


def _carried(upper: list[str], lower: list[str]) -> list[str]:
    """The upper names carried to the right over the columns that they head."""
    names: list[str] = []
    for above, below in zip(upper, lower, strict=True):
        names.append(above or (names[-1] if names and below else ""))
    return names
