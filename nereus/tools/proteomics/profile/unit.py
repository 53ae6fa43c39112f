"""The unit of analysis: which rows are measurements of one subject."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, Column
from nereus.tools.statistics.levels import as_levels

Repeats = Literal["none", "technical", "paired", "mixed"]

_SUFFIX = re.compile(
    r"^(?P<stem>.+?)(?:[\s_.\-:#]+(?:technical|tech|bio|biological)?[\s_.\-]*"
    r"(?:replicate|repl|rep|run|inj|injection|tech|tr|br|r|t)?[\s_.\-]*\d{1,3}|[\s_.\-:#]+[a-e])$",
    re.IGNORECASE,
)
_NO_SUBJECT = re.compile(
    r"^(?:bio|tech)?[\s_.\-]*(?:replicate|repl|rep|r|br|tr|n|exp|run|batch|set|plate|lot|day)?[\s_.\-]*\d{1,2}$",
    re.I,
)
_LIKENESS = 0.8
"""Rows of one subject must lie nearer to each other than rows of different subjects by this ratio of mean
squares."""


@dataclass(frozen=True)
class Unit:
    """Which rows belong to one subject.

    Attributes
    ----------
    word
        What a subject is called: ``mouse``, ``patient`` ... or ``sample`` where each row is one.
    column
        Sample column that names the subject, or None where each row is one.
    constructed
        Whether the column was made by the profile.
    labels
        Subject of each row, None where unknown.
    repeats
        ``technical``: all that is compared is constant within a subject, so its rows are to be aggregated;
        ``paired``: something compared varies within subjects; ``mixed``: both; ``none``.
    varying
        Compared columns that vary within subjects.
    rows_per_subject, most_rows
        Median and largest number of rows.
    why
        How it was found.
    """

    word: str
    column: str | None
    constructed: bool
    labels: pd.Series
    repeats: Repeats
    varying: tuple[str, ...]
    n_subjects: int
    rows_per_subject: float
    most_rows: int
    why: str


def find_unit(obs: pd.DataFrame, columns: list[Column], scores: np.ndarray | None) -> Unit:
    """Find the unit of analysis.

    In this order: a column that names subjects and repeats; a pair column; replicate numbers that leave
    several rows for one combination of condition, batch and replicate; names of rows that share a stem
    (``309_1 ... 309_15``). A stem counts as a subject only if everything compared is constant within it,
    several stems share each condition (else the stem *is* the condition and its rows are biological
    replicates: ``C_R1, C_R2``), and rows of a stem are more alike than rows of different stems. Nothing
    found: each row is a unit.

    Parameters
    ----------
    obs
        Sample sheet with constructed columns.
    columns
        Roles of its columns.
    scores
        Principal component scores of the rows, shape (n_rows, n_components), for the likeness of rows; None
        skips it.
    """
    levels = {column.name: as_levels(obs[column.name]) for column in columns}
    compared = [column for column in columns if column.role in COMPARED and not column.composite]
    # A moment that varies within a subject makes its rows a course, not technical replicates.
    moments = [
        column
        for column in columns
        if column.role in ("continuous", "time") and words.is_moment(column.name, column.levels)
    ]
    named = sorted(
        (column for column in columns if column.role == "subject"),
        key=lambda column: (not words.names_subject(words.tokens(column.name)), column.n_levels),
    )
    if named:
        column = named[0]
        labels, restarted = _restarted(levels[column.name], compared, levels)
        name = column.name if restarted is None else _free_name("subject", obs)
        why = f"column {column.name!r} names it and repeats"
        if restarted is not None:
            why += f"; its numbers start again in each {restarted!r}, so both together name it"
        seen = [*compared, *moments]
        return _unit(_word(column.name), name, restarted is not None, labels, seen, levels, why)
    found = _by_replicate_number(obs, columns, compared, levels)
    if found is None:
        found = _by_stem(obs, columns, compared, levels, scores)
    if found is not None:
        return found
    pairs = [column for column in columns if column.role == "pair"]
    if pairs:
        column = pairs[0]
        why = f"each row is a unit; column {column.name!r} names matched rows"
        return _unit("sample", column.name, False, levels[column.name], [*compared, *moments], levels, why)
    rows = pd.Series(list(map(str, obs.index)), index=obs.index, dtype=object)
    one_each = next(
        (c for c in columns if c.role == "identifier" and words.names_subject(words.tokens(c.name))), None
    )
    why = "each row is a unit: nothing repeats a subject"
    if one_each is not None:
        why = f"each row is a unit: {one_each.name!r} is different in every row"
    word = "sample" if one_each is None else _word(one_each.name)
    return Unit(word, None, False, rows, "none", (), len(rows), 1.0, 1, why)


def _unit(
    word: str,
    column: str,
    constructed: bool,
    labels: pd.Series,
    compared: list[Column],
    levels: dict[str, pd.Series],
    why: str,
) -> Unit:
    known = labels.notna()
    sizes = labels[known].value_counts()
    varying = tuple(
        one.name
        for one in compared
        if int(levels[one.name][known].groupby(labels[known]).nunique().max()) > 1
    )
    repeats: Repeats = "none"
    if sizes.max() > 1:
        repeats = "technical"
        if varying:
            cells = pd.DataFrame({name: levels[name][known] for name in varying}).fillna("")
            cells["subject"] = labels[known]
            repeats = "mixed" if cells.value_counts().median() > 1 else "paired"
    return Unit(
        word,
        column,
        constructed,
        labels,
        repeats,
        varying,
        len(sizes),
        float(sizes.median()),
        int(sizes.max()),
        why,
    )


def _word(column: str) -> str:
    said = words.tokens(column)
    return next(
        (word for word in said if word in words.SUBJECT),
        next((w for w in said if w in words.SPECIMEN), "subject"),
    )


def _free_name(name: str, obs: pd.DataFrame) -> str:
    taken = {str(column) for column in obs.columns}
    while name in taken:
        name += "_"
    return name


def _restarted(
    labels: pd.Series, compared: list[Column], levels: dict[str, pd.Series]
) -> tuple[pd.Series, str | None]:
    """Numbers that recur in several levels of something a subject cannot change start again in each."""
    known = labels[labels.notna()]
    if not all(label.isdigit() and len(label) <= 3 for label in set(known)):
        return labels, None
    for column in compared:
        if not column.fixed_trait:
            continue
        other = levels[column.name]
        both = labels.notna() & other.notna()
        if (other[both].groupby(labels[both]).nunique() > 1).mean() > 0.5:
            joined = [
                None if a is None or b is None else f"{a} {b}" for a, b in zip(other, labels, strict=True)
            ]
            return pd.Series(joined, index=labels.index, dtype=object), column.name
    return labels, None


def _joined(parts: list[pd.Series]) -> pd.Series:
    rows = [
        None if any(cell is None for cell in cells) else " ".join(cells) for cells in zip(*parts, strict=True)
    ]
    return pd.Series(rows, index=parts[0].index, dtype=object)


def _by_replicate_number(
    obs: pd.DataFrame, columns: list[Column], compared: list[Column], levels: dict[str, pd.Series]
) -> Unit | None:
    """Several rows with one condition, batch and biological replicate are technical replicates."""
    numbered = [
        column
        for column in columns
        if set(words.tokens(column.name)) & words.REPLICATE
        and not set(words.tokens(column.name)) & words.TECHNICAL
    ]
    if not numbered or not compared:
        return None
    replicate = numbered[0]
    frame = [levels[c.name] for c in columns if c.role in (*COMPARED, "batch") and not c.composite]
    labels = _joined([*frame, levels[replicate.name]])
    sizes = labels.value_counts()
    if sizes.empty or sizes.median() < 2:
        return None
    alone = levels[replicate.name]
    nested = all(int(part.groupby(alone).nunique().max()) == 1 for part in frame)
    why = f"{sizes.median():g} rows share condition and {replicate.name!r}: technical replicates"
    if nested:
        return _unit("biological replicate", replicate.name, False, alone, compared, levels, why)
    return _unit("biological replicate", _free_name("subject", obs), True, labels, compared, levels, why)


def stems(names: list[str]) -> list[str | None]:
    """Stem of each name before a replicate's number or letter; None where the name has none.

    Examples
    --------
    >>> stems(["309_1", "C_R2", "m12_rep3", "Sample"])
    ['309', 'C', 'm12', None]
    """
    found = [_SUFFIX.match(name.strip()) for name in names]
    return [match["stem"].rstrip(" _.-:#") if match else None for match in found]


def _by_stem(
    obs: pd.DataFrame,
    columns: list[Column],
    compared: list[Column],
    levels: dict[str, pd.Series],
    scores: np.ndarray | None,
) -> Unit | None:
    sources: dict[str, list[str]] = {str(obs.index.name or "sample name"): list(map(str, obs.index))}
    for column in columns:
        if column.role == "identifier" and not set(words.tokens(column.name)) & words.REPLICATE:
            texts = levels[column.name]
            if texts.notna().all() and texts.is_unique:
                sources[column.name] = list(texts)
    for source, names in sources.items():
        found = stems(names)
        sizes = Counter(found)
        repeated = sum(size for stem, size in sizes.items() if stem is not None and size >= 2)
        if not compared:
            continue
        if repeated >= 0.8 * len(names) and 2 <= len(sizes) < len(names):
            labels = pd.Series(
                [stem if stem is not None else name for stem, name in zip(found, names, strict=True)],
                obs.index,
            )
            unit = _technical(source, labels, compared, levels, scores, obs)
            if unit is not None:
                return unit
        unit = _repeated_measures(source, names, compared, levels, obs)
        if unit is not None:
            return unit
    return None


def _technical(
    source: str,
    labels: pd.Series,
    compared: list[Column],
    levels: dict[str, pd.Series],
    scores: np.ndarray | None,
    obs: pd.DataFrame,
) -> Unit | None:
    """Stems within which nothing compared varies, several of them per condition, with rows alike."""
    condition = _joined([levels[column.name].fillna("") for column in compared])
    if int(condition.groupby(labels).nunique().max()) > 1:
        return None
    per_condition = labels.groupby(condition).nunique()
    enough = int((per_condition >= 3).sum()) >= 2
    if not enough:
        # Two stems per condition may be hidden conditions; ids with a number are subjects all the same.
        with_number = np.mean([bool(re.search(r"\d", stem)) for stem in set(labels)]) > 0.8
        enough = bool((per_condition >= 2).mean() >= 0.5 and len(per_condition) >= 2 and with_number)
    if not enough:
        return None
    ratio = None if scores is None else likeness_ratio(scores, labels, condition)
    if ratio is not None and ratio > _LIKENESS:
        return None
    word = _word(source) if words.names_subject(words.tokens(source)) else "subject"
    why = f"the stem of {source!r} groups rows of one condition"
    if ratio is not None:
        why += f", whose mean squared distance is {ratio:.2f} of that between stems of the condition"
    return _unit(word, _free_name(word, obs), True, labels, compared, levels, why)


def _repeated_measures(
    source: str, names: list[str], compared: list[Column], levels: dict[str, pd.Series], obs: pd.DataFrame
) -> Unit | None:
    """Names such as ``P01_pre`` and ``P01_post``: the part that is not the condition names the subject."""
    parts = [re.split(r"[\s_.\-]+", name.strip()) for name in names]
    if len({len(part) for part in parts}) != 1 or len(parts[0]) != 2:
        return None
    for at in (0, 1):
        subject = pd.Series([part[at] for part in parts], obs.index, dtype=object)
        other = pd.Series([part[1 - at] for part in parts], obs.index, dtype=object)
        if any(_NO_SUBJECT.match(label) for label in set(subject)) or subject.nunique() < 3:
            continue
        if not all(re.search(r"\d", label) for label in set(subject)) or subject.value_counts().median() < 2:
            continue
        for column in compared:
            level = levels[column.name]
            known = level.notna()
            same = int(level[known].groupby(other[known]).nunique().max()) == 1
            within = (level[known].groupby(subject[known]).nunique() > 1).mean()
            if same and within >= 0.8 and other.nunique() <= max(2, column.n_levels):
                why = (
                    f"the first part of {source!r} repeats"
                    if at == 0
                    else f"the last part of {source!r} repeats"
                )
                why += f" and {column.name!r} varies within it"
                return _unit("subject", _free_name("subject", obs), True, subject, compared, levels, why)
    return None


def likeness_ratio(scores: np.ndarray, labels: pd.Series, condition: pd.Series) -> float | None:
    """Mean squared distance of rows within a stem over that of rows of other stems of the same condition.

    About 1 when the stem means nothing, near 0 for technical replicates. Shape of `scores`: (n_rows,
    n_components).
    """
    values = labels.to_numpy()
    within = between = n_within = n_between = 0.0
    for level in set(condition):
        rows = np.flatnonzero((condition == level).to_numpy())
        if rows.size < 3:
            continue
        rows = rows[:: max(1, rows.size // 400)]
        points = scores[rows]
        squared = ((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
        same = values[rows][:, None] == values[rows][None, :]
        upper = np.triu(np.ones_like(same), 1)
        within += float(squared[same & upper].sum())
        n_within += float((same & upper).sum())
        between += float(squared[~same & upper].sum())
        n_between += float((~same & upper).sum())
    if not n_within or not n_between or between == 0:
        return None
    return (within / n_within) / (between / n_between)
