"""One data set of all cells: obs = cells with their sample and what the sheet says of it, var = markers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.base import Result, finite
from nereus.tools.cytometry.readers.bundle import Bundle
from nereus.tools.cytometry.readers.events import Events
from nereus.tools.cytometry.readers.panel import Panel, read_panel
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.join_sheet import Joined, are_numbered, join_sheets
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import canonical
from nereus.tools.proteomics.readers.sample_sheet import best_match

_SHOWN = 3
_IDS = ("sample", "sample_id", "sampleid")


def assemble_cells(
    bundle: Bundle,
    sheet: Table | None,
    annotation: Table | None,
    *,
    sample_column: str | None,
    min_match: float,
    sample_pattern: str | None,
    subject: str | None,
    layer: str,
    where: str,
) -> Result:
    r"""Put the cells of all files into one data set.

    Parameters
    ----------
    bundle
        Files of cells, and tables that lay beside them.
    sheet, annotation
        Sample sheet and panel as the user gave them, in either order.
    sample_column
        Column of the sheet that names samples or files.
    min_match
        Smallest share of samples that must stand in the sheet.
    sample_pattern
        A regular expression with a named group ``sample`` and others that become columns, taken of file names.
    subject, layer
        As the loader's parameters.
    where
        How messages name the input.

    Raises
    ------
    InputError
        Files with different channels, a sheet that does not match, a pattern that does not fit.
    """
    warnings: list[str] = []
    values, names, of_cell, events = _stacked(bundle.events, where, warnings)
    tables = [table for table in (annotation, sheet) if table is not None]
    panel, tables = _find_panel(tables, bundle.sheets, events.channels, warnings)
    sheet = _find_sheet(tables, bundle.sheets, names, warnings)
    parts = _parts(names, sample_pattern, where, warnings)
    samples = [part.get("sample", name) for part, name in zip(parts, names, strict=True)]
    joined = _join(samples, parts, names, sheet, sample_column, min_match, where)
    warnings += joined.warnings
    stays = np.zeros(len(names), dtype=bool)
    stays[joined.rows] = True
    kept = stays[of_cell]
    if not kept.any():
        raise InputError(
            "no cell belongs to a sample of the sheet", where=where, mend="check the sample sheet"
        )
    place = np.cumsum(stays) - 1
    of_cell, values = place[of_cell[kept]], values[kept]
    obs = joined.obs.reset_index(drop=True)
    sample = _sample_names(obs, [samples[i] for i in joined.rows])
    columns = {
        str(name): pd.Categorical(obs[name].iloc[of_cell])
        if not pd.api.types.is_numeric_dtype(obs[name])
        else obs[name].to_numpy()[of_cell]
        for name in obs.columns
        if canonical(str(name)) != "sample"
    }
    numbers = _within(of_cell)
    index = pd.Index([f"{sample[i]}:{k}" for i, k in zip(of_cell, numbers, strict=True)], dtype=object)
    if not index.is_unique:
        index = pd.Index(
            [f"{names[joined.rows[i]]}:{k}" for i, k in zip(of_cell, numbers, strict=True)], dtype=object
        )
    frame = pd.DataFrame(
        {
            "sample": pd.Categorical(
                np.array(sample, dtype=object)[of_cell], categories=list(dict.fromkeys(sample))
            ),
            **columns,
        },
        index=index,
    )
    var = _var(events, panel, warnings)
    dataset = anndata.AnnData(X=values, obs=frame, var=var)
    facts: dict[str, str | bool | float] = {}
    for one in bundle.events:
        facts |= one.facts
    n_samples = len(set(sample))
    software = events.software
    dataset.uns["nereus"] = {
        "software": software,
        "level": "cell",
        "data_kind": "cells",
        "quantity": "value",
        "scale": "raw",
        "scale_found": "raw",
        "zero_is_missing": False,
        "id_space": "panel",
        "organism": "unknown",
        "orientation": "samples_in_rows",
        "layer": layer,
        "group_guessed": False,
        **facts,
        "history": [
            f"loaded {where}: {len(values)} cells of {n_samples} samples, {var.shape[0]} channels, not transformed"
        ],
    }
    if subject is not None:
        if subject not in frame.columns:
            raise InputError(
                f"there is no column {subject!r}", where=where, mend=f"columns are {list(frame.columns)[:12]}"
            )
        dataset.uns["nereus"]["subject"] = subject
    return Result(
        summary=f"{software}: {len(values)} cells of {n_samples} samples x {var.shape[0]} channels, linear, not transformed.",
        values={
            "software": software,
            "level": "cell",
            "data_kind": "cells",
            "quantity": "value",
            "orientation": "samples_in_rows",
            "n_features": int(var.shape[0]),
            "n_samples": n_samples,
            "n_cells": len(values),
            "n_files": len(bundle.events),
            "n_missing": 0,
            "missing_rate": 0.0,
            "fewest_cells": int(np.bincount(of_cell).min()),
            "negative_rate": finite(float((values < 0).mean())),
            "already_log2": False,
            "scale_found": "raw",
            "organism": "unknown",
            "id_space": "panel",
            "panel_found": panel is not None,
            **joined.values,
        },
        tables={
            "removed_rows": pd.DataFrame({"feature": [], "reason": []}, dtype=object),
            "sample_match": joined.table,
        },
        datasets={"dataset": dataset},
        warnings=tuple(dict.fromkeys(warnings)),
        n_total=len(kept),
        n_returned=len(values),
    )


def _stacked(
    parts: Sequence[Events], where: str, warnings: list[str]
) -> tuple[np.ndarray, list[str], np.ndarray, Events]:
    """Values of all cells, names of the samples, the sample of each cell, and the first file."""
    first = parts[0]
    names: list[str] = []
    codes: list[np.ndarray] = []
    blocks: list[np.ndarray] = []
    for part in parts:
        warnings += part.notes
        if set(part.channels) != set(first.channels):
            odd = sorted(set(part.channels) ^ set(first.channels))
            raise InputError(
                f"its channels differ from those of {first.where} ({odd[:4]})",
                where=part.where,
                mend="give files of one panel, or take this one out",
            )
        order = [part.channels.index(name) for name in first.channels]
        if part.markers != first.markers and [part.markers[j] for j in order] != first.markers:
            warnings.append(
                f"{part.where} names markers differently from {first.where}: the latter's names are used"
            )
        blocks.append(part.values[:, order])
        if part.samples is None:
            codes.append(np.full(len(part.values), len(names)))
            names.append(part.name)
        else:
            found, levels = pd.factorize(np.array(part.samples, dtype=object))
            codes.append(found + len(names))
            names += [str(level) for level in levels]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(
            f"{len(repeated)} files or samples have the same name (first: {repeated[:_SHOWN]})",
            where=where,
            mend="rename them",
        )
    return np.concatenate(blocks), names, np.concatenate(codes), first


def _find_panel(
    given: list[Table], beside: list[Table], channels: list[str], warnings: list[str]
) -> tuple[Panel | None, list[Table]]:
    """The panel among the tables that were given or lie beside the files, and the given tables that are none."""
    for tables in (given, beside):
        for table in tables:
            panel = read_panel(table, channels)
            if panel is not None:
                warnings += [f"panel: {note}" for note in (*table.notes, *panel.notes)]
                if tables is beside:
                    beside.remove(table)
                    warnings.append(f"panel found in {table.where}")
                return panel, [one for one in given if one is not table]
    return None, given


def _find_sheet(
    given: list[Table], beside: list[Table], names: list[str], warnings: list[str]
) -> Table | None:
    if len(given) > 1:
        raise InputError(
            "neither of the two sheets is a panel that names the channels",
            where=given[0].where,
            mend="give the panel with a column of channel names as the files have them",
        )
    if given:
        return given[0]
    ranked = [(best_match(table, names).n_matched, table) for table in beside]
    if are_numbered(names) and not any(n for n, _ in ranked):
        ranked = [(len(names) if table.n_rows == len(names) else 0, table) for table in beside]
    fitting = [table for n, table in ranked if n >= 0.5 * len(names)]
    if len(fitting) == 1:
        warnings.append(f"sample sheet found in {fitting[0].where}")
        return fitting[0]
    left = [table.where for _, table in ranked if table not in fitting]
    if len(fitting) > 1:
        raise InputError(
            f"{len(fitting)} tables could be the sample sheet: {[table.where for table in fitting][:_SHOWN]}",
            where=fitting[0].where,
            mend="keep one of them beside the files, or give it as the sample sheet",
        )
    if left:
        warnings.append(
            f"tables without cells, which name neither channels nor samples, were left out: {left[:_SHOWN]}"
        )
    return None


def _parts(names: list[str], pattern: str | None, where: str, warnings: list[str]) -> list[dict[str, str]]:
    """What a pattern reads from each file's name; without one a word of advice where the names form a grid."""
    if pattern is None:
        if (words := _grid(names)) is not None:
            warnings.append(
                f"file names combine {words[0]} with {words[1]}: each file is taken as one sample; if they are gates of a "
                "sample, pass sample_pattern='(?P<sample>.+)_(?P<gate>.+)'"
            )
        return [{} for _ in names]
    try:
        matcher = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"{pattern!r} is no regular expression ({error})", where="sample_pattern", mend="correct it"
        ) from None
    if "sample" not in matcher.groupindex:
        raise InputError(
            "the pattern has no group named sample",
            where="sample_pattern",
            mend="write (?P<sample>...) where the name is",
        )
    parts = []
    for name in names:
        found = matcher.fullmatch(name)
        if found is None:
            raise InputError(
                f"the name {name!r} does not fit the pattern {pattern!r}",
                where=where,
                mend="change sample_pattern",
            )
        parts.append({key: value or "" for key, value in found.groupdict().items()})
    return parts


def _grid(names: list[str]) -> tuple[list[str], list[str]] | None:
    """First and last words of names that hold every combination of them."""
    halves = [name.rpartition("_") for name in names]
    left, right = sorted({h[0] for h in halves}), sorted({h[2] for h in halves})
    full = len(left) >= 2 and len(right) >= 3 and len(left) * len(right) == len(names) and all(left)
    return (left[:_SHOWN], right[:_SHOWN]) if full else None


def _join(
    samples: list[str],
    parts: list[dict[str, str]],
    names: list[str],
    sheet: Table | None,
    sample_column: str | None,
    min_match: float,
    where: str,
) -> Joined:
    """The sheet by file or by sample; rows of `Joined` are files (or samples of one file)."""
    index = pd.Index(names, dtype=object)
    extra = {key: [part[key] for part in parts] for key in parts[0] if key != "sample"} if parts else {}
    obs = pd.DataFrame(extra, index=index, dtype=object)
    if samples == names:
        return join_sheets(_as_quantification(names, obs, where), sheet, None, sample_column, min_match)
    distinct = list(dict.fromkeys(samples))
    by_sample = join_sheets(
        _as_quantification(distinct, pd.DataFrame(index=pd.Index(distinct, dtype=object)), where),
        sheet,
        None,
        sample_column,
        min_match,
    )
    stay = {distinct[i] for i in by_sample.rows}
    rows = [i for i, name in enumerate(samples) if name in stay]
    said = by_sample.obs.loc[[samples[i] for i in rows]].set_axis(index[rows])
    columns = [name for name in said.columns if name not in obs.columns and name != "group"]
    merged = pd.concat([obs.iloc[rows], said[columns]], axis=1)
    return Joined(rows, merged, by_sample.table, by_sample.values, by_sample.warnings)


def _as_quantification(names: list[str], obs: pd.DataFrame, where: str) -> Quantification:
    """Samples alone, as the joining of sheets takes them; a column keeps groups from being guessed of file names."""
    return Quantification(
        software="", level="cell", orientation="samples_in_rows", samples=names, features=[], quantities={},
        var=pd.DataFrame(), obs=obs, where=where,
    )  # fmt: skip


def _sample_names(obs: pd.DataFrame, names: list[str]) -> list[str]:
    """The sheet's own names of samples, where it has them beside the files' and they tell the files apart."""
    for column in obs.columns:
        if canonical(str(column)) in _IDS and not pd.api.types.is_numeric_dtype(obs[column]):
            found = ["" if value != value else str(value) for value in obs[column]]
            if all(found):
                return found
    return names


def _within(codes: np.ndarray) -> np.ndarray:
    """Number of each cell within its file, from one."""
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    numbers = np.empty(len(codes), dtype=int)
    numbers[order] = np.arange(len(codes)) - starts + 1
    return numbers


def _var(events: Events, panel: Panel | None, warnings: list[str]) -> pd.DataFrame:
    """Markers by the panel, else by the file, else by channel; the channel stays in a column."""
    names = []
    for channel, own in zip(events.channels, events.markers, strict=True):
        told = panel.markers.get(channel, "") if panel is not None else ""
        names.append(told or own or _own_marker(channel))
    if panel is None and all(re.fullmatch(r"\d+|V\d+|X\d+", name) for name in names):
        warnings.append(
            "the channels have no names: give a panel (channel, antigen) as second sheet to tell what they measure"
        )
    counts = Counter(names)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        warnings.append(f"markers {repeated[:_SHOWN]} stand on several channels: named with their channel")
        names = [
            f"{name} ({channel})" if counts[name] > 1 else name
            for name, channel in zip(names, events.channels, strict=True)
        ]
    var = pd.DataFrame(index=pd.Index(names, dtype=object))
    var["channel"] = pd.Series(events.channels, index=var.index, dtype=object)
    if panel is not None and any(panel.classes.values()):
        var["marker_class"] = [panel.classes.get(channel, "none") or "none" for channel in events.channels]
    return var


_METAL = re.compile(r"(?P<marker>.+?)[ _]?\((?:[A-Z][a-z]\d{2,3}|\d{2,3}[A-Z][a-z]|[\d:]+)\)D[id]$")


def _own_marker(channel: str) -> str:
    """The marker that a channel's name holds: ``CD3`` of ``CD3(110:114)Dd``."""
    found = _METAL.match(channel)
    return found["marker"] if found else channel
