"""The sample sheet: which of its columns names the samples, and which row belongs to which sample.

Names are matched tolerantly but never wrongly: exactly; then without case and punctuation; then without the prefix
of a quantity, folder, file suffix or R's leading X; then by a unique beginning or end. A looser level is used only
where it is one-to-one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.numbers import is_missing, number_format, numeric_share, to_floats
from nereus.tools.proteomics.readers.recognise import canonical

LEAST_MATCH = 0.8
"""Smallest share of the smaller side (samples or rows of the sheet) that must match. A sheet of more samples, or of a
chosen part of them, matches with all of its smaller side; where both sides have strangers, names are spelt differently."""

_ID_HEADER = re.compile(
    r"(?:sample|run|file|raw_file|channel|column|experiment|replicate|r_file|ms_run)(?:_?(?:name|id|label))?s?\Z|(?:id|ids|name|names|file_?name)\Z"
)
_LONGEST_SAMPLE = 250
_SUFFIX = re.compile(
    r"(\.(raw|d|mzml|mzxml|wiff2?|dia|htrms|thermo|gz|zip|scan|fcs|csv|tsv|txt))+$", re.IGNORECASE
)
_QUANTITY = re.compile(
    r"^(?:lfq[\W_]+intensity|reporter[\W_]+(?:ion[\W_]+)?intensit(?:y|ies)(?:[\W_]+corrected)?|intensity|ibaq|abundances?|top3|lfq|"
    r"totint|area|quantity)[\W_]+|[\W_]+(?:maxlfq[\W_]+intensity|lfq[\W_]+intensity|razor[\W_]+intensity|intensity|abundance|lfq|"
    r"area|pg[\W_]+quantity)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Match:
    """Rows of the sheet by sample.

    Attributes
    ----------
    column
        Position of the sheet's id column.
    rows
        Sheet row of each sample, -1 where there is none.
    how
        Level at which each sample was matched: exact, tolerant, stripped, affix, or "".
    """

    column: int
    rows: list[int]
    how: list[str]

    @property
    def n_matched(self) -> int:
        """Samples with a row."""
        return sum(row >= 0 for row in self.rows)


def stripped(name: str) -> str:
    """A sample's name without folder, file suffix and quantity, in canonical form.

    >>> stripped("LFQ intensity C_R1"), stripped("Intensity_C_R1"), stripped("D:/data/C_R1.raw")
    ('c_r1', 'c_r1', 'c_r1')
    """
    if len(name) > _LONGEST_SAMPLE:
        return canonical(name)  # a protein group; no sample has such a name
    name = re.split(r"[\\/]", name.strip())[-1]
    name = re.sub(r"^\[\d+\]\s*", "", name)
    name = _SUFFIX.sub("", _QUANTITY.sub("", _SUFFIX.sub("", name)))
    return re.sub(r"^x(?=\d)", "", canonical(name))


_LEVELS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("exact", str),
    ("tolerant", canonical),
    ("stripped", stripped),
)


def match_samples(
    table: Table, samples: Sequence[str], column: str | None = None, least: float = LEAST_MATCH
) -> Match:
    """Find the id column of a sheet, and the row of each sample.

    Parameters
    ----------
    table
        Cells of the sheet.
    samples
        Sample names of the matrix.
    column
        Name of the id column; the one that matches most samples by default.
    least
        Smallest share of the smaller side that must match.

    Raises
    ------
    InputError
        A sample id stands in two rows with different content, or too few samples match; the message lists three
        unmatched names of each side and the match rate. Two columns name all the samples, but in another order, and
        neither header says that it is the one.
    """
    best = best_match(table, samples, column) if column is not None else _settled(table, samples)
    if best.n_matched < least * min(len(samples), table.n_rows) or not best.n_matched:
        raise refuse_match(table, samples, best, least)
    cells = table.columns[best.column]
    repeated = [cell for cell, count in Counter(cells).items() if count > 1 and not is_missing(cell)]
    used = {cells[row] for row in best.rows if row >= 0}
    if clash := [cell for cell in repeated if cell in used]:
        lines = [table.lines[i] for i, cell in enumerate(cells) if cell == clash[0]]
        raise InputError(
            f"sample {clash[0]!r} stands in {len(lines)} rows ({', '.join(map(str, lines[:4]))})",
            where=f"{table.where}, column {table.header[best.column]!r}",
            mend="keep one row a sample",
        )
    return best


def _settled(table: Table, samples: Sequence[str]) -> Match:
    """The best column; where several match as many samples, and not alike, the one whose header says so."""
    matches = _matches(table, samples, range(len(table.header)))
    best = _best(matches)
    rivals = [one for one in matches if one.n_matched == best.n_matched and one.rows != best.rows]
    if not best.n_matched or not rivals:
        return best
    named = [one for one in (best, *rivals) if _ID_HEADER.match(canonical(table.header[one.column]))]
    if len({tuple(one.rows) for one in named}) == 1:
        return named[0]
    columns = sorted({one.column for one in (best, *rivals)})
    raise InputError(
        f"columns {[table.header[j] for j in columns]} name the same samples in different rows",
        where=table.where,
        mend="name the column of the samples with sample_column",
    )


def refuse_match(table: Table, samples: Sequence[str], match: Match, least: float) -> InputError:
    """The error that says how few samples were found, and who is left on either side."""
    rate = match.n_matched / max(min(len(samples), table.n_rows), 1)
    taken = set(match.rows)
    left = [name for name, row in zip(samples, match.rows, strict=True) if row < 0][:3]
    right = [cell for i, cell in enumerate(table.columns[match.column]) if i not in taken and cell][:3]
    return InputError(
        f"{match.n_matched} of {len(samples)} samples found in the sheet (match rate {rate:.0%}, at least {least:.0%} "
        f"must be); without a row: {left}; rows without a sample: {right}",
        where=table.where,
        mend="make one column of the sheet equal the sample names, name it with sample_column, or lower min_match",
    )


def best_match(table: Table, samples: Sequence[str], column: str | None = None) -> Match:
    """The id column that matches most samples (or the named one), however few these are."""
    candidates = range(len(table.header))
    if column is not None:
        named = [
            j
            for j in candidates
            if table.header[j] == column or canonical(table.header[j]) == canonical(column)
        ]
        if not named:
            raise InputError(
                f"there is no column {column!r}", where=table.where, mend=f"columns are {table.header[:12]}"
            )
        candidates = range(named[0], named[0] + 1)
    return _best(_matches(table, samples, candidates))


def _matches(table: Table, samples: Sequence[str], columns: Iterable[int]) -> list[Match]:
    forms = [[form(sample) for sample in samples] for _, form in _LEVELS]
    return [_match_column(table.columns[j], j, samples, forms) for j in columns]


def _best(matches: Sequence[Match]) -> Match:
    return max(matches, key=lambda match: (match.n_matched, -match.column))


def _match_column(cells: Sequence[str], column: int, samples: Sequence[str], forms: list[list[str]]) -> Match:
    rows = [-1] * len(samples)
    how = [""] * len(samples)
    taken: set[int] = set()
    known: dict[str, str] = {}
    for (level, form), sample_keys in zip(_LEVELS, forms, strict=True):
        keys = Counter(sample_keys)
        known = {cell: form(cell) for cell in set(cells)}
        counts = Counter(known[cell] for cell in cells)
        ids: dict[str, int] = {}
        for i, cell in enumerate(cells):
            ids.setdefault(known[cell], i)
        for j, key in enumerate(sample_keys):
            # Two samples or two rows that only differ in what this level ignores are left to nobody.
            if rows[j] >= 0 or not key or key not in ids or ids[key] in taken or keys[key] > 1:
                continue
            if level != "exact" and counts[key] > 1:
                continue
            rows[j], how[j] = ids[key], level
            taken.add(ids[key])
    if all(row < 0 for row in rows):
        _match_affixes([known[cell] for cell in cells], forms[-1], rows, how)
    return Match(column, rows, how)


def _match_affixes(ids: list[str], keys: list[str], rows: list[int], how: list[str]) -> None:
    """Whole words at the beginning or end of a name: ``batch1_C_R1`` and ``C_R1``. One-to-one or not at all."""
    by_id: dict[str, set[int]] = defaultdict(set)
    by_affix: dict[str, set[int]] = defaultdict(set)
    for i, name in enumerate(ids):
        by_id[name].add(i)
        for affix in _affixes(name):
            by_affix[affix].add(i)
    pairs: list[tuple[int, int]] = []
    for j, key in enumerate(keys):
        found = set(by_affix.get(key, ())) if _may_stand_alone(key) else set()
        for affix in _affixes(key):
            found |= by_id.get(affix, set())
        if len(found) > 1:
            return
        pairs += [(j, i) for i in found]
    if len({i for _, i in pairs}) < len(pairs):
        return
    for j, i in pairs:
        rows[j], how[j] = i, "affix"


def _affixes(name: str) -> list[str]:
    """Beginnings and ends of a name at its word limits."""
    words = name.split("_")
    parts = {"_".join(words[:n]) for n in range(1, len(words))} | {
        "_".join(words[n:]) for n in range(1, len(words))
    }
    return [part for part in parts if _may_stand_alone(part)]


def _may_stand_alone(part: str) -> bool:
    return len(part) >= 3 and not part.isdigit()


def sheet_columns(table: Table, rows: Sequence[int]) -> pd.DataFrame:
    """Sheet columns for the given rows: numbers as float, anything else as text, missing as NaN.

    Columns that repeat or lack a name are refused or named by position, so that none is lost silently.
    """
    names = [name or f"column_{j + 1}" for j, name in enumerate(table.header)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    for name in repeated:
        positions = [j for j, other in enumerate(names) if other == name]
        if any(table.columns[j] != table.columns[positions[0]] for j in positions):
            raise InputError(
                f"{len(positions)} columns are called {name!r} and differ",
                where=table.where,
                mend="rename or remove one of them",
            )
    frame: dict[str, pd.Series[object]] = {}
    for j, name in enumerate(names):
        if name in frame:
            continue
        if not any(table.columns[j]) and not table.header[j]:
            continue
        frame[name] = typed(table, j).iloc[list(rows)].reset_index(drop=True)
    return pd.DataFrame(frame)


def typed(table: Table, column: int) -> pd.Series[object]:
    """One metadata column: float where every cell is a number or missing, else text with NaN for missing."""
    cells = table.columns[column]
    share, seen = numeric_share(cells)
    # Numbers with leading zeros are labels: 007 is not 7.
    labels = any(re.match(r"0\d", cell) for cell in cells)
    if share == 1.0 and seen and not labels:
        try:
            return pd.Series(to_floats(table, column, number_format(table, [column])), dtype=float)
        except InputError:
            pass  # an ambiguous number in metadata stays the text it is
    return text_series(cells)


def text_series(cells: Sequence[str]) -> pd.Series[object]:
    """Text with NaN where a cell is missing; an all-missing column is float NaN."""
    values = [np.nan if is_missing(cell) else cell for cell in cells]
    if all(isinstance(value, float) for value in values):
        return pd.Series(np.full(len(values), np.nan))
    if any(isinstance(value, float) for value in values):
        # h5ad holds no text column with gaps; a categorical one it does.
        return pd.Series(pd.Categorical(values))
    return pd.Series(values, dtype=object)
