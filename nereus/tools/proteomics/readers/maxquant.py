"""MaxQuant proteinGroups.txt and peptides.txt, in any punctuation of their column names.

Column names are matched word by word with any punctuation between words ("LFQ intensity A", "LFQ_intensity_A",
"LFQ.intensity.A"), as tools that rewrite the files mix them even within one header. Samples are joined across
quantities by their names without case and punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe, flag
from nereus.tools.proteomics.readers.channels import channel_columns, channel_of
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import wanted_level
from nereus.tools.proteomics.readers.numbers import FloatArray, number_format, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical
from nereus.tools.proteomics.readers.silac import labels_of_samples, ratio_columns

_JOIN = r"[\W_]+"
_QUANTITIES = {
    "lfq": rf"lfq{_JOIN}intensity",
    "intensity": "intensity",
    "ibaq": "ibaq",
    "top3": "top3",
    "reporter": rf"reporter{_JOIN}intensity{_JOIN}corrected",
}
_PER_SAMPLE = {
    "razor": rf"razor{_JOIN}(?:unique{_JOIN})?peptides",
    "peptides": "peptides",
    "type": rf"identification{_JOIN}type",
}
_TRAILING_UNIT = re.compile(r"[\W_]*(?:\[%\])?[\W_]*$")
_NO_SAMPLE = re.compile(r"^[\W_]*$|^(?:l|m|h|not[\W_]corrected|count)$", re.IGNORECASE)
_ID_TYPES = {"by ms/ms": 1.0, "quant. by direct id": 1.0, "by matching": 0.0, "quant. by recovery": 0.0}


def select_columns(header: list[str]) -> list[int]:
    """Columns that the reader uses; the long lists of evidence ids are left unread."""
    wanted = re.compile(
        r"^(protein_ids|majority_protein_ids|protein_names|gene_names|fasta_headers|peptides|razor_unique_peptides|"
        r"unique_peptides|only_identified_by_site|reverse|potential_contaminant|contaminant|sequence|proteins|"
        r"leading_razor_protein|protein_group_ids|lfq_intensity|intensity|ibaq|top3|reporter_intensity|"
        r"ratio_[hm]_[lm]_normali[sz]ed|"
        r"identification_type|id$)"
    )
    return [i for i, name in enumerate(header) if wanted.match(canonical(name))]


def _is_protein_groups(header: Header) -> bool:
    return header.has("majority_protein_ids") and bool(
        header.count(r"(lfq_)?intensity|ibaq|reporter_intensity|peptide_counts|ratio")
    )


def _is_peptides(header: Header) -> bool:
    words = ("leading_razor_protein", "unique_groups", "unique_proteins", "missed_cleavages")
    by_sample = header.count(r"(lfq_)?intensity_") > 0
    return header.has("sequence") and header.has_any(*words) and by_sample and not header.has("psm_ambiguity")


def read_maxquant(table: Table, level: str, options: ReadOptions) -> Quantification:
    """Quantities, peptide counts, identification types and flags of a MaxQuant table.

    Parameters
    ----------
    table
        Cells of proteinGroups.txt (`level` protein) or peptides.txt (`level` peptide).
    level
        ``protein`` or ``peptide``.
    options
        What the user overrides.

    Raises
    ------
    InputError
        No sample-wise intensity columns, a sample named twice with different values, text in a numeric column.
    """
    wanted_level(options, (level,), table.where)
    found = {quantity: _by_sample(table, pattern) for quantity, pattern in _QUANTITIES.items()}
    # iBAQ and reporter columns begin with their own words; plain intensity must not swallow "Intensity L A" of SILAC.
    found = {quantity: columns for quantity, columns in found.items() if columns}
    if "reporter" in found:
        found = {"reporter": _reporter_of_experiments(found["reporter"])}
    ratios = ratio_columns(table.header).get("", [])
    if ratios:
        found = {"ratio": {canonical(name): (name, j) for name, j in ratios}}
    if "intensity" in found:
        silac = labels_of_samples([name for name, _ in found["intensity"].values()])
        if silac and not ratios:
            raise InputError(
                f"holds intensities of SILAC labels ({silac[0]!r}) without their normalised ratios",
                where=table.where,
                mend="give the table with its columns 'Ratio H/L normalized'",
            )
    if not found:
        quantities = [
            name for name in table.header if canonical(name).startswith(("intensity", "lfq", "ratio"))
        ]
        raise InputError(
            f"no intensity columns of single samples (found {quantities[:3]})",
            where=table.where,
            mend="search with an experimental design, so that MaxQuant writes one column a sample",
        )
    base = max(found, key=lambda q: (len(found[q]), q == "intensity", q == "lfq"))
    keys = list(found[base])
    samples = [found[base][key][0] for key in keys]
    used = [column for columns in found.values() for _, column in columns.values()]
    form = number_format(table, used, options.decimal)
    notes: list[str] = []
    if ratios:
        notes.append(
            "SILAC: each sample is the normalised ratio of two labels; a label swap has the other sign"
        )
    quantities_read: dict[str, FloatArray] = {}
    for quantity, columns in found.items():
        if set(columns) >= set(keys):
            quantities_read[quantity] = np.stack([to_floats(table, columns[key][1], form) for key in keys])
        else:
            notes.append(f"{quantity} columns left out: {len(columns)} of {len(keys)} samples have one")
    groups = _column(table, "majority_protein_ids", "protein_ids") if level == "protein" else None
    protein_group = groups
    if level == "protein":
        assert groups is not None
        fallback = _column(table, "protein_ids") or groups
        features = [group or other for group, other in zip(groups, fallback, strict=True)]
        protein_group = features
    else:
        features = _required(table, "sequence")
        proteins = _column(table, "proteins") or [""] * len(features)
        razor = _column(table, "leading_razor_protein") or proteins
        protein_group = [first or other for first, other in zip(razor, proteins, strict=True)]
    if not all(features):
        row = features.index("")
        raise InputError(
            "the row has no identifier",
            where=f"{table.where}, row {table.lines[row]}",
            mend="fill it in or delete the row",
        )
    n = table.n_rows
    flagged = flag(_column(table, "potential_contaminant", "contaminant"), n)
    contaminant, shared = contaminants(protein_group, flagged)
    counts = _counts(table, keys)
    var = describe(
        protein_group,
        genes=_column(table, "gene_names"),
        headers=_column(table, "fasta_headers"),
        descriptions=_column(table, "protein_names"),
        n_peptides=_total_peptides(table, counts, level),
    )
    if level == "peptide":
        var["protein_group"] = pd.Series(protein_group, dtype=object)
    obs = None
    if base == "reporter":
        obs, more = _channels(samples, quantities_read["reporter"])
        notes += more
    layers = {}
    if counts is not None:
        layers["n_peptides"] = counts
    types = _by_sample(table, _PER_SAMPLE["type"])
    if types and set(types) >= set(keys):
        known = [
            [_ID_TYPES.get(cell.lower(), np.nan) for cell in table.columns[types[key][1]]] for key in keys
        ]
        layers["identified_by"] = np.array(known, dtype=float)
    return Quantification(
        software="MaxQuant",
        level="protein" if level == "protein" else "peptide",
        orientation="samples_in_columns",
        samples=samples,
        features=features,
        quantities=quantities_read,
        var=var,
        obs=obs,
        layers=layers,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(protein_group, flag(_column(table, "reverse"), n)),
        by_site=flag(_column(table, "only_identified_by_site"), n),
        raw=True,
        known_scale="raw" if ratios else None,
        notes=[*table.notes, *notes],
        where=table.where,
    )


def _by_sample(table: Table, pattern: str) -> dict[str, tuple[str, int]]:
    """Columns of one quantity: sample key -> (sample name as written, column)."""
    matcher = re.compile(rf"^\s*{pattern}{_JOIN}(?P<sample>.+?)\s*$", re.IGNORECASE)
    columns: dict[str, tuple[str, int]] = {}
    for j, name in enumerate(table.header):
        found = matcher.match(name)
        if not found:
            continue
        sample = found["sample"]
        if _NO_SAMPLE.match(sample):
            continue
        key = canonical(sample)
        if key in columns:
            other = columns[key][1]
            if table.columns[other] != table.columns[j]:
                raise InputError(
                    f"columns {other + 1} and {j + 1} both hold {name!r}, with different values",
                    where=table.where,
                    mend="rename or remove one of them",
                )
            continue
        columns[key] = (_TRAILING_UNIT.sub("", sample), j)
    return columns


def _reporter_of_experiments(columns: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """Channels of single experiments ("1 MixA") where there are any, else the plain channels ("1")."""
    single = {key: value for key, value in columns.items() if not key.isdigit()}
    return single or columns


def _channels(samples: list[str], values: FloatArray) -> tuple[pd.DataFrame, list[str]]:
    """Channel and experiment of reporter columns ("1 MixA", or "1" where there is one experiment)."""
    parts = [re.split(r"[\W_]+", sample, maxsplit=1) for sample in samples]
    plexes = [part[1] if len(part) > 1 and part[1] else "1" for part in parts]
    return channel_columns(samples, plexes, [channel_of(part[0]) or part[0] for part in parts], values)


def _column(table: Table, *names: str) -> list[str] | None:
    for wanted in names:
        for name, column in zip(table.header, table.columns, strict=True):
            if canonical(name) == wanted:
                return column
    return None


def _required(table: Table, name: str) -> list[str]:
    column = _column(table, name)
    if column is None:
        raise InputError(
            f"there is no column {name!r}", where=table.where, mend="export the table again with all columns"
        )
    return column


def _lenient(cells: Sequence[str]) -> list[float]:
    """Counts beside the measurements: what is no number is unknown, not an error."""
    return [float(cell) if cell.isdigit() else np.nan for cell in cells]


def _counts(table: Table, keys: list[str]) -> FloatArray | None:
    """Razor + unique peptides by sample, shape (samples, features); all peptides where there are none."""
    for kind in ("razor", "peptides"):
        columns = _by_sample(table, _PER_SAMPLE[kind])
        if columns and set(columns) >= set(keys):
            return np.array([_lenient(table.columns[columns[key][1]]) for key in keys])
    return None


def _total_peptides(table: Table, counts: FloatArray | None, level: str) -> Sequence[float] | None:
    if level == "peptide":
        return [1.0] * table.n_rows
    total = _column(table, "razor_unique_peptides", "peptides")
    if total is not None:
        return _lenient(total)
    return None if counts is None else list(counts.max(axis=0))


PROTEIN_GROUPS = Format(
    "MaxQuant proteinGroups",
    _is_protein_groups,
    lambda table, options: read_maxquant(table, "protein", options),
    select_columns,
)
PEPTIDES = Format(
    "MaxQuant peptides",
    _is_peptides,
    lambda table, options: read_maxquant(table, "peptide", options),
    select_columns,
)
