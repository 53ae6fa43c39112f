"""The sample sheet (and a second one behind it) joined to the samples of a matrix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.memory.records import Scalar
from nereus.tools.base import finite
from nereus.tools.proteomics.readers.channel_sheet import match_channels, one_row_a_channel
from nereus.tools.proteomics.readers.channels import channel_of
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import canonical
from nereus.tools.proteomics.readers.replicates import guess_groups
from nereus.tools.proteomics.readers.sample_sheet import (
    LEAST_MATCH,
    Match,
    best_match,
    match_samples,
    refuse_match,
    sheet_columns,
    stripped,
)

_SHOWN = 3
_LEAST_SAMPLES = 0.5
"""Smallest share of the samples that must stay when the sheet has rows of other samples, too."""
_TECHNICAL = frozenset({"plex", "channel", "run", "blank"})
_NUMBERED = re.compile(r"[A-Za-z]{1,6}[ _.]?(\d+)\Z")


@dataclass
class Joined:
    """Samples with their metadata.

    Attributes
    ----------
    rows
        Positions of the samples that stay.
    obs
        Their metadata.
    table
        Which row of the sheet belongs to which sample, and how it was found.
    values
        What the loader reports of it.
    warnings
        What the user has to know.
    """

    rows: list[int]
    obs: pd.DataFrame
    table: pd.DataFrame
    values: dict[str, Scalar]
    warnings: list[str]


def join_sheets(
    q: Quantification,
    sheet: Table | None,
    annotation: Table | None = None,
    sample_column: str | None = None,
    min_match: float = LEAST_MATCH,
    rename: bool = False,
) -> Joined:
    """Find each sample's row, and put the sheet's columns beside the samples.

    Parameters
    ----------
    q
        The quantification; its own metadata stay, unless the sheet has a column of that name.
    sheet
        The sample sheet.
    annotation
        A second sheet, joined to the columns of the first: of patients, or of runs and channels.
    sample_column
        The sheet's column of sample names.
    min_match
        Smallest share of the smaller side (samples or rows) that must match.
    rename
        Whether samples take the names in the sheet's first column of distinct entries, so that several layers of one
        study, whose files name samples in their own ways, have the same.

    Raises
    ------
    InputError
        Samples without a name or with the same one; a sheet that does not match.
    """
    if repeated := [name for name, count in Counter(q.samples).items() if count > 1]:
        raise InputError(
            f"{len(repeated)} sample names repeat (first: {repeated[:_SHOWN]})",
            where=q.where,
            mend="give each sample its own name",
        )
    if any(not name for name in q.samples):
        raise InputError("a sample has no name", where=q.where, mend="name every sample")
    index = pd.Index(q.samples, dtype=object, name=None)
    obs = q.obs.copy() if q.obs is not None else pd.DataFrame(index=index)
    obs.index = index
    rows = list(range(len(q.samples)))
    warnings: list[str] = []
    match: Match | None = None
    n_extra = n_dropped = 0
    rate: float | None = None
    if sheet is not None:
        sheet = one_row_a_channel(sheet)
        match = _match(sheet, q.samples, obs, sample_column, min_match, warnings)
        rows = [i for i, row in enumerate(match.rows) if row >= 0]
        n_dropped, n_extra = len(q.samples) - len(rows), sheet.n_rows - len(rows)
        rate = len(rows) / len(q.samples)
        if n_dropped:
            left = [q.samples[i] for i, row in enumerate(match.rows) if row < 0]
            if rate < _LEAST_SAMPLES and n_extra:
                raise refuse_match(sheet, q.samples, match, _LEAST_SAMPLES)
            warnings.append(f"{n_dropped} samples have no row in the sheet and were dropped: {left[:_SHOWN]}")
        if n_extra:
            warnings.append(f"{n_extra} rows of the sheet belong to no sample and were left out")
        warnings += [f"sample sheet: {note}" for note in sheet.notes]
        obs = _beside(obs.iloc[rows], sheet, [match.rows[i] for i in rows])
        if rename:
            names = sheet.columns[_key(sheet, match.column)]
            obs.index = pd.Index([names[match.rows[i]] for i in rows], dtype=object)
            obs.insert(0, "sample_in_file", [q.samples[i] for i in rows])
    if annotation is not None:
        obs = _second(obs, one_row_a_channel(annotation), min_match, warnings)
    guessed = False
    # Names of reporter channels end in a number, too, and say nothing of what was labelled.
    nothing_said = set(obs.columns) <= _TECHNICAL and "channel" not in obs.columns
    if sheet is None and annotation is None and nothing_said:
        groups = guess_groups(q.samples)
        if groups is not None:
            obs["group"] = pd.Series(groups, index=obs.index, dtype=object)
            guessed = True
            warnings.append(f"no sample sheet: groups {sorted(set(groups))} guessed from the sample names")
    lines = [float(sheet.lines[r]) if r >= 0 else np.nan for r in match.rows] if match and sheet else np.nan
    table = pd.DataFrame(
        {
            "sample": pd.Series(q.samples, dtype=object),
            "sheet_row": pd.Series(lines, index=range(len(q.samples)), dtype=float),
            "how": pd.Series(match.how if match else [""] * len(q.samples), dtype=object),
        }
    )
    values: dict[str, Scalar] = {
        "match_rate": finite(rate),
        "match_column": sheet.header[match.column] if match is not None and sheet is not None else None,
        "n_samples_without_row": n_dropped,
        "n_rows_without_sample": n_extra,
        "group_guessed": guessed,
    }
    return Joined(rows, obs, table, values, warnings)


def _key(sheet: Table, matched: int) -> int:
    """The first column whose entries are complete and distinct; the matched one where there is none."""
    for j, cells in enumerate(sheet.columns):
        if all(cells) and len(set(cells)) == len(cells):
            return j
    return matched


def _beside(obs: pd.DataFrame, sheet: Table, rows: Sequence[int]) -> pd.DataFrame:
    columns = sheet_columns(sheet, rows)
    columns.index = obs.index
    # Equal names: the sheet is what the user says now, the table what the exporter said.
    return pd.concat([obs.drop(columns=[c for c in obs.columns if c in columns.columns]), columns], axis=1)


def _match(
    sheet: Table,
    samples: Sequence[str],
    obs: pd.DataFrame,
    column: str | None,
    min_match: float,
    warnings: list[str],
) -> Match:
    """By name; by run and channel where the file has both; by order where names are plain numbers on purpose."""
    by_name = best_match(sheet, samples, column)
    if "channel" in obs.columns and column is None:
        runs = {
            str(name): ["" if value != value else str(value) for value in obs[name]]
            for name in obs.columns
            if canonical(str(name)) in ("run", "plex", "mixture")
        }
        by_channel = match_channels(sheet, runs, [str(value) for value in obs["channel"]])
        if by_channel is not None and by_channel.n_matched > by_name.n_matched:
            if by_channel.n_matched < min_match * min(len(samples), sheet.n_rows):
                raise refuse_match(sheet, samples, by_channel, min_match)
            return by_channel
    if by_name.n_matched == 0 and column is None and are_numbered(samples) and sheet.n_rows == len(samples):
        warnings.append(
            f"samples are only numbered ({samples[0]} ... {samples[-1]}): matched to the rows of the sheet in their order"
        )
        return Match(0, list(range(len(samples))), ["order"] * len(samples))
    return match_samples(sheet, samples, column, min_match)


def are_numbered(samples: Sequence[str]) -> bool:
    """Whether names count the samples from one without a gap (V1, V2 ... as R names the parts of a set)."""
    found = [_NUMBERED.match(name) for name in samples]
    stems = {re.sub(r"\d+\Z", "", name) for name in samples}
    return (
        all(found)
        and len(stems) == 1
        and [int(m.group(1)) for m in found if m] == list(range(1, len(samples) + 1))
    )


def _second(obs: pd.DataFrame, table: Table, min_match: float, warnings: list[str]) -> pd.DataFrame:
    """Columns of a second sheet, found by a column that both have or by run and channel."""
    texts = {
        str(name): ["" if value != value else str(value) for value in obs[name]]
        for name in obs.columns
        if not pd.api.types.is_float_dtype(obs[name])
    }
    texts["sample"] = [str(name) for name in obs.index]
    best: tuple[int, list[int], str] = (0, [], "")
    for name, cells in texts.items():
        if sum(bool(channel_of(cell)) for cell in cells) > 0.5 * len(cells) and len(set(cells)) > 1:
            runs = {other: values for other, values in texts.items() if other != name}
            pair = match_channels(table, runs, cells)
            if pair is not None and pair.n_matched > best[0]:
                best = (pair.n_matched, pair.rows, f"{table.header[pair.column]} and channel")
    for name, cells in texts.items():
        for j, column in enumerate(table.columns):
            keys = [stripped(cell) for cell in column]
            counts = Counter(keys)
            place = {key: i for i, key in enumerate(keys) if key and counts[key] == 1}
            rows = [place.get(stripped(cell), -1) for cell in cells]
            found = sum(row >= 0 for row in rows)
            if found > best[0]:
                best = (found, rows, f"{name} = {table.header[j]}")
    if best[0] < max(min_match * len(obs), 1):
        raise InputError(
            f"{best[0]} of {len(obs)} samples found in the second sheet (at least {min_match:.0%} must be)",
            where=table.where,
            mend="give it a column whose entries stand in a column of the sample sheet, one row each",
        )
    kept = [i for i, row in enumerate(best[1]) if row >= 0]
    if len(kept) < len(obs):
        gone = [str(obs.index[i]) for i in range(len(obs)) if best[1][i] < 0]
        warnings.append(
            f"{len(gone)} samples have no row in the second sheet: its columns are empty there: {gone[:_SHOWN]}"
        )
    warnings += [f"second sheet: {note}" for note in table.notes]
    warnings.append(f"second sheet joined by {best[2]}")
    columns = sheet_columns(table, [best[1][i] for i in kept])
    columns.index = obs.index[kept]
    columns = columns[[name for name in columns.columns if name not in obs.columns]]
    return pd.concat([obs, columns.reindex(obs.index)], axis=1)
