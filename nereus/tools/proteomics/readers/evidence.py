"""MaxQuant evidence.txt: one row a feature of a run, label-free or with reporter channels, to precursors."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe, flag
from nereus.tools.proteomics.readers.channels import channel_columns, channel_of
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import Pivot, cells_of, constants, pivot, several, wanted_level
from nereus.tools.proteomics.readers.numbers import number_format
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_NEEDED = frozenset(
    {
        "sequence",
        "modified_sequence",
        "charge",
        "raw_file",
        "experiment",
        "intensity",
        "reverse",
        "contaminant",
    }
    | {"potential_contaminant", "proteins", "leading_razor_protein", "leading_proteins", "gene_names"}
    | {"protein_names", "fraction", "dart_pep", "dart_qval"}
)
_CHANNEL = re.compile(r"reporter_intensity_(corrected_)?(\d+)$")


def _recognise(header: Header) -> bool:
    return header.has("sequence", "raw_file", "charge", "intensity") and header.has_any(
        "modified_sequence", "ms_ms_scan_number", "retention_time"
    )


def _columns(header: list[str]) -> list[int]:
    return [
        j for j, name in enumerate(header) if canonical(name) in _NEEDED or _CHANNEL.match(canonical(name))
    ]


def read_evidence(table: Table, options: ReadOptions) -> Quantification:
    """Precursors (modified sequence and charge) x runs, or x reporter channels of runs.

    A precursor that was seen several times in a run keeps its largest intensity. Where the column ``Experiment`` joins
    several raw files (fractions), they are added up.

    Raises
    ------
    InputError
        Missing columns, no intensities, text in a numeric column.
    """
    wanted_level(options, ("peptide",), table.where)
    sequence = cells_of(table, "modified_sequence") or cells_of(table, "sequence")
    charge, run = cells_of(table, "charge"), cells_of(table, "raw_file")
    if sequence is None or charge is None or run is None:
        raise InputError(
            "lacks the columns Modified sequence, Charge or Raw file",
            where=table.where,
            mend="give evidence.txt as MaxQuant wrote it",
        )
    features = [f"{name}{number}" if name else "" for name, number in zip(sequence, charge, strict=True)]
    channels = _channels(table)
    intensity = [j for j, name in enumerate(table.header) if canonical(name) == "intensity"]
    experiment = cells_of(table, "experiment")
    notes = list(table.notes)
    sample = experiment if experiment is not None and all(experiment) else run
    fractions = len({*zip(sample, run, strict=True)}) > len(set(sample))
    quantities = channels or {"intensity": intensity[0]}
    form = number_format(table, list(quantities.values()), options.decimal)
    keep = np.array([any(table.columns[j][i] for j in quantities.values()) for i in range(table.n_rows)])
    found = pivot(table, keep, run if fractions else sample, features, quantities, form, "max")
    notes += several(found, "max", "their run and precursor")
    if fractions:
        found = _added(found, run, sample)
        notes.append("raw files of one experiment are taken as its fractions and added up")
    proteins = cells_of(table, "leading_razor_protein", "leading_proteins", "proteins") or [""] * table.n_rows
    groups = found.by_feature(proteins)
    genes, names = cells_of(table, "gene_names"), cells_of(table, "protein_names")
    every = cells_of(table, "proteins") or proteins
    var = describe(
        groups,
        genes=None if genes is None else found.by_feature(genes),
        headers=found.by_feature(every),
        descriptions=None if names is None else found.by_feature(names),
        n_peptides=[1.0] * len(groups),
    )
    var["protein_group"] = pd.Series(groups, dtype=object)
    flagged = cells_of(table, "potential_contaminant", "contaminant")
    n = len(groups)
    contaminant, shared = contaminants(groups, flag(found.by_feature(flagged) if flagged else None, n))
    reverse = cells_of(table, "reverse")
    q = Quantification(
        software="MaxQuant",
        level="peptide",
        orientation="long",
        samples=found.samples,
        features=found.features,
        quantities=found.quantities,
        var=var,
        obs=constants(table, found, {}) if fractions else None,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(groups, flag(found.by_feature(reverse) if reverse else None, n)),
        raw=True,
        known_scale="raw",
        notes=notes,
        where=table.where,
    )
    return _by_channel(q, found, list(channels)) if channels else q


def _channels(table: Table) -> dict[str, int]:
    """Channel -> column; the corrected intensities where there are any."""
    found: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for j, name in enumerate(table.header):
        if match := _CHANNEL.match(canonical(name)):
            found[bool(match.group(1))][channel_of(match.group(2))] = j
    return found[True] or found[False]


def _added(found: Pivot, run: list[str], sample: list[str]) -> Pivot:
    """Runs of one experiment added up."""
    of_run = {run[i]: sample[i] for i in found.rows}
    codes, levels = pd.factorize(np.array([of_run[name] for name in found.samples], dtype=object))
    quantities = {}
    for name, values in found.quantities.items():
        total = np.zeros((len(levels), values.shape[1]))
        seen = np.zeros_like(total)
        np.add.at(total, codes, np.nan_to_num(values))
        np.add.at(seen, codes, np.isfinite(values))
        quantities[name] = np.where(seen > 0, total, np.nan)
    return Pivot(
        [str(level) for level in levels],
        found.features,
        quantities,
        found.rows,
        codes[found.sample_of_row],
        found.feature_of_row,
        found.n_merged,
    )


def _by_channel(q: Quantification, found: Pivot, channels: list[str]) -> Quantification:
    """One sample a reporter channel of a run, instead of one quantity a channel."""
    values = np.concatenate(
        [np.stack([m[i] for m in found.quantities.values()]) for i in range(len(found.samples))]
    )
    plexes = [run for run in found.samples for _ in channels]
    names = channels * len(found.samples)
    samples = [f"{plex}_{name}" for plex, name in zip(plexes, names, strict=True)]
    # MaxQuant writes channels that the label does not have as empty columns.
    used = np.isfinite(values).any(axis=1) & (np.nan_to_num(values).sum(axis=1) > 0)
    unused = [samples[i] for i in np.flatnonzero(~used)]
    if unused:
        q.notes.append(f"{len(unused)} channels without any value left out: {unused[:4]}")
    chosen = [int(i) for i in np.flatnonzero(used)]
    q.samples = [samples[i] for i in chosen]
    q.quantities = {"reporter": values[chosen]}
    q.obs, notes = channel_columns(
        q.samples, [plexes[i] for i in chosen], [names[i] for i in chosen], values[chosen]
    )
    q.notes += notes
    return q


FORMAT = Format("MaxQuant evidence", _recognise, read_evidence, _columns)
