"""Levels of a sample column in the order in which they are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.figures.style import DOWN, FAINT, LEVELS, UP
from nereus.tools.statistics.levels import as_levels, as_numbers

MAX_LEVELS = 10
OTHER = "other"
UNKNOWN = "unknown"


def require_column(obs: pd.DataFrame, column: str) -> pd.Series:
    """Return the sample column; `InputError` naming those there are when it is not one."""
    if column not in obs.columns:
        raise InputError(
            f"there is no sample column {column!r}",
            where="figure",
            mend=f"columns are {list(map(str, obs.columns))}",
        )
    return obs[column]


def drawn_levels(column: pd.Series, first: Sequence[str] = ()) -> tuple[pd.Series, list[str]]:
    """Level of each sample as text, and the levels in drawing order.

    Numbers are ordered by value, text by name; those in `first` lead. Missing values become ``unknown`` and
    what lies beyond the tenth level ``other``; both come last.
    """
    levels = as_levels(column)
    counts = levels.value_counts()
    numbers = as_numbers(column)
    names = sorted(
        map(str, counts.index), key=(float if numbers is not None and numbers.notna().any() else str)
    )
    if len(names) > MAX_LEVELS:
        kept = set(sorted(names, key=lambda name: (-counts[name], name))[: MAX_LEVELS - 1])
        levels = levels.where(levels.isna() | levels.isin(kept), OTHER)
        names = [name for name in names if name in kept] + [OTHER]
    lead = [name for name in first if name in names]
    names = lead + [name for name in names if name not in lead]
    if levels.isna().any():
        levels = levels.fillna(UNKNOWN)
        names.append(UNKNOWN)
    return levels, names


def level_colours(levels: Sequence[str], contrast: Contrast | None = None, start: int = 0) -> dict[str, str]:
    """Colour of each level; the sides of a contrast have those of up and down, so that figures agree."""
    sides = {} if contrast is None else {contrast.a: UP, contrast.b: DOWN}
    rest = [level for level in levels if level not in sides and level not in (OTHER, UNKNOWN)]
    palette = [colour for colour in LEVELS if not sides or colour not in LEVELS[:1]]
    colours = sides | {level: palette[(start + i) % len(palette)] for i, level in enumerate(rest)}
    return {level: colours.get(level, FAINT) for level in levels}
