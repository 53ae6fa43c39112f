"""Which markers which populations have: the user's table, or a small one of human and mouse immune cells that ships.

The table that ships was written for this project from textbook knowledge; panels for common subsets are compared in
Maecker, McCoy & Nussenblatt 2012, Nat Rev Immunol 12:191. Names of antigens and their genes follow the HCDM and HGNC
nomenclatures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO

import pandas as pd

from nereus.errors import InputError
from nereus.tools.statistics.levels import level_text

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Population:
    """One population.

    Attributes
    ----------
    name, parent
        Parent is empty at the top.
    positive, negative
        Requirements; each holds alternatives of which one will do.
    """

    name: str
    parent: str
    positive: tuple[tuple[str, ...], ...]
    negative: tuple[tuple[str, ...], ...]


def read_populations(table: pd.DataFrame | None) -> list[Population]:
    """Read populations from a table ``population, positive[, negative][, parent]``, or the one that ships.

    ``positive`` and ``negative`` hold markers between semicolons (each is required), with ``|`` between alternatives.

    Raises
    ------
    InputError
        A column is missing, a population is listed twice, has no positive marker, or an unknown parent.
    """
    where = "table of populations"
    frame = _shipped("immune_populations.csv") if table is None else table
    for column in ("population", "positive"):
        if column not in frame.columns:
            raise InputError(
                f"the table has no column {column!r}",
                where=where,
                mend="columns are population, positive, negative, parent; markers between semicolons",
            )
    found: list[Population] = []
    for row in frame.to_dict("records"):
        name = level_text(row["population"])
        if name is None:
            continue
        positive = _requirements(row["positive"])
        if not positive:
            raise InputError(f"population {name!r} has no positive marker", where=where, mend="name one")
        parent = level_text(row.get("parent")) or ""
        found.append(Population(name, parent, positive, _requirements(row.get("negative"))))
    names = [one.name for one in found]
    if not names:
        raise InputError("the table lists no population", where=where, mend="add one row a population")
    if len(set(names)) < len(names) or UNKNOWN in names:
        twice = sorted({name for name in names if names.count(name) > 1 or name == UNKNOWN})
        raise InputError(f"populations {twice[:3]} cannot be told apart", where=where, mend="one row each")
    for one in found:
        if one.parent and one.parent not in names:
            raise InputError(
                f"parent {one.parent!r} of {one.name!r} is no population", where=where, mend="add its row"
            )
    for one in found:
        if one.name in ancestors(one.name, {p.name: p.parent for p in found}):
            raise InputError(f"{one.name!r} is its own ancestor", where=where, mend="mend the parents")
    return found


def ancestors(name: str, parents: dict[str, str]) -> list[str]:
    """Parent, its parent and so on; a circle ends at its start."""
    line: list[str] = []
    while (name := parents.get(name, "")) and name not in line:
        line.append(name)
    return line


def _requirements(cell: object) -> tuple[tuple[str, ...], ...]:
    text = level_text(cell) or ""
    parts = [tuple(one.strip() for one in part.split("|") if one.strip()) for part in text.split(";")]
    return tuple(part for part in parts if part)


def columns_of(marker: str, known: dict[str, list[int]]) -> list[int]:
    """Columns of a data set that measure a marker, by its name or its other names."""
    names = [marker, *_other_names().get(plain(marker), ())]
    return sorted({column for name in names for column in known.get(plain(name), ())})


def known_names(names: list[str], more: list[str] | None = None) -> dict[str, list[int]]:
    """Plain name -> columns, for the names of a data set and a second name of each (its gene)."""
    found: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        for one in {plain(name), plain(more[column]) if more else ""}:
            if one:
                found.setdefault(one, []).append(column)
    return found


def plain(name: str) -> str:
    """A name without case, spaces, hyphens and dots.

    Examples
    --------
    >>> plain("HLA-DR") == plain("hladr"), plain("NK1.1")
    (True, 'nk11')
    """
    return re.sub(r"[^a-z0-9αβγδ]", "", name.casefold())


@cache
def _other_names() -> dict[str, tuple[str, ...]]:
    table = _shipped("marker_names.csv")
    groups = [
        [str(marker), *str(names).split(";")]
        for marker, names in zip(table["marker"], table["names"], strict=True)
    ]
    return {plain(group[0]): tuple(group) for group in groups}


def _shipped(name: str) -> pd.DataFrame:
    text = files("nereus.tools.cytometry").joinpath("data", name).read_text(encoding="utf-8")
    return pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
