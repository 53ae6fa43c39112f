"""PAW pipeline TMT tables: banner lines, then one column a channel of a set (``TotInt_127N_set1``), one row a protein."""

from __future__ import annotations

import re

import numpy as np

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe, flag
from nereus.tools.proteomics.readers.channels import channel_columns, channel_of, says_empty
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import cells_of, refuse_unnamed, wanted_level
from nereus.tools.proteomics.readers.numbers import number_format, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_TOTAL = re.compile(r"totint_(1[1-3]\d[nc]?)(?:_(?P<set>.+))?$")


def _recognise(header: Header) -> bool:
    return header.count(_TOTAL.pattern) >= 2


def read_paw(table: Table, options: ReadOptions) -> Quantification:
    """Proteins x channels of sets. What the line above the header calls a channel becomes the column ``label``.

    Raises
    ------
    InputError
        Text in a numeric column, or a channel that stands twice.
    """
    wanted_level(options, ("protein",), table.where)
    header = [canonical(name) for name in table.header]
    refuse_unnamed(table)
    columns = [j for j, name in enumerate(header) if _TOTAL.match(name)]
    form = number_format(table, columns, options.decimal)
    values = np.stack([to_floats(table, j, form) for j in columns])
    channels = [channel_of(table.header[j]) for j in columns]
    raw = [table.header[j].split("_", 2)[2] if table.header[j].count("_") >= 2 else "" for j in columns]
    plexes = [name or "1" for name in raw]
    samples = [f"{c}_{p}" if p else c for p, c in zip(raw, channels, strict=True)]
    if len(set(samples)) < len(samples):
        twice = next(name for name in samples if samples.count(name) > 1)
        raise InputError(
            f"channel {twice!r} stands in two columns", where=table.where, mend="rename or remove one of them"
        )
    labels = _labels(table, columns)
    obs, notes = channel_columns(samples, plexes, channels, values, labels)
    accession = cells_of(table, "accession", "protein", "protein_accession")
    rows = np.ones(table.n_rows, dtype=bool)
    if accession is None:
        features = [f"feature_{i + 1}" for i in range(table.n_rows)]
        notes.append("there is no column of identifiers: features are numbered")
    else:
        # "(+2)" behind an accession counts proteins of the same peptides, which the column Identical names.
        features = [re.sub(r"\s*\(\+\d+\)$", "", cell) for cell in accession]
        # Sums and averages stand below the proteins.
        rows = np.array([bool(cell) for cell in features])
        last = int(np.max(np.flatnonzero(rows), initial=-1))
        if not rows[: last + 1].all():
            row = int(np.argmin(rows))
            raise InputError(
                "the row has no identifier",
                where=f"{table.where}, row {table.lines[row]}, column 'Accession'",
                mend="fill it in or delete the row",
            )
        if not rows.all():
            notes.append(f"{int((~rows).sum())} rows without an accession left out")
    chosen = [int(i) for i in np.flatnonzero(rows)]
    if not chosen:
        raise InputError(
            "no row has an accession", where=table.where, mend="export the protein summary again"
        )
    features = [features[i] for i in chosen]
    filters = cells_of(table, "filter")
    counts = cells_of(table, "uniquetot", "countstot")
    description = cells_of(table, "description")
    flagged = flag([filters[i] for i in chosen] if filters else None, len(chosen))
    contaminant, shared = contaminants(features, flagged)
    return Quantification(
        software="PAW",
        level="protein" if accession is not None else "generic",
        orientation="samples_in_columns",
        samples=samples,
        features=features,
        quantities={"reporter": values[:, chosen]},
        var=describe(
            features,
            headers=[description[i] for i in chosen] if description else None,
            descriptions=[description[i].split(" OS=")[0] for i in chosen] if description else None,
            n_peptides=[_count(counts[i]) for i in chosen] if counts else None,
        ),
        obs=obs,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(features, np.zeros(len(chosen), dtype=bool)),
        raw=True,
        known_scale="raw",
        notes=[*table.notes, *notes],
        where=table.where,
    )


def _count(cell: str) -> float:
    return float(cell) if cell.isdigit() else np.nan


def _labels(table: Table, columns: list[int]) -> list[str] | None:
    """The line above the header, where it says something of at least one channel in words."""
    for line in reversed(table.before):
        if len(line) <= max(columns):
            continue
        cells = [line[j] for j in columns]
        words = [cell for cell in cells if cell and not re.fullmatch(r"[\d.,\s]+", cell)]
        if len(words) == len(cells) or any(says_empty(word) for word in words):
            return cells
    return None


FORMAT = Format("a PAW TMT table", _recognise, read_paw)
